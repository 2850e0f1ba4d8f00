"""By whose tokens users of an account may sign in: OpenID Connect providers, and the claim that is the user's name."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sqlalchemy import Column, bindparam, select

from mallee.identity.records.names import one
from mallee.store import Text, Timestamp, Tx, read_all, resource_table

sign_in_providers = resource_table(
    "sign_in_providers",
    Column("provider_arn", Text, primary_key=True),
    Column("claim", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)


@dataclass(frozen=True, slots=True)
class SignInProvider:
    provider_arn: str
    account_id: str
    claim: str
    created_at: datetime.datetime


_OF = (
    select(sign_in_providers)
    .where(sign_in_providers.c.account_id == bindparam("account_id"))
    .order_by(sign_in_providers.c.provider_arn)
)
_ONE = select(sign_in_providers).where(
    sign_in_providers.c.account_id == bindparam("account_id"), sign_in_providers.c.provider_arn == bindparam("arn")
)


def sign_in_providers_of(tx: Tx, account_id: str) -> list[SignInProvider]:
    return read_all(SignInProvider, tx.all(_OF, account_id=account_id))


def sign_in_provider(tx: Tx, account_id: str, arn: str) -> SignInProvider | None:
    return one(SignInProvider, tx.first(_ONE, account_id=account_id, arn=arn))
