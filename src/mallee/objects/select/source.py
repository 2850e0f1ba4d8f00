"""From an object's chunks to pieces of plain bytes, and to blocks of whole records.

Whatever the chunks are, a piece has at most PIECE bytes: a gigabyte that came out of a kilobyte passes through like any
other. A record that does not end within MAX_RECORD is OverMaxRecordSize, so what waits for its end is bounded too.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mallee.objects.select.errors import fail
from mallee.objects.select.serialization import ScanRange

PIECE = 256 << 10
SMALL = 64 << 10
MAX_RECORD = 1 << 20


@dataclass
class Meter:
    scanned: int = 0
    """Bytes of the object, as stored."""
    processed: int = 0
    """Bytes after decompression."""
    returned: int = 0


def pieces(chunks: Iterable[bytes], compression: str, meter: Meter) -> Iterator[bytes]:
    cut = _cut(chunks, meter)
    if compression == "GZIP":
        cut = _decompressed(cut, lambda: _Gzip(), b"\x1f\x8b")
    elif compression == "BZIP2":
        cut = _decompressed(cut, lambda: _Bzip2(), b"BZh")
    for piece in _gathered(cut):
        meter.processed += len(piece)
        yield piece


def _cut(chunks: Iterable[bytes], meter: Meter) -> Iterator[bytes]:
    for chunk in chunks:
        for at in range(0, len(chunk), PIECE):
            piece = bytes(chunk[at : at + PIECE])
            meter.scanned += len(piece)
            yield piece


def _gathered(cut: Iterable[bytes]) -> Iterator[bytes]:
    """Small pieces together: each costs the same to look at as a large one."""
    waiting: list[bytes] = []
    size = 0
    for piece in cut:
        waiting.append(piece)
        size += len(piece)
        if size >= SMALL:
            yield b"".join(waiting) if len(waiting) > 1 else piece
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


class _Gzip:
    def __init__(self) -> None:
        self._engine = zlib.decompressobj(31)

    def feed(self, data: bytes) -> bytes:
        return self._engine.decompress(data, PIECE)

    @property
    def rest(self) -> bytes:
        return self._engine.unconsumed_tail

    @property
    def done(self) -> bool:
        return self._engine.eof

    @property
    def after(self) -> bytes:
        return self._engine.unused_data


class _Bzip2:
    def __init__(self) -> None:
        self._engine = bz2.BZ2Decompressor()

    def feed(self, data: bytes) -> bytes:
        return self._engine.decompress(data, PIECE)

    @property
    def rest(self) -> bytes | None:
        """None: it keeps the rest itself, and there is some."""
        return b"" if self._engine.needs_input or self._engine.eof else None

    @property
    def done(self) -> bool:
        return self._engine.eof

    @property
    def after(self) -> bytes:
        return self._engine.unused_data


def _decompressed(cut: Iterable[bytes], engine: Callable[[], _Gzip | _Bzip2], magic: bytes) -> Iterator[bytes]:
    """A compressed file may be several, one after the other, and end in zeros."""
    current: _Gzip | _Bzip2 | None = None
    head = b""
    started = False
    for piece in cut:
        data = head + piece
        head = b""
        while data:
            if current is None:
                if started and not data.strip(b"\0"):
                    break
                if len(data) < len(magic) and magic.startswith(data):
                    head = data
                    break
                if not data.startswith(magic):
                    fail("TruncatedInput" if started else "InvalidCompressionFormat")
                current, started = engine(), True
            try:
                plain = current.feed(data)
                # a full piece may leave something behind even when all the input is used up
                while not current.done and (current.rest != b"" or len(plain) >= PIECE):
                    if plain:
                        yield plain
                    plain = current.feed(current.rest or b"")
            except (zlib.error, OSError, ValueError):
                fail("TruncatedInput")
            if plain:
                yield plain
            data = current.after if current.done else b""
            if current.done:
                current = None
    if current is not None or head or not started:
        fail("TruncatedInput" if started else "InvalidCompressionFormat")


def within(given: Iterable[bytes], first: int, scan: ScanRange, delimiter: bytes) -> Iterator[bytes]:
    """The records that start in the range, of an object that is given from its byte ``first`` on."""
    size = len(delimiter)
    at = first
    held = b""
    open_ = scan.start <= first
    if open_ and scan.end is not None and first > scan.end:
        return
    for piece in given:
        data = held + piece
        held = b""
        if not open_:
            found = data.find(delimiter, max(0, scan.start - size - at))
            if found < 0:
                held = data[-(size - 1) :] if size > 1 else b""
                at += len(data) - len(held)
                continue
            open_ = True
            at += found + size
            data = data[found + size :]
            if scan.end is not None and at > scan.end:
                return
        if scan.end is not None and at + len(data) + size > scan.end:
            found = data.find(delimiter, max(0, scan.end + 1 - size - at))
            if found >= 0:
                yield data[:found]
                return
            # a delimiter may be cut in two here
            held = data[-(size - 1) :] if size > 1 else b""
            data = data[: len(data) - len(held)]
        at += len(data)
        yield data
    if open_ and held:
        yield held


def header(head: Iterable[bytes], delimiter: bytes, comment: bytes) -> tuple[bytes, int]:
    """The first record of an object that is neither blank nor a comment, and where it ends with its delimiter."""
    data = b""
    at = 0
    for piece in head:
        data += piece
        while (end := data.find(delimiter, at)) >= 0:
            line, at = data[at:end].removesuffix(b"\r"), end + len(delimiter)
            if line and not (comment and line.startswith(comment)):
                return line, at
        if len(data) - at > MAX_RECORD:
            fail("OverMaxRecordSize")
    return data[at:], len(data)


def _last(data: bytes, delimiter: bytes) -> int:
    if delimiter[0] != delimiter[-1] or len(delimiter) == 1:
        return data.rfind(delimiter)
    # "\n\n" overlaps itself, so only the way from the left tells which is one
    last, at = -1, data.find(delimiter)
    while at >= 0:
        last, at = at, data.find(delimiter, at + len(delimiter))
    return last


def blocks(given: Iterable[bytes], delimiter: bytes) -> Iterator[bytes]:
    """Whole records, with the delimiters between them but not the last."""
    carry = b""
    for piece in given:
        data = carry + piece if carry else piece
        cut = _last(data, delimiter)
        if cut < 0:
            if len(data) > MAX_RECORD + len(delimiter):
                fail("OverMaxRecordSize")
            carry = data
            continue
        if carry and data.find(delimiter) > MAX_RECORD:
            fail("OverMaxRecordSize")
        yield data[:cut]
        carry = data[cut + len(delimiter) :]
    if len(carry) > MAX_RECORD:
        fail("OverMaxRecordSize")
    if carry:
        yield carry


def text(block: bytes, meter: Meter) -> str:
    try:
        return block.decode()
    except UnicodeDecodeError as error:
        fail("InvalidTextEncoding", f"The error is near byte {meter.processed - len(block) + error.start}.")
