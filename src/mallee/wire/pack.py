"""A service model packed for serving: botocore's JSON without its prose, one record per shape and operation.

A pack is one buffer: a header, where each record begins and ends, the records. A record is a few hundred bytes of JSON that is
parsed when the shape or the operation is first used, so that EC2's 4,414 shapes cost their 1.1 MB of text and not 30 MB
of Python objects. Shapes refer to one another by number. The source is read one shape at a time, so packing has no peak
either. With a cache directory the buffer is a mapped file that all processes of the machine share; without one it lives
in memory.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import mmap
import os
import re
import struct
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FORMAT = 4
_MAGIC = b"mallee-pack"
_HEAD = struct.Struct("<11sBII")
_SPACE = re.compile(r"[ \t\r\n]*")
_SHAPE_TRAITS = (
    "required",
    "min",
    "max",
    "pattern",
    "enum",
    "flattened",
    "locationName",
    "payload",
    "streaming",
    "timestampFormat",
    "xmlNamespace",
    "exception",
    "error",
    "fault",
    "document",
    "union",
    "event",
    "eventstream",
    "sensitive",
)
_REFERENCE_TRAITS = (
    "location",
    "locationName",
    "queryName",
    "flattened",
    "xmlNamespace",
    "xmlAttribute",
    "streaming",
    "idempotencyToken",
    "jsonvalue",
    "hostLabel",
    "timestampFormat",
    "eventpayload",
    "eventheader",
)
_OPERATION_TRAITS = ("name", "http", "deprecated", "authtype", "unsignedPayload", "httpChecksum", "endpoint")


class Pack:
    """The records of one service. ``metadata`` is botocore's own; ``operations`` and ``exceptions`` map names to
    record numbers."""

    __slots__ = ("_buffer", "_edges", "_start", "exceptions", "metadata", "operations")

    def __init__(self, buffer: bytes | mmap.mmap) -> None:
        magic, version, head, count = _HEAD.unpack_from(buffer, 0)
        if magic != _MAGIC or version != FORMAT:
            raise ValueError("not a pack of this format")
        at = _HEAD.size
        header = json.loads(buffer[at : at + head])
        at += head
        self._edges = array("I", buffer[at : at + 4 * count])
        self._start = at + 4 * count
        if len(self._edges) != count or self._start + max(self._edges, default=0) != len(buffer):
            raise ValueError("a pack that was cut short")
        self._buffer = buffer
        self.metadata: dict[str, Any] = header["metadata"]
        self.operations: dict[str, int] = header["operations"]
        self.exceptions: dict[str, int] = header["exceptions"]

    def record(self, number: int) -> dict[str, Any]:
        start, end = self._edges[2 * number], self._edges[2 * number + 1]
        record: dict[str, Any] = json.loads(self._buffer[self._start + start : self._start + end])
        return record

    def __len__(self) -> int:
        return len(self._edges) // 2


def build(source: bytes) -> bytes:
    """Packs the text of a ``service-2.json``."""
    packer = _Packer()
    text = source.decode()
    for key, at in _members(text, 0):
        if key == "metadata":
            packer.metadata = _DECODER.raw_decode(text, at)[0]
        elif key == "operations":
            for name, begin in _members(text, at):
                packer.operation(name, _DECODER.raw_decode(text, begin)[0])
        elif key == "shapes":
            for name, begin in _members(text, at):
                packer.shape(name, _DECODER.raw_decode(text, begin)[0])
    return packer.finish()


def load(source: Path, cache: Path | None) -> Pack:
    """The pack of the model file ``source``; kept under ``cache``, named after the source's size and time, when a
    directory is given."""
    if cache is None:
        return Pack(build(_read(source)))
    seen = source.stat()
    target = cache / f"{source.parent.parent.name}-{seen.st_size:x}-{seen.st_mtime_ns:x}-{FORMAT}.pack"
    with contextlib.suppress(OSError, ValueError):
        return _map(target)
    packed = build(_read(source))
    try:
        cache.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=cache, prefix=".pack-")
        with os.fdopen(handle, "wb") as file:
            file.write(packed)
        os.replace(name, target)
        for older in cache.glob(f"{source.parent.parent.name}-*.pack"):
            if older != target:
                older.unlink(missing_ok=True)  # Whoever has it mapped keeps it.
        return _map(target)
    except OSError:  # A cache that cannot be written costs memory, not service.
        return Pack(packed)


def _map(path: Path) -> Pack:
    with path.open("rb") as file:
        return Pack(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _read(source: Path) -> bytes:
    if source.suffix == ".gz":
        with gzip.open(source) as file:
            return file.read()
    return source.read_bytes()


_DECODER = json.JSONDecoder()


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _members(text: str, at: int) -> Iterator[tuple[str, int]]:
    """Names in the JSON object that begins at ``at``, with the positions of their values; the values are passed
    over, not kept."""
    at = _skip(text, at)
    if text[at] != "{":
        raise ValueError("an object was expected")
    at = _skip(text, at + 1)
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        yield name, at
        at = _skip(text, _DECODER.raw_decode(text, at)[1])
        if text[at] == ",":
            at = _skip(text, at + 1)


class _Packer:
    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self._numbers: dict[str, int] = {}
        self._spans: dict[int, tuple[int, int]] = {}
        self._operations: dict[str, tuple[int, int]] = {}
        self._exceptions: dict[str, int] = {}
        self._records = bytearray()

    def operation(self, name: str, source: dict[str, Any]) -> None:
        record = {key: source[key] for key in _OPERATION_TRAITS if key in source}
        for side in ("input", "output"):
            if side in source:
                traits = {
                    k: v for k, v in source[side].items() if k in ("resultWrapper", "locationName", "xmlNamespace")
                }
                record[side] = [self._number(source[side]["shape"]), traits]

        self._operations[name] = self._keep(record)

    def shape(self, name: str, source: dict[str, Any]) -> None:
        record = {key: source[key] for key in _SHAPE_TRAITS if key in source}
        record["name"] = name
        record["type"] = source["type"]
        if "members" in source:
            record["members"] = {member: self._reference(ref) for member, ref in source["members"].items()}
        for part in ("member", "key", "value"):
            if part in source:
                record[part] = self._reference(source[part])
        number = self._number(name)
        if source.get("exception"):
            self._exceptions[name] = number
        self._spans[number] = self._keep(record)

    def _reference(self, ref: dict[str, Any]) -> int | list[Any]:
        number = self._number(ref["shape"])
        traits = {key: ref[key] for key in _REFERENCE_TRAITS if key in ref}
        return [number, traits] if traits else number

    def _number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    def _keep(self, record: dict[str, Any]) -> tuple[int, int]:
        start = len(self._records)
        self._records += _dump(record)
        return start, len(self._records)

    def finish(self) -> bytes:
        spans = [self._spans[number] for number in range(len(self._numbers))]
        operations = {name: len(spans) + index for index, name in enumerate(self._operations)}
        spans += self._operations.values()
        edges = array("I", [edge for span in spans for edge in span])
        header = _dump({"metadata": self.metadata, "operations": operations, "exceptions": self._exceptions})
        head = _HEAD.pack(_MAGIC, FORMAT, len(header), len(edges))
        return b"".join((head, header, edges.tobytes(), self._records))


def _dump(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()
