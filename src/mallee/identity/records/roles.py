"""Roles and the instance profiles that hand them to instances. Names are unique in their account and kind without regard
to case."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Column, Index, bindparam, select

from mallee.identity.records.names import Taken, folded, listing, one, part, unique
from mallee.store import Integer, Json, Text, Timestamp, Tx, read_all, resource_table

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
Index("iam_roles_by_boundary", roles.c.account_id, roles.c.boundary_arn)

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


deletion_tasks = resource_table(
    "iam_deletion_tasks",
    Column("id", Text, primary_key=True),
    Column("created_at", Timestamp, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("used_by", Json),
)


@dataclass(frozen=True, slots=True)
class Role:
    """``trust_policy``: who may assume it, with unique ids in the place of users and roles (``identity.trust``).
    ``linked_service``: the service that a service-linked role belongs to."""

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


@dataclass(frozen=True, slots=True)
class DeletionTask:
    """What became of the wish to delete a service-linked role. ``used_by``: the ARNs that still need the role."""

    id: str
    created_at: datetime.datetime
    status: str
    reason: str | None
    used_by: list[str] | None


_ROLE = select(roles).where(roles.c.id == bindparam("id"))
_ROLE_BY_NAME = select(roles).where(
    roles.c.account_id == bindparam("account_id"), roles.c.folded_name == bindparam("folded_name")
)
_PROFILE = select(instance_profiles).where(instance_profiles.c.id == bindparam("id"))
_PROFILE_BY_NAME = select(instance_profiles).where(
    instance_profiles.c.account_id == bindparam("account_id"), instance_profiles.c.folded_name == bindparam("folded_name")
)
_PROFILES_OF = (
    select(instance_profiles).where(instance_profiles.c.role_id == bindparam("role_id")).order_by(instance_profiles.c.folded_name)
)
_ROLES_BY_ID = select(roles).where(roles.c.id.in_(bindparam("ids", expanding=True)))
_ROLES = listing(roles)
_PROFILES = listing(instance_profiles)
_TASK = select(deletion_tasks).where(deletion_tasks.c.id == bindparam("id"))


def role(tx: Tx, role_id: str) -> Role | None:
    return one(Role, tx.first(_ROLE, id=role_id))


def role_by_name(tx: Tx, account_id: str, name: str) -> Role | None:
    return one(Role, tx.first(_ROLE_BY_NAME, account_id=account_id, folded_name=folded(name)))


def roles_in(tx: Tx, account_id: str, prefix: str = "", after: str = "", most: int = 1_000_000) -> list[Role]:
    """The account's roles whose path begins with ``prefix``, by name; at most so many, from after the folded name."""
    return read_all(Role, tx.all(_ROLES, **part(account_id, prefix, after, most)))


def roles_by_id(tx: Tx, ids: Iterable[str]) -> dict[str, Role]:
    """Those of the ids that are roles."""
    wanted = sorted({each for each in ids if each.startswith("AROA")})
    return {found.id: found for found in read_all(Role, tx.all(_ROLES_BY_ID, ids=wanted))} if wanted else {}


def instance_profiles_in(
    tx: Tx, account_id: str, prefix: str = "", after: str = "", most: int = 1_000_000
) -> list[InstanceProfile]:
    """As ``roles_in``."""
    return read_all(InstanceProfile, tx.all(_PROFILES, **part(account_id, prefix, after, most)))


def instance_profiles_of(tx: Tx, role_id: str) -> list[InstanceProfile]:
    """Those that hold the role, by name."""
    return read_all(InstanceProfile, tx.all(_PROFILES_OF, role_id=role_id))


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


def deletion_task(tx: Tx, task_id: str) -> DeletionTask | None:
    return one(DeletionTask, tx.first(_TASK, id=task_id))
