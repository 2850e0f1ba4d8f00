"""Temporary URLs: whether a URL was signed for this request. https://docs.openstack.org/swift/latest/api/temporary_url_middleware.html"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from mallee.wire.errors import AwsError

DIGESTS: Final = {40: "sha1", 64: "sha256", 128: "sha512"}  # by the length of their hexadecimal form
_HEX = re.compile(r"[0-9a-f]+")
_ALSO: Final = {"HEAD": ("HEAD", "GET", "PUT", "POST"), "GET": ("GET",), "PUT": ("PUT",), "POST": ("POST",), "DELETE": ("DELETE",)}
"""By the method of a request: those that the URL may have been signed for."""
NOT_BY_URL: Final = (b"x-object-manifest", b"x-symlink-target", b"x-copy-from")
_DATES: Final = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class Signed:
    """What the query says."""

    digest: str
    signature: bytes
    expires: int
    prefix: str | None = None
    addresses: str | None = None
    filename: str | None = None
    inline: bool = False


def claimed(query: Mapping[str, str]) -> Signed | None:
    """None where the query claims nothing. Raises AwsError for a claim that cannot hold."""
    if "temp_url_sig" not in query and "temp_url_expires" not in query:
        return None
    found = _signature(query.get("temp_url_sig", ""))
    expires = _moment(query.get("temp_url_expires", ""))
    if found is None or expires is None:
        raise invalid()
    return Signed(
        *found, expires, query.get("temp_url_prefix"), query.get("temp_url_ip_range"), query.get("filename") or None, "inline" in query
    )


def _signature(text: str) -> tuple[str, bytes] | None:
    if ":" in text:
        digest, _, encoded = text.partition(":")
        try:
            raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_" if set(encoded) & set("-_") else None, validate=True)
        except (binascii.Error, ValueError):
            return None
        return (digest, raw) if DIGESTS.get(2 * len(raw)) == digest else None
    if len(text) not in DIGESTS or not _HEX.fullmatch(text):
        return None
    return DIGESTS[len(text)], bytes.fromhex(text)


def _moment(text: str) -> int | None:
    if text.isascii() and text.isdigit() and len(text) <= 12:
        return int(text)
    for form in _DATES:
        try:
            return int(datetime.datetime.strptime(text, form).replace(tzinfo=datetime.UTC).timestamp())
        except ValueError:
            continue
    return None


def holds(signed: Signed, keys: Iterable[bytes], method: str, start: str, path: str, address: str, now: datetime.datetime) -> list[bool]:
    """For each key, whether it signed this. ``path``: of the object, ``start`` of it being ``/v1/AUTH_…``'s container. All are tried."""
    if signed.expires < now.timestamp() or not _is_within(signed.addresses, address):
        return [False for _ in keys]
    named = path
    if signed.prefix is not None:
        if not path.startswith(f"{start}/{signed.prefix}"):
            return [False for _ in keys]
        named = f"prefix:{start}/{signed.prefix}"
    texts = []
    for each in _ALSO.get(method, ()):
        text = f"{each}\n{signed.expires}\n{named}"
        texts.append((text if signed.addresses is None else f"ip={signed.addresses}\n{text}").encode())
    return [
        any(hmac.compare_digest(hmac.new(key, text, getattr(hashlib, signed.digest)).digest(), signed.signature) for text in texts)
        for key in keys
    ]


def _is_within(addresses: str | None, address: str) -> bool:
    if addresses is None:
        return True
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(addresses, strict=False)
    except ValueError:
        return False


def disposition(signed: Signed, key: str) -> str:
    """Content-Disposition of what a temporary URL gets."""
    if signed.inline and signed.filename is None:
        return "inline"
    name = signed.filename if signed.filename is not None else key.rstrip("/").rpartition("/")[2]
    plain = re.sub(r'[^\x20-\x7e]|["\\]', "_", name)
    kind = "inline" if signed.inline else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def invalid() -> AwsError:
    return AwsError("Unauthorized", "Temp URL invalid", status=401)
