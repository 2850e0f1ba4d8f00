"""Which instance profile an instance has: the association, which an instance's row holds.

An instance has at most one. It keeps ARN and id as they were when it was made: a profile that is deleted and made anew
under its name is another one, and gives it nothing.
"""

from __future__ import annotations

from typing import Any

from mallee.compute import changes, records
from mallee.compute.records import Instance
from mallee.compute.rules import ProfileNamed
from mallee.ec2.access import arn_of
from mallee.identity import instance_profiles
from mallee.identity.access import Check
from mallee.identity.call import Call
from mallee.identity.instance_profiles import Profile
from mallee.identity.resources import passing
from mallee.nodes import records as nodes
from mallee.store import Tx, ids
from mallee.wire.errors import AwsError

NONE: dict[str, Any] = {
    "profile_association_id": None,
    "profile_id": None,
    "profile_arn": None,
    "profile_since": None,
}


def find(call: Call, named: ProfileNamed) -> Profile:
    """The caller's profile of that name or ARN, which must hold a role."""
    found = _of_caller(call, named)
    if found is None:
        what, kind = ("arn", "ARN") if named.arn else ("name", "name")
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({(named.arn or named.name or '')[:256]}) for parameter iamInstanceProfile.{what} is invalid. "
            f"Invalid IAM Instance Profile {kind}",
        )
    if found.role is None:
        raise AwsError("InvalidParameterValue", f'IAM Instance Profile "{found.arn}" has no associated IAM Roles')
    return found


def _of_caller(call: Call, named: ProfileNamed) -> Profile | None:
    return instance_profiles.profile_for_ec2(call.tx, call.settings.partition, call.account_id, arn=named.arn, name=named.name)


def pass_role(call: Call, named: ProfileNamed | None, instance_id: str) -> list[Check]:
    """Whoever gives an instance a profile passes its role to EC2. A profile that is not there or is empty passes nothing: it
    is refused later."""
    found = _of_caller(call, named) if named is not None else None
    if found is None or found.role is None:
        return []
    return [passing(call, found.role.name, instance_profiles.EC2, arn_of(call, "instance", instance_id))]


def columns(call: Call, profile: Profile) -> dict[str, Any]:
    """A new association, as the row of its instance holds it."""
    return {
        "profile_association_id": ids.new("iip-assoc"),
        "profile_id": profile.id,
        "profile_arn": profile.arn,
        "profile_since": call.now,
    }


def change(call: Call, instance: Instance, values: dict[str, Any]) -> None:
    """Writes ``columns`` or ``NONE``, and tells the instance's node."""
    changes.note(call.tx, instance, **values)
    nodes.touch(call.tx, instance_id=instance.id)


def _role_changed(tx: Tx, profile_id: str) -> None:
    """The documents of nodes name the role of each profile."""
    nodes.touch_instances(tx, records.with_profile(tx, profile_id))


instance_profiles.watch(_role_changed)
