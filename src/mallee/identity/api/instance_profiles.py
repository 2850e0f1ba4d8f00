"""Instance profiles: each hands one role to the instances that run with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mallee.identity import iam, instance_profiles, quotas
from mallee.identity.access import Access, Check, On
from mallee.identity.call import Call
from mallee.identity.records import roles, tags
from mallee.identity.resources import INSTANCE_PROFILE, NEW_INSTANCE_PROFILE, ROLE, passing

_NAMED = On(INSTANCE_PROFILE, "InstanceProfileName")


def _passed(call: Call) -> Iterator[Check]:
    """Whoever puts a role into a profile gives it to all who may launch instances with the profile."""
    instances = f"arn:{call.settings.partition}:ec2:*:{call.account_id}:instance/*"
    yield passing(call, call.input["RoleName"], "ec2.amazonaws.com", instances)


ACCESS = {
    "create_instance_profile": Access(On(NEW_INSTANCE_PROFILE)),
    "get_instance_profile": Access(_NAMED),
    "list_instance_profiles": Access(),
    "list_instance_profiles_for_role": Access(On(ROLE, "RoleName")),
    "delete_instance_profile": Access(_NAMED),
    "add_role_to_instance_profile": Access(_NAMED, find=_passed),
    "remove_role_from_instance_profile": Access(_NAMED),
    "tag_instance_profile": Access(_NAMED),
    "untag_instance_profile": Access(_NAMED),
    "list_instance_profile_tags": Access(_NAMED),
}


def create_instance_profile(call: Call) -> dict[str, Any]:
    name = call.input["InstanceProfileName"]
    wanted = iam.read_tags(call.input.get("Tags"))
    quotas.require(call, quotas.INSTANCE_PROFILES, error=lambda limit: iam.limit("InstanceProfilesPerAccount", limit))
    with iam.creating("instance-profile", name):
        profile = roles.add_instance_profile(call.tx, call.account_id, name, call.input.get("Path", "/"))
    iam.tag(call, profile.id, "InstanceProfile", wanted)
    return {"InstanceProfile": iam.described_profile(call, profile)}


def get_instance_profile(call: Call) -> dict[str, Any]:
    profile = iam.the_profile(call, call.input["InstanceProfileName"])
    return {"InstanceProfile": iam.described_profile(call, profile)}


def list_instance_profiles(call: Call) -> dict[str, Any]:
    asked, tx = iam.window(call), call.tx
    prefix = call.input.get("PathPrefix", "")
    found = roles.instance_profiles_in(tx, call.account_id, prefix, asked.after or "", asked.reach)
    held = roles.roles_by_id(tx, [profile.role_id for profile in found if profile.role_id is not None])
    return asked.answer(
        "InstanceProfiles", found, lambda profile: profile.name.lower(),
        lambda profile: iam.listed_profile(call, profile, held),
    )  # fmt: skip


def list_instance_profiles_for_role(call: Call) -> dict[str, Any]:
    role = iam.the_role(call, call.input["RoleName"])
    return iam.page(
        call, roles.instance_profiles_of(call.tx, role.id), lambda profile: profile.name.lower(), "InstanceProfiles",
        lambda profile: iam.listed_profile(call, profile, {role.id: role}),
    )  # fmt: skip


def delete_instance_profile(call: Call) -> None:
    profile = iam.the_profile(call, call.input["InstanceProfileName"])
    if profile.role_id is not None:
        raise iam.conflict("remove roles from instance profile first")
    tags.remove_tags(call.tx, profile.id)
    call.tx.remove(roles.instance_profiles, profile.id)
    instance_profiles.changed(call.tx, [profile.id])


def add_role_to_instance_profile(call: Call) -> None:
    profile = iam.the_profile(call, call.input["InstanceProfileName"])
    role = iam.editable(iam.the_role(call, call.input["RoleName"]))
    if profile.role_id is not None:
        raise iam.limit("InstanceSessionsPerInstanceProfile", 1)
    call.tx.change(roles.instance_profiles, profile.id, role_id=role.id)
    instance_profiles.changed(call.tx, [profile.id])


def remove_role_from_instance_profile(call: Call) -> None:
    profile = iam.the_profile(call, call.input["InstanceProfileName"])
    role = iam.editable(iam.the_role(call, call.input["RoleName"]))
    if profile.role_id != role.id:
        raise iam.no_such("role", role.name)
    call.tx.change(roles.instance_profiles, profile.id, role_id=None)
    instance_profiles.changed(call.tx, [profile.id])


def tag_instance_profile(call: Call) -> None:
    profile = iam.the_profile(call, call.input["InstanceProfileName"])
    iam.tag(call, profile.id, "InstanceProfile", iam.read_tags(call.input["Tags"]))


def untag_instance_profile(call: Call) -> None:
    iam.untag(call, iam.the_profile(call, call.input["InstanceProfileName"]).id, call.input["TagKeys"])


def list_instance_profile_tags(call: Call) -> dict[str, Any]:
    return iam.list_tags(call, iam.the_profile(call, call.input["InstanceProfileName"]).id)
