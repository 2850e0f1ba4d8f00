"""AssociateIamInstanceProfile, DisassociateIamInstanceProfile, ReplaceIamInstanceProfileAssociation,
DescribeIamInstanceProfileAssociations.

A change is complete with its transaction, and reaches the guest with the next document of its node; as in AWS, the answer to
a change says that it is under way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mallee.compute import access, profiles, records, rules
from mallee.compute.access import or_none
from mallee.compute.records import Instance
from mallee.ec2 import filters, paging, resources
from mallee.ec2.access import checked
from mallee.identity.access import Check, On
from mallee.identity.call import Call
from mallee.identity.instance_profiles import Profile
from mallee.wire.errors import AwsError

TYPE = "iam-instance-profile-association"
_ENDING = (rules.SHUTTING_DOWN, rules.TERMINATED)

_FILTERS = {
    "instance-id": lambda instance: instance.id,
    "state": lambda instance: "associated",
}


def associate_iam_instance_profile(call: Call) -> dict[str, Any]:
    id = resources.check_id("instance", call.input["InstanceId"])
    instance = records.instances_for_change(call.tx, [id]).get(id)
    if instance is None:
        raise resources.not_found("instance", id)
    profile = _profile(call)
    if instance.state in _ENDING:
        raise AwsError("IncorrectInstanceState", f"The instance '{id}' is not in the 'running' or 'stopped' states.")
    if instance.profile_id is not None:
        raise AwsError("IncorrectState", f"There is an existing association for instance {id}")
    return _associate(call, instance, profile)


def replace_iam_instance_profile_association(call: Call) -> dict[str, Any]:
    """For a running instance, as in AWS: a stopped one loses its profile and gets the other in two calls."""
    instance = _of_association(call)
    profile = _profile(call)
    if instance.state not in (rules.PENDING, rules.RUNNING):
        raise AwsError("IncorrectState", f"The association {call.input['AssociationId']} is not the active association")
    return _associate(call, instance, profile)


def disassociate_iam_instance_profile(call: Call) -> dict[str, Any]:
    instance = _of_association(call)
    profiles.change(call, instance, profiles.NONE)
    return {"IamInstanceProfileAssociation": _shown(instance, "disassociating")}


def describe_iam_instance_profile_associations(call: Call) -> dict[str, Any]:
    found = [each for each in records.associated(call.tx) if each.state not in _ENDING]
    asked = resources.check_ids(TYPE, call.input.get("AssociationIds") or ())
    if asked:
        known = {each.profile_association_id: each for each in found}
        missing = [id for id in asked if id not in known]
        if missing:
            raise resources.not_found(TYPE, missing[0])
        found = [known[id] for id in asked]
    found = filters.apply(call.input.get("Filters"), _FILTERS, found)
    page, token = paging.page(call, found, key=lambda instance: instance.profile_association_id or "")
    return {"IamInstanceProfileAssociations": [_shown(each, "associated") for each in page], "NextToken": token}


def _profile(call: Call) -> Profile:
    named = rules.profile_named(call.input.get("IamInstanceProfile"))
    if named is None:
        raise AwsError("MissingParameter", "The request must contain the parameter IamInstanceProfile")
    return profiles.find(call, named)


def _of_association(call: Call) -> Instance:
    id = resources.check_id(TYPE, call.input["AssociationId"])
    seen = records.of_profile_association(call.tx, id)
    found = None if seen is None else records.instances_for_change(call.tx, [seen.id]).get(seen.id)
    if found is None or found.profile_association_id != id or found.state in _ENDING:
        raise resources.not_found(TYPE, id)
    return found


def _associate(call: Call, instance: Instance, profile: Profile) -> dict[str, Any]:
    made = profiles.columns(call, profile)
    profiles.change(call, instance, made)
    return {
        "IamInstanceProfileAssociation": {
            "AssociationId": made["profile_association_id"],
            "InstanceId": instance.id,
            "IamInstanceProfile": {"Arn": profile.arn, "Id": profile.id},
            "State": "associating",
        }
    }


def _shown(instance: Instance, state: str) -> dict[str, Any]:
    return {
        "AssociationId": instance.profile_association_id,
        "InstanceId": instance.id,
        "IamInstanceProfile": {"Arn": instance.profile_arn, "Id": instance.profile_id},
        "State": state,
        "Timestamp": instance.profile_since,
    }


# ------------------------------------------------------------------------------------------------------------------ access


def _passed(call: Call) -> Iterable[Check]:
    named = or_none(lambda: rules.profile_named(call.input.get("IamInstanceProfile")))
    id = call.input.get("InstanceId")
    if not id:
        instance = records.of_profile_association(call.tx, call.input["AssociationId"])
        id = "*" if instance is None else instance.id
    return profiles.pass_role(call, named, id)


def _new_profile(call: Call) -> str | None:
    """``ec2:NewInstanceProfile``: the ARN of the profile that the instance gets."""
    found = or_none(lambda: _profile(call))
    return None if found is None else str(found.arn)


_NEW = {"ec2:NewInstanceProfile": _new_profile}
_ASSOCIATED = On(access.INSTANCE_ASSOCIATED, "AssociationId")
ACCESS = {
    "associate_iam_instance_profile": checked(On(access.INSTANCE, "InstanceId"), keys=_NEW, find=_passed),
    "replace_iam_instance_profile_association": checked(_ASSOCIATED, keys=_NEW, find=_passed),
    "disassociate_iam_instance_profile": checked(_ASSOCIATED),
    "describe_iam_instance_profile_associations": checked(),
}
