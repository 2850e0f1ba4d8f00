"""S3 Control: what is said of a whole account, access points, tags by ARN."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mallee.store import Database, ManualClock, schema
from tests.cloud.harness import Account, TestCloud, refused

ALL = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)


def control(cloud: TestCloud, account: Account | None = None) -> Any:
    return cloud.client("s3control", account=account, validate=False)


def policy(principal: str, action: str, *resources: str, **more: Any) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": list(resources)} | more
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_the_account_s_public_access_block(cloud: TestCloud) -> None:
    own, s3 = control(cloud), cloud.client("s3")
    account_id = cloud.admin.id
    with refused("NoSuchPublicAccessBlockConfiguration", 404):
        own.get_public_access_block(AccountId=account_id)
    own.put_public_access_block(AccountId=account_id, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    assert own.get_public_access_block(AccountId=account_id)["PublicAccessBlockConfiguration"] == ALL | {
        "IgnorePublicAcls": False, "BlockPublicPolicy": False, "RestrictPublicBuckets": False,
    }  # fmt: skip
    s3.create_bucket(Bucket="guarded", ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket="guarded")
    with refused("AccessDenied", 403):
        s3.put_bucket_acl(Bucket="guarded", ACL="public-read")
    with refused("AccessDenied", 403):
        own.get_public_access_block(AccountId=cloud.account().id)
    own.delete_public_access_block(AccountId=account_id)
    s3.put_bucket_acl(Bucket="guarded", ACL="public-read")
    with refused("NoSuchPublicAccessBlockConfiguration", 404):
        own.get_public_access_block(AccountId=account_id)


def test_access_points_are_made_and_listed(cloud: TestCloud) -> None:
    own, account_id = control(cloud), cloud.admin.id
    cloud.client("s3").create_bucket(Bucket="behind")
    made = own.create_access_point(AccountId=account_id, Name="door", Bucket="behind")
    assert made["AccessPointArn"] == f"arn:aws:s3:local-1:{account_id}:accesspoint/door"
    assert made["Alias"].startswith("door-") and made["Alias"].endswith("-s3alias")
    told = own.get_access_point(AccountId=account_id, Name="door")
    assert told["NetworkOrigin"] == "Internet" and told["PublicAccessBlockConfiguration"] == ALL and told["Bucket"] == "behind"
    own.create_access_point(AccountId=account_id, Name="inner", Bucket="behind", VpcConfiguration={"VpcId": "vpc-1"})
    first = own.list_access_points(AccountId=account_id, MaxResults=1)
    assert [each["Name"] for each in first["AccessPointList"]] == ["door"]
    second = own.list_access_points(AccountId=account_id, Bucket="behind", NextToken=first["NextToken"])
    assert [each["Name"] for each in second["AccessPointList"]] == ["inner"] and "NextToken" not in second
    with refused("AccessPointAlreadyOwnedByYou", 409):
        own.create_access_point(AccountId=account_id, Name="door", Bucket="behind")
    with refused("InvalidRequest", 400):
        own.create_access_point(AccountId=account_id, Name="other", Bucket="missing")
    with refused("InvalidRequest", 400):
        own.create_access_point(AccountId=account_id, Name="Not.A.Name", Bucket="behind")
    with refused("BucketHasAccessPointsAttached", 400):
        cloud.client("s3").delete_bucket(Bucket="behind")
    for name in ("door", "inner"):
        own.delete_access_point(AccountId=account_id, Name=name)
    with refused("NoSuchAccessPoint", 404):
        own.get_access_point(AccountId=account_id, Name="door")
    cloud.client("s3").delete_bucket(Bucket="behind")


def test_objects_by_an_access_point(cloud: TestCloud) -> None:
    own, s3, account_id = control(cloud), cloud.client("s3"), cloud.admin.id
    s3.create_bucket(Bucket="behind")
    made = own.create_access_point(AccountId=account_id, Name="door", Bucket="behind")
    s3.put_object(Bucket=made["Alias"], Key="key", Body=b"by the door")
    assert s3.get_object(Bucket="behind", Key="key")["Body"].read() == b"by the door"
    assert s3.head_bucket(Bucket=made["Alias"])["AccessPointAlias"] and not s3.head_bucket(Bucket="behind")["AccessPointAlias"]
    listed = s3.list_objects_v2(Bucket=made["Alias"])
    assert [each["Key"] for each in listed["Contents"]] == ["key"]
    own.create_access_point(AccountId=account_id, Name="inner", Bucket="behind", VpcConfiguration={"VpcId": "vpc-1"})
    alias = own.get_access_point(AccountId=account_id, Name="inner")["Alias"]
    with refused("AccessDenied", 403):
        s3.get_object(Bucket=alias, Key="key")
    with refused("NoSuchBucket", 404):
        s3.get_object(Bucket="nothing-0000-s3alias", Key="key")


def test_an_access_point_by_its_arn(tmp_path: Path, database: Database, clock: ManualClock) -> None:
    """boto3 makes a host name of it, which the cloud's domains are asked about."""
    schema.load()
    schema.create(database)
    cloud = TestCloud(tmp_path, database, clock, objects_domains=("mallee.test",))
    try:
        own, s3, account_id = control(cloud), cloud.client("s3"), cloud.admin.id
        s3.create_bucket(Bucket="behind")
        made = own.create_access_point(AccountId=account_id, Name="door", Bucket="behind")
        s3.put_object(Bucket=made["AccessPointArn"], Key="a/key", Body=b"by its name")
        assert s3.get_object(Bucket="behind", Key="a/key")["Body"].read() == b"by its name"
        assert s3.list_objects_v2(Bucket=made["AccessPointArn"])["KeyCount"] == 1
    finally:
        cloud.close()


def test_an_access_point_s_policy(cloud: TestCloud) -> None:
    """The bucket leaves the decision to its account's access points; the access point lets one user in."""
    own, s3, account_id = control(cloud), cloud.client("s3"), cloud.admin.id
    s3.create_bucket(Bucket="behind")
    s3.put_object(Bucket="behind", Key="key", Body=b"x")
    made = own.create_access_point(AccountId=account_id, Name="door", Bucket="behind")
    user = cloud.user("visitor")
    theirs = user.client("s3")
    with refused("AccessDenied", 403):
        theirs.get_object(Bucket=made["Alias"], Key="key")
    arn = f"arn:aws:iam::{account_id}:user/visitor"
    with refused("NoSuchAccessPointPolicy", 404):
        own.get_access_point_policy(AccountId=account_id, Name="door")
    with refused("MalformedPolicy", 400):
        own.put_access_point_policy(AccountId=account_id, Name="door", Policy=policy(arn, "s3:GetObject", "arn:aws:s3:::behind/*"))
    with refused("AccessDenied", 403):
        own.put_access_point_policy(
            AccountId=account_id, Name="door", Policy=policy("*", "s3:GetObject", f"{made['AccessPointArn']}/object/*")
        )
    text = policy(arn, "s3:GetObject", f"{made['AccessPointArn']}/object/*")
    own.put_access_point_policy(AccountId=account_id, Name="door", Policy=text)
    assert json.loads(own.get_access_point_policy(AccountId=account_id, Name="door")["Policy"]) == json.loads(text)
    assert own.get_access_point_policy_status(AccountId=account_id, Name="door")["PolicyStatus"] == {"IsPublic": False}
    with refused("AccessDenied", 403):
        theirs.get_object(Bucket=made["Alias"], Key="key")
    delegation = {"Condition": {"StringEquals": {"s3:DataAccessPointAccount": account_id}}}
    s3.put_bucket_policy(Bucket="behind", Policy=policy("*", "s3:*", "arn:aws:s3:::behind", "arn:aws:s3:::behind/*", **delegation))
    assert theirs.get_object(Bucket=made["Alias"], Key="key")["Body"].read() == b"x"
    with refused("AccessDenied", 403):
        theirs.get_object(Bucket="behind", Key="key")
    with refused("AccessDenied", 403):
        theirs.put_object(Bucket=made["Alias"], Key="key", Body=b"")
    own.delete_access_point_policy(AccountId=account_id, Name="door")
    with refused("AccessDenied", 403):
        theirs.get_object(Bucket=made["Alias"], Key="key")


def test_tags_by_arn(cloud: TestCloud) -> None:
    own, s3, account_id = control(cloud), cloud.client("s3"), cloud.admin.id
    s3.create_bucket(Bucket="tagged")
    arn = "arn:aws:s3:::tagged"
    own.tag_resource(AccountId=account_id, ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    own.tag_resource(AccountId=account_id, ResourceArn=arn, Tags=[{"Key": "a", "Value": "3"}])
    assert own.list_tags_for_resource(AccountId=account_id, ResourceArn=arn)["Tags"] == [
        {"Key": "a", "Value": "3"}, {"Key": "b", "Value": "2"},
    ]  # fmt: skip
    own.untag_resource(AccountId=account_id, ResourceArn=arn, TagKeys=["a", "b"])
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket="tagged")
    with refused("NoSuchBucket", 404):
        own.list_tags_for_resource(AccountId=account_id, ResourceArn="arn:aws:s3:::missing")
    with refused("InvalidArgument", 400):
        own.list_tags_for_resource(AccountId=account_id, ResourceArn=f"arn:aws:s3:local-1:{account_id}:storage-lens/x")


def test_what_is_not_there(sqlite_cloud: TestCloud) -> None:
    with refused("NotImplemented", 501):
        control(sqlite_cloud).list_jobs(AccountId=sqlite_cloud.admin.id)


@pytest.mark.parametrize("operation", ["get_access_point", "delete_access_point", "get_access_point_policy"])
def test_users_need_permission(sqlite_cloud: TestCloud, operation: str) -> None:
    user = sqlite_cloud.user()
    with refused("AccessDenied", 403):
        getattr(control(sqlite_cloud, user), operation)(AccountId=sqlite_cloud.admin.id, Name="door")


def test_names_that_none_can_have(cloud: TestCloud) -> None:
    own, account_id = control(cloud), cloud.admin.id
    with refused("NoSuchAccessPoint", 404):
        own.get_access_point(AccountId=account_id, Name="a\0b")
    with refused("InvalidBucketName", 400):
        own.list_access_points(AccountId=account_id, Bucket="a\0b")
    with refused("InvalidArgument", 400):
        own.list_access_points(AccountId=account_id, NextToken="AAAA")
    with refused("InvalidBucketName", 400):
        own.list_tags_for_resource(AccountId=account_id, ResourceArn="arn:aws:s3:::a\0b")
    assert cloud.cloud.dispatcher.faults == 0
