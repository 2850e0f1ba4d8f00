"""Instance profiles as the domain of instances sees them: finding the one that a request names, and the roles behind many.

Who keeps something that follows from a profile's role (the documents of nodes) says so once by ``watch``; whatever puts a
role into a profile, takes it out or deletes the profile calls ``changed`` in its own transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select

from mallee.identity.records import roles
from mallee.identity.records.roles import InstanceProfile, Role
from mallee.identity.rules.context import Context
from mallee.identity.rules.errors import Malformed
from mallee.identity.rules.evaluate import Grants, Question, decide
from mallee.identity.rules.policy import Kind, compile_policy
from mallee.identity.rules.principals import service
from mallee.store import Tx

EC2 = "ec2.amazonaws.com"
_SOME = 500
_ROLES_OF = (
    select(roles.instance_profiles.c.id, roles.roles.c.name)
    .outerjoin(roles.roles, roles.roles.c.id == roles.instance_profiles.c.role_id)
    .where(roles.instance_profiles.c.id.in_(bindparam("ids", expanding=True)))
)

Watcher = Callable[[Tx, str], None]
_watchers: list[Watcher] = []


@dataclass(frozen=True, slots=True)
class Profile:
    """``role`` is None for a profile that holds none."""

    id: str
    arn: str
    name: str
    role: Role | None


def profile_for_ec2(
    tx: Tx, partition: str, account_id: str, *, arn: str | None = None, name: str | None = None
) -> Profile | None:
    """The account's profile that EC2's ``IamInstanceProfile`` names; None when it has no such profile. An ARN must be
    right in all its parts."""
    if arn is not None:
        name = arn.rpartition("/")[2]
    found = roles.instance_profile_by_name(tx, account_id, name or "")
    if found is None or (arn is not None and found.arn(partition) != arn):
        return None
    return _profile(tx, partition, found)


def profile(tx: Tx, partition: str, profile_id: str) -> Profile | None:
    found = roles.instance_profile(tx, profile_id)
    return None if found is None else _profile(tx, partition, found)


def _profile(tx: Tx, partition: str, found: InstanceProfile) -> Profile:
    role = roles.role(tx, found.role_id) if found.role_id else None
    return Profile(found.id, found.arn(partition), found.name, role)


def trusts_ec2(tx: Tx, role: Role, partition: str) -> bool:
    """Whether the role's trust policy lets EC2 assume it."""
    try:
        policy = compile_policy(role.trust_policy, Kind.TRUST)
    except Malformed:
        return False
    keys = Context({"aws:CurrentTime": tx.now, "aws:PrincipalServiceName": EC2, "aws:PrincipalIsAWSService": True})
    arn = role.arn(partition)
    question = Question("sts:AssumeRole", arn, keys, service(EC2), policy, resource_owner=role.account_id)
    return decide(question, Grants()).allowed


def role_names(tx: Tx, profile_ids: Sequence[str]) -> dict[str, str | None]:
    """The names of the roles in profiles, None for an empty one; a profile that is gone is not among them."""
    found: dict[str, str | None] = {}
    for start in range(0, len(profile_ids), _SOME):
        found.update({row.id: row.name for row in tx.all(_ROLES_OF, ids=list(profile_ids[start : start + _SOME]))})
    return found


def watch(watcher: Watcher) -> None:
    """``watcher(tx, profile_id)`` is called in the transaction that changes which role a profile holds."""
    _watchers.append(watcher)


def changed(tx: Tx, profile_ids: Iterable[str]) -> None:
    for profile_id in profile_ids:
        for watcher in _watchers:
            watcher(tx, profile_id)
