"""One content on its way into a file of its own, on all its disks at once.

It is written under a temporary name in ``t/``, which is locked (flock) as long as somebody writes, so that a sweep knows what a crash has left.
The kernel is told early to write the pages out, so that the final fsync has little left to wait for; room is not
allocated beforehand, since that measured slower (docs/decisions/objects-no-preallocation.md).
"""

from __future__ import annotations

import logging
import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from awscrt.checksums import crc32c

from ..base import EngineError, Label
from . import calls, format
from .calls import Handle
from .disks import Disk, no_room
from .fan import each

if TYPE_CHECKING:
    from .files import Files

log = logging.getLogger("mallee.objects")

_WINDOW: Final = 2 * 1024 * 1024
_GATHER: Final = 256 * 1024
_DIRECT: Final = 32 * 1024


@dataclass(slots=True)
class Copy:
    disk: Disk
    file: Handle
    place: str = ""  # where it is now; "" once nothing of it is left


@dataclass(slots=True)
class FileWriter:
    files: Files
    id: str
    expected: int
    copies: list[Copy] = field(default_factory=list)
    _size: int = 0  # given to us
    _written: int = 0  # given to the disks
    _started: int = 0  # of which the kernel was told to write them out
    _promised: int = 0  # of what is expected, not yet written
    _sums: array[int] = field(default_factory=lambda: array("I"))
    _sum: int = 0
    _gathered: bytearray = field(default_factory=bytearray)
    _ended: bool = False

    def begin(self) -> FileWriter:
        """A disk that fails at this is passed over, so this ends: with as many copies as there can be, or with an EngineError."""
        try:
            while not self._begin(self.files.disks.place(self.id, self.expected)):
                self._drop()
            self._enough()
        except BaseException:
            self.abort()
            raise
        return self

    def _begin(self, disks: list[Disk]) -> bool:
        place = f"t/{self.id}"
        for disk in disks:
            try:
                file = disk.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL)
                self.copies.append(Copy(disk, file, place))
                disk.promise(self.expected)
                self._promised = self.expected
                calls.lock(file.fd, wait=True)
            except OSError as error:
                if refusal := disk.blame(error, self.expected):
                    raise refusal from None
                return False
        return True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data).cast("B") if isinstance(data, memoryview) else memoryview(data)
        self._sum_up(view)
        self._size += len(view)
        if len(self._gathered) + len(view) < _DIRECT or (self._gathered and len(self._gathered) + len(view) < _GATHER):
            self._gathered += view
            return
        if self._gathered:
            gathered, self._gathered = self._gathered, bytearray()
            self._put(gathered)
        self._put(view)

    def finish(self, label: Label) -> str:
        made = int(self.files.clock())
        location = format.file_location(made, self.id)
        if self._size % format.BLOCK:
            self._sums.append(self._sum)
        try:
            footer = format.write_footer(self._size, self.id, made, self._sums, label)
            self._put(bytes(self._gathered) + footer)
            hour = f"f/{format.hour_of(made)}"
            self._each(lambda copy: self._settle(copy, hour, location))
        except BaseException:
            self.abort()
            raise
        if len(self.copies) < self.files.disks.copies:
            self.files.state.owe(location)
        for copy in self.copies:
            copy.disk.promise(-self._promised)
            copy.file.close()
        self.copies = []
        self._ended = True
        return location

    def abort(self) -> None:
        if self._ended:
            return
        self._drop()
        self._ended = True
        self._gathered = bytearray()

    # -- inside ---------------------------------------------------------------------------------------------------------------------

    def _sum_up(self, view: memoryview) -> None:
        at, place = 0, self._size % format.BLOCK
        while at < len(view):
            part = view[at : at + format.BLOCK - place]
            self._sum = crc32c(part, self._sum)
            at += len(part)
            place += len(part)
            if place == format.BLOCK:
                self._sums.append(self._sum)
                self._sum = place = 0

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        start, offset = self._started, self._written
        end = offset + len(data)
        window = end - end % _WINDOW

        def put(copy: Copy) -> None:
            calls.write_all(copy.file.fd, data, offset)
            if window > start:
                calls.start_writing(copy.file.fd, start, window - start)

        self._each(put)
        self._written = end
        self._started = max(start, window)
        kept = min(len(data), self._promised)
        self._promised -= kept
        for copy in self.copies:
            copy.disk.promise(-kept)
            if not self._promised and window > start and copy.disk.free() < self.files.disks.reserve:
                raise no_room(copy.disk, format.BLOCK)

    def _settle(self, copy: Copy, hour: str, location: str) -> None:
        calls.fsync(copy.file.fd)
        if (copy.disk.id, hour) not in self.files.known_hours:
            copy.disk.make_folder(hour)
            self.files.known_hours.add((copy.disk.id, hour))
        try:
            copy.disk.rename(copy.place, location)
        except FileNotFoundError:  # the folder went away: a clock that was set, a hand
            copy.disk.make_folder(hour)
            copy.disk.rename(copy.place, location)
        copy.place = location
        copy.disk.sync_folder(hour)

    def _each(self, work: Callable[[Copy], None]) -> None:
        """On all copies, beside each other. Whoever fails is left out from then on; EngineError if that may not be."""
        for copy, error in each(self.files.pool, self.copies, work):
            self.copies.remove(copy)
            copy.disk.promise(-self._promised)
            self._lost(copy, error)
        self._enough()

    def _lost(self, copy: Copy, error: OSError) -> None:
        _remove(copy)
        if refusal := copy.disk.blame(error, max(self.expected - self._written, format.BLOCK)):
            raise refusal

    def _enough(self) -> None:
        disks = self.files.disks
        if not self.copies:
            raise disks.none_left()
        if len(self.copies) < disks.copies and not self.files.degraded:
            raise EngineError(f"There are disks for only {len(self.copies)} of {disks.copies} copies.", disks.none_left().remedy)

    def _drop(self) -> None:
        for copy in self.copies:
            _remove(copy)
            copy.disk.promise(-self._promised)
        self.copies = []


def _remove(copy: Copy) -> None:
    """What is left if this fails is found by the sweep."""
    try:
        if copy.place:
            copy.disk.unlink(copy.place)
    except OSError as error:
        log.warning("%s on %s could not be removed: %s", copy.place, copy.disk.path, error)
    copy.file.close()
