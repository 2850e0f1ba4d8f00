"""What can go wrong between Mallee and its database, by name.

Drivers have their own exceptions, and SQLAlchemy wraps some of them; :func:`translate` turns each into one of these at the one
place where statements are executed. Callers decide by class: a :class:`Conflict` may be tried again, a :class:`Constraint` is the
caller's business, a :class:`StoreUnavailable` is the operator's and says what to do.
"""

from __future__ import annotations

import sqlite3

import sqlalchemy.exc


class StoreError(Exception):
    """The root of the store's exceptions."""


class Misuse(StoreError):
    """A programming error: raw SQL, a journaled table written by a raw statement, a transaction in a transaction."""


class ScopeViolation(Misuse):
    """A statement that would reach over the border of the transaction's account."""


class Conflict(StoreError):
    """Two transactions got in each other's way; nothing of this one happened. Doing it again is right (``Database.run`` does)."""


class Constraint(StoreError):
    """A row breaks a constraint. ``kind`` is ``unique``, ``foreign-key``, ``check`` or ``not-null``."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


class SchemaTooNew(StoreError):
    """The database was written by a later release of Mallee, whose tables this one does not know."""


class StoreUnavailable(StoreError):
    """The database cannot be used now. ``fault`` is a code of the fault catalogue; ``cause`` and ``remedy`` are sentences."""

    def __init__(self, fault: str, cause: str, remedy: str) -> None:
        super().__init__(f"{cause} {remedy}")
        self.fault = fault
        self.cause = cause
        self.remedy = remedy


DISK_FULL = (
    "disk-full",
    "The disk that holds the database is full.",
    "Free space on it (or enlarge it); Mallee goes on by itself, and nothing that was answered is lost.",
)
BUSY = (
    "database-unreachable",
    "Another process has held the database's write lock for too long.",
    "Find it (`fuser` on the database file) and stop it.",
)
CORRUPT = (
    "database-corrupt",
    "The database file is damaged.",
    "Stop Mallee, keep a copy of the file, check the disk, and restore the latest backup.",
)
UNREACHABLE = (
    "database-unreachable",
    "The database does not answer: {detail}.",
    "See that it runs and that the `database_url` in config.toml is right; Mallee reconnects by itself.",
)

_SQLITE_UNAVAILABLE = {
    sqlite3.SQLITE_FULL: DISK_FULL,
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_LOCKED: BUSY,
    sqlite3.SQLITE_CORRUPT: CORRUPT,
    sqlite3.SQLITE_NOTADB: CORRUPT,
    sqlite3.SQLITE_IOERR: UNREACHABLE,
    sqlite3.SQLITE_CANTOPEN: UNREACHABLE,
    sqlite3.SQLITE_READONLY: UNREACHABLE,
    sqlite3.SQLITE_PERM: UNREACHABLE,
}
_SQLITE_CONSTRAINTS = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: "unique",
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: "unique",
    sqlite3.SQLITE_CONSTRAINT_ROWID: "unique",
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: "foreign-key",
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: "not-null",
}
_POSTGRESQL_CONSTRAINTS = {"23505": "unique", "23503": "foreign-key", "23502": "not-null"}
_POSTGRESQL_CONFLICTS = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock timeout


def translate(error: BaseException) -> BaseException:
    """The store's exception for a driver's; ``error`` itself where it is neither a driver's nor about the database's state."""
    original = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        return _from_sqlite(original) or error
    if type(original).__module__.partition(".")[0] == "psycopg":
        return _from_postgresql(original) or error
    return error


def unavailable(entry: tuple[str, str, str], detail: str = "") -> StoreUnavailable:
    fault, cause, remedy = entry
    return StoreUnavailable(fault, cause.format(detail=detail.strip().rstrip(".")), remedy)


def _from_sqlite(error: sqlite3.Error) -> StoreError | None:
    extended = getattr(error, "sqlite_errorcode", None)
    if extended is None:
        return None
    primary = extended & 0xFF
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return Constraint(_SQLITE_CONSTRAINTS.get(extended, "check"), str(error))
    entry = _SQLITE_UNAVAILABLE.get(primary)
    return unavailable(entry, str(error)) if entry else None


def _from_postgresql(error: BaseException | None) -> StoreError | None:
    import psycopg  # here: it takes 7 MB, and is there already for whoever can have such an error

    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate
    detail = str(error).partition("\n")[0]
    if state is None:  # the connection itself: refused, lost, no such host
        return unavailable(UNREACHABLE, detail) if isinstance(error, psycopg.OperationalError) else None
    if state in _POSTGRESQL_CONFLICTS:
        return Conflict(detail)
    if state.startswith("23"):
        return Constraint(_POSTGRESQL_CONSTRAINTS.get(state, "check"), detail)
    if state == "53100":
        return unavailable(DISK_FULL)
    if state.startswith(("08", "53", "57", "58", "28", "3D")):
        return unavailable(UNREACHABLE, detail)
    if state == "25006":  # a standby, or a server set to read only
        return unavailable(UNREACHABLE, detail)
    return None
