"""How contents lie in a pool: names of RADOS objects, locations, records and checks. Pure: nothing here talks to Ceph.

An id is drawn once and never again: ``<block><sequence>``, the block's 24 letters at random, two hex digits counted by who registered the block
(``births``). Two kinds of things have an id:

* A **content** is striped: its first ``STRIPE`` bytes are the RADOS object ``<id>``, the following ones ``<id>.00000001`` and so on, the bytes as
  they are. Each has an attribute ``check``: its length and a CRC32C for each ``BLOCK`` bytes. The first also has ``label``, from the moment
  on that the content is whole.
* A **pack** is one RADOS object ``<id>`` with records of small contents, one after the other, each with its label and a CRC32C over all of it.
  The records of discarded contents are zeros, and named in the object's omap. A pack that takes no more ends with an index of
  its records, which the attribute ``index`` points to.

Every check also covers the name it is stored under, so that bytes in the wrong place are damage too.
"""

from __future__ import annotations

import base64
import json
import os
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from awscrt.checksums import crc32c

from mallee.objects.engine.base import ContentDamaged, Label

STRIPE = 4 * 1024 * 1024
BLOCK = 64 * 1024
IDS_PER_BLOCK = 256

CHECK = "check"
LABEL = "label"
INDEX = "index"
PACK = "pack"
GONE = "gone"
"""An attribute of contents that were discarded and linger for those who have them open."""

Bytes = bytes | bytearray | memoryview


# ------------------------------------------------------------------------------------------------------- ids and names


def new_block() -> str:
    return base64.b32encode(os.urandom(15)).decode().lower()


def id_of(block: str, sequence: int) -> str:
    return f"{block}{sequence:02x}"


def block_of(identity: str) -> str:
    return identity[:24]


def stripe_name(identity: str, number: int) -> str:
    return f"{identity}.{number:08x}" if number else identity


_NAME = re.compile(r"([a-z2-7]{24}[0-9a-f]{2})(?:\.([0-9a-f]{8}))?")


def parse_name(name: str) -> tuple[str, int] | None:
    """The id and the number of the stripe; None for what is not a content's or a pack's."""
    found = _NAME.fullmatch(name)
    return (found[1], int(found[2] or "0", 16)) if found else None


def stripes(size: int) -> int:
    return max(1, -(-size // STRIPE))


# ---------------------------------------------------------------------------------------------------------- locations


@dataclass(frozen=True, slots=True)
class Striped:
    identity: str
    size: int

    def __str__(self) -> str:
        return f"c.{self.identity}.{self.size}"


@dataclass(frozen=True, slots=True)
class Packed:
    identity: str
    offset: int
    length: int  # of the record

    def __str__(self) -> str:
        return f"p.{self.identity}.{self.offset}.{self.length}"


_LOCATION = re.compile(r"(?:c\.([a-z2-7]{24}[0-9a-f]{2})\.(\d{1,16})|p\.([a-z2-7]{24}[0-9a-f]{2})\.(\d{1,10})\.(\d{1,8}))")


def parse(location: str) -> Striped | Packed | None:
    """None for what no engine of this kind has ever returned."""
    found = _LOCATION.fullmatch(location)
    if found is None:
        return None
    if found[1]:
        return Striped(found[1], int(found[2]))
    return Packed(found[3], int(found[4]), int(found[5]))


# ------------------------------------------------------------------------------------------------------------- checks


@dataclass(frozen=True, slots=True)
class Check:
    """Of one stripe: its length, and the CRC32C of each block."""

    length: int
    crcs: tuple[int, ...]

    def pack(self, name: str) -> bytes:
        body = struct.pack(f"<I{len(self.crcs)}I", self.length, *self.crcs)
        return body + struct.pack("<I", crc32c(body, crc32c(name.encode())))

    def verify(self, data: memoryview, start: int) -> bool:
        """Whether these are the stripe's bytes from ``start``, a multiple of ``BLOCK``, on; up to the end of a block or of the stripe."""
        first = start // BLOCK
        for place in range(0, len(data), BLOCK):
            index = first + place // BLOCK
            if index >= len(self.crcs) or crc32c(data[place : place + BLOCK]) != self.crcs[index]:
                return False
        return True


def unpack_check(packed: bytes, name: str) -> Check:
    if len(packed) < 8 or len(packed) % 4:
        raise ContentDamaged(f"the check of {name} is not one")
    body, crc = packed[:-4], struct.unpack("<I", packed[-4:])[0]
    length, *crcs = struct.unpack(f"<{len(body) // 4}I", body)
    if crc32c(body, crc32c(name.encode())) != crc or len(crcs) != -(-length // BLOCK) or length > STRIPE:
        raise ContentDamaged(f"the check of {name} is damaged")
    return Check(length, tuple(crcs))


def crc(data: Bytes) -> int:
    return int(crc32c(data))


def pack_label(label: Label, size: int) -> bytes:
    return json.dumps({"size": size, "label": label}, separators=(",", ":")).encode()


def unpack_label(packed: bytes) -> tuple[Label, int]:
    try:
        found = json.loads(packed)
        return dict(found["label"]), int(found["size"])
    except (ValueError, KeyError, TypeError):
        raise ContentDamaged("a label cannot be read") from None


# ------------------------------------------------------------------------------------------------------------ records

MAGIC = b"MLEs"
INDEX_MAGIC = b"MLEi"
_HEADER = struct.Struct("<4sIII")  # magic, length of the label, length of the data, CRC32C over place, lengths, label and data
HEADER = _HEADER.size


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as a pack's index knows it."""

    offset: int
    length: int
    label: Label


def record(identity: str, offset: int, label: bytes, data: Bytes, magic: bytes = MAGIC) -> bytes:
    crc = _crc(identity, offset, magic, label, data)
    return b"".join((_HEADER.pack(magic, len(label), len(data), crc), label, data))


def record_length(label: bytes, data: Bytes) -> int:
    return HEADER + len(label) + len(data)


def read_record(identity: str, offset: int, packed: memoryview, magic: bytes = MAGIC) -> tuple[memoryview, memoryview]:
    """Label and data of the record that begins here. Raises ContentDamaged."""
    if len(packed) >= HEADER:
        kind, label_length, data_length, crc = _HEADER.unpack(packed[:HEADER])
        end = HEADER + label_length + data_length
        if kind == magic and len(packed) >= end:
            label = packed[HEADER : HEADER + label_length]
            data = packed[HEADER + label_length : end]
            if _crc(identity, offset, magic, label, data) == crc:
                return label, data
    raise ContentDamaged(f"the record at {offset} of pack {identity} is not as it was written")


def _crc(identity: str, offset: int, magic: bytes, label: Bytes, data: Bytes) -> int:
    crc = crc32c(f"{identity}:{offset}:{len(label)}:{len(data)}".encode(), crc32c(magic))
    return int(crc32c(data, crc32c(label, crc)))


def label_bytes(label: Label) -> bytes:
    return json.dumps(label, separators=(",", ":")).encode()


def index_record(identity: str, offset: int, entries: Sequence[Entry]) -> bytes:
    rows = [[entry.offset, entry.length, entry.label] for entry in entries]
    return record(identity, offset, b"", zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 1), INDEX_MAGIC)


def read_index(identity: str, offset: int, packed: memoryview) -> list[Entry]:
    _, data = read_record(identity, offset, packed, INDEX_MAGIC)
    return [Entry(int(place), int(length), dict(label)) for place, length, label in json.loads(zlib.decompress(data))]


def walk(identity: str, packed: memoryview) -> list[Entry]:
    """The records that can be found in a pack without an index: discarded ones are passed over, and so is what is damaged, up to the next
    place that looks like a record."""
    found: list[Entry] = []
    raw = bytes(packed)
    place = 0
    while (place := raw.find(MAGIC, place)) >= 0:
        try:
            label, data = read_record(identity, place, packed[place:])
        except ContentDamaged:
            place += 1
            continue
        length = record_length(bytes(label), data)
        found.append(Entry(place, length, json.loads(bytes(label))))
        place += length
    return found
