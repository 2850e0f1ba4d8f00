"""Managed policies attached to users, roles and groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mallee.identity import grants, iam, named_policies, quotas
from mallee.identity.access import Access, On
from mallee.identity.call import Call
from mallee.identity.records import policies, roles, users
from mallee.identity.resources import BOUNDED_ROLE, BOUNDED_USER, GROUP, POLICY, ROLE, USER
from mallee.wire.errors import AwsError

_POLICY_ARN: Mapping[str, Callable[[Call], str]] = {"iam:PolicyARN": lambda call: str(call.input["PolicyArn"])}

_ON_USER = Access(On(BOUNDED_USER, "UserName"), keys=_POLICY_ARN)
_ON_ROLE = Access(On(BOUNDED_ROLE, "RoleName"), keys=_POLICY_ARN)
_ON_GROUP = Access(On(GROUP, "GroupName"), keys=_POLICY_ARN)

ACCESS = {
    "attach_user_policy": _ON_USER,
    "detach_user_policy": _ON_USER,
    "list_attached_user_policies": Access(On(USER, "UserName")),
    "attach_role_policy": _ON_ROLE,
    "detach_role_policy": _ON_ROLE,
    "list_attached_role_policies": Access(On(ROLE, "RoleName")),
    "attach_group_policy": _ON_GROUP,
    "detach_group_policy": _ON_GROUP,
    "list_attached_group_policies": Access(On(GROUP, "GroupName")),
    "list_entities_for_policy": Access(On(POLICY, "PolicyArn")),
}


def attach_user_policy(call: Call) -> None:
    user = iam.the_user(call, call.input["UserName"])
    _attach(call, user.id, quotas.POLICIES_PER_USER, "PoliciesPerUser", "User")


def detach_user_policy(call: Call) -> None:
    _detach(call, iam.the_user(call, call.input["UserName"]).id)


def list_attached_user_policies(call: Call) -> dict[str, Any]:
    return _list(call, iam.the_user(call, call.input["UserName"]).id)


def attach_role_policy(call: Call) -> None:
    role = iam.editable(iam.the_role(call, call.input["RoleName"]))
    _attach(call, role.id, quotas.POLICIES_PER_ROLE, "PoliciesPerRole", "Role")


def detach_role_policy(call: Call) -> None:
    _detach(call, iam.editable(iam.the_role(call, call.input["RoleName"])).id)


def list_attached_role_policies(call: Call) -> dict[str, Any]:
    return _list(call, iam.the_role(call, call.input["RoleName"]).id)


def attach_group_policy(call: Call) -> None:
    group = iam.the_group(call, call.input["GroupName"])
    _attach(call, group.id, quotas.POLICIES_PER_GROUP, "PoliciesPerGroup", "Group")


def detach_group_policy(call: Call) -> None:
    _detach(call, iam.the_group(call, call.input["GroupName"]).id)


def list_attached_group_policies(call: Call) -> dict[str, Any]:
    return _list(call, iam.the_group(call, call.input["GroupName"]).id)


def list_entities_for_policy(call: Call) -> dict[str, Any]:
    """Whom the policy is attached to, and whose boundary it is: groups first, then users, then roles, by name."""
    given, tx, account_id = call.input, call.tx, call.account_id
    arn = named_policies.the_policy(call, given["PolicyArn"]).arn
    usage, kind, prefix = given.get("PolicyUsageFilter"), given.get("EntityFilter"), given.get("PathPrefix", "/")
    ids: set[str] = set()
    if usage != "PermissionsBoundary":
        ids.update(policies.holders_of(tx, account_id, arn))
    if usage != "PermissionsPolicy":
        ids.update(policies.bounded_by(tx, account_id, arn))
    rows: list[tuple[str, users.User | users.Group | roles.Role]] = []
    if kind in (None, "Group"):
        rows += [("Group", each) for each in users.groups_by_id(tx, ids).values()]
    if kind in (None, "User"):
        rows += [("User", each) for each in users.users_by_id(tx, ids).values()]
    if kind in (None, "Role"):
        rows += [("Role", each) for each in roles.roles_by_id(tx, ids).values()]
    rows = [(kind, each) for kind, each in rows if each.path.startswith(prefix)]
    order = {"Group": 0, "User": 1, "Role": 2}
    page = iam.page(call, rows, lambda row: (order[row[0]], row[1].name.lower()), "found")
    answer: dict[str, Any] = {"PolicyGroups": [], "PolicyUsers": [], "PolicyRoles": []}
    for kind, each in page.pop("found"):
        answer[f"Policy{kind}s"].append({f"{kind}Name": each.name, f"{kind}Id": each.id})
    return answer | page


def _attach(call: Call, holder_id: str, quota: quotas.Quota, word: str, kind: str) -> None:
    """Attaching what is attached is nothing."""
    tx, arn = call.tx, call.input["PolicyArn"]
    policy = named_policies.find(call, arn)
    if policy is None:
        raise iam.no_such("attachable", arn)
    if not policy.attachable:
        raise AwsError("PolicyNotAttachable", f"Cannot attach a Service Role Policy to a Customer {kind}.", status=400)
    attached = [each.policy_arn for each in policies.attached_to(tx, holder_id)]
    if arn in attached:
        return
    quotas.require(call, quota, used=len(attached), error=lambda limit: iam.limit(word, limit))
    policies.attach(tx, call.account_id, holder_id, arn)
    grants.forget_after(tx, holder_id)


def _detach(call: Call, holder_id: str) -> None:
    arn = call.input["PolicyArn"]
    named_policies.find(call, arn)
    if not policies.detach(call.tx, holder_id, arn):
        raise iam.no_such("policy", arn)
    grants.forget_after(call.tx, holder_id)


def _list(call: Call, holder_id: str) -> dict[str, Any]:
    prefix = call.input.get("PathPrefix", "/")
    arns = [each.policy_arn for each in policies.attached_to(call.tx, holder_id)]
    found = [(arn.rpartition("/")[2], arn) for arn in arns if _path(arn).startswith(prefix)]
    return iam.page(
        call,
        found,
        lambda each: (each[0].lower(), each[1].partition("::")[2]),
        "AttachedPolicies",
        lambda each: {"PolicyName": each[0], "PolicyArn": each[1]},
    )


def _path(arn: str) -> str:
    return arn.partition(":policy")[2].rpartition("/")[0] + "/"
