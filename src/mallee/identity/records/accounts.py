"""Accounts: an account has exactly one root, which is the account itself (user_id null in its access keys).

Its *canonical id* is what S3 knows it by: 64 hexadecimal digits that nobody can compute who does not know the account's first microsecond.
It never changes; a row that an older release made while this one was starting has none yet, and the same one all the same.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from dataclasses import dataclass, replace

from sqlalchemy import Column, Index, bindparam, select

from mallee.identity.records.names import Taken, one
from mallee.store import Integer, Text, Timestamp, Tx, read_all, resource_table
from mallee.store.types import to_micros

OPEN = "ACTIVE"
CLOSED = "SUSPENDED"

accounts = resource_table(
    "accounts",
    Column("id", Text, primary_key=True),
    Column("alias", Text, unique=True),
    Column("name", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("closed_at", Timestamp),
    Column("not_before", Timestamp),
    Column("token_version", Integer),
    Column("canonical_id", Text),
    Index("accounts_by_canonical_id", "canonical_id", unique=True),
    owned=False,
)


@dataclass(frozen=True, slots=True)
class Account:
    """``not_before``: session credentials issued earlier are void, whoever they are for. ``token_version``: what the account
    chose by SetSecurityTokenServicePreferences; 1 until then."""

    id: str
    alias: str | None
    name: str
    created_at: datetime.datetime
    closed_at: datetime.datetime | None = None
    not_before: datetime.datetime | None = None
    token_version: int | None = None
    canonical_id: str = ""

    @property
    def display_name(self) -> str:
        """What S3 shows beside the canonical id."""
        return self.alias or self.name

    @property
    def status(self) -> str:
        return OPEN if self.closed_at is None else CLOSED


_ACCOUNT = select(accounts).where(accounts.c.id == bindparam("id"))
_ACCOUNT_BY_ALIAS = select(accounts).where(accounts.c.alias == bindparam("alias"))
_ACCOUNTS = select(accounts).order_by(accounts.c.id)


_BY_CANONICAL_ID = select(accounts).where(accounts.c.canonical_id == bindparam("canonical_id"))
_WITHOUT = select(accounts).where(accounts.c.canonical_id.is_(None)).order_by(accounts.c.id)

NOBODY = "65a011a29cdf8ec533ec3d1ccaae921c"
"""The canonical id of whoever comes without an account: AWS's."""


def account(tx: Tx, account_id: str) -> Account | None:
    return _whole(one(Account, tx.first(_ACCOUNT, id=account_id)))


def account_by_alias(tx: Tx, alias: str) -> Account | None:
    return _whole(one(Account, tx.first(_ACCOUNT_BY_ALIAS, alias=alias)))


def account_by_canonical_id(tx: Tx, canonical_id: str) -> Account | None:
    """``tx`` may be bound to any account."""
    return _whole(one(Account, tx.first(_BY_CANONICAL_ID, canonical_id=canonical_id)))


def all_accounts(tx: Tx) -> list[Account]:
    return [_with_canonical_id(each) for each in read_all(Account, tx.all(_ACCOUNTS))]


class _CanonicalIds(dict[str, str]):
    """Those that this process has read: they never change."""


def canonical_id(tx: Tx, account_id: str) -> str:
    """The account's, or ``NOBODY`` for no account or one that there is not. ``tx`` may be bound to any account."""
    known: dict[str, str] = tx.memory.get(_CanonicalIds) or tx.memory.setdefault(_CanonicalIds, _CanonicalIds())
    found = known.get(account_id)
    if found is not None:
        return found
    read = account(tx, account_id) if account_id else None
    if read is None:
        return NOBODY
    if not tx.changed:  # else the account itself may be undone
        if len(known) >= _REMEMBERED:
            known.clear()
        known[account_id] = read.canonical_id
    return read.canonical_id


_REMEMBERED = 100_000


def fill_canonical_ids(tx: Tx) -> None:
    """Gives those accounts theirs that an older release made."""
    for row in read_all(Account, tx.all(_WITHOUT)):
        tx.change(accounts, row.id, canonical_id=_canonical_id(row.id, row.created_at))


def _canonical_id(account_id: str, created_at: datetime.datetime) -> str:
    return hashlib.sha256(f"canonical user {account_id} {to_micros(created_at)}".encode()).hexdigest()


def _with_canonical_id(read: Account) -> Account:
    return read if read.canonical_id else replace(read, canonical_id=_canonical_id(read.id, read.created_at))


def _whole(found: Account | None) -> Account | None:
    return None if found is None else _with_canonical_id(found)


_ALIAS = re.compile(r"[a-z0-9](-?[a-z0-9]){2,62}")


def add_account(tx: Tx, account_id: str, alias: str | None, name: str) -> Account:
    if not re.fullmatch(r"[0-9]{12}", account_id):
        raise ValueError(f"an account id has twelve digits, not {account_id!r}")
    if alias is not None and not _ALIAS.fullmatch(alias):
        raise ValueError(f"an account alias is 3 to 63 lower-case letters, digits and single hyphens, not {alias!r}")
    if account(tx, account_id) is not None:
        raise Taken(f"there is an account {account_id} already")
    if alias is not None and account_by_alias(tx, alias) is not None:
        raise Taken(f"the alias {alias} is another account's")
    made = _with_canonical_id(Account(account_id, alias, name, tx.now))
    tx.insert(accounts, id=account_id, alias=alias, name=name, created_at=tx.now, canonical_id=made.canonical_id)
    return made


def set_alias(tx: Tx, account_id: str, alias: str | None) -> None:
    """An account has one alias at most, and no two accounts the same. Raises ``Taken``."""
    other = account_by_alias(tx, alias) if alias is not None else None
    if other is not None:
        raise Taken(f"the alias {alias} is in use")
    tx.change(accounts, account_id, alias=alias)
