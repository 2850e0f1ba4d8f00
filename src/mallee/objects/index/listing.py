"""Listings of objects and of versions: what :mod:`walk` reads, and by which statements.

Each statement is one range of a primary key. Where much is rolled up, a recursive query leaps from prefix to prefix inside the database, which
costs a search for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam, select, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from mallee.store import Bytes, Integer, Text, Tx

from .rows import Entry
from .tables import CURRENT, NONCURRENT, behind
from .versions import place, raw
from .walk import END, Leap, Page, Position, beginning, successor, walk

_BUCKET, _FIRST, _END = (
    bindparam("bucket_id", type_=Text()),
    bindparam("first", type_=Bytes()),
    bindparam("end", type_=Bytes()),
)
_LIMIT = bindparam("limit", type_=Integer())
_COLUMNS = ("version_id", "modified", "size", "etag", "storage_class", "owner", "checksum")
_BEFORE_ALL = -(2**63)


class _Find(FunctionElement[int]):
    """``find(bytes, part)``: where ``part`` is in ``bytes``, counted from 1; 0 if it is not."""

    type = sa.Integer()
    inherit_cache = True


class _Join(FunctionElement[bytes]):
    """``join(a, b)``: bytes one after the other."""

    type = Bytes()
    inherit_cache = True


@compiles(_Find, "sqlite")
def _find_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"instr({compiler.process(element.clauses, **kw)})"


@compiles(_Find, "postgresql")
def _find_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    whole, part = (compiler.process(each, **kw) for each in element.clauses)
    return f"position({part} IN {whole})"


@compiles(_Join, "sqlite")
def _join_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    a, b = (compiler.process(each, **kw) for each in element.clauses)
    return f"CAST({a} || {b} AS BLOB)"  # || makes a text of the same bytes


@compiles(_Join, "postgresql")
def _join_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    a, b = (compiler.process(each, **kw) for each in element.clauses)
    return f"({a} || {b})"


def leaps(table: sa.Table) -> sa.Select[Any]:
    """For :data:`walk.Leap`. ``offset``: where a delimiter may begin, counted from 1; ``behind``: the delimiter's successor."""

    def first(at_least: Any) -> Any:
        found = select(table.c.key).where(table.c.bucket_id == _BUCKET, table.c.key >= at_least, table.c.key < _END)
        return found.order_by(table.c.key).limit(1).scalar_subquery()

    offset = bindparam("offset", type_=sa.Integer())  # substr takes no longer ones
    walked = select(first(_FIRST).label("key"), sa.literal(1, sa.Integer()).label("step")).cte("walked", recursive=True)
    found = _Find(sa.func.substr(walked.c.key, offset), bindparam("delimiter", type_=Bytes()))
    head = sa.func.substr(walked.c.key, 1, offset + found - sa.literal(2, sa.Integer()), type_=Bytes())
    behind = _Join(head, bindparam("behind", type_=Bytes()))
    walked = walked.union_all(
        select(first(behind), walked.c.step + 1).where(walked.c.key.isnot(None), walked.c.step < _LIMIT, found > 0)
    )
    return select(walked.c.key).where(walked.c.key.isnot(None)).order_by(walked.c.step)


_OBJECTS = (
    select(CURRENT.c.key, *raw(CURRENT, *_COLUMNS))
    .where(CURRENT.c.bucket_id == _BUCKET, CURRENT.c.key >= _FIRST, CURRENT.c.key < _END)
    .order_by(CURRENT.c.key)
    .limit(_LIMIT)
)
_LATEST = (
    select(CURRENT.c.key, (-CURRENT.c.made).label("rank"), *raw(CURRENT, *_COLUMNS))
    .where(CURRENT.c.bucket_id == _BUCKET, CURRENT.c.key >= _FIRST, CURRENT.c.key < _END)
    .order_by(CURRENT.c.key)
    .limit(_LIMIT)
)
_OLDER = (
    select(
        NONCURRENT.c.key,
        NONCURRENT.c.rank,
        *raw(NONCURRENT, *_COLUMNS),
        NONCURRENT.c.deleted,
        type_coerce(NONCURRENT.c.since, Integer()).label("since"),
    )
    .where(
        NONCURRENT.c.bucket_id == _BUCKET,
        *behind((NONCURRENT.c.key, NONCURRENT.c.rank), (_FIRST, bindparam("rank", type_=Integer()))),
        NONCURRENT.c.key < _END,
    )
    .order_by(NONCURRENT.c.key, NONCURRENT.c.rank)
    .limit(_LIMIT)
)
_LEAP, _LEAP_OLDER = leaps(CURRENT), leaps(NONCURRENT)


def _object(row: Any) -> Entry:
    return Entry(*row)


def _latest(row: Any) -> Entry:
    if len(row) == 2 + len(_COLUMNS):
        return Entry(row[0], *row[2:])
    entry = Entry(row[0], *row[2:-2])
    entry.deleted, entry.is_latest = bool(row[-2]), row[-1] is None
    return entry


def objects(
    tx: Tx, bucket_id: str, *, prefix: bytes = b"", delimiter: bytes = b"", after: bytes = b"", limit: int = 1000
) -> Page[Entry]:
    """The latest versions that are no delete markers."""
    end = successor(prefix) or END

    def read(position: Position, many: int) -> Sequence[Any]:
        return tx.tuples(_OBJECTS, bucket_id=bucket_id, first=position[0], end=end, limit=many)

    return walk(
        read,
        leaper(tx, (_LEAP,), bucket_id, prefix, delimiter),
        _object,
        prefix=prefix,
        delimiter=delimiter,
        start=beginning(prefix, delimiter, after),
        limit=limit,
        after_row=lambda row: (row[0] + b"\0", None),
    )


def versions(
    tx: Tx,
    bucket_id: str,
    *,
    prefix: bytes = b"",
    delimiter: bytes = b"",
    key_marker: bytes = b"",
    version_marker: str = "",
    limit: int = 1000,
) -> Page[Entry]:
    """All versions and delete markers, the newest of a key first. ``version_marker``: the page begins after that version of ``key_marker``; with the
    newest of that key, if the version is gone. The next page begins after ``page.next`` and, if ``page.last`` is one, that version."""
    end = successor(prefix) or END

    def read(position: Position, many: int) -> Sequence[Any]:
        first, rank = position
        at_most = many if rank is None else many + 1  # the first may stand before the position
        latest = list(tx.tuples(_LATEST, bucket_id=bucket_id, first=first, end=end, limit=at_most))
        if rank is not None and latest and latest[0][0] == first and latest[0][1] <= rank:
            del latest[0]
        rank = _BEFORE_ALL if rank is None else rank
        older = tx.tuples(_OLDER, bucket_id=bucket_id, first=first, rank=rank, end=end, limit=many)
        return sorted([*latest, *older], key=itemgetter(0, 1))[:many] if older else latest[:many]

    start = beginning(prefix, delimiter, key_marker)
    if version_marker and key_marker.startswith(prefix) and start == (key_marker + b"\0", None):
        start = key_marker, place(tx, bucket_id, key_marker, version_marker)
    return walk(
        read,
        leaper(tx, (_LEAP, _LEAP_OLDER), bucket_id, prefix, delimiter),
        _latest,
        prefix=prefix,
        delimiter=delimiter,
        start=start,
        limit=limit,
        after_row=itemgetter(0, 1),
    )


def leaper(tx: Tx, statements: Sequence[sa.Select[Any]], bucket_id: str, prefix: bytes, delimiter: bytes) -> Leap | None:
    """None where the database cannot tell a prefix's successor: a delimiter of nothing but 0xFF."""
    behind = successor(delimiter)
    if not delimiter or behind is None:
        return None
    fixed: dict[str, Any] = {
        "bucket_id": bucket_id,
        "end": successor(prefix) or END,
        "offset": len(prefix) + 1,
        "delimiter": delimiter,
        "behind": behind,
    }
    ways: list[Callable[[bytes, int], list[bytes]]] = [
        lambda first, limit, statement=statement: [row[0] for row in tx.tuples(statement, first=first, limit=limit, **fixed)]  # type: ignore[misc]
        for statement in statements
    ]
    if len(ways) == 1:
        return ways[0]

    def leap(first: bytes, limit: int) -> list[bytes]:
        """Of several tables: as far as all of them were looked at."""
        found = [keys for way in ways if (keys := way(first, limit))]
        if not found:
            return []
        ends = [keys[-1] for keys in found if len(keys) == limit or keys[-1].find(delimiter, len(prefix)) < 0]
        last = min(ends) if ends else END
        return [key for key in sorted({key for keys in found for key in keys}) if key <= last]

    return leap
