"""Service control policies: the most that accounts may do, whatever their own policies allow."""

from __future__ import annotations

from typing import Any

from mallee.admin import access, listing
from mallee.identity import grants, records
from mallee.identity.access import Access, On
from mallee.identity.call import Call
from mallee.identity.records import control
from mallee.identity.records.control import FULL, FULL_ACCESS_ID, ROOT, ServiceControlPolicy
from mallee.identity.rules.errors import Malformed
from mallee.identity.rules.policy import Kind, compile_policy
from mallee.store import Constraint
from mallee.wire.errors import AwsError

MOST = 1000  # in one cloud
MOST_PER_TARGET = 5
LONGEST = 5120  # characters, as in AWS


def create_service_control_policy(call: Call) -> dict[str, Any]:
    access.administer(call)
    name, document = call.input["Name"], call.input["Document"]
    _check(document)
    if len(control.scps(call.tx)) >= MOST:
        raise AwsError("LimitExceededException", f"A cloud has at most {MOST} service control policies.")
    _check_name(call, name)
    try:
        made = control.add_scp(call.tx, name, call.input.get("Description", ""), document)
    except Constraint as broken:
        raise _taken(name, broken) from None
    return {"Policy": _whole(call, made)}


def get_service_control_policy(call: Call) -> dict[str, Any]:
    access.administer(call)
    return {"Policy": _whole(call, _policy(call))}


def update_service_control_policy(call: Call) -> dict[str, Any]:
    access.administer(call)
    policy, given = _changeable(call), call.input
    changes = {column: given[member] for member, column in _MEMBERS.items() if member in given}
    if "document" in changes:
        _check(changes["document"])
    if changes.get("name", policy.name) != policy.name:
        _check_name(call, changes["name"])
    if changes:
        try:
            call.tx.change(control.service_control_policies, policy.id, updated_at=call.now, **changes)
        except Constraint as broken:
            raise _taken(changes.get("name", ""), broken) from None
        grants.forget_after(call.tx)
    return {"Policy": _whole(call, _policy(call))}


def delete_service_control_policy(call: Call) -> dict[str, Any]:
    access.administer(call)
    policy = _changeable(call)
    if control.targets_of(call.tx, policy.id):
        raise AwsError("PolicyInUseException", f"The policy {policy.name} is attached: detach it first.")
    call.tx.remove(control.service_control_policies, policy.id)
    return {}


def list_service_control_policies(call: Call) -> dict[str, Any]:
    access.administer(call)
    if call.input.get("TargetId"):
        (found,) = control.attached_to(call.tx, _target(call))
    else:
        found = (FULL, *control.scps(call.tx))
    shown, more = listing.page(call, found, key=lambda each: (each.name, each.id))
    return {"Policies": [_summary(call, each) for each in shown], **more}


def attach_service_control_policy(call: Call) -> dict[str, Any]:
    access.administer(call)
    policy, target = _policy(call), _target(call)
    if target != ROOT and access.is_permanent(call, target):
        raise AwsError("ConstraintViolationException", "The account that set the cloud up is exempt from these policies.")
    (present,) = control.attached_to(call.tx, target)
    if policy.id in {each.id for each in present}:
        raise AwsError("PolicyAlreadyAttachedException", f"The policy {policy.name} is attached to {target} already.")
    if len(present) >= MOST_PER_TARGET:
        raise AwsError("LimitExceededException", f"At most {MOST_PER_TARGET} policies can be attached to one target.")
    control.attach_scp(call.tx, policy.id, target)
    grants.forget_after(call.tx)
    return {}


def detach_service_control_policy(call: Call) -> dict[str, Any]:
    access.administer(call)
    policy, target = _policy(call), _target(call)
    (present,) = control.attached_to(call.tx, target)
    if policy.id not in {each.id for each in present}:
        raise AwsError("PolicyNotAttachedException", f"The policy {policy.name} is not attached to {target}.")
    if len(present) == 1:
        raise AwsError("ConstraintViolationException", "The last policy of a target stays: attach another first.")
    control.detach_scp(call.tx, policy.id, target)
    grants.forget_after(call.tx)
    return {}


def list_service_control_policy_targets(call: Call) -> dict[str, Any]:
    access.administer(call)
    policy = _policy(call)
    accounts = {each.id: each for each in records.all_accounts(call.tx)}
    if policy.id == FULL_ACCESS_ID:
        withheld = control.withheld_from(call.tx)
        found = [each for each in (ROOT, *accounts) if each not in withheld]
    else:
        found = control.targets_of(call.tx, policy.id)
    shown, more = listing.page(call, found, key=lambda each: each)
    targets = [
        {"TargetId": each, "Type": "ROOT", "Name": "Every account"}
        if each == ROOT
        else {"TargetId": each, "Type": "ACCOUNT", "Name": accounts[each].name}
        for each in shown
    ]
    return {"Targets": targets, **more}


# ----------------------------------------------------------------------------------------------------------------- helpers

_MEMBERS = {"Name": "name", "Description": "description", "Document": "document"}


def _policy(call: Call) -> ServiceControlPolicy:
    found = control.scp(call.tx, call.input["PolicyId"])
    if found is None:
        raise AwsError("PolicyNotFoundException", f"There is no service control policy {call.input['PolicyId']}.")
    return found


def _changeable(call: Call) -> ServiceControlPolicy:
    found = _policy(call)
    if found.is_builtin:
        raise AwsError("ConstraintViolationException", "FullAWSAccess cannot be changed.")
    return found


def _target(call: Call) -> str:
    target = str(call.input["TargetId"])
    if target != ROOT and records.account(call.tx, target) is None:
        raise AwsError("TargetNotFoundException", f"There is no account {target}.")
    return target


def _check(document: str) -> None:
    if len(document) > LONGEST:
        raise AwsError("MalformedPolicyDocumentException", f"A service control policy has at most {LONGEST} characters.")
    try:
        compile_policy(document, Kind.SCP)
    except Malformed as malformed:
        raise AwsError("MalformedPolicyDocumentException", malformed.message) from None


def _check_name(call: Call, name: str) -> None:
    if control.scp_named(call.tx, name) is not None:
        raise _exists(name)


def _exists(name: str) -> AwsError:
    return AwsError("PolicyAlreadyExistsException", f"There is a service control policy {name} already.")


def _taken(name: str, broken: Constraint) -> Exception:
    return _exists(name) if broken.kind == "unique" else broken


def _summary(call: Call, policy: ServiceControlPolicy) -> dict[str, Any]:
    return {
        "PolicyId": policy.id,
        "Arn": policy.arn(call.settings.partition),
        "Name": policy.name,
        "Description": policy.description,
        "BuiltIn": policy.is_builtin,
        "CreatedAt": policy.created_at,
        "UpdatedAt": policy.updated_at,
    }


def _whole(call: Call, policy: ServiceControlPolicy) -> dict[str, Any]:
    return _summary(call, policy) | {"Document": policy.document}


_ON_POLICY = On(access.POLICY, "PolicyId")
_ON_BOTH = (_ON_POLICY, On(access.TARGET, "TargetId"))

ACCESS = {
    "create_service_control_policy": Access(),
    "get_service_control_policy": Access(_ON_POLICY),
    "update_service_control_policy": Access(_ON_POLICY),
    "delete_service_control_policy": Access(_ON_POLICY),
    "list_service_control_policies": Access(On(access.TARGET, "TargetId")),
    "attach_service_control_policy": Access(*_ON_BOTH),
    "detach_service_control_policy": Access(*_ON_BOTH),
    "list_service_control_policy_targets": Access(_ON_POLICY),
}
