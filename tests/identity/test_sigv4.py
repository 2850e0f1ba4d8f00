"""Version 4 signatures against botocore's own signers: what must be believed, and each way of not being believed."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable

import pytest
from botocore import auth
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mallee.identity.call import ANONYMOUS
from mallee.identity.signature import sigv4
from mallee.identity.signature.refusals import Refused
from mallee.wire import AwsError, Request
from tests.identity import signing
from tests.identity.conftest import Identity
from tests.identity.signing import NOW, changed, header, with_header

MINUTE = datetime.timedelta(minutes=1)
FAMILIES = {
    "query": ("sts", "query"),
    "ec2": ("ec2", "ec2"),
    "json": ("logs", "json"),
    "rest-json": ("logs", "rest-json"),
}


# ------------------------------------------------------------------------------------------------------------- believed


def test_the_header_form_names_the_root_of_the_account(identity: Identity) -> None:
    principal = identity.principal(signing.query(identity.root))
    assert principal.account_id == principal.user_id == "123456789012"
    assert principal.arn == "arn:aws:iam::123456789012:root"
    assert principal.is_root and principal.access_key_id == identity.root.access_key_id


@pytest.mark.parametrize(
    "path",
    ["/", "/a/b", "/a//b", "/a/./b/../c/", "/a%20b/%C3%A9", "/arn%3Aaws%3Alogs/x", "/~user/-_.", "/a%2Fb", "/a+b", "/%25"],
)
def test_paths_are_normalized_and_encoded_twice(identity: Identity, path: str) -> None:
    identity.principal(signing.query(identity.root, "logs", path=path), "logs", "rest-json")


@pytest.mark.parametrize(
    "path", ["/", "/b/k", "/b/a//b", "/b/../c", "/b/k%20x%2By", "/b/%C3%A9/~", "/b/a%2Fb", "/b/%28x%29%21%2A"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
def test_s3_signs_the_path_as_it_is(identity: Identity, path: str, method: str) -> None:
    body = b"some bytes" if method == "PUT" else b""
    identity.principal(signing.s3(identity.root, method, path, body=body), "s3", "rest-xml")


@pytest.mark.parametrize(
    "params",
    [
        {"b": "2", "a": "1"},
        {"a": "", "acl": ""},
        {"prefix": "a b+c&d=e/é", "A": "x", "a": "y"},
        {"x": "~-_.", "y": "!*'()"},
        {"k": "%20"},
    ],
)
def test_the_query_is_sorted_and_encoded(identity: Identity, params: dict[str, str]) -> None:
    identity.principal(signing.s3(identity.root, "GET", "/bucket", params=params), "s3", "rest-xml")


def test_a_sub_resource_without_a_value_is_signed_as_an_empty_one(identity: Identity) -> None:
    request = signing.s3(identity.root, "GET", "/bucket?acl=")
    identity.principal(changed(request, raw_query=b"acl"), "s3", "rest-xml")


def test_header_values_are_folded(identity: Identity) -> None:
    request = signing.query(identity.root, headers={"Content-Type": signing.FORM, "X-Amz-Meta": "a  b   c"})
    for spelled in ("a b c", "  a   b c  ", "a\tb  c"):
        identity.principal(with_header(request, "x-amz-meta", spelled))


def test_a_repeated_header_is_signed_as_the_joined_value(identity: Identity) -> None:
    request = signing.query(identity.root, headers={"Content-Type": signing.FORM, "X-Amz-Meta": "one,two"})
    twice = with_header(with_header(request, "x-amz-meta", "one"), "x-amz-meta", "two", add=True)
    identity.principal(twice)
    other_order = with_header(with_header(request, "x-amz-meta", "two"), "x-amz-meta", "one", add=True)
    assert identity.refusal(other_order).code == "SignatureDoesNotMatch"


def test_unicode_in_headers_and_bodies(identity: Identity) -> None:
    headers = {"Content-Type": signing.FORM, "X-Amz-Meta": "grüße"}
    body = "Action=GetCallerIdentity&Version=2011-06-15&X=日本語".encode()
    request = signing.query(identity.root, body=body, headers=headers)
    signed = with_header(request, "x-amz-meta", "grüße".encode())
    identity.principal(signed)


def test_a_date_header_serves_where_x_amz_date_is_missing(identity: Identity) -> None:
    request = signing.query(identity.root, headers={"Content-Type": signing.FORM, "Date": "Sat, 01 Mar 2025 12:00:00 GMT"})
    identity.principal(request)


def test_other_regions_that_clients_sign_for(identity: Identity) -> None:
    identity.principal(signing.query(identity.root, "sts", "us-east-1"))
    identity.principal(signing.query(identity.root, "ec2", "us-east-1"), "ec2", "ec2")


def test_presigned(identity: Identity) -> None:
    request = signing.presigned(identity.root)
    for minutes in (0, 4, 14):
        identity.now = NOW + minutes * MINUTE
        identity.principal(request)


def test_presigned_s3_with_odd_keys_and_overrides(identity: Identity) -> None:
    path = "/bucket/k%20x%2B%C3%A9?response-content-type=text%2Fplain&versionId=a+b"
    request = signing.presigned(identity.root, "s3", path=path.replace("a+b", "a%20b"))
    identity.principal(request, "s3", "rest-xml")
    put = signing.presigned(identity.root, "s3", path="/bucket/key", method="PUT")
    identity.principal(changed(put, body=b"any data: the payload is not signed"), "s3", "rest-xml")


def test_unsigned_payload_over_s3(identity: Identity) -> None:
    headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}

    class Unsigned(auth.S3SigV4Auth):
        def payload(self, request: object) -> str:
            return "UNSIGNED-PAYLOAD"

    signer = Unsigned(signing.keys(identity.root), "s3", "local-1")
    request = signing.prepared(signer, "PUT", "/b/k", body=b"x", headers=headers)
    identity.principal(changed(request, body=b"another"), "s3", "rest-xml")


_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    params=st.dictionaries(_TEXT.filter(bool), _TEXT, max_size=4),
    segments=st.lists(_TEXT, max_size=4),
    body=st.binary(max_size=60),
    is_s3=st.booleans(),
    metadata=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
)
def test_whatever_botocore_signs_is_believed(
    identity: Identity, params: dict[str, str], segments: list[str], body: bytes, is_s3: bool, metadata: str
) -> None:
    from urllib.parse import quote

    path = "/" + "/".join(quote(segment, safe="~") for segment in segments)
    if path.startswith("//"):
        path = "/x" + path
    headers = {"X-Amz-Meta-A": metadata.strip()}
    if is_s3:
        request = signing.s3(identity.root, "PUT", path, params=params, body=body, headers=headers)
        identity.principal(request, "s3", "rest-xml")
    else:
        request = signing.query(identity.root, "logs", path=path, params=params, body=body, headers=headers)
        identity.principal(request, "logs", "rest-json")


# --------------------------------------------------------------------------------------------------------- not believed


def signed_for(family: str, identity: Identity, **options: object) -> tuple[Request, str, str]:
    service, protocol = FAMILIES[family]
    return signing.query(identity.root, service, **options), service, protocol  # type: ignore[arg-type]


UNKNOWN_KEY = {
    "query": ("InvalidClientTokenId", 403, "The security token included in the request is invalid."),
    "ec2": ("AuthFailure", 401, "AWS was not able to validate the provided access credentials"),
    "json": ("UnrecognizedClientException", 400, "The security token included in the request is invalid."),
    "rest-json": ("UnrecognizedClientException", 403, "The security token included in the request is invalid."),
}
MISMATCH = {
    "query": ("SignatureDoesNotMatch", 403),
    "ec2": ("AuthFailure", 401),
    "json": ("InvalidSignatureException", 400),
    "rest-json": ("InvalidSignatureException", 403),
}
EXPIRED = MISMATCH | {"ec2": ("RequestExpired", 400)}
MISSING = {
    "query": ("MissingAuthenticationToken", 403),
    "ec2": ("MissingAuthenticationToken", 403),
    "json": ("MissingAuthenticationTokenException", 400),
    "rest-json": ("MissingAuthenticationTokenException", 403),
}
INCOMPLETE = {
    "query": ("IncompleteSignature", 400),
    "ec2": ("IncompleteSignature", 400),
    "json": ("IncompleteSignatureException", 400),
    "rest-json": ("IncompleteSignatureException", 403),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_unknown_key(identity: Identity, family: str) -> None:
    request, service, protocol = signed_for(family, identity, access_key_id="AKIAUNKNOWNUNKNOWNXX")
    error = identity.refusal(request, service, protocol)
    assert (error.code, error.status, error.message) == UNKNOWN_KEY[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_session_token_that_nobody_gave(identity: Identity, family: str) -> None:
    request, service, protocol = signed_for(family, identity, token="FwoGZXIvYXdzEBYaD")
    assert identity.refusal(request, service, protocol).code == UNKNOWN_KEY[family][0]


@pytest.mark.parametrize("family", FAMILIES)
def test_wrong_secret(identity: Identity, family: str) -> None:
    request, service, protocol = signed_for(family, identity, secret="x" * 40)
    error = identity.refusal(request, service, protocol)
    assert (error.code, error.status) == MISMATCH[family]
    if family == "query":
        assert error.message.startswith("The request signature we calculated does not match the signature you provided.")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("minutes", [6, -6, 60 * 24 * 400, -60 * 24 * 400])
def test_clock_skew(identity: Identity, family: str, minutes: int) -> None:
    request, service, protocol = signed_for(family, identity)
    identity.now = NOW + minutes * MINUTE
    error = identity.refusal(request, service, protocol)
    assert (error.code, error.status) == EXPIRED[family]


def test_skew_messages_are_the_ones_that_sdks_read(identity: Identity) -> None:
    request = signing.query(identity.root)
    identity.now = NOW + 6 * MINUTE
    assert identity.refusal(request).message == (
        "Signature expired: 20250301T120000Z is now earlier than 20250301T120100Z (20250301T120600Z - 5 min.)"
    )
    identity.now = NOW - 6 * MINUTE
    assert identity.refusal(request).message == (
        "Signature not yet current: 20250301T120000Z is still later than 20250301T115900Z (20250301T115400Z + 5 min.)"
    )
    for minutes in (-5, 5):
        identity.now = NOW + minutes * MINUTE
        identity.principal(request)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_signature(identity: Identity, family: str) -> None:
    request, service, protocol = signed_for(family, identity)
    error = identity.refusal(with_header(request, "authorization", None), service, protocol)
    assert (error.code, error.status) == MISSING[family]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA256 Credential",
        "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=b",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e/aws4_request, SignedHeaders=host, Signature=b",
        "AWS4-HMAC-SHA256 Credential=A/20250301/local-1/sts/aws4_request, Signature=b",
        "AWS4-HMAC-SHA256 Credential=A/20250301/local-1/sts/aws4_request, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature=",
        "AWS4-HMAC-SHA256 SignedHeaders=host, SignedHeaders=host, Signature=a, Credential=b",
        "AWS4-HMAC-SHA1 Credential=x",
        "Bearer abc",
        "Basic QUxBRERJTjpPUEVO",
        "AWS AKIA:signature",
        "\x00\x01=,=,=",
        "AWS4-HMAC-SHA256 " + "a=b," * 5000,
    ],
)
def test_malformed_headers(identity: Identity, family: str, authorization: str) -> None:
    request, service, protocol = signed_for(family, identity)
    error = identity.refusal(with_header(request, "authorization", authorization), service, protocol)
    assert (error.code, error.status) == INCOMPLETE[family]


def test_what_an_incomplete_signature_says(identity: Identity) -> None:
    request = with_header(signing.query(identity.root), "authorization", "AWS4-HMAC-SHA256 SignedHeaders=host")
    error = identity.refusal(with_header(request, "x-amz-date", None))
    assert error.message == (
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. "
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
        "Authorization=AWS4-HMAC-SHA256 SignedHeaders=host"
    )


@pytest.mark.parametrize("date", ["", "yesterday", "20250301T1200Z", "20250230T120000Z", "٢٠٢٥٠٣٠١T120000Z", "99999999T999999Z"])
def test_malformed_dates(identity: Identity, date: str) -> None:
    request = with_header(signing.query(identity.root), "x-amz-date", date)
    assert identity.refusal(request).code == "IncompleteSignature"


@pytest.mark.parametrize(
    ("family", "code"), [("query", "SignatureDoesNotMatch"), ("ec2", "AuthFailure"), ("json", "InvalidSignatureException")]
)
def test_scope(identity: Identity, family: str, code: str) -> None:
    service, protocol = FAMILIES[family]
    elsewhere = signing.query(identity.root, service, "eu-west-1")
    error = identity.refusal(elsewhere, service, protocol)
    assert error.code == code and error.message == "Credential should be scoped to a valid region, not 'eu-west-1'. "
    error = identity.refusal(signing.query(identity.root, "kms"), service, protocol)
    assert error.code == code and error.message == f"Credential should be scoped to correct service: '{service}'. "


def test_the_day_of_the_scope_must_be_the_date_s(identity: Identity) -> None:
    request = signing.query(identity.root)
    moved = header(request, "authorization").replace("/20250301/", "/20250228/")
    error = identity.refusal(with_header(request, "authorization", moved))
    assert error.code == "SignatureDoesNotMatch"
    assert error.message.startswith("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date")
    other = header(request, "authorization").replace("aws4_request", "aws5_request")
    assert "valid terminator" in identity.refusal(with_header(request, "authorization", other)).message


@pytest.mark.parametrize(
    "part",
    [
        {"method": "PUT"},
        {"raw_path": b"/other"},
        {"raw_query": b"Action=RunInstances"},
        {"body": b"Action=GetCallerIdentity&Version=2011-06-16"},
        {"body": b""},
    ],
)
def test_every_part_is_covered(identity: Identity, part: dict[str, bytes]) -> None:
    assert identity.refusal(changed(signing.query(identity.root), **part)).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("name", ["host", "content-type", "x-amz-date"])
def test_signed_headers_cannot_be_changed_or_dropped(identity: Identity, name: str) -> None:
    request = signing.query(identity.root)
    for other in (header(request, name) + "x", None):
        assert identity.refusal(with_header(request, name, other)).code in ("SignatureDoesNotMatch", "IncompleteSignature")


@pytest.mark.parametrize("name", ["x-amz-target", "x-amz-security-token", "x-amz-content-sha256", "X-Amz-Anything"])
def test_headers_that_were_smuggled_in(identity: Identity, name: str) -> None:
    for family in FAMILIES:
        request, service, protocol = signed_for(family, identity)
        error = identity.refusal(with_header(request, name, "smuggled"), service, protocol)
        assert error.code in ("SignatureDoesNotMatch", "AuthFailure", "InvalidSignatureException")
        assert name.lower() in error.message
    s3 = identity.refusal(with_header(signing.s3(identity.root), "x-amz-meta-x", "smuggled"), "s3", "rest-xml")
    assert (s3.code, s3.status, s3.fields["HeadersNotSigned"]) == ("AccessDenied", 403, "x-amz-meta-x")


def test_a_header_sent_twice_is_not_picked_from(identity: Identity) -> None:
    request = signing.query(identity.root)
    for name in ("x-amz-date", "host", "content-type"):
        doubled = with_header(request, name, header(request, name), add=True)
        assert identity.refusal(doubled).code in ("SignatureDoesNotMatch", "IncompleteSignature")
    twice = with_header(request, "authorization", header(request, "authorization"), add=True)
    assert identity.refusal(twice).code == "IncompleteSignature"


def test_the_host_must_be_signed(identity: Identity) -> None:
    request = signing.query(identity.root)
    without = header(request, "authorization").replace("content-type;host;", "content-type;")
    assert identity.refusal(with_header(request, "authorization", without)).code == "SignatureDoesNotMatch"


def test_two_ways_of_signing_at_once(identity: Identity) -> None:
    request = signing.presigned(identity.root)
    both = with_header(request, "authorization", header(signing.query(identity.root), "authorization"))
    assert identity.refusal(both).code == "IncompleteSignature"


# ------------------------------------------------------------------------------------------------------------ presigned


def test_a_presigned_request_expires(identity: Identity) -> None:
    request = signing.presigned(identity.root, expires=60)
    identity.now = NOW + datetime.timedelta(seconds=61)
    assert identity.refusal(request).code == "SignatureDoesNotMatch"
    ec2 = signing.presigned(identity.root, "ec2", expires=60)
    assert identity.refusal(ec2, "ec2", "ec2").code == "RequestExpired"
    s3 = signing.presigned(identity.root, "s3", expires=60, path="/bucket/key")
    error = identity.refusal(s3, "s3", "rest-xml")
    assert (error.code, error.message, error.status) == ("AccessDenied", "Request has expired", 403)
    assert error.fields["Expires"] == "2025-03-01T12:01:00Z" and error.fields["X-Amz-Expires"] == "60"


def test_a_presigned_request_from_the_future(identity: Identity) -> None:
    identity.now = NOW - 20 * MINUTE
    error = identity.refusal(signing.presigned(identity.root, "s3", path="/bucket/key"), "s3", "rest-xml")
    assert (error.code, error.message) == ("AccessDenied", "Request is not valid yet")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA1"),
        ("X-Amz-Credential", "nothing"),
        ("X-Amz-Date", "Sat, 01 Mar 2025"),
        ("X-Amz-Expires", "soon"),
        ("X-Amz-Expires", "-1"),
        ("X-Amz-Expires", "604801"),
        ("X-Amz-Expires", "9" * 30),
        ("X-Amz-Signature", ""),
        ("X-Amz-SignedHeaders", ""),
    ],
)
def test_malformed_presigned_parameters(identity: Identity, name: str, value: str) -> None:
    from urllib.parse import parse_qsl, urlencode

    for service, path in (("s3", "/b/k"), ("sts", "/?Action=GetCallerIdentity&Version=2011-06-15")):
        request = signing.presigned(identity.root, service, path=path)
        pairs = [(key, value if key == name else old) for key, old in parse_qsl(request.raw_query.decode())]
        broken = changed(request, raw_query=urlencode(pairs).encode())
        error = identity.refusal(broken, service, "rest-xml" if service == "s3" else "query")
        assert error.status == 400
        assert error.code == ("AuthorizationQueryParametersError" if service == "s3" else "IncompleteSignature")


def test_presigned_parameters_cannot_be_changed_or_repeated(identity: Identity) -> None:
    request = signing.presigned(identity.root, "s3", path="/b/k", expires=60)
    longer = changed(request, raw_query=request.raw_query.replace(b"X-Amz-Expires=60", b"X-Amz-Expires=600"))
    assert identity.refusal(longer, "s3", "rest-xml").code == "SignatureDoesNotMatch"
    twice = changed(request, raw_query=request.raw_query + b"&X-Amz-Date=20250301T120000Z")
    assert identity.refusal(twice, "s3", "rest-xml").code == "AuthorizationQueryParametersError"
    extra = changed(request, raw_query=request.raw_query + b"&acl")
    assert identity.refusal(extra, "s3", "rest-xml").code == "SignatureDoesNotMatch"


# ------------------------------------------------------------------------------------------------------------------- S3


def test_s3_says_what_it_signed(identity: Identity) -> None:
    request = signing.s3(identity.root, "GET", "/bucket/key", secret="x" * 40)
    error = identity.refusal(request, "s3", "rest-xml")
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)
    assert error.message.endswith("Check your key and signing method.")
    fields = error.fields
    assert fields["AWSAccessKeyId"] == identity.root.access_key_id
    assert fields["StringToSign"].startswith("AWS4-HMAC-SHA256\n20250301T120000Z\n20250301/local-1/s3/aws4_request\n")
    assert bytes.fromhex(fields["StringToSignBytes"]).decode() == fields["StringToSign"]
    assert fields["CanonicalRequest"].startswith("GET\n/bucket/key\n\nhost:127.0.0.1:8773\n")
    assert fields["SignatureProvided"] == header(request, "authorization").rpartition("Signature=")[2]
    digest = hashlib.sha256(bytes.fromhex(fields["CanonicalRequestBytes"])).hexdigest()
    assert fields["StringToSign"].endswith(digest)


def test_s3_unknown_key_and_skew(identity: Identity) -> None:
    unknown = identity.refusal(signing.s3(identity.root, access_key_id="AKIAX"), "s3", "rest-xml")
    assert (unknown.code, unknown.status, unknown.fields) == ("InvalidAccessKeyId", 403, {"AWSAccessKeyId": "AKIAX"})
    request = signing.s3(identity.root)
    identity.now = NOW + 14 * MINUTE
    identity.principal(request, "s3", "rest-xml")
    identity.now = NOW + 16 * MINUTE
    error = identity.refusal(request, "s3", "rest-xml")
    assert (error.code, error.status) == ("RequestTimeTooSkewed", 403)
    assert error.fields["RequestTime"] == "20250301T120000Z" and error.fields["ServerTime"] == "2025-03-01T12:16:00Z"


def test_s3_malformed_and_missing(identity: Identity) -> None:
    request = signing.s3(identity.root)
    assert identity.principal(with_header(request, "authorization", None), "s3", "rest-xml") is ANONYMOUS
    region = identity.refusal(signing.s3(identity.root, region="eu-west-1"), "s3", "rest-xml")
    assert (region.code, region.status, region.fields) == ("AuthorizationHeaderMalformed", 400, {"Region": "local-1"})
    assert region.message == "The authorization header is malformed; the region 'eu-west-1' is wrong; expecting 'local-1'"
    other = identity.refusal(with_header(request, "authorization", "AWS4-ECDSA-P256-SHA256 x=y"), "s3", "rest-xml")
    text = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
    assert (other.code, other.status, other.message) == ("InvalidRequest", 400, text)
    assert identity.refusal(with_header(request, "x-amz-content-sha256", None), "s3", "rest-xml").status == 400
    odd = identity.refusal(with_header(request, "x-amz-content-sha256", "abc"), "s3", "rest-xml")
    assert (odd.code, odd.status) == ("InvalidRequest", 400)


def test_s3_body_that_is_not_the_signed_one(identity: Identity) -> None:
    request = signing.s3(identity.root, "PUT", "/b/k", body=b"data")
    error = identity.refusal(changed(request, body=b"Data"), "s3", "rest-xml")
    assert (error.code, error.status) == ("XAmzContentSHA256Mismatch", 400)
    assert error.fields["S3ComputedContentSHA256"] == hashlib.sha256(b"Data").hexdigest()


# ----------------------------------------------------------------------------------------------------------- any bytes


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    authorization=st.one_of(st.binary(max_size=80), st.binary(max_size=40).map(lambda tail: b"AWS4-HMAC-SHA256 " + tail)),
    query=st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda tail: b"X-Amz-Algorithm=AWS4-HMAC-SHA256&" + tail)),
    path=st.binary(max_size=30),
    date=st.binary(max_size=20),
    service=st.sampled_from(["sts", "ec2", "s3", "logs"]),
    signed=st.booleans(),
)
def test_no_bytes_do_anything_but_be_refused(
    identity: Identity, authorization: bytes, query: bytes, path: bytes, date: bytes, service: str, signed: bool
) -> None:
    headers = [(b"host", b"x"), (b"x-amz-date", date), (b"content-type", signing.FORM.encode())]
    if signed:
        headers.append((b"authorization", authorization))
    protocol = {"sts": "query", "ec2": "ec2", "s3": "rest-xml", "logs": "json"}[service]
    request = Request("POST", b"/" + path, query, headers, query)
    try:
        principal = identity.principal(request, service, protocol)
        assert principal is ANONYMOUS and service == "s3"
    except AwsError as error:
        assert error.status in (400, 401, 403)


_PART = st.text("AKI/09=,; \xa0s3-aws4_request", max_size=30)


@settings(max_examples=400, deadline=None)
@given(
    credential=st.one_of(st.just("AKIA/20250301/local-1/s3/aws4_request"), _PART),
    signed=st.one_of(st.just("host;x-amz-date"), _PART),
    signature=st.one_of(st.just("ab" * 32), _PART),
    date=st.sampled_from(["20250301T120000Z", "20250230T120000Z", "Sat, 01 Mar 2025 12:00:00 GMT", ""]),
)
def test_the_usual_header_is_read_as_any_other(credential: str, signed: str, signature: str, date: str) -> None:
    """The short way that most headers take leads where the long one does."""

    def claimed(read: Callable[[], sigv4.Claim]) -> object:
        try:
            return read()
        except Refused as refused:
            return refused.reason, refused.message

    text = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}"
    headers = {"authorization": text, "x-amz-date": date}
    assert claimed(lambda: sigv4.from_header(headers)) == claimed(lambda: sigv4._from_any_header(headers, text))


def test_the_signing_key_is_aws_s_own_example() -> None:
    key = sigv4.signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20120215", "us-east-1", "iam")
    assert key.hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"
