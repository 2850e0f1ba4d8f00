"""How much of S3 one account may have. The defaults of what AWS has are AWS's; bytes and objects have no limit until an administrator or a
policy sets one (``capacity`` asks). Sizes are in MiB, as in Eucalyptus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import bindparam, select

from mallee.identity.quotas import UNLIMITED, Quota, Rows
from mallee.objects import records, store
from mallee.objects.index import usage
from mallee.objects.points import ACCESS_POINTS
from mallee.store import Tx
from mallee.store.tables import journal

MIB = 1024 * 1024

BUCKETS = Quota(
    "s3", "L-DC2B2D3D", "General purpose buckets", 10_000, Rows(records.BUCKETS, records.BUCKETS.c.internal.is_(False)),
    "s3:quota-bucketnumber", "s3:CreateBucket", is_global=True,
    description="The number of Amazon S3 general purpose buckets that you can create in an account.",
)  # fmt: skip

POINTS = Quota(
    "s3", "L-FAABEEBA", "Access Points", 10_000, Rows(ACCESS_POINTS),
    description="The number of Amazon S3 Access Points that you can create per region in an account.",
)  # fmt: skip

_BUCKETS = (
    select(records.BUCKETS.c.id)
    .where(records.BUCKETS.c.account_id == bindparam("account"), records.BUCKETS.c.internal.is_(False))
    .order_by(records.BUCKETS.c.id)
)
_MADE = _BUCKETS.join_from(
    records.BUCKETS,
    journal,
    (journal.c.resource_id == records.BUCKETS.c.name)
    & (journal.c.kind == "buckets")
    & (journal.c.action == "create")
    & (journal.c.at >= records.BUCKETS.c.created_at)
    & (journal.c.actor == bindparam("actor")),
).distinct()  # fmt: skip


def buckets_of(tx: Tx, account_id: str) -> tuple[str, ...]:
    """The ids of the account's buckets, without Mallee's own."""
    return tuple([row[0] for row in tx.everyone().all(_BUCKETS, account=account_id)])


def buckets_made_by(tx: Tx, account_id: str, arn: str) -> tuple[str, ...]:
    """Those of them that one principal created, as the journal knows."""
    return tuple([row[0] for row in tx.everyone().all(_MADE, account=account_id, actor=arn)])


def held(found: usage.Usage) -> tuple[int, int]:
    """Bytes and objects that count: all versions, delete markers, and the parts of uploads under way."""
    return found.bytes + found.noncurrent_bytes + found.upload_bytes, found.objects + found.noncurrent


class Stored:
    """What is in an account's buckets, as the index counts it."""

    def __init__(self, count: Callable[[tuple[int, int]], float]) -> None:
        self._count = count

    def __call__(self, tx: Tx, account_id: str) -> float:
        ids = buckets_of(tx, account_id)
        with store.at(tx).index.reading() as index:
            return self._count(held(usage.total(index, ids)))


def _quota(code: str, name: str, description: str, **more: Any) -> Quota:
    return Quota("s3", code, name, UNLIMITED, action="s3:PutObject", description=description, **more)


SIZE = _quota(
    "mallee-size", "Size of all buckets", "The MiB that all objects of an account take: all versions, and parts of uploads.",
    used=Stored(lambda held: held[0] / MIB), limit_key="s3:quota-buckettotalsize", unit="Megabytes",
)  # fmt: skip
OBJECTS = _quota(
    "mallee-objects", "Objects in all buckets", "The number of objects of an account, each version counted.",
    used=Stored(lambda held: held[1]),
)  # fmt: skip
BUCKET_SIZE = _quota(
    "mallee-bucket-size", "Size of a bucket", "The MiB that the objects of one bucket take: all versions, and parts of uploads.",
    limit_key="s3:quota-bucketsize", unit="Megabytes",
)  # fmt: skip
BUCKET_OBJECTS = _quota(
    "mallee-bucket-objects", "Objects in a bucket", "The number of objects in one bucket, each version counted.",
    limit_key="s3:quota-bucketobjectnumber",
)  # fmt: skip

QUOTAS = (BUCKETS, POINTS, SIZE, OBJECTS, BUCKET_SIZE, BUCKET_OBJECTS)
