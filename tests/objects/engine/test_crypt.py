"""Sealed contents: every range opens as the plaintext, and nothing that was changed, moved or cut opens at all."""

from __future__ import annotations

import base64
import hashlib
import os

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from mallee.objects.engine import crypt
from mallee.objects.engine.base import ContentDamaged

KEY, PREFIX = bytes(range(32)), bytes(range(100, 132))
EDGES = [0, 1, crypt.SEGMENT - 1, crypt.SEGMENT, crypt.SEGMENT + 1, 2 * crypt.SEGMENT, 3 * crypt.SEGMENT + 17]
PLAIN = os.urandom(max(EDGES))


class Stored:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.reads: list[tuple[int, int]] = []
        self.closed = False

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        return self.data[offset : offset + length]

    def span(self, offset: int, length: int) -> None:
        return None

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("size", EDGES)
def test_whole(size: int) -> None:
    sealed = crypt.seal(PLAIN[:size], KEY, PREFIX)
    assert len(sealed) == crypt.stored_size(size)
    content = crypt.opened(Stored(sealed), KEY, PREFIX, size)
    assert content.size == size
    assert content.read(0, size) == PLAIN[:size]
    assert content.span(0, size) is None


@settings(deadline=None)
@given(st.sampled_from(EDGES), st.lists(st.integers(0, 2 * crypt.SEGMENT), max_size=8), st.data())
def test_pieces_and_ranges(size: int, cuts: list[int], data: st.DataObject) -> None:
    sealer, sealed, at = crypt.Sealer(KEY, PREFIX), b"", 0
    for cut in cuts:
        sealed += sealer.update(PLAIN[at : min(at + cut, size)])
        at = min(at + cut, size)
    sealed += sealer.update(memoryview(PLAIN)[at:size]) + sealer.finish()
    assert sealed == crypt.seal(PLAIN[:size], KEY, PREFIX)
    content = crypt.opened(Stored(sealed), KEY, PREFIX, size)
    offset, length = data.draw(st.integers(0, size + 10)), data.draw(st.integers(0, size + 10))
    assert content.read(offset, length) == PLAIN[:size][offset : offset + length]


def test_a_range_opens_only_its_segments() -> None:
    stored = Stored(crypt.seal(PLAIN, KEY, PREFIX))
    crypt.opened(stored, KEY, PREFIX, len(PLAIN)).read(crypt.SEGMENT + 5, 10)
    assert stored.reads == [(crypt.SEGMENT + crypt.TAG, crypt.SEGMENT + crypt.TAG)]


def test_it_is_what_the_words_say() -> None:
    """By another implementation of the derivation, so that the format does not rest on ours alone."""
    derived = HKDF(hashes.SHA256(), 32, PREFIX, b"mallee objects content 1").derive(KEY)
    sealed = crypt.seal(PLAIN[: crypt.SEGMENT + 1], KEY, PREFIX)
    first, last = sealed[: crypt.SEGMENT + 16], sealed[crypt.SEGMENT + 16 :]
    assert AESGCM(derived).decrypt(bytes(12), first, None) == PLAIN[: crypt.SEGMENT]
    assert AESGCM(derived).decrypt(bytes(10) + b"\x01\x01", last, None) == PLAIN[crypt.SEGMENT : crypt.SEGMENT + 1]


@pytest.mark.parametrize("size", EDGES)
def test_a_bit_that_turned(size: int) -> None:
    sealed = bytearray(crypt.seal(PLAIN[:size], KEY, PREFIX))
    for at in {0, len(sealed) // 2, len(sealed) - 1}:
        sealed[at] ^= 1
        with pytest.raises(ContentDamaged):
            crypt.opened(Stored(bytes(sealed)), KEY, PREFIX, size).read(0, max(size, 1))
        sealed[at] ^= 1


def test_cut_exchanged_appended_and_of_another() -> None:
    step = crypt.SEGMENT + crypt.TAG
    size = 3 * crypt.SEGMENT
    sealed = crypt.seal(PLAIN[:size], KEY, PREFIX)
    other = crypt.seal(PLAIN[:size], KEY, crypt.new_prefix())
    cut = sealed[: 2 * step]
    exchanged = sealed[step : 2 * step] + sealed[:step] + sealed[2 * step :]
    foreign = sealed[:step] + other[step : 2 * step] + sealed[2 * step :]
    with pytest.raises(ContentDamaged):
        crypt.opened(Stored(cut), KEY, PREFIX, size)
    for what, claimed in ((cut, 2 * crypt.SEGMENT), (exchanged, size), (foreign, size)):
        with pytest.raises(ContentDamaged):
            crypt.opened(Stored(what), KEY, PREFIX, claimed).read(0, claimed)
    with pytest.raises(ContentDamaged):
        crypt.opened(Stored(b""), KEY, PREFIX, 0)
    longer = sealed + other[:step]
    with pytest.raises(ContentDamaged):
        crypt.opened(Stored(longer), KEY, PREFIX, size + crypt.SEGMENT).read(size, 10)


def test_beyond_the_end() -> None:
    for size in (0, 1):
        content = crypt.opened(Stored(crypt.seal(PLAIN[:size], KEY, PREFIX)), KEY, PREFIX, size)
        assert content.read(3 * crypt.SEGMENT, 10) == b""


def test_another_key() -> None:
    sealed = crypt.seal(PLAIN[:100], KEY, PREFIX)
    with pytest.raises(ContentDamaged):
        crypt.opened(Stored(sealed), crypt.new_key(), PREFIX, 100).read(0, 100)
    with pytest.raises(ValueError):
        crypt.Sealer(KEY[:16], PREFIX)


def test_closing() -> None:
    stored = Stored(crypt.seal(b"", KEY, PREFIX))
    crypt.opened(stored, KEY, PREFIX, 0).close()
    assert stored.closed


def test_wrapped_keys() -> None:
    wrapping, key = crypt.new_key(), crypt.new_key()
    wrapped = crypt.wrap(wrapping, key, "b-1/v-1")
    assert key not in wrapped
    assert wrapped != crypt.wrap(wrapping, key, "b-1/v-1")
    assert crypt.unwrap(wrapping, wrapped, "b-1/v-1") == key
    for bad in (wrapped[:-1], b"\x02" + wrapped[1:], b"", wrapped[:-1] + bytes([wrapped[-1] ^ 1])):
        with pytest.raises(crypt.WrongKey):
            crypt.unwrap(wrapping, bad, "b-1/v-1")
    with pytest.raises(crypt.WrongKey):
        crypt.unwrap(wrapping, wrapped, "b-1/v-2")
    with pytest.raises(crypt.WrongKey):
        crypt.unwrap(key, wrapped, "b-1/v-1")


def test_customers_keys() -> None:
    told = crypt.fingerprint(KEY)
    assert KEY not in told and told != crypt.fingerprint(KEY)
    assert crypt.is_key_of(KEY, told)
    assert not crypt.is_key_of(crypt.new_key(), told)
    assert not crypt.is_key_of(KEY, b"")
    md5 = base64.b64encode(hashlib.md5(KEY, usedforsecurity=False).digest()).decode()
    assert crypt.has_md5(KEY, md5)
    assert not crypt.has_md5(KEY[:-1], md5)
    assert not crypt.has_md5(KEY, "not base64!")
