"""The two engines, SQLite and PostgreSQL, behind one small face: sessions that begin, commit and execute.

A :class:`Session` is one database connection, kept open and used by one transaction at a time, with two SQLAlchemy connections on
it: ``scoped``, whose compiler draws the account's border, and ``plain``. BEGIN and COMMIT go straight to the driver, since
SQLAlchemy's own bookkeeping per transaction costs more than a point read does.

SQLite: WAL, ``synchronous=FULL`` (an answered call survives a power cut), one writer. The writers of this process queue at a lock
instead of polling SQLite's; other processes are waited for by the busy timeout. Checkpoints are made by upkeep, so that a commit
is one fsync. PostgreSQL: psycopg 3; writers run SERIALIZABLE, so that code proved on SQLite's single writer stays right.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from .errors import BUSY, Conflict, Misuse, StoreUnavailable, translate, unavailable
from .prepared import Plans
from .scope import OwnInsertPostgresql, OwnInsertSqlite, guard
from .tables import nudges

LOG_SIZE = 16 * 1024 * 1024
"""Bytes that SQLite's log has from the start. A commit that lengthens the file costs half as much again, since the file system
has its length to write too; the log is used from its beginning again after each checkpoint."""

CACHE_SIZE = -8000  # KiB

COUNTED = {"preserve_rowcount": True}
"""SQLAlchemy forgets the count of an INSERT unless it is asked to keep it."""

BUSY_TIMEOUT = 15.0
"""Seconds to wait for the write lock before saying that the database is unavailable."""


class Session:
    """One connection to the database, in the hands of one transaction at a time."""

    __slots__ = ("_lazy", "_pooled", "dbapi", "plain", "scoped")

    def __init__(self, plain: Connection, scoped: Connection, pooled: Any) -> None:
        self.plain = plain
        self.scoped = scoped
        self._pooled = pooled  # SQLAlchemy's handle: closed by itself, or the collector finds a dead connection in it
        self.dbapi = pooled.dbapi_connection
        self._lazy = False

    def command(self, sql: str) -> Any:
        return self.dbapi.execute(sql)

    def write(self, plans: Plans | None, connection: Connection, statement: Any, rows: list[dict[str, Any]]) -> int:
        """Executes a kept INSERT, UPDATE or DELETE for rows with the same names; how many rows of the table it touched."""
        write = None if plans is None else plans.write(statement, tuple(rows[0]))
        if write is None:
            return int(connection.execute(statement, rows if len(rows) > 1 else rows[0], execution_options=COUNTED).rowcount)
        return sum(self.dbapi.execute(write.text, write.bound(row)).rowcount for row in rows)

    def close(self) -> None:
        try:
            self._pooled.close()
        except Exception:
            pass  # it is being thrown away: there is nobody to tell


class Engine:
    """What both engines share: the stack of idle sessions."""

    kind: str
    insert_if_free: type[Any]

    def __init__(self, url: sa.URL, connect_args: dict[str, Any]) -> None:
        self.url = url
        options: dict[str, Any] = {"query_cache_size": 2000, "enable_from_linting": False}
        self._plain = sa.create_engine(url, poolclass=NullPool, pool_reset_on_return=None, connect_args=connect_args, **options)
        self._scoped = sa.create_engine(url, pool=self._plain.pool, **options)
        guard(self._plain.dialect, scoped=False)
        guard(self._scoped.dialect, scoped=True)
        self._idle: deque[Session] = deque()
        self._closed = False
        self.memory: dict[Any, Any] = {}

    def connect(self) -> Session:
        """A new session. Raises StoreUnavailable."""
        if self._closed:
            raise Misuse("the database is closed")
        try:
            raw = self._plain.raw_connection()
            self._prepare(raw.dbapi_connection)
        except Exception as error:
            raise translate(error) from error
        return Session(Connection(self._plain, connection=raw), Connection(self._scoped, connection=raw), raw)

    def begin(self, sql: str) -> Session:
        """A session, idle or new, with a transaction begun. A connection that died while idle is replaced."""
        while True:
            try:
                session, fresh = self._idle.pop(), False
            except IndexError:
                session, fresh = self.connect(), True
            try:
                session.command(sql)
                return session
            except Exception as error:
                self.discard(session)
                named = translate(error)
                if fresh or not self.is_broken(error):
                    raise named from error

    def release(self, session: Session) -> None:
        if self._closed:
            session.close()
        else:
            self._idle.append(session)

    def discard(self, session: Session) -> None:
        session.close()

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def rollback(self, session: Session) -> None:
        """Ends the transaction without effect; never raises."""
        try:
            session.command("ROLLBACK")
        except Exception:
            self.discard(session)
        else:
            self.release(session)

    def plans(self, scoped: bool) -> Plans | None:
        """Where this engine keeps the plans of SELECTs; None when it runs all of them by SQLAlchemy."""
        return None

    def _prepare(self, dbapi: Any) -> None:
        raise NotImplementedError

    def begin_read(self) -> Session:
        raise NotImplementedError

    def begin_write(self, durable: bool, serializable: bool) -> Session:
        raise NotImplementedError

    def end_write(self) -> None:
        """Called once after every ``begin_write`` that returned, when the transaction is over."""

    def commit(self, session: Session) -> None:
        raise NotImplementedError

    def grow_log(self) -> None:
        """Makes commits of a fresh process as fast as they will be later. Raises StoreUnavailable."""

    def order_journal(self, session: Session) -> None:
        """Called before journal entries are written: whoever commits first has the lower numbers."""

    def publish(self, session: Session, topics: set[str], sender: str) -> None:
        """Tells other processes, within the transaction, that ``topics`` were nudged by the process ``sender``."""
        raise NotImplementedError

    def is_broken(self, error: BaseException) -> bool:
        raise NotImplementedError


class SqliteEngine(Engine):
    kind = "sqlite"
    insert_if_free = OwnInsertSqlite

    def __init__(self, url: sa.URL, synchronous: bool) -> None:
        if not url.database or url.database == ":memory:":
            raise ValueError("the database must be a file: every thread has its own connection to it")
        arguments = {
            "isolation_level": None,
            "check_same_thread": False,
            "cached_statements": 1000,
            "timeout": BUSY_TIMEOUT,
        }
        self._synchronous = "FULL" if synchronous else "OFF"
        self._writer = threading.Lock()
        self._preparing = threading.Lock()
        self._writing: int | None = None
        super().__init__(url, arguments)
        self._plans = (Plans(self._plain.dialect), Plans(self._scoped.dialect))
        statement = OwnInsertSqlite(nudges).values(topic=sa.bindparam("topic"), count=1, by=sa.bindparam("by"))
        self._nudge = statement.on_conflict_do_update(
            index_elements=[nudges.c.topic], set_={"count": nudges.c.count + 1, "by": statement.excluded.by}
        )

    def _prepare(self, dbapi: Any) -> None:
        with self._preparing:
            self._turn_to_wal(dbapi)
        for pragma in (
            f"synchronous={self._synchronous}",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            f"cache_size={CACHE_SIZE}",
            "wal_autocheckpoint=8000",  # a backstop; upkeep checkpoints long before
        ):
            dbapi.execute(f"PRAGMA {pragma}").fetchall()

    @staticmethod
    def _turn_to_wal(dbapi: Any) -> None:
        """The file remembers it; but while somebody turns it, SQLite answers others "locked" at once instead of letting them wait."""
        end = time.monotonic() + BUSY_TIMEOUT
        while True:
            try:
                if dbapi.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    dbapi.execute("PRAGMA journal_mode=WAL").fetchall()
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def plans(self, scoped: bool) -> Plans | None:
        return self._plans[scoped]

    def grow_log(self) -> None:
        """By a transaction that is undone: with a small cache, its pages go to the log before its end."""
        file = Path(self.url.database or "").resolve()
        log = file.with_name(file.name + "-wal")
        if (log.exists() and log.stat().st_size >= LOG_SIZE) or shutil.disk_usage(file.parent).free < 64 * LOG_SIZE:
            return
        session = self.begin_write(True, True)
        try:
            session.command("PRAGMA cache_size=10")
            session.command("CREATE TABLE room (zeros BLOB)")
            session.command(f"INSERT INTO room VALUES (zeroblob({LOG_SIZE}))")
            session.command("ROLLBACK")
            session.command(f"PRAGMA cache_size={CACHE_SIZE}")
            self.release(session)
        except Exception as error:
            self.discard(session)
            raise translate(error) from error
        finally:
            self.end_write()

    def begin_read(self) -> Session:
        return self.begin("BEGIN")

    def begin_write(self, durable: bool, serializable: bool) -> Session:
        thread = threading.get_ident()
        if self._writing == thread:
            raise Misuse("a transaction is open in this thread already")
        if not self._writer.acquire(timeout=BUSY_TIMEOUT):
            raise unavailable(BUSY)
        self._writing = thread
        try:
            session = self.begin("BEGIN IMMEDIATE") if durable else self._begin_lazy()
        except BaseException:
            self.end_write()
            raise
        return session

    def _begin_lazy(self) -> Session:
        """A transaction that a power cut may undo, though a crash of the process does not: its commit is not synced by itself."""
        session = self.begin("BEGIN")
        try:
            session.command("ROLLBACK")
            session.command("PRAGMA synchronous=OFF" if self._synchronous == "OFF" else "PRAGMA synchronous=NORMAL")
            session._lazy = True
            session.command("BEGIN IMMEDIATE")
        except Exception as error:
            self.discard(session)
            raise translate(error) from error
        return session

    def end_write(self) -> None:
        self._writing = None
        self._writer.release()

    def release(self, session: Session) -> None:
        if session._lazy:
            try:
                session.command(f"PRAGMA synchronous={self._synchronous}")
            except Exception:
                self.discard(session)
                return
            session._lazy = False
        super().release(session)

    def commit(self, session: Session) -> None:
        try:
            session.command("COMMIT")
        except Exception as error:
            self.rollback(session)
            raise translate(error) from error
        self.release(session)

    def publish(self, session: Session, topics: set[str], sender: str) -> None:
        rows = [{"topic": topic, "by": sender} for topic in sorted(topics)]
        session.write(self._plans[0], session.plain, self._nudge, rows)

    def is_broken(self, error: BaseException) -> bool:
        return False


class PostgresqlEngine(Engine):
    kind = "postgresql"
    insert_if_free = OwnInsertPostgresql
    channel = "mallee"

    _JOURNAL_LOCK = 0x6D616C6C6565  # "mallee"; advisory lock numbers are the application's own

    def __init__(self, url: sa.URL, synchronous: bool) -> None:
        if not url.drivername.endswith("+psycopg"):
            url = url.set(drivername="postgresql+psycopg")
        self._synchronous = synchronous
        self._open = threading.local()
        super().__init__(url, {"autocommit": True, "connect_timeout": 5, "application_name": "mallee"})

    def _prepare(self, dbapi: Any) -> None:
        dbapi.execute("SET statement_timeout = '60s'")
        dbapi.execute(f"SET lock_timeout = '{int(BUSY_TIMEOUT)}s'")
        dbapi.execute("SET idle_in_transaction_session_timeout = '120s'")
        if not self._synchronous:
            dbapi.execute("SET synchronous_commit = off")

    def begin_read(self) -> Session:
        return self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def begin_write(self, durable: bool, serializable: bool) -> Session:
        if getattr(self._open, "writing", False):
            raise Misuse("a transaction is open in this thread already")
        level = "SERIALIZABLE" if serializable else "READ COMMITTED"
        session = self.begin(f"BEGIN ISOLATION LEVEL {level}" + ("" if durable else "; SET LOCAL synchronous_commit = off"))
        self._open.writing = True
        return session

    def end_write(self) -> None:
        self._open.writing = False

    def commit(self, session: Session) -> None:
        try:
            outcome = session.command("COMMIT").statusmessage
        except Exception as error:
            self.rollback(session)
            raise translate(error) from error
        self.release(session)
        if outcome != "COMMIT":  # PostgreSQL answers ROLLBACK, without an error, when a statement had failed
            raise Conflict("the transaction had failed and was rolled back")

    def order_journal(self, session: Session) -> None:
        session.command(f"SELECT pg_advisory_xact_lock({self._JOURNAL_LOCK})")

    def publish(self, session: Session, topics: set[str], sender: str) -> None:
        for topic in sorted(topics):
            session.dbapi.execute("SELECT pg_notify(%s, %s)", (self.channel, f"{sender} {topic}"))

    def is_broken(self, error: BaseException) -> bool:
        return isinstance(translate(error), StoreUnavailable)


def open_engine(url: str, synchronous: bool) -> Engine:
    parsed = sa.make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return SqliteEngine(parsed, synchronous)
    if backend == "postgresql":
        return PostgresqlEngine(parsed, synchronous)
    raise ValueError(f"a database_url begins with sqlite:/// or postgresql://, not {backend}://")
