"""IAM users, their boundaries and their tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mallee.identity import boundaries, grants, iam, keys, quotas, records
from mallee.identity.access import Access, Check, On
from mallee.identity.call import Call
from mallee.identity.credentials import credentials_of
from mallee.identity.records import passwords, policies, tags, users, uses
from mallee.identity.resources import BOUNDED_USER, NEW_USER, USER, requested_boundary
from mallee.wire.errors import AwsError

_NAMED = On(USER, "UserName")


def _renamed(call: Call) -> Iterator[Check]:
    """A user with another name or path: whoever makes it must be allowed to have made it."""
    user = users.user_by_name(call.tx, call.account_id, call.input["UserName"])
    if user is not None and ("NewUserName" in call.input or "NewPath" in call.input):
        path, name = call.input.get("NewPath", user.path), call.input.get("NewUserName", user.name)
        yield Check("iam:UpdateUser", call.arn(f"user{path}{name}", "iam"), tags=lambda: tags.tags_of(call.tx, user.id))


ACCESS = {
    "create_user": Access(On(NEW_USER), keys=requested_boundary),
    "get_user": Access(On(USER, "UserName", default=iam.own_name)),
    "list_users": Access(),
    "update_user": Access(_NAMED, find=_renamed),
    "delete_user": Access(_NAMED),
    "put_user_permissions_boundary": Access(_NAMED, keys=requested_boundary),
    "delete_user_permissions_boundary": Access(On(BOUNDED_USER, "UserName")),
    "tag_user": Access(_NAMED),
    "untag_user": Access(_NAMED),
    "list_user_tags": Access(_NAMED),
}


def create_user(call: Call) -> dict[str, Any]:
    name = call.input["UserName"]
    wanted = iam.read_tags(call.input.get("Tags"))
    boundary = boundaries.the_boundary(call)
    quotas.require(call, quotas.USERS, error=lambda limit: iam.limit("UsersPerAccount", limit))
    with iam.creating("user", name):
        user = users.add_user(call.tx, call.account_id, name, call.input.get("Path", "/"), boundary_arn=boundary)
    iam.tag(call, user.id, "User", wanted)
    return {"User": iam.described_user(call, user)}


def get_user(call: Call) -> dict[str, Any]:
    """The named user; without a name the caller itself, which for an account's root has neither name nor path."""
    name = call.input.get("UserName")
    if name is None and call.principal.is_root:
        account = records.account(call.tx, call.account_id)
        if account is None:
            raise AwsError("NoSuchEntity", f"The account {call.account_id} cannot be found.")
        return {"User": {"UserId": account.id, "Arn": call.principal.arn, "CreateDate": account.created_at}}
    user = iam.the_user(call, name)
    return {"User": iam.described_user(call, user) | {"PasswordLastUsed": passwords.password_last_used(call.tx, user.id)}}


def list_users(call: Call) -> dict[str, Any]:
    asked = iam.window(call)
    found = users.users_in(call.tx, call.account_id, call.input.get("PathPrefix", ""), asked.after or "", asked.reach)
    signed_in = passwords.passwords_last_used(call.tx, [user.id for user in found])

    def listed(user: users.User) -> dict[str, Any]:
        return iam.listed_user(call, user) | {"PasswordLastUsed": signed_in.get(user.id)}

    return asked.answer("Users", found, lambda user: user.name.lower(), listed)


def update_user(call: Call) -> None:
    """Another name or path. Policies that name the old ARN don't know the user any more; those that trust it do."""
    user = iam.the_user(call, call.input["UserName"])
    name, path = call.input.get("NewUserName", user.name), call.input.get("NewPath", user.path)
    with iam.creating("user", name):
        users.rename_user(call.tx, user, name, path)
    _forget(call, user)


def delete_user(call: Call) -> None:
    tx, user = call.tx, iam.the_user(call, call.input["UserName"])
    if policies.attached_to(tx, user.id):
        raise iam.conflict("detach all policies first")
    if policies.inline_of(tx, user.id):
        raise iam.conflict("delete policies first")
    in_the_way = credentials_of(tx, call.account_id, user.id)
    if in_the_way is not None:
        raise iam.conflict(in_the_way)
    if users.groups_of(tx, user.id):
        raise iam.conflict("remove users from group first")
    tags.remove_tags(tx, user.id)
    uses.forget_holder(tx, user.id)
    tx.remove(passwords.sign_ins, user.id)
    tx.remove(users.users, user.id)
    _forget(call, user)


def put_user_permissions_boundary(call: Call) -> None:
    user = iam.the_user(call, call.input["UserName"])
    call.tx.change(users.users, user.id, boundary_arn=boundaries.the_boundary(call))
    _forget(call, user)


def delete_user_permissions_boundary(call: Call) -> None:
    user = iam.the_user(call, call.input["UserName"])
    call.tx.change(users.users, user.id, boundary_arn=None)
    _forget(call, user)


def tag_user(call: Call) -> None:
    user = iam.the_user(call, call.input["UserName"])
    iam.tag(call, user.id, "User", iam.read_tags(call.input["Tags"]))
    _forget(call, user)


def untag_user(call: Call) -> None:
    user = iam.the_user(call, call.input["UserName"])
    iam.untag(call, user.id, call.input["TagKeys"])
    _forget(call, user)


def list_user_tags(call: Call) -> dict[str, Any]:
    return iam.list_tags(call, iam.the_user(call, call.input["UserName"]).id)


def _forget(call: Call, user: users.User) -> None:
    """Name, ARN, tags and existence of a user are remembered with its keys and sessions."""
    grants.forget_after(call.tx, user.id)
    keys.forget_after(call.tx)
