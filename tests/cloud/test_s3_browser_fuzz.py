"""Whatever comes to a bucket that is open to everybody: only errors that S3 has, never a fault of our own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mallee.store import Database, ManualClock, schema
from tests.cloud import forms
from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, bucket
from tests.conftest import ENGINES

_SUBRESOURCES = (
    "acl", "cors", "delete", "encryption", "lifecycle", "location", "logging", "notification", "object-lock", "ownershipControls", "policy",
    "policyStatus", "publicAccessBlock", "replication", "requestPayment", "tagging", "uploads", "versioning", "versions", "website",
    "attributes", "legal-hold", "retention", "restore", "torrent", "accelerate", "analytics", "inventory", "metrics", "intelligent-tiering",
    "select", "renameObject", "session", "metadataTable",
)  # fmt: skip
_PARAMETERS = (
    "versionId", "uploadId", "partNumber", "prefix", "delimiter", "marker", "max-keys", "list-type", "continuation-token", "start-after",
    "encoding-type", "key-marker", "version-id-marker", "upload-id-marker", "max-uploads", "max-parts", "part-number-marker", "id",
    "response-content-type", "response-expires", "X-Amz-Expires", "X-Amz-Signature", "Signature", "Expires", "AWSAccessKeyId", "select-type",
    "fetch-owner", "max-buckets", "Action", "x-id", "tagging",
)  # fmt: skip
_HEADERS = (
    "range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "content-md5", "content-type", "content-encoding",
    "expires", "x-amz-acl", "x-amz-grant-read", "x-amz-tagging", "x-amz-storage-class", "x-amz-copy-source", "x-amz-copy-source-range",
    "x-amz-copy-source-if-match", "x-amz-metadata-directive", "x-amz-tagging-directive", "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-customer-algorithm", "x-amz-server-side-encryption-customer-key", "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c", "x-amz-checksum-sha256", "x-amz-checksum-algorithm", "x-amz-sdk-checksum-algorithm", "x-amz-trailer",
    "x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date",
    "x-amz-object-lock-legal-hold", "x-amz-website-redirect-location", "x-amz-meta-a", "x-amz-meta-", "x-amz-expected-bucket-owner",
    "x-amz-request-payer", "x-amz-bypass-governance-retention", "x-amz-mfa", "x-amz-object-attributes", "x-amz-max-parts", "x-amz-date",
    "x-amz-security-token", "authorization", "expect", "origin", "access-control-request-method", "content-length", "transfer-encoding",
    "x-amz-write-offset-bytes", "x-amz-rename-source", "x-amz-checksum-mode", "x-amz-checksum-type", "x-amz-mp-object-size", "date", "cookie",
)  # fmt: skip
_FIELDS = ("key", "acl", "policy", "tagging", "success_action_redirect", "success_action_status", "signature", "AWSAccessKeyId", "bucket")
_SPECIAL = (
    "", "0", "1", "-1", "99999999999999999999", "9" * 5000, "true", "null", "*", "bytes=0-", "bytes=-5", "bytes=5-1", "bytes=0-1,3-4",
    "2030-01-01T00:00:00Z", "Thu, 01 Dec 2033 16:00:00 GMT", "0000-00-00", "AES256", "aws:kms", "GOVERNANCE", "ON", "COPY", "REPLACE",
    f"/{NAME}/key", f"{NAME}/key?versionId=x", "a=b&c=d", "%00", "%ff", "%C0%AF", "%ED%A0%80", "a\x00b", "\x7f", "é", "\xff\xfe", "'\"<>&",
    'id="x"', "uri=http://acs.amazonaws.com/groups/global/AllUsers", "AAAAAA==", "1B2M2Y8AsgTpgAmY7PhCfg==", "UNSIGNED-PAYLOAD",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "x-amz-checksum-crc32", "CRC32", "SHA256", "url", "/", "..",
    "AWS x:y", "AWS4-HMAC-SHA256 Credential=a/20200101/local-1/s3/aws4_request, SignedHeaders=host, Signature=0", "Bearer x", "chunked",
    "100-continue", "a" * 3000, "{}", "<a/>", "\u2028", "\U0001f600",
)  # fmt: skip
_BODIES = (
    b"", b"text", b"<", b"<a/>", b"\x00\xff", b"{}", b"3\r\nabc\r\n0\r\n\r\n", b"0;chunk-signature=x\r\n\r\n", b"x" * 140_000,
    b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
    b"<Delete><Object><Key>a&#0;</Key></Object></Delete>", b"<Delete><Object><Key>key</Key><VersionId>x</VersionId></Object></Delete>",
    b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    b"<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument></WebsiteConfiguration>",
    b"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>",
    b"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>9999-12-31T23:59:59Z</RetainUntilDate></Retention>",
    b"<RestoreRequest><Days>1</Days></RestoreRequest>", b"<LegalHold><Status>ON</Status></LegalHold>",
    b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
)  # fmt: skip

_texts = st.one_of(st.sampled_from(_SPECIAL), st.text(max_size=12), st.integers(-10, 10**12).map(str))
_keys = st.one_of(
    st.sampled_from(
        [
            "key",
            "none",
            "..",
            "../x",
            "a//b",
            "/",
            "//",
            "%00",
            "%2F",
            "%2e%2e%2f",
            "%",
            "%zz",
            "%ff",
            "%C0%AF",
            "%ED%A0%80",
            "é",
            "a" * 1100,
            "?",
            "+",
            "%0d%0aX:y",
        ]
    ),
    st.text(max_size=6),
)
_paths = st.one_of(
    _keys.map(lambda key: f"/{NAME}/{key}"),
    st.sampled_from(
        [
            "",
            "/",
            "//",
            f"/{NAME}",
            f"/{NAME}/",
            f"//{NAME}/key",
            f"/{NAME}%2Fkey",
            "/%00",
            "/..",
            "/no-such-bucket/key",
            "*",
            "http://x/y",
        ]
    ),
)
_hosts = st.sampled_from(
    ["x", f"{NAME}.s3.local-1.mallee.internal", f"{NAME}.s3-website.local-1.mallee.internal", "", "é", "s3.mallee.internal"]
)


@st.composite
def _queries(draw: st.DrawFn) -> str:
    parts = [draw(st.sampled_from(_SUBRESOURCES))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 3))):
        value = draw(_texts)
        if draw(st.booleans()):
            value = "".join(f"%{byte:02x}" for byte in value.encode("utf-8", "surrogatepass"))
        parts.append(f"{draw(st.sampled_from(_PARAMETERS))}={value}")
    return "&".join(parts)


def _raw(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


_headers = st.lists(st.tuples(st.sampled_from(_HEADERS), _texts), max_size=4)
_bodies = st.one_of(st.sampled_from(_BODIES), st.binary(max_size=50))


@pytest.fixture(scope="module", params=ENGINES)
def open_cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _empty_database: Path) -> Iterator[TestCloud]:
    folder = tmp_path_factory.mktemp("fuzz")
    clock = ManualClock()
    if request.param == "sqlite":
        shutil.copy(_empty_database, folder / "cloud.db")
        database = Database(f"sqlite:///{folder}/cloud.db", clock, synchronous=False)
    else:
        server = request.getfixturevalue("postgresql_server")
        server.create("fuzz")
        database = Database(server.url("fuzz"), clock, synchronous=False)
        schema.create(database)
    made = TestCloud(folder / "home", database, clock)
    _open(made)
    yield made
    made.close()
    database.close()


def _open(cloud: TestCloud) -> None:
    s3 = bucket(cloud, public=True, lock=True)
    s3.put_object(Bucket=NAME, Key="key", Body=b"text")
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{NAME}", f"arn:aws:s3:::{NAME}/*"]},
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:DeleteBucket", "s3:*BucketPolicy", "s3:*PublicAccessBlock"],
            "Resource": f"arn:aws:s3:::{NAME}",
        },
    ]
    s3.put_bucket_policy(Bucket=NAME, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))


def check(cloud: TestCloud, method: str, answer: tuple[int, dict[str, str], bytes]) -> None:
    status, headers, body = answer
    assert cloud.cloud.dispatcher.faults == 0
    assert status < 500 or status == 501, body
    for name, value in headers.items():
        assert not any(character in name + value for character in "\r\n\0"), (name, value)
    if status >= 400 and body and headers.get("content-type") == "application/xml":
        code = ElementTree.fromstring(body.decode())
        assert code.find(".//Code") is not None
        assert "InternalError" not in body.decode()
    if method == "HEAD":
        assert body == b""


_fuzz = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@_fuzz
@given(
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"]),
    _paths,
    _queries(),
    _hosts,
    _headers,
    _bodies,
    st.booleans(),
)
@example("PUT", f"/{NAME}/key", "", "x", [("content-length", "9" * 5000)], b"text", False)
def test_anything(
    open_cloud: TestCloud, method: str, path: str, query: str, host: str, headers: list[tuple[str, str]], body: bytes, tells: bool
) -> None:
    given = [(b"host", _raw(host)), *((name.encode(), _raw(value)) for name, value in headers)]
    if tells:
        given.append((b"content-length", b"%d" % len(body)))
    check(open_cloud, method, _send(open_cloud, method, path, query, given, body))


def _send(cloud: TestCloud, method: str, path: str, query: str, given: list[tuple[bytes, bytes]], body: bytes) -> Any:
    path = "".join(
        character if "!" <= character <= "~" else "".join(f"%{byte:02x}" for byte in _raw(character)) for character in path
    )
    query = "".join(
        character if "!" <= character <= "~" else "".join(f"%{byte:02x}" for byte in _raw(character)) for character in query
    )
    return cloud.request(method, path, query, given, body)


@_fuzz
@given(
    st.dictionaries(
        st.one_of(
            st.sampled_from(_FIELDS),
            st.sampled_from(_HEADERS), st.text(max_size=5),
        ),
        _texts, max_size=5,
    ),
    st.binary(max_size=20), st.text(max_size=10), st.binary(max_size=10), st.integers(0, 400),
)  # fmt: skip
def test_any_form(open_cloud: TestCloud, fields: dict[str, str], content: bytes, filename: str, after: bytes, cut: int) -> None:
    body = forms.encoded({"key": "x", **{name: _raw(value) for name, value in fields.items()}}, content, filename, after)
    if cut < 100:
        body = body[: -cut or None]
    check(open_cloud, "POST", forms.send(open_cloud, body))


@_fuzz
@given(st.binary(max_size=200))
def test_any_body_of_a_form(open_cloud: TestCloud, body: bytes) -> None:
    check(open_cloud, "POST", forms.send(open_cloud, b"--" + forms.BOUNDARY + b"\r\n" + body))


_EVIL = ("%00", "a%00b", "%ff", "%C0%AF", "%ED%A0%80", "%F4%90%80%80", "%0d%0ax:y", "..%2f..", "%e2%80%a8", "'", "%25", "9" * 4400)


@pytest.mark.parametrize("parameter", ["uploadId", "versionId", "partNumber", "id", "prefix", "delimiter", "marker", "key-marker", "upload-id-marker",
    "version-id-marker", "continuation-token", "start-after", "max-keys", "part-number-marker", "encoding-type", "max-parts", "x-id"])  # fmt: skip
def test_evil_values(open_cloud: TestCloud, parameter: str) -> None:
    """Each where it means something."""
    for value in _EVIL:
        asked = f"{parameter}={value}"
        for method, path, more in (
            ("GET", "", ""), ("GET", "", "list-type=2"), ("GET", "", "versions"), ("GET", "", "uploads"), ("GET", "", "inventory"),
            ("GET", "/key", ""),
            ("GET", "/key", "uploadId=x"), ("GET", "/key", "tagging"), ("HEAD", "/key", ""), ("DELETE", "/key", ""), ("DELETE", "/key", "uploadId=x"),
            ("PUT", "/key", "partNumber=1"), ("POST", "/key", ""), ("GET", "/key", "attributes"), ("DELETE", "", "analytics"),
        ):  # fmt: skip
            query = "&".join(filter(None, (more, asked)))
            headers = [(b"host", b"x"), (b"content-length", b"0"), (b"x-amz-object-attributes", b"ETag,ObjectParts")]
            check(open_cloud, method, open_cloud.request(method, f"/{NAME}{path}", query, headers))


@pytest.mark.parametrize("value", _EVIL)
def test_evil_names(open_cloud: TestCloud, value: str) -> None:
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"):
        for path in (f"/{value}", f"/{value}/key", f"/{NAME}/{value}", f"/{NAME}/a/{value}/b"):
            for query in ("", "uploads", "tagging", "acl", "list-type=2"):
                check(open_cloud, method, open_cloud.request(method, path, query, [(b"host", b"x"), (b"content-length", b"0"), (b"origin", b"http://x")]))
        copy = [(b"host", b"x"), (b"content-length", b"0"), (b"x-amz-copy-source", f"/{NAME}/{value}".encode())]
        check(open_cloud, method, open_cloud.request(method, f"/{NAME}/copy", "", copy))
