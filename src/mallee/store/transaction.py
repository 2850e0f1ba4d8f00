"""A transaction, and all that may be done in one.

A :class:`Tx` is bound to an account or to none. Bound to one, it sees and writes that account's rows of owned tables and no
others (``scope.py`` draws the border in the compiler). What it writes to journaled tables is journaled in the same commit.
Nudges and ``after_commit`` functions take effect after the commit, or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from . import journal as journaling
from .engine import Engine, Session
from .errors import Misuse, ScopeViolation, translate
from .prepared import Plan
from .scope import PARAMETER, OwnDelete, OwnInsert, OwnUpdate
from .tables import ACCOUNT, journal

Key = Any
"""A primary key: its value, or a dict of column names to values where it has several columns."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes the change: the principal's ARN and account, and the request it came with."""

    arn: str
    account_id: str | None = None
    request_id: str | None = None


class Shape:
    """What a transaction needs to know of a table, worked out once: its statements, defaults and journal forms."""

    def __init__(self, table: sa.Table) -> None:
        self.table = table
        self.names = frozenset(column.name for column in table.columns)
        self.key_names = tuple(column.name for column in table.primary_key.columns)
        self.owned = bool(table.info.get("owned"))
        self.journaled = bool(table.info.get("journal"))
        self.defaults = {column.name: _default(column) for column in table.columns}
        self.readable = {c.name: form for c in table.columns if (form := journaling.readable(c)) is not None}
        self.insert = OwnInsert(table)
        self.by_key = [table.c[name] == sa.bindparam(f"key_{name}", type_=table.c[name].type) for name in self.key_names]
        self.select = sa.select(table).where(*self.by_key)
        self.lock = self.select.with_for_update()
        self.delete = OwnDelete(table).where(*self.by_key)
        self._updates: dict[tuple[str, ...], OwnUpdate] = {}

    def update(self, names: tuple[str, ...]) -> OwnUpdate:
        statement = self._updates.get(names)
        if statement is None:
            values = {name: sa.bindparam(f"new_{name}", type_=self.table.c[name].type) for name in names}
            statement = self._updates[names] = OwnUpdate(self.table).where(*self.by_key).values(values)
        return statement

    def check(self, names: Iterable[str]) -> None:
        unknown = set(names) - self.names
        if unknown:
            raise Misuse(f"table {self.table.name} has no column {', '.join(sorted(unknown))}")

    def key(self, key: Key) -> dict[str, Any]:
        """The key as column names and values."""
        if isinstance(key, Mapping):
            if set(key) != set(self.key_names):
                raise Misuse(f"the key of {self.table.name} is {', '.join(self.key_names)}")
            return {name: key[name] for name in self.key_names}
        if len(self.key_names) != 1:
            raise Misuse(f"the key of {self.table.name} is {', '.join(self.key_names)}: give it as a dict")
        return {self.key_names[0]: key}

    def complete(self, values: dict[str, Any]) -> dict[str, Any]:
        """A whole row from the values that were given."""
        return {name: values[name] if name in values else default() for name, default in self.defaults.items()}

    def written(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values as the journal shows them."""
        forms = self.readable
        return {name: forms[name](value) if name in forms else value for name, value in values.items()}


def _default(column: sa.Column[Any]) -> Callable[[], Any]:
    default = column.default
    if default is None:
        return lambda: None
    if default.is_scalar:
        value = default.arg  # type: ignore[attr-defined]
        return lambda: value
    if default.is_callable:
        make = default.arg  # type: ignore[attr-defined]
        return lambda: make(None)
    raise Misuse(f"{column}: a default is a value or a function")


def shape(table: sa.Table) -> Shape:
    found = table.info.get("shape")
    if found is None:
        found = table.info["shape"] = Shape(table)
    assert isinstance(found, Shape)
    return found


class Work:
    """What the views of one transaction share."""

    __slots__ = (
        "actor",
        "after",
        "began",
        "depth",
        "engine",
        "entries",
        "failed",
        "gathered",
        "now",
        "over",
        "session",
        "topics",
        "touched",
        "writable",
    )

    def __init__(
        self, engine: Engine, session: Session, now: datetime, actor: Actor | None, writable: bool, began: float
    ) -> None:
        self.engine = engine
        self.session = session
        self.now = now
        self.actor = actor
        self.writable = writable
        self.began = began
        self.entries: list[dict[str, Any]] = []
        self.topics: set[str] = set()
        self.after: list[Callable[[], None]] = []
        self.gathered: list[tuple[Callable[[Tx, list[Any]], None], Any]] = []
        self.failed: BaseException | None = None
        self.over = False
        self.touched = 0
        self.depth = 0


class Tx:
    """One transaction, seen by one account (``account_id``) or by nobody in particular (None: machines, reconcilers)."""

    __slots__ = ("_connection", "_scope", "_work", "account_id")

    def __init__(self, work: Work, account_id: str | None) -> None:
        self._work = work
        self.account_id = account_id
        if account_id is None:
            self._connection = work.session.plain
            self._scope: dict[str, Any] = {}
        else:
            self._connection = work.session.scoped
            self._scope = {PARAMETER: account_id}

    @property
    def now(self) -> datetime:
        """The time of this transaction, fixed when it began."""
        return self._work.now

    @property
    def actor(self) -> Actor | None:
        return self._work.actor

    def everyone(self) -> Tx:
        """The same transaction without the account's border."""
        return self if self.account_id is None else Tx(self._work, None)

    def of(self, account_id: str) -> Tx:
        """The same transaction within the border of that account: for calls that come without one, or act in another's name."""
        return self if self.account_id == account_id else Tx(self._work, account_id)

    # for caches of what was read

    @property
    def began(self) -> float:
        """``time.monotonic()`` before the transaction began: it has seen every commit that was over by then."""
        return self._work.began

    @property
    def changed(self) -> bool:
        """Whether the transaction has changed journaled tables, so that what it reads may never be true."""
        return bool(self._work.entries)

    @property
    def touched(self) -> int:
        """How many statements have written so far: what raises without a new one has nothing that must be undone."""
        return self._work.touched

    @property
    def failed(self) -> BaseException | None:
        """Why the transaction cannot be committed any more: a statement failed, and no savepoint was around it."""
        return self._work.failed

    @property
    def memory(self) -> dict[Any, Any]:
        """What this process remembers of the database, beyond transactions: each cache under a key of its own."""
        return self._work.engine.memory

    # reading

    def all(self, statement: sa.Executable, /, **params: Any) -> list[sa.Row[Any]]:
        rows = self._planned(statement, params, "fetchall")
        return list(self._execute(statement, params).all()) if rows is None else rows

    def first(self, statement: sa.Executable, /, **params: Any) -> sa.Row[Any] | None:
        rows = self._planned(statement, params, "fetchmany")
        if rows is None:
            return self._execute(statement, params).first()
        return rows[0] if rows else None

    def tuples(self, statement: sa.Executable, /, **params: Any) -> Sequence[Any]:
        """As :meth:`all`, for a statement whose columns need no conversion (``type_coerce`` takes it away): on SQLite the driver's
        own tuples, which cost a third."""
        found = self._fetched(statement, params, "fetchall")
        return self._execute(statement, params).all() if found is None else found[1]

    def value(self, statement: sa.Executable, /, **params: Any) -> Any:
        """The first column of the first row; None if there is none."""
        row = self.first(statement, **params)
        return None if row is None else row[0]

    def get(self, table: sa.Table, key: Key) -> sa.Row[Any] | None:
        """The row with this primary key, if it is there and this transaction may see it."""
        found = shape(table)
        return self.first(found.select, **_prefixed("key_", found.key(key)))

    def lock(self, table: sa.Table, key: Key) -> sa.Row[Any] | None:
        """As :meth:`get`, and nobody else changes the row before this transaction ends."""
        found = shape(table)
        self._must_write()
        return self.first(found.lock, **_prefixed("key_", found.key(key)))

    # writing

    def execute(self, statement: sa.Executable, /, **params: Any) -> int:
        """Runs an UPDATE, DELETE or INSERT on tables that are not journaled; returns how many rows it touched."""
        if statement.is_insert:  # SQLAlchemy forgets the count of an INSERT unless it is asked to keep it
            statement = statement.execution_options(preserve_rowcount=True)
        return int(self._execute(statement, params).rowcount)

    def execute_each(self, statement: sa.Executable, rows: list[dict[str, Any]], /) -> int:
        """As :meth:`execute`, for a statement that is kept (a constant), once for each of ``rows``, whose names are the same."""
        self._must_write()
        return self._write(statement, rows) if rows else 0

    def insert(self, table: sa.Table, /, **values: Any) -> None:
        """Adds one row. Raises Constraint if it breaks one."""
        self.insert_many(table, [values])

    def insert_many(self, table: sa.Table, rows: Iterable[Mapping[str, Any]], /) -> None:
        found = shape(table)
        filled = [self._fill(found, dict(values)) for values in rows]
        if not filled:
            return
        self._write(found.insert, filled)
        if found.journaled:
            for row in filled:
                self._note(found, journaling.CREATE, row, None, row)

    def insert_if_free(self, table: sa.Table, /, **values: Any) -> bool:
        """Adds one row unless a unique constraint says that its place is taken; returns whether it did."""
        found = shape(table)
        row = self._fill(found, values)
        statement = table.info.get("insert_if_free")
        engine = self._work.engine
        if statement is None or not isinstance(statement, engine.insert_if_free):
            statement = engine.insert_if_free(table).on_conflict_do_nothing()
            statement = table.info["insert_if_free"] = statement.execution_options(preserve_rowcount=True)
        if self._write(statement, [row]) != 1:
            return False
        if found.journaled:
            self._note(found, journaling.CREATE, row, None, row)
        return True

    def put(self, table: sa.Table, /, **values: Any) -> None:
        """Adds a row, or gives the row with the same primary key these values."""
        found = shape(table)
        key = {name: values[name] for name in found.key_names}
        rest = {name: value for name, value in values.items() if name not in key}
        if rest:
            exists = self.change(table, key, **rest)
        else:
            exists = self.lock(table, key) is not None
        if not exists:
            self.insert(table, **values)

    def change(self, table: sa.Table, key: Key, /, **values: Any) -> bool:
        """Gives columns of one row new values; False if there is no such row for this transaction."""
        found = shape(table)
        keys = found.key(key)
        self._check_change(found, values)
        if not found.journaled:
            return self._update(found, keys, values)
        row = self.lock(table, keys)
        if row is None:
            return False
        before = row._mapping
        changed = {name: value for name, value in values.items() if before[name] != value}
        if not changed:
            return True
        self._update(found, keys, changed)
        self._note(found, journaling.CHANGE, dict(before), {name: before[name] for name in changed}, changed)
        return True

    def remove(self, table: sa.Table, key: Key, /) -> bool:
        """Removes one row; False if there is no such row for this transaction."""
        found = shape(table)
        keys = found.key(key)
        self._must_write()
        if not found.journaled:
            return self._write(found.delete, [_prefixed("key_", keys)]) == 1
        row = self.lock(table, keys)
        if row is None:
            return False
        self._write(found.delete, [_prefixed("key_", keys)])
        whole = dict(row._mapping)
        self._note(found, journaling.REMOVE, whole, whole, None)
        return True

    def change_all(self, table: sa.Table, condition: sa.ColumnElement[bool], /, **values: Any) -> int:
        """Gives columns of all rows that meet ``condition`` new values; returns how many there were."""
        return sum(self.change(table, key, **values) for key in self._keys(table, condition))

    def remove_all(self, table: sa.Table, condition: sa.ColumnElement[bool], /) -> int:
        """Removes all rows that meet ``condition``; returns how many there were."""
        return sum(self.remove(table, key) for key in self._keys(table, condition))

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is done in the block is undone, alone, when an exception leaves it."""
        work = self._must_write()
        work.depth += 1
        name, entries, after, failed = f"s{work.depth}", len(work.entries), len(work.after), work.failed
        topics, gathered = set(work.topics), len(work.gathered)
        self._command(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            self._command(f"ROLLBACK TO SAVEPOINT {name}")
            self._command(f"RELEASE SAVEPOINT {name}")
            del work.entries[entries:], work.after[after:], work.gathered[gathered:]
            work.topics, work.failed = topics, failed
            raise
        else:
            self._command(f"RELEASE SAVEPOINT {name}")
        finally:
            work.depth -= 1

    def gather(self, flush: Callable[[Tx, list[Any]], None], item: Any) -> None:
        """Before the commit, calls ``flush(tx, items)`` once with all items that were gathered for it: for what many changes of
        one transaction write in one go. What was gathered in a savepoint that was undone is left out."""
        work = self._must_write()
        work.gathered.append((flush, item))
        work.touched += 1

    def gathered(self, flush: Callable[[Tx, list[Any]], None]) -> list[Any]:
        """What was gathered for ``flush`` so far and is not written yet."""
        return [item for each, item in self._work.gathered if each is flush]

    def lock_table(self, table: sa.Table, *, alone: bool) -> None:
        """As the first statement of a transaction: waits for whoever holds ``table`` ``alone``, or for all others who lock it so. What
        the transaction then sees is what they left. On SQLite every writer is alone."""
        self._must_write()
        if self._work.engine.kind == "postgresql":
            mode = "SHARE ROW EXCLUSIVE" if alone else "ROW EXCLUSIVE"
            self._command(f"LOCK TABLE {table.name} IN {mode} MODE")

    # after the commit

    def nudge(self, topic: str) -> None:
        """After the commit, wakes those who wait for ``topic``, here and in other processes."""
        work = self._must_write()
        work.topics.add(topic)
        work.touched += 1

    def after_commit(self, function: Callable[[], None]) -> None:
        """After the commit, calls ``function`` in this thread. For what may be lost: a crash in between loses it."""
        self._work.after.append(function)
        self._work.touched += 1

    # inside

    def _must_write(self) -> Work:
        if not self._work.writable:
            raise Misuse("this transaction only reads")
        return self._work

    def _execute(self, statement: Any, params: dict[str, Any]) -> sa.CursorResult[Any]:
        if statement.is_dml:
            self._must_write().touched += 1
        if self._scope:
            params |= self._scope
        return self._run(statement, params)

    def _planned(self, statement: Any, params: dict[str, Any], fetch: str) -> list[sa.Row[Any]] | None:
        """The rows of a SELECT that the engine has a plan for; None for others."""
        found = self._fetched(statement, params, fetch)
        return None if found is None else found[0].rows(found[1])

    def _fetched(self, statement: Any, params: dict[str, Any], fetch: str) -> tuple[Plan, list[Any]] | None:
        work = self._work
        plans = work.engine.plans(bool(self._scope))
        plan = None if plans is None else plans.of(statement)
        if plan is None:
            return None
        bound = plan.bound(statement, params | self._scope if self._scope else params)
        if bound is None:
            return None
        if work.over:
            raise Misuse("the transaction is over")
        try:
            found = getattr(work.session.dbapi.execute(*bound), fetch)()
        except sqlite3.Error as error:
            named = work.failed = translate(error)
            raise named from error
        return plan, found

    def _run(self, statement: Any, params: Any) -> sa.CursorResult[Any]:
        if self._work.over:
            raise Misuse("the transaction is over")  # and its connection may be another's by now
        try:
            return self._connection.execute(statement, params)
        except DBAPIError as error:
            named = self._work.failed = translate(error)
            raise named from error

    def _write(self, statement: Any, rows: list[dict[str, Any]]) -> int:
        """Executes a statement of the transaction's own, which is kept, for one row after the other, whose names are the same;
        how many rows were touched. Inserts have their account already, updates and deletes get the border here."""
        work, scope = self._work, self._scope
        if work.over:
            raise Misuse("the transaction is over")
        work.touched += 1
        try:
            if scope and not statement.is_insert:
                rows = [row | scope for row in rows]
            return work.session.write(work.engine.plans(bool(scope)), self._connection, statement, rows)
        except (DBAPIError, sqlite3.Error) as error:
            named = work.failed = translate(error)
            raise named from error

    def _command(self, sql: str) -> None:
        if self._work.over:
            raise Misuse("the transaction is over")
        try:
            self._work.session.command(sql)
        except Exception as error:
            named = self._work.failed = translate(error)
            raise named from error

    def _fill(self, found: Shape, values: dict[str, Any]) -> dict[str, Any]:
        self._must_write()
        found.check(values)
        own = self.account_id
        if found.owned and own is not None and values.setdefault(ACCOUNT, own) != own:
            raise ScopeViolation(f"a row of {found.table.name} for another account")
        if found.journaled:
            return found.complete(values)
        return values

    def _check_change(self, found: Shape, values: Mapping[str, Any]) -> None:
        if not values:
            raise Misuse(f"nothing to change in {found.table.name}")
        found.check(values)
        for name in found.key_names:
            if name in values:
                raise Misuse(f"{found.table.name}.{name} is the row's key and does not change")
        if found.owned and values.get(ACCOUNT, self.account_id) != self.account_id and self.account_id is not None:
            raise ScopeViolation(f"a row of {found.table.name} cannot be moved to another account")

    def _update(self, found: Shape, keys: dict[str, Any], values: dict[str, Any]) -> bool:
        self._must_write()
        params = _prefixed("key_", keys) | _prefixed("new_", values)
        return self._write(found.update(tuple(values)), [params]) == 1

    def _keys(self, table: sa.Table, condition: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
        found = shape(table)
        columns = [table.c[name] for name in found.key_names]
        rows = self.all(sa.select(*columns).where(condition).order_by(*columns).with_for_update())
        return [dict(row._mapping) for row in rows]

    def _note(self, found: Shape, action: str, row: Mapping[str, Any], before: Any, after: Any) -> None:
        actor = self._work.actor
        account = row[ACCOUNT] if found.owned else self.account_id or (actor.account_id if actor else None)
        self._work.entries.append(
            {
                "at": self._work.now,
                ACCOUNT: account,
                "actor": actor.arn if actor else None,
                "request_id": actor.request_id if actor else None,
                "kind": found.table.name,
                "resource_id": journaling.resource_id({name: row[name] for name in found.key_names}),
                "action": action,
                "before": None if before is None else found.written(before),
                "after": None if after is None else found.written(after),
            }
        )


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {prefix + name: value for name, value in values.items()}


_write_journal = OwnInsert(journal)


def flush_gathered(work: Work) -> None:
    """Writes what the transaction gathered; what that gathers, too."""
    while work.gathered:
        found: dict[Any, list[Any]] = {}
        for flush, item in work.gathered:
            found.setdefault(flush, []).append(item)
        work.gathered = []
        for flush, items in found.items():
            flush(Tx(work, None), items)


def write_journal(work: Work) -> None:
    """Appends what the transaction noted, as its last statement."""
    work.engine.order_journal(work.session)
    work.session.write(work.engine.plans(False), work.session.plain, _write_journal, work.entries)
