"""Why a request was not believed, and how each family of services says so.

AWS has no one way: EC2 answers ``AuthFailure`` 401 where IAM answers ``SignatureDoesNotMatch`` 403, a JSON service
``InvalidSignatureException`` 400, and S3 adds the strings it signed (``s3_errors``). Clients decide by these codes whether to correct
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
    if service == "s3control":
        return S3
    if protocol == "rest-json":
        return REST_JSON
    return JSON if protocol in ("json", "smithy-rpc-v2-cbor") else QUERY


def to_error(refused: Refused, kind: str, now: datetime.datetime) -> AwsError:
    if kind == S3:
        from mallee.identity.signature import s3_errors  # which knows the reasons above

        return s3_errors.to_error(refused, now)
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
