"""Archived objects: not readable, restored for some days, restored for longer, archived again."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mallee.store import Database, ManualClock, schema
from tests.cloud import s3 as tools
from tests.cloud.harness import TestCloud, refused
from tests.cloud.people import user
from tests.cloud.s3 import NAME


@pytest.fixture
def slow_cloud(tmp_path: Path) -> Iterator[TestCloud]:
    """A restore takes an hour."""
    clock = ManualClock()
    database = Database(f"sqlite:///{tmp_path}/cloud.db", clock, synchronous=False)
    schema.load()
    schema.create(database)
    made = TestCloud(tmp_path / "home", database, clock, objects_restore_seconds=3600.0)
    yield made
    made.close()
    database.close()


def archived(cloud: TestCloud, kind: str = "GLACIER", **options: Any) -> Any:
    s3 = tools.bucket(cloud, **options)
    s3.put_object(Bucket=NAME, Key="key", Body=b"cold", StorageClass=kind, Tagging="a=1")
    return s3


def restore(s3: Any, days: int | None = 2, key: str = "key", version: str | None = None, **request: Any) -> int:
    given: dict[str, Any] = {"Days": days} if days is not None else {}
    more = {} if version is None else {"VersionId": version}
    answer = s3.restore_object(Bucket=NAME, Key=key, RestoreRequest=given | request, **more)
    status: int = answer["ResponseMetadata"]["HTTPStatusCode"]
    return status


@pytest.mark.parametrize("kind", ["GLACIER", "DEEP_ARCHIVE"])
def test_what_is_archived_is_not_read_until_it_is_restored(cloud: TestCloud, kind: str) -> None:
    s3 = archived(cloud, kind)
    head = s3.head_object(Bucket=NAME, Key="key")
    assert head["StorageClass"] == kind and head["ContentLength"] == 4 and "Restore" not in head
    with refused("InvalidObjectState", 403) as told:
        s3.get_object(Bucket=NAME, Key="key")
    assert told() == "The operation is not valid for the object's storage class"
    cloud.clock.advance(3600)
    assert restore(s3) == 202
    until = "Thu, 04 Jan 2024 00:00:00 GMT"  # two days after noon of the first, and on to midnight
    assert cloud.clock.now().date() == datetime.date(2024, 1, 1)
    for answer in (s3.get_object(Bucket=NAME, Key="key"), s3.head_object(Bucket=NAME, Key="key")):
        assert answer["Restore"] == f'ongoing-request="false", expiry-date="{until}"'
        assert answer["StorageClass"] == kind and answer["TagCount"] == 1
    assert s3.get_object(Bucket=NAME, Key="key")["Body"].read() == b"cold"
    assert restore(s3, 5) == 200
    assert "Sun, 07 Jan 2024 00:00:00 GMT" in s3.head_object(Bucket=NAME, Key="key")["Restore"]
    cloud.clock.advance(6 * 86400)
    with refused("InvalidObjectState", 403):
        s3.get_object(Bucket=NAME, Key="key")
    assert "Restore" not in s3.head_object(Bucket=NAME, Key="key")
    assert restore(s3) == 202


def test_a_restore_takes_its_time(slow_cloud: TestCloud) -> None:
    s3 = archived(slow_cloud)
    assert restore(s3, GlacierJobParameters={"Tier": "Bulk"}) == 202
    assert s3.head_object(Bucket=NAME, Key="key")["Restore"] == 'ongoing-request="true"'
    with refused("InvalidObjectState", 403):
        s3.get_object(Bucket=NAME, Key="key")
    with refused("RestoreAlreadyInProgress", 409) as told:
        restore(s3, GlacierJobParameters={"Tier": "Bulk"})
    assert told() == "Object restore is already in progress"
    assert restore(s3, GlacierJobParameters={"Tier": "Expedited"}) == 202  # faster
    with refused("RestoreAlreadyInProgress", 409):
        restore(s3)
    slow_cloud.clock.advance(3600)
    assert s3.get_object(Bucket=NAME, Key="key")["Body"].read() == b"cold"
    assert restore(s3) == 200


@pytest.mark.parametrize("kind", ["STANDARD", "STANDARD_IA", "GLACIER_IR", "INTELLIGENT_TIERING", "REDUCED_REDUNDANCY", "ONEZONE_IA"])
def test_what_is_not_archived(sqlite_cloud: TestCloud, kind: str) -> None:
    s3 = archived(sqlite_cloud, kind)
    with refused("InvalidObjectState", 403) as told:
        restore(s3)
    assert told() == "Restore is not allowed for the object's current storage class"
    assert s3.get_object(Bucket=NAME, Key="key")["Body"].read() == b"cold"


def test_requests_that_cannot_be(sqlite_cloud: TestCloud) -> None:
    archived(sqlite_cloud, "DEEP_ARCHIVE")
    s3 = sqlite_cloud.client("s3", validate=False)
    for days in (0, -1):
        with refused("InvalidArgument", 400):
            restore(s3, days)
    with refused("MalformedXML", 400):
        restore(s3, None)
    with refused("MalformedXML", 400):
        restore(s3, GlacierJobParameters={"Tier": "Now"})
    with refused("MalformedXML", 400):
        s3.restore_object(Bucket=NAME, Key="key")
    with refused("InvalidArgument", 400) as told:
        restore(s3, GlacierJobParameters={"Tier": "Expedited"})
    assert told() == "Retrieval option is not supported by this storage class"
    with refused("NotImplemented", 501) as told:
        restore(s3, None, Type="SELECT", Tier="Standard", OutputLocation={"S3": {"BucketName": NAME, "Prefix": "x"}})
    assert "SELECT" in told()
    with refused("NoSuchKey", 404):
        restore(s3, key="nothing")
    with refused("NoSuchBucket", 404):
        s3.restore_object(Bucket="no-bucket", Key="key", RestoreRequest={"Days": 1})
    assert "Restore" not in s3.head_object(Bucket=NAME, Key="key")


def test_versions_and_markers(cloud: TestCloud) -> None:
    s3 = archived(cloud, versioning="Enabled")
    old = s3.head_object(Bucket=NAME, Key="key")["VersionId"]
    s3.put_object(Bucket=NAME, Key="key", Body=b"warm")
    with refused("InvalidObjectState", 403):
        restore(s3)
    assert restore(s3, version=old) == 202
    assert s3.get_object(Bucket=NAME, Key="key", VersionId=old)["Body"].read() == b"cold"
    marker = s3.delete_object(Bucket=NAME, Key="key")["VersionId"]
    for version in (None, marker):
        with refused("MethodNotAllowed", 405):
            restore(s3, version=version)
    with refused("NoSuchVersion", 404):
        restore(s3, version="a" * 32)


def test_who_may(cloud: TestCloud) -> None:
    archived(cloud)
    reader = user(cloud, "reader", "s3:GetObject").client("s3")
    for who in (reader, cloud.account().client("s3"), tools.unsigned(cloud)):
        with refused("AccessDenied", 403):
            restore(who)
    assert restore(user(cloud, "restorer", "s3:RestoreObject").client("s3")) == 202
