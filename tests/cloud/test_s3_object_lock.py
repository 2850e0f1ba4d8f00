"""Retention and legal hold: set, told, changed as far as they may be, and what they keep from being removed."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.cloud import s3 as tools
from tests.cloud.harness import TestCloud, refused
from tests.cloud.people import user
from tests.cloud.s3 import NAME

PROTECTED = "Access Denied because object protected by object lock."


def after(cloud: TestCloud, days: int) -> datetime.datetime:
    return cloud.clock.now() + datetime.timedelta(days=days)


def locked(cloud: TestCloud) -> tuple[Any, str]:
    """A bucket with object lock, and a version in it."""
    s3 = tools.bucket(cloud, lock=True)
    return s3, s3.put_object(Bucket=NAME, Key="key", Body=b"1")["VersionId"]


def retain(s3: Any, mode: str | None, until: datetime.datetime | None, **more: Any) -> None:
    retention = {} if mode is None else {"Mode": mode, "RetainUntilDate": until}
    s3.put_object_retention(Bucket=NAME, Key="key", Retention=retention, **more)


def retention(s3: Any, **more: Any) -> tuple[str, datetime.datetime]:
    told = s3.get_object_retention(Bucket=NAME, Key="key", **more)["Retention"]
    return told["Mode"], told["RetainUntilDate"]


def hold(s3: Any, status: str, **more: Any) -> None:
    s3.put_object_legal_hold(Bucket=NAME, Key="key", LegalHold={"Status": status}, **more)


def test_retention_is_set_and_told(cloud: TestCloud) -> None:
    s3, made = locked(cloud)
    with refused("NoSuchObjectLockConfiguration", 404) as told:
        retention(s3)
    assert told() == "The specified object does not have a ObjectLock configuration"
    until = after(cloud, 10)
    retain(s3, "GOVERNANCE", until)
    assert retention(s3) == retention(s3, VersionId=made) == ("GOVERNANCE", until)
    head = s3.head_object(Bucket=NAME, Key="key")
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", until) and "ObjectLockLegalHoldStatus" not in head
    second = s3.put_object(Bucket=NAME, Key="key", Body=b"2")["VersionId"]
    with refused("NoSuchObjectLockConfiguration", 404):
        retention(s3)
    retain(s3, "COMPLIANCE", until, VersionId=second)
    assert retention(s3, VersionId=made)[0] == "GOVERNANCE" and retention(s3)[0] == "COMPLIANCE"


def test_governance_bends_for_whoever_may_bypass_it(cloud: TestCloud) -> None:
    s3, made = locked(cloud)
    retain(s3, "GOVERNANCE", after(cloud, 10))
    retain(s3, "GOVERNANCE", after(cloud, 20))
    retain(s3, "GOVERNANCE", after(cloud, 20))
    for mode, until in (("GOVERNANCE", after(cloud, 19)), ("COMPLIANCE", after(cloud, 30)), (None, None)):
        with refused("AccessDenied", 403) as told:
            retain(s3, mode, until)
        assert told() == PROTECTED
    assert retention(s3) == ("GOVERNANCE", after(cloud, 20))
    setter = user(cloud, "setter", "s3:PutObjectRetention", "s3:GetObjectRetention", "s3:DeleteObjectVersion").client("s3")
    retain(setter, "GOVERNANCE", after(cloud, 21))
    with refused("AccessDenied", 403):
        retain(setter, "GOVERNANCE", after(cloud, 1), BypassGovernanceRetention=True)
    with refused("AccessDenied", 403):
        setter.delete_object(Bucket=NAME, Key="key", VersionId=made, BypassGovernanceRetention=True)
    master = user(cloud, "master", "s3:PutObjectRetention", "s3:BypassGovernanceRetention", "s3:DeleteObjectVersion").client("s3")
    with refused("AccessDenied", 403) as told:
        retain(master, "GOVERNANCE", after(cloud, 1))
    assert told() == PROTECTED
    retain(master, "GOVERNANCE", after(cloud, 1), BypassGovernanceRetention=True)
    assert retention(s3) == ("GOVERNANCE", after(cloud, 1))
    retain(master, None, None, BypassGovernanceRetention=True)
    with refused("NoSuchObjectLockConfiguration", 404):
        retention(s3)
    retain(s3, "GOVERNANCE", after(cloud, 10))
    with refused("AccessDenied", 403) as told:
        master.delete_object(Bucket=NAME, Key="key", VersionId=made)
    assert told() == PROTECTED
    master.delete_object(Bucket=NAME, Key="key", VersionId=made, BypassGovernanceRetention=True)
    with refused("NoSuchVersion", 404):
        s3.get_object(Bucket=NAME, Key="key", VersionId=made)


def test_compliance_only_grows(cloud: TestCloud) -> None:
    s3, made = locked(cloud)
    retain(s3, "COMPLIANCE", after(cloud, 10))
    retain(s3, "COMPLIANCE", after(cloud, 20))
    for mode, until in (("COMPLIANCE", after(cloud, 19)), ("GOVERNANCE", after(cloud, 30)), (None, None)):
        for bypass in ({}, {"BypassGovernanceRetention": True}):
            with refused("AccessDenied", 403) as told:
                retain(s3, mode, until, **bypass)
            assert told() == PROTECTED
    with refused("AccessDenied", 403) as told:
        s3.delete_object(Bucket=NAME, Key="key", VersionId=made, BypassGovernanceRetention=True)
    assert told() == PROTECTED
    assert retention(s3) == ("COMPLIANCE", after(cloud, 20))
    cloud.clock.advance(20 * 86400 + 1)
    retain(s3, "GOVERNANCE", after(cloud, 1))  # what has run out binds nobody
    retain(s3, None, None, BypassGovernanceRetention=True)
    s3.delete_object(Bucket=NAME, Key="key", VersionId=made)


def test_legal_hold(cloud: TestCloud) -> None:
    s3, made = locked(cloud)
    with refused("NoSuchObjectLockConfiguration", 404):
        s3.get_object_legal_hold(Bucket=NAME, Key="key")
    hold(s3, "ON")
    assert s3.get_object_legal_hold(Bucket=NAME, Key="key")["LegalHold"] == {"Status": "ON"}
    assert s3.head_object(Bucket=NAME, Key="key")["ObjectLockLegalHoldStatus"] == "ON"
    retain(s3, "GOVERNANCE", after(cloud, 1))
    assert s3.get_object_legal_hold(Bucket=NAME, Key="key", VersionId=made)["LegalHold"] == {"Status": "ON"}
    with refused("AccessDenied", 403) as told:
        s3.delete_object(Bucket=NAME, Key="key", VersionId=made, BypassGovernanceRetention=True)
    assert told() == PROTECTED
    errors = s3.delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": "key", "VersionId": made}]}, BypassGovernanceRetention=True)["Errors"]
    assert errors == [{"Key": "key", "VersionId": made, "Code": "AccessDenied", "Message": PROTECTED}]
    marker = s3.delete_object(Bucket=NAME, Key="key")  # which removes nothing
    assert marker["DeleteMarker"]
    with refused("MethodNotAllowed", 405):
        hold(s3, "OFF")
    s3.delete_object(Bucket=NAME, Key="key", VersionId=marker["VersionId"])
    hold(s3, "OFF")
    assert s3.get_object_legal_hold(Bucket=NAME, Key="key")["LegalHold"] == {"Status": "OFF"}
    assert retention(s3)[0] == "GOVERNANCE"
    s3.delete_object(Bucket=NAME, Key="key", VersionId=made, BypassGovernanceRetention=True)


def test_a_protected_version_is_neither_removed_nor_overwritten(cloud: TestCloud) -> None:
    """Versions that have no id cannot come to be protected: versioning stays on where there are locks, and what was there before it has one."""
    s3 = tools.bucket(cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"null")
    tools.version(s3)
    s3.put_object_lock_configuration(Bucket=NAME, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    retain(s3, "COMPLIANCE", after(cloud, 5), VersionId="null")
    with refused("InvalidBucketState", 409):
        tools.version(s3, status="Suspended")
    s3.put_object(Bucket=NAME, Key="key", Body=b"2")
    s3.delete_object(Bucket=NAME, Key="key")
    assert s3.get_object(Bucket=NAME, Key="key", VersionId="null")["Body"].read() == b"null"
    with refused("AccessDenied", 403):
        s3.delete_object(Bucket=NAME, Key="key", VersionId="null")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=NAME)


def test_a_bucket_without_object_lock(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, versioning="Enabled")
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    for attempt in (
        lambda: retain(s3, "GOVERNANCE", after(cloud, 1)),
        lambda: retention(s3),
        lambda: hold(s3, "ON"),
        lambda: s3.get_object_legal_hold(Bucket=NAME, Key="key"),
        lambda: s3.put_object(Bucket=NAME, Key="key", Body=b"", ObjectLockLegalHoldStatus="ON"),
        lambda: s3.put_object(Bucket=NAME, Key="key", Body=b"", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=after(cloud, 1)),
    ):
        with refused("InvalidRequest", 400) as told:
            attempt()
        assert told() == "Bucket is missing Object Lock Configuration"


def test_what_cannot_be(sqlite_cloud: TestCloud) -> None:
    s3, made = locked(sqlite_cloud)
    loose = sqlite_cloud.client("s3", validate=False)
    now = sqlite_cloud.clock.now()
    later = after(sqlite_cloud, 1)
    for given in ({"Mode": "GOVERNANCE"}, {"RetainUntilDate": later}, {"Mode": "FOREVER", "RetainUntilDate": later}):
        with refused("MalformedXML", 400):
            loose.put_object_retention(Bucket=NAME, Key="key", Retention=given)
    with refused("MalformedXML", 400):
        loose.put_object_retention(Bucket=NAME, Key="key")
    for past in (now, now - datetime.timedelta(days=1)):
        with refused("InvalidArgument", 400) as told:
            retain(s3, "GOVERNANCE", past)
        assert told() == "The retain until date must be in the future!"
    for status in ("on", "MAYBE"):
        with refused("MalformedXML", 400):
            loose.put_object_legal_hold(Bucket=NAME, Key="key", LegalHold={"Status": status})
    with refused("MalformedXML", 400):
        loose.put_object_legal_hold(Bucket=NAME, Key="key", LegalHold={})
    with refused("MalformedXML", 400):
        loose.put_object_legal_hold(Bucket=NAME, Key="key")
    with refused("NoSuchKey", 404):
        s3.put_object_legal_hold(Bucket=NAME, Key="other", LegalHold={"Status": "ON"})
    with refused("NoSuchVersion", 404):
        retain(s3, "GOVERNANCE", after(sqlite_cloud, 1), VersionId="a" * 32)
    with refused("NoSuchObjectLockConfiguration", 404):
        retention(s3, VersionId=made)


def test_a_digest_is_needed(sqlite_cloud: TestCloud) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectRetention.html has requestChecksumRequired."""
    s3, _ = locked(sqlite_cloud)

    def without(request: Any, **_: Any) -> None:
        for name in [each for each in request.headers if each.lower().startswith(("content-md5", "x-amz-checksum-", "x-amz-sdk-checksum"))]:
            del request.headers[name]

    bare = sqlite_cloud.client("s3", user_agent_extra="bare")
    bare.meta.events.register("before-sign.s3", without)
    with refused("InvalidRequest", 400) as told:
        hold(bare, "ON")
    assert told() == "Missing required header for this request: Content-MD5"
    with refused("InvalidRequest", 400):
        retain(bare, "GOVERNANCE", after(sqlite_cloud, 1))
    with refused("BadDigest", 400):
        hold(s3, "ON", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")


def test_put_object_brings_its_lock(cloud: TestCloud) -> None:
    s3, _ = locked(cloud)
    until = after(cloud, 3)
    s3.put_object(Bucket=NAME, Key="key", Body=b"2", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until, ObjectLockLegalHoldStatus="ON")
    assert retention(s3) == ("COMPLIANCE", until)
    assert s3.get_object_legal_hold(Bucket=NAME, Key="key")["LegalHold"] == {"Status": "ON"}
    for given in ({"ObjectLockMode": "COMPLIANCE"}, {"ObjectLockRetainUntilDate": until}):
        with refused("InvalidArgument", 400) as told:
            s3.put_object(Bucket=NAME, Key="key", Body=b"", **given)
        assert told() == "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
    with refused("InvalidArgument", 400) as told:
        s3.put_object(Bucket=NAME, Key="key", Body=b"", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=after(cloud, -1))
    assert told() == "The retain until date must be in the future!"


@pytest.mark.parametrize("period, days", [({"Days": 7}, 7), ({"Years": 2}, 730)])
def test_the_buckets_default(sqlite_cloud: TestCloud, period: dict[str, int], days: int) -> None:
    s3, before = locked(sqlite_cloud)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", **period}}
    s3.put_object_lock_configuration(Bucket=NAME, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule})
    s3.put_object(Bucket=NAME, Key="key", Body=b"2")
    assert retention(s3) == ("GOVERNANCE", after(sqlite_cloud, days))
    with refused("NoSuchObjectLockConfiguration", 404):
        retention(s3, VersionId=before)
    s3.put_object(Bucket=NAME, Key="key", Body=b"2", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=after(sqlite_cloud, 1))
    assert retention(s3) == ("COMPLIANCE", after(sqlite_cloud, 1))


def test_who_may(cloud: TestCloud) -> None:
    s3, _ = locked(cloud)
    hold(s3, "OFF")
    retain(s3, "GOVERNANCE", after(cloud, 1))
    nothing = user(cloud, "nothing", "s3:GetObject", "s3:PutObject").client("s3")
    stranger = cloud.account().client("s3")
    for who in (nothing, stranger, tools.unsigned(cloud)):
        for attempt in (
            lambda who=who: retention(who),
            lambda who=who: retain(who, "GOVERNANCE", after(cloud, 2)),
            lambda who=who: hold(who, "ON"),
            lambda who=who: who.get_object_legal_hold(Bucket=NAME, Key="key"),
        ):
            with refused("AccessDenied", 403):
                attempt()
    with refused("AccessDenied", 403):  # headers need the actions, too
        nothing.put_object(Bucket=NAME, Key="key", Body=b"", ObjectLockLegalHoldStatus="ON")
    nothing.put_object(Bucket=NAME, Key="key", Body=b"")
    keeper = user(cloud, "keeper", "s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:GetObjectRetention", "s3:GetObjectLegalHold").client("s3")
    hold(keeper, "ON")
    retain(keeper, "GOVERNANCE", after(cloud, 2))
    assert retention(keeper)[0] == "GOVERNANCE"
    limit = {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}}
    tools.allow(s3, "s3:PutObjectRetention", effect="Deny", **limit)
    with refused("AccessDenied", 403):
        retain(s3, "GOVERNANCE", after(cloud, 12))
    retain(s3, "GOVERNANCE", after(cloud, 5))
