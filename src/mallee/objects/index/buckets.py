"""Buckets as the index knows them: by an id, open until they are closed for ever."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import bindparam, select

from mallee.store import Text, Tx

from .rows import BucketClosed
from .tables import CLOSED, CURRENT, NONCURRENT

_ID = bindparam("bucket_id", type_=Text())
_IS_CLOSED = select(CLOSED.c.bucket_id).where(CLOSED.c.bucket_id == _ID)
_HAS_CURRENT = select(CURRENT.c.bucket_id).where(CURRENT.c.bucket_id == _ID).limit(1)
_HAS_NONCURRENT = select(NONCURRENT.c.bucket_id).where(NONCURRENT.c.bucket_id == _ID).limit(1)
_REOPEN = sa.delete(CLOSED).where(CLOSED.c.bucket_id == bindparam("of_bucket"))


def require_open(tx: Tx, bucket_id: str) -> None:
    """Raises BucketClosed. Whoever adds a row asks this in the same transaction."""
    if tx.tuples(_IS_CLOSED, bucket_id=bucket_id):
        raise BucketClosed(bucket_id)


def close(tx: Tx, bucket_id: str) -> bool:
    """The bucket takes nothing any more; False, and nothing happens, if it has a version or delete marker. Uploads that are under way
    do not keep a bucket from being deleted: ``uploads.purge`` clears them away afterwards."""
    if tx.tuples(_HAS_CURRENT, bucket_id=bucket_id) or tx.tuples(_HAS_NONCURRENT, bucket_id=bucket_id):
        return False
    tx.insert_if_free(CLOSED, bucket_id=bucket_id, at=tx.now)
    return True


def reopen(tx: Tx, bucket_id: str) -> None:
    """For a deletion that came to nothing."""
    tx.execute_each(_REOPEN, [{"of_bucket": bucket_id}])
