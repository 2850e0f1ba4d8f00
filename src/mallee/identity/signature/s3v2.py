"""S3's own Signature Version 2: ``Authorization: AWS key:signature``, and the query of old presigned addresses.

It signs by HMAC-SHA1 the method, the body's MD5 and type as the headers claim them, a date (or the moment when the address expires),
every ``x-amz-`` header, and the resource: bucket, path as it came, and those parts of the query that name another resource or change
what the answer says (AWS: "Signing and authenticating REST requests").

AWS's list of such parts is as old as the signature; here every sub-resource that S3 has stands in it, so that nobody who is given an
address of an object can make one of its retention or its ACL.
"""

from __future__ import annotations

import base64
import datetime
import hmac
import re
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final

from mallee.identity.signature.refusals import EXPIRED, INCOMPLETE, MISMATCH, Refused
from mallee.identity.signature.sigv4 import Pairs

SCHEME: Final = "AWS"

SIGNED: Final = frozenset(
    name.encode()
    for name in (
        "abac", "accelerate", "acl", "analytics", "annotation", "annotationName", "annotations", "attributes", "cors",
        "defaultObjectAcl", "delete", "encryption", "intelligent-tiering", "inventory", "legal-hold", "lifecycle", "list-type",
        "location", "logging", "metadataAnnotationTable", "metadataConfiguration", "metadataInventoryTable", "metadataJournalTable",
        "metadataTable", "metrics", "notification", "object-lock", "ownershipControls", "partNumber", "policy", "policyStatus",
        "publicAccessBlock", "renameObject", "replication", "requestPayment", "restore", "retention", "select", "select-type", "session",
        "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
        "response-cache-control", "response-content-disposition", "response-content-encoding", "response-content-language",
        "response-content-type", "response-expires",
    )
) - {b"list-type"}  # fmt: skip
"""The keys of a query that are signed. ``list-type`` is no sub-resource: it chooses between two forms of one listing."""

STANDARD: Final = frozenset({b"content-md5", b"content-type"})
"""Headers that are signed beside those of Amazon's, and that old signers put into the address, too."""

_QUERY = {b"AWSAccessKeyId": "access_key_id", b"Signature": "signature", b"Expires": "expires"}
_ISO = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_EPOCH = re.compile(r"\d{1,12}", re.ASCII)
_START = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(slots=True)
class Claim:
    """``date`` is what is signed: the date as it was written, empty where x-amz-date has it, or the moment of expiry."""

    access_key_id: str
    signature: str
    date: str
    at: datetime.datetime  # of the signature, or the end of a presigned one
    token: str | None = None
    presigned: bool = False
    headers: dict[str, str] = field(default_factory=dict)  # every header, repeated ones joined


def is_header(authorization: str) -> bool:
    return authorization[:4].upper() == "AWS " or authorization.upper() == SCHEME


def is_presigned(pairs: Pairs) -> bool:
    return any(name in (b"AWSAccessKeyId", b"Signature") for name, _ in pairs)


def from_header(headers: dict[str, str]) -> Claim:
    text = headers["authorization"]
    key, colon, signature = text[4:].strip().rpartition(":")
    if not colon or not key or not signature or " " in key:
        raise Refused(
            INCOMPLETE,
            "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
            argument=("Authorization", text),
        )
    amz, date = headers.get("x-amz-date"), headers.get("date", "")
    return Claim(
        key, signature, date if amz is None else "", _moment(amz if amz is not None else date),
        headers.get("x-amz-security-token"), headers=headers,
    )  # fmt: skip


def _moment(text: str) -> datetime.datetime:
    try:
        if _ISO.fullmatch(text):
            return datetime.datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
        return parsedate_to_datetime(text).astimezone(datetime.UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        raise Refused(INCOMPLETE, "AWS authentication requires a valid Date or x-amz-date header", denied=True) from None


def from_query(pairs: Pairs, headers: dict[str, str]) -> Claim:
    """``headers`` include those that stand in the query (``hoisted``)."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in _QUERY:
            if _QUERY[name] in given:
                raise Refused(INCOMPLETE, _REQUIRES, denied=True)
            given[_QUERY[name]] = value.decode("utf-8", "replace")
    if any(not given.get(name) for name in _QUERY.values()):
        raise Refused(INCOMPLETE, _REQUIRES, denied=True)
    if not _EPOCH.fullmatch(given["expires"]):
        raise Refused(INCOMPLETE, f"Invalid date (should be seconds since epoch): {given['expires']}", denied=True)
    end = _START + datetime.timedelta(seconds=int(given["expires"]))
    token = headers.get("x-amz-security-token")
    return Claim(given["access_key_id"], given["signature"], given["expires"], end, token, True, headers)


_REQUIRES = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"


def check_time(claim: Claim, now: datetime.datetime, minutes: int) -> None:
    if claim.presigned:
        if now > claim.at:
            raise Refused(EXPIRED, "Request has expired.", expires=claim.at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    elif abs(now - claim.at) > datetime.timedelta(minutes=minutes):
        stamp = claim.headers.get("x-amz-date") or claim.date
        raise Refused(EXPIRED, "The difference between the request time and the current time is too large.", requested=stamp)


def string_to_sign(claim: Claim, method: str, bucket: str | None, raw_path: bytes, pairs: Pairs) -> bytes:
    """``bucket``: that of a virtual-host name, which stands before the path."""
    headers = claim.headers
    lines = [method, headers.get("content-md5", ""), headers.get("content-type", ""), claim.date]
    lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-amz-")]
    resource = f"/{bucket}".encode() if bucket is not None else b""
    resource += raw_path or b"/"
    kept = sorted((name, value) for name, value in pairs if name in SIGNED)
    if kept:
        resource += b"?" + b"&".join(name + b"=" + value if value else name for name, value in kept)
    return "\n".join([*lines, ""]).encode("latin-1", "replace") + resource


def check_signature(claim: Claim, secret: str, to_sign: bytes) -> None:
    expected = base64.b64encode(hmac.digest(secret.encode(), to_sign, "sha1"))
    if not hmac.compare_digest(expected, claim.signature.encode("utf-8", "replace")):
        raise Refused(MISMATCH, access_key_id=claim.access_key_id, string_to_sign=to_sign, provided=claim.signature)
