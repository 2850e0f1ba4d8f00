"""IAM roles: whom they trust, their boundaries and their tags. Roles that are linked to a service are changed by the service
only, but for their description and tags."""

from __future__ import annotations

from typing import Any

from mallee.identity import boundaries, grants, iam, keys, quotas, trust
from mallee.identity.access import Access, On
from mallee.identity.call import Call
from mallee.identity.records import policies, roles, tags, uses
from mallee.identity.resources import BOUNDED_ROLE, NEW_ROLE, ROLE, requested_boundary

_NAMED = On(ROLE, "RoleName")

ACCESS = {
    "create_role": Access(On(NEW_ROLE), keys=requested_boundary),
    "get_role": Access(_NAMED),
    "list_roles": Access(),
    "update_role": Access(_NAMED),
    "update_role_description": Access(_NAMED),
    "update_assume_role_policy": Access(_NAMED),
    "delete_role": Access(_NAMED),
    "put_role_permissions_boundary": Access(_NAMED, keys=requested_boundary),
    "delete_role_permissions_boundary": Access(On(BOUNDED_ROLE, "RoleName")),
    "tag_role": Access(_NAMED),
    "untag_role": Access(_NAMED),
    "list_role_tags": Access(_NAMED),
}

_RESERVED = "/aws-service-role/"


def create_role(call: Call) -> dict[str, Any]:
    given = call.input
    name, path = given["RoleName"], given.get("Path", "/")
    if path.startswith(_RESERVED):
        raise iam.invalid_input(f"Path {path} is reserved for service-linked roles.")
    wanted = iam.read_tags(given.get("Tags"))
    boundary = boundaries.the_boundary(call)
    trusted = _trusted(call, given["AssumeRolePolicyDocument"])
    quotas.require(call, quotas.ROLES, error=lambda limit: iam.limit("RolesPerAccount", limit))
    with iam.creating("role", name):
        role = roles.add_role(
            call.tx,
            call.account_id,
            name,
            trusted,
            path=path,
            description=given.get("Description"),
            max_session_seconds=given.get("MaxSessionDuration", 3600),
            boundary_arn=boundary,
        )
    iam.tag(call, role.id, "Role", wanted)
    return {"Role": iam.new_role(call, role)}


def get_role(call: Call) -> dict[str, Any]:
    return {"Role": iam.described_role(call, iam.the_role(call, call.input["RoleName"]))}


def list_roles(call: Call) -> dict[str, Any]:
    asked = iam.window(call)
    found = roles.roles_in(call.tx, call.account_id, call.input.get("PathPrefix", ""), asked.after or "", asked.reach)
    return asked.answer("Roles", found, lambda role: role.name.lower(), lambda role: iam.listed_role(call, role))


def update_role(call: Call) -> dict[str, Any]:
    """What is not given stays as it is."""
    role = iam.the_role(call, call.input["RoleName"])
    if "MaxSessionDuration" in call.input:
        iam.editable(role)
    changes = {
        column: call.input[member]
        for member, column in (("Description", "description"), ("MaxSessionDuration", "max_session_seconds"))
        if member in call.input
    }
    if changes:
        call.tx.change(roles.roles, role.id, **changes)
    return {}


def update_role_description(call: Call) -> dict[str, Any]:
    role = iam.the_role(call, call.input["RoleName"])
    call.tx.change(roles.roles, role.id, description=call.input["Description"])
    return {"Role": iam.described_role(call, iam.the_role(call, role.name))}


def update_assume_role_policy(call: Call) -> None:
    role = iam.editable(iam.the_role(call, call.input["RoleName"]))
    call.tx.change(roles.roles, role.id, trust_policy=_trusted(call, call.input["PolicyDocument"]))


def delete_role(call: Call) -> None:
    tx, role = call.tx, iam.editable(iam.the_role(call, call.input["RoleName"]))
    if roles.instance_profiles_of(tx, role.id):
        raise iam.conflict("remove roles from instance profile first")
    if policies.attached_to(tx, role.id):
        raise iam.conflict("detach all policies first")
    if policies.inline_of(tx, role.id):
        raise iam.conflict("delete policies first")
    tags.remove_tags(tx, role.id)
    uses.forget_holder(tx, role.id)
    tx.remove(roles.roles, role.id)
    _forget(call, role)


def put_role_permissions_boundary(call: Call) -> None:
    role = iam.editable(iam.the_role(call, call.input["RoleName"]))
    call.tx.change(roles.roles, role.id, boundary_arn=boundaries.the_boundary(call))
    grants.forget_after(call.tx, role.id)


def delete_role_permissions_boundary(call: Call) -> None:
    role = iam.editable(iam.the_role(call, call.input["RoleName"]))
    call.tx.change(roles.roles, role.id, boundary_arn=None)
    grants.forget_after(call.tx, role.id)


def tag_role(call: Call) -> None:
    role = iam.the_role(call, call.input["RoleName"])
    iam.tag(call, role.id, "Role", iam.read_tags(call.input["Tags"]))
    _forget(call, role)


def untag_role(call: Call) -> None:
    role = iam.the_role(call, call.input["RoleName"])
    iam.untag(call, role.id, call.input["TagKeys"])
    _forget(call, role)


def list_role_tags(call: Call) -> dict[str, Any]:
    return iam.list_tags(call, iam.the_role(call, call.input["RoleName"]).id)


def _trusted(call: Call, document: str) -> str:
    """The trust policy as it is kept; its size is counted as AWS counts, without white space."""
    size = len("".join(document.split()))
    quotas.require(
        call, quotas.TRUST_POLICY_SIZE, size, used=0, error=lambda limit: iam.limit("ACLSizePerRole", limit)
    )  # fmt: skip
    return trust.stored(call.tx, call.settings.partition, document)


def _forget(call: Call, role: roles.Role) -> None:
    """Tags and existence of a role are remembered with its sessions."""
    grants.forget_after(call.tx, role.id)
    keys.forget_after(call.tx)
