"""What IAM's operations have in common: their errors in AWS's words, names and paths, pages, look-ups, and the shapes that
several of them answer.

A name is unique in its account and kind without regard to case, and shown as it was given. Whatever is looked up is
looked up in the caller's account: another account's user, role or profile is exactly as absent as one that never was.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mallee.identity import markers, trust
from mallee.identity.records import roles as role_records
from mallee.identity.records import tags as tag_records
from mallee.identity.records import users as user_records
from mallee.identity.records import uses
from mallee.identity.records.names import Taken
from mallee.identity.rules.context import fold
from mallee.store import Constraint
from mallee.wire.errors import AwsError

if TYPE_CHECKING:
    from mallee.identity.call import Call

T = TypeVar("T")

# ----------------------------------------------------------------------------------------------------------------- errors

_MISSING = {
    "user": "The user with name {} cannot be found.",
    "group": "The group with name {} cannot be found.",
    "role": "The role with name {} cannot be found.",
    "instance-profile": "Instance Profile {} cannot be found.",
    "policy": "Policy {} was not found.",
    "attachable": "Policy {} does not exist or is not attachable.",
    "boundary": "Scope ARN: {} does not exist or is not attachable.",
    "user-policy": "The user policy with name {} cannot be found.",
    "group-policy": "The group policy with name {} cannot be found.",
    "role-policy": "The role policy with name {} cannot be found.",
    "access-key": "The Access Key with id {} cannot be found.",
    "login-profile": "Login Profile for User {} cannot be found.",
    "password-policy": "The Password Policy with domain name {} cannot be found.",
    "mfa": "VirtualMFADevice with serial number {} doesn't exist.",
    "server-certificate": "The Server Certificate with name {} cannot be found.",
    "signing-certificate": "The Certificate with id {} cannot be found.",
    "ssh-public-key": "The Public Key with id {} cannot be found.",
    "oidc-provider": "OpenIDConnect Provider not found for arn {}",
    "saml-provider": "Manifest not found for arn {}",
    "account-alias": "The account alias {} cannot be found.",
}

_EXISTING = {
    "user": "User with name {} already exists.",
    "group": "Group with name {} already exists.",
    "role": "Role with name {} already exists.",
    "instance-profile": "Instance Profile {} already exists.",
    "policy": "A policy called {} already exists. Duplicate names are not allowed.",
    "login-profile": "Login Profile for user {} already exists.",
    "mfa": "MFADevice entity at the same path and name already exists.",
    "server-certificate": "The Server Certificate with name {} already exists.",
    "oidc-provider": "Provider with url {} already exists.",
    "saml-provider": "SAMLProvider with name {} already exists.",
    "account-alias": "The account alias {} already exists.",
}


def no_such(kind: str, name: str) -> AwsError:
    """NoSuchEntity; ``kind`` is a key of the table above."""
    return AwsError("NoSuchEntity", _MISSING[kind].format(name), status=404)


def exists(kind: str, name: str) -> AwsError:
    return AwsError("EntityAlreadyExists", _EXISTING[kind].format(name), status=409)


def conflict(must: str) -> AwsError:
    """DeleteConflict: ``conflict("detach all policies first")``."""
    return AwsError("DeleteConflict", f"Cannot delete entity, must {must}.", status=409)


def limit(quota: str, value: int) -> AwsError:
    """LimitExceeded: ``limit("GroupsPerUser", 10)``."""
    return AwsError("LimitExceeded", f"Cannot exceed quota for {quota}: {value}", status=409)


def invalid(message: str) -> AwsError:
    """ValidationError: what the model's own constraints would answer, for rules that it does not tell."""
    return AwsError("ValidationError", message, status=400)


def invalid_input(message: str) -> AwsError:
    return AwsError("InvalidInput", message, status=400)


@contextmanager
def creating(kind: str, name: str) -> Iterator[None]:
    """Around what takes a name: that it is taken already, or by another call at the same moment, is EntityAlreadyExists."""
    try:
        yield
    except Taken:
        raise exists(kind, name) from None
    except Constraint as broken:
        if broken.kind != "unique":
            raise
        raise exists(kind, name) from None


# ------------------------------------------------------------------------------------------------------------------ names

_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]+")
_PATH = re.compile(r"/|/[!-~]+/")
_LONGEST = {"user": 64, "role": 64}


def check_name(kind: str, name: str) -> None:
    """For names that come by another way than IAM's own model, which checks them before a handler sees them."""
    member = f"{kind}Name"
    if not 1 <= len(name) <= _LONGEST.get(kind, 128):
        side, bound = ("greater", 1) if not name else ("less", _LONGEST.get(kind, 128))
        told = f"Value '{name[:500]}' at '{member}' failed to satisfy constraint: Member must have length"
        raise invalid(f"1 validation error detected: {told} {side} than or equal to {bound}")
    if not _NAME.fullmatch(name):
        only = "It must contain only alphanumeric characters and/or the following: +=,.@_-"
        raise invalid(f"The specified value for {member} is invalid. {only}")


def check_path(path: str) -> None:
    """As ``check_name``."""
    if len(path) > 512 or not _PATH.fullmatch(path):
        only = "It must begin and end with / and contain only alphanumeric characters and/or / characters."
        raise invalid(f"The specified value for path is invalid. {only}")


# ------------------------------------------------------------------------------------------------------------------ pages

_FREE = frozenset({"Marker", "MaxItems"})
DEFAULT_ITEMS = 100


@dataclass(frozen=True, slots=True)
class Window:
    """The page that a call asks for, for a query that reads only it: rows whose key comes after ``after`` (None: from the
    start), in the order of the key, one more than ``size`` of them so that it shows whether there are others."""

    call: Call
    after: Any
    size: int

    @property
    def reach(self) -> int:
        return self.size + 1

    def answer(
        self, member: str, rows: Sequence[T], key: Callable[[T], Any], described: Callable[[T], Any] | None = None
    ) -> dict[str, Any]:
        """``{member: [...], "IsTruncated": ..., "Marker": ...}`` of rows that begin after ``after``."""
        shown = rows[: self.size]
        found: dict[str, Any] = {
            member: [described(row) for row in shown] if described is not None else list(shown),
            "IsTruncated": len(rows) > self.size,
        }
        if len(rows) > self.size:
            found["Marker"] = markers.seal(self.call, key(shown[-1]), _FREE)
        return found


def window(call: Call) -> Window:
    """By the call's ``Marker`` and ``MaxItems``."""
    after = None
    given = call.input.get("Marker")
    if given is not None:
        try:
            after = markers.unseal(call, given, _FREE)
        except markers.Forged:
            raise invalid(f"Invalid Marker: {given[:320]}") from None
    return Window(call, after, int(call.input.get("MaxItems") or DEFAULT_ITEMS))


def page(
    call: Call,
    rows: Sequence[T],
    key: Callable[[T], Any],
    member: str,
    described: Callable[[T], Any] | None = None,
) -> dict[str, Any]:
    """The page that the call asks for, cut from all ``rows``: ``{member: [...], "IsTruncated": ..., "Marker": ...}``.
    ``key`` is unique, orders the rows, and is short (a marker has at most 320 characters)."""
    asked = window(call)
    ordered = sorted(rows, key=key)
    if asked.after is not None:
        ordered = [row for row in ordered if key(row) > asked.after]
    return asked.answer(member, ordered[: asked.reach], key, described)


# --------------------------------------------------------------------------------------------------------------- look-ups


def the_user(call: Call, name: str | None = None) -> user_records.User:
    """The named user of the caller's account; without a name, the caller itself."""
    if name is not None:
        found = user_records.user_by_name(call.tx, call.account_id, name)
        if found is None:
            raise no_such("user", name)
        return found
    caller = call.principal
    if caller.kind != "user":
        raise invalid("Must specify userName when calling with non-User credentials")
    found = user_records.user(call.tx, caller.holder_id or caller.user_id)
    if found is None:
        raise no_such("user", caller.user_name or caller.user_id)
    return found


def the_owner(call: Call, name: str | None) -> user_records.User | None:
    """Whose credentials a request is about: the named user's; without a name the caller's own, which for an account's root is
    None."""
    return None if name is None and call.principal.is_root else the_user(call, name)


def own_name(call: Call) -> tuple[str, ...]:
    """The caller's own user name, for ``On(USER, "UserName", default=own_name)``; none for roots and roles."""
    return (call.principal.user_name,) if call.principal.kind == "user" and call.principal.user_name else ()


def the_group(call: Call, name: str) -> user_records.Group:
    found = user_records.group_by_name(call.tx, call.account_id, name)
    if found is None:
        raise no_such("group", name)
    return found


def the_role(call: Call, name: str) -> role_records.Role:
    found = role_records.role_by_name(call.tx, call.account_id, name)
    if found is None:
        raise no_such("role", name)
    return found


def the_profile(call: Call, name: str) -> role_records.InstanceProfile:
    found = role_records.instance_profile_by_name(call.tx, call.account_id, name)
    if found is None:
        raise no_such("instance-profile", name)
    return found


def editable(role: role_records.Role) -> role_records.Role:
    """The role, unless it is linked to a service: then only the service changes it."""
    if role.linked_service is not None:
        told = f"Cannot perform the operation on the protected role '{role.name}' - this role is only modifiable by AWS"
        raise AwsError("UnmodifiableEntity", told, status=400)
    return role


# ----------------------------------------------------------------------------------------------------------------- shapes


def encoded(document: str) -> str:
    """A policy document as IAM answers it: RFC 3986's percent encoding."""
    return urllib.parse.quote(document, safe="")


def boundary(arn: str | None) -> dict[str, str] | None:
    return None if arn is None else {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}


def described_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tags_or_none(call: Call, resource_id: str) -> list[dict[str, str]] | None:
    """The member ``Tags`` of a single thing's description, which is not there without tags."""
    return described_tags(tag_records.tags_of(call.tx, resource_id)) or None


def listed_user(call: Call, user: user_records.User) -> dict[str, Any]:
    """A user as lists show it: without boundary and tags."""
    return {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": user.arn(call.settings.partition),
        "CreateDate": user.created_at,
    }


def described_user(call: Call, user: user_records.User) -> dict[str, Any]:
    shown = listed_user(call, user)
    return shown | {"PermissionsBoundary": boundary(user.boundary_arn), "Tags": tags_or_none(call, user.id)}


def described_group(call: Call, group: user_records.Group) -> dict[str, Any]:
    return {
        "Path": group.path,
        "GroupName": group.name,
        "GroupId": group.id,
        "Arn": group.arn(call.settings.partition),
        "CreateDate": group.created_at,
    }


def listed_role(call: Call, role: role_records.Role) -> dict[str, Any]:
    """A role as lists show it: without boundary, tags and last use."""
    partition = call.settings.partition
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn(partition),
        "CreateDate": role.created_at,
        "AssumeRolePolicyDocument": encoded(trust.shown(call.tx, partition, role.trust_policy)),
        "Description": role.description,
        "MaxSessionDuration": role.max_session_seconds,
    }


def new_role(call: Call, role: role_records.Role) -> dict[str, Any]:
    """A role as it is answered when it was made: complete, but for a last use."""
    shown = listed_role(call, role)
    return shown | {"PermissionsBoundary": boundary(role.boundary_arn), "Tags": tags_or_none(call, role.id)}


def described_role(call: Call, role: role_records.Role) -> dict[str, Any]:
    return new_role(call, role) | {"RoleLastUsed": role_last_used(call, role.id)}


def role_last_used(call: Call, role_id: str) -> dict[str, Any]:
    """The member ``RoleLastUsed``, which is there and empty until the first use."""
    used = uses.last_use(call.tx, role_id)
    return {} if used is None else {"LastUsedDate": used.used_at, "Region": used.region}


def listed_profile(
    call: Call, profile: role_records.InstanceProfile, held: Mapping[str, role_records.Role] | None = None
) -> dict[str, Any]:
    """``held``: the roles of several profiles, where they were read at once."""
    role = None
    if profile.role_id is not None:
        role = role_records.role(call.tx, profile.role_id) if held is None else held.get(profile.role_id)
    return {
        "Path": profile.path,
        "InstanceProfileName": profile.name,
        "InstanceProfileId": profile.id,
        "Arn": profile.arn(call.settings.partition),
        "CreateDate": profile.created_at,
        "Roles": [] if role is None else [listed_role(call, role)],
    }


def described_profile(call: Call, profile: role_records.InstanceProfile) -> dict[str, Any]:
    return listed_profile(call, profile) | {"Tags": tags_or_none(call, profile.id)}


# ------------------------------------------------------------------------------------------------------------------- tags

MOST_TAGS = 50


def read_tags(given: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    """The tags of a request. Keys are compared without case: ``Cost`` and ``cost`` are one key, given twice."""
    found: dict[str, str] = {}
    for tag in given or ():
        check_tag_key(tag["Key"])
        found[tag["Key"]] = tag["Value"]
    if len({fold(key) for key in found}) != len(given or ()):
        raise invalid_input("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    return found


def check_tag_key(key: str) -> None:
    if key.lower().startswith("aws:"):
        raise invalid_input("Tag keys beginning with 'aws:' are reserved for system use.")


def tag(call: Call, resource_id: str, kind: str, wanted: Mapping[str, str]) -> None:
    """Adds tags to a thing or gives them new values. ``kind`` is the word in AWS's quota (``TagsPerUser``)."""
    if not wanted:
        return
    old = {fold(key) for key in tag_records.tags_of(call.tx, resource_id)}
    if len(old | {fold(key) for key in wanted}) > MOST_TAGS:
        raise limit(f"TagsPer{kind}", MOST_TAGS)
    tag_records.set_tags(call.tx, call.account_id, resource_id, dict(wanted))


def untag(call: Call, resource_id: str, keys: Sequence[str]) -> None:
    """Keys that the thing does not have are none of its business."""
    for key in keys:
        check_tag_key(key)
    tag_records.remove_tags(call.tx, resource_id, list(keys))


def list_tags(call: Call, resource_id: str) -> dict[str, Any]:
    """The answer of all List…Tags operations."""
    tags = sorted(tag_records.tags_of(call.tx, resource_id).items(), key=lambda item: fold(item[0]))
    return page(call, tags, lambda item: fold(item[0]), "Tags", lambda item: {"Key": item[0], "Value": item[1]})
