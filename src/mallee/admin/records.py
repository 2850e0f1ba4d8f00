"""Requests for larger quotas, and the tags of quotas.

A request is open until an administrator approves or denies it; then it stays as the account's history. An account has at
most one open request per quota.
"""

from __future__ import annotations

import datetime
import secrets
from dataclasses import dataclass

from sqlalchemy import Column, Index, bindparam, select

from mallee.store import Float, Text, Timestamp, Tx, read, read_all, resource_table

PENDING, APPROVED, DENIED = "PENDING", "APPROVED", "DENIED"

quota_requests = resource_table(
    "quota_requests",
    Column("id", Text, primary_key=True),
    Column("service", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("desired", Float, nullable=False),
    Column("status", Text, nullable=False),
    Column("requester", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("decided_by", Text),
    Column("reason", Text),
)
Index("quota_requests_by_status", quota_requests.c.status)

quota_tags = resource_table(
    "quota_tags",
    Column("account_id", Text, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class QuotaRequest:
    """``requester`` is the ARN of who asks, ``decided_by`` of the administrator."""

    id: str
    account_id: str
    service: str
    code: str
    desired: float
    status: str
    requester: str
    created_at: datetime.datetime
    updated_at: datetime.datetime
    decided_by: str | None
    reason: str | None


_REQUEST = select(quota_requests).where(quota_requests.c.id == bindparam("id"))
_REQUESTS = select(quota_requests).order_by(quota_requests.c.created_at.desc(), quota_requests.c.id)
_OPEN = select(quota_requests.c.id).where(
    quota_requests.c.account_id == bindparam("account_id"),
    quota_requests.c.service == bindparam("service"),
    quota_requests.c.code == bindparam("code"),
    quota_requests.c.status == PENDING,
)
_TAGS = (
    select(quota_tags.c.key, quota_tags.c.value)
    .where(
        quota_tags.c.account_id == bindparam("account_id"),
        quota_tags.c.service == bindparam("service"),
        quota_tags.c.code == bindparam("code"),
    )
    .order_by(quota_tags.c.key)
)


def request(tx: Tx, request_id: str) -> QuotaRequest | None:
    row = tx.first(_REQUEST, id=request_id)
    return None if row is None else read(QuotaRequest, row)


def requests(tx: Tx) -> list[QuotaRequest]:
    """All that the transaction may see, the newest first."""
    return read_all(QuotaRequest, tx.all(_REQUESTS))


def has_open_request(tx: Tx, account_id: str, service: str, code: str) -> bool:
    return tx.first(_OPEN, account_id=account_id, service=service, code=code) is not None


def add_request(tx: Tx, account_id: str, service: str, code: str, desired: float, requester: str) -> QuotaRequest:
    made = QuotaRequest(secrets.token_hex(8), account_id, service, code, desired, PENDING, requester, tx.now, tx.now, None, None)
    tx.insert(
        quota_requests, id=made.id, account_id=account_id, service=service, code=code, desired=desired, status=PENDING,
        requester=requester, created_at=tx.now, updated_at=tx.now,
    )  # fmt: skip
    return made


def decide(tx: Tx, asked: QuotaRequest, status: str, decided_by: str, reason: str | None) -> None:
    tx.change(quota_requests, asked.id, status=status, updated_at=tx.now, decided_by=decided_by, reason=reason)


def tags_of(tx: Tx, account_id: str, service: str, code: str) -> dict[str, str]:
    return {row.key: row.value for row in tx.all(_TAGS, account_id=account_id, service=service, code=code)}
