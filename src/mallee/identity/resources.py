"""IAM's types of resources, as policies name them.

An ARN bears path and name as they are kept, whatever case the request wrote; of a thing that is not there, or is yet to be
made, path and name are the request's. ``Call.input`` has passed the model's patterns by then, so that no name holds a
slash or a wildcard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mallee.identity.access import ResourceType
from mallee.identity.call import Call
from mallee.identity.records import roles, tags, users


def _arn(prefix: str) -> Callable[[Call, str, Any], str]:
    def arn(call: Call, identifier: str, thing: Any) -> str:
        if thing is not None:
            return str(thing.arn(call.settings.partition))
        return call.arn(f"{prefix}/{identifier}", "iam")

    return arn


def _new(prefix: str, member: str) -> Callable[[Call, str, Any], str]:
    """Of what the request is about to make, with the path that it is to have."""

    def arn(call: Call, identifier: str, thing: Any) -> str:
        return call.arn(f"{prefix}{call.input.get('Path') or '/'}{call.input.get(member, identifier)}", "iam")

    return arn


def _tags(call: Call, thing: Any) -> Mapping[str, str]:
    return tags.tags_of(call.tx, thing.id)


def _user(call: Call, name: str) -> users.User | None:
    return users.user_by_name(call.tx, call.account_id, name)


def _group(call: Call, name: str) -> users.Group | None:
    return users.group_by_name(call.tx, call.account_id, name)


def _role(call: Call, name: str) -> roles.Role | None:
    return roles.role_by_name(call.tx, call.account_id, name)


def _profile(call: Call, name: str) -> roles.InstanceProfile | None:
    return roles.instance_profile_by_name(call.tx, call.account_id, name)


_BOUNDARY: Mapping[str, Callable[[Call, Any], str | None]] = {
    "iam:PermissionsBoundary": lambda call, thing: thing.boundary_arn
}

USER = ResourceType("user", _arn("user"), _user, tags=_tags)
GROUP = ResourceType("group", _arn("group"), _group)
ROLE = ResourceType("role", _arn("role"), _role, tags=_tags)
INSTANCE_PROFILE = ResourceType("instance-profile", _arn("instance-profile"), _profile, tags=_tags)

# for the actions that AWS gives the key iam:PermissionsBoundary: the boundary that the user or role has
BOUNDED_USER = ResourceType("user", _arn("user"), _user, keys=_BOUNDARY, tags=_tags)
BOUNDED_ROLE = ResourceType("role", _arn("role"), _role, keys=_BOUNDARY, tags=_tags)

# what Create… is about to make
NEW_USER = ResourceType("user", _new("user", "UserName"))
NEW_GROUP = ResourceType("group", _new("group", "GroupName"))
NEW_ROLE = ResourceType("role", _new("role", "RoleName"))
NEW_INSTANCE_PROFILE = ResourceType("instance-profile", _new("instance-profile", "InstanceProfileName"))
