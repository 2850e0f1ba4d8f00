"""Whether a pack is closed. One that was left in peace ends with a mark; after a crash the mark is missing, and the tail may be torn: half of a batch
that was never acknowledged. Sealing cuts such a tail off and sets the mark, so that from then on whatever is not a record is damage.
"""

from __future__ import annotations

import logging
import os
from typing import Final

from ..base import IsLive
from . import calls, format
from .disks import Disk
from .packs import Packs, path_of
from .scanning import Gap, Reader, Record, walk

log = logging.getLogger("mallee.objects")

_MARK: Final = len(format.write_record(0, 0, {}, b"", format.END)[0])


def readers_of(packs: Packs, pack: int, *, media: bool = False) -> list[Reader]:
    found = []
    for disk in packs.disks.ordered(f"{pack:016x}"):
        try:
            found.append(Reader(disk, path_of(pack), media=media))
        except OSError:
            continue
    return found


def is_sealed(packs: Packs, pack: int) -> bool:
    """By its longest copy."""
    copies = sorted(packs.copies(pack), key=lambda copy: copy[2])
    if not copies:
        return False
    _, file, size = copies[-1]
    head = format.read_record_head(calls.read_all(file.fd, _MARK, size - _MARK), pack, size - _MARK) if size > _MARK else None
    return head is not None and head.kind == format.END


def seal(packs: Packs, pack: int, is_live: IsLive) -> int:
    """For a pack that nobody holds, while all disks are there: how many bytes were torn. Records behind the first that is not whole are part of
    the tail, unless a row refers to one: then the batch was acknowledged, and what is not whole is damage that stays to be seen."""
    readers = readers_of(packs, pack)
    end = format.PACK_HEAD
    torn_from: int | None = None
    behind: list[Record] = []
    for found in walk(pack, readers):
        if isinstance(found, Gap):
            torn_from = found.offset if torn_from is None else torn_from
            continue
        if found.head.kind == format.END:
            break
        if found.data is None and torn_from is None:
            torn_from = found.offset
        if torn_from is not None:
            behind.append(found)
        else:
            end = found.offset + found.head.step
    for number in range(0, len(behind), 256):
        part = behind[number : number + 256]
        answers = is_live([(format.pack_location(pack, found.offset, found.head.length), found.label) for found in part])
        for found, live in zip(part, answers, strict=True):
            if live:
                end = found.offset + found.head.step
    if end == format.PACK_HEAD and readers:
        return packs.remove(pack)
    longest = max((reader.size for reader in readers), default=end)
    mark, _ = format.write_record(pack, end, {}, b"", format.END)
    for reader in readers:
        if reader.size >= end:  # a shorter copy lacks records, which the scrub gives it first
            _close(reader.disk, pack, end, mark)
    return max(0, longest - end)


def _close(disk: Disk, pack: int, end: int, mark: bytes) -> None:
    try:
        file = disk.open(path_of(pack), os.O_RDWR)
        calls.ftruncate(file.fd, end)
        calls.write_all(file.fd, mark, end)
        calls.fdatasync(file.fd)
    except OSError as error:
        log.warning("Pack %016x on %s could not be closed: %s", pack, disk.path, error)
