"""Reports on an account's credentials, and on what its users and roles last used: asked for, built by a machine, and read later.

A report is what was true when it was built, whatever changes after. One on credentials is good for four hours, as AWS's; the
one before it goes when the next is built. One on uses is kept for a week, for whoever asked for it.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Index, bindparam, select

from mallee.identity.records.certificates import SigningCertificate, signing_certificates
from mallee.identity.records.keys import AccessKey, access_keys
from mallee.identity.records.names import one
from mallee.store import Text, Timestamp, Tx, read_all, resource_table

CREDENTIALS: Final = "credentials"
LAST_ACCESSED: Final = "last-accessed"

GOOD_FOR: Final = datetime.timedelta(hours=4)
KEPT_FOR: Final = datetime.timedelta(days=7)

reports = resource_table(
    "iam_reports",
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text),
    Column("granularity", Text),
    Column("maker", Text, nullable=False),
    Column("requested_at", Timestamp, nullable=False),
    Column("finished_at", Timestamp),
    Column("problem", Text),
    Column("content", Text),
    journal=False,
)
Index("iam_reports_by_kind", reports.c.account_id, reports.c.kind)


@dataclass(frozen=True, slots=True)
class Report:
    """``subject``: the ARN of whom or what a report on uses is about. ``maker``: the unique id of who asked for it.
    ``problem``: why it could not be built."""

    id: str
    account_id: str
    kind: str
    subject: str | None
    granularity: str | None
    maker: str
    requested_at: datetime.datetime
    finished_at: datetime.datetime | None
    problem: str | None
    content: str | None


_REPORT = select(reports).where(reports.c.id == bindparam("id"))
_NEWEST = (
    select(reports)
    .where(reports.c.account_id == bindparam("account_id"), reports.c.kind == bindparam("kind"))
    .order_by(reports.c.requested_at.desc(), reports.c.id)
    .limit(1)
)
_KEYS_IN = (
    select(access_keys)
    .where(access_keys.c.account_id == bindparam("account_id"))
    .order_by(access_keys.c.created_at, access_keys.c.id)
)
_CERTIFICATES_IN = (
    select(signing_certificates)
    .where(signing_certificates.c.account_id == bindparam("account_id"))
    .order_by(signing_certificates.c.uploaded_at, signing_certificates.c.id)
)


def report(tx: Tx, report_id: str) -> Report | None:
    return one(Report, tx.first(_REPORT, id=report_id))


def newest(tx: Tx, account_id: str, kind: str) -> Report | None:
    return one(Report, tx.first(_NEWEST, account_id=account_id, kind=kind))


def ask(
    tx: Tx, report_id: str, account_id: str, kind: str, maker: str, *, subject: str | None = None, granularity: str | None = None
) -> None:
    tx.insert(
        reports, id=report_id, account_id=account_id, kind=kind, subject=subject, granularity=granularity, maker=maker,
        requested_at=tx.now,
    )  # fmt: skip


def finish(tx: Tx, found: Report, **outcome: Any) -> None:
    """With ``content`` or ``problem``. What it supersedes goes."""
    tx.change(reports, found.id, finished_at=tx.now, **outcome)
    mine = (reports.c.account_id == found.account_id) & (reports.c.kind == found.kind) & (reports.c.id != found.id)
    if found.kind == CREDENTIALS:
        tx.remove_all(reports, mine & (reports.c.requested_at <= found.requested_at))
    else:
        tx.remove_all(reports, mine & (reports.c.requested_at < tx.now - KEPT_FOR))


def access_keys_in(tx: Tx, account_id: str) -> list[AccessKey]:
    """All of an account, the oldest first."""
    return read_all(AccessKey, tx.all(_KEYS_IN, account_id=account_id))


def signing_certificates_in(tx: Tx, account_id: str) -> list[SigningCertificate]:
    """As ``access_keys_in``."""
    return read_all(SigningCertificate, tx.all(_CERTIFICATES_IN, account_id=account_id))
