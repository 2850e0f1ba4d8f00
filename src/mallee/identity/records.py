"""Accounts, users and access keys: the tables, the records, and what may be asked of them.

An account has exactly one root, which is the account itself (user_id null in its access keys). A secret is stored
sealed (``vault``) and leaves this module only through ``keys``. Names of users are unique in their account without
regard to case, as IAM's are.
"""

from __future__ import annotations

import datetime
import re
import secrets
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Column, Index, bindparam, select

from mallee.identity.vault import Vault
from mallee.store import Bytes, Text, Timestamp, Tx, read, read_all, resource_table

T = TypeVar("T")

ACTIVE = "Active"
INACTIVE = "Inactive"

accounts = resource_table(
    "accounts",
    Column("id", Text, primary_key=True),
    Column("alias", Text, unique=True),
    Column("name", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    owned=False,
)

users = resource_table(
    "users",
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("folded_name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)
Index("users_by_name", users.c.account_id, users.c.folded_name, unique=True)

access_keys = resource_table(
    "access_keys",
    Column("id", Text, primary_key=True),
    Column("user_id", Text),
    Column("secret", Bytes, nullable=False, info={"secret": True}),
    Column("status", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)
Index("access_keys_by_user", access_keys.c.account_id, access_keys.c.user_id)


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    alias: str | None
    name: str
    created_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class User:
    id: str
    account_id: str
    name: str
    path: str
    created_at: datetime.datetime

    def arn(self, partition: str) -> str:
        return f"arn:{partition}:iam::{self.account_id}:user{self.path}{self.name}"


@dataclass(frozen=True, slots=True)
class AccessKey:
    id: str
    account_id: str
    user_id: str | None
    secret: bytes
    status: str
    created_at: datetime.datetime


_ACCOUNT = select(accounts).where(accounts.c.id == bindparam("id"))
_ACCOUNT_BY_ALIAS = select(accounts).where(accounts.c.alias == bindparam("alias"))
_ACCOUNTS = select(accounts).order_by(accounts.c.id)
_USER = select(users).where(users.c.id == bindparam("id"))
_USER_BY_NAME = select(users).where(
    users.c.account_id == bindparam("account_id"), users.c.folded_name == bindparam("folded_name")
)
_KEY = select(access_keys).where(access_keys.c.id == bindparam("id"))
_ROOT_KEYS = (
    select(access_keys)
    .where(access_keys.c.account_id == bindparam("account_id"), access_keys.c.user_id.is_(None))
    .order_by(access_keys.c.created_at, access_keys.c.id)
)


def _one(kind: type[T], row: Any) -> T | None:
    return None if row is None else read(kind, row)


def account(tx: Tx, account_id: str) -> Account | None:
    return _one(Account, tx.first(_ACCOUNT, id=account_id))


def account_by_alias(tx: Tx, alias: str) -> Account | None:
    return _one(Account, tx.first(_ACCOUNT_BY_ALIAS, alias=alias))


def all_accounts(tx: Tx) -> list[Account]:
    return read_all(Account, tx.all(_ACCOUNTS))


def user(tx: Tx, user_id: str) -> User | None:
    return _one(User, tx.first(_USER, id=user_id))


def user_by_name(tx: Tx, account_id: str, name: str) -> User | None:
    return _one(User, tx.first(_USER_BY_NAME, account_id=account_id, folded_name=name.lower()))


def access_key(tx: Tx, access_key_id: str) -> AccessKey | None:
    return _one(AccessKey, tx.first(_KEY, id=access_key_id))


def root_access_keys(tx: Tx, account_id: str) -> list[AccessKey]:
    return read_all(AccessKey, tx.all(_ROOT_KEYS, account_id=account_id))


# -------------------------------------------------------------------------------------------------------------- writing


class Taken(Exception):
    """An account id, alias or user name that is already somebody's."""


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


def add_user(tx: Tx, account_id: str, name: str, path: str = "/") -> User:
    if user_by_name(tx, account_id, name) is not None:
        raise Taken(f"there is a user {name} already")
    user_id = _unique("AIDA")
    tx.insert(users, id=user_id, account_id=account_id, name=name, folded_name=name.lower(), path=path, created_at=tx.now)
    return User(user_id, account_id, name, path, tx.now)


def add_access_key(tx: Tx, vault: Vault, account_id: str, user_id: str | None) -> tuple[str, str]:
    """A new active key of the user, or of the account's root: (id, secret). The secret is told this once."""
    access_key_id, secret = _unique("AKIA"), _secret()
    tx.insert(
        access_keys,
        id=access_key_id,
        account_id=account_id,
        user_id=user_id,
        secret=vault.seal(access_key_id, secret),
        status=ACTIVE,
        created_at=tx.now,
    )
    return access_key_id, secret


_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def _unique(prefix: str) -> str:
    """IAM's unique ids: a prefix that says the kind, and sixteen characters."""
    return prefix + "".join(secrets.choice(_BASE32) for _ in range(16))


def _secret() -> str:
    return "".join(secrets.choice(_BASE64) for _ in range(40))
