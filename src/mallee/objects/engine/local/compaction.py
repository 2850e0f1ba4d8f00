"""Room in packs given back: what is alive in the emptiest ones is copied to the end of the growing one, and the rows follow.

A crash at any point loses nothing: until the rows refer to the new place the old pack is there, and a copy that no row came to refer to is found
by the scrub. A pack is removed only when each of its records is dead or was moved, and after ``grace`` seconds, for those
who read a location just before its row moved on. One that has a damaged record stays as it is.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Final

from ..base import Label, Moved
from . import format
from .format import InPack
from .packs import Packs
from .scanning import Gap, walk
from .sealing import is_sealed, readers_of

log = logging.getLogger("mallee.objects")

_BATCH: Final = 512
_BATCH_BYTES: Final = 4 * 1024 * 1024
_SMALL_PACKS: Final = 4


@dataclass(slots=True)
class Room:
    size: int
    dead: int

    @property
    def live(self) -> int:
        return max(0, self.size - self.dead - format.PACK_HEAD)


@dataclass(slots=True)
class Compaction:
    packs: Packs
    grace: float
    stuck: set[int] = field(default_factory=set)
    _retired: dict[int, float] = field(default_factory=dict)
    _known: dict[int, tuple[int, int]] = field(default_factory=dict)  # pack -> length of its notes, dead bytes

    def run(self, moved: Moved) -> int:
        given = self._remove_retired()
        most = self.packs.limit  # of what is copied in one go
        for pack, room in self._worth_it():
            if room.live > most:
                break
            most -= room.live
            if self._empty(pack, moved):
                self._retired[pack] = time.monotonic()
        return given + self._remove_retired()

    def room(self, pack: int) -> Room:
        copies = self.packs.copies(pack)
        size = max((size for _, _, size in copies), default=0)
        length = self.packs.noted(pack)
        known = self._known.get(pack)
        if known is None or known[0] != length:
            known = self._known[pack] = (length, sum(-(-n // format.ALIGNED) * format.ALIGNED for n in self.packs.dead(pack).values()))
        return Room(size, known[1])

    def _worth_it(self) -> list[tuple[int, Room]]:
        """Packs of which at least half is dead, and small ones (each start leaves one behind) as soon as there are some; those with least to
        copy first."""
        chosen: list[tuple[int, Room]] = []
        small: list[tuple[int, Room]] = []
        present = self.packs.all()
        for pack in set(self._known) - set(present):
            del self._known[pack]
        for pack in present:
            if pack in self._retired or pack in self.stuck:
                continue
            room = self.room(pack)
            emptied = room.dead * 2 >= room.size - format.PACK_HEAD
            if not emptied and room.size >= self.packs.limit // 8:
                continue
            if not self.packs.held(pack) and is_sealed(self.packs, pack):
                (chosen if emptied else small).append((pack, room))
        if len(small) >= _SMALL_PACKS:
            chosen += small
        return sorted(chosen, key=lambda one: one[1].live)

    def _empty(self, pack: int, moved: Moved) -> bool:
        """Whether nothing in it is referred to any more."""
        dead = self.packs.dead(pack)
        batch: list[tuple[int, int, Label, bytes]] = []
        size = 0
        whole, ended = True, False
        for found in walk(pack, readers_of(self.packs, pack)):
            if isinstance(found, Gap):
                whole = False
                continue
            ended = found.head.kind == format.END
            if ended or found.offset in dead:
                continue
            payload = found.payload
            if payload is None:
                whole = False
                continue
            batch.append((found.offset, found.head.length, found.label, payload))
            size += len(payload)
            if len(batch) >= _BATCH or size >= _BATCH_BYTES:
                self._move(pack, batch, moved)
                batch, size = [], 0
        self._move(pack, batch, moved)
        if not (whole and ended):
            self.stuck.add(pack)
            log.error("Pack %016x has damaged records: it is kept as it is.", pack)
        return whole and ended

    def _move(self, pack: int, batch: list[tuple[int, int, Label, bytes]], moved: Moved) -> None:
        if not batch:
            return
        old = [InPack(pack, offset, length) for offset, length, _, _ in batch]
        new = self.packs.append([(label, payload) for _, _, label, payload in batch], reserve=0)
        answers = moved(
            [
                (format.pack_location(pack, offset, length), location, label)
                for (offset, length, label, _), location in zip(batch, new, strict=True)
            ]
        )
        nobody = [location for location, answer in zip(new, answers, strict=True) if not answer]
        self.packs.discard([place for place in map(format.parse_location, nobody) if isinstance(place, InPack)])
        self.packs.discard(old)

    def _remove_retired(self) -> int:
        given = 0
        now = time.monotonic()
        for pack, since in list(self._retired.items()):
            if now - since >= self.grace:
                given += self.packs.remove(pack)
                del self._retired[pack]
        return given
