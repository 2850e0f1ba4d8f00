"""Walks over all that a bucket has, in pieces: for lifecycle, replication, inventory, recounting.

Each function gives one piece and is called again with what the last one ended at, in a transaction of its own or in the same; what is changed in
between is seen where the walk has not been. Nothing is remembered here, so a walk goes on in whatever process.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, func, select

from mallee.store import Bytes, Integer, Text, Tx
from mallee.store.types import from_micros

from .rows import Version
from .tables import CURRENT, NONCURRENT, UPLOADS, behind
from .versions import OLDER, REST, from_older, raw

_BUCKET = bindparam("bucket_id", type_=Text())
_AFTER = bindparam("after", type_=Bytes())
_LIMIT = bindparam("limit", type_=Integer())

_CURRENT = (
    select(CURRENT.c.key, CURRENT.c.made, *raw(CURRENT, *REST))
    .where(CURRENT.c.bucket_id == _BUCKET, CURRENT.c.key > _AFTER)
    .order_by(CURRENT.c.key)
    .limit(_LIMIT)
)
_NONCURRENT = (
    OLDER.add_columns(NONCURRENT.c.key)
    .where(
        NONCURRENT.c.bucket_id == _BUCKET,
        *behind((NONCURRENT.c.key, NONCURRENT.c.rank), (_AFTER, bindparam("rank", type_=Integer()))),
    )
    .order_by(NONCURRENT.c.key, NONCURRENT.c.rank)
    .limit(_LIMIT)
)
_NEXT_BUCKETS = [
    select(func.min(table.c.bucket_id)).where(table.c.bucket_id > bindparam("after", type_=Text()))
    for table in (CURRENT, NONCURRENT, UPLOADS)
]


def scan_current(tx: Tx, bucket_id: str, after: bytes | None = None, limit: int = 1000) -> list[Version]:
    """The latest versions of the keys behind ``after``; None: from the first on."""
    rows = tx.tuples(_CURRENT, bucket_id=bucket_id, after=after or b"", limit=limit)
    return [
        Version(bucket_id, key, made, version_id, from_micros(modified), *rest) for key, made, version_id, modified, *rest in rows
    ]


def scan_noncurrent(tx: Tx, bucket_id: str, after: Version | None = None, limit: int = 1000) -> list[Version]:
    """Older versions and all delete markers behind ``after`` (by key, the newest of a key first). A delete marker that is the latest has
    ``is_latest``; it hides nothing any more if no other version of its key is in the walk."""
    key, rank = (b"", -(2**63)) if after is None else (after.key, -after.made)
    rows = tx.tuples(_NONCURRENT, bucket_id=bucket_id, after=key, rank=rank, limit=limit)
    return [_older(bucket_id, row) for row in rows]


def _older(bucket_id: str, row: Any) -> Version:
    *columns, key = row
    return from_older(bucket_id, key, columns)


def next_bucket(tx: Tx, after: str = "") -> str | None:
    """The id of the next bucket that has anything, deleted or not."""
    found = [bucket_id for statement in _NEXT_BUCKETS if (bucket_id := tx.value(statement, after=after)) is not None]
    return min(found) if found else None
