"""GetAccountAuthorizationDetails: everything that decides who may do what in the account, as one paged list of users, groups,
roles and policies, in this order and each by name.

Of AWS's own policies it has those that are in use: attached to somebody, or somebody's boundary."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from mallee.identity import iam, managed, named_policies
from mallee.identity.access import Access
from mallee.identity.call import Call
from mallee.identity.named_policies import Policy
from mallee.identity.records import policies, roles, users, uses
from mallee.identity.records.roles import Role
from mallee.identity.records.users import Group, User

ACCESS = {"get_account_authorization_details": Access()}

_KINDS = ("User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy")
_MEMBERS = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies", "Policies")

Thing = User | Group | Role | Policy


@dataclass(frozen=True, slots=True)
class _Item:
    """``place`` is where it stands in the whole list: its kind's number, and its name."""

    place: tuple[int, str]
    thing: Thing


def get_account_authorization_details(call: Call) -> dict[str, Any]:
    asked = iam.window(call)
    wanted = call.input.get("Filter") or _KINDS
    attached = policies.attachment_counts(call.tx, call.account_id)
    bounding = policies.boundary_counts(call.tx, call.account_id)
    items = _items(call, wanted, asked.after or (0, ""), asked.reach, attached.keys() | bounding.keys())
    page = asked.answer("Items", items, lambda item: item.place)
    answer: dict[str, Any] = {member: [] for member in _MEMBERS}
    describe: dict[type, Callable[[Any], dict[str, Any]]] = {
        User: lambda thing: _user(call, thing),
        Group: lambda thing: _group(call, thing),
        Role: lambda thing: _role(call, thing),
        Policy: lambda thing: _policy(call, thing, attached, bounding),
    }
    for item in page.pop("Items"):
        answer[_MEMBERS[item.place[0]]].append(describe[type(item.thing)](item.thing))
    return answer | page


def _items(call: Call, wanted: Collection[str], after: tuple[int, str], most: int, in_use: Collection[str]) -> list[_Item]:
    """At most so many of the whole list, from after a place in it."""
    tx, account_id, partition = call.tx, call.account_id, call.settings.partition

    def ours(name: str, most: int) -> list[Policy]:
        rows = policies.policies_in(tx, account_id, "", name, most)
        return [named_policies.of_row(row, partition) for row in rows]

    def awss(name: str, most: int) -> list[Policy]:
        found = [each for each in managed.all() if each.arn(partition) in in_use and each.name.lower() > name]
        return [named_policies.of_aws(each, partition) for each in sorted(found, key=lambda each: each.name.lower())[:most]]

    readers: tuple[Callable[[str, int], list[Any]], ...] = (
        lambda name, most: users.users_in(tx, account_id, "", name, most),
        lambda name, most: users.groups_in(tx, account_id, "", name, most),
        lambda name, most: roles.roles_in(tx, account_id, "", name, most),
        ours,
        awss,
    )
    found: list[_Item] = []
    for number in range(after[0], len(_KINDS)):
        if _KINDS[number] in wanted and len(found) < most:
            name = after[1] if number == after[0] else ""
            found += [_Item((number, each.name.lower()), each) for each in readers[number](name, most - len(found))]
    return found


def _user(call: Call, user: User) -> dict[str, Any]:
    return iam.described_user(call, user) | {
        "UserPolicyList": _inline(call, user.id),
        "GroupList": [group.name for group in users.groups_of(call.tx, user.id)],
        "AttachedManagedPolicies": _attached(call, user.id),
        "Tags": iam.tags_or_none(call, user.id) or [],
    }


def _group(call: Call, group: Group) -> dict[str, Any]:
    return iam.described_group(call, group) | {
        "GroupPolicyList": _inline(call, group.id),
        "AttachedManagedPolicies": _attached(call, group.id),
    }


def _role(call: Call, role: Role) -> dict[str, Any]:
    shown = iam.described_role(call, role)
    last = uses.last_use(call.tx, role.id)
    members = ("Path", "RoleName", "RoleId", "Arn", "CreateDate", "AssumeRolePolicyDocument", "PermissionsBoundary")
    return {member: shown[member] for member in members} | {
        "InstanceProfileList": [iam.described_profile(call, each) for each in roles.instance_profiles_of(call.tx, role.id)],
        "RolePolicyList": _inline(call, role.id),
        "AttachedManagedPolicies": _attached(call, role.id),
        "Tags": iam.tags_or_none(call, role.id) or [],
        "RoleLastUsed": {} if last is None else {"LastUsedDate": last.used_at, "Region": last.region},
    }


def _policy(call: Call, policy: Policy, attached: Mapping[str, int], bounding: Mapping[str, int]) -> dict[str, Any]:
    return named_policies.listed(policy, attached, bounding) | {
        "Description": policy.description,
        "PolicyVersionList": [
            {
                "Document": iam.encoded(version.document),
                "VersionId": f"v{version.number}",
                "IsDefaultVersion": version.number == policy.default_version,
                "CreateDate": version.created_at,
            }
            for version in named_policies.versions(call, policy)
        ],
    }


def _inline(call: Call, holder_id: str) -> list[dict[str, str]]:
    found = policies.inline_of(call.tx, holder_id)
    return [{"PolicyName": each.name, "PolicyDocument": iam.encoded(each.document)} for each in found]


def _attached(call: Call, holder_id: str) -> list[dict[str, str]]:
    arns = [each.policy_arn for each in policies.attached_to(call.tx, holder_id)]
    return [{"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in arns]
