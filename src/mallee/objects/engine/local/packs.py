"""Small contents, many to a file: appended with one write and one fdatasync per disk, however many there are.

What always holds:

* A pack is written by one engine only, which holds its lock, and only at its end. Whoever starts anew, or had a write fail,
  begins a new pack: so what a crash has torn is always the tail of a pack that nobody appends to any more.
* A record tells its pack and its offset. What is read is verified, head and bytes, on every read.
* That a record is dead is noted in ``<pack>.dead`` beside the pack, without a sync. A note that is lost is room that is lost until
  the next scrub; a note that is damaged counts for nothing.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final

from ..base import ContentDamaged, ContentMissing, EngineError, Label
from . import calls, format
from .calls import Buffer, Handle
from .disks import Disk, Disks
from .fan import each
from .format import InPack
from .state import State

log = logging.getLogger("mallee.objects")

_MOST_OPEN: Final = 256


@dataclass(slots=True)
class Growing:
    """The pack that is being appended to."""

    number: int
    copies: list[tuple[Disk, Handle]]
    end: int
    fresh: bool = True  # its name is not durable yet
    short: bool = False


@dataclass(slots=True)
class Packs:
    disks: Disks
    state: State
    pool: Executor
    clock: Callable[[], float]
    degraded: bool
    limit: int
    mended: int = 0
    _growing: Growing | None = None
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _noting: threading.Lock = field(default_factory=threading.Lock)
    _open: dict[tuple[int, str], Handle] = field(default_factory=dict)
    _opening: threading.Lock = field(default_factory=threading.Lock)

    # -- writing ----------------------------------------------------------------------------------------------------------------

    def append(self, contents: Sequence[tuple[Label, bytes]], reserve: int | None = None) -> list[str]:
        """All of them, durable, or EngineError and none of them."""
        if not contents:
            return []
        with self._writing:
            while True:
                pack = self._grow(sum(len(data) for _, data in contents), reserve)
                locations, buffers, end = _records(pack, contents)
                start = pack.end
                failed = each(self.pool, pack.copies, lambda copy: self._put(pack, copy[0], copy[1], buffers, start))  # noqa: B023
                if not failed:
                    pack.end, pack.fresh = end, False
                    return locations
                if self._failed(pack, failed, start):
                    pack.end = end
                    self._leave(pack, sealed=False)
                    return locations

    def close(self) -> None:
        with self._writing:
            if self._growing is not None:
                self._leave(self._growing, sealed=True)

    @property
    def growing(self) -> int | None:
        pack = self._growing
        return pack.number if pack else None

    def roll(self) -> None:
        """What is appended from now on goes to a new pack."""
        self.close()

    def _grow(self, size: int, reserve: int | None) -> Growing:
        pack = self._growing
        if pack is not None and pack.end + size > self.limit and pack.end > format.PACK_HEAD:
            self._leave(pack, sealed=True)
            pack = None
        if pack is not None:
            keep = self.disks.reserve if reserve is None else reserve
            for disk, _ in pack.copies:
                if disk.free() - keep < size:
                    self._leave(pack, sealed=True)
                    pack = None
                    break
        if pack is not None and pack.short and len(pack.copies) < sum(disk.try_again(self.disks.store) for disk in self.disks.all):
            self._leave(pack, sealed=True)  # another disk works again: a new pack has all its copies
            pack = None
        return pack or self._begin(size, reserve)

    def _begin(self, size: int, reserve: int | None) -> Growing:
        while True:
            made = int(self.clock())
            number = (made & 0xFFFFFFFF) << 32 | secrets.randbits(32)
            disks = self.disks.place(f"{number:016x}", size + format.PACK_HEAD, reserve=reserve)
            if len(disks) < self.disks.copies and not self.degraded:
                raise EngineError(
                    f"There are disks for only {len(disks)} of {self.disks.copies} copies.", self.disks.none_left().remedy
                )
            copies: list[tuple[Disk, Handle]] = []
            for disk in disks:
                try:
                    file = disk.open(path_of(number), os.O_RDWR | os.O_CREAT | os.O_EXCL)
                    copies.append((disk, file))
                    calls.lock(file.fd, wait=True)
                    calls.write_all(file.fd, format.write_pack_head(number, made), 0)
                except OSError as error:
                    for other, begun in copies:
                        _remove(other, path_of(number))
                        begun.close()
                    if refusal := disk.blame(error, size):
                        raise refusal from None
                    break
            else:
                short = len(copies) < self.disks.copies
                if short:
                    self.state.owe(path_of(number))
                self._growing = Growing(number, copies, format.PACK_HEAD, short=short)
                return self._growing

    def _put(self, pack: Growing, disk: Disk, file: Handle, buffers: list[Buffer], start: int) -> None:
        calls.write_all_of(file.fd, buffers, start)
        calls.fdatasync(file.fd)
        if pack.fresh:
            disk.sync_folder("p")

    def _failed(self, pack: Growing, failed: list[tuple[tuple[Disk, Handle], OSError]], start: int) -> bool:
        """After a write that some copies did not take: whether enough others did. Otherwise nothing of it remains, and it is
        tried again in a new pack on other disks, or refused."""
        left = [copy for copy in pack.copies if copy not in [one for one, _ in failed]]
        refusals = [refusal for (disk, _), error in failed if (refusal := disk.blame(error, format.BLOCK))]
        if left and not refusals and self.degraded:
            for disk, file in pack.copies:
                if (disk, file) not in left:
                    file.close()
            pack.copies = left
            self.state.owe(path_of(pack.number))
            return True
        for disk, file in pack.copies:
            try:
                calls.ftruncate(file.fd, start)
            except OSError as error:
                log.warning("What was not written to pack %016x on %s could not be cut off: %s", pack.number, disk.path, error)
        self._leave(pack, sealed=False)
        if refusals:
            raise refusals[0]
        return False

    def _leave(self, pack: Growing, *, sealed: bool) -> None:
        """The mark at the end of a pack tells that nothing was torn off. It is not synced: without it the tail is only looked at longer."""
        self._growing = None
        mark, _ = format.write_record(pack.number, pack.end, {}, b"", format.END)
        for disk, file in pack.copies:
            try:
                if sealed:
                    calls.write_all(file.fd, mark, pack.end)
            except OSError as error:
                log.warning("The end of pack %016x on %s could not be marked: %s", pack.number, disk.path, error)
            file.close()

    # -- reading ----------------------------------------------------------------------------------------------------------------

    def read(self, location: str, place: InPack) -> bytes:
        """The payload, verified."""
        pack, offset, length = place.pack, place.offset, place.length
        damaged: list[Disk] = []
        missing: list[Disk] = []
        refused: OSError | None = None
        for number, disk in enumerate(self.disks.ordered(f"{pack:016x}")):
            file = None
            try:
                file = self._open.get((pack, disk.id)) or self._file(pack, disk)
                file.used = True
                data = calls.read_all(file.fd, length, offset)
            except FileNotFoundError:
                if number < self.disks.copies and disk.healthy:
                    missing.append(disk)
                continue
            except OSError as error:
                if error.errno == errno.EIO and file is not None:
                    damaged.append(disk)
                else:
                    refused = error
                continue
            payload = format.read_payload(data, pack, offset)
            if payload is not None:
                if damaged or missing:
                    self._mend(location, place, data, damaged, missing)
                return payload
            damaged.append(disk)
        if refused is not None or (not damaged and not self.disks.complete()):
            raise self.disks.out_of_reach(location, refused)
        if damaged:
            raise ContentDamaged(f"{location} is damaged on {', '.join(str(disk.path) for disk in damaged)}.")
        raise ContentMissing(location)

    def _file(self, pack: int, disk: Disk) -> Handle:
        file = disk.open(path_of(pack), os.O_RDONLY)
        with self._opening:
            while len(self._open) >= _MOST_OPEN:  # of those that were not used for a round, the oldest goes
                key, oldest = next(iter(self._open.items()))
                del self._open[key]
                if oldest.used:
                    oldest.used = False
                    self._open[key] = oldest
            self._open[pack, disk.id] = file
        return file

    def _mend(self, location: str, place: InPack, data: bytes, damaged: list[Disk], missing: list[Disk]) -> None:
        for disk in damaged:
            if self.overwrite(disk, place.pack, place.offset, data):
                log.warning("%s on %s was damaged and is mended.", location, disk.path)
        if missing and sum(self.has(disk, place.pack) for disk in self.disks.all) < self.disks.copies:
            self.state.owe(path_of(place.pack))

    def overwrite(self, disk: Disk, pack: int, offset: int, data: bytes) -> bool:
        """A whole good record over a damaged one."""
        try:
            file = disk.open(path_of(pack), os.O_WRONLY)
            calls.write_all(file.fd, data, offset)
            calls.fdatasync(file.fd)
        except OSError as error:
            log.warning("Pack %016x on %s could not be mended at %d: %s", pack, disk.path, offset, error)
            self.state.owe(path_of(pack))
            return False
        self.mended += 1
        return True

    # -- what there is ----------------------------------------------------------------------------------------------------------

    def has(self, disk: Disk, pack: int) -> bool:
        try:
            disk.open(path_of(pack), os.O_RDONLY)
        except OSError:
            return False
        return True

    def all(self) -> list[int]:
        """The packs on all disks that can be read, the oldest first."""
        names = [name for name in self.disks.names("p") if len(name) == 16 and not name.strip("0123456789abcdef")]
        return sorted(int(name, 16) for name in names)

    def copies(self, pack: int) -> list[tuple[Disk, Handle, int]]:
        """Where it is, open, and how long it is there."""
        found = []
        for disk in self.disks.ordered(f"{pack:016x}"):
            try:
                file = disk.open(path_of(pack), os.O_RDONLY)
                found.append((disk, file, calls.fstat(file.fd).st_size))
            except OSError:
                continue
        return found

    def held(self, pack: int) -> bool:
        """Whether somebody (this process or another one) appends to it."""
        if pack == self.growing:
            return True
        copies = self.copies(pack)
        try:
            return any(not calls.lock(file.fd) for _, file, _ in copies)
        finally:
            for _, file, _ in copies:
                file.close()

    def remove(self, pack: int) -> int:
        """From all disks; how many bytes that gave back. Whoever reads from it holds it open."""
        gone = 0
        for disk, _, size in self.copies(pack):
            if _remove(disk, path_of(pack)):
                gone += size
        for disk in self.disks.all:
            _remove(disk, dead_of(pack))
            with self._opening:
                self._open.pop((pack, disk.id), None)
        return gone

    # -- what is dead -----------------------------------------------------------------------------------------------------------

    def discard(self, places: Iterable[InPack]) -> None:
        by_pack: dict[int, list[bytes]] = {}
        for place in places:
            by_pack.setdefault(place.pack, []).append(format.write_dead(place.pack, place.offset, place.length))
        with self._noting:
            for pack, notes in by_pack.items():
                for disk in self.disks.all:
                    if disk.healthy and ((pack, disk.id) in self._open or self.has(disk, pack)):
                        self._note(disk, pack, b"".join(notes))

    def _note(self, disk: Disk, pack: int, notes: bytes) -> None:
        try:
            file = disk.open(dead_of(pack), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            odd = calls.fstat(file.fd).st_size % format.DEAD
            calls.append(file.fd, bytes(format.DEAD - odd) + notes if odd else notes)
        except OSError as error:
            log.warning("What is dead in pack %016x could not be noted on %s: %s", pack, disk.path, error)

    def noted(self, pack: int) -> int:
        """The length of all notes: it changes whenever something died."""
        length = 0
        for disk in self.disks.healthy():
            try:
                file = disk.open(dead_of(pack), os.O_RDONLY)
                length += calls.fstat(file.fd).st_size
            except OSError:
                continue
        return length

    def dead(self, pack: int) -> dict[int, int]:
        """Offset to length of what is known to be dead."""
        found: dict[int, int] = {}
        for disk in self.disks.healthy():
            try:
                found.update(format.read_dead(disk.read_file(dead_of(pack)) or b"", pack))
            except OSError:
                continue
        return found


def path_of(pack: int) -> str:
    return f"p/{pack:016x}"


def dead_of(pack: int) -> str:
    return f"p/{pack:016x}.dead"


def _records(pack: Growing, contents: Sequence[tuple[Label, bytes]]) -> tuple[list[str], list[Buffer], int]:
    """Their locations, what is to be written at the end of the pack, and where that ends."""
    locations: list[str] = []
    buffers: list[Buffer] = []
    offset = pack.end
    before = b""
    for label, data in contents:
        head, length = format.write_record(pack.number, offset, label, data)
        locations.append(format.pack_location(pack.number, offset, length))
        buffers += (before + head, data)
        before = format.padding(length)
        offset += length + len(before)
    buffers.append(before)
    return locations, buffers, offset


def _remove(disk: Disk, path: str) -> bool:
    try:
        return disk.unlink(path)
    except OSError as error:
        if disk.healthy:
            log.warning("%s on %s could not be removed: %s", path, disk.path, error)
        return False
