"""The database of a cloud: where transactions begin.

``with database.transaction(account_id, actor) as tx`` writes, ``with database.reading(account_id) as tx`` reads one consistent
snapshot. Leaving the block commits, an exception rolls back. ``database.run(work)`` is the same with the work as a function,
which is done again when PostgreSQL finds that another transaction came in between; that is how API calls and durable steps
run.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from .clock import Clock
from .engine import Engine, open_engine
from .errors import Conflict, Misuse, StoreUnavailable, translate
from .nudges import Nudges
from .transaction import Actor, Tx, Work, flush_gathered, write_journal

log = logging.getLogger(__name__)
T = TypeVar("T")

JOURNAL_TOPIC = "journal"
ATTEMPTS = 10


class Database:
    """Connections, transactions and nudges of one database. Safe to share between threads.

    ``url`` is ``sqlite:////path/to/file`` or ``postgresql://...``. ``synchronous=False`` lets a power cut undo the latest
    commits; only tests want that. Raises StoreUnavailable, from here and from every transaction, when it cannot be used.
    """

    def __init__(self, url: str, clock: Clock | None = None, *, synchronous: bool = True) -> None:
        self.clock = clock or Clock()
        self.url = url
        self.engine: Engine = open_engine(url, synchronous)
        self._nudges = Nudges(self.engine)
        self.trouble: StoreUnavailable | None = None

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.kind

    @property
    def folder(self) -> Path | None:
        """Where the database's file is; None if it is kept by a server."""
        return Path(self.engine.url.database or "").resolve().parent if self.kind == "sqlite" else None

    def transaction(
        self,
        account_id: str | None = None,
        actor: Actor | None = None,
        *,
        durable: bool = True,
        serializable: bool = True,
    ) -> _Writing:
        """A transaction that writes. ``durable=False``: a power cut may undo it (never a crash), for what can be done again at
        no loss. ``serializable=False``: on PostgreSQL, READ COMMITTED, for single statements that are right under it."""
        return _Writing(self, account_id, actor, durable, serializable)

    def reading(self, account_id: str | None = None) -> _Reading:
        """A snapshot for reading."""
        return _Reading(self, account_id)

    def run(self, work: Callable[[Tx], T], account_id: str | None = None, actor: Actor | None = None, **options: Any) -> T:
        """Does ``work(tx)`` in a transaction, again after each Conflict; work must have no effect but through ``tx``."""
        return self.retry(lambda: self._once(work, account_id, actor, options))

    def _once(self, work: Callable[[Tx], T], account_id: str | None, actor: Actor | None, options: dict[str, Any]) -> T:
        with self.transaction(account_id, actor, **options) as tx:
            return work(tx)

    def retry(self, function: Callable[[], T]) -> T:
        """Calls ``function`` until it raises no Conflict, at most ATTEMPTS times, with short random pauses that grow."""
        for attempt in range(ATTEMPTS - 1):
            try:
                return function()
            except Conflict:
                time.sleep(random.uniform(0, 0.002 * 2**attempt))
        return function()

    # nudges

    def mark(self, topic: str) -> int:
        """See :meth:`Nudges.mark`."""
        return self._nudges.mark(topic)

    def wait(self, topic: str, timeout: float, since: int | None = None) -> bool:
        """Blocks until ``topic`` is nudged or ``timeout`` seconds are over; says whether it was nudged.

        With ``since``, a :meth:`mark` taken before looking at the database, no nudge falls between looking and waiting.
        """
        return self._nudges.wait(topic, timeout, since)

    def nudge(self, topic: str) -> None:
        """Wakes those who wait for ``topic`` in this process, without a transaction."""
        self._nudges.notify((topic,))

    def subscribe(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls ``callback`` on every nudge of ``topic``; returns a function that ends it. The callback must be quick."""
        return self._nudges.subscribe(topic, callback)

    # upkeep

    def grow_log(self) -> None:
        """To be called once by a process that will write much: SQLite's log gets the length that it would get with time."""
        self.engine.grow_log()

    def checkpoint(self) -> None:
        """Moves what was committed from SQLite's log into its file; does nothing on PostgreSQL, which sees to it itself."""
        if self.kind == "sqlite":
            session = self.engine.begin("PRAGMA wal_checkpoint(PASSIVE)")
            self.engine.release(session)

    def close(self) -> None:
        self._nudges.close()
        self.engine.close()

    def _committed(self, work: Work) -> None:
        self.trouble = None
        if work.topics:
            self._nudges.notify(work.topics)
        for function in work.after:
            try:
                function()
            except Exception:
                log.exception("a function to be called after the commit failed")

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, StoreUnavailable):
            self.trouble = error


class _Writing:
    __slots__ = ("_account_id", "_actor", "_database", "_durable", "_serializable", "_work")

    def __init__(
        self, database: Database, account_id: str | None, actor: Actor | None, durable: bool, serializable: bool
    ) -> None:
        self._database = database
        self._account_id = account_id
        self._actor = actor
        self._durable = durable
        self._serializable = serializable

    def __enter__(self) -> Tx:
        database = self._database
        began = time.monotonic()
        try:
            session = database.engine.begin_write(self._durable, self._serializable)
        except StoreUnavailable as error:
            database._failed(error)
            raise
        self._work = Work(database.engine, session, database.clock.now(), self._actor, True, began)
        return Tx(self._work, self._account_id)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        database, work = self._database, self._work
        engine, session = database.engine, work.session
        try:
            if error is not None:
                work.over = True
                engine.rollback(session)
                database._failed(error)
                return
            self._commit(engine, work, database)
        finally:
            engine.end_write()
        database._committed(work)

    @staticmethod
    def _commit(engine: Engine, work: Work, database: Database) -> None:
        try:
            if work.failed is None:
                flush_gathered(work)
            if isinstance(work.failed, Conflict):
                raise work.failed
            if work.failed is not None:
                raise Misuse(
                    "a statement had failed, so nothing was committed: what may fail belongs into a savepoint"
                ) from work.failed
            if work.entries:
                work.topics.add(JOURNAL_TOPIC)
                write_journal(work)
            if work.topics:
                engine.publish(work.session, work.topics, database._nudges.sender)
            work.over = True
        except BaseException as problem:
            work.over = True
            engine.rollback(work.session)
            named = translate(problem)
            database._failed(named)
            raise named from problem
        try:
            engine.commit(work.session)
        except StoreUnavailable as problem:
            database._failed(problem)
            raise


class _Reading:
    __slots__ = ("_account_id", "_database", "_work")

    def __init__(self, database: Database, account_id: str | None) -> None:
        self._database = database
        self._account_id = account_id

    def __enter__(self) -> Tx:
        database = self._database
        began = time.monotonic()
        try:
            session = database.engine.begin_read()
        except StoreUnavailable as error:
            database._failed(error)
            raise
        self._work = Work(database.engine, session, database.clock.now(), None, False, began)
        return Tx(self._work, self._account_id)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._work.over = True
        self._database.engine.rollback(self._work.session)
        if error is not None:
            self._database._failed(error)
