"""Buckets: made, listed, looked at, deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from mallee.objects import records, store
from mallee.objects.index import buckets as index
from mallee.store import Database, ManualClock, schema
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


def test_in_us_east_1(tmp_path: Path, database: Database, clock: ManualClock) -> None:
    """Where a bucket made twice is no error, and its location is none."""
    schema.load()
    schema.create(database)
    cloud = TestCloud(tmp_path, database, clock, zones=("us-east-1a",), region="us-east-1")
    try:
        s3 = cloud.client("s3")
        s3.create_bucket(Bucket="classic", ObjectOwnership="ObjectWriter")
        s3.delete_public_access_block(Bucket="classic")
        assert s3.get_bucket_location(Bucket="classic")["LocationConstraint"] is None
        s3.put_bucket_acl(Bucket="classic", ACL="public-read")
        s3.create_bucket(Bucket="classic", ObjectOwnership="ObjectWriter")
        assert len(s3.get_bucket_acl(Bucket="classic")["Grants"]) == 1
        with refused("BucketAlreadyExists", 409):
            cloud.account().client("s3").create_bucket(Bucket="classic")
    finally:
        cloud.close()


def test_how_many_buckets_an_account_may_have(cloud: TestCloud) -> None:
    account = cloud.account()
    cloud.client("mallee").put_account_quota(AccountId=account.id, ServiceCode="s3", QuotaCode="L-DC2B2D3D", Value=2)
    s3 = account.client("s3")
    for name in ("one-of-two", "two-of-two"):
        s3.create_bucket(Bucket=name)
    with refused("TooManyBuckets", 400):
        s3.create_bucket(Bucket="three-of-two")
    s3.delete_bucket(Bucket="one-of-two")
    s3.create_bucket(Bucket="three-of-two")


def test_a_namespace_of_one_s_own(sqlite_cloud: TestCloud) -> None:
    s3, name = sqlite_cloud.client("s3"), f"logs-{sqlite_cloud.admin.id}-local-1-an"
    s3.create_bucket(Bucket=name, BucketNamespace="account-regional")
    for wrong in ("logs", "logs-999999999999-local-1-an"):
        with refused("InvalidBucketName", 400):
            s3.create_bucket(Bucket=wrong, BucketNamespace="account-regional")
    with refused("InvalidBucketName", 400):
        s3.create_bucket(Bucket="logs-999999999999-local-1-an")


def test_a_removal_that_was_cut_off_is_finished(cloud: TestCloud) -> None:
    """The index has closed the bucket, and the process died before its row was removed."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="half-gone")
    with cloud.database.reading() as tx:
        found = records.bucket(tx, "half-gone")
    assert found is not None
    store.at(cloud.database).index.run(lambda tx: index.close(tx, found.id))
    with refused("NoSuchBucket", 404):
        s3.put_object(Bucket="half-gone", Key="key", Body=b"")
    s3.delete_bucket(Bucket="half-gone")
    assert s3.list_buckets()["Buckets"] == []
    s3.create_bucket(Bucket="half-gone")
    s3.put_object(Bucket="half-gone", Key="key", Body=b"")


def test_mallee_s_own_buckets(cloud: TestCloud) -> None:
    """They are nobody's to see in lists, to change or to remove."""
    with cloud.database.transaction() as tx:
        records.add_bucket(tx, "internal", cloud.admin.id, internal=True)
    s3 = cloud.client("s3")
    assert s3.list_buckets()["Buckets"] == []
    with refused("AccessDenied", 403):
        s3.delete_bucket(Bucket="internal")
    with refused("AccessDenied", 403):
        s3.put_bucket_versioning(Bucket="internal", VersioningConfiguration={"Status": "Enabled"})
    with refused("BucketAlreadyExists", 409):
        s3.create_bucket(Bucket="internal")


def test_users_need_permission(sqlite_cloud: TestCloud) -> None:
    sqlite_cloud.client("s3").create_bucket(Bucket="not-for-all")
    s3 = sqlite_cloud.user().client("s3")
    for refusal in (s3.list_buckets, lambda: s3.create_bucket(Bucket="another"), lambda: s3.delete_bucket(Bucket="not-for-all")):
        with refused("AccessDenied", 403):
            refusal()
    for expected in ({}, {"ExpectedBucketOwner": "999999999999"}):
        with pytest.raises(ClientError) as raised:
            s3.head_bucket(Bucket="not-for-all", **expected)
        told = raised.value.response["ResponseMetadata"]
        assert told["HTTPStatusCode"] == 403 and told["HTTPHeaders"]["x-amz-bucket-region"] == "local-1"


@pytest.mark.parametrize("path", ["/a%00b", "/%ff%fe", "/a%00-s3alias", "/arn%3Aaws%3As3%3A%3A123456789012%3Aaccesspoint%2F%00ab", "/" + "x" * 3000])
def test_names_that_no_bucket_can_have(cloud: TestCloud, path: str) -> None:
    """Asked by anybody, without a signature."""
    for method in ("GET", "PUT", "DELETE"):
        status, _, _ = cloud.request(method, path, headers=[(b"host", b"mallee.test")])
        assert status in (400, 403, 404), method
    assert cloud.cloud.dispatcher.faults == 0
