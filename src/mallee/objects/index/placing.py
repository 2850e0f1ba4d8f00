"""Replicas: versions that bring their id, and the place among the versions of their key that they have at their original's.

That is the original's ``made``, since all buckets of a cloud have one clock. So two buckets that replicate to each other come to the same
latest version in whatever order the replicas arrive, and an older version that is replicated after a newer one does not hide it.
"""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy import bindparam, select

from mallee.store import Bytes, Integer, Text, Tx

from . import usage, versions
from .rows import ENABLED, BucketClosed, New, Version
from .tables import CLOSED, NONCURRENT

_BUCKET = bindparam("bucket_id", type_=Text())
_CLOSED = select(CLOSED.c.bucket_id).where(CLOSED.c.bucket_id == _BUCKET)
_INSERT = sa.insert(NONCURRENT)
_TAKEN = select(NONCURRENT.c.rank).where(
    NONCURRENT.c.bucket_id == _BUCKET,
    NONCURRENT.c.key == bindparam("key", type_=Bytes()),
    NONCURRENT.c.rank == bindparam("rank", type_=Integer()),
)


def put(tx: Tx, new: New, made: int) -> None:
    """In a bucket whose versioning is enabled. One that is there already gets the new values. Raises BucketClosed."""
    assert new.version_id is not None
    latest = versions.current(tx, new.bucket_id, new.key)
    there = versions.version(tx, new.bucket_id, new.key, new.version_id)
    if there is not None or latest is None or latest.made < made:
        versions.put(tx, ENABLED, new, made=made)
    else:
        _behind(tx, new, latest, made, deleted=False)


def delete(tx: Tx, new: New, made: int) -> None:
    """The same of a delete marker."""
    assert new.version_id is not None
    latest = versions.current(tx, new.bucket_id, new.key)
    if versions.version(tx, new.bucket_id, new.key, new.version_id) is not None:
        return
    if latest is None or latest.made < made:
        versions.delete(
            tx, ENABLED, new.bucket_id, new.key, new.owner, version_id=new.version_id, modified=new.modified, made=made
        )
    else:
        _behind(tx, replace(new, size=0), latest, made, deleted=True)


def _behind(tx: Tx, new: New, latest: Version, made: int, *, deleted: bool) -> None:
    at = {"bucket_id": new.bucket_id, "key": new.key}
    if tx.first(_CLOSED, bucket_id=new.bucket_id) is not None:
        raise BucketClosed(new.bucket_id)
    while made == latest.made or tx.value(_TAKEN, **at, rank=-made) is not None:
        made -= 1
    values = {
        "version_id": new.version_id, "modified": new.modified or tx.now, "size": new.size, "etag": new.etag, "owner": new.owner,
        "storage_class": new.storage_class, "checksum": new.checksum, "attributes": new.attributes or None, "content": new.content,
    }  # fmt: skip
    tx.execute_each(_INSERT, [{**at, "rank": -made, "since": tx.now, "deleted": deleted, **values}])
    usage.add(tx, new.bucket_id, 0, 0, 1, new.size)
