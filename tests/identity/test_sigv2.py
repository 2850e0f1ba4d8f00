"""Version 2 signatures in the query, against botocore's signer and against the text of the specification."""

from __future__ import annotations

import base64
import datetime
import hmac
from urllib.parse import quote

import pytest
from botocore import auth

from mallee.wire import Request
from tests.identity import signing
from tests.identity.conftest import Identity
from tests.identity.signing import NOW, changed


def stamped(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def written(identity: Identity, method: str = "GET", digest: str = "sha256", **given: str) -> Request:
    """A request made as the specification says, independently of botocore."""
    name = {"sha256": "HmacSHA256", "sha1": "HmacSHA1"}.get(digest, digest)
    params = {
        "Action": "DescribeInstances",
        "Version": "2010-08-31",
        "AWSAccessKeyId": identity.root.access_key_id,
        "SignatureVersion": "2",
        "SignatureMethod": name,
        "Timestamp": stamped(NOW),
    } | given
    params = {key: value for key, value in params.items() if value != "-"}
    text = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(params.items()))
    to_sign = f"{method}\n127.0.0.1:8773\n/\n{text}".encode()
    algorithm = digest if digest in ("sha1", "sha256") else "sha256"
    signature = base64.b64encode(hmac.new(identity.root.secret_access_key.encode(), to_sign, algorithm).digest()).decode()
    query = f"{text}&Signature={quote(signature, safe='')}".encode()
    headers = [(b"host", b"127.0.0.1:8773")]
    if method == "POST":
        return Request(method, b"/", b"", [*headers, (b"content-type", signing.FORM.encode())], query)
    return Request(method, b"/", query, headers, b"")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("digest", ["sha256", "sha1"])
def test_the_specification_s_own_way(identity: Identity, method: str, digest: str) -> None:
    request = written(identity, method, digest, **{"Filter.1.Value.1": "a b*é/~", "B": "", "a": "1"})
    assert identity.principal(request, "ec2", "ec2").is_root


def test_botocore_s_signer(identity: Identity) -> None:
    signer = auth.SigV2Auth(signing.keys(identity.root))
    from botocore.awsrequest import AWSRequest

    asked = AWSRequest("POST", signing.URL + "/", data={"Action": "DescribeInstances", "X": "a b+c~"})
    now = datetime.datetime.now(datetime.UTC)
    signer.add_auth(asked)
    ready = asked.prepare()
    headers = [(b"host", b"127.0.0.1:8773"), (b"content-type", signing.FORM.encode())]
    body = ready.body if isinstance(ready.body, bytes) else ready.body.encode()
    identity.now = now
    assert identity.principal(Request("POST", b"/", b"", headers, body), "ec2", "ec2").is_root


def test_expires_instead_of_a_timestamp(identity: Identity) -> None:
    later = stamped(NOW + datetime.timedelta(hours=1))
    request = written(identity, Timestamp="-", Expires=later)
    identity.principal(request, "ec2", "ec2")
    identity.now = NOW + datetime.timedelta(minutes=61)
    assert identity.refusal(request, "ec2", "ec2").code == "RequestExpired"
    identity.now = NOW
    far = written(identity, Timestamp="-", Expires=stamped(NOW + datetime.timedelta(days=8)))
    assert identity.refusal(far, "ec2", "ec2").code == "RequestExpired"


@pytest.mark.parametrize("minutes", [-6, 6])
def test_skew(identity: Identity, minutes: int) -> None:
    request = written(identity)
    identity.now = NOW + datetime.timedelta(minutes=minutes)
    assert identity.refusal(request, "ec2", "ec2").code == "RequestExpired"


def test_wrong_secret_and_unknown_key(identity: Identity) -> None:
    request = written(identity)
    forged = changed(request, raw_query=request.raw_query.replace(b"DescribeInstances", b"TerminateInstances"))
    assert identity.refusal(forged, "ec2", "ec2").code == "AuthFailure"
    other = written(identity, AWSAccessKeyId="AKIAUNKNOWN")
    assert identity.refusal(other, "ec2", "ec2").code == "AuthFailure"
    assert identity.refusal(other, "sts", "query").code == "InvalidClientTokenId"
    assert identity.refusal(written(identity, SecurityToken="x"), "ec2", "ec2").code == "AuthFailure"


@pytest.mark.parametrize(
    "given",
    [
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
        {"SignatureMethod": "HmacMD5"},
        {"SignatureVersion": "-"},
        {"SignatureMethod": "-"},
        {"Timestamp": "-"},
        {"Timestamp": "yesterday"},
        {"Timestamp": "2025-02-30T00:00:00Z"},
        {"Timestamp": "2025-03-01T12:00:00+99:99"},
        {"Expires": "2025-03-01T13:00:00Z"},
    ],
)
def test_malformed(identity: Identity, given: dict[str, str]) -> None:
    error = identity.refusal(written(identity, **given), "ec2", "ec2")
    assert (error.code, error.status) == ("IncompleteSignature", 400)


def test_a_repeated_parameter_is_not_picked_from(identity: Identity) -> None:
    request = written(identity)
    twice = changed(request, raw_query=request.raw_query + b"&AWSAccessKeyId=AKIAOTHER")
    assert identity.refusal(twice, "ec2", "ec2").code == "IncompleteSignature"
    added = changed(request, raw_query=request.raw_query + b"&InstanceId.1=i-1")
    assert identity.refusal(added, "ec2", "ec2").code == "AuthFailure"


def test_s3_does_not_take_it(identity: Identity) -> None:
    assert identity.refusal(written(identity), "s3", "rest-xml").code == "AccessDenied"
