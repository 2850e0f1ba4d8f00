"""Buckets and what is configured of them: rows of the main database.

A bucket's name is unique in the whole cloud; its ``id`` is what the index and the labels of contents know it by, so that a bucket which is made
anew under an old name shares nothing with the one before. A configuration is the plain document that its Put operation was given, in boto3's
member names; a kind that a bucket has at most once has the id "".
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, bindparam, delete, func, select

from mallee.objects.points import AccessPoint
from mallee.store import Flag, Json, Text, Timestamp, Tx, ids, plain_table, read, read_all, resource_table

ENFORCED, PREFERRED, WRITER = "BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"
NEVER, ENABLED, SUSPENDED = "", "Enabled", "Suspended"

Document = dict[str, Any]
_NONE: Mapping[str, Document] = {}

BUCKETS = resource_table(
    "buckets",
    Column("name", Text, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("created_at", Timestamp, nullable=False),
    Column("versioning", Text, nullable=False, default=NEVER),
    Column("object_lock", Flag, nullable=False, default=False),
    Column("ownership", Text, nullable=False, default=ENFORCED),
    Column("grants", Json),
    Column("policy", Text),
    Column("internal", Flag, nullable=False, default=False),
)

CONFIGURATIONS = resource_table(
    "bucket_configurations",
    Column("bucket_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("document", Json, nullable=False),
    Column("changed_at", Timestamp, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """``grants``: its ACL, None for the owner's full control alone. ``internal``: Mallee's own; no policy or ACL opens it, and
    only Mallee writes to it."""

    name: str
    id: str
    account_id: str
    created_at: datetime.datetime
    versioning: str = NEVER
    object_lock: bool = False
    ownership: str = ENFORCED
    grants: list[Any] | None = None
    policy: str | None = None
    internal: bool = False
    configurations: Mapping[str, Mapping[str, Document]] = field(default_factory=dict)
    access_point: AccessPoint | None = None  # by which it was named

    def configuration(self, kind: str) -> Document | None:
        """Of a kind that there is but one of."""
        return self.configurations.get(kind, _NONE).get("")


_BY_NAME = select(BUCKETS).where(BUCKETS.c.name == bindparam("name"))
_BY_ID = select(BUCKETS).where(BUCKETS.c.id == bindparam("id"))
_OF_ACCOUNT = select(BUCKETS).where(BUCKETS.c.account_id == bindparam("account")).order_by(BUCKETS.c.name)
_ALL = select(BUCKETS).order_by(BUCKETS.c.name)
_COUNT = select(func.count()).select_from(BUCKETS).where(BUCKETS.c.account_id == bindparam("account"))
_CONFIGURATIONS = select(CONFIGURATIONS).where(CONFIGURATIONS.c.bucket_id == bindparam("bucket_id"))
_WITH = (
    select(BUCKETS)
    .where(BUCKETS.c.id.in_(select(CONFIGURATIONS.c.bucket_id).where(CONFIGURATIONS.c.kind == bindparam("kind"))))
    .order_by(BUCKETS.c.name)
)


def bucket(tx: Tx, name: str) -> Bucket | None:
    """The bucket with its configurations, whosever it is."""
    row = None if "\0" in name else tx.everyone().first(_BY_NAME, name=name)  # which PostgreSQL cannot even ask for
    return None if row is None else _whole(tx, row)


def bucket_by_id(tx: Tx, bucket_id: str) -> Bucket | None:
    row = tx.everyone().first(_BY_ID, id=bucket_id)
    return None if row is None else _whole(tx, row)


def _whole(tx: Tx, row: Any) -> Bucket:
    found: dict[str, dict[str, Document]] = {}
    for each in tx.everyone().all(_CONFIGURATIONS, bucket_id=row.id):
        found.setdefault(each.kind, {})[each.id] = each.document
    return Bucket(
        row.name, row.id, row.account_id, row.created_at, row.versioning, row.object_lock, row.ownership, row.grants, row.policy,
        row.internal, found,
    )  # fmt: skip


def buckets_of(tx: Tx, account_id: str) -> list[Bucket]:
    """Without their configurations, by name."""
    return read_all(Bucket, tx.everyone().all(_OF_ACCOUNT, account=account_id))


def all_buckets(tx: Tx) -> list[Bucket]:
    """Without their configurations, by name."""
    return read_all(Bucket, tx.everyone().all(_ALL))


def buckets_with(tx: Tx, kind: str) -> list[Bucket]:
    """Every bucket that has a configuration of that kind, whole."""
    return [_whole(tx, row) for row in tx.everyone().all(_WITH, kind=kind)]


def count_of(tx: Tx, account_id: str) -> int:
    return int(tx.everyone().value(_COUNT, account=account_id))


def add_bucket(tx: Tx, name: str, account_id: str, **values: Any) -> Bucket | None:
    """None if the name is taken."""
    if not tx.everyone().insert_if_free(
        BUCKETS, name=name, id=ids.new("b"), account_id=account_id, created_at=tx.now, **values
    ):
        return None
    return read(Bucket, tx.everyone().get(BUCKETS, name))


def change_bucket(tx: Tx, bucket: Bucket, **values: Any) -> bool:
    """``tx`` may be bound to any account: whoever calls this has been allowed to."""
    return tx.everyone().change(BUCKETS, bucket.name, **values)


def remove_bucket(tx: Tx, bucket: Bucket) -> bool:
    everyone = tx.everyone()
    everyone.remove_all(CONFIGURATIONS, CONFIGURATIONS.c.bucket_id == bucket.id)
    everyone.execute(_FORGET_WALKS, bucket_id=bucket.id)
    return everyone.remove(BUCKETS, bucket.name)


def configure(tx: Tx, bucket: Bucket, kind: str, document: Document, id: str = "") -> None:
    """Sets or replaces a configuration."""
    key = {"bucket_id": bucket.id, "kind": kind, "id": id}
    everyone = tx.everyone()
    everyone.put(CONFIGURATIONS, **key, account_id=bucket.account_id, document=document, changed_at=tx.now)


def unconfigure(tx: Tx, bucket: Bucket, kind: str, id: str = "") -> bool:
    """False if there was none."""
    return tx.everyone().remove(CONFIGURATIONS, {"bucket_id": bucket.id, "kind": kind, "id": id})


# --------------------------------------------------------------------------------------------------------------- walks

WALKS = plain_table(
    "object_walks",
    Column("name", Text, primary_key=True),
    Column("bucket_id", Text, primary_key=True),
    Column("began_at", Timestamp, nullable=False),
    Column("ended_at", Timestamp),
    Column("state", Json, nullable=False),
)
"""How far upkeep is that goes through a whole bucket in pieces (lifecycle, inventory, …): a walk goes on where it was, in whatever process."""


@dataclass(frozen=True, slots=True)
class Walk:
    """``state``: its position and what it has done so far, as the walk itself understands it."""

    name: str
    bucket_id: str
    began_at: datetime.datetime
    ended_at: datetime.datetime | None
    state: dict[str, Any]


_WALK = select(WALKS).where(WALKS.c.name == bindparam("name")).where(WALKS.c.bucket_id == bindparam("bucket_id"))
_FORGET_WALKS = delete(WALKS).where(WALKS.c.bucket_id == bindparam("bucket_id"))
_WALKS = select(WALKS).order_by(WALKS.c.bucket_id, WALKS.c.name)


def walk(tx: Tx, name: str, bucket_id: str) -> Walk | None:
    row = tx.everyone().first(_WALK, name=name, bucket_id=bucket_id)
    return None if row is None else read(Walk, row)


def walks(tx: Tx) -> list[Walk]:
    return read_all(Walk, tx.everyone().all(_WALKS))


def keep_walk(tx: Tx, found: Walk) -> None:
    tx.everyone().put(
        WALKS, name=found.name, bucket_id=found.bucket_id, began_at=found.began_at, ended_at=found.ended_at, state=found.state
    )


def configured_at(tx: Tx, bucket_id: str, kind: str) -> datetime.datetime | None:
    """When the latest of the bucket's configurations of a kind was set."""
    rows = [row for row in tx.everyone().all(_CONFIGURATIONS, bucket_id=bucket_id) if row.kind == kind]
    return max((row.changed_at for row in rows), default=None)
