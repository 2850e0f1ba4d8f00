"""Tags of objects: put, told, deleted, of each version; what policies make of them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.cloud import s3 as tools
from tests.cloud.harness import TestCloud, refused
from tests.cloud.people import user
from tests.cloud.s3 import NAME


def tag(s3: Any, key: str = "key", **more: Any) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in s3.get_object_tagging(Bucket=NAME, Key=key, **more)["TagSet"]}


def put(s3: Any, tags: dict[str, str], key: str = "key", **more: Any) -> Any:
    return s3.put_object_tagging(Bucket=NAME, Key=key, Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in tags.items()]}, **more)


def test_tags_are_put_told_and_deleted(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"1", Tagging="a=1&b=two%20words", Metadata={"kept": "yes"})
    assert tag(s3) == {"a": "1", "b": "two words"}
    assert s3.head_object(Bucket=NAME, Key="key")["TagCount"] == 2
    put(s3, {"c": "", "d": "ü/:=@+-._ "})
    assert tag(s3) == {"c": "", "d": "ü/:=@+-._ "}
    told = s3.get_object(Bucket=NAME, Key="key")
    assert told["TagCount"] == 2 and told["Body"].read() == b"1" and told["Metadata"] == {"kept": "yes"}
    answer = s3.delete_object_tagging(Bucket=NAME, Key="key")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204 and "VersionId" not in answer
    assert tag(s3) == {}
    assert "TagCount" not in s3.head_object(Bucket=NAME, Key="key")
    s3.delete_object_tagging(Bucket=NAME, Key="key")
    put(s3, {"a": "1"})
    put(s3, {})
    assert tag(s3) == {}


def test_each_version_has_its_own(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"0", Tagging="of=null")
    tools.version(s3)
    first = s3.put_object(Bucket=NAME, Key="key", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=NAME, Key="key", Body=b"2")["VersionId"]
    assert put(s3, {"of": "first"}, VersionId=first)["VersionId"] == first
    assert put(s3, {"of": "second"})["VersionId"] == second
    assert tag(s3) == {"of": "second"} and tag(s3, VersionId=first) == {"of": "first"} and tag(s3, VersionId="null") == {"of": "null"}
    assert s3.get_object_tagging(Bucket=NAME, Key="key", VersionId="null")["VersionId"] == "null"
    assert put(s3, {"of": "nobody"}, VersionId="null")["VersionId"] == "null"
    assert s3.delete_object_tagging(Bucket=NAME, Key="key", VersionId=first)["VersionId"] == first
    assert tag(s3, VersionId=first) == {} and tag(s3, VersionId="null") == {"of": "nobody"} and tag(s3) == {"of": "second"}
    s3.delete_object(Bucket=NAME, Key="key", VersionId=second)
    assert tag(s3) == {}


def test_markers_and_what_is_not_there(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, versioning="Enabled")
    with refused("NoSuchKey", 404):
        tag(s3)
    with refused("NoSuchKey", 404):
        put(s3, {"a": "1"})
    with refused("NoSuchKey", 404):
        s3.delete_object_tagging(Bucket=NAME, Key="key")
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    marker = s3.delete_object(Bucket=NAME, Key="key")["VersionId"]
    with refused("NoSuchKey", 404):
        tag(s3)
    for attempt in (
        lambda: tag(s3, VersionId=marker),
        lambda: put(s3, {"a": "1"}),
        lambda: put(s3, {"a": "1"}, VersionId=marker),
        lambda: s3.delete_object_tagging(Bucket=NAME, Key="key"),
    ):
        with refused("MethodNotAllowed", 405) as told:
            attempt()
        assert told() == "The specified method is not allowed against this resource."
    with refused("NoSuchVersion", 404) as told:
        tag(s3, VersionId="null")
    assert told() == "The specified version does not exist."
    with refused("NoSuchVersion", 404):
        put(s3, {"a": "1"}, VersionId="a" * 32)
    with refused("InvalidArgument", 400) as told:
        put(s3, {"a": "1"}, VersionId="short")
    assert told() == "Invalid version id specified"
    with refused("NoSuchBucket", 404):
        s3.get_object_tagging(Bucket="no-bucket", Key="key")


@pytest.mark.parametrize(
    "tags, code, message",
    [
        ([("a", "1")] * 2, "InvalidTag", "Cannot provide multiple Tags with the same key"),
        ([(str(n), "") for n in range(11)], "BadRequest", "Object tags cannot be greater than 10"),
        ([("k" * 129, "")], "InvalidTag", "The TagKey you have provided is invalid"),
        ([("k", "v" * 257)], "InvalidTag", "The TagValue you have provided is invalid"),
        ([("k?", "v")], "InvalidTag", "The TagKey you have provided is invalid"),
        ([("k", "v#")], "InvalidTag", "The TagValue you have provided is invalid"),
        ([("aws:k", "v")], "InvalidTag", "System tags cannot be added/updated by requester"),
    ],
)
def test_tags_that_cannot_be(sqlite_cloud: TestCloud, tags: list[tuple[str, str]], code: str, message: str) -> None:
    s3 = tools.bucket(sqlite_cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"1", Tagging="kept=1")
    with refused(code, 400) as told:
        s3.put_object_tagging(Bucket=NAME, Key="key", Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in tags]})
    assert told() == message
    assert tag(s3) == {"kept": "1"}


def test_as_many_and_as_long_as_may_be(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    tags = {str(number) + "ä" * 127: "ö" * 256 for number in range(10)}
    put(s3, tags)
    assert tag(s3) == tags


def test_a_body_that_is_none(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud)
    loose = sqlite_cloud.client("s3", validate=False)
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    with refused("MalformedXML", 400):
        loose.put_object_tagging(Bucket=NAME, Key="key", Tagging={})
    with refused("MalformedXML", 400):
        loose.put_object_tagging(Bucket=NAME, Key="key", Tagging={"TagSet": [{"Key": "a"}]})


def test_the_last_write_wins_whole(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    sets = [{str(each): str(number) for each in range(number + 1)} for number in range(8)]

    def write(tags: dict[str, str]) -> None:
        for _ in range(5):
            put(s3, tags)

    threads = [threading.Thread(target=write, args=(tags,)) for tags in sets]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert tag(s3) in [{}, *sets]
    for thread in threads:
        thread.join()
    assert tag(s3) in sets


def test_tags_and_acl_at_once_lose_nothing(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud, ownership="ObjectWriter", public=True)
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    other = threading.Thread(target=lambda: s3.put_object_acl(Bucket=NAME, Key="key", ACL="public-read"))
    other.start()
    put(s3, {"a": "1"})
    other.join()
    assert tag(s3) == {"a": "1"} and len(s3.get_object_acl(Bucket=NAME, Key="key")["Grants"]) == 2


def test_who_may(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, versioning="Enabled")
    made = s3.put_object(Bucket=NAME, Key="key", Body=b"1", Tagging="colour=red")["VersionId"]
    plain = user(cloud, "plain", "s3:GetObjectTagging", "s3:PutObjectTagging", "s3:DeleteObjectTagging").client("s3")
    assert tag(plain) == {"colour": "red"}
    put(plain, {"colour": "blue"})
    plain.delete_object_tagging(Bucket=NAME, Key="key")
    for attempt in (
        lambda: tag(plain, VersionId=made),
        lambda: put(plain, {}, VersionId=made),
        lambda: plain.delete_object_tagging(Bucket=NAME, Key="key", VersionId=made),
    ):
        with refused("AccessDenied", 403):
            attempt()
    of_versions = ("s3:GetObjectVersionTagging", "s3:PutObjectVersionTagging", "s3:DeleteObjectVersionTagging")
    versions = user(cloud, "versions", *of_versions).client("s3")
    put(versions, {"colour": "red"}, VersionId=made)
    assert tag(versions, VersionId=made) == {"colour": "red"}
    with refused("AccessDenied", 403):
        tag(versions)
    with refused("AccessDenied", 403):  # who may not list does not learn that it is not there
        tag(plain, key="nothing")


def test_other_accounts_and_the_public(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, public=True)
    s3.put_object(Bucket=NAME, Key="key", Body=b"1", Tagging="colour=red")
    stranger, nobody = cloud.account().client("s3"), tools.unsigned(cloud)
    for who in (stranger, nobody):
        with refused("AccessDenied", 403):
            tag(who)
        with refused("AccessDenied", 403):
            put(who, {})
    tools.allow(s3, "s3:GetObjectTagging", "s3:PutObjectTagging")
    for number, who in enumerate((stranger, nobody)):
        put(who, {"by": str(number)})
        assert tag(who) == {"by": str(number)}


def test_policies_about_tags(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, public=True)
    s3.put_object(Bucket=NAME, Key="open", Body=b"1", Tagging="access=public")
    s3.put_object(Bucket=NAME, Key="shut", Body=b"1", Tagging="access=none")
    nobody = tools.unsigned(cloud)
    tools.allow(s3, "s3:GetObject", "s3:GetObjectTagging", StringEquals={"s3:ExistingObjectTag/access": "public"})
    assert nobody.get_object(Bucket=NAME, Key="open")["Body"].read() == b"1"
    assert tag(nobody, "open") == {"access": "public"}
    with refused("AccessDenied", 403):
        nobody.get_object(Bucket=NAME, Key="shut")
    put(s3, {"access": "public"}, "shut")
    assert nobody.get_object(Bucket=NAME, Key="shut")["Body"].read() == b"1"
    tools.allow(s3, "s3:PutObjectTagging", StringEquals={"s3:RequestObjectTag/project": "x"})
    put(nobody, {"project": "x"}, "open")
    with refused("AccessDenied", 403):
        put(nobody, {"project": "y"}, "open")
    with refused("AccessDenied", 403):
        put(nobody, {}, "open")
    tools.allow(s3, "s3:PutObjectTagging", **{"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["a", "b"]}})
    put(nobody, {"a": "1", "b": "2"}, "open")
    with refused("AccessDenied", 403):
        put(nobody, {"a": "1", "c": "2"}, "open")
