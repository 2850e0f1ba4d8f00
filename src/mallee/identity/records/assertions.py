"""SAML assertions that said they are for one use, and were used: kept until they would have ended anyway."""

from __future__ import annotations

import datetime
import hashlib

from sqlalchemy import Column, Index

from mallee.store import Text, Timestamp, Tx, plain_table

used_assertions = plain_table(
    "iam_used_assertions",
    Column("digest", Text, primary_key=True),
    Column("until", Timestamp, nullable=False),
)
Index("iam_used_assertions_by_end", used_assertions.c.until)


def use(tx: Tx, provider_arn: str, assertion_id: str, until: datetime.datetime) -> bool:
    """Whether this is its first use. Those that are over are forgotten."""
    tx.remove_all(used_assertions, used_assertions.c.until < tx.now)
    digest = hashlib.sha256(f"{provider_arn}\n{assertion_id}".encode()).hexdigest()
    return tx.insert_if_free(used_assertions, digest=digest, until=until)
