"""Reconcilers: functions without input that bring a projection to what the rows say, and the driver that calls them.

A reconciler is called with the database and the clock every so many seconds, and at once when one of its topics is nudged. It may run
twice, late, or beside itself in another process: it compares what should be with what is and changes the difference. One that raises
is called again at its next time; that it failed stands in a row for ``./mallee status``.
"""

from __future__ import annotations

import logging
import shutil
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from mallee.store import Clock, Database, StoreUnavailable, read_all

from . import faults
from .records import ENDED_BEFORE, JOBS, RECONCILIATIONS

log = logging.getLogger(__name__)

_FORGET = sa.delete(JOBS).where(JOBS.c.id.in_(sa.bindparam("ids", expanding=True)))

Function = Callable[[Database, Clock], None]

KEPT = timedelta(days=1)
"""How long the job of a life that has ended can still be looked at."""
LITTLE_ROOM, ENOUGH_ROOM = 256 << 20, 512 << 20
"""Free bytes on the database's disk below which a fault is raised, and above which it is cleared."""
NOTED = timedelta(seconds=60)
"""A run like the one before is written down at most this often."""
LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Reconciler:
    name: str
    every: float
    on: tuple[str, ...]
    function: Function

    def __call__(self, database: Database, clock: Clock) -> None:
        self.function(database, clock)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """How the last run of a reconciler went."""

    name: str
    ran_at: datetime
    error: str | None


def reconciler(name: str, *, every: float, on: Sequence[str] = ()) -> Callable[[Function], Reconciler]:
    """Makes the function a reconciler, called every ``every`` seconds and when a topic of ``on`` is nudged."""
    return lambda function: Reconciler(name, every, tuple(on), function)


@reconciler("ended-jobs", every=300)
def forget_ended_jobs(database: Database, clock: Clock) -> None:
    """Removes the jobs of lives that ended long ago, in small transactions."""
    before = clock.now() - KEPT
    while True:
        with database.reading() as tx:
            ended = [row.id for row in tx.all(ENDED_BEFORE, before=before)]
        if not ended:
            return
        with database.transaction(durable=False) as tx:
            tx.execute(_FORGET, ids=ended)


@reconciler("checkpoint", every=10)
def checkpoint(database: Database, clock: Clock) -> None:
    """Keeps SQLite's log short, so that no commit has to."""
    database.checkpoint()


@reconciler("disk-room", every=30)
def watch_disk(database: Database, clock: Clock) -> None:
    """Says that the database's disk is nearly full while that can still be written down."""
    folder = database.folder
    if folder is None:
        return
    free = shutil.disk_usage(folder).free
    if LITTLE_ROOM <= free < ENOUGH_ROOM:
        return
    with database.reading() as tx:
        stands = any(fault.code == "disk-full" for fault in faults.open_(tx, str(folder)))
    if stands != (free < LITTLE_ROOM):
        change = faults.clear if stands else faults.raise_
        database.run(lambda tx: change(tx, "disk-full", str(folder)), durable=False)


BUILT_IN = (forget_ended_jobs, checkpoint, watch_disk)

_ALL = sa.select(RECONCILIATIONS).order_by(RECONCILIATIONS.c.name)


def reconciliations(database: Database) -> list[Reconciliation]:
    """The last run of every reconciler, by name."""
    with database.reading() as tx:
        return read_all(Reconciliation, tx.all(_ALL))


@dataclass(slots=True)
class _Turn:
    """When a reconciler is next, and what was last written down of it."""

    reconciler: Reconciler
    due: datetime
    noted_at: datetime | None = None
    error: str | None = None
    nudged: threading.Event = field(default_factory=threading.Event)


class Reconcilers:
    """One thread that calls all reconcilers in turn. Without ``start``, ``run_due`` and ``run_all`` do it in the caller's thread."""

    def __init__(
        self, database: Database, reconcilers: Iterable[Reconciler], clock: Clock | None = None, *, built_in: bool = True
    ) -> None:
        """``built_in``: with those that every database needs, once in a process."""
        self.database = database
        self.clock = clock or database.clock
        now = self.clock.now()
        self._turns = [_Turn(each, now) for each in (*(BUILT_IN if built_in else ()), *reconcilers)]
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._ends: list[Callable[[], None]] = []

    def start(self) -> None:
        for turn in self._turns:
            for topic in turn.reconciler.on:
                self._ends.append(self.database.subscribe(topic, self._nudging(turn)))
        self._thread = threading.Thread(target=self._work, name="reconcilers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._wake.set()
        for end in self._ends:
            end()
        if self._thread is not None:
            self._thread.join()

    def run_due(self) -> int:
        """Runs those whose time has come or whose topic was nudged; returns how many."""
        due = [turn for turn in self._turns if turn.nudged.is_set() or turn.due <= self.clock.now()]
        for turn in due:
            self._run(turn)
        return len(due)

    def run_all(self) -> None:
        for turn in self._turns:
            self._run(turn)

    def _nudging(self, turn: _Turn) -> Callable[[], None]:
        def nudged() -> None:
            turn.nudged.set()
            self._wake.set()

        return nudged

    def _work(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            try:
                self.run_due()
            except Exception:
                log.exception("the driver of the reconcilers failed")
            left = (min(turn.due for turn in self._turns) - self.clock.now()).total_seconds()
            self._wake.wait(min(max(left, 0.05), LONGEST_WAIT))

    def _run(self, turn: _Turn) -> None:
        turn.nudged.clear()
        turn.due = self.clock.now() + timedelta(seconds=turn.reconciler.every)
        error = None
        try:
            turn.reconciler.function(self.database, self.clock)
        except StoreUnavailable as trouble:
            log.warning("%s waits for the database: %s", turn.reconciler.name, trouble)
            return
        except Exception as failure:
            log.exception("reconciler %s failed", turn.reconciler.name)
            error = "".join(traceback.format_exception_only(failure)).strip()
        self._note(turn, error)

    def _note(self, turn: _Turn, error: str | None) -> None:
        now = self.clock.now()
        if turn.noted_at is not None and turn.error == error and now - turn.noted_at < NOTED:
            return
        turn.noted_at, turn.error = now, error
        try:
            with self.database.transaction(durable=False) as tx:
                tx.put(RECONCILIATIONS, name=turn.reconciler.name, ran_at=now, error=error)
                if error is not None:
                    faults.raise_(tx, "reconciler-failing", turn.reconciler.name, error=error)
                else:
                    faults.clear(tx, "reconciler-failing", turn.reconciler.name)
        except Exception as trouble:
            log.warning("could not write down how %s went: %s", turn.reconciler.name, trouble)
