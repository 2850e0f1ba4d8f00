"""Objects get another key, whole and at once."""

from __future__ import annotations

import datetime
import os
from typing import Any

import pytest

from tests.cloud import s3 as tools
from tests.cloud.harness import TestCloud, refused
from tests.cloud.people import user
from tests.cloud.s3 import NAME


def rename(s3: Any, source: str = "old", key: str = "new", **more: Any) -> None:
    s3.rename_object(Bucket=NAME, Key=key, RenameSource=source, **more)


def keys(s3: Any) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=NAME).get("Contents", ())]


def body(s3: Any, key: str) -> bytes:
    found: bytes = s3.get_object(Bucket=NAME, Key=key)["Body"].read()
    return found


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_everything_goes_with_it(cloud: TestCloud, size: int) -> None:
    s3 = tools.bucket(cloud)
    data = os.urandom(size)
    more = {"Metadata": {"a": "b"}, "Tagging": "t=1", "ContentType": "text/x", "StorageClass": "STANDARD_IA", "ServerSideEncryption": "AES256"}
    s3.put_object(Bucket=NAME, Key="old", Body=data, **more)
    before = s3.head_object(Bucket=NAME, Key="old")
    cloud.clock.advance(100)
    rename(s3)
    after = s3.head_object(Bucket=NAME, Key="new")
    del before["ResponseMetadata"], after["ResponseMetadata"]
    assert before == after
    assert body(s3, "new") == data and keys(s3) == ["new"]
    with refused("NoSuchKey", 404):
        body(s3, "old")
    assert s3.get_object_tagging(Bucket=NAME, Key="new")["TagSet"] == [{"Key": "t", "Value": "1"}]
    s3.delete_object(Bucket=NAME, Key="new")
    s3.delete_bucket(Bucket=NAME)


def test_it_replaces_what_is_there(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    s3.put_object(Bucket=NAME, Key="old", Body=b"old")
    s3.put_object(Bucket=NAME, Key="new", Body=b"new")
    with refused("PreconditionFailed", 412):
        rename(s3, DestinationIfNoneMatch="*")
    assert body(s3, "new") == b"new"
    rename(s3)
    assert body(s3, "new") == b"old" and keys(s3) == ["new"]
    rename(s3, "new", "new")
    assert body(s3, "new") == b"old"


@pytest.mark.parametrize("key", ["a b", "a+b", "ü/é", "a?b", "a%20b", "/", "x\\y"])
def test_awkward_names(sqlite_cloud: TestCloud, key: str) -> None:
    from urllib.parse import quote

    s3 = tools.bucket(sqlite_cloud)
    s3.put_object(Bucket=NAME, Key=key, Body=b"1")
    rename(s3, quote(key, safe=""), "there" + key)
    rename(s3, quote("there" + key), key + "again")
    assert keys(s3) == [key + "again"]


@pytest.mark.parametrize("source", ["old", "/old", f"{NAME}/old", f"/{NAME}/old", f"/{NAME}/%6Fld"])
def test_a_source_with_its_bucket_and_without(sqlite_cloud: TestCloud, source: str) -> None:
    s3 = tools.bucket(sqlite_cloud)
    s3.put_object(Bucket=NAME, Key="old", Body=b"1")
    s3.put_object(Bucket=NAME, Key=f"{NAME}/old", Body=b"2")
    rename(s3, source)
    assert body(s3, "new") == b"1"
    rename(s3, f"{NAME}/{NAME}/old")
    assert body(s3, "new") == b"2" and keys(s3) == ["new"]


def test_conditions(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    etag = s3.put_object(Bucket=NAME, Key="old", Body=b"old")["ETag"]
    other = s3.put_object(Bucket=NAME, Key="new", Body=b"new")["ETag"]
    now = cloud.clock.now()
    hour = datetime.timedelta(hours=1)
    for failing in (
        {"SourceIfMatch": other},
        {"SourceIfNoneMatch": etag},
        {"SourceIfNoneMatch": "*"},
        {"SourceIfModifiedSince": now + hour},
        {"SourceIfUnmodifiedSince": now - hour},
        {"DestinationIfMatch": etag},
        {"DestinationIfNoneMatch": "*"},
        {"DestinationIfModifiedSince": now + hour},
        {"DestinationIfUnmodifiedSince": now - hour},
    ):
        with refused("PreconditionFailed", 412):
            rename(s3, **failing)
    with refused("PreconditionFailed", 412):
        rename(s3, key="third", DestinationIfMatch=etag)
    with refused("NotImplemented", 501):
        rename(s3, DestinationIfNoneMatch=other)
    assert keys(s3) == ["new", "old"]
    rename(s3, SourceIfMatch=etag, SourceIfUnmodifiedSince=now + hour, DestinationIfMatch=other, DestinationIfModifiedSince=now - hour)
    assert body(s3, "new") == b"old"
    rename(s3, "new", "third", DestinationIfNoneMatch="*", SourceIfNoneMatch=other, SourceIfModifiedSince=now - hour)
    assert keys(s3) == ["third"]


def test_a_token_makes_it_happen_once(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    s3.put_object(Bucket=NAME, Key="old", Body=b"1")
    rename(s3, ClientToken="once")
    rename(s3, ClientToken="once")
    s3.put_object(Bucket=NAME, Key="old", Body=b"2")
    rename(s3, ClientToken="once")
    assert body(s3, "old") == b"2" and body(s3, "new") == b"1"
    for more in ({"key": "elsewhere"}, {"source": "other"}, {"SourceIfNoneMatch": '"x"'}):
        with refused("IdempotencyParameterMismatch", 400):
            rename(s3, ClientToken="once", **more)
    with refused("NoSuchKey", 404):
        rename(s3, "nothing", ClientToken="twice")
    s3.put_object(Bucket=NAME, Key="nothing", Body=b"")
    rename(s3, "nothing", "something", ClientToken="twice")  # what failed is not remembered
    for token in ("a" * 65, "a b", "ü"):
        with refused("InvalidArgument", 400):
            rename(s3, ClientToken=token)


def test_where_it_cannot_be(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    s3.put_object(Bucket=NAME, Key="old", Body=b"1")
    with refused("NoSuchKey", 404):
        rename(s3, "nothing")
    with refused("KeyTooLongError", 400):
        rename(s3, key="k" * 1025)
    for status in ("Enabled", "Suspended"):
        tools.version(s3, status=status)
        with refused("InvalidRequest", 400) as told:
            rename(s3)
        assert told() == "Objects can be renamed only in a bucket whose versioning was never enabled."
    tools.bucket(cloud, "locked", lock=True).put_object(Bucket="locked", Key="old", Body=b"1")
    with refused("InvalidRequest", 400):
        s3.rename_object(Bucket="locked", Key="new", RenameSource="old")


def test_who_may(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    s3.put_object(Bucket=NAME, Key="old", Body=b"1")
    needed = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
    for number, left_out in enumerate(needed):
        some = user(cloud, f"some-{number}", *(each for each in needed if each != left_out)).client("s3")
        with refused("AccessDenied", 403):
            rename(some)
    for who in (cloud.account().client("s3"), tools.unsigned(cloud)):
        with refused("AccessDenied", 403):
            rename(who)
    mover = user(cloud, "mover", *needed).client("s3")
    rename(mover)
    with refused("AccessDenied", 403):
        rename(mover, "nothing")
    assert keys(s3) == ["new"]
