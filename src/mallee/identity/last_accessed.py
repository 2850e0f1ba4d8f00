"""Which services a user, group, role or managed policy allows, and when they were last used by it: access advisor.

Only the permissions policies count, as in AWS: no boundaries, service control or resource policies. Listed are the services
that this cloud has. What was used is known from ``records.uses``, denied calls among it, for the last 400 days.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mallee.identity import managed
from mallee.identity.managed import reference
from mallee.identity.records import policies, roles, users, uses
from mallee.identity.records.roles import Role
from mallee.identity.records.users import Group, User
from mallee.identity.records.uses import ServiceUse
from mallee.identity.rules.policy import Kind, Malformed, Policy, compile_policy
from mallee.store import Tx

ACTIONS: Final = "ACTION_LEVEL"
TRACKED: Final = datetime.timedelta(days=400)

Holder = User | Group | Role


@dataclass(frozen=True, slots=True)
class Granted:
    """One policy that somebody has. ``holder`` is whose inline policy it is, ``arn`` a managed policy's."""

    name: str
    document: str
    arn: str | None = None
    holder: Holder | None = None

    @property
    def policy(self) -> Policy | None:
        """None for a text that is none by now: it allows nothing."""
        try:
            return compile_policy(self.document, Kind.IDENTITY)
        except Malformed:
            return None


def granted_to(tx: Tx, holder: Holder, partition: str) -> list[Granted]:
    """All that the holder has, a user's groups' policies too; managed policies once, whoever brings them."""
    holders: list[Holder] = [holder, *(users.groups_of(tx, holder.id) if isinstance(holder, User) else ())]
    found = [Granted(each.name, each.document, holder=one) for one in holders for each in policies.inline_of(tx, one.id)]
    arns = dict.fromkeys(each.policy_arn for one in holders for each in policies.attached_to(tx, one.id))
    own = policies.documents_in_force(tx, holder.account_id, arns, partition)
    for arn in arns:
        text = managed.document(arn) or own.get(arn)
        if text is not None:
            found.append(Granted(arn.rpartition("/")[2], text, arn))
    return found


def allows_service(policy: Policy | None, service: str) -> bool:
    """Whether any statement allows anything of it, on whatever resource and condition."""
    return policy is not None and any(each.concerns(service) for each in policy.statements if not each.denies)


def build(tx: Tx, account_id: str, subject: str, granularity: str, partition: str) -> str | None:
    """The report as JSON; None when the subject is not there any more. ``tx`` is the account's."""
    found = _subject(tx, account_id, subject, partition)
    if found is None:
        return None
    granted, entities = found
    compiled = [policy for policy in (each.policy for each in granted) if policy is not None]
    used = {entity.id: _uses(tx, entity.id) for entity in entities}
    services = [
        _service(service, entities, used, partition, compiled if granularity == ACTIONS else None)
        for service in reference.services().values()
        if any(allows_service(policy, service.prefix) for policy in compiled)
    ]
    return json.dumps(services, separators=(",", ":"))


def _subject(tx: Tx, account_id: str, arn: str, partition: str) -> tuple[list[Granted], list[User | Role]] | None:
    """What the ARN grants, and who may have used it: a user or role itself, a group's users, all who have a policy."""
    kind, _, rest = arn.split(":", 5)[-1].partition("/")
    name = rest.rpartition("/")[2]
    if kind == "policy":
        text = managed.document(arn) or policies.documents_in_force(tx, account_id, [arn], partition).get(arn)
        return None if text is None else ([Granted(name, text, arn)], _holders_of(tx, account_id, arn))
    finders = {"user": users.user_by_name, "group": users.group_by_name, "role": roles.role_by_name}
    holder = finders[kind](tx, account_id, name)
    if holder is None or holder.arn(partition) != arn:
        return None
    entities = users.users_of(tx, holder.id) if isinstance(holder, Group) else [holder]
    return granted_to(tx, holder, partition), list(entities)


def _holders_of(tx: Tx, account_id: str, arn: str) -> list[User | Role]:
    ids = policies.holders_of(tx, account_id, arn)
    found: dict[str, User | Role] = dict(users.users_by_id(tx, ids))
    for group in users.groups_by_id(tx, ids).values():
        found |= {user.id: user for user in users.users_of(tx, group.id)}
    return list((found | roles.roles_by_id(tx, ids)).values())


def _uses(tx: Tx, holder_id: str) -> dict[str, list[ServiceUse]]:
    found: dict[str, list[ServiceUse]] = {}
    for use in uses.uses_of(tx, holder_id):
        if use.used_at >= tx.now - TRACKED:
            found.setdefault(use.service, []).append(use)
    return found


def _service(
    service: reference.Service,
    entities: Sequence[User | Role],
    used: dict[str, dict[str, list[ServiceUse]]],
    partition: str,
    tracked: list[Policy] | None,
) -> dict[str, Any]:
    of_service = {entity.id: used[entity.id].get(service.prefix, []) for entity in entities}
    arns = {entity.id: entity.arn(partition) for entity in entities}
    every = [use for found in of_service.values() for use in found]
    shown: dict[str, Any] = {"ServiceName": service.name, "ServiceNamespace": service.prefix}
    shown["TotalAuthenticatedEntities"] = sum(bool(found) for found in of_service.values())
    last = _latest(every)
    if last is not None:
        shown["LastAuthenticated"] = last.used_at.isoformat()
        shown["LastAuthenticatedEntity"], shown["LastAuthenticatedRegion"] = arns[last.holder_id], last.region
    if tracked is not None:
        shown["TrackedActionsLastAccessed"] = _actions(service, every, arns, tracked)
    shown["Entities"] = [_entity(entity, arns[entity.id], _latest(of_service[entity.id])) for entity in entities]
    return shown


def _actions(
    service: reference.Service, every: Sequence[ServiceUse], arns: dict[str, str], granted: Sequence[Policy]
) -> list[dict[str, Any]]:
    """The actions that the policies allow, each with its last use."""
    found = []
    for action in service.actions:
        name = f"{service.prefix}:{action}".lower()
        if not any(not statement.denies for policy in granted for statement in policy.about(name)):
            continue
        shown: dict[str, Any] = {"ActionName": action}
        last = _latest(use for use in every if use.action == action)
        if last is not None:
            shown["LastAccessedTime"], shown["LastAccessedEntity"] = last.used_at.isoformat(), arns[last.holder_id]
            shown["LastAccessedRegion"] = last.region
        found.append(shown)
    return found


def _entity(entity: User | Role, arn: str, last: ServiceUse | None) -> dict[str, Any]:
    kind = "USER" if isinstance(entity, User) else "ROLE"
    shown: dict[str, Any] = {"EntityInfo": {"Arn": arn, "Name": entity.name, "Type": kind, "Id": entity.id, "Path": entity.path}}
    if last is not None:
        shown["LastAuthenticated"] = last.used_at.isoformat()
    return shown


def _latest(found: Iterable[ServiceUse]) -> ServiceUse | None:
    return max(found, key=lambda use: use.used_at, default=None)
