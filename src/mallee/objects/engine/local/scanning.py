"""Going through all that is in files and packs, on all their disks at once."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from awscrt.checksums import crc32c

from ..base import Label
from . import calls, format
from .calls import Handle
from .disks import Disk

_WINDOW: Final = 1024 * 1024
_PAGE: Final = 4096


class Reader:
    """Reads ahead in one file. ``media`` goes past the page cache where the file system can: a scrub wants to know what is on the disk, and must
    not push out what is being read by others."""

    def __init__(self, disk: Disk, path: str, *, media: bool = False) -> None:
        self.disk = disk
        self.path = path
        self.failed = False  # the disk could not read a part of it
        self._file = _open_media(disk, path) if media else disk.open(path, os.O_RDONLY)
        self.size = calls.fstat(self._file.fd).st_size
        self._buffer = mmap.mmap(-1, _WINDOW)  # memory of its own, aligned as O_DIRECT wants it
        self._start = 0
        self._filled = 0

    def get(self, offset: int, length: int) -> bytes:
        """Less at the end of the file, and where the disk cannot read it."""
        parts = []
        while length > 0:
            at = offset - self._start
            if not 0 <= at < self._filled and not self._fill(offset, length):
                break
            at = offset - self._start
            if at >= self._filled:
                break
            part = self._buffer[at : min(at + length, self._filled)]
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _fill(self, offset: int, length: int) -> bool:
        self._start = offset - offset % _PAGE
        self._filled = 0
        for size in (_WINDOW, min(_WINDOW, -(-(offset - self._start + length) // _PAGE) * _PAGE)):
            try:
                self._filled = calls.preadv(self._file.fd, [memoryview(self._buffer)[:size]], self._start)
                return True
            except OSError:  # a bad sector further on must not cost what comes before it
                self.failed = True
        return False


def _open_media(disk: Disk, path: str) -> Handle:
    try:
        return disk.open(path, os.O_RDONLY | os.O_DIRECT)
    except FileNotFoundError:
        raise
    except OSError:
        file = disk.open(path, os.O_RDONLY)
        os.posix_fadvise(file.fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return file


@dataclass(frozen=True, slots=True)
class Record:
    """``data`` is the whole record as it was written; None if no copy has it so, or if it was not asked for."""

    offset: int
    head: format.RecordHead
    label: Label
    data: bytes | None
    damaged: tuple[Reader, ...]

    @property
    def payload(self) -> bytes | None:
        return None if self.data is None else self.data[format.RECORD + self.head.label :]


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes that are no record on any copy. ``last``: none follows."""

    offset: int
    end: int
    last: bool


def walk(pack: int, readers: Sequence[Reader], offset: int = format.PACK_HEAD, *, whole: bool = True) -> Iterator[Record | Gap]:
    """The records of a pack one after the other, each from whichever copy has it; the mark at the end is the last. Unless ``whole``, only
    heads and labels are read, and labels then are not verified."""
    end = max((reader.size for reader in readers), default=0)
    while offset < end:
        head = _head(pack, readers, offset)
        if head is None:
            found = _next(pack, readers, offset + format.ALIGNED, end)
            yield Gap(offset, end if found is None else found, found is None)
            if found is None:
                return
            offset = found
            continue
        yield _whole(pack, readers, offset, head) if whole else _heading(pack, readers, offset, head)
        if head.kind == format.END:
            return
        offset += head.step


def _head(pack: int, readers: Sequence[Reader], offset: int) -> format.RecordHead | None:
    """A content counts more than an end: a copy that was closed too early is the poorer one."""
    best = None
    for reader in readers:
        head = format.read_record_head(reader.get(offset, format.RECORD), pack, offset)
        if head is not None and head.kind == format.CONTENT:
            return head
        best = best or head
    return best


def _whole(pack: int, readers: Sequence[Reader], offset: int, head: format.RecordHead) -> Record:
    good: bytes | None = None
    damaged = []
    for reader in readers:
        data = reader.get(offset, head.length)
        if (
            format.read_record_head(data, pack, offset) == head
            and len(data) == head.length
            and crc32c(memoryview(data)[format.RECORD :]) == head.crc
        ):
            good = good or data
        else:
            damaged.append(reader)
    label = format.read_label(good[format.RECORD : format.RECORD + head.label]) if good else {}
    return Record(offset, head, label, good, tuple(damaged))


def _heading(pack: int, readers: Sequence[Reader], offset: int, head: format.RecordHead) -> Record:
    label: Label = {}
    for reader in readers:
        data = reader.get(offset, format.RECORD + head.label)
        if format.read_record_head(data, pack, offset) == head:
            try:
                label = format.read_label(data[format.RECORD :])
                break
            except ValueError:
                continue
    return Record(offset, head, label, None, ())


def _next(pack: int, readers: Sequence[Reader], offset: int, end: int) -> int | None:
    """Where the next record begins. A payload that imitates a head would have to know the pack's number and its own offset, and even then would
    only be offered as something that no row refers to."""
    best: int | None = None
    for reader in readers:
        at = offset
        while at < min(end, reader.size, best if best is not None else end):
            chunk = reader.get(at, _WINDOW // 2)
            if not chunk:
                at = -(-(at + 1) // _PAGE) * _PAGE  # unreadable: on to what lies behind it
                continue
            place = chunk.find(format.RECORD_MAGIC)
            while place >= 0:
                where = at + place
                if not where % format.ALIGNED and format.read_record_head(reader.get(where, format.RECORD), pack, where) is not None:
                    best = where if best is None else min(best, where)
                    break
                place = chunk.find(format.RECORD_MAGIC, place + 1)
            if place >= 0:
                break
            at += max(format.ALIGNED, len(chunk) // format.ALIGNED * format.ALIGNED)
    return best
