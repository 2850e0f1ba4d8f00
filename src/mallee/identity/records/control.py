"""What stands above an account's own policies: who administers the cloud, service control policies, the policies that limit
an account, and the values of its quotas.

Service control policies are attached to ``ROOT``, which is every account, or to one account; what an account may do must
be allowed at both levels. As in AWS, ``FullAWSAccess`` is attached everywhere until it is detached: it is no row, its
absence is. So a cloud without service control policies has no rows here, and a new account needs none. The account that
set the cloud up is exempt: its administrators can always get in to mend what a policy broke.

An account policy holds ``Effect: Limit`` statements. Administrators write it, the account can only read it.
"""

from __future__ import annotations

import datetime
import secrets
from dataclasses import dataclass

from sqlalchemy import Column, Index, bindparam, select

from mallee.identity.records.names import one
from mallee.store import Flag, Float, Text, Timestamp, Tx, read_all, resource_table

ROOT = "root"
FULL_ACCESS_ID = "p-FullAWSAccess"
FULL_ACCESS = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'

administrators = resource_table(
    "administrators",
    Column("account_id", Text, primary_key=True),
    Column("granted_at", Timestamp, nullable=False),
    Column("granted_by", Text, nullable=False),
    Column("permanent", Flag, nullable=False),
    owned=False,
)

service_control_policies = resource_table(
    "service_control_policies",
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    owned=False,
)

service_control_targets = resource_table(
    "service_control_targets",
    Column("target_id", Text, primary_key=True),
    Column("policy_id", Text, primary_key=True),
    Column("attached_at", Timestamp, nullable=False),
    owned=False,
)
Index("service_control_targets_by_policy", service_control_targets.c.policy_id)

full_access_withheld = resource_table(
    "full_access_withheld",
    Column("target_id", Text, primary_key=True),
    Column("since", Timestamp, nullable=False),
    owned=False,
)

account_policies = resource_table(
    "account_policies",
    Column("account_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("document", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
)

quota_values = resource_table(
    "quota_values",
    Column("account_id", Text, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("value", Float, nullable=False),
    Column("set_at", Timestamp, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Administrator:
    """``permanent``: the account that set the cloud up, whose grant cannot be taken back."""

    account_id: str
    granted_at: datetime.datetime
    granted_by: str
    permanent: bool


@dataclass(frozen=True, slots=True)
class ServiceControlPolicy:
    id: str
    name: str
    description: str
    document: str
    created_at: datetime.datetime
    updated_at: datetime.datetime

    @property
    def is_builtin(self) -> bool:
        return self.id == FULL_ACCESS_ID

    def arn(self, partition: str) -> str:
        owner = "aws" if self.is_builtin else ""
        return f"arn:{partition}:mallee::{owner}:service-control-policy/{self.id}"


@dataclass(frozen=True, slots=True)
class AccountPolicy:
    account_id: str
    name: str
    document: str
    created_at: datetime.datetime
    updated_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class QuotaValue:
    account_id: str
    service: str
    code: str
    value: float
    set_at: datetime.datetime


_ALWAYS = datetime.datetime(2016, 11, 1, tzinfo=datetime.UTC)
FULL = ServiceControlPolicy(FULL_ACCESS_ID, "FullAWSAccess", "Allows access to every operation", FULL_ACCESS, _ALWAYS, _ALWAYS)

# ---------------------------------------------------------------------------------------------------------- administrators

_ADMINISTRATOR = select(administrators).where(administrators.c.account_id == bindparam("account_id"))
_ADMINISTRATORS = select(administrators).order_by(administrators.c.account_id)


def administrator(tx: Tx, account_id: str) -> Administrator | None:
    return one(Administrator, tx.first(_ADMINISTRATOR, account_id=account_id))


def all_administrators(tx: Tx) -> list[Administrator]:
    return read_all(Administrator, tx.all(_ADMINISTRATORS))


def is_administrator(tx: Tx, account_id: str) -> bool:
    """Whether the account administers the cloud: by a grant, or because it set the cloud up."""
    return administrator(tx, account_id) is not None


# ------------------------------------------------------------------------------------------------ service control policies

_POLICIES = select(service_control_policies).order_by(service_control_policies.c.name)
_POLICY = select(service_control_policies).where(service_control_policies.c.id == bindparam("id"))
_POLICY_NAMED = select(service_control_policies).where(service_control_policies.c.name == bindparam("name"))
_ATTACHED = (
    select(service_control_targets.c.target_id, service_control_policies)
    .join(service_control_policies, service_control_policies.c.id == service_control_targets.c.policy_id)
    .where(service_control_targets.c.target_id.in_(bindparam("targets", expanding=True)))
    .order_by(service_control_targets.c.attached_at, service_control_policies.c.id)
)
_WITHHELD = select(full_access_withheld.c.target_id).where(
    full_access_withheld.c.target_id.in_(bindparam("targets", expanding=True))
)
_WITHHELD_FROM = select(full_access_withheld.c.target_id)
_TARGETS = (
    select(service_control_targets.c.target_id)
    .where(service_control_targets.c.policy_id == bindparam("policy_id"))
    .order_by(service_control_targets.c.target_id)
)


def scps_for(tx: Tx, account_id: str) -> tuple[tuple[ServiceControlPolicy, ...], ...]:
    """The levels that must each allow what anybody in the account does: the whole cloud's and the account's own. A level that
    allows everything is left out; none is left for the account that set the cloud up."""
    levels = attached_to(tx, ROOT, account_id)
    meaningful = tuple(level for level in levels if level != (FULL,))
    if not meaningful:
        return ()
    admin = administrator(tx, account_id)
    return () if admin is not None and admin.permanent else meaningful


def attached_to(tx: Tx, *targets: str) -> tuple[tuple[ServiceControlPolicy, ...], ...]:
    """The policies of each target, FullAWSAccess first where it was not detached."""
    asked = list(targets)
    withheld = {row.target_id for row in tx.all(_WITHHELD, targets=asked)}
    found: dict[str, list[ServiceControlPolicy]] = {each: [] if each in withheld else [FULL] for each in asked}
    for row in tx.all(_ATTACHED, targets=asked):
        values = {name: value for name, value in row._mapping.items() if name != "target_id"}
        found[row.target_id].append(ServiceControlPolicy(**values))
    return tuple(tuple(found[each]) for each in targets)


def scps(tx: Tx) -> list[ServiceControlPolicy]:
    """All of them by name, without FullAWSAccess."""
    return read_all(ServiceControlPolicy, tx.all(_POLICIES))


def scp(tx: Tx, policy_id: str) -> ServiceControlPolicy | None:
    if policy_id == FULL_ACCESS_ID:
        return FULL
    return one(ServiceControlPolicy, tx.first(_POLICY, id=policy_id))


def scp_named(tx: Tx, name: str) -> ServiceControlPolicy | None:
    if name == FULL.name:
        return FULL
    return one(ServiceControlPolicy, tx.first(_POLICY_NAMED, name=name))


def targets_of(tx: Tx, policy_id: str) -> list[str]:
    """What a policy of the cloud's own is attached to: account ids and ROOT."""
    return [row.target_id for row in tx.all(_TARGETS, policy_id=policy_id)]


def withheld_from(tx: Tx) -> set[str]:
    """The targets that FullAWSAccess was detached from."""
    return {row.target_id for row in tx.all(_WITHHELD_FROM)}


def add_scp(tx: Tx, name: str, description: str, document: str) -> ServiceControlPolicy:
    made = ServiceControlPolicy(f"p-{secrets.token_hex(4)}", name, description, document, tx.now, tx.now)
    tx.insert(
        service_control_policies, id=made.id, name=name, description=description, document=document, created_at=tx.now,
        updated_at=tx.now,
    )  # fmt: skip
    return made


def attach_scp(tx: Tx, policy_id: str, target: str) -> None:
    if policy_id == FULL_ACCESS_ID:
        tx.remove(full_access_withheld, target)
    else:
        tx.insert(service_control_targets, target_id=target, policy_id=policy_id, attached_at=tx.now)


def detach_scp(tx: Tx, policy_id: str, target: str) -> None:
    if policy_id == FULL_ACCESS_ID:
        tx.insert(full_access_withheld, target_id=target, since=tx.now)
    else:
        tx.remove(service_control_targets, {"target_id": target, "policy_id": policy_id})


# -------------------------------------------------------------------------------------------------- account policies, quotas

_ACCOUNT_POLICIES = (
    select(account_policies).where(account_policies.c.account_id == bindparam("account_id")).order_by(account_policies.c.name)
)
_ACCOUNT_POLICY = select(account_policies).where(
    account_policies.c.account_id == bindparam("account_id"), account_policies.c.name == bindparam("name")
)
_VALUE = select(quota_values.c.value).where(
    quota_values.c.account_id == bindparam("account_id"),
    quota_values.c.service == bindparam("service"),
    quota_values.c.code == bindparam("code"),
)
_VALUES = select(quota_values).where(quota_values.c.account_id == bindparam("account_id"))


def policies_of_account(tx: Tx, account_id: str) -> list[AccountPolicy]:
    return read_all(AccountPolicy, tx.all(_ACCOUNT_POLICIES, account_id=account_id))


def policy_of_account(tx: Tx, account_id: str, name: str) -> AccountPolicy | None:
    return one(AccountPolicy, tx.first(_ACCOUNT_POLICY, account_id=account_id, name=name))


def quota_value(tx: Tx, account_id: str, service: str, code: str) -> float | None:
    """What an administrator gave the account, or None for the default."""
    found = tx.value(_VALUE, account_id=account_id, service=service, code=code)
    return None if found is None else float(found)


def quota_values_of(tx: Tx, account_id: str) -> dict[tuple[str, str], QuotaValue]:
    return {(each.service, each.code): each for each in read_all(QuotaValue, tx.all(_VALUES, account_id=account_id))}
