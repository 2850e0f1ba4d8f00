"""The chunk decoder against bodies signed as AWS's specification says, cut into pieces anywhere."""

from __future__ import annotations

import datetime
import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mallee.identity.signature.chunks import Decoder
from mallee.identity.signature.refusals import MISMATCH, Refused
from mallee.identity.signature.sigv4 import (
    EMPTY_DIGEST,
    STREAMING,
    STREAMING_TRAILER,
    STREAMING_UNSIGNED_TRAILER,
    Claim,
    signing_key,
)

KEY = signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", "s3")
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
CLAIM = Claim(
    "AKIAIOSFODNN7EXAMPLE", "20130524", "us-east-1", "s3", ("host",), SEED, "20130524T000000Z",
    datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC),
)  # fmt: skip
HEAD = f"20130524T000000Z\n{CLAIM.scope}"


def sign(what: str, previous: str, rest: str) -> str:
    return hmac.new(KEY, f"AWS4-HMAC-SHA256-{what}\n{HEAD}\n{previous}\n{rest}".encode(), "sha256").hexdigest()


def body(chunks: list[bytes], trailers: dict[str, str] | None = None, seed: str = SEED) -> bytes:
    parts, previous = [], seed
    for chunk in [*chunks, b""]:
        previous = sign("PAYLOAD", previous, f"{EMPTY_DIGEST}\n{hashlib.sha256(chunk).hexdigest()}")
        parts.append(f"{len(chunk):x};chunk-signature={previous}\r\n".encode())
        if chunk:
            parts.append(chunk + b"\r\n")
    if trailers is not None:
        text = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        parts += [f"{name}:{value}\r\n".encode() for name, value in trailers.items()]
        parts.append(f"x-amz-trailer-signature:{sign('TRAILER', previous, digest(text))}\r\n".encode())
    return b"".join(parts) + b"\r\n"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def unsigned(chunks: list[bytes], trailers: dict[str, str]) -> bytes:
    parts = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
    lines = [f"{name}:{value}\r\n".encode() for name, value in trailers.items()]
    return b"".join([*parts, b"0\r\n", *lines, b"\r\n"])


def decode(form: str, data: bytes, length: int, announced: tuple[str, ...] = (), step: int = 7) -> tuple[bytes, Decoder]:
    decoder = Decoder(form, CLAIM, KEY, length, announced)
    pieces = [piece for at in range(0, len(data), step) for piece in decoder.feed(data[at : at + step])]
    decoder.finish()
    return b"".join(pieces), decoder


def test_aws_s_own_example() -> None:
    """66,560 bytes in chunks of 64 KiB, with the signatures that AWS's documentation prints."""
    data = body([b"a" * 65536, b"a" * 1024])
    assert b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648" in data
    assert b"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497" in data
    assert b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9" in data
    got, _ = decode(STREAMING, data, 66560, step=10_000)
    assert got == b"a" * 66560


@settings(max_examples=80, deadline=None)
@given(chunks=st.lists(st.binary(min_size=1, max_size=50), max_size=5), step=st.integers(1, 64), kind=st.integers(0, 2))
def test_any_chunks_cut_anywhere(chunks: list[bytes], step: int, kind: int) -> None:
    whole = b"".join(chunks)
    trailers = {"x-amz-checksum-crc32c": "sOO8/Q=="}
    names = tuple(trailers)
    if kind == 0:
        got, _ = decode(STREAMING, body(chunks), len(whole), step=step)
    elif kind == 1:
        got, decoder = decode(STREAMING_TRAILER, body(chunks, trailers), len(whole), names, step)
        assert decoder.trailers == trailers
    else:
        got, decoder = decode(STREAMING_UNSIGNED_TRAILER, unsigned(chunks, trailers), len(whole), names, step)
        assert decoder.trailers == trailers
    assert got == whole


def test_an_empty_line_before_the_trailer_s_signature() -> None:
    data = body([b"abc"], {"x-amz-checksum-crc32": "AAAAAA=="})
    odd = data.replace(b"AAAAAA==\r\n", b"AAAAAA==\n\r\n")
    got, decoder = decode(STREAMING_TRAILER, odd, 3, ("x-amz-checksum-crc32",))
    assert got == b"abc" and decoder.trailers


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"first", b"First"),  # payload
        (b"5;chunk", b"4;chunk"),  # length
        (b"5;chunk-signature=", b"5;chunk-signature=0"),  # signature's length
        (b";chunk-signature", b""),  # no signature at all
        (b"first\r\n", b"first"),  # no end of the chunk
        (b"5;chunk", b"-5;chunk"),
        (b"5;chunk", b"0x5;chunk"),
        (b"5;chunk", b"fffffffffffffffff;chunk"),
    ],
)
def test_what_is_not_as_it_was_signed(old: bytes, new: bytes) -> None:
    with pytest.raises(Refused):
        decode(STREAMING, body([b"first", b"second!"]).replace(old, new, 1), 12)


def test_chunks_cannot_be_dropped_repeated_reordered_or_taken_from_another_request() -> None:
    one, two = b"first", b"third"
    data = body([one, two])
    lines = data.split(b"\r\n")
    swapped = b"\r\n".join([*lines[2:4], *lines[0:2], *lines[4:]])
    dropped = b"\r\n".join(lines[2:])
    repeated = b"\r\n".join([*lines[0:2], *lines])
    for forged, length in ((swapped, 10), (dropped, 5), (repeated, 15), (body([one, two], seed="0" * 64), 10)):
        with pytest.raises(Refused) as caught:
            decode(STREAMING, forged, length)
        assert caught.value.reason == MISMATCH


def test_length_and_end() -> None:
    data = body([b"first"])
    for length in (4, 6):
        with pytest.raises(Refused):
            decode(STREAMING, data, length)
    for end in range(len(data) - 1):
        with pytest.raises(Refused):
            decode(STREAMING, data[:end], 5)
    with pytest.raises(Refused):
        decode(STREAMING, data + b"x", 5)


def test_trailers_that_were_forged_or_not_announced() -> None:
    data = body([b"abc"], {"x-amz-checksum-crc32": "AAAAAA=="})
    name = ("x-amz-checksum-crc32",)
    for forged in (
        data.replace(b"AAAAAA==", b"BBBBBB=="),
        data[: data.index(b"x-amz-trailer-signature")] + b"\r\n",
        data.replace(b"x-amz-checksum-crc32", b"x-amz-checksum-crc64"),
        data.replace(b"x-amz-trailer-signature", b"x-amz-other:1\r\nx-amz-trailer-signature"),
    ):
        with pytest.raises(Refused):
            decode(STREAMING_TRAILER, forged, 3, name)
    with pytest.raises(Refused):
        decode(STREAMING_TRAILER, data, 3, ())
    with pytest.raises(Refused):
        decode(STREAMING, data, 3)
    with pytest.raises(Refused):
        decode(STREAMING_UNSIGNED_TRAILER, unsigned([b"abc"], {}), 3, name)


def test_endless_lines_are_bounded() -> None:
    decoder = Decoder(STREAMING, CLAIM, KEY, 10)
    with pytest.raises(Refused):
        for _ in range(100):
            decoder.feed(b"1" * 100)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER]))
def test_any_bytes_are_refused(data: bytes, form: str) -> None:
    with pytest.raises(Refused):
        decode(form, b"5" + data, 5, ("x-amz-checksum-crc32",))
