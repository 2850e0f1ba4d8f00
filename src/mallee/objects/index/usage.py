"""What is in each bucket, counted in the transaction that changes it.

All that a transaction adds and takes away is written by one statement per bucket at its end. On PostgreSQL each process counts in rows of its
own, so that processes do not wait for each other; the sum is the truth. ``recount`` mends what the counters should ever miss.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import bindparam, func, select

from mallee.store import Bytes, Integer, Text, Tx

from .tables import CLOSED, CURRENT, NONCURRENT, PARTS, UPLOADS, USAGE
from .walk import END

if TYPE_CHECKING:
    from .index import Index

WRITER = "mallee.objects.index.writer"
"""Under which ``Tx.memory`` has the name that this process counts by; "" where it has none."""

_TOGETHER = 1000

COUNTERS = ("objects", "bytes", "noncurrent", "noncurrent_bytes", "uploads", "upload_bytes")


@dataclass(frozen=True, slots=True)
class Usage:
    """``objects``, ``bytes``: latest versions that are no delete markers. ``noncurrent``: older versions and delete markers.
    ``upload_bytes``: parts of uploads that are under way."""

    bucket_id: str
    objects: int = 0
    bytes: int = 0
    noncurrent: int = 0
    noncurrent_bytes: int = 0
    uploads: int = 0
    upload_bytes: int = 0


_ADD = (
    sa.update(USAGE)
    .where(USAGE.c.bucket_id == bindparam("of_bucket"), USAGE.c.writer == bindparam("of_writer"))
    .values({name: USAGE.c[name] + bindparam(f"more_{name}", type_=Integer()) for name in COUNTERS})
)
_INSERT = sa.insert(USAGE)
_SUMS = [sa.cast(func.sum(USAGE.c[name]), Integer).label(name) for name in COUNTERS]
_OF = (
    select(USAGE.c.bucket_id, *_SUMS).where(USAGE.c.bucket_id == bindparam("bucket_id", type_=Text())).group_by(USAGE.c.bucket_id)
)
_BUCKETS = bindparam("buckets", expanding=True, type_=Text())
_TOTAL = select(*_SUMS).where(USAGE.c.bucket_id.in_(_BUCKETS))
_OF_MANY = select(USAGE.c.bucket_id, *_SUMS).where(USAGE.c.bucket_id.in_(_BUCKETS)).group_by(USAGE.c.bucket_id)
_ALL = select(USAGE.c.bucket_id, *_SUMS).group_by(USAGE.c.bucket_id).order_by(USAGE.c.bucket_id)


def add(
    tx: Tx,
    bucket_id: str,
    objects: int = 0,
    size: int = 0,
    noncurrent: int = 0,
    noncurrent_bytes: int = 0,
    uploads: int = 0,
    upload_bytes: int = 0,
) -> None:
    tx.gather(_flush, (bucket_id, objects, size, noncurrent, noncurrent_bytes, uploads, upload_bytes))


def _flush(tx: Tx, items: list[Any]) -> None:
    totals: dict[str, list[int]] = {}
    for bucket_id, *changes in items:
        total = totals.get(bucket_id)
        totals[bucket_id] = changes if total is None else [a + b for a, b in zip(total, changes, strict=True)]
    writer = tx.memory.get(WRITER, "")
    for bucket_id in sorted(totals):
        changes = totals[bucket_id]
        if not any(changes):
            continue
        more = {f"more_{name}": change for name, change in zip(COUNTERS, changes, strict=True)}
        if not tx.execute_each(_ADD, [{"of_bucket": bucket_id, "of_writer": writer, **more}]):
            values = dict(zip(COUNTERS, changes, strict=True))
            tx.execute_each(_INSERT, [{"bucket_id": bucket_id, "writer": writer, **values}])


def usage(tx: Tx, bucket_id: str) -> Usage:
    found = tx.tuples(_OF, bucket_id=bucket_id)
    return Usage(*found[0]) if found else Usage(bucket_id)


def of_many(tx: Tx, bucket_ids: Sequence[str]) -> list[Usage]:
    """Of those of the buckets that ever had something; at most a thousand."""
    return [Usage(*row) for row in tx.all(_OF_MANY, buckets=list(bucket_ids))] if bucket_ids else []


def total(tx: Tx, bucket_ids: Collection[str]) -> Usage:
    """Of several together, with what this transaction has added and not written yet: what a work that asks for room must see."""
    sums = [0] * len(COUNTERS)
    ids = sorted(bucket_ids)
    for start in range(0, len(ids), _TOGETHER):
        row = tx.all(_TOTAL, buckets=ids[start : start + _TOGETHER])[0]
        sums = [known + (more or 0) for known, more in zip(sums, row, strict=True)]
    for bucket_id, *changes in tx.gathered(_flush):
        if bucket_id in bucket_ids:
            sums = [known + more for known, more in zip(sums, changes, strict=True)]
    return Usage("", *sums)


def all_usage(tx: Tx) -> list[Usage]:
    """Of every bucket that ever had something, by its id."""
    return [Usage(*row) for row in tx.tuples(_ALL)]


_OF_CLOSED = sa.delete(USAGE).where(
    USAGE.c.bucket_id.in_(select(CLOSED.c.bucket_id)),
    ~select(UPLOADS.c.bucket_id).where(UPLOADS.c.bucket_id == USAGE.c.bucket_id).exists(),
)


def forget_closed(tx: Tx) -> None:
    """The counters of buckets that are closed and have no uploads any more: nothing adds to them."""
    tx.execute(_OF_CLOSED)


CHUNK = 20_000
_AFTER, _TO = bindparam("after", type_=Bytes()), bindparam("to", type_=Bytes())


def _mark(table: sa.Table) -> sa.Select[Any]:
    """The key that is so many rows behind ``after``."""
    found = select(table.c.key).where(table.c.bucket_id == bindparam("bucket_id", type_=Text()), table.c.key > _AFTER)
    return found.order_by(table.c.key).offset(bindparam("chunk", type_=Integer())).limit(1)


def _sum(table: sa.Table, sized: sa.Table, many: Any) -> sa.Select[Any]:
    """Rows and bytes of a range of keys."""
    total = sa.cast(func.coalesce(func.sum(sized.c.size), 0), Integer)
    within = (table.c.bucket_id == bindparam("bucket_id", type_=Text()), table.c.key > _AFTER, table.c.key <= _TO)
    whole = table if sized is table else table.outerjoin(sized, sized.c.upload_id == table.c.upload_id)
    return select(many, total).select_from(whole).where(*within)


_COUNTED = (
    (_mark(CURRENT), _sum(CURRENT, CURRENT, func.count())),
    (_mark(NONCURRENT), _sum(NONCURRENT, NONCURRENT, func.count())),
    (_mark(UPLOADS), _sum(UPLOADS, PARTS, func.count(UPLOADS.c.upload_id.distinct()))),
)
_WRITERS = select(func.count()).select_from(USAGE).where(USAGE.c.bucket_id == bindparam("bucket_id", type_=Text()))
_CLEAR = sa.delete(USAGE).where(USAGE.c.bucket_id == bindparam("of_bucket"))
MOST_WRITERS = 8


def count(tx: Tx, bucket_id: str) -> Usage:
    """What there is, by looking at every row, range by range."""
    return Usage(bucket_id, *[number for mark, total in _COUNTED for number in _count(tx, bucket_id, mark, total)])


def _count(tx: Tx, bucket_id: str, mark: sa.Select[Any], total: sa.Select[Any]) -> tuple[int, int]:
    rows = size = 0
    after: bytes | None = b""
    while after is not None:
        behind = tx.value(mark, bucket_id=bucket_id, after=after, chunk=CHUNK)
        more, bytes_more = tx.tuples(total, bucket_id=bucket_id, after=after, to=END if behind is None else behind)[0]
        rows, size, after = rows + more, size + bytes_more, behind
    return rows, size


def recount(index: Index, bucket_id: str) -> Usage:
    """Mends the counters of a bucket, whatever is written meanwhile; by how much they were wrong. Counters and rows are compared in one
    snapshot, and the difference is added."""
    with index.reading() as tx:
        there, counted = count(tx, bucket_id), usage(tx, bucket_id)
        writers = tx.value(_WRITERS, bucket_id=bucket_id)
    wrong = [a - b for a, b in zip(astuple(there)[1:], astuple(counted)[1:], strict=True)]
    if any(wrong):
        index.run(lambda tx: add(tx, bucket_id, *wrong))
    if writers > MOST_WRITERS:  # processes that are no more have left them
        index.run(lambda tx: _fold(tx, bucket_id))
    return Usage(bucket_id, *wrong)


def _fold(tx: Tx, bucket_id: str) -> None:
    total = usage(tx, bucket_id)
    tx.execute_each(_CLEAR, [{"of_bucket": bucket_id}])
    tx.execute_each(_INSERT, [{"bucket_id": bucket_id, "writer": "", **dict(zip(COUNTERS, astuple(total)[1:], strict=True))}])
