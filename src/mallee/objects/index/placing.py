"""Replicas: versions that come with an id and a time of their own, and take the place among the others that this time gives them.

So two buckets that replicate to each other come to the same latest version, in whatever order the replicas arrive; and an older version that is
replicated later than a newer one does not hide it.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import bindparam, select

from mallee.store import Bytes, Integer, Text, Timestamp, Tx

from . import usage, versions
from .rows import ENABLED, BucketClosed, New, Version
from .tables import CLOSED, CURRENT, NONCURRENT

_AT = (bindparam("bucket_id", type_=Text()), bindparam("key", type_=Bytes()))
_CLOSED = select(CLOSED.c.bucket_id).where(CLOSED.c.bucket_id == _AT[0])
_INSERT = sa.insert(NONCURRENT)
_OLDEST_NEWER = (
    select(sa.func.max(NONCURRENT.c.rank))
    .where(NONCURRENT.c.bucket_id == _AT[0], NONCURRENT.c.key == _AT[1])
    .where(NONCURRENT.c.modified > bindparam("modified", type_=Timestamp()))
)
_TAKEN = (
    select(NONCURRENT.c.rank)
    .where(NONCURRENT.c.bucket_id == _AT[0], NONCURRENT.c.key == _AT[1])
    .where(NONCURRENT.c.rank == bindparam("rank", type_=Integer()))
)
_MADE = select(CURRENT.c.made).where(CURRENT.c.bucket_id == _AT[0], CURRENT.c.key == _AT[1])


def put(tx: Tx, new: New) -> Version:
    """In a bucket whose versioning is enabled. One that is there already gets the new values. Raises BucketClosed."""
    assert new.version_id is not None and new.modified is not None
    latest = versions.current(tx, new.bucket_id, new.key)
    there = versions.version(tx, new.bucket_id, new.key, new.version_id)
    if there is not None or latest is None or latest.modified <= new.modified:
        return versions.put(tx, ENABLED, new)
    return _behind(tx, new, latest, deleted=False)


def delete(tx: Tx, new: New) -> None:
    """The same of a delete marker."""
    assert new.version_id is not None and new.modified is not None
    latest = versions.current(tx, new.bucket_id, new.key)
    if versions.version(tx, new.bucket_id, new.key, new.version_id) is not None:
        return
    if latest is None or latest.modified <= new.modified:
        versions.delete(tx, ENABLED, new.bucket_id, new.key, new.owner, version_id=new.version_id, modified=new.modified)
        return
    _behind(tx, new, latest, deleted=True)


def _behind(tx: Tx, new: New, latest: Version, *, deleted: bool) -> Version:
    """Among the older ones, behind all that are newer; those keep their order whatever room is between them."""
    at = {"bucket_id": new.bucket_id, "key": new.key}
    if tx.first(_CLOSED, bucket_id=new.bucket_id) is not None:
        raise BucketClosed(new.bucket_id)
    assert new.version_id is not None and new.modified is not None
    rank = tx.value(_OLDEST_NEWER, **at, modified=new.modified)
    made = (latest.made if rank is None else min(latest.made, -int(rank))) - 1
    while tx.value(_TAKEN, **at, rank=-made) is not None or tx.value(_MADE, **at) == made:
        made -= 1
    values = {
        "version_id": new.version_id, "modified": new.modified, "size": new.size, "etag": new.etag, "storage_class": new.storage_class,
        "owner": new.owner, "checksum": new.checksum, "attributes": new.attributes or None, "content": new.content,
    }  # fmt: skip
    tx.execute_each(_INSERT, [{**at, "rank": -made, "since": tx.now, "deleted": deleted, **values}])
    usage.add(tx, new.bucket_id, 0, 0, 1, new.size)
    return Version(
        new.bucket_id, new.key, made, new.version_id, new.modified, new.size, new.etag, new.storage_class, new.owner, new.checksum,
        new.attributes, new.content, deleted, False, tx.now,
    )  # fmt: skip
