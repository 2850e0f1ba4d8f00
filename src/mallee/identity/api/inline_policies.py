"""Policies that are part of one user, role or group: they come and go with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mallee.identity import grants, iam, named_policies
from mallee.identity.access import Access, On
from mallee.identity.call import Call
from mallee.identity.records import policies
from mallee.identity.resources import BOUNDED_ROLE, BOUNDED_USER, GROUP, ROLE, USER
from mallee.wire.errors import AwsError

LARGEST = {"user": 2048, "role": 10_240, "group": 5120}
"""Characters, without white space: of all inline policies of one user, role or group together."""

_USER, _ROLE, _GROUP = On(USER, "UserName"), On(ROLE, "RoleName"), On(GROUP, "GroupName")
_CHANGED_USER, _CHANGED_ROLE = On(BOUNDED_USER, "UserName"), On(BOUNDED_ROLE, "RoleName")

ACCESS = {
    "put_user_policy": Access(_CHANGED_USER),
    "get_user_policy": Access(_USER),
    "list_user_policies": Access(_USER),
    "delete_user_policy": Access(_CHANGED_USER),
    "put_role_policy": Access(_CHANGED_ROLE),
    "get_role_policy": Access(_ROLE),
    "list_role_policies": Access(_ROLE),
    "delete_role_policy": Access(_CHANGED_ROLE),
    "put_group_policy": Access(_GROUP),
    "get_group_policy": Access(_GROUP),
    "list_group_policies": Access(_GROUP),
    "delete_group_policy": Access(_GROUP),
}


@dataclass(frozen=True, slots=True)
class _Holder:
    kind: str  # user | role | group
    id: str
    name: str


def put_user_policy(call: Call) -> None:
    _put(call, _user(call))


def get_user_policy(call: Call) -> dict[str, Any]:
    return _get(call, _user(call))


def list_user_policies(call: Call) -> dict[str, Any]:
    return _list(call, _user(call))


def delete_user_policy(call: Call) -> None:
    _delete(call, _user(call))


def put_role_policy(call: Call) -> None:
    _put(call, _role(call, changed=True))


def get_role_policy(call: Call) -> dict[str, Any]:
    return _get(call, _role(call))


def list_role_policies(call: Call) -> dict[str, Any]:
    return _list(call, _role(call))


def delete_role_policy(call: Call) -> None:
    _delete(call, _role(call, changed=True))


def put_group_policy(call: Call) -> None:
    _put(call, _group(call))


def get_group_policy(call: Call) -> dict[str, Any]:
    return _get(call, _group(call))


def list_group_policies(call: Call) -> dict[str, Any]:
    return _list(call, _group(call))


def delete_group_policy(call: Call) -> None:
    _delete(call, _group(call))


def _user(call: Call) -> _Holder:
    user = iam.the_user(call, call.input["UserName"])
    return _Holder("user", user.id, user.name)


def _role(call: Call, *, changed: bool = False) -> _Holder:
    role = iam.the_role(call, call.input["RoleName"])
    if changed:
        iam.editable(role)
    return _Holder("role", role.id, role.name)


def _group(call: Call) -> _Holder:
    group = iam.the_group(call, call.input["GroupName"])
    return _Holder("group", group.id, group.name)


def _put(call: Call, holder: _Holder) -> None:
    name, document = call.input["PolicyName"], call.input["PolicyDocument"]
    named_policies.check_document(document)
    others = [each for each in policies.inline_of(call.tx, holder.id) if each.name != name]
    most = LARGEST[holder.kind]
    if named_policies.size(document) + sum(named_policies.size(each.document) for each in others) > most:
        told = f"Maximum policy size of {most} bytes exceeded for {holder.kind} {holder.name}"
        raise AwsError("LimitExceeded", told, status=409)
    policies.put_inline(call.tx, call.account_id, holder.id, name, document)
    grants.forget_after(call.tx, holder.id)


def _get(call: Call, holder: _Holder) -> dict[str, Any]:
    name = call.input["PolicyName"]
    found = policies.inline_policy(call.tx, holder.id, name)
    if found is None:
        raise iam.no_such(f"{holder.kind}-policy", name)
    member = f"{holder.kind.capitalize()}Name"
    return {member: holder.name, "PolicyName": found.name, "PolicyDocument": iam.encoded(found.document)}


def _list(call: Call, holder: _Holder) -> dict[str, Any]:
    names = [each.name for each in policies.inline_of(call.tx, holder.id)]
    return iam.page(call, names, lambda name: name, "PolicyNames")


def _delete(call: Call, holder: _Holder) -> None:
    name = call.input["PolicyName"]
    if not policies.remove_inline(call.tx, holder.id, name):
        raise iam.no_such(f"{holder.kind}-policy", name)
    grants.forget_after(call.tx, holder.id)
