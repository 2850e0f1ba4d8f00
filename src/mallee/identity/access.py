"""How an operation says, as data beside its handler, what it is checked against: resources, condition keys, other actions.

Each module of operations has ``ACCESS``, one entry per operation in it:

    ACCESS = {
        "describe_instances": Access(),
        "terminate_instances": Access(On(INSTANCE, "InstanceIds")),
        "run_instances": Access(find=_launched),
    }

The words are those of AWS's Service Authorization Reference: an operation without resource-level permissions is checked
against ``*``; one with several resources must be allowed on each of them. Nothing here reads a policy: it only says
what a policy will be asked. All functions are called only when a policy refers to what they answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mallee.identity.call import Call

Values = str | bool | int | Iterable[str] | None
"""What a condition key has: one value, several, or None when it is not in the request."""


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A type of resource that policies name.

    ``arn`` is a template with ``{partition} {region} {account} {id}``, or a function ``(call, identifier, thing) -> ARN`` where
    the identifier does not tell it (a user's path). ``load`` answers the thing by the identifier that requests use, or None
    when the caller's account has no such thing; ``keys`` are condition keys of the thing, ``tags`` its tags (they are
    ``aws:ResourceTag/…`` and ``<service>:ResourceTag/…``). A thing that is not there has neither."""

    name: str
    arn: str | Callable[[Call, str, Any], str]
    load: Callable[[Call, str], Any] | None = None
    keys: Mapping[str, Callable[[Call, Any], Values]] = field(default_factory=dict)
    tags: Callable[[Call, Any], Mapping[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class On:
    """A resource of the request. ``member`` is where its identifiers stand in the input (``InstanceIds``,
    ``Groups[].GroupId``); an absent member names no resource. Without ``member`` the resource is yet to be made: ``*`` stands in
    the place of its id. ``default`` gives identifiers when the member is absent (a user's own name)."""

    type: ResourceType
    member: str | None = None
    default: Callable[[Call], Iterable[str]] | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One question for the policies: this action on this resource, with these condition keys beside the global ones.
    ``policy`` is the resource's own policy, ``owner`` the account that the resource belongs to (the caller's if empty)."""

    action: str
    resource: str
    keys: Mapping[str, Values | Callable[[], Values]] = field(default_factory=dict)
    tags: Callable[[], Mapping[str, str]] | None = None
    policy: str | None = None
    owner: str = ""


class Access:
    """What one operation is checked against. ``on``: resources; several ``On`` all count. ``keys``: condition keys of the
    request itself, for every check. ``find``: further checks, with actions of their own (iam:PassRole) or on resources that
    the request does not name. ``action``: if it is not the operation's own name. ``open``: no policy is asked at all
    (GetCallerIdentity; an operation that itself decides, as AssumeRole does by the role's trust policy)."""

    __slots__ = ("action", "find", "keys", "on", "open")

    def __init__(
        self,
        *on: On,
        keys: Mapping[str, Callable[[Call], Values]] | None = None,
        find: Callable[[Call], Iterable[Check]] | None = None,
        action: str | None = None,
        open: bool = False,
    ) -> None:
        self.on = on
        self.keys = keys or {}
        self.find = find
        self.action = action
        self.open = open
