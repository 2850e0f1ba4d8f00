"""Login profiles (the passwords of users), the accounts' password policies, and when a password was last used.

A profile's ``secret`` is sealed: it holds the hashes of the password and of earlier ones (``identity.passwords``).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Column, bindparam, select

from mallee.identity.records.names import one
from mallee.store import Bytes, Flag, Integer, Text, Timestamp, Tx, plain_table, read_all, resource_table

login_profiles = resource_table(
    "iam_login_profiles",
    Column("user_id", Text, primary_key=True),
    Column("secret", Bytes, nullable=False, info={"secret": True}),
    Column("created_at", Timestamp, nullable=False),
    Column("changed_at", Timestamp, nullable=False),
    Column("reset_required", Flag, nullable=False),
)

password_policies = resource_table(
    "iam_password_policies",
    Column("account_id", Text, primary_key=True),
    Column("minimum_length", Integer, nullable=False),
    Column("symbols", Flag, nullable=False),
    Column("numbers", Flag, nullable=False),
    Column("uppercase", Flag, nullable=False),
    Column("lowercase", Flag, nullable=False),
    Column("users_may_change", Flag, nullable=False),
    Column("maximum_days", Integer, nullable=False),
    Column("remembered", Integer, nullable=False),
    Column("hard_expiry", Flag, nullable=False),
)

sign_ins = plain_table(
    "iam_sign_ins",
    Column("user_id", Text, primary_key=True),
    Column("at", Timestamp, nullable=False),
)


@dataclass(frozen=True, slots=True)
class LoginProfile:
    """``changed_at`` is when the password was last set; its age counts from there."""

    user_id: str
    account_id: str
    secret: bytes
    created_at: datetime.datetime
    changed_at: datetime.datetime
    reset_required: bool


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """``maximum_days``: 0 when passwords don't expire. ``remembered``: how many earlier passwords may not come back."""

    account_id: str
    minimum_length: int = 6
    symbols: bool = False
    numbers: bool = False
    uppercase: bool = False
    lowercase: bool = False
    users_may_change: bool = False
    maximum_days: int = 0
    remembered: int = 0
    hard_expiry: bool = False


_PROFILE = select(login_profiles).where(login_profiles.c.user_id == bindparam("user_id"))
_PROFILES = (
    select(login_profiles).where(login_profiles.c.account_id == bindparam("account_id")).order_by(login_profiles.c.user_id)
)
_POLICY = select(password_policies).where(password_policies.c.account_id == bindparam("account_id"))
_SIGNED_IN = select(sign_ins.c.at).where(sign_ins.c.user_id == bindparam("user_id"))
_SIGNED_IN_OF = select(sign_ins).where(sign_ins.c.user_id.in_(bindparam("user_ids", expanding=True)))


def login_profile(tx: Tx, user_id: str) -> LoginProfile | None:
    return one(LoginProfile, tx.first(_PROFILE, user_id=user_id))


def login_profiles_in(tx: Tx, account_id: str) -> list[LoginProfile]:
    return read_all(LoginProfile, tx.all(_PROFILES, account_id=account_id))


def password_policy(tx: Tx, account_id: str) -> PasswordPolicy | None:
    """The account's own; None where AWS's default applies."""
    return one(PasswordPolicy, tx.first(_POLICY, account_id=account_id))


def password_last_used(tx: Tx, user_id: str) -> datetime.datetime | None:
    """When the user last signed in by a password."""
    found: datetime.datetime | None = tx.value(_SIGNED_IN, user_id=user_id)
    return found


def passwords_last_used(tx: Tx, user_ids: Iterable[str]) -> dict[str, datetime.datetime]:
    """The same of many users at once; those who never did are not among them."""
    return {row.user_id: row.at for row in tx.all(_SIGNED_IN_OF, user_ids=list(user_ids))}


def note_sign_in(tx: Tx, user_id: str) -> None:
    tx.put(sign_ins, user_id=user_id, at=tx.now)
