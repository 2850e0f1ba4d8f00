"""Access keys, and the public SSH keys of users. An access key's secret is stored sealed (``vault``) and leaves this floor
only through ``identity.keys``."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sqlalchemy import Column, Index, bindparam, select

from mallee.identity.records.names import Taken, one, secret, unique
from mallee.identity.vault import Vault
from mallee.store import Bytes, Text, Timestamp, Tx, read_all, resource_table

ACTIVE = "Active"
INACTIVE = "Inactive"

access_keys = resource_table(
    "access_keys",
    Column("id", Text, primary_key=True),
    Column("user_id", Text),
    Column("secret", Bytes, nullable=False, info={"secret": True}),
    Column("status", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)
Index("access_keys_by_user", access_keys.c.account_id, access_keys.c.user_id)

ssh_public_keys = resource_table(
    "iam_ssh_public_keys",
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("uploaded_at", Timestamp, nullable=False),
)
Index("iam_ssh_public_keys_by_user", ssh_public_keys.c.user_id, ssh_public_keys.c.line, unique=True)


@dataclass(frozen=True, slots=True)
class AccessKey:
    id: str
    account_id: str
    user_id: str | None
    secret: bytes
    status: str
    created_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class SshPublicKey:
    """``body`` is what was uploaded; ``line`` the same key as ``ssh-rsa …``, without a comment."""

    id: str
    account_id: str
    user_id: str
    body: str
    line: str
    fingerprint: str
    status: str
    uploaded_at: datetime.datetime


_KEY = select(access_keys).where(access_keys.c.id == bindparam("id"))
_ROOT_KEYS = (
    select(access_keys)
    .where(access_keys.c.account_id == bindparam("account_id"), access_keys.c.user_id.is_(None))
    .order_by(access_keys.c.created_at, access_keys.c.id)
)
_KEYS_OF = (
    select(access_keys)
    .where(access_keys.c.account_id == bindparam("account_id"), access_keys.c.user_id == bindparam("user_id"))
    .order_by(access_keys.c.created_at, access_keys.c.id)
)
_SSH_KEY = select(ssh_public_keys).where(
    ssh_public_keys.c.account_id == bindparam("account_id"), ssh_public_keys.c.id == bindparam("id")
)
_SSH_KEYS_OF = select(ssh_public_keys).where(ssh_public_keys.c.user_id == bindparam("user_id")).order_by(ssh_public_keys.c.id)


def access_key(tx: Tx, access_key_id: str) -> AccessKey | None:
    return one(AccessKey, tx.first(_KEY, id=access_key_id))


def root_access_keys(tx: Tx, account_id: str) -> list[AccessKey]:
    return read_all(AccessKey, tx.all(_ROOT_KEYS, account_id=account_id))


def access_keys_of(tx: Tx, account_id: str, user_id: str | None) -> list[AccessKey]:
    """The user's, or the root's for None; the oldest first."""
    if user_id is None:
        return root_access_keys(tx, account_id)
    return read_all(AccessKey, tx.all(_KEYS_OF, account_id=account_id, user_id=user_id))


def add_access_key(
    tx: Tx, vault: Vault, account_id: str, user_id: str | None, pair: tuple[str, str] | None = None
) -> tuple[str, str]:
    """A new active key of the user, or of the account's root: (id, secret). The secret is told this once. ``pair`` is one
    that exists already elsewhere and is brought in; raises ``Taken`` if its id is known here."""
    access_key_id, text = pair or (unique("AKIA"), secret())
    if pair is not None and access_key(tx.everyone(), access_key_id) is not None:
        raise Taken(f"there is an access key {access_key_id} already")
    tx.insert(
        access_keys,
        id=access_key_id,
        account_id=account_id,
        user_id=user_id,
        secret=vault.seal(access_key_id, text),
        status=ACTIVE,
        created_at=tx.now,
    )
    return access_key_id, text


def ssh_public_key(tx: Tx, account_id: str, key_id: str) -> SshPublicKey | None:
    return one(SshPublicKey, tx.first(_SSH_KEY, account_id=account_id, id=key_id))


def ssh_public_keys_of(tx: Tx, user_id: str) -> list[SshPublicKey]:
    return read_all(SshPublicKey, tx.all(_SSH_KEYS_OF, user_id=user_id))
