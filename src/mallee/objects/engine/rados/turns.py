"""Upkeep that one process does at a time: rows of ``mallee.upkeep``, taken by compare-and-set and given back, or run out.

Nothing depends on it for correctness: two that sweep at once only do the same twice.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mallee.objects.engine.rados.librados import Pool, RadosError, Write
from mallee.objects.engine.rados.link import UPKEEP, Link, rows

LEASE = 300.0


class Turn:
    """``go_on`` renews it when needed, and says whether it is still ours."""

    def __init__(self, pool: Pool, what: str, process: str, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._what = what
        self._process = process
        self._clock = clock
        self._row = b""
        self._until = 0.0

    def take(self) -> bool:
        found = dict(rows(self._pool, UPKEEP, self._what)).get(self._what, b"")
        if found and json.loads(found)["until"] > self._clock():
            return False
        return self._set(found, LEASE)

    def go_on(self) -> bool:
        if self._clock() < self._until - LEASE / 2:
            return True
        return self._set(self._row, LEASE)

    def give_back(self) -> None:
        self._set(self._row, 0)

    def _set(self, old: bytes, lease: float) -> bool:
        until = self._clock() + lease
        new = json.dumps({"by": self._process, "until": until}).encode()
        try:
            self._pool.submit(UPKEEP, Write().if_key(self._what, old).keys({self._what: new})).wait()
        except RadosError as error:
            if error.number == errno.ECANCELED:
                return False
            raise
        self._row, self._until = new, until
        return True


@contextmanager
def turn(link: Link, what: str, process: str, clock: Callable[[], float]) -> Iterator[tuple[Pool, Turn] | None]:
    """The pool and the turn, or None if another has it. Raises EngineError."""
    with link.talking() as pool:
        made = Turn(pool, what, process, clock)
        if not made.take():
            yield None
            return
        try:
            yield pool, made
        finally:
            try:
                made.give_back()
            except RadosError:
                pass  # it runs out
