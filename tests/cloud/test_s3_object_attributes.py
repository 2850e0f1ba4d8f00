"""GetObjectAttributes: what it tells, of which versions, in which pages, to whom."""

from __future__ import annotations

import base64
import datetime
import hashlib
import os
from typing import Any

import pytest

from tests.cloud import s3 as tools
from tests.cloud.harness import TestCloud, refused
from tests.cloud.people import user
from tests.cloud.s3 import NAME

EVERYTHING = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
PART = 5 * 1024 * 1024


def ask(s3: Any, *wanted: str, key: str = "key", **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = s3.get_object_attributes(Bucket=NAME, Key=key, ObjectAttributes=list(wanted) or EVERYTHING, **more)
    told.pop("ResponseMetadata")
    return told


def test_of_an_object(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    made = s3.put_object(Bucket=NAME, Key="key", Body=b"hello", ChecksumAlgorithm="SHA256", StorageClass="STANDARD_IA")
    assert ask(s3) == {
        "ETag": made["ETag"].strip('"'),
        "Checksum": {"ChecksumSHA256": made["ChecksumSHA256"], "ChecksumType": "FULL_OBJECT"},
        "StorageClass": "STANDARD_IA",
        "ObjectSize": 5,
        "LastModified": cloud.clock.now(),
    }
    assert set(ask(s3, "ObjectSize")) == {"ObjectSize", "LastModified"}
    s3.put_object(Bucket=NAME, Key="empty", Body=b"")
    assert ask(s3, "StorageClass", "ObjectSize", "ObjectParts", key="empty") == {
        "StorageClass": "STANDARD", "ObjectSize": 0, "LastModified": cloud.clock.now(),
    }  # fmt: skip


def upload(s3: Any, sizes: list[int], **options: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    id = s3.create_multipart_upload(Bucket=NAME, Key="key", **options)["UploadId"]
    parts = []
    algorithm = {"ChecksumAlgorithm": options["ChecksumAlgorithm"]} if "ChecksumAlgorithm" in options else {}
    for number, size in enumerate(sizes, 1):
        told = s3.upload_part(Bucket=NAME, Key="key", UploadId=id, PartNumber=number, Body=os.urandom(size), **algorithm)
        sums = {name: value for name, value in told.items() if name.startswith("Checksum")}
        parts.append({"PartNumber": number, "ETag": told["ETag"], **(sums if algorithm else {})})
    done = s3.complete_multipart_upload(Bucket=NAME, Key="key", UploadId=id, MultipartUpload={"Parts": parts})
    return parts, done


def test_of_an_upload_in_parts(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud)
    sizes = [PART, PART, 17]
    parts, done = upload(s3, sizes, ChecksumAlgorithm="SHA256")
    told = ask(s3)
    assert told["ETag"] == done["ETag"].strip('"') and told["ETag"].endswith("-3")
    digests = b"".join(base64.b64decode(each["ChecksumSHA256"]) for each in parts)
    composite = base64.b64encode(hashlib.sha256(digests).digest()).decode()
    assert told["Checksum"] == {"ChecksumSHA256": composite, "ChecksumType": "COMPOSITE"}
    assert told["ObjectSize"] == sum(sizes)
    whole = told["ObjectParts"]
    assert {name: whole[name] for name in whole if name != "Parts"} == {
        "TotalPartsCount": 3, "PartNumberMarker": 0, "NextPartNumberMarker": 3, "MaxParts": 1000, "IsTruncated": False,
    }  # fmt: skip
    expected = [{"PartNumber": n, "Size": size, "ChecksumSHA256": parts[n - 1]["ChecksumSHA256"]} for n, size in enumerate(sizes, 1)]
    assert whole["Parts"] == expected
    page = ask(s3, MaxParts=2)["ObjectParts"]
    assert page["Parts"] == expected[:2] and page["IsTruncated"] and page["NextPartNumberMarker"] == 2 and page["MaxParts"] == 2
    page = ask(s3, MaxParts=2, PartNumberMarker=2)["ObjectParts"]
    assert page["Parts"] == expected[2:] and not page["IsTruncated"] and page["PartNumberMarker"] == 2
    assert "Parts" not in ask(s3, PartNumberMarker=9)["ObjectParts"]
    assert ask(s3, MaxParts=0)["ObjectParts"]["IsTruncated"]
    assert ask(s3, MaxParts=5000)["ObjectParts"]["MaxParts"] == 1000
    for given in ({"MaxParts": -1}, {"PartNumberMarker": -1}):
        with refused("InvalidArgument", 400):
            ask(s3, **given)


def test_versions_and_markers(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    tools.version(s3)
    second = s3.put_object(Bucket=NAME, Key="key", Body=b"22")["VersionId"]
    assert (ask(s3)["ObjectSize"], ask(s3)["VersionId"]) == (2, second)
    assert (ask(s3, VersionId="null")["ObjectSize"], ask(s3, VersionId="null")["VersionId"]) == (1, "null")
    marker = s3.delete_object(Bucket=NAME, Key="key")["VersionId"]
    for version, code in ((None, "NoSuchKey"), (marker, "MethodNotAllowed")):
        with pytest.raises(s3.exceptions.ClientError) as problem:
            ask(s3, **({} if version is None else {"VersionId": version}))
        response = problem.value.response
        assert response["Error"]["Code"] == code
        headers = response["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-amz-delete-marker"] == "true" and headers["x-amz-version-id"] == marker
    with refused("NoSuchVersion", 404):
        ask(s3, VersionId="a" * 32)
    with refused("NoSuchKey", 404):
        ask(s3, key="nothing")


def test_names_that_are_none(sqlite_cloud: TestCloud) -> None:
    tools.bucket(sqlite_cloud).put_object(Bucket=NAME, Key="key", Body=b"1")
    s3 = sqlite_cloud.client("s3", validate=False)
    for wanted in (["Etag"], ["ETag", "Owner"]):
        with refused("InvalidArgument", 400) as told:
            s3.get_object_attributes(Bucket=NAME, Key="key", ObjectAttributes=wanted)
        assert told() == "Invalid attribute name specified."


def test_conditions(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud)
    etag = s3.put_object(Bucket=NAME, Key="key", Body=b"1")["ETag"]
    extra: dict[str, str] = {}

    def add(request: Any, **_: Any) -> None:
        for name, value in extra.items():
            request.headers[name] = value

    conditional = sqlite_cloud.client("s3", user_agent_extra="conditions")
    conditional.meta.events.register("before-sign.s3", add)
    past = (sqlite_cloud.clock.now() - datetime.timedelta(days=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    for headers, code in (
        ({"If-Match": '"x"'}, "PreconditionFailed"),
        ({"If-Unmodified-Since": past}, "PreconditionFailed"),
        ({"If-None-Match": etag}, "304"),
        ({"If-None-Match": etag, "If-Modified-Since": past}, "304"),
    ):
        extra.clear()
        extra.update(headers)
        with refused(code):
            ask(conditional)
    for headers in ({"If-Match": etag, "If-Unmodified-Since": past}, {"If-None-Match": '"x"'}, {"If-Modified-Since": "never"}):
        extra.clear()
        extra.update(headers)
        assert ask(conditional)["ObjectSize"] == 1


def test_keys_of_customers(sqlite_cloud: TestCloud) -> None:
    sqlite_cloud.scheme = "https"
    s3 = tools.bucket(sqlite_cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"secret", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32)
    assert ask(s3, **customer(b"k" * 32))["ObjectSize"] == 6
    with refused("InvalidRequest", 400):
        ask(s3)
    with refused("AccessDenied", 403):
        ask(s3, **customer(b"x" * 32))


def customer(key: bytes) -> dict[str, str]:
    """What boto3 makes by itself for other operations."""
    md5 = base64.b64encode(hashlib.md5(key, usedforsecurity=False).digest()).decode()
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": base64.b64encode(key).decode(), "SSECustomerKeyMD5": md5}


def test_who_may(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, versioning="Enabled", public=True)
    version = s3.put_object(Bucket=NAME, Key="key", Body=b"1", Tagging="a=1")["VersionId"]
    for number, actions in enumerate((["s3:GetObject"], ["s3:GetObjectAttributes"], ["s3:GetObjectVersion", "s3:GetObjectVersionAttributes"])):
        with refused("AccessDenied", 403):
            ask(user(cloud, f"some-{number}", *actions).client("s3"))
    latest = user(cloud, "latest", "s3:GetObject", "s3:GetObjectAttributes").client("s3")
    assert ask(latest)["ObjectSize"] == 1
    with refused("AccessDenied", 403):
        ask(latest, VersionId=version)
    with refused("AccessDenied", 403):
        ask(latest, key="nothing")
    assert ask(user(cloud, "versions", "s3:GetObjectVersion", "s3:GetObjectVersionAttributes").client("s3"), VersionId=version)["ObjectSize"] == 1
    nobody = tools.unsigned(cloud)
    with refused("AccessDenied", 403):
        ask(nobody)
    tools.allow(s3, "s3:GetObject", "s3:GetObjectAttributes", StringEquals={"s3:ExistingObjectTag/a": "1"})
    assert ask(nobody)["ObjectSize"] == 1
