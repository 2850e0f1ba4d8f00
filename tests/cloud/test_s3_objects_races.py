"""Many at once: a condition is decided in the commit, a read is of one object, and nothing is lost in between."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tests.cloud import s3 as tools
from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME


def together(*works: Callable[[], None]) -> None:
    """All of them at once; the first thing that goes wrong is raised."""
    problems: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def code(problem: ClientError) -> str:
    return str(problem.response["Error"]["Code"])


def test_one_of_many_makes_it(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    won: list[bytes] = []

    def make(data: bytes) -> None:
        try:
            s3.put_object(Bucket=NAME, Key="key", Body=data, IfNoneMatch="*")
        except ClientError as problem:
            assert code(problem) == "PreconditionFailed"
        else:
            won.append(data)

    together(*(lambda data=os.urandom(size): make(data) for size in (10, 10, 100_000, 300_000, 2_000_000)))
    assert len(won) == 1 and s3.get_object(Bucket=NAME, Key="key")["Body"].read() == won[0]


def test_a_counter_loses_nothing(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    s3.put_object(Bucket=NAME, Key="counter", Body=b"0")

    def count() -> None:
        left = 6
        while left:
            told = s3.get_object(Bucket=NAME, Key="counter")
            try:
                s3.put_object(Bucket=NAME, Key="counter", Body=b"%d" % (int(told["Body"].read()) + 1), IfMatch=told["ETag"])
            except ClientError as problem:
                assert code(problem) == "PreconditionFailed"
            else:
                left -= 1

    together(*[count] * 5)
    assert s3.get_object(Bucket=NAME, Key="counter")["Body"].read() == b"30"


def test_a_read_is_of_one_object(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    sizes = (3, 1000, 70_000, 400_000, 3_000_000)
    s3.put_object(Bucket=NAME, Key="key", Body=b"first")
    over = threading.Event()

    def write() -> None:
        try:
            for _ in range(12):
                s3.put_object(Bucket=NAME, Key="key", Body=os.urandom(random.choice(sizes)))
                s3.delete_object(Bucket=NAME, Key="key")
        finally:
            over.set()

    def read() -> None:
        while not over.is_set():
            try:
                told = s3.get_object(Bucket=NAME, Key="key")
            except ClientError as problem:
                assert code(problem) == "NoSuchKey"
                continue
            data = told["Body"].read()
            assert told["ContentLength"] == len(data)
            assert told["ETag"] == f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'

    together(write, read, read)


def test_renames_one_after_the_other(cloud: TestCloud) -> None:
    """Each source goes to one place; who comes too late finds nothing."""
    s3 = tools.bucket(cloud)
    for number in range(6):
        s3.put_object(Bucket=NAME, Key=f"from/{number}", Body=b"%d" % number)
    moved: list[tuple[int, str]] = []

    def move(name: str) -> None:
        for number in random.sample(range(6), 6):
            try:
                s3.rename_object(Bucket=NAME, Key=f"to/{name}/{number}", RenameSource=f"from/{number}")
            except ClientError as problem:
                assert code(problem) == "NoSuchKey"
            else:
                moved.append((number, name))

    together(lambda: move("a"), lambda: move("b"), lambda: move("c"))
    assert sorted(number for number, _ in moved) == list(range(6))
    found = {each["Key"]: s3.get_object(Bucket=NAME, Key=each["Key"])["Body"].read() for each in s3.list_objects_v2(Bucket=NAME)["Contents"]}
    assert found == {f"to/{name}/{number}": b"%d" % number for number, name in moved}


def test_a_lock_is_never_too_late(cloud: TestCloud) -> None:
    """A legal hold that was answered keeps the version, whatever deletes go on beside it."""
    s3 = tools.bucket(cloud, lock=True)
    for _ in range(4):
        version = s3.put_object(Bucket=NAME, Key="key", Body=b"1")["VersionId"]
        outcome: dict[str, Any] = {}

        def hold(version: str = version, outcome: dict[str, Any] = outcome) -> None:
            try:
                s3.put_object_legal_hold(Bucket=NAME, Key="key", VersionId=version, LegalHold={"Status": "ON"})
                outcome["held"] = True
            except ClientError as problem:
                assert code(problem) == "NoSuchVersion"
                outcome["held"] = False

        def remove(version: str = version, outcome: dict[str, Any] = outcome) -> None:
            try:
                s3.delete_object(Bucket=NAME, Key="key", VersionId=version)
                outcome["removed"] = True
            except ClientError as problem:
                assert code(problem) == "AccessDenied"
                outcome["removed"] = False

        together(hold, remove)
        assert outcome["held"] != outcome["removed"]
