"""Contents that have a file of their own: opening, discarding, mending.

A block that does not match its checksum is read from another copy and written over the damaged one in place: it was wrong before, so there is nothing
that a crash in the middle could spoil. A copy that is missing, or whose footer is damaged, is made anew under a temporary name
and renamed: at once if it is small, otherwise it is *owed*, and the scrub makes it.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Final

from awscrt.checksums import crc32c

from ..base import ContentDamaged, ContentMissing, EngineError, Label, Span
from . import calls, format
from .calls import Handle
from .disks import Disk, Disks
from .format import Footer, InFile
from .state import State
from .writing import FileWriter

log = logging.getLogger("mallee.objects")

AT_ONCE: Final = 4 * 1024 * 1024
_TAIL: Final = 4096


class Files:
    def __init__(self, disks: Disks, state: State, pool: Executor, clock: Callable[[], float], degraded: bool) -> None:
        self.disks = disks
        self.state = state
        self.clock = clock
        self.degraded = degraded
        self.known_hours: set[tuple[str, str]] = set()
        self.mended = 0
        self.pool = pool

    def writer(self, expected: int | None) -> FileWriter:
        return FileWriter(self, secrets.token_hex(16), expected or 0).begin()

    def open(self, location: str, place: InFile) -> FileContent:
        copies, bad, away = self._look(location, place)
        if not copies:
            if away or (not bad and not self.disks.complete()):
                raise self.disks.out_of_reach(location, away)
            if bad:
                raise ContentDamaged(f"The footer of {location} is damaged on {_paths(bad)}.")
            raise ContentMissing(location)
        content = FileContent(self, location, place, copies[0])
        if bad:
            self._restore_or_owe(content, location, bad)
        return content

    def discard(self, places: Sequence[InFile]) -> None:
        """A disk that is away keeps its copy; the scrub removes it once it is back."""
        for place in places:
            for disk in self.disks.all:
                try:
                    disk.unlink(f"f/{place.hour}/{place.id}")
                except OSError as error:
                    if disk.healthy:
                        log.warning("%s on %s could not be removed: %s", place.id, disk.path, error)

    # -- copies -----------------------------------------------------------------------------------------------------------------

    def _look(self, location: str, place: InFile) -> tuple[list[FileCopy], list[Disk], OSError | None]:
        """The first good copy; the disks before it that should have one and have none, or a damaged one; why another disk could not be asked."""
        bad: list[Disk] = []
        away: OSError | None = None
        damaged = False
        for number, disk in enumerate(self.disks.ordered(place.id)):
            try:
                return [open_copy(disk, location, place)], bad, away
            except FileNotFoundError:
                if number < self.disks.copies and disk.healthy:
                    bad.append(disk)
            except ContentDamaged:
                damaged = True
                bad.append(disk)
            except OSError as error:
                if error.errno == errno.EIO and disk.healthy:
                    damaged = True
                    bad.append(disk)
                else:
                    away = error
        return [], bad if damaged else [], away

    def copies(self, location: str, place: InFile) -> tuple[list[FileCopy], list[Disk], list[Disk]]:
        """Every copy whose footer is good; disks with a damaged one; disks that could not be asked."""
        good: list[FileCopy] = []
        damaged: list[Disk] = []
        away: list[Disk] = []
        for disk in self.disks.ordered(place.id):
            try:
                good.append(open_copy(disk, location, place))
            except FileNotFoundError:
                continue
            except ContentDamaged:
                damaged.append(disk)
            except OSError as error:
                (damaged if error.errno == errno.EIO and disk.healthy else away).append(disk)
        return good, damaged, away

    def bare(self, location: str, disks: Sequence[Disk], footer: Footer) -> list[FileCopy]:
        """Copies whose footer is damaged, to be looked at by another copy's: each block can still be a good one."""
        found = []
        for disk in disks:
            try:
                found.append(FileCopy(disk, disk.open(location, os.O_RDONLY), footer))
            except OSError:
                continue
        return found

    def _restore_or_owe(self, content: FileContent, location: str, disks: list[Disk]) -> None:
        """Only as many as are needed: a content that went elsewhere while a disk had failed is whole."""
        good, damaged, _ = self.copies(location, content.place)
        disks = sorted(disks, key=lambda disk: disk not in damaged)[: self.disks.copies - len(good)]
        if not disks:
            return
        if content.size <= AT_ONCE:
            try:
                self.restore(content, location, disks)
                return
            except (OSError, EngineError, ContentDamaged) as error:
                log.warning("A copy of %s could not be made anew: %s", location, error)
        self.state.owe(location)

    def restore(self, content: FileContent, location: str, disks: Sequence[Disk]) -> None:
        """Makes the copies on these disks anew, from whichever copies have good blocks."""
        for disk in disks:
            if disk.free() - self.disks.reserve < content.size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(disk.path))
            partial = f"t/{content.footer.id}.{secrets.token_hex(4)}"
            file = disk.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            calls.lock(file.fd, wait=True)
            try:
                for start in range(0, content.size, format.BLOCK):
                    calls.write_all(file.fd, content.read(start, format.BLOCK), start)
                footer = content.footer
                data = format.write_footer(footer.size, footer.id, footer.made, footer.sums, footer.label)
                calls.write_all(file.fd, data, footer.size)
                calls.fsync(file.fd)
                disk.make_folder(os.path.dirname(location))
                disk.rename(partial, location)
                disk.sync_folder(os.path.dirname(location))
            except BaseException as error:
                try:
                    disk.unlink(partial)
                except OSError:
                    pass
                if isinstance(error, OSError):
                    disk.blame(error, content.size)
                raise
            self.mended += 1
            log.warning("The copy of %s on %s was made anew.", location, disk.path)


class FileCopy:
    """One file of a content, open, with what of it was verified since."""

    __slots__ = ("disk", "file", "footer", "verified")

    def __init__(self, disk: Disk, file: Handle, footer: Footer) -> None:
        self.disk = disk
        self.file = file
        self.footer = footer
        self.verified = bytearray(footer.blocks)

    def read_block(self, number: int) -> bytes | None:
        """None if it is damaged."""
        footer = self.footer
        start = number * footer.block
        try:
            data = calls.read_all(self.file.fd, min(footer.block, footer.size - start), start)
        except OSError:
            return None
        if crc32c(data) != footer.sums[number]:
            return None
        self.verified[number] = 1
        return data

    def mend(self, location: str, number: int, data: bytes) -> bool:
        """Writes a good block over the damaged one, if the file is still the one that has that name."""
        try:
            file = self.disk.open(location, os.O_WRONLY)
            if not os.path.sameopenfile(file.fd, self.file.fd):
                return False
            calls.write_all(file.fd, data, number * self.footer.block)
            calls.fdatasync(file.fd)
        except OSError as error:
            log.warning("Block %d of %s on %s could not be mended: %s", number, location, self.disk.path, error)
            return False
        log.warning("Block %d of %s on %s was damaged and is mended.", number, location, self.disk.path)
        return True


class FileContent:
    def __init__(self, files: Files, location: str, place: InFile, copy: FileCopy) -> None:
        self.footer = copy.footer
        self.size = copy.footer.size
        self._files = files
        self._location = location
        self.place = place
        self._copies = [copy]
        self._searched = False
        self._guard = threading.Lock()

    @property
    def label(self) -> Label:
        return self.footer.label

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        if offset < 0 or end <= offset:
            return b""
        copy = self._copies[0]
        block = copy.footer.block
        first, last = offset // block, -(-end // block)
        if 0 not in copy.verified[first:last]:
            data = self._read_verified(copy, offset, end - offset)
            if data is not None:
                return data
        start = first * block
        try:
            data = calls.read_all(copy.file.fd, min(last * block, self.size) - start, start)
        except OSError:
            data = b""
        bad = _verify(copy, first, last, memoryview(data))
        if bad:
            parts = bytearray(data.ljust(min(last * block, self.size) - start))
            for number in bad:
                good = self._rescue(number)
                parts[(number - first) * block : (number - first) * block + len(good)] = good
            data = bytes(parts)
        if len(data) == end - offset:
            return data
        return data[offset - start : end - start]

    def span(self, offset: int, length: int) -> Span | None:
        """None if it takes several copies to put the range together: then ``read`` can."""
        end = min(offset + length, self.size)
        if offset < 0 or end <= offset:
            return Span(self._copies[0].file.fd, 0, 0)
        copy = self._copies[0]
        first, last = offset // copy.footer.block, -(-end // copy.footer.block)
        while (number := copy.verified.find(0, first, last)) >= 0:
            if not _check(copy, number):
                self._rescue(number)
                if not _check(copy, number):  # not mended: its disk takes no writes
                    return self._span_elsewhere(first, last, offset, end - offset)
        return Span(copy.file.fd, offset, end - offset)

    def close(self) -> None:
        self._copies = []  # the last to let go of a file closes it

    # -- inside ---------------------------------------------------------------------------------------------------------------------

    def _read_verified(self, copy: FileCopy, offset: int, length: int) -> bytes | None:
        try:
            data = calls.read_all(copy.file.fd, length, offset)
        except OSError:
            data = b""
        if len(data) == length:
            return data
        copy.verified[:] = bytes(len(copy.verified))
        return None

    def _others(self) -> list[FileCopy]:
        with self._guard:
            if not self._searched:
                first = self._copies[0]
                found, damaged, _ = self._files.copies(self._location, self.place)
                self._copies += [copy for copy in found if copy.disk is not first.disk and copy.footer.sums == first.footer.sums]
                self._copies += self._files.bare(self._location, damaged, first.footer)
                self._searched = True
            return self._copies[1:]

    def _rescue(self, number: int) -> bytes:
        """A block that is damaged in the copy that we read: from another one, which mends it."""
        copy = self._copies[0]
        for other in self._others():
            data = other.read_block(number)
            if data is not None:
                if copy.mend(self._location, number, data):
                    self._files.mended += 1
                else:
                    self._files.state.owe(self._location)
                return data
        data = copy.read_block(number)  # somebody else may have mended it meanwhile
        if data is not None:
            return data
        if self._files.disks.copies > 1 and not self._files.disks.complete():
            raise self._files.disks.out_of_reach(self._location)
        raise ContentDamaged(f"Block {number} of {self._location} is damaged on every disk that has it.")

    def _span_elsewhere(self, first: int, last: int, offset: int, length: int) -> Span | None:
        for other in self._others():
            if all(other.verified[number] or _check(other, number) for number in range(first, last)):
                return Span(other.file.fd, offset, length)
        return None


def open_copy(disk: Disk, location: str, place: InFile) -> FileCopy:
    """FileNotFoundError; ContentDamaged if its footer is not as it was written."""
    file = disk.open(location, os.O_RDONLY)
    size = calls.fstat(file.fd).st_size
    tail = calls.read_all(file.fd, min(size, _TAIL), max(0, size - _TAIL))
    length = format.footer_length(tail[-format.TRAILER :], size)
    if length is not None and length > len(tail):
        tail = calls.read_all(file.fd, length, size - length)
    footer = format.read_footer(tail[len(tail) - length :]) if length is not None and length <= len(tail) else None
    if footer is None or footer.id != place.id:
        raise ContentDamaged(f"The footer of {location} is damaged on {disk.path}.")
    return FileCopy(disk, file, footer)


_scratch = threading.local()


def _check(copy: FileCopy, number: int) -> bool:
    """Verifies a block without keeping it. Not by mmap: an error of the disk would end the process (docs/decisions/objects-no-mmap.md)."""
    footer = copy.footer
    buffer: memoryview | None = getattr(_scratch, "buffer", None)
    if buffer is None:
        buffer = _scratch.buffer = memoryview(bytearray(format.BLOCK))
    start = number * footer.block
    part = buffer[: min(footer.block, footer.size - start)]
    try:
        if calls.preadv(copy.file.fd, [part], start) != len(part):
            return copy.read_block(number) is not None
    except OSError:
        return False
    if crc32c(part) != footer.sums[number]:
        return False
    copy.verified[number] = 1
    return True


def _verify(copy: FileCopy, first: int, last: int, view: memoryview) -> list[int]:
    """Of these blocks, whose bytes are in view, those that are damaged."""
    block, sums, verified = copy.footer.block, copy.footer.sums, copy.verified
    bad = []
    for number in range(first, last):
        part = view[(number - first) * block : (number - first + 1) * block]
        if verified[number] and len(part) == min(block, copy.footer.size - number * block):
            continue
        if crc32c(part) == sums[number]:
            verified[number] = 1
        else:
            bad.append(number)
    return bad


def _paths(disks: Sequence[Disk]) -> str:
    return ", ".join(str(disk.path) for disk in disks)
