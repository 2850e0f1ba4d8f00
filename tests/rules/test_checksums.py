"""Checksums: known answers, running and whole, and combining against the sum of the whole text."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.objects import checksums

CRCS = ("CRC32", "CRC32C", "CRC64NVME")
CHECK = b"123456789"
"""Whose checksum catalogues of CRCs give for each of them."""
KNOWN = {"CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888"}


@pytest.mark.parametrize("algorithm", CRCS)
def test_known_answers(algorithm: str) -> None:
    assert checksums.of(algorithm, CHECK).hex() == KNOWN[algorithm]


@given(st.binary(max_size=3000))
def test_crc32_is_zlibs_and_digests_are_hashlibs(data: bytes) -> None:
    assert int.from_bytes(checksums.of("CRC32", data), "big") == zlib.crc32(data)
    for name in ("SHA1", "SHA256", "SHA512", "MD5"):
        assert checksums.of(name, data) == hashlib.new(name.lower(), data).digest()


@pytest.mark.parametrize("algorithm", checksums.ALGORITHMS)
@given(pieces=st.lists(st.binary(max_size=400), max_size=6))
def test_running_and_whole_agree(algorithm: str, pieces: list[bytes]) -> None:
    running = checksums.new(algorithm)
    for piece in pieces:
        running.update(piece)
    assert running.digest() == checksums.of(algorithm, b"".join(pieces))
    assert len(running.digest()) == checksums.LENGTHS[algorithm]


@pytest.mark.parametrize("algorithm", CRCS)
@given(parts=st.lists(st.binary(max_size=500), min_size=1, max_size=6))
def test_the_parts_make_the_whole(algorithm: str, parts: list[bytes]) -> None:
    told = checksums.full(algorithm, [(checksums.of(algorithm, part), len(part)) for part in parts])
    assert told == checksums.encoded(checksums.of(algorithm, b"".join(parts)))


def test_a_composite_is_the_digest_of_digests() -> None:
    digests = [checksums.of("SHA256", part) for part in (b"a", b"b", b"c")]
    expected = base64.b64encode(hashlib.sha256(b"".join(digests)).digest()).decode()
    assert checksums.composite("SHA256", digests) == f"{expected}-3"


@pytest.mark.parametrize("text", ["", "!", "AAAA", "AAAAAAA", "ÄÄÄÄ", "AAAAAA==\n"])
def test_what_is_no_value_is_none(text: str) -> None:
    assert checksums.decoded("CRC32", text) is None
    assert checksums.decoded("CRC32", checksums.encoded(b"1234")) == b"1234"
