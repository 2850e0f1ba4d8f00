"""Why a request was not believed, and how each family of services says so.

AWS has no one way: EC2 answers ``AuthFailure`` 401 where IAM answers ``SignatureDoesNotMatch`` 403, a JSON service
``InvalidSignatureException`` 400, and S3 adds the strings it signed. Clients decide by these codes whether to correct
their clock and try again, so the table below is part of the interface.
"""

from __future__ import annotations

import datetime
from typing import Any, Final

from mallee.wire.errors import AwsError

# what was wrong
MISSING: Final = "missing"  # nothing that could be a signature
INCOMPLETE: Final = "incomplete"  # a part of it is not there or not readable
UNSUPPORTED: Final = "unsupported"  # an algorithm that nobody speaks
SCOPE: Final = "scope"  # made for another region, service or day
EXPIRED: Final = "expired"
UNKNOWN_KEY: Final = "unknown key"
MISMATCH: Final = "mismatch"
BODY: Final = "body"  # the body is not the one whose digest was signed
UNSIGNED_HEADERS: Final = "unsigned headers"
BAD_TOKEN: Final = "bad token"  # a session token that is none of ours, or not this key's, or was revoked
EXPIRED_TOKEN: Final = "expired token"

# families of services
EC2: Final = "ec2"
QUERY: Final = "query"
JSON: Final = "json"
REST_JSON: Final = "rest-json"
S3: Final = "s3"

UNKNOWN_KEY_TEXT = "The security token included in the request is invalid."
EXPIRED_TOKEN_TEXT = "The security token included in the request is expired"
NOT_VALIDATED_TEXT = "AWS was not able to validate the provided access credentials"
MISMATCH_TEXT = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
S3_MISMATCH_TEXT = (
    "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)


class Refused(Exception):
    """A request whose signature does not hold. ``reason`` is one of the constants above, ``message`` AWS's sentence for
    a query service, ``details`` what S3's errors carry besides."""

    def __init__(self, reason: str, message: str = "", **details: Any) -> None:
        super().__init__(f"{reason}: {message}" if message else reason)
        self.reason = reason
        self.message = message
        self.details = details


def family(service: str, protocol: str) -> str:
    """Which family's errors an operation of ``service`` answers when it is spoken to in ``protocol``."""
    if service in ("ec2", "s3"):
        return service
    if protocol == "rest-json":
        return REST_JSON
    return JSON if protocol in ("json", "smithy-rpc-v2-cbor") else QUERY


def to_error(refused: Refused, kind: str, now: datetime.datetime) -> AwsError:
    if kind == S3:
        return _s3(refused, now)
    if kind == EC2:
        return _ec2(refused)
    if kind in (JSON, REST_JSON):
        code = _JSON[refused.reason]
        return AwsError(code, _sentence(refused), status=403 if kind == REST_JSON else 400)
    code, status = _QUERY[refused.reason]
    return AwsError(code, _sentence(refused), status=status)


def _sentence(refused: Refused) -> str:
    if refused.reason == MISSING:
        return "Request is missing Authentication Token"
    if refused.reason in (UNKNOWN_KEY, BAD_TOKEN):
        return UNKNOWN_KEY_TEXT
    if refused.reason == EXPIRED_TOKEN:
        return EXPIRED_TOKEN_TEXT
    if refused.reason in (MISMATCH, BODY):
        return MISMATCH_TEXT
    return refused.message


_QUERY = {
    MISSING: ("MissingAuthenticationToken", 403),
    INCOMPLETE: ("IncompleteSignature", 400),
    UNSUPPORTED: ("IncompleteSignature", 400),
    SCOPE: ("SignatureDoesNotMatch", 403),
    EXPIRED: ("SignatureDoesNotMatch", 403),
    UNKNOWN_KEY: ("InvalidClientTokenId", 403),
    MISMATCH: ("SignatureDoesNotMatch", 403),
    BODY: ("SignatureDoesNotMatch", 403),
    UNSIGNED_HEADERS: ("SignatureDoesNotMatch", 403),
    BAD_TOKEN: ("InvalidClientTokenId", 403),
    EXPIRED_TOKEN: ("ExpiredToken", 403),
}

_JSON = {
    MISSING: "MissingAuthenticationTokenException",
    INCOMPLETE: "IncompleteSignatureException",
    UNSUPPORTED: "IncompleteSignatureException",
    SCOPE: "InvalidSignatureException",
    EXPIRED: "InvalidSignatureException",
    UNKNOWN_KEY: "UnrecognizedClientException",
    MISMATCH: "InvalidSignatureException",
    BODY: "InvalidSignatureException",
    UNSIGNED_HEADERS: "InvalidSignatureException",
    BAD_TOKEN: "UnrecognizedClientException",
    EXPIRED_TOKEN: "ExpiredTokenException",
}


def _ec2(refused: Refused) -> AwsError:
    reason = refused.reason
    if reason == MISSING:
        return AwsError(
            "MissingAuthenticationToken", "The request must contain a valid (registered) AWS access key ID", status=403
        )
    if reason in (INCOMPLETE, UNSUPPORTED):
        return AwsError("IncompleteSignature", refused.message, status=400)
    if reason in (EXPIRED, EXPIRED_TOKEN):
        return AwsError("RequestExpired", "Request has expired.", status=400)
    if reason in (SCOPE, UNSIGNED_HEADERS):
        return AwsError("AuthFailure", refused.message, status=401)
    return AwsError("AuthFailure", NOT_VALIDATED_TEXT, status=401)


def _s3(refused: Refused, now: datetime.datetime) -> AwsError:
    reason, details = refused.reason, refused.details
    if reason == MISSING:
        return AwsError("AccessDenied", "Access Denied", status=403)
    if reason in (INCOMPLETE, UNSUPPORTED, SCOPE):
        return _s3_malformed(refused)
    if reason == EXPIRED:
        return _s3_expired(refused, now)
    if reason == UNKNOWN_KEY:
        text = "The AWS Access Key Id you provided does not exist in our records."
        return AwsError("InvalidAccessKeyId", text, status=403, AWSAccessKeyId=details.get("access_key_id", ""))
    if reason == BAD_TOKEN:
        return AwsError("InvalidToken", "The provided token is malformed or otherwise invalid.", status=400)
    if reason == EXPIRED_TOKEN:
        return AwsError("ExpiredToken", "The provided token has expired.", status=400)
    if reason == BODY:
        text = "The provided 'x-amz-content-sha256' header does not match what was computed."
        return AwsError(
            "XAmzContentSHA256Mismatch",
            text,
            status=400,
            ClientComputedContentSHA256=details.get("claimed", ""),
            S3ComputedContentSHA256=details.get("computed", ""),
        )
    if reason == UNSIGNED_HEADERS:
        text = "There were headers present in the request which were not signed"
        return AwsError("AccessDenied", text, status=403, HeadersNotSigned=", ".join(details.get("names", ())))
    return _s3_mismatch(details)


def _s3_malformed(refused: Refused) -> AwsError:
    """A header says ``AuthorizationHeaderMalformed``, a presigned address ``AuthorizationQueryParametersError``."""
    if refused.details.get("presigned"):
        return AwsError("AuthorizationQueryParametersError", refused.message, status=400)
    if refused.reason == UNSUPPORTED:
        return AwsError("InvalidRequest", refused.message, status=400)
    text, extra = f"The authorization header is malformed; {refused.message}", {}
    if "region" in refused.details:
        expected, got = refused.details["region"]
        text = f"The authorization header is malformed; the region '{got}' is wrong; expecting '{expected}'"
        extra = {"Region": expected}
    return AwsError("AuthorizationHeaderMalformed", text, status=400, **extra)


def _s3_expired(refused: Refused, now: datetime.datetime) -> AwsError:
    details = refused.details
    server = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    if "expires" in details:
        return AwsError(
            "AccessDenied",
            "Request has expired",
            status=403,
            **{"X-Amz-Expires": str(details.get("seconds", "")), "Expires": details["expires"], "ServerTime": server},
        )
    if details.get("early"):
        return AwsError("AccessDenied", "Request is not valid yet", status=403, ServerTime=server)
    return AwsError(
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
        status=403,
        RequestTime=details.get("requested", ""),
        ServerTime=server,
        MaxAllowedSkewMilliseconds="900000",
    )


def _s3_mismatch(details: dict[str, Any]) -> AwsError:
    fields: dict[str, Any] = {
        "AWSAccessKeyId": details.get("access_key_id", ""),
        "StringToSign": _text(details.get("string_to_sign", b"")),
        "SignatureProvided": details.get("provided", ""),
        "StringToSignBytes": details.get("string_to_sign", b"").hex(" "),
    }
    if "canonical" in details:
        fields["CanonicalRequest"] = _text(details["canonical"])
        fields["CanonicalRequestBytes"] = details["canonical"].hex(" ")
    return AwsError("SignatureDoesNotMatch", S3_MISMATCH_TEXT, status=403, **fields)


def _text(raw: bytes) -> str:
    """What was signed, as text that any of the protocols can carry: other control characters have no place in XML."""
    text = raw.decode("utf-8", "replace")
    return "".join(letter if letter >= " " or letter == "\n" else "\ufffd" for letter in text)
