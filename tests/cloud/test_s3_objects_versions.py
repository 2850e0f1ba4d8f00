"""Versions: enabled, suspended, null; delete markers; what deletes answer, one by one and many at once; listings of versions."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.cloud import s3 as tools
from tests.cloud.harness import TestCloud, refused
from tests.cloud.people import user
from tests.cloud.s3 import NAME


def put(s3: Any, data: str, key: str = "key") -> str | None:
    made: str | None = s3.put_object(Bucket=NAME, Key=key, Body=data.encode()).get("VersionId")
    return made


def body(s3: Any, version: str | None = None, key: str = "key") -> str:
    more = {} if version is None else {"VersionId": version}
    found: bytes = s3.get_object(Bucket=NAME, Key=key, **more)["Body"].read()
    return found.decode()


def story(s3: Any, **more: Any) -> list[tuple[str, str, bool]]:
    """What there is of the key, newest first: kind or body, version, whether it is the latest."""
    told = s3.list_object_versions(Bucket=NAME, **more)
    found = [(each["LastModified"], each["Key"], "marker", each["VersionId"], each["IsLatest"]) for each in told.get("DeleteMarkers", ())]
    for each in told.get("Versions", ()):
        found.append((each["LastModified"], each["Key"], body(s3, each["VersionId"], each["Key"]), each["VersionId"], each["IsLatest"]))
    found.sort(key=lambda each: each[0], reverse=True)
    return [each[2:] for each in found]


def test_enabled(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, versioning="Enabled")
    ids = []
    for number in range(3):
        ids.append(put(s3, str(number)))
        cloud.clock.advance(1)
    assert len(set(ids)) == 3 and None not in ids
    told = s3.get_object(Bucket=NAME, Key="key")
    assert told["Body"].read() == b"2" and told["VersionId"] == ids[2]
    assert [body(s3, each) for each in ids] == ["0", "1", "2"]
    assert story(s3) == [("2", ids[2], True), ("1", ids[1], False), ("0", ids[0], False)]
    marker = s3.delete_object(Bucket=NAME, Key="key")
    assert marker["DeleteMarker"] is True and marker["VersionId"] not in ids
    assert marker["ResponseMetadata"]["HTTPStatusCode"] == 204
    for operation, code in ((s3.get_object, "NoSuchKey"), (s3.head_object, "404")):
        with pytest.raises(s3.exceptions.ClientError) as problem:
            operation(Bucket=NAME, Key="key")
        response = problem.value.response
        assert response["Error"]["Code"] == code and response["ResponseMetadata"]["HTTPStatusCode"] == 404
        headers = response["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-amz-delete-marker"] == "true" and headers["x-amz-version-id"] == marker["VersionId"]
    for operation, code in ((s3.get_object, "MethodNotAllowed"), (s3.head_object, "405")):
        with pytest.raises(s3.exceptions.ClientError) as problem:
            operation(Bucket=NAME, Key="key", VersionId=marker["VersionId"])
        response = problem.value.response
        assert response["Error"]["Code"] == code and response["ResponseMetadata"]["HTTPStatusCode"] == 405
        headers = response["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-amz-delete-marker"] == "true" and headers["allow"] == "DELETE" and "last-modified" in headers
    assert s3.list_objects_v2(Bucket=NAME)["KeyCount"] == 0
    gone = s3.delete_object(Bucket=NAME, Key="key", VersionId=marker["VersionId"])
    assert gone["DeleteMarker"] is True and gone["VersionId"] == marker["VersionId"]
    assert body(s3) == "2"
    gone = s3.delete_object(Bucket=NAME, Key="key", VersionId=ids[2])
    assert "DeleteMarker" not in gone and gone["VersionId"] == ids[2]
    assert body(s3) == "1"
    again = s3.delete_object(Bucket=NAME, Key="key", VersionId=ids[2])
    assert again["VersionId"] == ids[2] and "DeleteMarker" not in again
    with refused("NoSuchVersion", 404):
        body(s3, ids[2])
    on_nothing = s3.delete_object(Bucket=NAME, Key="never")
    assert on_nothing["DeleteMarker"] and on_nothing["VersionId"]


def test_suspended(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    put(s3, "before")
    cloud.clock.advance(1)
    tools.version(s3)
    first = put(s3, "first")
    cloud.clock.advance(1)
    assert [each[:2] for each in story(s3)] == [("first", first), ("before", "null")]
    tools.version(s3, status="Suspended")
    assert put(s3, "null") == "null"
    cloud.clock.advance(1)
    assert story(s3) == [("null", "null", True), ("first", first, False)]
    told = s3.get_object(Bucket=NAME, Key="key")
    assert told["Body"].read() == b"null" and told["VersionId"] == "null"
    with pytest.raises(s3.exceptions.ClientError) as problem:
        s3.get_object(Bucket=NAME, Key="key", IfNoneMatch=told["ETag"])
    assert problem.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-version-id"] == "null"
    gone = s3.delete_object(Bucket=NAME, Key="key")
    cloud.clock.advance(1)
    assert gone["DeleteMarker"] and gone["VersionId"] == "null"
    assert story(s3) == [("marker", "null", True), ("first", first, False)]
    with refused("MethodNotAllowed", 405):
        body(s3, "null")
    s3.delete_object(Bucket=NAME, Key="key")
    assert story(s3) == [("marker", "null", True), ("first", first, False)]
    put(s3, "again")
    cloud.clock.advance(1)
    assert story(s3) == [("again", "null", True), ("first", first, False)]
    gone = s3.delete_object(Bucket=NAME, Key="key", VersionId="null")
    assert gone["VersionId"] == "null" and "DeleteMarker" not in gone
    assert story(s3) == [("first", first, True)]
    tools.version(s3)
    second = put(s3, "second")
    assert [each[:2] for each in story(s3)] == [("second", second), ("first", first)]


def test_never_versioned(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    assert put(s3, "1") is None
    assert story(s3) == [("1", "null", True)]
    assert body(s3, "null") == "1"
    gone = s3.delete_object(Bucket=NAME, Key="key")
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204 and "VersionId" not in gone and "DeleteMarker" not in gone
    gone = s3.delete_object(Bucket=NAME, Key="key")
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    put(s3, "2")
    assert s3.delete_object(Bucket=NAME, Key="key", VersionId="null")["VersionId"] == "null"
    assert story(s3) == []
    for version, message in (("short", "Invalid version id specified"), ("", "Version id cannot be the empty string")):
        with refused("InvalidArgument", 400) as told:
            s3.delete_object(Bucket=NAME, Key="key", VersionId=version)
        assert told() == message


def test_many_at_once(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    for number in range(5):
        put(s3, "x", f"k{number}")

    def delete(*objects: dict[str, str], **more: Any) -> dict[str, Any]:
        told: dict[str, Any] = s3.delete_objects(Bucket=NAME, Delete={"Objects": list(objects), **more})
        return told

    told = delete({"Key": "k0"}, {"Key": "nothing"}, {"Key": "k1", "VersionId": "null"})
    assert told["Deleted"] == [{"Key": "k0"}, {"Key": "nothing"}, {"Key": "k1", "VersionId": "null"}] and "Errors" not in told
    told = delete({"Key": "k2"}, {"Key": "k3", "VersionId": "short"}, {"Key": "x" * 1025}, Quiet=True)
    assert "Deleted" not in told
    assert [(each["Key"][:2], each["Code"]) for each in told["Errors"]] == [("k3", "InvalidArgument"), ("xx", "KeyTooLongError")]
    tools.version(s3)
    told = delete({"Key": "k3"}, {"Key": "k3"})
    first, second = (each["DeleteMarkerVersionId"] for each in told["Deleted"])
    assert first != second and all(each["DeleteMarker"] for each in told["Deleted"])
    told = delete({"Key": "k3", "VersionId": second}, {"Key": "k3", "VersionId": first})
    assert told["Deleted"] == [
        {"Key": "k3", "VersionId": each, "DeleteMarker": True, "DeleteMarkerVersionId": each} for each in (second, first)
    ]
    assert body(s3, key="k3") == "x"
    loose = cloud.client("s3", validate=False)
    for objects in ([], [{"Key": str(number)} for number in range(1001)]):
        with refused("MalformedXML", 400):
            loose.delete_objects(Bucket=NAME, Delete={"Objects": objects})
    with refused("MalformedXML", 400):
        loose.delete_objects(Bucket=NAME, Delete={})
    assert len(delete(*({"Key": str(number)} for number in range(1000)))["Deleted"]) == 1000
    with refused("NoSuchBucket", 404):
        s3.delete_objects(Bucket="no-bucket", Delete={"Objects": [{"Key": "x"}]})
    with refused("BadDigest", 400):
        tools.with_headers(cloud, {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}).delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": "x"}]})


def test_who_may_delete(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, versioning="Enabled", public=True)
    version = put(s3, "1")
    put(s3, "1", "kept/key")
    deleter = user(cloud, "deleter", "s3:DeleteObject", on=[f"arn:aws:s3:::{NAME}/key"]).client("s3")
    told = deleter.delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": "key"}, {"Key": "kept/key"}, {"Key": "key", "VersionId": version}]})
    assert [each["Key"] for each in told["Deleted"]] == ["key"]
    assert [(each["Key"], each["Code"]) for each in told["Errors"]] == [("kept/key", "AccessDenied"), ("key", "AccessDenied")]
    with refused("AccessDenied", 403):
        deleter.delete_object(Bucket=NAME, Key="key", VersionId=version)
    for who in (cloud.account().client("s3"), tools.unsigned(cloud)):
        with refused("AccessDenied", 403):
            who.delete_object(Bucket=NAME, Key="key")
        assert [each["Code"] for each in who.delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": "key"}]})["Errors"]] == ["AccessDenied"]
    tools.allow(s3, "s3:DeleteObjectVersion")
    tools.unsigned(cloud).delete_object(Bucket=NAME, Key="key", VersionId=version)
    with refused("NoSuchVersion", 404):
        body(s3, version)


def test_listings_of_versions(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, versioning="Enabled")
    for key, number in itertools.product(("a", "b/1", "b/2", "c"), range(3)):
        put(s3, str(number), key)
        cloud.clock.advance(1)
    s3.delete_object(Bucket=NAME, Key="c")
    whole = s3.list_object_versions(Bucket=NAME)
    assert [each["Key"] for each in whole["Versions"]] == ["a"] * 3 + ["b/1"] * 3 + ["b/2"] * 3 + ["c"] * 3
    assert whole["IsTruncated"] is False and whole["MaxKeys"] == 1000 and whole["KeyMarker"] == "" and whole["VersionIdMarker"] == ""
    one = whole["Versions"][0]
    assert one["IsLatest"] and one["Size"] == 1 and one["StorageClass"] == "STANDARD" and one["Owner"]["ID"] and one["ETag"].startswith('"')
    assert one["ChecksumAlgorithm"] == ["CRC32"] and one["ChecksumType"] == "FULL_OBJECT"
    (marker,) = whole["DeleteMarkers"]
    assert marker["Key"] == "c" and marker["IsLatest"] and marker["Owner"]["ID"] and set(marker) == {
        "Key", "VersionId", "IsLatest", "LastModified", "Owner",
    }  # fmt: skip
    everything = {(each["Key"], each["VersionId"]) for each in whole["Versions"] + whole["DeleteMarkers"]}
    for size in (1, 2, 3, 5, 13, 14):
        found: list[tuple[str, str]] = []
        markers: dict[str, str] = {}
        while True:
            page = s3.list_object_versions(Bucket=NAME, MaxKeys=size, **markers)
            entries = page.get("Versions", []) + page.get("DeleteMarkers", [])
            found += [(each["Key"], each["VersionId"]) for each in entries]
            assert len(entries) <= size
            if not page["IsTruncated"]:
                break
            assert len(entries) == size
            markers = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
        assert len(found) == 13 and set(found) == everything
    rolled = s3.list_object_versions(Bucket=NAME, Delimiter="/")
    assert rolled["CommonPrefixes"] == [{"Prefix": "b/"}] and rolled["Delimiter"] == "/" and len(rolled["Versions"]) == 6
    page = s3.list_object_versions(Bucket=NAME, Delimiter="/", MaxKeys=4)
    assert page["IsTruncated"] and [each["Prefix"] for each in page["CommonPrefixes"]] == ["b/"] and page["NextKeyMarker"] == "b/"
    markers = {"KeyMarker": page["NextKeyMarker"], **({"VersionIdMarker": page["NextVersionIdMarker"]} if "NextVersionIdMarker" in page else {})}
    rest = s3.list_object_versions(Bucket=NAME, Delimiter="/", **markers)
    assert "CommonPrefixes" not in rest and {each["Key"] for each in rest["Versions"]} == {"c"}
    assert len(s3.list_object_versions(Bucket=NAME, Prefix="b/")["Versions"]) == 6
    assert [each["Key"] for each in s3.list_object_versions(Bucket=NAME, KeyMarker="b/1")["Versions"]] == ["b/2"] * 3 + ["c"] * 3
    nothing = s3.list_object_versions(Bucket=NAME, MaxKeys=0)
    assert "Versions" not in nothing and nothing["IsTruncated"] is False
    with refused("InvalidArgument", 400) as told:
        s3.list_object_versions(Bucket=NAME, VersionIdMarker=one["VersionId"])
    assert told() == "A version-id marker cannot be specified without a key marker."
    with refused("InvalidArgument", 400):
        s3.list_object_versions(Bucket=NAME, KeyMarker="a", VersionIdMarker="short")
