"""Roles that belong to a service: made for it, changed by it alone, and deleted once it needs them no more.

Whether a role can go is known at once here, so that a task of deletion is over when it is answered: what it came to is kept, for
whoever asks later.
"""

from __future__ import annotations

import datetime
import re
import uuid
from typing import Any

from mallee.identity import grants, iam, keys, linked, managed, quotas
from mallee.identity.access import Access, On, ResourceType
from mallee.identity.call import Call
from mallee.identity.records import policies, roles, tags, uses
from mallee.identity.resources import ROLE
from mallee.wire.errors import AwsError

_KEPT = datetime.timedelta(days=30)
_TASK = re.compile(r"task/(aws-service-role/[^/]+/[^/]+)/[0-9a-f-]{36}")
_SUCCEEDED, _FAILED = "SUCCEEDED", "FAILED"


def _made(call: Call, identifier: str, thing: Any) -> str:
    """The ARN of the role that the request is about to make."""
    service, suffix = call.input["AWSServiceName"], call.input.get("CustomSuffix")
    kind = linked.SERVICES.get(service)
    name = "*" if kind is None else kind.named(suffix)
    return call.arn(f"role/aws-service-role/{service}/{name}", "iam")


def _asked(call: Call, task_id: str, thing: Any) -> str:
    """The ARN of the role that stands within the task."""
    task = _TASK.fullmatch(task_id)
    return call.arn(f"role/{task[1]}" if task else "role/*", "iam")


ACCESS = {
    "create_service_linked_role": Access(
        On(ResourceType("role", _made)), keys={"iam:AWSServiceName": lambda call: call.input["AWSServiceName"]}
    ),
    "delete_service_linked_role": Access(On(ROLE, "RoleName")),
    "get_service_linked_role_deletion_status": Access(On(ResourceType("role", _asked), "DeletionTaskId")),
}


def create_service_linked_role(call: Call) -> dict[str, Any]:
    service, suffix = call.input["AWSServiceName"], call.input.get("CustomSuffix")
    kind = linked.SERVICES.get(service)
    if kind is None:
        raise iam.invalid_input(f"Service-linked roles are not supported for the service {service}.")
    if suffix and not kind.suffix:
        raise iam.invalid_input(f"Custom suffix is not allowed for {service}")
    name = kind.named(suffix)
    iam.check_name("role", name)
    if roles.role_by_name(call.tx, call.account_id, name) is not None:
        told = f"Service role name {name} has been taken in this account, please try a different suffix."
        raise iam.invalid_input(told)
    quotas.require(call, quotas.ROLES, error=lambda limit: iam.limit("RolesPerAccount", limit))
    with iam.creating("role", name):
        role = roles.add_role(
            call.tx,
            call.account_id,
            name,
            kind.trust_policy,
            path=kind.path,
            description=call.input.get("Description"),
            linked_service=service,
        )
    _attach(call, role.id, f"arn:{call.settings.partition}:iam::{managed.OWNER}:policy/aws-service-role/{kind.policy}")
    return {"Role": iam.new_role(call, role)}


def _attach(call: Call, role_id: str, arn: str) -> None:
    """A policy that is not had here could not be looked at, either."""
    if managed.describe(arn) is not None:
        call.tx.insert(
            policies.attachments, account_id=call.account_id, holder_id=role_id, policy_arn=arn, attached_at=call.now
        )


def delete_service_linked_role(call: Call) -> dict[str, Any]:
    tx, role = call.tx, iam.the_role(call, call.input["RoleName"])
    if role.linked_service is None:
        raise iam.invalid_input(f"The role {role.name} is not a service-linked role.")
    _sweep(call)
    task_id = f"task{role.path}{role.name}/{uuid.uuid4()}"
    used_by = linked.still_needed(tx, role.linked_service, role.id)
    if used_by:
        reason = f"A service-linked role is required for resources of {role.linked_service}: delete them first."
        _note(call, task_id, _FAILED, reason[:1000], used_by)
        return {"DeletionTaskId": task_id}
    tx.remove_all(policies.attachments, policies.attachments.c.holder_id == role.id)
    tags.remove_tags(tx, role.id)
    uses.forget_holder(tx, role.id)
    tx.remove(roles.roles, role.id)
    grants.forget_after(tx, role.id)
    keys.forget_after(tx)
    _note(call, task_id, _SUCCEEDED)
    return {"DeletionTaskId": task_id}


def get_service_linked_role_deletion_status(call: Call) -> dict[str, Any]:
    task_id = call.input["DeletionTaskId"]
    if not _TASK.fullmatch(task_id):
        raise iam.invalid_input(f"Deletion task ID {task_id} is not valid.")
    task = roles.deletion_task(call.tx, task_id)
    if task is None:
        raise AwsError("NoSuchEntity", f"Deletion task with id {task_id} cannot be found.", status=404)
    if task.status == _SUCCEEDED:
        return {"Status": task.status}
    usage = {"Region": call.region, "Resources": task.used_by}
    return {"Status": task.status, "Reason": {"Reason": task.reason, "RoleUsageList": [usage]}}


def _note(call: Call, task_id: str, status: str, reason: str | None = None, used_by: list[str] | None = None) -> None:
    call.tx.insert(
        roles.deletion_tasks, id=task_id, account_id=call.account_id, created_at=call.now, status=status, reason=reason,
        used_by=used_by,
    )  # fmt: skip


def _sweep(call: Call) -> None:
    """Tasks that nobody asks for any more."""
    old = roles.deletion_tasks.c.created_at < call.now - _KEPT
    call.tx.remove_all(roles.deletion_tasks, (roles.deletion_tasks.c.account_id == call.account_id) & old)
