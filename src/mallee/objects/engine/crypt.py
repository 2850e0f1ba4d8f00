"""Encryption of contents, above the engine: what an engine stores is then ciphertext, and no engine knows of keys.

The construction is that of streaming AEADs (STREAM; Tink's AES-GCM-HKDF): each content has a key of its own, derived by
HKDF-SHA256 from the data key and the content's random *prefix* as salt, so the same data key (a customer's, say) may seal any number of
contents. Plaintext is cut into segments of 64 KiB, each sealed with AES-256-GCM under a nonce of seven zero bytes, the segment's number and
whether it is the last one. So a segment that was changed, exchanged, left out or appended does not open, and any
range is read by opening only the segments that cover it. An empty content is one empty segment.

Nothing here stores a key: *wrapped* data keys may be stored, and of a customer's key only a ``fingerprint``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .base import Content, ContentDamaged

SEGMENT: Final = 64 * 1024
TAG: Final = 16
PREFIX: Final = 32
KEY: Final = 32
_SEALED: Final = SEGMENT + TAG
_CONTENT: Final = b"mallee objects content 1"
_WRAPPING: Final = b"mallee objects data key 1"
_FINGERPRINT: Final = b"mallee objects customer key 1"
_WRAPPED: Final = b"\x01"
_SALT: Final = 16


class WrongKey(Exception):
    """A wrapped data key does not open: it was wrapped under another key, for another name, or is damaged."""


def new_key() -> bytes:
    return os.urandom(KEY)


def new_prefix() -> bytes:
    return os.urandom(PREFIX)


def stored_size(plain: int) -> int:
    """The bytes that a plaintext of so many becomes."""
    return plain + TAG * max(1, -(-plain // SEGMENT))


class Sealer:
    """Plaintext in, bytes to store out, by one thread at a time. ``finish`` gives the last segment, without which none of it
    opens as a whole. A pair of key and prefix seals one content, ever."""

    __slots__ = ("_cipher", "_held", "_number")

    def __init__(self, key: bytes, prefix: bytes) -> None:
        self._cipher = _cipher(key, prefix)
        self._held = b""
        self._number = 0

    def update(self, data: bytes | bytearray | memoryview) -> bytes:
        """Whole segments, as far as it is known that something follows them."""
        view = memoryview(data).cast("B")
        if len(self._held) + len(view) <= SEGMENT:
            self._held += view
            return b""
        sealed = []
        at = 0
        if self._held:
            at = SEGMENT - len(self._held)
            sealed.append(self._seal(self._held + bytes(view[:at])))
        while len(view) - at > SEGMENT:
            sealed.append(self._seal(view[at : at + SEGMENT]))
            at += SEGMENT
        self._held = bytes(view[at:])
        return b"".join(sealed)

    def finish(self) -> bytes:
        held, self._held = self._held, b""
        return self._seal(held, last=True)

    def _seal(self, segment: bytes | memoryview, *, last: bool = False) -> bytes:
        sealed = self._cipher.encrypt(_nonce(self._number, last), segment, None)
        self._number += 1
        return sealed


def seal(data: bytes, key: bytes, prefix: bytes) -> bytes:
    """All at once."""
    sealer = Sealer(key, prefix)
    return sealer.update(data) + sealer.finish()


class Opened:
    """The plaintext of a content, as a content. It closes the one beneath."""

    __slots__ = ("_cipher", "_content", "_last", "size")

    def __init__(self, content: Content, key: bytes, prefix: bytes, plain_size: int) -> None:
        if content.size != stored_size(plain_size):
            raise ContentDamaged(f"A sealed content has {content.size} bytes instead of {stored_size(plain_size)}.")
        self.size = plain_size
        self._content = content
        self._cipher = _cipher(key, prefix)
        self._last = max(0, -(-plain_size // SEGMENT) - 1)

    def read(self, offset: int, length: int) -> bytes:
        """Raises ContentDamaged, too, if the bytes are as they were stored but do not open with this key."""
        if not self.size:
            offset = 0  # its one empty segment is opened all the same: it must be there
        end = min(offset + length, self.size)
        if offset < 0 or (end <= offset and self.size):
            return b""
        first, last = offset // SEGMENT, max(0, end - 1) // SEGMENT
        stored = memoryview(self._content.read(first * _SEALED, (last - first + 1) * _SEALED))
        plain = []
        for number in range(first, last + 1):
            part = stored[(number - first) * _SEALED : (number - first + 1) * _SEALED]
            try:
                plain.append(self._cipher.decrypt(_nonce(number, number == self._last), part, None))
            except (InvalidTag, ValueError):
                raise ContentDamaged(f"Segment {number} of a sealed content does not open with its key.") from None
        start = offset - first * SEGMENT
        whole = plain[0] if len(plain) == 1 else b"".join(plain)
        return whole if not start and len(whole) == end - offset else whole[start : start + end - offset]

    def span(self, offset: int, length: int) -> None:
        """The file holds ciphertext: there is nothing for the kernel to send."""
        return None

    def close(self) -> None:
        self._content.close()


def opened(content: Content, key: bytes, prefix: bytes, plain_size: int) -> Content:
    return Opened(content, key, prefix, plain_size)


# -- keys ----------------------------------------------------------------------------------------------------------------------------


def wrap(wrapping: bytes, key: bytes, name: str) -> bytes:
    """A data key, sealed under another key for what ``name`` tells (an object's version, an upload): it opens for nothing else. A fresh
    key is derived each time, so that one wrapping key is good for any number of data keys."""
    salt = os.urandom(PREFIX)
    return _WRAPPED + salt + AESGCM(_derive(wrapping, salt, _WRAPPING)).encrypt(bytes(12), key, name.encode())


def unwrap(wrapping: bytes, wrapped: bytes, name: str) -> bytes:
    if wrapped[:1] != _WRAPPED:
        raise WrongKey(f"The data key of {name} is wrapped in a form that this version does not know.")
    salt, sealed = wrapped[1 : 1 + PREFIX], wrapped[1 + PREFIX :]
    try:
        return AESGCM(_derive(wrapping, salt, _WRAPPING)).decrypt(bytes(12), sealed, name.encode())
    except (InvalidTag, ValueError):
        raise WrongKey(f"The data key of {name} does not open with this key.") from None


def fingerprint(key: bytes) -> bytes:
    """What may be stored of a customer's key: enough to tell it again, and nothing to find it by."""
    salt = os.urandom(_SALT)
    return salt + _told(key, salt)


def is_key_of(key: bytes, told: bytes) -> bool:
    return hmac.compare_digest(_told(key, told[:_SALT]), told[_SALT:])


def has_md5(key: bytes, md5: str) -> bool:
    """Whether this is the base64 of the key's MD5, which a client sends along so that a mistyped key is found."""
    try:
        given = base64.b64decode(md5, validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(given, hashlib.md5(key, usedforsecurity=False).digest())


# -- inside --------------------------------------------------------------------------------------------------------------------------


def _cipher(key: bytes, prefix: bytes) -> AESGCM:
    if len(key) != KEY or len(prefix) != PREFIX:
        raise ValueError(f"A key has {KEY} bytes and a prefix {PREFIX}.")
    return AESGCM(_derive(key, prefix, _CONTENT))


def _derive(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) for one block."""
    return hmac.digest(hmac.digest(salt, key, "sha256"), purpose + b"\x01", "sha256")


def _nonce(number: int, last: bool) -> bytes:
    return bytes(7) + number.to_bytes(4, "big") + (b"\x01" if last else b"\x00")


def _told(key: bytes, salt: bytes) -> bytes:
    return hmac.digest(_derive(key, salt, _FINGERPRINT), b"", "sha256")
