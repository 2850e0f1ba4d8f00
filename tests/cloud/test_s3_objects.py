"""Objects put, read and looked at: every header in and out, keys, bodies, ranges, parts, conditions; and what is refused."""

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

SMALL, LARGE = 5, 3_000_001


def body(s3: Any, key: str = "key", **more: Any) -> bytes:
    found: bytes = s3.get_object(Bucket=NAME, Key=key, **more)["Body"].read()
    return found


@pytest.mark.parametrize("size", [0, 1, SMALL, 65_536, 262_145, 1024 * 1024, LARGE])
def test_bodies_of_every_size(cloud: TestCloud, size: int) -> None:
    s3 = tools.bucket(cloud)
    data = os.urandom(size)
    made = s3.put_object(Bucket=NAME, Key="key", Body=data)
    etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
    assert made["ETag"] == etag and "VersionId" not in made
    told = s3.get_object(Bucket=NAME, Key="key")
    assert told["Body"].read() == data and told["ETag"] == etag and told["ContentLength"] == size
    assert told["AcceptRanges"] == "bytes" and told["ContentType"] == "binary/octet-stream" and told["LastModified"] == cloud.clock.now()
    head = s3.head_object(Bucket=NAME, Key="key")
    assert head["ContentLength"] == size and head["ETag"] == etag
    for name in ("VersionId", "StorageClass", "Restore", "TagCount", "ServerSideEncryption", "ReplicationStatus", "ContentRange", "PartsCount"):
        assert name not in told and name not in head
    s3.put_object(Bucket=NAME, Key="key", Body=b"new")
    assert body(s3) == b"new"


def test_headers_come_back(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    expires = datetime.datetime(2031, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
    given = {
        "CacheControl": "max-age=5, private", "ContentDisposition": 'attachment; filename="ü.txt"', "ContentLanguage": "de, en",
        "ContentType": "text/plain; charset=utf-8", "WebsiteRedirectLocation": "/elsewhere", "ContentEncoding": "gzip",
        "StorageClass": "STANDARD_IA",
    }  # fmt: skip
    s3.put_object(Bucket=NAME, Key="key", Body=b"1", Expires=expires, Metadata={"UPPER": "Value", "empty": "", "spaces": "a  b"}, **given)
    for told in (s3.get_object(Bucket=NAME, Key="key"), s3.head_object(Bucket=NAME, Key="key")):
        assert {name: told[name] for name in given if name != "ContentDisposition"} == {
            name: value for name, value in given.items() if name != "ContentDisposition"
        }
        assert told["Expires"] == expires and told["Metadata"] == {"upper": "Value", "empty": "", "spaces": "a  b"}
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")  # which replaces all of it
    told = s3.head_object(Bucket=NAME, Key="key")
    assert told["Metadata"] == {} and told["ContentType"] == "binary/octet-stream" and not set(given) & set(told) - {"ContentType"}


def test_awkward_headers(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud)
    for header, value, member in (("Expires", "some day", "ExpiresString"), ("Content-Encoding", "aws-chunked,gzip", "ContentEncoding")):
        tools.with_headers(sqlite_cloud, {header: value}).put_object(Bucket=NAME, Key="key", Body=b"1")
        assert s3.head_object(Bucket=NAME, Key="key")[member] == value.removeprefix("aws-chunked,")
    tools.with_headers(sqlite_cloud, {"Content-Encoding": "aws-chunked"}).put_object(Bucket=NAME, Key="key", Body=b"1")
    assert "ContentEncoding" not in s3.head_object(Bucket=NAME, Key="key")
    s3.put_object(Bucket=NAME, Key="key", Body=b"1", Metadata={"k": "v" * 2047})
    with refused("MetadataTooLarge", 400) as told:
        s3.put_object(Bucket=NAME, Key="key", Body=b"1", Metadata={"k": "v" * 2048})
    assert told() == "Your metadata headers exceed the maximum allowed metadata size"
    for location in ("/x", "http://x", "https://x"):
        s3.put_object(Bucket=NAME, Key="key", Body=b"1", WebsiteRedirectLocation=location)
    with refused("InvalidRedirectLocation", 400):
        s3.put_object(Bucket=NAME, Key="key", Body=b"1", WebsiteRedirectLocation="x")
    with refused("InvalidStorageClass", 400) as told:
        s3.put_object(Bucket=NAME, Key="key", Body=b"1", StorageClass="WARM")
    assert told() == "The storage class you specified is not valid"
    with refused("NotImplemented", 501):
        s3.put_object(Bucket=NAME, Key="key", Body=b"1", WriteOffsetBytes=1)


def test_headers_of_the_answer_may_be_asked_for(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, public=True)
    s3.put_object(Bucket=NAME, Key="key", Body=b"1", CacheControl="no-cache", ContentType="text/html")
    at = datetime.datetime(2032, 1, 1, tzinfo=datetime.UTC)
    asked = {
        "ResponseCacheControl": "max-age=1", "ResponseContentDisposition": "attachment", "ResponseContentEncoding": "br",
        "ResponseContentLanguage": "fr", "ResponseContentType": "image/png", "ResponseExpires": at,
    }  # fmt: skip
    for told in (s3.get_object(Bucket=NAME, Key="key", **asked), s3.head_object(Bucket=NAME, Key="key", **asked)):
        assert {name: told[name.removeprefix("Response")] for name in asked} == asked
    tools.allow(s3, "s3:GetObject")
    nobody = tools.unsigned(cloud)
    assert body(nobody) == b"1"
    with refused("InvalidRequest", 400) as message:
        nobody.get_object(Bucket=NAME, Key="key", ResponseContentType="image/png")
    assert message() == "Request specific response headers cannot be used for anonymous GET requests."


AWKWARD = [
    "a//b", "/lead", "trail/", "//", "./x", "../x", "a/./b", "a/../b", "..", ".", "%2F", "%", "a+b", "a b", " ", "ü/é/漢", "😀", "a?b#c", "*~'()!",
    "&<>\"'", "\n", "\t", "\x7f", "\x01", "\\", "a:b;c,d=e@f$", "?versionId=x", "acl", "x" * 1024, "ü" * 512, "a\u0301", "\u00e1", "\uffff",
]  # fmt: skip


@pytest.mark.parametrize("key", AWKWARD, ids=ascii)
def test_keys_are_any_text(sqlite_cloud: TestCloud, key: str) -> None:
    s3 = tools.bucket(sqlite_cloud)
    s3.put_object(Bucket=NAME, Key=key, Body=key.encode())
    s3.put_object(Bucket=NAME, Key="other", Body=b"")
    assert body(s3, key) == key.encode()
    assert s3.head_object(Bucket=NAME, Key=key)["ContentLength"] == len(key.encode())
    assert sorted([key, "other"]) == sorted(each["Key"] for each in s3.list_objects_v2(Bucket=NAME)["Contents"])
    assert key in [each["Key"] for each in s3.list_objects(Bucket=NAME, Prefix=key)["Contents"]]
    assert key in [each["Key"] for each in s3.list_object_versions(Bucket=NAME)["Versions"]]
    url = s3.generate_presigned_url("get_object", {"Bucket": NAME, "Key": key})
    assert tools.presigned(sqlite_cloud, url)[2] == key.encode()
    s3.delete_object(Bucket=NAME, Key=key)
    with refused("NoSuchKey", 404):
        body(s3, key)


def test_keys_that_cannot_be(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud)
    for key in ("x" * 1025, "ü" * 513):
        with refused("KeyTooLongError", 400) as told:
            s3.put_object(Bucket=NAME, Key=key, Body=b"")
        assert told() == "Your key is too long"
        with refused("KeyTooLongError", 400):
            s3.get_object(Bucket=NAME, Key=key)
        with refused("KeyTooLongError", 400):
            s3.delete_object(Bucket=NAME, Key=key)
    status, _, document = sqlite_cloud.request("GET", f"/{NAME}/%FF", headers=[(b"host", b"mallee.test")])
    assert status == 400 and b"<Code>InvalidURI</Code>" in document


def test_what_is_not_there(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    with pytest.raises(s3.exceptions.NoSuchKey) as problem:
        s3.get_object(Bucket=NAME, Key="key")
    error = problem.value.response["Error"]
    assert error["Message"] == "The specified key does not exist." and error["Key"] == "key"
    with refused("404", 404):
        s3.head_object(Bucket=NAME, Key="key")
    with refused("NoSuchVersion", 404):
        s3.get_object(Bucket=NAME, Key="key", VersionId="a" * 32)
    for version, message in (("short", "Invalid version id specified"), ("", "Version id cannot be the empty string")):
        with refused("InvalidArgument", 400) as told:
            s3.get_object(Bucket=NAME, Key="key", VersionId=version)
        assert told() == message
    for operation in (s3.get_object, s3.put_object):
        with refused("NoSuchBucket", 404) as told:
            operation(Bucket="no-bucket", Key="key")
        assert told() == "The specified bucket does not exist"
    blind = user(cloud, "blind", "s3:GetObject", "s3:PutObject").client("s3")
    with refused("AccessDenied", 403):
        blind.get_object(Bucket=NAME, Key="key")
    with refused("403", 403):
        blind.head_object(Bucket=NAME, Key="key")
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    assert body(blind) == b"1"


def test_whose_bucket_it_must_be(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud)
    own, other = {"ExpectedBucketOwner": sqlite_cloud.admin.id}, {"ExpectedBucketOwner": "1" * 12}
    s3.put_object(Bucket=NAME, Key="key", Body=b"1", **own)
    assert body(s3, **own) == b"1" and s3.list_objects_v2(Bucket=NAME, **own)["KeyCount"] == 1
    for attempt in (
        lambda: s3.put_object(Bucket=NAME, Key="key", Body=b"2", **other),
        lambda: body(s3, **other),
        lambda: s3.list_objects_v2(Bucket=NAME, **other),
        lambda: s3.delete_object(Bucket=NAME, Key="key", **other),
        lambda: s3.delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": "key"}]}, **other),
        lambda: s3.get_object_tagging(Bucket=NAME, Key="key", **other),
    ):
        with refused("AccessDenied", 403):
            attempt()
    with refused("InvalidBucketOwnerAWSAccountID", 400):
        body(s3, ExpectedBucketOwner="me")
    s3.delete_object(Bucket=NAME, Key="key", **own)


# ------------------------------------------------------------------------------------------------------------ ranges and parts


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("sealed", [{}, {"ServerSideEncryption": "AES256"}])
def test_ranges(sqlite_cloud: TestCloud, size: int, sealed: dict[str, str]) -> None:
    s3 = tools.bucket(sqlite_cloud)
    data = os.urandom(size)
    s3.put_object(Bucket=NAME, Key="key", Body=data, **sealed)
    last = size - 1
    for asked, first, end in (
        ("bytes=0-0", 0, 0), ("bytes=1-3", 1, 3), ("bytes=2-", 2, last), ("bytes=-2", last - 1, last), (f"bytes=-{size + 9}", 0, last),
        (f"bytes=1-{size + 9}", 1, last), (f"bytes={last}-{last}", last, last), (f"bytes=0-{last}", 0, last), ("bytes = 1 - 2", 1, 2),
    ):  # fmt: skip
        told = s3.get_object(Bucket=NAME, Key="key", Range=asked)
        assert told["ResponseMetadata"]["HTTPStatusCode"] == 206, asked
        assert told["ContentRange"] == f"bytes {first}-{end}/{size}" and told["ContentLength"] == end - first + 1
        assert told["Body"].read() == data[first : end + 1]
        head = s3.head_object(Bucket=NAME, Key="key", Range=asked)
        assert head["ContentRange"] == told["ContentRange"] and head["ResponseMetadata"]["HTTPStatusCode"] == 206
    for ignored in ("bytes=3-2", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b", "bytes=-", "0-1"):
        told = s3.get_object(Bucket=NAME, Key="key", Range=ignored)
        assert told["Body"].read() == data and told["ResponseMetadata"]["HTTPStatusCode"] == 200 and "ContentRange" not in told
    for beyond in (f"bytes={size}-", f"bytes={size + 5}-{size + 9}", "bytes=-0"):
        with pytest.raises(s3.exceptions.ClientError) as problem:
            s3.get_object(Bucket=NAME, Key="key", Range=beyond)
        response = problem.value.response
        assert response["Error"]["Code"] == "InvalidRange" and response["ResponseMetadata"]["HTTPStatusCode"] == 416
        assert response["Error"]["Message"] == "The requested range is not satisfiable"
        assert (response["Error"]["ActualObjectSize"], response["Error"]["RangeRequested"]) == (str(size), beyond)
        assert response["ResponseMetadata"]["HTTPHeaders"]["content-range"] == f"bytes */{size}"
        with refused("416", 416):
            s3.head_object(Bucket=NAME, Key="key", Range=beyond)


def test_ranges_of_nothing(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"")
    for asked in ("bytes=0-", "bytes=-1", "bytes=0-0"):
        with refused("InvalidRange", 416):
            body(s3, Range=asked)


def test_parts_of_what_has_none(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"hello")
    told = s3.get_object(Bucket=NAME, Key="key", PartNumber=1)
    assert told["Body"].read() == b"hello" and told["ContentRange"] == "bytes 0-4/5" and "PartsCount" not in told
    with refused("InvalidPartNumber", 416) as message:
        body(s3, PartNumber=2)
    assert message() == "The requested partnumber is not satisfiable"
    with refused("416", 416):
        s3.head_object(Bucket=NAME, Key="key", PartNumber=2)
    for number in (0, -1, 10_001):
        with refused("InvalidArgument", 400) as message:
            body(s3, PartNumber=number)
        assert message() == "Part number must be an integer between 1 and 10000, inclusive"
    with refused("InvalidRequest", 400) as message:
        body(s3, PartNumber=1, Range="bytes=0-1")
    assert message() == "Cannot specify both Range header and partNumber query parameter"


# ---------------------------------------------------------------------------------------------------------------- conditions


def test_conditions_of_reads(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, versioning="Enabled")
    made = s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    etag, now = made["ETag"], cloud.clock.now()
    hour = datetime.timedelta(hours=1)
    for holds in (
        {"IfMatch": etag}, {"IfMatch": "*"}, {"IfMatch": f'"x", {etag}'}, {"IfMatch": etag.strip('"')}, {"IfNoneMatch": '"x"'},
        {"IfModifiedSince": now - hour}, {"IfUnmodifiedSince": now}, {"IfMatch": etag, "IfUnmodifiedSince": now - hour},
        {"IfNoneMatch": '"x"', "IfModifiedSince": now + hour},
    ):  # fmt: skip
        assert body(s3, **holds) == b"1", holds
        s3.head_object(Bucket=NAME, Key="key", **holds)
    for fails in ({"IfMatch": '"x"'}, {"IfUnmodifiedSince": now - hour}, {"IfMatch": '"x"', "IfNoneMatch": etag}):
        with refused("PreconditionFailed", 412) as told:
            body(s3, **fails)
        assert told() == "At least one of the pre-conditions you specified did not hold"
        with refused("412", 412):
            s3.head_object(Bucket=NAME, Key="key", **fails)
    for same in ({"IfNoneMatch": etag}, {"IfNoneMatch": "*"}, {"IfModifiedSince": now}, {"IfMatch": etag, "IfNoneMatch": etag}):
        for operation in (s3.get_object, s3.head_object):
            with pytest.raises(s3.exceptions.ClientError) as problem:
                operation(Bucket=NAME, Key="key", **same)
            metadata = problem.value.response["ResponseMetadata"]
            assert metadata["HTTPStatusCode"] == 304 and metadata["HTTPHeaders"]["etag"] == etag
            assert metadata["HTTPHeaders"]["x-amz-version-id"] == made["VersionId"]
    for header in ("If-Modified-Since", "If-Unmodified-Since"):  # no date, no condition
        assert body(tools.with_headers(cloud, {header: "yesterday"})) == b"1"
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=NAME, Key="nothing", IfMatch=etag)


def test_conditions_of_writes(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)

    def put(data: bytes = b"new", **conditions: str) -> str:
        etag: str = s3.put_object(Bucket=NAME, Key="key", Body=data, **conditions)["ETag"]
        return etag

    with refused("NoSuchKey", 404):
        put(IfMatch='"x"')
    first = put(IfNoneMatch="*")
    with refused("PreconditionFailed", 412) as told:
        put(IfNoneMatch="*")
    assert told() == "At least one of the pre-conditions you specified did not hold"
    with refused("PreconditionFailed", 412):
        put(IfMatch='"x"')
    second = put(b"second", IfMatch=first)
    with refused("PreconditionFailed", 412):
        put(os.urandom(LARGE), IfMatch=first)
    for unheard in ({"IfNoneMatch": first}, {"IfNoneMatch": "*", "IfMatch": second}):
        with refused("NotImplemented", 501):
            put(**unheard)
    assert body(s3) == b"second"
    tools.version(s3)
    s3.delete_object(Bucket=NAME, Key="key")
    with refused("NoSuchKey", 404):  # the latest is a delete marker
        put(IfMatch=second)
    put(IfNoneMatch="*")


def test_conditions_of_deletes(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    etag = s3.put_object(Bucket=NAME, Key="key", Body=b"1")["ETag"]
    with refused("PreconditionFailed", 412):
        s3.delete_object(Bucket=NAME, Key="key", IfMatch='"x"')
    s3.delete_object(Bucket=NAME, Key="key", IfMatch=etag)
    with refused("NoSuchKey", 404):
        s3.delete_object(Bucket=NAME, Key="key", IfMatch=etag)
    with refused("PreconditionFailed", 412):
        s3.delete_object(Bucket=NAME, Key="key", IfMatch="*")
    s3.delete_object(Bucket=NAME, Key="key")
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    told = s3.delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": "key", "ETag": '"x"'}, {"Key": "other", "ETag": etag}]})
    assert [(each["Key"], each["Code"]) for each in told["Errors"]] == [("key", "PreconditionFailed"), ("other", "NoSuchKey")]
    assert "Deleted" not in told
    assert s3.delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": "key", "ETag": etag}]})["Deleted"] == [{"Key": "key"}]
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    deleter = user(cloud, "deleter", "s3:DeleteObject").client("s3")
    with refused("AccessDenied", 403):  # an ETag is for readers to compare
        deleter.delete_object(Bucket=NAME, Key="key", IfMatch=etag)
    assert deleter.delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": "key", "ETag": etag}]})["Errors"][0]["Code"] == "AccessDenied"
    tools.allow(s3, "s3:DeleteObject", effect="Deny", Null={"s3:if-match": "true"})
    with refused("AccessDenied", 403):
        s3.delete_object(Bucket=NAME, Key="key")
    assert s3.delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": "key"}]})["Errors"][0]["Code"] == "AccessDenied"
    assert s3.delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": "key", "ETag": etag}]})["Deleted"] == [{"Key": "key"}]
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    deleter.delete_object(Bucket=NAME, Key="key", IfMatch="*")


# ----------------------------------------------------------------------------------------------------------------- presigned


def test_presigned_urls(cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = tools.bucket(cloud)

    def sign(operation: str, seconds: int = 60, **given: Any) -> str:
        url: str = s3.generate_presigned_url(operation, {"Bucket": NAME, "Key": "key", **given}, ExpiresIn=seconds)
        return url

    status, headers, _ = tools.presigned(cloud, sign("put_object"), "PUT", b"hello", content_type="text/plain", x_amz_meta_a="b")
    assert status == 403  # there were headers which were not signed
    status, headers, _ = tools.presigned(cloud, sign("put_object"), "PUT", b"hello", content_type="text/plain")
    assert status == 200
    status, headers, told = tools.presigned(cloud, sign("get_object", ResponseContentType="image/png"))
    assert (status, told, headers["content-type"]) == (200, b"hello", "image/png")
    assert tools.presigned(cloud, sign("get_object"), range="bytes=1-2")[2] == b"el"
    status, headers, told = tools.presigned(cloud, sign("head_object"), "HEAD")
    assert (status, headers["content-length"], told) == (200, "5", b"")
    assert tools.presigned(cloud, sign("get_object"), "DELETE")[0] == 403
    assert tools.presigned(cloud, sign("get_object").replace("key?", "yek?"))[0] == 403
    assert tools.presigned(cloud, sign("delete_object"), "DELETE")[0] == 204
    earlier = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
    monkeypatch.setattr("botocore.crt.auth.get_current_datetime", lambda *_, **__: earlier)
    status, _, told = tools.presigned(cloud, sign("get_object"))
    assert status == 403 and b"Request has expired" in told


def test_errors_are_documents_but_for_head(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud)
    for operation, method in (("get_object", "GET"), ("head_object", "HEAD")):
        url = s3.generate_presigned_url(operation, {"Bucket": NAME, "Key": "a&b"})
        status, headers, told = tools.presigned(sqlite_cloud, url, method)
        assert status == 404 and headers["x-amz-request-id"] and headers["x-amz-id-2"]
        if method == "HEAD":
            assert told == b""
        else:
            assert headers["content-type"] == "application/xml"
            assert told.startswith(b"<?xml version=") and b"<Code>NoSuchKey</Code>" in told and b"<Key>a&amp;b</Key>" in told
            assert headers["x-amz-request-id"].encode() in told


def test_digests(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud)
    right = base64.b64encode(hashlib.md5(b"hello", usedforsecurity=False).digest()).decode()
    s3.put_object(Bucket=NAME, Key="key", Body=b"hello", ContentMD5=right)
    for wrong in ("garbage", "AAAA", "A" * 24):
        with refused("InvalidDigest", 400) as told:
            s3.put_object(Bucket=NAME, Key="key", Body=b"other", ContentMD5=wrong)
        assert told() == "The Content-MD5 you specified was invalid"
    for data in (b"other", os.urandom(LARGE)):
        with refused("BadDigest", 400) as told:
            s3.put_object(Bucket=NAME, Key="key", Body=data, ContentMD5=right)
        assert told() == "The Content-MD5 you specified did not match what we received."
    assert body(s3) == b"hello"


def test_a_range_of_what_it_was(cloud: TestCloud) -> None:
    """If-Range: a download that goes on where it stopped gets all of an object that is another by now."""
    s3 = tools.bucket(cloud)
    etag = s3.put_object(Bucket=NAME, Key="key", Body=b"hello")["ETag"]
    date = cloud.clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT")
    for same in (etag, date):
        assert body(tools.with_headers(cloud, {"If-Range": same}), Range="bytes=1-2") == b"el"
    for other in ('"x"', f"W/{etag}", "Mon, 01 Jan 2001 00:00:00 GMT", "nonsense"):
        assert body(tools.with_headers(cloud, {"If-Range": other}), Range="bytes=1-2") == b"hello"


def test_headers_of_writes_in_reads(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"1", ServerSideEncryption="AES256")
    with refused("InvalidArgument", 400):
        body(tools.with_headers(sqlite_cloud, {"x-amz-server-side-encryption": "AES256"}))
    assert s3.get_object(Bucket=NAME, Key="key")["ServerSideEncryption"] == "AES256"


def test_where_the_requester_pays(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, public=True)
    s3.put_object(Bucket=NAME, Key="key", Body=b"1")
    tools.allow(s3, "s3:GetObject", "s3:DeleteObject")
    stranger, nobody = cloud.account().client("s3"), tools.unsigned(cloud)
    assert body(stranger) == body(nobody) == b"1"
    s3.put_bucket_request_payment(Bucket=NAME, RequestPaymentConfiguration={"Payer": "Requester"})
    assert body(s3) == b"1" and body(stranger, RequestPayer="requester") == b"1"
    for refusing in (lambda: body(stranger), lambda: body(nobody), lambda: body(nobody, RequestPayer="requester")):
        with refused("AccessDenied", 403):
            refusing()
    assert stranger.delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": "key"}]})["Errors"][0]["Code"] == "AccessDenied"
    stranger.delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": "key"}]}, RequestPayer="requester")
    with refused("NoSuchKey", 404):
        body(s3)


def test_bodies_that_are_too_large(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud)
    url = s3.generate_presigned_url("put_object", {"Bucket": NAME, "Key": "key"})
    status, _, told = tools.presigned(sqlite_cloud, url, "PUT", content_length=str(5 * 1024**3 + 1))
    assert status == 400 and b"<Code>EntityTooLarge</Code>" in told and b"<MaxSizeAllowed>5368709120</MaxSizeAllowed>" in told
    status, _, told = tools.presigned(sqlite_cloud, url, "PUT", b"hello", content_length="6")
    assert status == 400 and b"<Code>IncompleteBody</Code>" in told
    with refused("NoSuchKey", 404):
        body(s3)


def test_versions_need_actions_of_their_own(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, versioning="Enabled")
    version = s3.put_object(Bucket=NAME, Key="key", Body=b"1")["VersionId"]
    latest, any_of_them = user(cloud, "latest", "s3:GetObject").client("s3"), user(cloud, "any", "s3:GetObjectVersion").client("s3")
    assert body(latest) == body(any_of_them, VersionId=version) == b"1"
    for refusing in (lambda: body(latest, VersionId=version), lambda: body(any_of_them)):
        with refused("AccessDenied", 403):
            refusing()
    with refused("403", 403):
        latest.head_object(Bucket=NAME, Key="key", VersionId=version)


def test_what_only_some_are_told(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, lock=True)
    until = cloud.clock.now() + datetime.timedelta(days=1)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until, "ObjectLockLegalHoldStatus": "ON"}
    version = s3.put_object(Bucket=NAME, Key="key", Body=b"1", Tagging="a=1", **lock)["VersionId"]
    secrets = {"TagCount", *lock}
    assert secrets <= set(s3.head_object(Bucket=NAME, Key="key"))
    for number, (actions, told) in enumerate(
        (
            ([], set()),
            (["s3:GetObjectTagging"], {"TagCount"}),
            (["s3:GetObjectRetention"], {"ObjectLockMode", "ObjectLockRetainUntilDate"}),
            (["s3:GetObjectLegalHold"], {"ObjectLockLegalHoldStatus"}),
        )
    ):
        reader = user(cloud, f"reader-{number}", "s3:GetObject", *actions).client("s3")
        for answer in (reader.head_object(Bucket=NAME, Key="key"), reader.get_object(Bucket=NAME, Key="key")):
            assert secrets & set(answer) == told
    versions = user(cloud, "versions", "s3:GetObjectVersion", "s3:GetObjectVersionTagging").client("s3")
    assert secrets & set(versions.head_object(Bucket=NAME, Key="key", VersionId=version)) == {"TagCount"}
