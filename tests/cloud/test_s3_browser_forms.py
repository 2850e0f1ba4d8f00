"""Objects that browsers upload by forms."""

from __future__ import annotations

import base64
import datetime
import hashlib
import os
import zlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.cloud import forms
from tests.cloud.forms import encoded, policy, post, send, signed, signed_by
from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, allow, bucket, version

CONTENT = b"the content"
ETAG = f'"{hashlib.md5(CONTENT).hexdigest()}"'


def read(s3: Any, key: str = "key") -> bytes:
    body: bytes = s3.get_object(Bucket=NAME, Key=key)["Body"].read()
    return body


def code(answer: forms.Answer) -> tuple[int, str]:
    status, _, body = answer
    return status, body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


def test_a_form(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    status, headers, body = post(cloud)
    assert (status, body) == (204, b"")
    assert headers["etag"] == ETAG and headers["location"] == f"http://mallee.test:8773/{NAME}/key"
    assert read(s3) == CONTENT
    found = s3.head_object(Bucket=NAME, Key="key")
    assert found["ContentType"] == "binary/octet-stream"  # the part's own type is not the object's


@pytest.mark.parametrize("size", [0, 1, 128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1, 130 * 1024, 3_000_000])
def test_files_of_any_size(sqlite_cloud: TestCloud, size: int) -> None:
    s3 = bucket(sqlite_cloud)
    content = os.urandom(size)
    status, headers, _ = post(sqlite_cloud, content=content, conditions=[["content-length-range", size, size]])
    assert status == 204 and headers["etag"] == f'"{hashlib.md5(content).hexdigest()}"'
    assert read(s3) == content


@pytest.mark.parametrize("number", [4, 2])
def test_both_signatures(sqlite_cloud: TestCloud, number: int) -> None:
    s3 = bucket(sqlite_cloud)
    assert send(sqlite_cloud, encoded(signed_by(sqlite_cloud, policy(), version=number)))[0] == 204
    assert read(s3) == CONTENT
    fields = signed_by(sqlite_cloud, policy(), version=number)
    fields["policy"] = base64.b64encode(policy(hours=5).encode()).decode()
    assert code(send(sqlite_cloud, encoded(fields))) == (403, "SignatureDoesNotMatch")


def test_a_session_s_form(sqlite_cloud: TestCloud) -> None:
    bucket(sqlite_cloud)
    told = sqlite_cloud.client("sts").get_session_token()["Credentials"]
    session = sqlite_cloud.session(told, sqlite_cloud.admin.id)
    fields = signed(sqlite_cloud, account=session)
    assert send(sqlite_cloud, encoded(fields))[0] == 204
    assert code(send(sqlite_cloud, encoded({name: value for name, value in fields.items() if name != "x-amz-security-token"})))[0] == 403


def test_virtual_hosts(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)
    host = f"{NAME}.s3.local-1.mallee.internal"
    status, headers, _ = post(sqlite_cloud, key="a/b", path="/", host=host)
    assert status == 204 and headers["location"] == f"http://{host}/a%2Fb"
    assert read(s3, "a/b") == CONTENT
    assert code(post(sqlite_cloud, path="/a/b", host=host)) == (405, "MethodNotAllowed")
    assert code(post(sqlite_cloud, path="/")) == (405, "MethodNotAllowed")


def test_names_of_files(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)
    fields = {"x-amz-meta-name": "<${filename}>"}
    conditions = [["starts-with", "$x-amz-meta-name", "<"]]
    made = signed(sqlite_cloud, None, conditions, key="user/${filename}") | fields
    assert send(sqlite_cloud, encoded(made, filename=r"C:\photos\ä b.jpg"))[0] == 204
    assert s3.head_object(Bucket=NAME, Key="user/ä b.jpg")["Metadata"]["name"] == "<ä b.jpg>".encode().decode("latin-1")
    assert read(s3, "user/ä b.jpg") == CONTENT
    # the policy speaks of the key with the name in it
    narrow = signed(sqlite_cloud, None, [["starts-with", "$key", "user/a"]], key="user/${filename}")
    assert code(send(sqlite_cloud, encoded(narrow, filename="b"))) == (403, "AccessDenied")
    assert send(sqlite_cloud, encoded(narrow, filename="ab"))[0] == 204


def test_what_is_after_the_file_is_ignored(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)
    late = b'\r\nContent-Disposition: form-data; name="acl"\r\n\r\npublic-read\r\n--' + forms.BOUNDARY + b"--\r\n"
    assert post(sqlite_cloud, after=late)[0] == 204
    assert post(sqlite_cloud, after=b"no end at all")[0] == 204
    assert read(s3) == CONTENT


def test_headers_and_metadata(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)
    fields = {
        "Content-Type": "text/plain", "Cache-Control": "no-cache", "Content-Disposition": "attachment", "Content-Encoding": "br",
        "Content-Language": "de", "Expires": "Thu, 01 Dec 2033 16:00:00 GMT", "x-amz-meta-Color": "blue", "x-amz-storage-class": "STANDARD_IA",
        "x-amz-website-redirect-location": "/elsewhere", "x-amz-server-side-encryption": "AES256",
        "tagging": "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2</Value></Tag><Tag><Key>c</Key><Value></Value></Tag></TagSet></Tagging>",
    }  # fmt: skip
    fields["tagging"] = fields["tagging"].replace("1&amp;2", "1+2")
    status, headers, _ = post(sqlite_cloud, fields)
    assert status == 204 and headers["x-amz-server-side-encryption"] == "AES256"
    found = s3.get_object(Bucket=NAME, Key="key")
    assert found["Body"].read() == CONTENT
    assert (found["ContentType"], found["CacheControl"], found["ContentDisposition"]) == ("text/plain", "no-cache", "attachment")
    assert (found["ContentEncoding"], found["ContentLanguage"], found["WebsiteRedirectLocation"]) == ("br", "de", "/elsewhere")
    assert found["Metadata"] == {"color": "blue"} and found["StorageClass"] == "STANDARD_IA" and found["TagCount"] == 2
    assert found["ResponseMetadata"]["HTTPHeaders"]["expires"] == "Thu, 01 Dec 2033 16:00:00 GMT"
    tags = s3.get_object_tagging(Bucket=NAME, Key="key")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"a b": "1+2", "c": ""}


def test_customers_keys(sqlite_cloud: TestCloud) -> None:
    sqlite_cloud.scheme = "https"  # a customer's key goes over no open wire
    s3 = bucket(sqlite_cloud)
    key = os.urandom(32)
    fields = {
        "x-amz-server-side-encryption-customer-algorithm": "AES256",
        "x-amz-server-side-encryption-customer-key": base64.b64encode(key).decode(),
        "x-amz-server-side-encryption-customer-key-MD5": base64.b64encode(hashlib.md5(key).digest()).decode(),
    }
    assert post(sqlite_cloud, fields)[0] == 204
    assert s3.get_object(Bucket=NAME, Key="key", SSECustomerAlgorithm="AES256", SSECustomerKey=key)["Body"].read() == CONTENT


def test_checksums(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)
    crc = base64.b64encode(zlib.crc32(CONTENT).to_bytes(4, "big")).decode()
    status, headers, _ = post(sqlite_cloud, {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-crc32": crc})
    assert status == 204 and headers["x-amz-checksum-crc32"] == crc
    assert s3.head_object(Bucket=NAME, Key="key", ChecksumMode="ENABLED")["ChecksumCRC32"] == crc
    wrong = base64.b64encode(b"1234").decode()
    assert code(post(sqlite_cloud, {"x-amz-checksum-crc32": wrong})) == (400, "BadDigest")
    assert code(post(sqlite_cloud, {"Content-MD5": base64.b64encode(b"x" * 16).decode()})) == (400, "BadDigest")
    assert code(post(sqlite_cloud, {"x-amz-checksum-crc32": wrong}, os.urandom(2_000_000))) == (400, "BadDigest")
    assert code(post(sqlite_cloud, {"x-amz-checksum-algorithm": "ROT13"})) == (400, "InvalidArgument")
    # left to us
    assert post(sqlite_cloud, {"x-amz-checksum-algorithm": "SHA256"})[0] == 204
    found = s3.head_object(Bucket=NAME, Key="key", ChecksumMode="ENABLED")
    assert found["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()


def test_locks(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud, lock=True)
    until = (sqlite_cloud.clock.now() + datetime.timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()
    fields = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": until, "x-amz-object-lock-legal-hold": "ON"}
    status, headers, _ = post(sqlite_cloud, {**fields, "Content-MD5": digest})
    assert status == 204 and headers["x-amz-version-id"]
    found = s3.head_object(Bucket=NAME, Key="key")
    assert found["ObjectLockMode"] == "GOVERNANCE" and found["ObjectLockLegalHoldStatus"] == "ON"
    assert code(post(sqlite_cloud, fields)) == (400, "InvalidRequest")


def test_acls(sqlite_cloud: TestCloud) -> None:
    bucket(sqlite_cloud, ownership="ObjectWriter", public=True)
    assert post(sqlite_cloud, {"acl": "public-read"})[0] == 204
    assert sqlite_cloud.request("GET", f"/{NAME}/key", headers=[(b"host", b"x")])[2] == CONTENT
    assert code(post(sqlite_cloud, {"acl": "nonsense"})) == (400, "InvalidArgument")


def test_conditional_forms(sqlite_cloud: TestCloud) -> None:
    bucket(sqlite_cloud)
    assert post(sqlite_cloud, {"If-None-Match": "*"})[0] == 204
    assert code(post(sqlite_cloud, {"If-None-Match": "*"})) == (412, "PreconditionFailed")


# ----------------------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(("wished", "status"), [("200", 200), ("201", 201), ("204", 204), ("404", 204), ("", 204), ("x", 204)])
def test_statuses(sqlite_cloud: TestCloud, wished: str, status: int) -> None:
    s3 = bucket(sqlite_cloud)
    version(s3)
    found, headers, body = post(sqlite_cloud, {"success_action_status": wished}, key="a <b>")
    assert found == status
    assert headers["etag"] == ETAG and headers["x-amz-version-id"]
    if status == 201:
        assert headers["content-type"] == "application/xml"
        location = f"http://mallee.test:8773/{NAME}/a%20%3Cb%3E"
        assert body.endswith(
            f"<PostResponse><Location>{location}</Location><Bucket>{NAME}</Bucket><Key>a &lt;b&gt;</Key>"
            f"<ETag>{ETAG.replace(chr(34), '&quot;')}</ETag></PostResponse>".encode()
        )
    else:
        assert body == b""


@pytest.mark.parametrize("field", ["success_action_redirect", "redirect"])
def test_redirects(sqlite_cloud: TestCloud, field: str) -> None:
    bucket(sqlite_cloud)
    status, headers, body = post(sqlite_cloud, {field: "https://example.com/done?x=1#end"}, key="ä&b")
    assert (status, body) == (303, b"")
    target = urlsplit(headers["location"])
    assert (target.scheme, target.netloc, target.path, target.fragment) == ("https", "example.com", "/done", "end")
    assert parse_qs(target.query) == {"x": ["1"], "bucket": [NAME], "key": ["ä&b"], "etag": [ETAG]}


@pytest.mark.parametrize("wanted", ["nowhere", "javascript:alert(1)", "http://", "//x", "http://[x", "http://x\r\nset-cookie: y"])
def test_redirects_to_nowhere(sqlite_cloud: TestCloud, wanted: str) -> None:
    bucket(sqlite_cloud)
    status, headers, _ = post(sqlite_cloud, {"success_action_redirect": wanted})
    assert status == 204 and headers["location"].startswith("http://mallee.test")


# ----------------------------------------------------------------------------------------------------------------- refusals


def test_policies(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)

    def refusal(fields: dict[str, Any], content: bytes = CONTENT) -> bytes:
        status, _, body = send(sqlite_cloud, encoded(fields, content))
        assert status in (400, 403), body
        return body

    made = signed(sqlite_cloud, {"acl": "private"})
    assert b"<Code>AccessDenied</Code><Message>Invalid according to Policy: Policy Condition failed: " in refusal({**made, "key": "other"})
    assert b"Policy Condition failed: [&quot;eq&quot;, &quot;$acl&quot;, &quot;private&quot;]" in refusal({**made, "acl": "public-read"})
    assert b"Invalid according to Policy: Extra input fields: x-amz-meta-a" in refusal({**made, "x-amz-meta-a": "1"})
    assert b"Invalid according to Policy: Policy expired." in refusal(signed_by(sqlite_cloud, policy(hours=-1)))
    assert b"<Code>InvalidPolicyDocument</Code>" in refusal(signed_by(sqlite_cloud, "{"))
    ranged = signed(sqlite_cloud, None, [["content-length-range", 5, 10]])
    for content in (b"x" * 11, b"x" * 2_000_000):
        body = refusal(ranged, content)
        assert b"<Code>EntityTooLarge</Code>" in body and b"<MaxSizeAllowed>10</MaxSizeAllowed>" in body
    assert b"<Code>EntityTooSmall</Code>" in refusal(ranged, b"x" * 4)
    large = signed(sqlite_cloud, None, [["content-length-range", 2_000_000, 3_000_000]])
    assert b"<Code>EntityTooSmall</Code>" in refusal(large, b"x" * 1_500_000)
    assert b"<Code>EntityTooLarge</Code>" in refusal(large, b"x" * 3_500_000)
    assert "Contents" not in s3.list_objects_v2(Bucket=NAME)
    assert send(sqlite_cloud, encoded({**signed(sqlite_cloud), "x-ignore-this": "1"}))[0] == 204


def test_forms_that_are_none(sqlite_cloud: TestCloud) -> None:
    bucket(sqlite_cloud)
    made = signed(sqlite_cloud)
    assert code(send(sqlite_cloud, encoded(made, None))) == (400, "IncorrectNumberOfFilesInPostRequest")
    for body in (b"", b"x", encoded(made)[:-30], encoded(made, None)[:-4], encoded({"key": b"\xff"}), b"x" * 100_000):
        assert code(send(sqlite_cloud, body)) == (400, "MalformedPOSTRequest"), body[:50]
    assert code(send(sqlite_cloud, encoded(made, os.urandom(1_000_000))[:-80])) == (400, "MalformedPOSTRequest")
    assert code(send(sqlite_cloud, encoded({**made, "x-amz-meta-a": "x" * 30_000}))) == (400, "MaxPostPreDataLengthExceededError")
    without = {name: value for name, value in made.items() if name != "key"}
    status, _, body = send(sqlite_cloud, encoded(without))
    assert status == 400 and b"Bucket POST must contain a field named 'key'." in body
    assert code(send(sqlite_cloud, encoded({**made, "key": ""}))) == (400, "InvalidArgument")
    assert code(send(sqlite_cloud, encoded({**made, "KEY": "x"}))) == (400, "InvalidArgument")
    headers = [(b"host", b"x"), (b"content-type", b"multipart/form-data"), (b"content-length", b"3")]
    assert sqlite_cloud.request("POST", f"/{NAME}", headers=headers, body=b"abc")[0] == 400
    headers = [(b"host", b"x"), (b"content-type", b"multipart/form-data; boundary=x"), (b"transfer-encoding", b"chunked")]
    assert sqlite_cloud.request("POST", f"/{NAME}", headers=headers, body=b"abc")[0] == 411
    assert code(send(sqlite_cloud, encoded(made), path="/no-such-bucket")) == (403, "AccessDenied")
    wide = signed_by(sqlite_cloud, policy().replace(NAME, "no-such-bucket"))
    assert code(send(sqlite_cloud, encoded(wide), path="/no-such-bucket")) == (404, "NoSuchBucket")
    assert sqlite_cloud.cloud.dispatcher.faults == 0


@pytest.mark.parametrize("field", ["x-amz-meta-a", "Content-Type", "x-amz-website-redirect-location", "Cache-Control"])
@pytest.mark.parametrize("evil", ["a\r\nx-amz-acl: public-read", "a\nb", "a\0b", "\x7f"])
def test_no_field_splits_a_header(sqlite_cloud: TestCloud, field: str, evil: str) -> None:
    bucket(sqlite_cloud)
    assert code(post(sqlite_cloud, {field: evil})) == (400, "InvalidArgument")


@pytest.mark.parametrize("name", ["x-amz-meta-a: b", "x-amz-meta-ä", "x-amz-meta- a", "x-amz-meta-a\tb", "x-amz-\x7f"])
def test_no_name_of_a_field_does(sqlite_cloud: TestCloud, name: str) -> None:
    bucket(sqlite_cloud)
    assert code(post(sqlite_cloud, {name: "x"})) == (400, "InvalidArgument")


def test_who_may(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)
    assert code(send(sqlite_cloud, encoded({"key": "key"}))) == (403, "AccessDenied")
    nobody = sqlite_cloud.user()
    assert code(post(sqlite_cloud, account=nobody)) == (403, "AccessDenied")
    stranger = sqlite_cloud.account()
    assert code(post(sqlite_cloud, account=stranger)) == (403, "AccessDenied")
    assert code(send(sqlite_cloud, encoded({**signed(sqlite_cloud), "x-amz-signature": "0" * 64}))) == (403, "SignatureDoesNotMatch")
    assert "Contents" not in s3.list_objects_v2(Bucket=NAME)


def test_anybody_s_form(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud, public=True)
    allow(s3, "s3:PutObject", on="/in/*")
    assert send(sqlite_cloud, encoded({"key": "in/${filename}", "x-amz-meta-a": "1"}))[0] == 204
    assert read(s3, "in/file.txt") == CONTENT
    assert code(send(sqlite_cloud, encoded({"key": "out"}))) == (403, "AccessDenied")
    # what a form says to a policy
    condition = {"StringEquals": {"s3:authType": "POST", "s3:x-amz-storage-class": "STANDARD_IA"}}
    stranger = sqlite_cloud.account()
    allow(s3, "s3:PutObject", to={"AWS": stranger.id}, **condition)
    assert code(post(sqlite_cloud, account=stranger)) == (403, "AccessDenied")
    assert post(sqlite_cloud, {"x-amz-storage-class": "STANDARD_IA"}, account=stranger)[0] == 204


def test_origins(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)
    rules = [{"AllowedMethods": ["POST"], "AllowedOrigins": ["http://a.example"]}]
    s3.put_bucket_cors(Bucket=NAME, CORSConfiguration={"CORSRules": rules})
    status, headers, _ = send(sqlite_cloud, encoded(signed(sqlite_cloud)), origin="http://a.example")
    assert status == 204 and headers["access-control-allow-origin"] == "http://a.example"
    status, headers, _ = send(sqlite_cloud, encoded({"key": "x"}), origin="http://a.example")
    assert status == 403 and headers["access-control-allow-origin"] == "http://a.example"


def test_a_bucket_s_acl_lets_forms_in(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud, ownership="ObjectWriter", public=True)
    assert code(send(sqlite_cloud, encoded({"key": "key"}))) == (403, "AccessDenied")
    s3.put_bucket_acl(Bucket=NAME, ACL="public-read-write")
    assert send(sqlite_cloud, encoded({"key": "key"}))[0] == 204
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=NAME)["Contents"]] == ["key"]
