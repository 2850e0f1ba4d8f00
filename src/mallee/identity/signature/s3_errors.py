"""What S3 answers to a request that is not believed: its codes, sentences and fields, which clients read.

A header that is wrong is ``AuthorizationHeaderMalformed``, a presigned address ``AuthorizationQueryParametersError``; what is no
signature at all ``InvalidArgument``; what cannot be checked for the lack of something ``AccessDenied`` or ``InvalidRequest``. A body in
chunks that does not hold together is not a matter of the signature: ``IncompleteBody``, ``MalformedTrailerError``, ``InvalidRequest``.
"""

from __future__ import annotations

import datetime
from typing import Any

from mallee.identity.signature.refusals import (
    BAD_TOKEN,
    BODY,
    EXPIRED,
    EXPIRED_TOKEN,
    INCOMPLETE,
    MISSING,
    SCOPE,
    UNKNOWN_KEY,
    UNSIGNED_HEADERS,
    UNSUPPORTED,
    Refused,
)
from mallee.wire.errors import AwsError

MISMATCH_TEXT = (
    "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)

INCOMPLETE_TEXT = "The request body terminated unexpectedly"
TRAILER_TEXT = "The request contained trailing data that was not well-formed or did not conform to our published schema."


def to_error(refused: Refused, now: datetime.datetime) -> AwsError:
    reason, details = refused.reason, refused.details
    if reason == MISSING:
        return AwsError("AccessDenied", "Access Denied", status=403)
    if reason in (INCOMPLETE, UNSUPPORTED, SCOPE):
        return _malformed(refused)
    if reason == EXPIRED:
        return _expired(details, now)
    if reason == UNKNOWN_KEY:
        text = "The AWS Access Key Id you provided does not exist in our records."
        return AwsError("InvalidAccessKeyId", text, status=403, AWSAccessKeyId=details.get("access_key_id", ""))
    if reason in (BAD_TOKEN, EXPIRED_TOKEN):
        return _token(reason, details.get("token"))
    if reason == BODY:
        return AwsError(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            status=400,
            ClientComputedContentSHA256=details.get("claimed", ""),
            S3ComputedContentSHA256=details.get("computed", ""),
        )
    if reason == UNSIGNED_HEADERS:
        text = "There were headers present in the request which were not signed"
        return AwsError("AccessDenied", text, status=403, HeadersNotSigned=", ".join(details.get("names", ())))
    return _mismatch(details)


def _token(reason: str, token: str | None) -> AwsError:
    shown: dict[str, Any] = {} if token is None else {"Token-0": token}
    if reason == EXPIRED_TOKEN:
        return AwsError("ExpiredToken", "The provided token has expired.", status=400, **shown)
    return AwsError("InvalidToken", "The provided token is malformed or otherwise invalid.", status=400, **shown)


def _malformed(refused: Refused) -> AwsError:
    details = refused.details
    if "argument" in details:
        name, value = details["argument"]
        return AwsError("InvalidArgument", refused.message, status=400, ArgumentName=name, ArgumentValue=value)
    if details.get("denied"):
        return AwsError("AccessDenied", refused.message, status=403)
    if "incomplete" in details:
        return AwsError("IncompleteBody", INCOMPLETE_TEXT, status=400)
    if "trailer" in details:
        return AwsError("MalformedTrailerError", TRAILER_TEXT, status=400)
    if "framing" in details:
        return AwsError("InvalidRequest", refused.message, status=400)
    if details.get("part") == ("date",):
        return AwsError("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header", status=403)
    presigned = bool(details.get("presigned"))
    text, extra = _told(refused, presigned)
    if presigned:
        return AwsError("AuthorizationQueryParametersError", text, status=400, **extra)
    if refused.reason == UNSUPPORTED and not text.startswith("Unsupported AWS 'algorithm'"):
        return AwsError("InvalidRequest", refused.message, status=400)
    if refused.reason == UNSUPPORTED:
        text = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        return AwsError("InvalidRequest", text, status=400)
    return AwsError("AuthorizationHeaderMalformed", f"The authorization header is malformed; {text}", status=400, **extra)


def _told(refused: Refused, presigned: bool) -> tuple[str, dict[str, Any]]:
    """The sentence on the part that is wrong, and the region that clients go to next."""
    kind, *given = refused.details.get("part", ("",))
    before = "Error parsing the X-Amz-Credential parameter; " if presigned else ""
    match kind:
        case "missing" if presigned:
            return (
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
                "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
            ), {}
        case "missing":
            return "the authorization header requires three components: Credential, SignedHeaders, and Signature.", {}
        case "credential":
            return f'{before}the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".', {}
        case "terminator":
            return f'{before}incorrect terminal "{given[0]}". This endpoint uses "aws4_request".', {}
        case "service":
            return f'{before}incorrect service "{given[0]}". This endpoint belongs to "s3".', {}
        case "region":
            return f"{before}the region '{given[0]}' is wrong; expecting '{given[1]}'", {"Region": given[1]}
        case "day":
            return f'{before}Invalid credential date "{given[0]}". This date is not the same as X-Amz-Date: "{given[1]}".', {}
    return refused.message, {}


def _expired(details: dict[str, Any], now: datetime.datetime) -> AwsError:
    server = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    if "expires" in details:
        fields: dict[str, Any] = {"X-Amz-Expires": str(details["seconds"])} if "seconds" in details else {}
        return AwsError(
            "AccessDenied", "Request has expired", status=403, **fields, Expires=details["expires"], ServerTime=server
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


def _mismatch(details: dict[str, Any]) -> AwsError:
    to_sign: bytes = details.get("string_to_sign", b"")
    fields: dict[str, Any] = {
        "AWSAccessKeyId": details.get("access_key_id", ""),
        "StringToSign": _text(to_sign),
        "SignatureProvided": details.get("provided", ""),
        "StringToSignBytes": to_sign.hex(" "),
    }
    if "canonical" in details:
        fields["CanonicalRequest"] = _text(details["canonical"])
        fields["CanonicalRequestBytes"] = details["canonical"].hex(" ")
    return AwsError("SignatureDoesNotMatch", MISMATCH_TEXT, status=403, **fields)


def _text(raw: bytes) -> str:
    """What was signed, as text that any of the protocols can carry: other control characters have no place in XML."""
    text = raw.decode("utf-8", "replace")
    return "".join(letter if letter >= " " or letter == "\n" else "\ufffd" for letter in text)
