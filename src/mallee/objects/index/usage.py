"""What is in each bucket, counted in the transaction that changes it.

All that a transaction adds and takes away is written by one statement per bucket at its end. On PostgreSQL each process counts in rows of its
own, so that processes do not wait for each other; the sum is the truth. ``recount`` mends what the counters should ever miss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam, func, select

from mallee.store import Integer, Text, Tx

from .tables import USAGE

WRITER = "mallee.objects.index.writer"
"""Under which ``Tx.memory`` has the name that this process counts by; "" where it has none."""

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


def all_usage(tx: Tx) -> list[Usage]:
    """Of every bucket that ever had something, by its id."""
    return [Usage(*row) for row in tx.tuples(_ALL)]
