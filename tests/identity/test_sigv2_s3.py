"""S3's version 2 against botocore's own signers, and each way of not being believed."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import format_datetime
from typing import Any
from unittest import mock
from urllib.parse import quote, urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mallee.identity.call import ANONYMOUS
from mallee.identity.signature import s3v2
from mallee.wire import Request, services
from tests.identity import signing
from tests.identity.conftest import Identity
from tests.identity.signing import NOW, changed, with_header

S3 = ("s3", "rest-xml")
SECOND = datetime.timedelta(seconds=1)


def signed(
    identity: Identity,
    method: str = "GET",
    path: str = "/bucket/key",
    *,
    headers: dict[str, str] | None = None,
    host: str = "127.0.0.1:8773",
    auth_path: str | None = None,
    expires: int | None = None,
    secret: str | None = None,
    moment: datetime.datetime = NOW,
    token: str | None = None,
) -> Request:
    """By botocore's signer of version 2, as the server receives it."""
    keys = signing.keys(identity.root, **({"secret": secret} if secret else {}), token=token)
    asked = AWSRequest(method, f"http://{host}{path}", headers=headers or {}, auth_path=auth_path)
    with _at(moment):
        if expires is None:
            auth.HmacV1Auth(keys).add_auth(asked)
        else:
            auth.HmacV1QueryAuth(keys, expires).add_auth(asked)
    target = urlsplit(asked.url)
    sent = [(name.lower().encode(), str(value).encode()) for name, value in asked.headers.items()]
    if expires is not None:
        sent = [pair for pair in sent if pair[0] != b"date"]
    return Request(method, target.path.encode(), target.query.encode(), [*sent, (b"host", host.encode())], b"")


@contextmanager
def _at(moment: datetime.datetime) -> Iterator[None]:
    """botocore's two clocks of version 2."""
    date = format_datetime(moment, usegmt=True)
    with mock.patch("botocore.auth.formatdate", lambda **_: date), mock.patch("botocore.auth.time.time", moment.timestamp):
        yield


@pytest.mark.parametrize(
    "path",
    ["/", "/bucket", "/bucket/", "/b/k", "/b//k", "/b/../k", "/b/k%20x%2By", "/b/%C3%A9/~", "/b/a%2Fb", "/b/a+b", "/b/%28x%29"],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
def test_the_path_is_signed_as_it_came(identity: Identity, path: str, method: str) -> None:
    assert identity.principal(signed(identity, method, path), *S3).is_root
    assert identity.principal(signed(identity, method, path, expires=60), *S3).is_root


@pytest.mark.parametrize(
    "query",
    [
        "acl", "uploads", "uploadId=x%2Fy&partNumber=2", "versionId=null&acl", "prefix=a&delimiter=%2F&marker=b", "policy",
        "response-content-type=text%2Fplain&response-content-disposition=attachment%3B%20filename%3D%22x%22",
    ],
)  # fmt: skip
def test_sub_resources_and_overrides_are_signed(identity: Identity, query: str) -> None:
    for expires in (None, 60):
        request = signed(identity, path=f"/bucket/key?{query}", expires=expires)
        identity.principal(request, *S3)
        assert (
            identity.refusal(changed(request, raw_query=request.raw_query + b"&retention"), *S3).code == "SignatureDoesNotMatch"
        )
        assert identity.refusal(changed(request, raw_query=request.raw_query + b"&versions"), *S3).code == "SignatureDoesNotMatch"


def test_every_sub_resource_of_the_model_is_signed() -> None:
    """Or an address of an object would be one of what the sub-resource is, too."""
    known = {name.decode() for name in s3v2.SIGNED}
    service = services.get("s3")
    for name in service.operations:
        uri = service.operation(name).http["requestUri"]
        keys = {part.partition("=")[0] for part in uri.partition("?")[2].split("&") if part} - {"x-id", "list-type", "id"}
        assert keys <= known, name


def test_botocore_s_list_is_among_ours() -> None:
    assert {name.encode() for name in auth.HmacV1Auth.QSAOfInterest} <= s3v2.SIGNED


def test_headers_of_amazon_s_are_signed(identity: Identity) -> None:
    headers = {"x-amz-meta-b": "two  words", "x-amz-meta-a": "1", "Content-Type": "text/plain", "Content-MD5": "abc=="}
    request = signed(identity, "PUT", headers=headers)
    identity.principal(request, *S3)
    for name, value in (
        ("x-amz-meta-b", "two words"),
        ("x-amz-acl", "public-read"),
        ("content-type", "text/html"),
        ("content-md5", None),
    ):
        assert identity.refusal(with_header(request, name, value), *S3).code == "SignatureDoesNotMatch"


def test_x_amz_date_stands_for_the_date(identity: Identity) -> None:
    stamp = format_datetime(NOW, usegmt=True)
    request = with_header(signed(identity), "date", None)
    to_sign = f"GET\n\n\n\nx-amz-date:{stamp}\n/bucket/key"
    signature = auth.HmacV1Auth(signing.keys(identity.root)).sign_string(to_sign)
    request = with_header(
        with_header(request, "x-amz-date", stamp), "authorization", f"AWS {identity.root.access_key_id}:{signature}"
    )
    identity.principal(request, *S3)


def test_virtual_hosts(identity: Identity) -> None:
    domain = identity.settings.s3_domains[0]
    for expires in (None, 60):
        host = f"my.bucket.{domain}:8773"
        request = signed(identity, path="/key%20a?acl", host=host, auth_path="/my.bucket/key%20a", expires=expires)
        identity.principal(request, *S3)
        elsewhere = with_header(request, "host", f"other.{domain}")
        assert identity.refusal(elsewhere, *S3).code == "SignatureDoesNotMatch"


def test_headers_in_the_query_count(identity: Identity) -> None:
    request = signed(identity, "PUT", headers={"x-amz-acl": "public-read", "Content-Type": "a/b"}, expires=60)
    bare = changed(request, headers=[(b"host", b"127.0.0.1:8773")])
    identity.principal(bare, *S3)
    assert bare.header(b"x-amz-acl") == b"public-read" and bare.header(b"content-type") == b"a/b"
    other = changed(bare, raw_query=bare.raw_query.replace(b"public-read", b"private"), headers=[(b"host", b"127.0.0.1:8773")])
    assert identity.refusal(other, *S3).code == "SignatureDoesNotMatch"


def test_in_version_4_too(identity: Identity) -> None:
    request = signing.presigned(identity.root, "s3", path="/b/k?x-amz-meta-colour=red&x-amz-tagging=a%3Db", method="PUT")
    identity.principal(request, *S3)
    assert request.header(b"x-amz-meta-colour") == b"red" and request.header(b"x-amz-tagging") == b"a=b"
    both = with_header(signing.presigned(identity.root, "s3", path="/b/k?x-amz-meta-colour=red"), "x-amz-meta-colour", "blue")
    assert identity.refusal(both, *S3).fields["HeadersNotSigned"] == "x-amz-meta-colour"


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    metadata=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
    value=st.text(st.characters(exclude_categories=("Cs",)), max_size=12),
    expires=st.sampled_from([None, 60]),
)
def test_whatever_botocore_signs_is_believed(
    identity: Identity, key: str, metadata: str, value: str, expires: int | None
) -> None:
    path = f"/bucket/{quote(key, safe='/~')}"
    query = f"?versionId={quote(value, safe='')}" if value else ""
    headers = {"x-amz-meta-x": metadata} if metadata and expires is None else {}
    if all(ord(letter) < 128 for letter in value):  # botocore writes others as characters, AWS's servers as their bytes
        identity.principal(signed(identity, "PUT", path + query, headers=headers, expires=expires), *S3)


# --------------------------------------------------------------------------------------------------------- not believed


def told(error: Any) -> tuple[str, int, str]:
    return error.code, error.status, error.message


def test_skew(identity: Identity) -> None:
    request = signed(identity)
    for minutes in (-14, 14):
        identity.now = NOW + datetime.timedelta(minutes=minutes)
        identity.principal(request, *S3)
    for minutes in (-16, 16):
        identity.now = NOW + datetime.timedelta(minutes=minutes)
        error = identity.refusal(request, *S3)
        assert told(error)[:2] == ("RequestTimeTooSkewed", 403)
        assert (
            error.fields["RequestTime"] == "Sat, 01 Mar 2025 12:00:00 GMT"
            and error.fields["MaxAllowedSkewMilliseconds"] == "900000"
        )


@pytest.mark.parametrize("date", ["", "yesterday", "2025-03-01", None])
def test_dates(identity: Identity, date: str | None) -> None:
    error = identity.refusal(with_header(signed(identity), "date", date), *S3)
    assert told(error) == ("AccessDenied", 403, "AWS authentication requires a valid Date or x-amz-date header")


def test_expired(identity: Identity) -> None:
    request = signed(identity, expires=60)
    identity.now = NOW + 60 * SECOND
    identity.principal(request, *S3)
    identity.now = NOW + 61 * SECOND
    error = identity.refusal(request, *S3)
    assert told(error) == ("AccessDenied", 403, "Request has expired")
    assert error.fields == {"Expires": "2025-03-01T12:01:00Z", "ServerTime": "2025-03-01T12:01:01Z"}


def test_the_query_must_be_whole(identity: Identity) -> None:
    request = signed(identity, expires=60)
    text = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
    parts = request.raw_query.split(b"&")
    for name in (b"Signature", b"Expires", b"AWSAccessKeyId"):
        left = b"&".join(part for part in parts if not part.startswith(name))
        assert told(identity.refusal(changed(request, raw_query=left), *S3)) == ("AccessDenied", 403, text)
        twice = b"&".join([*parts, name + b"=x"])
        assert told(identity.refusal(changed(request, raw_query=twice), *S3)) == ("AccessDenied", 403, text)
    soon = changed(request, raw_query=b"AWSAccessKeyId=A&Signature=b&Expires=soon")
    assert identity.refusal(soon, *S3).message == "Invalid date (should be seconds since epoch): soon"


def test_what_it_says_of_a_wrong_signature(identity: Identity) -> None:
    error = identity.refusal(signed(identity, secret="x" * 40), *S3)
    assert told(error)[:2] == ("SignatureDoesNotMatch", 403)
    assert error.fields["StringToSign"] == "GET\n\n\nSat, 01 Mar 2025 12:00:00 GMT\n/bucket/key"
    assert bytes.fromhex(error.fields["StringToSignBytes"]).decode() == error.fields["StringToSign"]
    assert "CanonicalRequest" not in error.fields


def test_unknown_keys(identity: Identity) -> None:
    request = with_header(signed(identity), "authorization", "AWS AKIANOBODY:c2ln")
    error = identity.refusal(request, *S3)
    assert (error.code, error.fields) == ("InvalidAccessKeyId", {"AWSAccessKeyId": "AKIANOBODY"})
    stolen = identity.refusal(signed(identity, token="nobody's"), *S3)
    assert (told(stolen)[:2], stolen.fields["Token-0"]) == (("InvalidToken", 400), "nobody's")


@pytest.mark.parametrize("text", ["AWS", "AWS ", "AWS key", "AWS key:", "AWS :sig", "AWS a b:c"])
def test_malformed_headers(identity: Identity, text: str) -> None:
    error = identity.refusal(with_header(signed(identity), "authorization", text), *S3)
    assert told(error) == ("InvalidArgument", 400, "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature")


@pytest.mark.parametrize("text", ["", "Bearer abc", "Basic QUxBRERJTjpPUEVO", "AWS3 x"])
def test_other_schemes(identity: Identity, text: str) -> None:
    error = identity.refusal(with_header(signed(identity), "authorization", text), *S3)
    assert told(error) == ("InvalidArgument", 400, "Unsupported Authorization Type")
    assert error.fields == {"ArgumentName": "Authorization", "ArgumentValue": text}


def test_one_way_only(identity: Identity) -> None:
    header = dict(signed(identity).headers)[b"authorization"]
    for request in (signed(identity, expires=60), signing.presigned(identity.root, "s3", path="/b/k")):
        error = identity.refusal(with_header(request, "authorization", header), *S3)
        assert error.code == "InvalidArgument" and error.message.startswith("Only one auth mechanism allowed;")


def test_nobody(identity: Identity) -> None:
    request = Request("GET", b"/b/k", b"prefix=x&Expires=1", [(b"host", b"x")], b"")
    assert identity.principal(request, *S3) is ANONYMOUS
    digest = with_header(request, "x-amz-content-sha256", "0" * 64)
    assert identity.refusal(digest, *S3).code == "XAmzContentSHA256Mismatch"
    chunks = with_header(request, "x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    assert identity.refusal(chunks, *S3).code == "InvalidRequest"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Credential": "x"}, 'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'),
        ({"Credential": "A/20250301/local-1/s3/aws5"}, 'incorrect terminal "aws5". This endpoint uses "aws4_request".'),
        ({"Credential": "A/20250301/local-1/ec2/aws4_request"}, 'incorrect service "ec2". This endpoint belongs to "s3".'),
        ({"Credential": "A/20250228/local-1/s3/aws4_request"}, 'Invalid credential date "20250228".'),
        ({"Signature": ""}, "the authorization header requires three components: Credential, SignedHeaders, and Signature."),
    ],
)
def test_version_4_in_s3_s_words(identity: Identity, change: dict[str, str], message: str) -> None:
    parts = {
        "Credential": "A/20250301/local-1/s3/aws4_request",
        "SignedHeaders": "host;x-amz-content-sha256;x-amz-date",
        "Signature": "s",
    }
    header = "AWS4-HMAC-SHA256 " + ", ".join(f"{name}={value}" for name, value in (parts | change).items())
    error = identity.refusal(with_header(signing.s3(identity.root), "authorization", header), *S3)
    assert (error.code, error.status) == ("AuthorizationHeaderMalformed", 400)
    assert error.message.startswith(f"The authorization header is malformed; {message}")


def test_version_4_presigned_in_s3_s_words(identity: Identity) -> None:
    request = signing.presigned(identity.root, "s3", path="/b/k", region="eu-west-1")
    error = identity.refusal(request, *S3)
    assert (error.code, error.fields) == ("AuthorizationQueryParametersError", {"Region": "local-1"})
    assert error.message == "Error parsing the X-Amz-Credential parameter; the region 'eu-west-1' is wrong; expecting 'local-1'"
    whole = signing.presigned(identity.root, "s3", path="/b/k")
    left = changed(
        whole, raw_query=b"&".join(each for each in whole.raw_query.split(b"&") if not each.startswith(b"X-Amz-Expires"))
    )
    assert identity.refusal(left, *S3).message.startswith("Query-string authentication version 4 requires the X-Amz-Algorithm,")


def test_a_week_is_the_longest(identity: Identity) -> None:
    request = signing.presigned(identity.root, "s3", path="/b/k", expires=604_800)
    identity.now = NOW + datetime.timedelta(days=7)
    identity.principal(request, *S3)
    identity.now += SECOND
    assert identity.refusal(request, *S3).message == "Request has expired"
