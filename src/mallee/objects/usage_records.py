"""What buckets held, day by day: for bills. A row for each bucket and day, of deleted buckets too.

The reconciler ``objects-usage`` looks at the counters every hour. A row has what was there when it was last looked at on that day, the most that was
seen, and byte-hours: what was there, by the time until it was looked at again. Adding to them goes by the row's own ``sampled_at``, so that two
processes that look at once count no hour twice. A day on which no cloud ran has no rows.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any, Final

from sqlalchemy import Column, Index, bindparam, delete, select, tuple_

from mallee.objects.index.usage import COUNTERS, Usage
from mallee.objects.records import Bucket
from mallee.store import Float, Integer, Text, Timestamp, Tx, plain_table, read_all

KEPT: Final = 400
"""Days."""

USAGE_RECORDS = plain_table(
    "object_usage_records",
    Column("day", Text, primary_key=True),
    Column("bucket_id", Text, primary_key=True),
    Column("bucket", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("sampled_at", Timestamp, nullable=False),
    *(Column(name, Integer, nullable=False) for name in COUNTERS),
    Column("peak_bytes", Integer, nullable=False),
    Column("byte_hours", Float, nullable=False),
    Index("ix_object_usage_records_account_id_day", "account_id", "day"),
)


@dataclass(frozen=True, slots=True)
class Record:
    day: str
    bucket_id: str
    bucket: str
    account_id: str
    sampled_at: datetime.datetime
    objects: int
    bytes: int
    noncurrent: int
    noncurrent_bytes: int
    uploads: int
    upload_bytes: int
    peak_bytes: int
    byte_hours: float


_DAY = select(USAGE_RECORDS).where(USAGE_RECORDS.c.day == bindparam("day"))
_LIST = (
    select(USAGE_RECORDS)
    .where(USAGE_RECORDS.c.day >= bindparam("since"), USAGE_RECORDS.c.day <= bindparam("until"))
    .where(tuple_(USAGE_RECORDS.c.day, USAGE_RECORDS.c.bucket_id) > tuple_(bindparam("day", type_=Text()), bindparam("bucket_id", type_=Text())))
    .order_by(USAGE_RECORDS.c.day, USAGE_RECORDS.c.bucket_id)
    .limit(bindparam("limit"))
)
_LISTS = {
    (account, bucket): _LIST.where(
        *([USAGE_RECORDS.c.account_id == bindparam("account_id")] if account else []),
        *([USAGE_RECORDS.c.bucket == bindparam("bucket")] if bucket else []),
    )
    for account in (False, True)
    for bucket in (False, True)
}
_FORGET = delete(USAGE_RECORDS).where(USAGE_RECORDS.c.day < bindparam("before"))


def sample(tx: Tx, buckets: Iterable[Bucket], counted: Iterable[Usage]) -> None:
    """Writes down what is there now."""
    here, now = tx.everyone(), tx.now
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    day, before = _name(now), _name(midnight - datetime.timedelta(days=1))
    known = {each.bucket_id: each for each in read_all(Record, here.all(_DAY, day=day))}
    yesterday = {each.bucket_id: each for each in read_all(Record, here.all(_DAY, day=before))}
    usage = {each.bucket_id: each for each in counted}
    there = {bucket.id: bucket for bucket in buckets}
    for each in yesterday.values():
        if each.bucket_id not in known and each.bucket_id in there:
            _extend(here, each, midnight)  # up to midnight it held what it held when it was last looked at
    for bucket in there.values():
        found = usage.get(bucket.id, Usage(bucket.id))
        record = known.get(bucket.id)
        if record is None:
            since = max(bucket.created_at, midnight)
            began = yesterday.get(bucket.id)
            hours = (now - since).total_seconds() / 3600 * (_whole(began) if began is not None else _whole(found))
            values = dict(zip(COUNTERS, astuple(found)[1:], strict=True))
            here.put(
                USAGE_RECORDS, day=day, bucket_id=bucket.id, bucket=bucket.name, account_id=bucket.account_id, sampled_at=now, **values,
                peak_bytes=_whole(found), byte_hours=max(0.0, hours),
            )  # fmt: skip
        elif now > record.sampled_at:
            _extend(here, record, now, found)
    for each in known.values():
        if each.bucket_id not in there and _whole(each):  # deleted meanwhile
            _extend(here, each, now, Usage(each.bucket_id))
    here.execute(_FORGET, before=_name(now - datetime.timedelta(days=KEPT)))


def _extend(tx: Tx, record: Record, until: datetime.datetime, found: Usage | None = None) -> None:
    hours = (until - record.sampled_at).total_seconds() / 3600
    if hours <= 0:
        return
    values: dict[str, Any] = {"sampled_at": until, "byte_hours": record.byte_hours + hours * _whole(record)}
    if found is not None:
        values |= dict(zip(COUNTERS, astuple(found)[1:], strict=True))
        values["peak_bytes"] = max(record.peak_bytes, _whole(found))
    tx.change(USAGE_RECORDS, {"day": record.day, "bucket_id": record.bucket_id}, **values)


def _whole(found: Usage | Record) -> int:
    return found.bytes + found.noncurrent_bytes + found.upload_bytes


def _name(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def records(
    tx: Tx, since: str, until: str, *, account_id: str | None = None, bucket: str | None = None, after: tuple[str, str] = ("", ""), limit: int
) -> list[Record]:
    """By day and bucket's id, those behind ``after``."""
    given = {"account_id": account_id} if account_id is not None else {}
    given |= {"bucket": bucket} if bucket is not None else {}
    statement = _LISTS[account_id is not None, bucket is not None]
    return read_all(Record, tx.everyone().all(statement, since=since, until=until, day=after[0], bucket_id=after[1], limit=limit, **given))
