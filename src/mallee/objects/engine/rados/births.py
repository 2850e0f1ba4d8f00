"""Who is writing what: so that a sweep finds what a crash left behind, and never takes what is being written for it.

Every process that writes is a *session*, with a row ``session -> until`` in the omap of ``mallee.sessions``, which it renews every ``BEAT`` seconds
for another ``LEASE``. It draws ids from *blocks* of 256, each registered in the omap of ``mallee.births.<shard>`` before its first id is
used, so that whatever may lie in the pool unfinished is known by its block. When all ids of a block have come to their end (finished or
aborted), its session writes the time of that into the row.

The rule of the sweep: what has an id of a block is settled when

* its session said so more than ``GRACE`` seconds ago, or
* its session did not, and its lease ran out more than ``GRACE`` seconds ago: it is dead.

What is settled and has no row in the index was left behind. A row is taken out when all of its block is looked at. A session whose lease
has run out on its own clock uses none of its ids any more (``Lapsed``): it begins anew under another name. Clocks of different machines
may differ by less than ``GRACE``.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mallee.objects.engine.rados import layout
from mallee.objects.engine.rados.errors import Lapsed
from mallee.objects.engine.rados.librados import Pool
from mallee.objects.engine.rados.link import SESSIONS, SHARDS, Link, births, put

BEAT = 60.0
LEASE = 600.0
GRACE = 3600.0
BLOCK_AGE = 600.0


def shard(identity: str) -> int:
    """A number below ``SHARDS`` that is the same for every id of a block."""
    return "abcdefghijklmnopqrstuvwxyz234567".index(identity[0]) % SHARDS


@dataclass(slots=True)
class Block:
    name: str
    session: str
    opened: float
    used: int = 0
    running: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Claim:
    """An id that is registered and belongs to whoever took it, until ``Births.ended``."""

    identity: str
    session: str


class Births:
    def __init__(self, link: Link, clock: Callable[[], float], lease: float = LEASE) -> None:
        self._link = link
        self._clock = clock
        self._lease = lease
        self._lock = threading.Lock()
        self._session = ""
        self._renewed = 0.0
        self._blocks: dict[str, Block] = {}
        self._open: Block | None = None

    def take(self) -> Claim:
        """A new id. Raises EngineError."""
        with self._lock:
            if not self._session or self._lapsed():
                self._begin()
            block = self._open
            if block is None or block.used == layout.IDS_PER_BLOCK:
                block = self._register()
            sequence = block.used
            block.used += 1
            block.running.add(sequence)
            return Claim(layout.id_of(block.name, sequence), block.session)

    def check(self, claim: Claim) -> None:
        """Raises Lapsed if what has this id may have been taken for abandoned."""
        if claim.session != self._session or self._lapsed():
            raise Lapsed(
                f"Ceph was out of reach for more than {self._lease:.0f} s while something was being written.",
                "It is written anew when the client tries again.",
            )

    def ended(self, claim: Claim) -> None:
        """Nothing is written under this id any more."""
        with self._lock:
            block = self._blocks.get(layout.block_of(claim.identity))
            if block is not None:
                block.running.discard(int(claim.identity[-2:], 16))

    def beat(self) -> None:
        """Renews the lease, and settles what has come to its end. Raises EngineError."""
        with self._lock:
            if not self._session:
                return
            if self._lapsed():
                self._begin()
            else:
                self._renew(self._lease)
            if self._open is not None and self._clock() - self._open.opened > BLOCK_AGE:
                self._open = None
            self._settle()

    def close(self) -> None:
        """The session ends in order. Raises EngineError; nothing is lost if it does."""
        with self._lock:
            if self._session and not self._lapsed():
                self._open = None
                self._settle()
                self._renew(0)
            self._session = ""

    # ------------------------------------------------------------------------------------------------------------ within

    def _lapsed(self) -> bool:
        return time.monotonic() - self._renewed > self._lease

    def _begin(self) -> None:
        self._blocks.clear()
        self._open = None
        self._session = layout.new_block()
        self._renew(self._lease)

    def _renew(self, lease: float) -> None:
        now = time.monotonic()
        row = {"until": self._clock() + lease, "host": socket.gethostname(), "pid": os.getpid()}
        with self._link.talking() as pool:
            put(pool, SESSIONS, {self._session: json.dumps(row).encode()}).wait()
        self._renewed = now

    def _register(self) -> Block:
        block = Block(layout.new_block(), self._session, self._clock())
        with self._link.talking() as pool:
            self._write(pool, block, None)
        self._blocks[block.name] = self._open = block
        return block

    def _settle(self) -> None:
        done = [block for block in self._blocks.values() if block is not self._open and not block.running]
        with self._link.talking() as pool:
            for block in done:
                self._write(pool, block, self._clock())
                del self._blocks[block.name]

    @staticmethod
    def _write(pool: Pool, block: Block, settled: float | None) -> None:
        row: dict[str, object] = {"session": block.session, "opened": block.opened}
        if settled is not None:
            row |= {"settled": settled, "used": block.used}
        put(pool, births(shard(block.name)), {block.name: json.dumps(row).encode()}).wait()
