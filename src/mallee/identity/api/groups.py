"""IAM groups and who is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mallee.identity import grants, iam, quotas
from mallee.identity.access import Access, Check, On
from mallee.identity.call import Call
from mallee.identity.records import policies, users
from mallee.identity.resources import GROUP, NEW_GROUP, USER

_NAMED = On(GROUP, "GroupName")


def _renamed(call: Call) -> Iterator[Check]:
    """As for users: the group with its new name must be the caller's to update, too."""
    group = users.group_by_name(call.tx, call.account_id, call.input["GroupName"])
    if group is not None and ("NewGroupName" in call.input or "NewPath" in call.input):
        path, name = call.input.get("NewPath", group.path), call.input.get("NewGroupName", group.name)
        yield Check("iam:UpdateGroup", call.arn(f"group{path}{name}", "iam"))


ACCESS = {
    "create_group": Access(On(NEW_GROUP)),
    "get_group": Access(_NAMED),
    "list_groups": Access(),
    "update_group": Access(_NAMED, find=_renamed),
    "delete_group": Access(_NAMED),
    "add_user_to_group": Access(_NAMED),
    "remove_user_from_group": Access(_NAMED),
    "list_groups_for_user": Access(On(USER, "UserName")),
}


def create_group(call: Call) -> dict[str, Any]:
    name = call.input["GroupName"]
    quotas.require(call, quotas.GROUPS, error=lambda limit: iam.limit("GroupsPerAccount", limit))
    with iam.creating("group", name):
        group = users.add_group(call.tx, call.account_id, name, call.input.get("Path", "/"))
    return {"Group": iam.described_group(call, group)}


def get_group(call: Call) -> dict[str, Any]:
    """The group and a page of its users."""
    group, asked = iam.the_group(call, call.input["GroupName"]), iam.window(call)
    found = users.users_of(call.tx, group.id, asked.after or "", asked.reach)
    answer = asked.answer("Users", found, lambda user: user.name.lower(), lambda user: iam.listed_user(call, user))
    return {"Group": iam.described_group(call, group)} | answer


def list_groups(call: Call) -> dict[str, Any]:
    asked = iam.window(call)
    found = users.groups_in(call.tx, call.account_id, call.input.get("PathPrefix", ""), asked.after or "", asked.reach)
    return asked.answer("Groups", found, lambda group: group.name.lower(), lambda group: iam.described_group(call, group))


def update_group(call: Call) -> None:
    group = iam.the_group(call, call.input["GroupName"])
    name, path = call.input.get("NewGroupName", group.name), call.input.get("NewPath", group.path)
    with iam.creating("group", name):
        users.rename_group(call.tx, group, name, path)


def delete_group(call: Call) -> None:
    tx, group = call.tx, iam.the_group(call, call.input["GroupName"])
    if users.has_users(tx, group.id):
        raise iam.conflict("remove users from group first")
    if policies.attached_to(tx, group.id):
        raise iam.conflict("detach all policies first")
    if policies.inline_of(tx, group.id):
        raise iam.conflict("delete policies first")
    tx.remove(users.groups, group.id)


def add_user_to_group(call: Call) -> None:
    """Adding a user twice is adding it once."""
    tx, group = call.tx, iam.the_group(call, call.input["GroupName"])
    user = iam.the_user(call, call.input["UserName"])
    if users.is_in(tx, group.id, user.id):
        return
    has = len(users.groups_of(tx, user.id))
    quotas.require(call, quotas.GROUPS_PER_USER, used=has, error=lambda limit: iam.limit("GroupsPerUser", limit))
    tx.insert_if_free(users.members, account_id=call.account_id, group_id=group.id, user_id=user.id)
    grants.forget_after(tx, user.id)


def remove_user_from_group(call: Call) -> None:
    tx, group = call.tx, iam.the_group(call, call.input["GroupName"])
    user = iam.the_user(call, call.input["UserName"])
    if not tx.remove(users.members, {"group_id": group.id, "user_id": user.id}):
        raise iam.no_such("user", user.name)
    grants.forget_after(tx, user.id)


def list_groups_for_user(call: Call) -> dict[str, Any]:
    user = iam.the_user(call, call.input["UserName"])
    found = users.groups_of(call.tx, user.id)
    return iam.page(call, found, lambda group: group.name.lower(), "Groups", lambda group: iam.described_group(call, group))
