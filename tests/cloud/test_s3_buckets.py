"""Buckets: made, listed, looked at, deleted."""

from __future__ import annotations

import pytest

from tests.cloud.harness import TestCloud, refused


def test_a_bucket_is_made_and_listed(cloud: TestCloud) -> None:
    s3 = cloud.client("s3")
    made = s3.create_bucket(Bucket="first-bucket")
    assert made["Location"] == "/first-bucket"
    s3.create_bucket(Bucket="another.bucket", CreateBucketConfiguration={"LocationConstraint": "local-1"})
    found = s3.list_buckets()
    assert [each["Name"] for each in found["Buckets"]] == ["another.bucket", "first-bucket"]
    assert found["Buckets"][0]["CreationDate"] == cloud.clock.now().replace(microsecond=cloud.clock.now().microsecond // 1000 * 1000)
    assert s3.head_bucket(Bucket="first-bucket")["BucketRegion"] == "local-1"
    assert s3.get_bucket_location(Bucket="first-bucket")["LocationConstraint"] == "local-1"
    assert cloud.account().client("s3").list_buckets()["Buckets"] == []


def test_pages_of_buckets(sqlite_cloud: TestCloud) -> None:
    s3 = sqlite_cloud.client("s3")
    for number in range(5):
        s3.create_bucket(Bucket=f"page-{number}")
    s3.create_bucket(Bucket="other")
    first = s3.list_buckets(MaxBuckets=2, Prefix="page-")
    assert [each["Name"] for each in first["Buckets"]] == ["page-0", "page-1"]
    assert first["Prefix"] == "page-" and first["Buckets"][0]["BucketRegion"] == "local-1"
    second = s3.list_buckets(MaxBuckets=3, Prefix="page-", ContinuationToken=first["ContinuationToken"])
    assert [each["Name"] for each in second["Buckets"]] == ["page-2", "page-3", "page-4"]
    assert "ContinuationToken" not in second
    assert s3.list_buckets(BucketRegion="eu-west-1")["Buckets"] == []
    with refused("InvalidArgument", 400):
        s3.list_buckets(ContinuationToken="€")


@pytest.mark.parametrize("name", ["ab", "Upper", "under_score", "192.168.5.4", "xn--a", "a..b", "a-", "x-s3alias", "a" * 64, "a.-b"])
def test_names_that_are_none(sqlite_cloud: TestCloud, name: str) -> None:
    with refused("InvalidBucketName", 400):
        sqlite_cloud.client("s3", validate=False).create_bucket(Bucket=name)


def test_a_name_is_there_once(cloud: TestCloud) -> None:
    cloud.client("s3").create_bucket(Bucket="taken")
    with refused("BucketAlreadyOwnedByYou", 409):
        cloud.client("s3").create_bucket(Bucket="taken")
    with refused("BucketAlreadyExists", 409):
        cloud.account().client("s3").create_bucket(Bucket="taken")


def test_locations(sqlite_cloud: TestCloud) -> None:
    s3 = sqlite_cloud.client("s3")
    with refused("IllegalLocationConstraintException", 400) as told:
        s3.create_bucket(Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert told().startswith("The eu-west-1 location constraint is incompatible")
    with refused("InvalidLocationConstraint", 400):
        s3.create_bucket(Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": "moon-1"})
    s3.create_bucket(Bucket="here", CreateBucketConfiguration={"LocationConstraint": ""})


def test_what_is_not_there(sqlite_cloud: TestCloud) -> None:
    s3 = sqlite_cloud.client("s3")
    with refused("404", 404):
        s3.head_bucket(Bucket="nothing-here")
    with refused("NoSuchBucket", 404):
        s3.get_bucket_location(Bucket="nothing-here")
    with refused("NoSuchBucket", 404):
        s3.delete_bucket(Bucket="nothing-here")
