"""Contents in a pool of Ceph, for any number of processes at once (``base.Engine``).

Nothing is shared between processes but what is in the pool. One thread, the keeper, renews what says that this process is alive; were it to end, the
process' contents would only be looked at by a sweep sooner. Times: ``births``, ``trash``.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mallee.objects.engine.base import Content, ContentMissing, EngineError, IsLive, Label, Moved, Writer
from mallee.objects.engine.rados import births, errors, layout, packs, trash, turns, upkeep
from mallee.objects.engine.rados import scrub as scrubbing
from mallee.objects.engine.rados.births import Births
from mallee.objects.engine.rados.contents import StripedContent, StripedWriter
from mallee.objects.engine.rados.errors import Fault
from mallee.objects.engine.rados.layout import Packed, Striped
from mallee.objects.engine.rados.link import Link
from mallee.objects.engine.rados.packs import PACK, Packer
from mallee.settings import Settings

log = logging.getLogger("mallee.objects.rados")

ASK_ROOM = 64 * 1024 * 1024
"""Only for contents as large as this the monitors are asked whether there is room."""
ROOM_AGE = 10.0
SCARCE = 1024**3


class RadosEngine:
    """``owner`` names the cloud; a pool that belongs to another one is refused. ``timeout``: seconds that any operation may take before it
    fails. The cluster is not looked for before something is asked of it."""

    name = "rados"

    def __init__(
        self,
        conf: str,
        pool: str,
        user: str,
        keyring: str = "",
        *,
        owner: str = "",
        timeout: float = 30.0,
        clock: Callable[[], float] = time.time,
        lease: float = births.LEASE,
        beat: float = births.BEAT,
        grace: float = births.GRACE,
        linger: float = trash.LINGER,
        pack: int = PACK,
    ) -> None:
        self._link = Link(conf, pool, user, keyring, owner, timeout)
        self._clock = clock
        self._grace = grace
        self._linger = linger
        self._births = Births(self._link, clock, lease)
        self._packer = Packer(self._link, self._births, clock, pack)
        self._compacted = Packer(self._link, self._births, clock, pack)
        self._process = layout.new_block()
        self._lock = threading.Lock()
        self._opened: dict[StripedContent, float] = {}
        self._holding = False
        self._room = (0.0, 0)
        self._beat = beat
        self._ending = threading.Event()
        self._keeper: threading.Thread | None = None

    @classmethod
    def of(cls, settings: Settings) -> RadosEngine:
        return cls(
            settings.objects_rados_conf,
            settings.objects_rados_pool,
            settings.objects_rados_user,
            settings.objects_rados_keyring,
            owner=settings.admin_account_id,
            timeout=settings.objects_rados_seconds,
        )

    # ----------------------------------------------------------------------------------------------------- contents

    def writer(self, expected: int | None = None) -> Writer:
        if expected is not None and expected >= ASK_ROOM and expected > (room := self._free()):
            raise EngineError(
                f"Ceph has no room for {expected} bytes in the pool {self._link.pool_name}: {room} are left.",
                "Add OSDs, raise the pool's quota, or delete objects.",
            )
        self._keep()
        return StripedWriter(self._link, self._births)

    def append(self, contents: Sequence[tuple[Label, bytes]]) -> list[str]:
        self._keep()
        return self._packer.append(contents)

    def open(self, location: str) -> Content:
        place = layout.parse(location)
        if isinstance(place, Packed):
            return packs.read(self._link, place)
        if isinstance(place, Striped):
            return StripedContent(self._link, place, self._is_open, self._is_closed)
        raise ContentMissing(location)

    def discard(self, locations: Iterable[str]) -> None:
        """Small contents are gone at once; large ones cannot be opened any more at once, and their room is given back after ``linger``."""
        places = [place for location in locations if (place := layout.parse(location)) is not None]
        if places:
            with self._link.talking() as pool:
                packs.discard(pool, [place for place in places if isinstance(place, Packed)])
                trash.throw(pool, [place for place in places if isinstance(place, Striped)], self._clock() + self._linger)

    # ------------------------------------------------------------------------------------------------------- upkeep

    def sweep(self, is_live: IsLive) -> int:
        with turns.turn(self._link, "sweep", self._process, self._clock) as mine:
            if mine is None:
                return 0
            pool, turn = mine
            given = trash.empty(pool, self._clock(), turn.go_on)
            return given + upkeep.sweep(pool, is_live, self._clock(), turn.go_on, self._grace, self._linger)

    def compact(self, moved: Moved) -> int:
        self._keep()
        with turns.turn(self._link, "compact", self._process, self._clock) as mine:
            if mine is None:
                return 0
            pool, turn = mine
            return upkeep.compact(pool, moved, self._compacted, self._clock() + self._linger, turn.go_on)

    def scrub(self, is_live: IsLive, budget: float) -> scrubbing.Findings:
        """What the pass that is under way has found so far, its end included if this run reached it."""
        with turns.turn(self._link, "scrub", self._process, self._clock) as mine:
            if mine is None:
                return self.scrubbed()[0] or scrubbing.Findings()
            pool, turn = mine
            return scrubbing.scrub(pool, is_live, budget, self._clock(), turn.go_on)

    def scrubbed(self) -> tuple[scrubbing.Findings | None, scrubbing.Findings | None]:
        """The pass that is under way, and the last whole one."""
        with self._link.talking() as pool:
            return scrubbing.report(pool)

    def faults(self) -> list[Fault]:
        """What an operator has to do something about. Asks the cluster, so it may take as long as that may."""
        try:
            room = self._free()
        except EngineError as error:
            return [Fault("objects-ceph-away", error.cause, error.remedy)]
        if room < SCARCE:
            return [
                Fault("objects-ceph-full", f"The Ceph pool {self._link.pool_name} has room for {room} bytes only.", errors.FULL)
            ]
        return []

    @property
    def closed(self) -> bool:
        return self._ending.is_set()

    def close(self) -> None:
        if self.closed:
            return
        self._ending.set()
        if self._keeper is not None:
            self._keeper.join()
        try:
            self._packer.tidy(0)
            self._compacted.tidy(0)
            self._births.close()
        except EngineError as error:
            log.warning("the session in Ceph was not ended in order, a sweep does it later: %s", error.cause)
        self._link.close()

    # ------------------------------------------------------------------------------------------------------- keeper

    def beat(self) -> None:
        """What the keeper does every so often. Raises EngineError."""
        self._packer.tidy()
        self._compacted.tidy()
        self._births.beat()
        now = self._clock()
        with self._lock:
            long = [content.identity for content, since in self._opened.items() if now - since > self._linger / 2]
        with self._link.talking() as pool:
            if long or self._holding:
                trash.hold(pool, self._process, long, now + self._linger, now)
                self._holding = bool(long)
        with turns.turn(self._link, "trash", self._process, self._clock) as mine:
            if mine is not None:
                trash.empty(mine[0], now, mine[1].go_on)

    def _keep(self) -> None:
        if self._keeper is None:
            with self._lock:
                if self._keeper is None and not self._ending.is_set():
                    self._keeper = threading.Thread(target=self._keeping, name="mallee-rados", daemon=True)
                    self._keeper.start()

    def _keeping(self) -> None:
        away = False
        while not self._ending.wait(self._beat):
            try:
                self.beat()
                away = False
            except EngineError as error:
                if not away:
                    log.warning("%s %s", error.cause, error.remedy)
                away = True
            except Exception:
                log.exception("the keeper of the Ceph engine")

    def _is_open(self, content: StripedContent) -> None:
        self._keep()
        with self._lock:
            self._opened[content] = self._clock()

    def _is_closed(self, content: StripedContent) -> None:
        with self._lock:
            self._opened.pop(content, None)

    # ---------------------------------------------------------------------------------------------------------- room

    def _free(self) -> int:
        """Bytes that the pool still takes, as the monitors knew some seconds ago."""
        when, room = self._room
        if when and time.monotonic() - when < ROOM_AGE:
            return room
        with self._link.talking() as pool:
            answer: dict[str, Any] = json.loads(
                pool.cluster.command(json.dumps({"prefix": "df", "detail": "detail", "format": "json"}))
            )
        room = 2**63
        for each in answer.get("pools", ()):
            if each["name"] == self._link.pool_name:
                stats = each["stats"]
                if answer["stats"]["total_bytes"]:  # nothing is known yet in a cluster that has just begun
                    room = int(stats["max_avail"])
                if stats.get("quota_bytes"):
                    room = min(room, int(stats["quota_bytes"]) - int(stats["stored"]))
        self._room = (time.monotonic(), max(0, room))
        return self._room[1]
