"""Signature Version 4: reading a request's claim, and checking it.

A *claim* is what the request says of itself: which key, when, for which scope, over which headers, with which
signature. Reading it needs no secret; ``check`` does the rest with the key derived from the secret. Both forms are
here: the ``Authorization`` header and the presigned query (``X-Amz-Signature``).

What always holds: every ``x-amz-*`` header and ``host`` that arrived is covered by the signature (a header that a proxy
or an attacker adds changes nothing unseen), a header that arrived twice is signed as the joined value and never picked
from, the signature is compared in constant time, and a claim is good only for a window around its own date. A request
caught on the way can be repeated within that window and not after it; nothing in it can be changed.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import hmac
import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

from mallee.identity.signature.refusals import (
    EXPIRED,
    INCOMPLETE,
    MISMATCH,
    SCOPE,
    UNSIGNED_HEADERS,
    UNSUPPORTED,
    Refused,
)

ALGORITHM: Final = "AWS4-HMAC-SHA256"
EMPTY_DIGEST: Final = hashlib.sha256(b"").hexdigest()
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
STREAMING: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
MAX_EXPIRES: Final = 604_800  # a week

_TERMINATOR: Final = "aws4_request"
_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z")
_MINUTE = datetime.timedelta(minutes=1)

Pairs = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Claim:
    access_key_id: str
    day: str  # YYYYMMDD of the scope
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str
    stamp: str  # as signed: 20250131T120000Z
    at: datetime.datetime
    expires: int | None = None  # seconds, of a presigned request
    token: str | None = None
    presigned: bool = False
    headers: dict[str, str] = field(default_factory=dict)  # every header, repeated ones joined

    @property
    def scope(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/{_TERMINATOR}"


# -------------------------------------------------------------------------------------------------------------- reading


def folded(headers: Iterable[tuple[bytes, bytes]], *, squeeze: bool = True) -> dict[str, str]:
    """Every header by its lower-case name; one that arrived more than once is joined in order with commas, as it is
    signed. ``squeeze``: stretches of blanks within a value become one, as version 4 has it and S3's version 2 has not."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1").strip(" \t")
        if squeeze and ("  " in value or "\t" in value):
            value = " ".join(value.split())
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def decoded_pairs(raw: bytes) -> Pairs:
    """The names and values of a query string or a form body, percent-decoded, in order. A ``+`` is a space."""
    pairs: Pairs = []
    for part in raw.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            pairs.append((_unquote(name), _unquote(value)))
    return pairs


def _unquote(raw: bytes) -> bytes:
    return unquote_to_bytes(raw.replace(b"+", b" ")) if b"%" in raw or b"+" in raw else raw


def from_header(headers: dict[str, str]) -> Claim:
    """The claim of an ``Authorization: AWS4-HMAC-SHA256 …`` header."""
    text = headers["authorization"]
    stamp = headers.get("x-amz-date")
    start, mark, signature = text.rpartition(", Signature=")
    if mark and stamp and len(start) <= _USUAL and signature.isalnum():
        usual = _usual(start)
        at = _iso(stamp) if usual is not None else None
        if usual is not None and at is not None:
            key, day, region, service, signed = usual
            token = headers.get("x-amz-security-token")
            return Claim(key, day, region, service, signed, signature, stamp, at, token=token, headers=headers)
    return _from_any_header(headers, text)


_USUAL = 512


@functools.lru_cache(4096)
def _usual(text: str) -> tuple[str, str, str, str, tuple[str, ...]] | None:
    """What a header begins with that is as clients write it: the same from one request to the next of a day, all but its end."""
    start = f"{ALGORITHM} Credential="
    credential, comma, signed = text.removeprefix(start).partition(", SignedHeaders=")
    parts = credential.split("/")
    if not text.startswith(start) or not comma or len(parts) != 5 or not all(parts) or parts[4] != _TERMINATOR:
        return None
    names = tuple(signed.split(";"))
    odd = any(letter in each for each in (credential, signed) for letter in ",=")
    if odd or credential.split() != [credential] or signed.split() != [signed]:  # nothing, or blanks: read with care
        return None
    return parts[0], parts[1], parts[2], parts[3], names


@functools.lru_cache(256)
def _iso(stamp: str) -> datetime.datetime | None:
    """The moment of a date as version 4 writes it."""
    found = _STAMP.fullmatch(stamp)
    if not found or not stamp.isascii():
        return None
    try:
        year, month, day, hour, minute, second = map(int, found.groups())
        return datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC)
    except ValueError:
        return None


def _from_any_header(headers: dict[str, str], text: str) -> Claim:
    """The same, however it is written; raises what is wrong with it."""
    algorithm, _, rest = text.partition(" ")
    if algorithm != ALGORITHM:
        raise Refused(UNSUPPORTED, f"Unsupported AWS 'algorithm': '{algorithm}'.")
    parts = _parts(rest, text)
    wrong = [f"Authorization header requires '{name}' parameter." for name in _PARTS if not parts.get(name)]
    part = "missing" if wrong else "date"
    stamp = headers.get("x-amz-date") or headers.get("date")
    if not stamp:
        wrong.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if wrong or not stamp:
        raise Refused(INCOMPLETE, f"{' '.join(wrong)} Authorization={text}", part=(part,))
    stamp, at = _moment(stamp, text, presigned=False)
    key, day, region, service = _credential(parts["Credential"], presigned=False)
    return Claim(
        key, day, region, service, tuple(parts["SignedHeaders"].split(";")), parts["Signature"], stamp, at,
        token=headers.get("x-amz-security-token"), headers=headers,
    )  # fmt: skip


_PARTS = ("Credential", "Signature", "SignedHeaders")


def _parts(rest: str, whole: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for piece in rest.split(","):
        piece = piece.strip()
        if not piece:
            continue
        name, equals, value = piece.partition("=")
        if not equals:
            raise Refused(
                INCOMPLETE,
                f"'{piece}' not a valid key=value pair (missing equal-sign) in Authorization header: '{whole}'.",
            )
        if name in parts:
            raise Refused(INCOMPLETE, f"Duplicate key '{name}' in Authorization header: '{whole}'.")
        parts[name] = value
    return parts


def is_presigned(raw_query: bytes) -> bool:
    return b"X-Amz-Algorithm=" in raw_query or b"X-Amz-Signature=" in raw_query


def from_query(pairs: Pairs, headers: dict[str, str]) -> Claim:
    """The claim of a presigned request."""
    given: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name = raw_name.decode("latin-1")
        if name.startswith("X-Amz-"):
            if name in given and name in _QUERY_PARTS:
                raise Refused(INCOMPLETE, f"Query-string authentication requires '{name}' only once.", presigned=True)
            given[name] = raw_value.decode("utf-8", "replace")
    if given.get("X-Amz-Algorithm") != ALGORITHM:
        raise Refused(UNSUPPORTED, f'X-Amz-Algorithm only supports "{ALGORITHM}"', presigned=True)
    missing = [name for name in _QUERY_PARTS if not given.get(name)]
    if missing:
        raise Refused(
            INCOMPLETE,
            "".join(f"AWS query-string parameters must include '{name}'. " for name in missing).strip(),
            presigned=True,
            part=("missing",),
        )
    stamp, at = _moment(given["X-Amz-Date"], given["X-Amz-Date"], presigned=True)
    key, day, region, service = _credential(given["X-Amz-Credential"], presigned=True)
    return Claim(
        key, day, region, service, tuple(given["X-Amz-SignedHeaders"].split(";")), given["X-Amz-Signature"], stamp, at,
        expires=_expires(given.get("X-Amz-Expires"), service), token=given.get("X-Amz-Security-Token"), presigned=True,
        headers=headers,
    )  # fmt: skip


_QUERY_PARTS = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders")


def _expires(text: str | None, service: str) -> int | None:
    if text is None:
        if service == "s3":
            raise Refused(INCOMPLETE, "X-Amz-Expires must be given with a presigned request.", presigned=True, part=("missing",))
        return None
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise Refused(INCOMPLETE, "X-Amz-Expires should be a number", presigned=True)
    seconds = int(text)
    if seconds < 0:
        raise Refused(INCOMPLETE, "X-Amz-Expires must be non-negative", presigned=True)
    if seconds > MAX_EXPIRES:
        raise Refused(
            INCOMPLETE,
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            f"{MAX_EXPIRES} seconds",
            presigned=True,
        )
    return seconds


def _moment(stamp: str, whole: str, *, presigned: bool) -> tuple[str, datetime.datetime]:
    """The date as it is signed and as a moment. The ``Date`` header's own form is signed in ISO form."""
    written = _iso(stamp) if len(stamp) == 16 else None
    if written is not None:
        return stamp, written
    try:
        if not presigned and not _STAMP.fullmatch(stamp):
            at = parsedate_to_datetime(stamp).astimezone(datetime.UTC)
            return at.strftime("%Y%m%dT%H%M%SZ"), at
    except (ValueError, TypeError, OverflowError, IndexError):
        pass
    if presigned:
        raise Refused(INCOMPLETE, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"", presigned=True)
    raise Refused(
        INCOMPLETE,
        f"Date must be in ISO-8601 'basic format'. Got '{stamp}'. See http://en.wikipedia.org/wiki/ISO_8601",
        part=("date",),
    )


def _credential(text: str, *, presigned: bool) -> tuple[str, str, str, str]:
    parts = text.split("/")
    if len(parts) != 5:
        raise Refused(
            INCOMPLETE,
            f"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{text}'",
            presigned=presigned,
            part=("credential",),
        )
    key, day, region, service, terminator = parts
    if terminator != _TERMINATOR:
        raise Refused(
            SCOPE,
            f"Credential should be scoped with a valid terminator: '{_TERMINATOR}', not '{terminator}'. ",
            presigned=presigned,
            part=("terminator", terminator),
        )
    return key, day, region, service


# ------------------------------------------------------------------------------------------------------------- checking


def check_scope(claim: Claim, region: str, others: Container[str], services: tuple[str, ...]) -> None:
    """The scope must name this region (or one of ``others``), this service and the day of the claim's own date."""
    if claim.region != region and claim.region not in others:
        raise Refused(
            SCOPE,
            f"Credential should be scoped to a valid region, not '{claim.region}'. ",
            presigned=claim.presigned,
            part=("region", claim.region, region),
        )
    if claim.service not in services:
        raise Refused(
            SCOPE,
            f"Credential should be scoped to correct service: '{services[0]}'. ",
            presigned=claim.presigned,
            part=("service", claim.service),
        )
    if claim.day != claim.stamp[:8]:
        raise Refused(
            SCOPE,
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.day}' != '{claim.stamp[:8]}', from '{claim.stamp}'.",
            presigned=claim.presigned,
            part=("day", claim.day, claim.stamp),
        )


def check_time(claim: Claim, now: datetime.datetime, minutes: int) -> None:
    """A claim holds from ``minutes`` before its date until ``minutes`` after it, a presigned one until it expires."""
    allowed = minutes * _MINUTE
    if claim.at - now > allowed:
        limit = now + allowed
        raise Refused(
            EXPIRED,
            f"Signature not yet current: {claim.stamp} is still later than {_stamp(limit)} ({_stamp(now)} + {minutes} min.)",
            requested=claim.stamp,
            **({"early": True} if claim.presigned else {}),
        )
    if claim.expires is not None:
        end = claim.at + datetime.timedelta(seconds=claim.expires)
        if now > end:
            raise Refused(
                EXPIRED,
                f"Signature expired: {claim.stamp} is now earlier than "
                f"{_stamp(now - (end - claim.at))} ({_stamp(now)} - {claim.expires // 60} min.)",
                expires=end.strftime("%Y-%m-%dT%H:%M:%SZ"),
                seconds=claim.expires,
            )
    elif now - claim.at > allowed:
        raise Refused(
            EXPIRED,
            f"Signature expired: {claim.stamp} is now earlier than {_stamp(now - allowed)} ({_stamp(now)} - {minutes} min.)",
            requested=claim.stamp,
        )


def _stamp(at: datetime.datetime) -> str:
    return at.strftime("%Y%m%dT%H%M%SZ")


def check_signed_headers(claim: Claim) -> None:
    """Host, and every x-amz header that arrived, must be under the signature."""
    signed = claim.signed
    if "host" not in signed and ":authority" not in signed:
        raise Refused(
            UNSIGNED_HEADERS,
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
            names=("host",),
        )
    for name in claim.headers:
        if name.startswith("x-amz-") and name not in signed:
            left = tuple(each for each in claim.headers if each.startswith("x-amz-") and each not in signed)
            raise Refused(
                UNSIGNED_HEADERS,
                f"There were headers present in the request which were not signed: {', '.join(left)}",
                names=left,
            )


def canonical_request(claim: Claim, method: str, raw_path: bytes, pairs: Pairs, payload: str, *, s3: bool) -> bytes:
    """The text whose digest is signed. ``payload`` is the digest of the body or one of the constants that stand for
    it."""
    path = _s3_path(raw_path) if s3 else _plain_path(raw_path)
    headers = claim.headers
    lines = [method, path, _canonical_query(pairs, claim.presigned)]
    for name in claim.signed:
        lines.append(f"{name}:{headers.get(name, '')}")
    lines.append("")
    lines.append(";".join(claim.signed))
    lines.append(payload)
    return "\n".join(lines).encode("latin-1", "replace")


def _canonical_query(pairs: Pairs, presigned: bool) -> str:
    if not pairs:
        return ""
    encoded = [(quote_from_bytes(name, safe="-_.~"), quote_from_bytes(value, safe="-_.~")) for name, value in pairs]
    if presigned:
        encoded = [pair for pair in encoded if pair[0] != "X-Amz-Signature"]
    encoded.sort()
    return "&".join(f"{name}={value}" for name, value in encoded)


def _s3_path(raw: bytes) -> str:
    """S3 signs the path as it came, every segment encoded once: an encoded slash stays one."""
    if b"%" not in raw:
        return quote_from_bytes(raw, safe="/-_.~") or "/"
    return "/".join(quote_from_bytes(unquote_to_bytes(segment), safe="-_.~") for segment in raw.split(b"/"))


def _plain_path(raw: bytes) -> str:
    """Every other service signs the normalized path, encoded once more than it came."""
    if raw in (b"/", b""):
        return "/"
    kept: list[str] = []
    text = raw.decode("latin-1")
    for part in text.split("/"):
        if part == "..":
            if kept:
                kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    path = "/" + "/".join(kept)
    if kept and text.endswith("/"):
        path += "/"
    return quote(path, safe="/-_.~", encoding="latin-1")


def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = hmac.digest(b"AWS4" + secret.encode(), day.encode("latin-1", "replace"), "sha256")
    key = hmac.digest(key, region.encode("latin-1", "replace"), "sha256")
    key = hmac.digest(key, service.encode("latin-1", "replace"), "sha256")
    return hmac.digest(key, b"aws4_request", "sha256")


def from_form(fields: dict[str, str]) -> Claim:
    """The claim of a form that a browser sends: what is signed is its policy (``check_text``)."""
    if fields["x-amz-algorithm"] != ALGORITHM:
        value = fields["x-amz-algorithm"]
        raise Refused(INCOMPLETE, f'X-Amz-Algorithm only supports "{ALGORITHM}"', argument=("X-Amz-Algorithm", value))
    stamp, at = _moment(fields["x-amz-date"], fields["x-amz-date"], presigned=True)
    key, day, region, service = _credential(fields["x-amz-credential"], presigned=True)
    signature, token = fields["x-amz-signature"], fields.get("x-amz-security-token")
    return Claim(key, day, region, service, (), signature, stamp, at, token=token, presigned=True)


def check_text(claim: Claim, key: bytes, text: bytes) -> None:
    """Of a text that is signed as it is."""
    if not hmac.compare_digest(hmac.digest(key, text, "sha256").hex().encode(), claim.signature.encode("utf-8", "replace")):
        raise Refused(MISMATCH, access_key_id=claim.access_key_id, string_to_sign=text, provided=claim.signature)


def check_signature(claim: Claim, key: bytes, canonical: bytes) -> None:
    to_sign = f"{ALGORITHM}\n{claim.stamp}\n{claim.scope}\n{hashlib.sha256(canonical).hexdigest()}".encode("latin-1", "replace")
    expected = hmac.digest(key, to_sign, "sha256").hex()
    if not hmac.compare_digest(expected.encode(), claim.signature.encode("utf-8", "replace")):
        raise Refused(
            MISMATCH,
            access_key_id=claim.access_key_id,
            string_to_sign=to_sign,
            provided=claim.signature,
            canonical=canonical,
        )
