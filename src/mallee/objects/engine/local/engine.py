"""The engine of local disks, as the rest of the house sees it (``base.Engine``)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from ..base import Content, ContentMissing, IsLive, Label, Moved, Span, Writer
from . import calls, format, inventory
from .calls import Handle
from .compaction import Compaction
from .disks import Disks, Fault, trouble
from .files import Files
from .format import InFile, InPack
from .packs import Packs
from .scrubbing import Findings, Scrub
from .state import State
from .sweeping import Sweep

RESERVE: Final = 64 * 1024 * 1024
PACK: Final = 256 * 1024 * 1024
_Asked = TypeVar("_Asked")


@dataclass(frozen=True, slots=True)
class DiskUsage:
    path: Path
    id: str
    total: int
    free: int
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes. ``dead`` is what compaction can give back; ``owed`` counts contents and packs that have fewer copies than they should."""

    disks: tuple[DiskUsage, ...]
    packs: int
    pack_bytes: int
    dead: int
    owed: int
    mended: int  # since the engine was opened, by reading


class LocalEngine:
    """``copies`` of everything on as many of the folders. ``record`` is a file outside of them, in Mallee's home, that remembers which disks
    there are. ``reserve`` is what is left free on each disk, so that deleting always works. Without ``degraded`` a
    write is refused while there are fewer working disks than copies. A row may be on its way to what is younger than ``age`` seconds;
    what was not touched for ``settle`` seconds and is held by nobody was left behind; a pack that was emptied goes after ``grace`` seconds."""

    name = "local"

    def __init__(
        self,
        folders: Sequence[Path],
        copies: int = 1,
        *,
        record: Path | None = None,
        reserve: int = RESERVE,
        pack_size: int = PACK,
        degraded: bool = True,
        age: float = 3600.0,
        settle: float = 60.0,
        grace: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._disks = Disks(folders, copies, record, reserve)
        self._state = State(self._disks, clock)
        self._pool = ThreadPoolExecutor(8 * len(folders), thread_name_prefix="mallee-disk")
        self._files = Files(self._disks, self._state, self._pool, clock, degraded)
        self._packs = Packs(self._disks, self._state, self._pool, clock, degraded, pack_size)
        self._sweep = Sweep(self._files, self._packs, self._state, clock, age, settle)
        self._compaction = Compaction(self._packs, grace)
        self._scrub = Scrub(self._sweep, self._compaction, clock, age)
        self._upkeep = threading.Lock()

    # -- contents ---------------------------------------------------------------------------------------------------------------

    def writer(self, expected: int | None = None) -> Writer:
        try:
            return self._files.writer(expected)
        except OSError as error:
            raise trouble(error) from error

    def append(self, contents: Sequence[tuple[Label, bytes]]) -> list[str]:
        try:
            return self._packs.append(contents)
        except OSError as error:  # a disk that cannot even be asked for its room
            raise trouble(error) from error

    def open(self, location: str) -> Content:
        """Raises ContentMissing, and ContentDamaged where already the opening shows it."""
        try:
            place = format.parse_location(location)
        except ValueError:
            raise ContentMissing(location) from None
        if isinstance(place, InPack):
            return Small(self._packs.read(location, place))
        return self._files.open(location, place)

    def discard(self, locations: Iterable[str]) -> None:
        """A file is gone at once; a record of a pack may go on being readable until it is compacted."""
        places = []
        for location in locations:
            try:
                places.append(format.parse_location(location))
            except ValueError:
                continue
        self._packs.discard([place for place in places if isinstance(place, InPack)])
        self._files.discard([place for place in places if isinstance(place, InFile)])

    # -- upkeep -----------------------------------------------------------------------------------------------------------------

    def sweep(self, is_live: IsLive) -> int:
        with self._alone() as alone:
            return self._sweep.run(_outside(is_live)) if alone else 0

    def compact(self, moved: Moved) -> int:
        with self._alone() as alone:
            return self._compaction.run(_outside(moved)) if alone else 0

    def scrub(self, is_live: IsLive, budget: float) -> Findings:
        """What the pass that is under way has found so far, its end included if this run reached it."""
        with self._alone() as alone:
            return self._scrub.run(_outside(is_live), budget) if alone else (self._scrub.report()[0] or Findings())

    def scrubbed(self) -> tuple[Findings | None, Findings | None]:
        """The pass that is under way, and the last whole one."""
        return self._scrub.report()

    def usage(self) -> Usage:
        disks = []
        for disk in self._disks.all:
            total = free = 0
            if disk.root is not None:
                seen = calls.fstatvfs(disk.root.fd)
                total, free = seen.f_blocks * seen.f_frsize, seen.f_bavail * seen.f_frsize
            disks.append(DiskUsage(disk.path, disk.id, total, free, disk.fault))
        packs = self._packs.all()
        rooms = [self._compaction.room(pack) for pack in packs]
        return Usage(
            disks=tuple(disks),
            packs=len(packs),
            pack_bytes=sum(room.size for room in rooms),
            dead=sum(room.dead for room in rooms),
            owed=len(self._state.owed()),
            mended=self._files.mended + self._packs.mended,
        )

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """One upkeep at a time on these disks, of this process and of others (which then leave it to this one)."""
        with self._upkeep:
            held: Handle | None = None
            for disk in self._disks.healthy():
                try:
                    held = disk.open("state/upkeep", os.O_RDWR | os.O_CREAT)
                    break
                except OSError:
                    continue
            try:
                yield held is not None and calls.lock(held.fd)
            except OSError as error:
                raise trouble(error) from error
            except _Outside as outside:
                raise outside.error from None
            finally:
                if held is not None:
                    held.close()

    @property
    def copies(self) -> int:
        return self._disks.copies

    def contents(self, after: inventory.Place, wanted: inventory.Wanted) -> Iterator[inventory.Found]:
        """All that is there behind a place, in one order, with labels of those that are wanted: for audits."""
        return inventory.contents(self._sweep, after, wanted)

    def is_there(self, location: str) -> bool:
        """Whether it is, and is not discarded."""
        return inventory.is_there(self._files, self._packs, location)

    def faults(self) -> list[Fault]:
        """What an operator has to do something about."""
        found = self._disks.faults()
        owed = len(self._state.owed())
        if owed:
            found.append(
                Fault(
                    "objects-copies-owed",
                    f"{owed} contents and packs of the object store have fewer copies than {self._disks.copies}.",
                    "Nothing, once all disks work: the scrub makes the missing copies.",
                )
            )
        return found

    def close(self) -> None:
        self._packs.close()
        self._pool.shutdown()


class _Outside(Exception):
    """Carries an error of those whom we ask past our own: theirs may be an OSError, too, and is no disk's."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _outside(ask: Callable[[_Asked], Sequence[bool]]) -> Callable[[_Asked], Sequence[bool]]:
    def asked(what: _Asked) -> Sequence[bool]:
        try:
            return ask(what)
        except Exception as error:
            raise _Outside(error) from error

    return asked


class Small:
    """A content from a pack: read and verified as a whole when it was opened."""

    __slots__ = ("_data", "size")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        if offset < 0 or length <= 0:
            return b""
        return self._data if not offset and length >= self.size else self._data[offset : offset + length]

    def span(self, offset: int, length: int) -> Span | None:
        return None

    def close(self) -> None:
        self._data = b""
