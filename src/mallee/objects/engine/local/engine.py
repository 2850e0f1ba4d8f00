"""The engine of local disks, as the rest of the house sees it (``base.Engine``)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from ..base import Content, ContentMissing, Label, Span, Writer
from . import format
from .disks import Disks, Fault
from .files import Files
from .format import InFile, InPack
from .packs import Packs
from .state import State

RESERVE: Final = 64 * 1024 * 1024
PACK: Final = 256 * 1024 * 1024


class LocalEngine:
    """``copies`` of everything on as many of the folders. ``record`` is a file outside of them, in Mallee's home, that remembers which disks
    there are. ``reserve`` is what is left free on each disk, so that deleting always works. Without ``degraded`` a
    write is refused while there are fewer working disks than copies."""

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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._disks = Disks(folders, copies, record, reserve)
        self._state = State(self._disks, clock)
        self._pool = ThreadPoolExecutor(2 * len(folders), thread_name_prefix="mallee-disk")
        self._files = Files(self._disks, self._state, self._pool, clock, degraded)
        self._packs = Packs(self._disks, self._state, self._pool, clock, degraded, pack_size)

    # -- contents ---------------------------------------------------------------------------------------------------------------

    def writer(self, expected: int | None = None) -> Writer:
        return self._files.writer(expected)

    def append(self, contents: Sequence[tuple[Label, bytes]]) -> list[str]:
        return self._packs.append(contents)

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
