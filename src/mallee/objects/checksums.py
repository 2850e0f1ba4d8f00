"""Checksums of bodies: the algorithms that S3 has, how their values are written, and how those of parts make one of the whole.

CRCs come from the AWS common runtime (50 GB/s here; zlib's 4), digests from hashlib, which lets go of the interpreter while it computes.
``COMPOSITE`` checksums are the digest of the parts' digests, ``FULL_OBJECT`` ones (of CRCs) are what the whole would have in one piece, worked
out from the parts' without reading them again.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final, Protocol

from awscrt import checksums as crt

COMPOSITE: Final = "COMPOSITE"
FULL_OBJECT: Final = "FULL_OBJECT"
DEFAULT: Final = "CRC64NVME"  # what S3 computes of its own accord


class Sum(Protocol):
    def update(self, data: Any, /) -> None: ...

    def digest(self) -> bytes: ...


class Crc:
    """A running CRC; its digest is big-endian."""

    __slots__ = ("_function", "_value", "_width")

    def __init__(self, function: Callable[[Any, int], int], width: int) -> None:
        self._function = function
        self._width = width
        self._value = 0

    def update(self, data: Any) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width, "big")


# (width in bytes, polynomial in reversed bits) of each CRC
_CRCS: Final[dict[str, tuple[int, int, Callable[[Any, int], int]]]] = {
    "CRC32": (4, 0xEDB88320, crt.crc32),
    "CRC32C": (4, 0x82F63B78, crt.crc32c),
    "CRC64NVME": (8, 0x9A6C9329AC4BC9B5, crt.crc64nvme),
}
_DIGESTS: Final = {"SHA1": hashlib.sha1, "SHA256": hashlib.sha256, "SHA512": hashlib.sha512, "MD5": hashlib.md5}
ALGORITHMS: Final = (*_CRCS, *_DIGESTS)
"""By the names that requests use (``x-amz-checksum-algorithm``)."""

LENGTHS: Final = {name: width for name, (width, _, _) in _CRCS.items()} | {
    name: make(usedforsecurity=False).digest_size for name, make in _DIGESTS.items()
}
PREFIX: Final = "x-amz-checksum-"
MEMBERS: Final = {name: f"Checksum{name}" for name in ALGORITHMS}
"""The members of the model's shapes that hold values."""


def new(algorithm: str) -> Sum:
    crc = _CRCS.get(algorithm)
    if crc is not None:
        return Crc(crc[2], crc[0])
    made: Sum = _DIGESTS[algorithm](usedforsecurity=False)
    return made


def of(algorithm: str, data: bytes) -> bytes:
    found = new(algorithm)
    found.update(data)
    return found.digest()


def encoded(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def decoded(algorithm: str, text: str) -> bytes | None:
    """The digest that a header's value means; None if it cannot be one of that algorithm."""
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if len(digest) == LENGTHS[algorithm] else None


def is_crc(algorithm: str) -> bool:
    return algorithm in _CRCS


def default_type(algorithm: str) -> str:
    """What a multipart upload has unless it says otherwise."""
    return FULL_OBJECT if algorithm == "CRC64NVME" else COMPOSITE


def composite(algorithm: str, digests: Iterable[bytes]) -> str:
    """The value of a COMPOSITE checksum, with the number of parts behind it."""
    whole = new(algorithm)
    count = 0
    for digest in digests:
        whole.update(digest)
        count += 1
    return f"{encoded(whole.digest())}-{count}"


def full(algorithm: str, parts: Iterable[tuple[bytes, int]]) -> str:
    """The value of a FULL_OBJECT checksum, from the (digest, length) of each part in order."""
    value = 0
    for digest, length in parts:
        value = combine(algorithm, value, int.from_bytes(digest, "big"), length)
    return encoded(value.to_bytes(_CRCS[algorithm][0], "big"))


# ------------------------------------------------------------------------------------------------------- combining of CRCs


def combine(algorithm: str, first: int, second: int, length: int) -> int:
    """The CRC of two texts, one after the other, from theirs and the second's length: the first's is multiplied by x to the
    power of 8 * length, modulo the polynomial (as zlib's crc32_combine does)."""
    width, polynomial, _ = _CRCS[algorithm]
    return _multiply(_shift(algorithm, length), first, width * 8, polynomial) ^ second


@lru_cache(64)
def _shift(algorithm: str, length: int) -> int:
    """x to the power of 8 * length; most parts of an upload have one length."""
    width, polynomial, _ = _CRCS[algorithm]
    bits = width * 8
    power = 1 << (bits - 1)  # x^0 in reversed bits
    square = 1 << (bits - 2)  # x^1
    for _ in range(3):  # x^8
        square = _multiply(square, square, bits, polynomial)
    while length:
        if length & 1:
            power = _multiply(square, power, bits, polynomial)
        square = _multiply(square, square, bits, polynomial)
        length >>= 1
    return power


def _multiply(one: int, other: int, bits: int, polynomial: int) -> int:
    product = 0
    mask = 1 << (bits - 1)
    while one:
        if one & mask:
            product ^= other
        one = (one << 1) & ((1 << bits) - 1)
        other = (other >> 1) ^ polynomial if other & 1 else other >> 1
    return product
