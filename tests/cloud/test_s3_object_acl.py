"""ACLs of objects: canned, by headers, by a body; of each version; and what they open."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud import s3 as tools
from tests.cloud.harness import Account, TestCloud, refused
from tests.cloud.people import user
from tests.cloud.s3 import NAME

ALL = "http://acs.amazonaws.com/groups/global/AllUsers"
SIGNED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"


def canonical(account: Account) -> str:
    name = f"own-{account.id}"
    s3 = account.client("s3")
    s3.create_bucket(Bucket=name)
    owner: str = s3.get_bucket_acl(Bucket=name)["Owner"]["ID"]
    return owner


def grants(s3: Any, key: str = "key", **more: Any) -> list[tuple[str, str]]:
    told = s3.get_object_acl(Bucket=NAME, Key=key, **more)
    return [(each["Grantee"].get("URI") or each["Grantee"]["ID"], each["Permission"]) for each in told["Grants"]]


def opened(cloud: TestCloud) -> Any:
    """A bucket in which ACLs count."""
    s3 = tools.bucket(cloud, ownership="ObjectWriter", public=True)
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    return s3


@pytest.mark.parametrize(
    "canned, more",
    [
        ("private", []),
        ("public-read", [(ALL, "READ")]),
        ("public-read-write", [(ALL, "READ"), (ALL, "WRITE")]),
        ("authenticated-read", [(SIGNED, "READ")]),
        ("bucket-owner-read", []),
        ("bucket-owner-full-control", []),
    ],
)
def test_canned_ones(sqlite_cloud: TestCloud, canned: str, more: list[tuple[str, str]]) -> None:
    s3 = opened(sqlite_cloud)
    owner = s3.get_object_acl(Bucket=NAME, Key="key")["Owner"]["ID"]
    s3.put_object_acl(Bucket=NAME, Key="key", ACL=canned)
    assert grants(s3) == [(owner, "FULL_CONTROL"), *more]
    s3.put_object(Bucket=NAME, Key="new", Body=b"", ACL=canned)
    assert grants(s3, "new") == [(owner, "FULL_CONTROL"), *more]


def test_headers_and_bodies(cloud: TestCloud) -> None:
    s3 = opened(cloud)
    owner = s3.get_object_acl(Bucket=NAME, Key="key")["Owner"]["ID"]
    friend = cloud.account()
    id = canonical(friend)
    s3.put_object_acl(Bucket=NAME, Key="key", GrantRead=f'id="{id}"', GrantReadACP=f"uri={SIGNED}")
    assert grants(s3) == [(id, "READ"), (SIGNED, "READ_ACP")]
    assert friend.client("s3").get_object(Bucket=NAME, Key="key")["Body"].read() == b"1"
    assert (SIGNED, "READ_ACP") in grants(friend.client("s3"))
    policy = {
        "Owner": {"ID": owner},
        "Grants": [
            {"Grantee": {"Type": "CanonicalUser", "ID": id}, "Permission": "WRITE_ACP"},
            {"Grantee": {"Type": "Group", "URI": ALL}, "Permission": "READ"},
        ],
    }
    s3.put_object_acl(Bucket=NAME, Key="key", AccessControlPolicy=policy)
    assert grants(s3) == [(id, "WRITE_ACP"), (ALL, "READ")]
    with refused("AccessDenied", 403):
        grants(friend.client("s3"))
    friend.client("s3").put_object_acl(Bucket=NAME, Key="key", GrantFullControl=f"id={id}")
    assert grants(friend.client("s3")) == [(id, "FULL_CONTROL")]
    with refused("AccessDenied", 403):
        tools.unsigned(cloud).get_object(Bucket=NAME, Key="key")


@pytest.mark.parametrize(
    "given, code, status",
    [
        ({}, "MissingSecurityHeader", 400),
        ({"ACL": "wide-open"}, "InvalidArgument", 400),
        ({"ACL": "private", "GrantRead": f"uri={ALL}"}, "InvalidRequest", 400),
        ({"GrantRead": "uri=http://example.com/"}, "InvalidArgument", 400),
        ({"GrantRead": "id=nobody"}, "InvalidArgument", 400),
        ({"GrantRead": "nonsense"}, "InvalidArgument", 400),
        ({"GrantRead": "emailAddress=a@example.com"}, "UnresolvableGrantByEmailAddress", 400),
        ({"AccessControlPolicy": {"Grants": []}}, "MalformedACLError", 400),
        ({"AccessControlPolicy": {"Owner": {"ID": "0" * 64}, "Grants": []}}, "InvalidArgument", 400),
        ({"ACL": "private", "AccessControlPolicy": {"Owner": {"ID": "0" * 64}, "Grants": []}}, "UnexpectedContent", 400),
    ],
)
def test_lists_that_cannot_be(sqlite_cloud: TestCloud, given: dict[str, Any], code: str, status: int) -> None:
    s3 = opened(sqlite_cloud)
    before = grants(s3)
    with refused(code, status):
        sqlite_cloud.client("s3", validate=False).put_object_acl(Bucket=NAME, Key="key", **given)
    assert grants(s3) == before


def test_where_the_buckets_owner_owns_everything(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, public=True)
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    s3.put_object_acl(Bucket=NAME, Key="key", ACL="bucket-owner-full-control")
    told = s3.get_object_acl(Bucket=NAME, Key="key")
    s3.put_object_acl(Bucket=NAME, Key="key", AccessControlPolicy={"Owner": told["Owner"], "Grants": told["Grants"]})
    s3.put_object(Bucket=NAME, Key="key", Body=b"1", ACL="private")  # as older clients always say
    for given in ({"ACL": "public-read"}, {"ACL": "bucket-owner-read"}, {"GrantRead": f"uri={ALL}"}):
        with refused("AccessControlListNotSupported", 400) as message:
            s3.put_object_acl(Bucket=NAME, Key="key", **given)
        assert message() == "The bucket does not allow ACLs"
        with refused("AccessControlListNotSupported", 400):
            s3.put_object(Bucket=NAME, Key="new", Body=b"", **given)
    assert grants(s3) == [(told["Owner"]["ID"], "FULL_CONTROL")]


def test_lists_sleep_while_they_count_for_nothing(cloud: TestCloud) -> None:
    s3 = opened(cloud)
    s3.put_object_acl(Bucket=NAME, Key="key", ACL="public-read")
    owner = s3.get_object_acl(Bucket=NAME, Key="key")["Owner"]["ID"]
    s3.put_bucket_ownership_controls(Bucket=NAME, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
    assert grants(s3) == [(owner, "FULL_CONTROL")]
    with refused("AccessDenied", 403):
        tools.unsigned(cloud).get_object(Bucket=NAME, Key="key")
    s3.put_object_acl(Bucket=NAME, Key="key", ACL="bucket-owner-full-control")
    s3.put_bucket_ownership_controls(Bucket=NAME, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    assert grants(s3) == [(owner, "FULL_CONTROL"), (ALL, "READ")]


def test_public_ones_that_are_blocked(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, ownership="ObjectWriter")
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    for given in ({"ACL": "public-read"}, {"ACL": "authenticated-read"}, {"GrantRead": f"uri={ALL}"}):
        with refused("AccessDenied", 403):
            s3.put_object_acl(Bucket=NAME, Key="key", **given)
        with refused("AccessDenied", 403):
            s3.put_object(Bucket=NAME, Key="new", Body=b"", **given)
    s3.put_public_access_block(Bucket=NAME, PublicAccessBlockConfiguration=tools.OPEN)
    s3.put_object_acl(Bucket=NAME, Key="key", ACL="public-read")
    nobody = tools.unsigned(cloud)
    assert nobody.get_object(Bucket=NAME, Key="key")["Body"].read() == b"1"
    s3.put_public_access_block(Bucket=NAME, PublicAccessBlockConfiguration={**tools.OPEN, "IgnorePublicAcls": True})
    with refused("AccessDenied", 403):
        nobody.get_object(Bucket=NAME, Key="key")
    assert (ALL, "READ") in grants(s3)


def test_each_version_has_its_own(cloud: TestCloud) -> None:
    s3 = opened(cloud)
    tools.version(s3)
    second = s3.put_object(Bucket=NAME, Key="key", Body=b"2")["VersionId"]
    s3.put_object_acl(Bucket=NAME, Key="key", ACL="public-read", VersionId="null")
    assert len(grants(s3)) == 1 and len(grants(s3, VersionId=second)) == 1 and len(grants(s3, VersionId="null")) == 2
    nobody = tools.unsigned(cloud)
    assert nobody.get_object(Bucket=NAME, Key="key", VersionId="null")["Body"].read() == b"1"
    with refused("AccessDenied", 403):
        nobody.get_object(Bucket=NAME, Key="key")
    marker = s3.delete_object(Bucket=NAME, Key="key")["VersionId"]
    with refused("NoSuchKey", 404):
        grants(s3)
    with refused("MethodNotAllowed", 405):
        grants(s3, VersionId=marker)
    with refused("MethodNotAllowed", 405):
        s3.put_object_acl(Bucket=NAME, Key="key", ACL="private")
    with refused("NoSuchVersion", 404):
        s3.put_object_acl(Bucket=NAME, Key="key", ACL="private", VersionId="a" * 32)
    with refused("NoSuchKey", 404):
        s3.put_object_acl(Bucket=NAME, Key="nothing", ACL="private")


def test_objects_of_other_writers(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, ownership="ObjectWriter", public=True)
    writer = cloud.account()
    theirs = writer.client("s3")
    tools.allow(s3, "s3:PutObject", "s3:PutObjectAcl", to={"AWS": writer.id})
    theirs.put_object(Bucket=NAME, Key="key", Body=b"theirs")
    assert grants(theirs) == [(canonical(writer), "FULL_CONTROL")]
    for attempt in (
        lambda: grants(s3),
        lambda: s3.get_object(Bucket=NAME, Key="key"),
        lambda: s3.put_object_acl(Bucket=NAME, Key="key", ACL="private"),
    ):
        with refused("AccessDenied", 403):
            attempt()
    theirs.put_object_acl(Bucket=NAME, Key="key", ACL="bucket-owner-full-control")
    owner = s3.get_bucket_acl(Bucket=NAME)["Owner"]["ID"]
    assert grants(s3)[1] == (owner, "FULL_CONTROL")
    assert s3.get_object(Bucket=NAME, Key="key")["Body"].read() == b"theirs"
    theirs.put_object_acl(Bucket=NAME, Key="key", ACL="bucket-owner-read")
    assert grants(theirs)[1] == (owner, "READ")
    s3.delete_object(Bucket=NAME, Key="key")  # which its bucket's owner may always do


def test_who_may(cloud: TestCloud) -> None:
    s3 = opened(cloud)
    tools.version(s3)
    made = s3.put_object(Bucket=NAME, Key="key", Body=b"2")["VersionId"]
    plain = user(cloud, "plain", "s3:GetObjectAcl", "s3:PutObjectAcl").client("s3")
    assert len(grants(plain)) == 1
    plain.put_object_acl(Bucket=NAME, Key="key", ACL="public-read")
    with refused("AccessDenied", 403):
        grants(plain, VersionId=made)
    with refused("AccessDenied", 403):
        plain.put_object_acl(Bucket=NAME, Key="key", ACL="private", VersionId=made)
    versions = user(cloud, "versions", "s3:GetObjectVersionAcl", "s3:PutObjectVersionAcl").client("s3")
    versions.put_object_acl(Bucket=NAME, Key="key", ACL="private", VersionId=made)
    assert len(grants(versions, VersionId=made)) == 1
    with refused("AccessDenied", 403):
        grants(versions)
    tools.allow(s3, "s3:PutObjectAcl", effect="Deny", StringEquals={"s3:x-amz-acl": "public-read"})
    with refused("AccessDenied", 403):
        s3.put_object_acl(Bucket=NAME, Key="key", ACL="public-read")
    s3.put_object_acl(Bucket=NAME, Key="key", ACL="authenticated-read")


def test_writers_that_give_away_what_they_write(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, ownership="BucketOwnerPreferred", public=True)
    writer = cloud.account()
    theirs = writer.client("s3")
    tools.allow(s3, "s3:PutObject", "s3:PutObjectAcl", to={"AWS": writer.id})
    mine, yours = s3.get_bucket_acl(Bucket=NAME)["Owner"]["ID"], canonical(writer)
    theirs.put_object(Bucket=NAME, Key="given", Body=b"1", ACL="bucket-owner-full-control")
    theirs.put_object(Bucket=NAME, Key="kept", Body=b"1")
    assert {each["Key"]: each["Owner"]["ID"] for each in s3.list_objects(Bucket=NAME)["Contents"]} == {"given": mine, "kept": yours}
    assert grants(s3, "given") == [(mine, "FULL_CONTROL")]
    with refused("AccessDenied", 403):
        theirs.get_object(Bucket=NAME, Key="given")
    assert theirs.get_object(Bucket=NAME, Key="kept")["Body"].read() == b"1"
    s3.put_bucket_ownership_controls(Bucket=NAME, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
    assert s3.get_object(Bucket=NAME, Key="kept")["Body"].read() == b"1"
    with refused("AccessDenied", 403):
        theirs.get_object(Bucket=NAME, Key="kept")
