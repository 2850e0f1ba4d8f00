"""Signature Version 2 in the query: what tools of before 2013 send to EC2 and its query siblings.

The parameters may stand in the address or in the form body; together they are signed, sorted by bytes, with the method,
the host and the path. The claim bears either a ``Timestamp``, good for some minutes, or ``Expires``, never both.
"""

from __future__ import annotations

import base64
import datetime
import hmac
import re
from dataclasses import dataclass
from urllib.parse import quote_from_bytes

from mallee.identity.signature.refusals import EXPIRED, INCOMPLETE, MISMATCH, UNSUPPORTED, Refused
from mallee.identity.signature.sigv4 import Pairs

_PARTS = ("AWSAccessKeyId", "SignatureVersion", "SignatureMethod", "Timestamp", "Expires", "Signature", "SecurityToken")
_METHODS = {"HmacSHA256": "sha256", "HmacSHA1": "sha1"}
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:?\d\d)?", re.ASCII)


@dataclass(slots=True)
class Claim:
    access_key_id: str
    digest: str  # sha1 | sha256
    signature: str
    at: datetime.datetime
    expires: bool  # ``at`` is the end, not the beginning
    token: str | None = None


def is_signed(pairs: Pairs) -> bool:
    return any(name == b"AWSAccessKeyId" for name, _ in pairs)


def from_query(pairs: Pairs) -> Claim:
    given: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name = raw_name.decode("latin-1")
        if name in _PARTS:
            if name in given:
                raise Refused(INCOMPLETE, f"Query-string authentication requires '{name}' only once.")
            given[name] = raw_value.decode("utf-8", "replace")
    for name in ("AWSAccessKeyId", "Signature", "SignatureVersion", "SignatureMethod"):
        if not given.get(name):
            raise Refused(INCOMPLETE, f"The request must contain the parameter {name}")
    if given["SignatureVersion"] != "2" or given["SignatureMethod"] not in _METHODS:
        raise Refused(
            UNSUPPORTED,
            f"Unsupported signature: version {given['SignatureVersion']!r} with method {given['SignatureMethod']!r}.",
        )
    if ("Timestamp" in given) == ("Expires" in given):
        raise Refused(INCOMPLETE, "The request must contain exactly one of the parameters Timestamp and Expires")
    return Claim(
        given["AWSAccessKeyId"],
        _METHODS[given["SignatureMethod"]],
        given["Signature"],
        _moment(given.get("Timestamp") or given.get("Expires") or ""),
        "Expires" in given,
        given.get("SecurityToken"),
    )


def _moment(text: str) -> datetime.datetime:
    found = _TIME.fullmatch(text)
    try:
        if not found:
            raise ValueError(text)
        return datetime.datetime.fromisoformat(found[1] + (found[2] or "Z")).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise Refused(INCOMPLETE, f"Invalid date: {text}. It must be in ISO8601 format") from None


def check_time(claim: Claim, now: datetime.datetime, minutes: int) -> None:
    allowed = datetime.timedelta(minutes=minutes)
    late = now > claim.at if claim.expires else now - claim.at > allowed
    early = not claim.expires and claim.at - now > allowed
    too_far = claim.expires and claim.at - now > datetime.timedelta(days=7)
    if late or early or too_far:
        raise Refused(EXPIRED, "Request has expired.")


def string_to_sign(method: str, host: str, raw_path: bytes, pairs: Pairs) -> bytes:
    kept = sorted(pair for pair in pairs if pair[0] != b"Signature")
    query = "&".join(f"{quote_from_bytes(name, safe='-_.~')}={quote_from_bytes(value, safe='-_.~')}" for name, value in kept)
    return f"{method}\n{host.lower()}\n{raw_path.decode('latin-1') or '/'}\n{query}".encode("latin-1", "replace")


def check_signature(claim: Claim, secret: str, to_sign: bytes) -> None:
    expected = base64.b64encode(hmac.digest(secret.encode(), to_sign, claim.digest))
    if not hmac.compare_digest(expected, claim.signature.encode("utf-8", "replace")):
        raise Refused(MISMATCH, access_key_id=claim.access_key_id, string_to_sign=to_sign, provided=claim.signature)
