"""Other S3 endpoints that buckets may replicate to: the administrator registers one by a name, with a key of it, for one account.

A rule names such a bucket ``arn:aws:s3:<name>::<bucket>``: the name stands where ARNs have the region, which those of buckets leave empty.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Column, select

from mallee.identity.vault import Vault
from mallee.store import Bytes, Text, Timestamp, Tx, read, read_all, resource_table

REMOTES = resource_table(
    "object_remotes",
    Column("name", Text, primary_key=True),
    Column("endpoint", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("access_key_id", Text, nullable=False),
    Column("secret", Bytes, nullable=False, info={"secret": True}),
    Column("created_at", Timestamp, nullable=False),
    Column("authority", Text),
)

_ARN: Final = re.compile(r"arn:[a-z-]+:s3:(?P<name>[a-z0-9][a-z0-9-]{0,62})::(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])", re.ASCII)
_ALL = select(REMOTES).order_by(REMOTES.c.name)


@dataclass(frozen=True, slots=True)
class Remote:
    """``account_id``: whose buckets may replicate there; ``secret``: sealed; ``authority``: the certificate,
    in PEM, by which the endpoint's own is verified, if the system does not trust it."""

    name: str
    account_id: str
    endpoint: str
    region: str
    access_key_id: str
    secret: bytes
    created_at: datetime.datetime
    authority: str | None = None

    def secret_access_key(self, vault: Vault) -> str:
        return vault.open(_sealed_for(self.name), self.secret)


def _sealed_for(name: str) -> str:
    return f"object-remote/{name}"


def named_in(arn: str) -> tuple[str, str] | None:
    """The remote's name and the bucket there; None where the ARN is that of a bucket of this cloud, or none at all."""
    parts = _ARN.fullmatch(arn)
    return None if parts is None else (parts["name"], parts["bucket"])


def remote(tx: Tx, name: str) -> Remote | None:
    row = tx.everyone().get(REMOTES, name)
    return None if row is None else read(Remote, row)


def remotes(tx: Tx) -> list[Remote]:
    return read_all(Remote, tx.everyone().all(_ALL))


def put(
    tx: Tx, vault: Vault, name: str, account_id: str, endpoint: str, region: str, access_key_id: str, secret: str, authority: str | None
) -> None:
    tx.everyone().put(
        REMOTES, name=name, account_id=account_id, endpoint=endpoint, region=region, access_key_id=access_key_id,
        secret=vault.seal(_sealed_for(name), secret), created_at=tx.now, authority=authority,
    )  # fmt: skip


def remove(tx: Tx, name: str) -> bool:
    return tx.everyone().remove(REMOTES, name)
