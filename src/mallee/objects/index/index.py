"""The index of a process: how many changes share one commit.

A change is a *work*, a function of a transaction, with the small contents that it is about. One thread, the committer, takes all works that
have queued up while the last batch was being synced, has the engine append their contents (one sync), runs them one after the other in one
transaction, and commits (one sync). So the rate of commits is not that of the disk's syncs.

A work that raises undoes itself alone, by savepoints where it had written. Nothing here is remembered in memory only: a work whose answer was
not given has either happened, or not at all; contents that were appended for nothing are swept by the engine; garbage stands in its table
until it is discarded.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from mallee.objects.engine.base import Engine, EngineError, Label
from mallee.store import Conflict, Database, Misuse, StoreUnavailable, Tx

from . import garbage, liveness, usage
from .tables import CLOSED

log = logging.getLogger(__name__)
T = TypeVar("T")

Done = Callable[[Any, BaseException | None], None]

MOST_WORKS = 256
MOST_BYTES = 16 * 1024 * 1024
"""Of one batch."""
PATIENCE = 0.1
"""For what share of the time that the last batch took the next one waits for those who were just answered."""
LULL = 0.05
"""Seconds of garbage that are discarded together, by one transaction that commits do not have to share the database with."""
TOGETHER = 2
"""How often a batch is tried as one when other processes get in its way."""


class Closed(Exception):
    """The index is shut: the process is ending."""


class _Undo(Exception):
    """A work raised after it had written: all is done again, each work by itself."""


class _Job:
    __slots__ = ("contents", "done", "error", "locations", "result", "size", "work")

    def __init__(self, work: Callable[..., Any], contents: Sequence[tuple[Label, bytes]], done: Done) -> None:
        self.work = work
        self.contents = contents
        self.done = done
        self.size = sum(len(data) for _, data in contents)
        self.locations: list[str] | None = None
        self.result: Any = None
        self.error: BaseException | None = None


class Index:
    """Safe to share between threads. ``database`` and ``engine`` belong to whoever made it."""

    def __init__(self, database: Database, engine: Engine, pinned: Container[str] = (), grace: float = 0.0) -> None:
        """``pinned``: locations that are being read, and ``grace``: for how many seconds other processes may be reading what is
        garbage; neither is discarded."""
        self.database = database
        self.engine = engine
        self._pinned = pinned
        self._grace = grace
        self._queue: deque[_Job] = deque()
        self._queued = threading.Condition(threading.Lock())
        self._wanted = 1
        """How many works the committer waits for."""
        self._closed = False
        self._drained = threading.Event()
        self._threads: list[threading.Thread] = []
        self._waste: deque[str] = deque()
        self._garbage = threading.Event()
        memory = database.engine.memory
        memory[garbage.WAKE] = self._garbage.set
        if database.kind == "postgresql":
            memory[usage.WRITER] = secrets.token_hex(6)

    def reading(self) -> AbstractContextManager[Tx]:
        """A snapshot: all that was answered before it began."""
        return self.database.reading()

    def run(self, work: Callable[..., T], contents: Sequence[tuple[Label, bytes]] = ()) -> T:
        """Does ``work(tx)``, or ``work(tx, locations)`` where it brings contents, and returns what it returns when that is durable.
        Raises what it raises, EngineError, or StoreUnavailable. It may be run more than once; only its last run counts."""
        over = threading.Lock()
        over.acquire()
        outcome: list[Any] = []

        def done(result: Any, error: BaseException | None) -> None:
            outcome[:] = result, error
            over.release()

        self.submit(work, contents, done)
        over.acquire()
        result, error = outcome
        if error is not None:
            raise error
        made: T = result
        return made

    def submit(self, work: Callable[..., Any], contents: Sequence[tuple[Label, bytes]], done: Done) -> None:
        """As :meth:`run`, but returns at once; ``done(result, error)`` is called from the committer's thread, and must be quick."""
        job = _Job(work, contents, done)
        with self._queued:
            if self._closed:
                raise Closed
            if not self._threads:
                self._start()
            self._queue.append(job)
            if len(self._queue) >= self._wanted:
                self._queued.notify()

    def reclaim(self) -> int:
        """Discards what is garbage, also what a crash has left; how many contents. For upkeep: what this process makes is discarded
        without being asked."""
        return garbage.reclaim(self.database, self.engine, self._pinned, self._grace)

    def is_live(self, contents: Sequence[tuple[str, Label]]) -> list[bool]:
        """For the engine's sweep and scrub."""
        with self.reading() as tx:
            return liveness.is_live(tx, contents)

    def moved(self, contents: Sequence[tuple[str, str, Label]]) -> list[bool]:
        """For the engine's compaction."""
        return self.run(lambda tx: liveness.moved(tx, contents))

    def close(self) -> None:
        """After all that was submitted is answered."""
        with self._queued:
            if self._closed:
                return
            self._closed = True
            self._queued.notify_all()
        for thread in self._threads[:1]:
            thread.join()
        self._drained.set()
        self._garbage.set()
        for thread in self._threads[1:]:
            thread.join()
        memory = self.database.engine.memory
        if memory.get(garbage.WAKE) == self._garbage.set:
            del memory[garbage.WAKE]

    # the committer

    def _start(self) -> None:
        for name, target in (("committer", self._commit_all), ("reclaimer", self._reclaim_all)):
            thread = threading.Thread(target=target, name=f"objects-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _take(self, answered: int, seconds: float) -> list[_Job]:
        """All that has queued up, within bounds; nothing when the index is closed and all is done. Of ``answered`` works, whose batch took
        so many ``seconds``, the next of the same callers are about to come: without a little patience they would miss this batch,
        and half of the callers would always wait for the commit of the other half."""
        with self._queued:
            if answered > 1 or self._queue:
                self._wanted = min(len(self._queue) + answered, MOST_WORKS)
                self._queued.wait_for(lambda: len(self._queue) >= self._wanted or self._closed, seconds * PATIENCE)
                self._wanted = 1
            while not self._queue:
                if self._closed:
                    return []
                self._queued.wait()
            batch = [self._queue.popleft()]
            size = batch[0].size
            while self._queue and len(batch) < MOST_WORKS and size < MOST_BYTES:
                batch.append(self._queue.popleft())
                size += batch[-1].size
            return batch

    def _commit_all(self) -> None:
        answered, seconds = 0, 0.0
        while batch := self._take(answered, seconds):
            began = time.monotonic()
            try:
                self._append(batch)
                ready = [job for job in batch if job.error is None]
                if ready:
                    self._transact(ready)
            except BaseException as error:  # a fault of ours: whoever waits must hear of it
                log.exception("a batch failed")
                for job in batch:
                    job.error = job.error or error
            answered, seconds = len(batch), time.monotonic() - began
            for job in batch:
                try:
                    job.done(job.result, job.error)
                except Exception:
                    log.exception("whoever waited for a commit failed")

    def _append(self, batch: list[_Job]) -> None:
        contents = [each for job in batch for each in job.contents]
        if not contents:
            return
        try:
            locations = iter(self.engine.append(contents))
        except Exception as error:
            if not isinstance(error, EngineError):
                log.exception("the engine failed")
            for job in batch:
                if job.contents:
                    job.error = error
            return
        for job in batch:
            if job.contents:
                job.locations = [next(locations) for _ in job.contents]

    def _transact(self, jobs: list[_Job]) -> None:
        for attempt in range(TOGETHER):
            try:
                self._together(jobs, alone=attempt > 0)
                return
            except Conflict:
                continue
            except StoreUnavailable as error:
                self._fail(jobs, error)
                return
            except Exception as error:
                if len(jobs) == 1:
                    self._fail(jobs, error)
                    return
                log.warning("a batch failed, its works are done one by one", exc_info=True)
                break
        for job in jobs:
            try:
                self.database.retry(lambda job=job: self._together([job], alone=True))  # type: ignore[misc]
            except Exception as error:
                self._fail([job], error)

    @staticmethod
    def _fail(jobs: list[_Job], error: BaseException) -> None:
        """What was appended for them is left to the engine's sweep: a commit that failed may have happened."""
        for job in jobs:
            job.result, job.error = None, error

    def _together(self, jobs: list[_Job], alone: bool) -> None:
        """One transaction. Raises what concerns all of it."""
        try:
            self._attempt(jobs, alone, apart=False)
        except _Undo:
            self._attempt(jobs, alone, apart=True)
        for job in jobs:
            if job.error is not None and job.locations:
                self._waste.extend(job.locations)
                self._garbage.set()

    def _attempt(self, jobs: list[_Job], alone: bool, apart: bool) -> None:
        """Most works that raise do so before they have written anything, so savepoints come only when one has not: ``apart``."""
        with self.database.transaction() as tx:
            tx.lock_table(CLOSED, alone=alone)  # a table as good as any, and none that is vacuumed
            for job in jobs:
                touched = tx.touched
                job.result = job.error = None
                try:
                    with tx.savepoint() if apart else nullcontext():
                        job.result = job.work(tx) if job.locations is None else job.work(tx, job.locations)
                        if tx.failed is not None:
                            raise Misuse("a statement failed, and the work went on: what may fail belongs into a savepoint")
                except (Conflict, StoreUnavailable):
                    raise
                except Exception as error:
                    job.result, job.error = None, error
                    if not apart and (tx.touched != touched or tx.failed is not None):
                        raise _Undo from None

    # the reclaimer

    def _reclaim_all(self) -> None:
        while True:
            self._garbage.wait()
            self._drained.wait(LULL)
            self._garbage.clear()
            last = self._drained.is_set()
            try:
                waste = [self._waste.popleft() for _ in range(len(self._waste))]
                if waste:
                    self.engine.discard(waste)
                self.reclaim()
            except (EngineError, StoreUnavailable) as error:
                log.warning("garbage is left for later: %s", error)
            except Exception:
                log.exception("discarding failed; what is left is taken up later")
            if last:
                return
