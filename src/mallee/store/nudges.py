"""Nudges: "look now", from whoever committed to whoever waits, in this process and in others.

A nudge carries nothing and may come once too often; what there is to do stands in the database. Whoever waits does so with a
timeout and looks again when it runs out, so a lost nudge costs time and nothing else.

In this process a committed nudge wakes waiters directly. Between processes PostgreSQL carries it (LISTEN/NOTIFY); on SQLite the
count of each topic is a row, written with the commit, and one thread per process looks whether the file has changed.
"""

from __future__ import annotations

import logging
import secrets
import select
import socket
import threading
from collections.abc import Callable, Iterable

import sqlalchemy as sa

from .engine import Engine, PostgresqlEngine, Session
from .errors import StoreUnavailable, translate
from .tables import nudges

log = logging.getLogger(__name__)

POLL = 0.25
"""Seconds between looks for nudges of other processes on SQLite."""
PROBE = 60.0
"""Seconds between looks whether a silent connection to PostgreSQL still lives."""
BEGIN = 2.0
"""Seconds that the first who waits gives the listening to begin: what is said before it has begun would not be heard."""
RECONNECT = 2.0
"""Seconds between attempts to listen again when the database is away."""

_counts = sa.select(nudges.c.topic, nudges.c.count, nudges.c.by)


class Nudges:
    """The waiters of this process, and the thread that hears other processes."""

    def __init__(self, engine: Engine) -> None:
        self.sender = secrets.token_hex(6)
        self._engine = engine
        self._lock = threading.RLock()
        self._waiting: dict[str, threading.Condition] = {}
        """One for each topic that was ever waited for, all with the one lock: a commit wakes those whom it concerns."""
        self._marks: dict[str, int] = {}
        self._callbacks: dict[str, list[Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._ring, self._bell = socket.socketpair()
        self.listening = threading.Event()
        """Set while other processes are heard."""
        self._deaf = False
        self._begun = threading.Event()
        """Set once the first attempt to listen has succeeded or failed."""

    def mark(self, topic: str) -> int:
        """How often ``topic`` was nudged as far as this process knows: take it before looking, give it to :meth:`wait`."""
        self._listen()
        return self._marks.setdefault(topic, 0)

    def wait(self, topic: str, timeout: float, since: int | None = None) -> bool:
        """Blocks until ``topic`` is nudged (after ``since``, if given) or ``timeout`` seconds are over; says which."""
        self._listen()
        with self._lock:
            mark = self._marks.get(topic, 0) if since is None else since
            waiting = self._waiting.get(topic)
            if waiting is None:
                waiting = self._waiting[topic] = threading.Condition(self._lock)
            return waiting.wait_for(lambda: self._marks.get(topic, 0) != mark or self._stop.is_set(), timeout)

    def subscribe(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls ``callback`` on every nudge of ``topic``, in whatever thread hears it; returns how to end that."""
        self._listen()
        with self._lock:
            self._callbacks.setdefault(topic, []).append(callback)

        def unsubscribe() -> None:
            with self._lock:
                callbacks = self._callbacks.get(topic, [])
                if callback in callbacks:
                    callbacks.remove(callback)
                if not callbacks:
                    self._callbacks.pop(topic, None)

        return unsubscribe

    def notify(self, topics: Iterable[str]) -> None:
        """Wakes the waiters of this process."""
        callbacks: list[Callable[[], None]] = []
        with self._lock:
            for topic in topics:
                self._marks[topic] = self._marks.get(topic, 0) + 1
                callbacks += self._callbacks.get(topic, ())
                if topic in self._waiting:
                    self._waiting[topic].notify_all()
        for callback in callbacks:
            try:
                callback()
            except Exception:
                log.exception("a subscriber of nudges failed")

    def close(self) -> None:
        if self._stop.is_set():
            return
        self._stop.set()
        self._ring.send(b"!")
        with self._lock:
            for waiting in self._waiting.values():
                waiting.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)
        self._ring.close()
        self._bell.close()

    # other processes

    def _listen(self) -> None:
        if self._thread is None:
            with self._lock:
                if self._thread is None and not self._stop.is_set():
                    hear = self._hear_postgresql if isinstance(self._engine, PostgresqlEngine) else self._hear_sqlite
                    self._thread = threading.Thread(target=self._keep, args=(hear,), name="nudges", daemon=True)
                    self._thread.start()
        if not self._begun.is_set() and not self._begun.wait(BEGIN):
            self._deaf = True

    def _keep(self, hear: Callable[[Session], None]) -> None:
        while not self._stop.is_set():
            session = None
            try:
                session = self._engine.connect()
                hear(session)
            except Exception as error:
                trouble = translate(error)
                if isinstance(trouble, StoreUnavailable):
                    log.warning("cannot listen for other processes: %s", trouble.cause)
                elif not self._stop.is_set():
                    log.warning("listening for other processes failed", exc_info=True)
            finally:
                self._deaf = True
                self._begun.set()
                self.listening.clear()
                if session is not None:
                    session.close()
            self._stop.wait(RECONNECT)

    def _hears(self) -> None:
        """From now on. Who was deaf may have missed anything: everybody looks."""
        self.listening.set()
        if self._deaf:
            self._deaf = False
            with self._lock:
                topics = {*self._marks, *self._waiting, *self._callbacks}
            self.notify(topics)
        self._begun.set()

    def _hear_sqlite(self, session: Session) -> None:
        known: dict[str, int] | None = None
        version = None
        while not self._stop.is_set():
            seen = session.command("PRAGMA data_version").fetchone()[0]
            if seen != version:
                version = seen
                rows = session.plain.execute(_counts).all()
                if known is not None:
                    heard = [t for t, count, by in rows if by != self.sender and count != known.get(t)]
                    if heard:
                        self.notify(heard)
                known = {topic: count for topic, count, _ in rows}
                if not self.listening.is_set():
                    self._hears()
            self._stop.wait(POLL)

    def _hear_postgresql(self, session: Session) -> None:
        session.command(f"LISTEN {PostgresqlEngine.channel}")
        self._hears()
        while not self._stop.is_set():
            select.select([session.dbapi, self._bell], [], [], PROBE)
            for notice in session.dbapi.notifies(timeout=0):
                sender, _, topic = notice.payload.partition(" ")
                if sender != self.sender:
                    self.notify((topic,))
