"""What is on the disks, byte by byte: ``docs/objects-format.md`` in code. Pure; no file is touched here.

All numbers are little-endian, every checksum is CRC32C. A content of its own *file* is its bytes from the first on, then a footer;
a *pack* is a head and records one after the other, each of which tells its own place, so that bytes of another place
or another pack are never taken for it.
"""

from __future__ import annotations

import json
import struct
import sys
import time
from array import array
from dataclasses import dataclass
from typing import Final

from awscrt.checksums import crc32c

from ..base import Label

VERSION: Final = 1
BLOCK: Final = 256 * 1024
"""A file's bytes are checked in blocks of so many."""

# -- locations: "f/<hour>/<id>" and "p/<pack>/<offset>/<length>" ---------------------------------------------------------------------


def hour_of(made: float) -> str:
    """The folder of what was written at that second: ``2026112818``."""
    return time.strftime("%Y%m%d%H", time.gmtime(made))


def file_location(made: float, id: str) -> str:
    return f"f/{hour_of(made)}/{id}"


def pack_location(pack: int, offset: int, length: int) -> str:
    return f"p/{pack:016x}/{offset}/{length}"


@dataclass(frozen=True, slots=True)
class InFile:
    hour: str
    id: str


@dataclass(frozen=True, slots=True)
class InPack:
    pack: int
    offset: int
    length: int


def parse_location(location: str) -> InFile | InPack:
    """ValueError for what this engine never gave out. The parts become file names: nothing but digits gets through."""
    parts = location.split("/")
    if parts[0] == "p" and len(parts) == 4:
        if not location.isascii() or len(parts[1]) != 16 or not parts[2].isdigit() or not parts[3].isdigit():
            raise ValueError(f"{location!r} is not a location.")
        return InPack(int(parts[1], 16), int(parts[2]), int(parts[3]))
    if parts[0] == "f" and len(parts) == 3 and location.isascii() and parts[1].isdigit() and is_id(parts[2]):
        return InFile(parts[1], parts[2])
    raise ValueError(f"{location!r} is not a location.")


_LABEL: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True)


def is_id(text: str) -> bool:
    return len(text) == 32 and not text.strip("0123456789abcdef")


def write_label(label: Label) -> bytes:
    return _LABEL.encode(label).encode()


def read_label(data: bytes) -> Label:
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("A label is an object.")
    return found


# -- files ---------------------------------------------------------------------------------------------------------------------------

FILE_MAGIC: Final = b"MALLEEFL"
_TRAILER: Final = struct.Struct("<8sIIQ16sQIIII")
TRAILER: Final = _TRAILER.size  # 64
_CRC: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Footer:
    """``sums[n]`` is the checksum of the n-th block."""

    size: int
    id: str
    made: int
    sums: array[int]
    label: Label
    length: int
    block: int = BLOCK

    @property
    def location(self) -> str:
        return file_location(self.made, self.id)

    @property
    def blocks(self) -> int:
        return len(self.sums)


def write_footer(size: int, id: str, made: int, sums: array[int], label: Label) -> bytes:
    table = _little(sums).tobytes()
    text = write_label(label)
    trailer = _TRAILER.pack(FILE_MAGIC, VERSION, BLOCK, size, bytes.fromhex(id), made, len(table), len(text), 0, 0)
    body = table + text + trailer[:-4]
    return body + _CRC.pack(crc32c(body))


def footer_length(trailer: bytes, file_size: int) -> int | None:
    """How long the footer is, by the last 64 bytes of a file; None if they are no trailer of a file of this size."""
    if len(trailer) != TRAILER:
        return None
    magic, version, block, size, _, _, table, label, _, _ = _TRAILER.unpack(trailer)
    if magic != FILE_MAGIC or version != VERSION or not block:
        return None
    if table != 4 * -(-size // block) or size + table + label + TRAILER != file_size:
        return None
    return int(table + label + TRAILER)


def read_footer(footer: bytes) -> Footer | None:
    """None if it is not as it was written."""
    if len(footer) < TRAILER or crc32c(memoryview(footer)[:-4]) != _CRC.unpack_from(footer, len(footer) - 4)[0]:
        return None
    _, _, block, size, id, made, table, _, _, _ = _TRAILER.unpack_from(footer, len(footer) - TRAILER)
    sums = array("I")
    sums.frombytes(footer[:table])
    return Footer(size, id.hex(), made, _little(sums), read_label(footer[table:-TRAILER]), len(footer), block)


def _little(numbers: array[int]) -> array[int]:
    if sys.byteorder == "little":
        return numbers
    turned = array("I", numbers)
    turned.byteswap()
    return turned


# -- packs ---------------------------------------------------------------------------------------------------------------------------

PACK_MAGIC: Final = b"MALLEEPK"
RECORD_MAGIC: Final = b"MRec"
CONTENT: Final = 1
END: Final = 2
"""A record without content that closes a pack which was left in peace: what follows a crash has none."""
ALIGNED: Final = 8
_PACK_HEAD: Final = struct.Struct("<8sIIQQ28sI")
PACK_HEAD: Final = _PACK_HEAD.size  # 64
_RECORD: Final = struct.Struct("<4sIIIQQII")
RECORD: Final = _RECORD.size  # 40
_ZEROS: Final = bytes(ALIGNED)


def write_pack_head(pack: int, made: int) -> bytes:
    head = _PACK_HEAD.pack(PACK_MAGIC, VERSION, PACK_HEAD, pack, made, bytes(28), 0)[:-4]
    return head + _CRC.pack(crc32c(head))


def read_pack_head(data: bytes, pack: int) -> int | None:
    """When it was made; None if this is not the head of that pack."""
    if len(data) < PACK_HEAD:
        return None
    magic, version, _, number, made, _, crc = _PACK_HEAD.unpack_from(data)
    if magic != PACK_MAGIC or version != VERSION or number != pack or crc32c(data[: PACK_HEAD - 4]) != crc:
        return None
    return int(made)


def padding(length: int) -> bytes:
    return _ZEROS[: -length % ALIGNED]


def write_record(pack: int, offset: int, label: Label, payload: bytes, kind: int = CONTENT) -> tuple[bytes, int]:
    """What comes before the payload, and the length of the whole without padding."""
    text = write_label(label)
    head = _RECORD.pack(RECORD_MAGIC, kind, len(text), len(payload), pack, offset, crc32c(payload, crc32c(text)), 0)[:-4]
    return head + _CRC.pack(crc32c(head)) + text, RECORD + len(text) + len(payload)


@dataclass(frozen=True, slots=True)
class RecordHead:
    kind: int
    label: int
    payload: int
    crc: int

    @property
    def length(self) -> int:
        return RECORD + self.label + self.payload

    @property
    def step(self) -> int:
        return -(-self.length // ALIGNED) * ALIGNED


def read_record_head(data: bytes | memoryview, pack: int, offset: int) -> RecordHead | None:
    if len(data) < RECORD:
        return None
    magic, kind, label, payload, number, place, crc, own = _RECORD.unpack_from(data)
    if magic != RECORD_MAGIC or number != pack or place != offset or crc32c(data[: RECORD - 4]) != own:
        return None
    return RecordHead(kind, label, payload, crc)


def read_payload(data: bytes, pack: int, offset: int) -> bytes | None:
    """The payload of a whole record; None if anything of it is not as it was written. This is the way of every small GET."""
    if len(data) < RECORD:
        return None
    magic, kind, label, payload, number, place, crc, own = _RECORD.unpack_from(data)
    start = RECORD + label
    if (
        magic != RECORD_MAGIC
        or kind != CONTENT
        or number != pack
        or place != offset
        or start + payload != len(data)
        or crc32c(data[: RECORD - 4]) != own
        or crc32c(memoryview(data)[RECORD:]) != crc
    ):
        return None
    return data[start:]


# -- what is dead in a pack ----------------------------------------------------------------------------------------------------------

_DEAD: Final = struct.Struct("<IIII")
DEAD: Final = _DEAD.size  # 16


def write_dead(pack: int, offset: int, length: int) -> bytes:
    head = _DEAD.pack(offset // ALIGNED, length, pack & 0xFFFFFFFF, 0)[:-4]
    return head + _CRC.pack(crc32c(head))


def read_dead(data: bytes, pack: int) -> dict[int, int]:
    """Offset to length. An entry that was cut or never reached the disk counts for nothing: what is alive is never taken for dead."""
    found: dict[int, int] = {}
    for at in range(0, len(data) - DEAD + 1, DEAD):
        place, length, low, crc = _DEAD.unpack_from(data, at)
        if low == pack & 0xFFFFFFFF and crc32c(data[at : at + DEAD - 4]) == crc:
            found[place * ALIGNED] = length
    return found
