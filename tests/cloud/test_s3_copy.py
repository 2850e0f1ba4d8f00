"""CopyObject through boto3: directives, conditions, versions, encryption, the limits of copying onto itself."""

from __future__ import annotations

import datetime
import hashlib
import os
from typing import Any

import pytest

from tests.cloud.harness import TestCloud, refused
from tests.cloud.s3 import NAME, bucket, version

BODY = os.urandom(300_000)
SOURCE = {"Bucket": NAME, "Key": "source"}


def made(cloud: TestCloud, **options: Any) -> Any:
    s3 = bucket(cloud, **options)
    s3.put_object(
        Bucket=NAME, Key="source", Body=BODY, Metadata={"a": "1"}, ContentType="text/x", CacheControl="no-store", Tagging="k=v",
        WebsiteRedirectLocation="/else",
    )  # fmt: skip
    return s3


def test_a_copy_has_what_the_source_has(cloud: TestCloud) -> None:
    s3 = made(cloud)
    told = s3.copy_object(Bucket=NAME, Key="copy", CopySource=SOURCE)["CopyObjectResult"]
    assert told["ETag"] == f'"{hashlib.md5(BODY).hexdigest()}"'
    found = s3.get_object(Bucket=NAME, Key="copy")
    assert found["Body"].read() == BODY
    assert (found["Metadata"], found["ContentType"], found["CacheControl"], found["TagCount"]) == ({"a": "1"}, "text/x", "no-store", 1)
    assert "WebsiteRedirectLocation" not in found


def test_directives(cloud: TestCloud) -> None:
    s3 = made(cloud)
    s3.copy_object(Bucket=NAME, Key="c", CopySource=SOURCE, MetadataDirective="REPLACE", Metadata={"b": "2"}, ContentLanguage="de")
    found = s3.head_object(Bucket=NAME, Key="c")
    assert found["Metadata"] == {"b": "2"} and found["ContentLanguage"] == "de" and found["ContentType"] == "binary/octet-stream"
    assert s3.get_object_tagging(Bucket=NAME, Key="c")["TagSet"] == [{"Key": "k", "Value": "v"}]
    s3.copy_object(Bucket=NAME, Key="c", CopySource=SOURCE, TaggingDirective="REPLACE", Tagging="x=y")
    assert s3.get_object_tagging(Bucket=NAME, Key="c")["TagSet"] == [{"Key": "x", "Value": "y"}]
    s3.copy_object(Bucket=NAME, Key="c", CopySource=SOURCE, StorageClass="STANDARD_IA")
    assert s3.head_object(Bucket=NAME, Key="c")["StorageClass"] == "STANDARD_IA"


def test_onto_itself_something_must_change(cloud: TestCloud) -> None:
    s3 = made(cloud)
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=NAME, Key="source", CopySource=SOURCE)
    s3.copy_object(Bucket=NAME, Key="source", CopySource=SOURCE, MetadataDirective="REPLACE", Metadata={"n": "1"})
    assert s3.head_object(Bucket=NAME, Key="source")["Metadata"] == {"n": "1"}
    assert s3.get_object(Bucket=NAME, Key="source")["Body"].read() == BODY


def test_conditions(cloud: TestCloud) -> None:
    s3 = made(cloud)
    etag = s3.head_object(Bucket=NAME, Key="source")["ETag"]
    past, future = (datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in (2001, 2040))
    s3.copy_object(Bucket=NAME, Key="c", CopySource=SOURCE, CopySourceIfMatch=etag)
    s3.copy_object(Bucket=NAME, Key="c", CopySource=SOURCE, CopySourceIfNoneMatch='"else"', CopySourceIfModifiedSince=past)
    for wrong in (
        {"CopySourceIfMatch": '"else"'},
        {"CopySourceIfNoneMatch": etag},
        {"CopySourceIfModifiedSince": future},
        {"CopySourceIfUnmodifiedSince": past},
    ):
        with refused("PreconditionFailed", 412):
            s3.copy_object(Bucket=NAME, Key="c", CopySource=SOURCE, **wrong)
    with refused("PreconditionFailed", 412):
        s3.copy_object(Bucket=NAME, Key="c", CopySource=SOURCE, IfNoneMatch="*")


def test_sources_that_are_not_there(cloud: TestCloud) -> None:
    s3 = made(cloud, versioning="Enabled")
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=NAME, Key="c", CopySource={"Bucket": NAME, "Key": "nothing"})
    with refused("NoSuchBucket", 404):
        s3.copy_object(Bucket=NAME, Key="c", CopySource={"Bucket": "no-such-bucket-here", "Key": "source"})
    with refused("InvalidArgument", 400):
        s3.copy_object(Bucket=NAME, Key="c", CopySource="only-a-bucket")
    marker = s3.delete_object(Bucket=NAME, Key="source")["VersionId"]
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=NAME, Key="c", CopySource=SOURCE)
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=NAME, Key="c", CopySource=SOURCE | {"VersionId": marker})


def test_versions_of_sources(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    version(s3)
    old = s3.put_object(Bucket=NAME, Key="source", Body=b"old")["VersionId"]
    s3.put_object(Bucket=NAME, Key="source", Body=b"new")
    told = s3.copy_object(Bucket=NAME, Key="c", CopySource=SOURCE | {"VersionId": old})
    assert told["CopySourceVersionId"] == old and told["VersionId"]
    assert s3.get_object(Bucket=NAME, Key="c")["Body"].read() == b"old"


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_encrypted_copies(sqlite_cloud: TestCloud, size: int) -> None:
    sqlite_cloud.scheme = "https"  # a customer's key goes over no open wire
    s3, body = bucket(sqlite_cloud), os.urandom(size)
    mine = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"1" * 32}
    theirs = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": b"1" * 32}
    s3.put_object(Bucket=NAME, Key="source", Body=body, **mine)
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=NAME, Key="c", CopySource=SOURCE)
    s3.copy_object(Bucket=NAME, Key="c", CopySource=SOURCE, ServerSideEncryption="AES256", **theirs)
    found = s3.get_object(Bucket=NAME, Key="c")
    assert found["Body"].read() == body and found["ServerSideEncryption"] == "AES256"
    s3.copy_object(Bucket=NAME, Key="d", CopySource={"Bucket": NAME, "Key": "c"}, SSECustomerAlgorithm="AES256", SSECustomerKey=b"2" * 32)
    with refused("InvalidRequest", 400):
        s3.get_object(Bucket=NAME, Key="d")
    with refused("AccessDenied", 403):
        s3.get_object(Bucket=NAME, Key="d", **mine)
    assert s3.get_object(Bucket=NAME, Key="d", SSECustomerAlgorithm="AES256", SSECustomerKey=b"2" * 32)["Body"].read() == body


def test_the_checksum_of_a_copy(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    s3.put_object(Bucket=NAME, Key="source", Body=b"x", ChecksumAlgorithm="SHA256")
    told = s3.copy_object(Bucket=NAME, Key="c", CopySource=SOURCE)["CopyObjectResult"]
    assert told["ChecksumSHA256"]
    told = s3.copy_object(Bucket=NAME, Key="c", CopySource=SOURCE, ChecksumAlgorithm="CRC32C")["CopyObjectResult"]
    assert told["ChecksumCRC32C"] and "ChecksumSHA256" not in told


def test_a_customers_key_goes_over_no_open_wire(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"1" * 32}
    with refused("InvalidRequest", 400) as message:
        s3.put_object(Bucket=NAME, Key="key", Body=BODY, **key)
    assert "secure connection" in message()
    sqlite_cloud.address = "127.0.0.1"  # nobody listens on the way from here to here
    s3.put_object(Bucket=NAME, Key="key", Body=BODY, **key)
    sqlite_cloud.address, sqlite_cloud.scheme = "192.0.2.1", "https"
    assert s3.get_object(Bucket=NAME, Key="key", **key)["Body"].read() == BODY
