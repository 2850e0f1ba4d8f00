"""Roles and the instance profiles that hand them to instances. Names are unique in their account and kind without regard
to case."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sqlalchemy import Column, Index, bindparam, select

from mallee.identity.records.names import Taken, folded, one, unique
from mallee.store import Integer, Text, Timestamp, Tx, resource_table

roles = resource_table(
    "iam_roles",
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("folded_name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("trust_policy", Text, nullable=False),
    Column("description", Text),
    Column("max_session_seconds", Integer, nullable=False),
    Column("boundary_arn", Text),
    Column("linked_service", Text),
)
Index("iam_roles_by_name", roles.c.account_id, roles.c.folded_name, unique=True)

instance_profiles = resource_table(
    "iam_instance_profiles",
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("folded_name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("role_id", Text),
)
Index("iam_instance_profiles_by_name", instance_profiles.c.account_id, instance_profiles.c.folded_name, unique=True)
Index("iam_instance_profiles_by_role", instance_profiles.c.role_id)


@dataclass(frozen=True, slots=True)
class Role:
    """``trust_policy``: who may assume it, as it was given. ``linked_service``: the service that a service-linked role
    belongs to."""

    id: str
    account_id: str
    name: str
    path: str
    created_at: datetime.datetime
    trust_policy: str
    description: str | None
    max_session_seconds: int
    boundary_arn: str | None = None
    linked_service: str | None = None

    def arn(self, partition: str) -> str:
        return f"arn:{partition}:iam::{self.account_id}:role{self.path}{self.name}"


@dataclass(frozen=True, slots=True)
class InstanceProfile:
    id: str
    account_id: str
    name: str
    path: str
    created_at: datetime.datetime
    role_id: str | None = None

    def arn(self, partition: str) -> str:
        return f"arn:{partition}:iam::{self.account_id}:instance-profile{self.path}{self.name}"


_ROLE = select(roles).where(roles.c.id == bindparam("id"))
_ROLE_BY_NAME = select(roles).where(
    roles.c.account_id == bindparam("account_id"), roles.c.folded_name == bindparam("folded_name")
)
_PROFILE = select(instance_profiles).where(instance_profiles.c.id == bindparam("id"))
_PROFILE_BY_NAME = select(instance_profiles).where(
    instance_profiles.c.account_id == bindparam("account_id"), instance_profiles.c.folded_name == bindparam("folded_name")
)


def role(tx: Tx, role_id: str) -> Role | None:
    return one(Role, tx.first(_ROLE, id=role_id))


def role_by_name(tx: Tx, account_id: str, name: str) -> Role | None:
    return one(Role, tx.first(_ROLE_BY_NAME, account_id=account_id, folded_name=folded(name)))


def instance_profile(tx: Tx, profile_id: str) -> InstanceProfile | None:
    return one(InstanceProfile, tx.first(_PROFILE, id=profile_id))


def instance_profile_by_name(tx: Tx, account_id: str, name: str) -> InstanceProfile | None:
    return one(InstanceProfile, tx.first(_PROFILE_BY_NAME, account_id=account_id, folded_name=folded(name)))


def add_role(
    tx: Tx,
    account_id: str,
    name: str,
    trust_policy: str,
    *,
    path: str = "/",
    description: str | None = None,
    max_session_seconds: int = 3600,
    boundary_arn: str | None = None,
    linked_service: str | None = None,
) -> Role:
    if role_by_name(tx, account_id, name) is not None:
        raise Taken(f"there is a role {name} already")
    made = Role(
        unique("AROA"), account_id, name, path, tx.now, trust_policy, description, max_session_seconds, boundary_arn,
        linked_service,
    )  # fmt: skip
    tx.insert(
        roles, id=made.id, account_id=account_id, name=name, folded_name=folded(name), path=path, created_at=tx.now,
        trust_policy=trust_policy, description=description, max_session_seconds=max_session_seconds,
        boundary_arn=boundary_arn, linked_service=linked_service,
    )  # fmt: skip
    return made


def add_instance_profile(tx: Tx, account_id: str, name: str, path: str = "/") -> InstanceProfile:
    if instance_profile_by_name(tx, account_id, name) is not None:
        raise Taken(f"there is an instance profile {name} already")
    made = InstanceProfile(unique("AIPA"), account_id, name, path, tx.now)
    tx.insert(
        instance_profiles, id=made.id, account_id=account_id, name=name, folded_name=folded(name), path=path,
        created_at=tx.now,
    )  # fmt: skip
    return made
