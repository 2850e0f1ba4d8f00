"""Accounts: an account has exactly one root, which is the account itself (user_id null in its access keys)."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from sqlalchemy import Column, bindparam, select

from mallee.identity.records.names import Taken, one
from mallee.store import Integer, Text, Timestamp, Tx, read_all, resource_table

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

    @property
    def status(self) -> str:
        return OPEN if self.closed_at is None else CLOSED


_ACCOUNT = select(accounts).where(accounts.c.id == bindparam("id"))
_ACCOUNT_BY_ALIAS = select(accounts).where(accounts.c.alias == bindparam("alias"))
_ACCOUNTS = select(accounts).order_by(accounts.c.id)


def account(tx: Tx, account_id: str) -> Account | None:
    return one(Account, tx.first(_ACCOUNT, id=account_id))


def account_by_alias(tx: Tx, alias: str) -> Account | None:
    return one(Account, tx.first(_ACCOUNT_BY_ALIAS, alias=alias))


def all_accounts(tx: Tx) -> list[Account]:
    return read_all(Account, tx.all(_ACCOUNTS))


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
    tx.insert(accounts, id=account_id, alias=alias, name=name, created_at=tx.now)
    return Account(account_id, alias, name, tx.now)


def set_alias(tx: Tx, account_id: str, alias: str | None) -> None:
    """An account has one alias at most, and no two accounts the same. Raises ``Taken``."""
    other = account_by_alias(tx, alias) if alias is not None else None
    if other is not None:
        raise Taken(f"the alias {alias} is in use")
    tx.change(accounts, account_id, alias=alias)
