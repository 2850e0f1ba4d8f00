"""What crashes left behind: temporary files that nobody writes any more, tails of packs, contents that no row ever came to refer to.

The sweep looks only at what was written since the last one, less ``age`` seconds for rows that are on their way; the scrub, which goes through
everything, finds the rest.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..base import ContentDamaged, IsLive, Label
from . import calls, format
from .disks import Disk
from .files import Files, open_copy
from .format import InFile, InPack
from .packs import Packs
from .scanning import Gap, walk
from .sealing import is_sealed, readers_of, seal
from .state import State

log = logging.getLogger("mallee.objects")

BATCH: Final = 256
_HOUR: Final = 3600


@dataclass(slots=True)
class Sweep:
    files: Files
    packs: Packs
    state: State
    clock: Callable[[], float]
    age: float
    settle: float

    def run(self, is_live: IsLive) -> int:
        began = self.clock()
        since = float(self.state.read("sweep").get("swept", 0))
        given = sum(self._temporary(disk) for disk in self.files.disks.healthy())
        until = began - self.age
        for hour in self.hours():
            if format.hour_of(since) <= hour <= format.hour_of(until):
                given += self._hour(hour, until, is_live)
        given += self._packs(since, until, is_live)
        if self.files.disks.complete():  # what could not be looked at is looked at again
            self.state.write("sweep", {"swept": until})
        return given

    def hours(self) -> list[str]:
        return [name for name in self.files.disks.names("f") if name.isdigit()]

    def ids(self, hour: str) -> list[str]:
        return [name for name in self.files.disks.names(f"f/{hour}") if format.is_id(name)]

    # -- inside -----------------------------------------------------------------------------------------------------------------

    def _temporary(self, disk: Disk) -> int:
        given = 0
        for folder in ("t", "state", "."):
            for name in disk.names(folder):
                if folder != "t" and not _is_partial(name):
                    continue
                path = f"{folder}/{name}"
                try:
                    given += self._left_behind(disk, path)
                except OSError as error:
                    log.warning("%s on %s could not be removed: %s", path, disk.path, error)
        return given

    def _left_behind(self, disk: Disk, path: str) -> int:
        file = disk.open(path, os.O_RDWR)
        try:
            seen = calls.fstat(file.fd)
            if time.time() - seen.st_mtime >= self.settle and calls.lock(file.fd) and disk.unlink(path):
                return seen.st_size
            return 0
        finally:
            file.close()

    def _hour(self, hour: str, until: float, is_live: IsLive) -> int:
        given = 0
        ids = self.ids(hour)
        for start in range(0, len(ids), BATCH):
            found = [(place, *self.label(place)) for place in (InFile(hour, id) for id in ids[start : start + BATCH])]
            known = [(place, label, size) for place, label, made, size in found if made <= until]
            answers = is_live([(f"f/{place.hour}/{place.id}", label) for place, label, _ in known]) if known else []
            for (place, _, size), live in zip(known, answers, strict=True):
                if not live:
                    self.files.discard([place])
                    given += size
        if hour < format.hour_of(until - _HOUR):
            self.remove_empty(hour)
        return given

    def remove_empty(self, hour: str) -> None:
        for disk in self.files.disks.healthy():
            disk.remove_folder(f"f/{hour}")
            self.files.known_hours.discard((disk.id, f"f/{hour}"))

    def label(self, place: InFile) -> tuple[Label, float, int]:
        """Its label (empty if no footer is whole), when it was made, and how many bytes it takes on all disks."""
        size = 0
        label: Label = {}
        made = 0.0
        for disk in self.files.disks.ordered(place.id):
            location = f"f/{place.hour}/{place.id}"
            try:
                file = disk.open(location, os.O_RDONLY)
                seen = calls.fstat(file.fd)
                size += seen.st_size
                made = made or seen.st_mtime
                footer = open_copy(disk, location, place).footer
                label, made = footer.label, float(footer.made)
            except (OSError, ContentDamaged):
                continue
        return label, made, size

    def _packs(self, since: float, until: float, is_live: IsLive) -> int:
        given = 0
        for pack in self.packs.all():
            written = self.written(pack)
            if written is None or written < since or self.packs.held(pack):
                continue
            if not is_sealed(self.packs, pack):
                if not self.files.disks.complete() or time.time() - written < self.settle:
                    continue
                given += seal(self.packs, pack, is_live)
            if written <= until:
                given += self._orphans(pack, is_live)
        return given

    def written(self, pack: int) -> float | None:
        """When something was last added to it."""
        times = [calls.fstat(file.fd).st_mtime for _, file, _ in self.packs.copies(pack)]
        return max(times, default=None)

    def _orphans(self, pack: int, is_live: IsLive) -> int:
        dead = self.packs.dead(pack)
        given = 0
        batch: list[tuple[InPack, Label]] = []

        def ask() -> int:
            answers = is_live([(format.pack_location(place.pack, place.offset, place.length), label) for place, label in batch])
            orphans = [place for (place, _), live in zip(batch, answers, strict=True) if not live]
            self.packs.discard(orphans)
            return sum(place.length for place in orphans)

        for found in walk(pack, readers_of(self.packs, pack), whole=False):
            if isinstance(found, Gap) or found.head.kind != format.CONTENT or found.offset in dead:
                continue
            batch.append((InPack(pack, found.offset, found.head.length), found.label))
            if len(batch) == BATCH:
                given += ask()
                batch.clear()
        return given + (ask() if batch else 0)


def _is_partial(name: str) -> bool:
    """``mallee-disk.json.1a2b3c4d``"""
    stem, _, end = name.rpartition(".")
    return bool(stem) and len(end) == 8 and not end.strip("0123456789abcdef")
