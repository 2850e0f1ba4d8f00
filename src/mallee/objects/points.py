"""Access points: further names of a bucket, each with a policy of its own ("Managing access with Amazon S3 access points").

Who comes by an access point must be let through twice: by the access point, whose resource in policies is its own ARN, and by the bucket,
whose policy may leave the decision to it (``s3:DataAccessPointAccount``). It opens nothing that the bucket closes. One that belongs to a
VPC lets in only what comes from there.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, UniqueConstraint, bindparam, select

from mallee.identity.call import Call
from mallee.objects.rules import names
from mallee.store import Json, Text, Timestamp, Tx, ids, read, read_all, resource_table

if TYPE_CHECKING:
    from mallee.objects.records import Bucket

ACCESS_POINTS = resource_table(
    "bucket_access_points",
    Column("alias", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("bucket_id", Text, nullable=False, index=True),
    Column("bucket_account_id", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("vpc_id", Text),
    Column("blocks", Json, nullable=False),
    Column("policy", Text),
    UniqueConstraint("account_id", "name"),
)

SUFFIX = "-s3alias"
_ARN = re.compile(r"arn:[a-z-]+:s3:[a-z0-9-]*:(?P<account>\d{12}):accesspoint[/:](?P<name>[a-z0-9-]{3,50})", re.ASCII)
_HOST = re.compile(r"(?P<name>[a-z0-9-]{3,50})-(?P<account>\d{12})", re.ASCII)


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """``vpc_id``: None for one that the internet reaches. ``blocks``: its PublicAccessBlockConfiguration."""

    alias: str
    name: str
    account_id: str
    bucket: str
    bucket_id: str
    bucket_account_id: str
    created_at: datetime.datetime
    blocks: Mapping[str, bool]
    vpc_id: str | None = None
    policy: str | None = None

    @property
    def origin(self) -> str:
        return "Internet" if self.vpc_id is None else "VPC"

    def arn(self, call: Call) -> str:
        return f"arn:{call.settings.partition}:s3:{call.region}:{self.account_id}:accesspoint/{self.name}"


_BY_ALIAS = select(ACCESS_POINTS).where(ACCESS_POINTS.c.alias == bindparam("alias"))
_BY_NAME = select(ACCESS_POINTS).where(ACCESS_POINTS.c.account_id == bindparam("account"), ACCESS_POINTS.c.name == bindparam("name"))
_OF_ACCOUNT = (
    select(ACCESS_POINTS)
    .where(ACCESS_POINTS.c.account_id == bindparam("account"), ACCESS_POINTS.c.name > bindparam("after"))
    .order_by(ACCESS_POINTS.c.name)
    .limit(bindparam("most"))
)
_OF_ACCOUNT_AND_BUCKET = _OF_ACCOUNT.where(ACCESS_POINTS.c.bucket == bindparam("bucket"))
_OF_BUCKET = (
    select(ACCESS_POINTS.c.alias)
    .where(ACCESS_POINTS.c.bucket_id == bindparam("bucket_id"), ACCESS_POINTS.c.account_id == bindparam("account"))
    .limit(1)
)


def access_point(tx: Tx, account_id: str, name: str) -> AccessPoint | None:
    if not names.is_access_point(name):
        return None
    row = tx.everyone().first(_BY_NAME, account=account_id, name=name)
    return None if row is None else read(AccessPoint, row)


def access_points(tx: Tx, account_id: str, bucket: str | None, after: str, most: int) -> list[AccessPoint]:
    """By name."""
    everyone = tx.everyone()
    if bucket is None:
        return read_all(AccessPoint, everyone.all(_OF_ACCOUNT, account=account_id, after=after, most=most))
    return read_all(AccessPoint, everyone.all(_OF_ACCOUNT_AND_BUCKET, account=account_id, after=after, most=most, bucket=bucket))


def has_any(tx: Tx, bucket: Bucket) -> bool:
    """Of its own account. Others', made without its leave, lead nowhere once the bucket is gone, and do not keep it."""
    return tx.everyone().first(_OF_BUCKET, bucket_id=bucket.id, account=bucket.account_id) is not None


def resolve(tx: Tx, name: str) -> AccessPoint | None:
    """What an alias, an ARN, or a host's first label (``<name>-<account>``) in the place of a bucket's name means."""
    if name.endswith(SUFFIX) and names.could_be(name):
        row = tx.everyone().first(_BY_ALIAS, alias=name)
        return None if row is None else read(AccessPoint, row)
    parts = _ARN.fullmatch(name) or _HOST.fullmatch(name)
    return None if parts is None else access_point(tx, parts["account"], parts["name"])


def host(name: str, account_id: str) -> str:
    """The first label of its host."""
    return f"{name}-{account_id}"


def new_alias(name: str) -> str:
    return f"{name[:34]}-{ids.new('x')[2:]}{SUFFIX}"


def keys(call: Call, point: AccessPoint) -> dict[str, Any]:
    """The condition keys of what comes by an access point."""
    return {
        "s3:DataAccessPointArn": point.arn(call),
        "s3:DataAccessPointAccount": point.account_id,
        "s3:AccessPointNetworkOrigin": point.origin,
    }
