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

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mallee.identity.call import Call
from mallee.identity.rules.policy import Policy

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
    ``policy`` is the resource's own policy (a text, or compiled already), ``owner`` the account that the resource belongs to
    (the caller's if empty). ``shown`` is how a refusal names the resource, if ``resource`` would tell more than the request
    did: that a thing exists, or where. Of S3 alone: ``granted`` says whether the resource's owner lets the caller do it by other means
    than a policy (an ACL), ``speaks`` is False where the policy may deny only, ``canonical_id`` is the caller's account as
    policies may name it."""

    action: str
    resource: str
    keys: Mapping[str, Values | Callable[[], Values]] = field(default_factory=dict)
    tags: Callable[[], Mapping[str, str]] | None = None
    policy: str | Policy | None = None
    owner: str = ""
    shown: str = ""
    granted: Callable[[], bool] | None = None
    speaks: bool = True
    canonical_id: str = ""


class Access:
    """What one operation is checked against.

    ``on``: resources; several ``On`` all count. ``keys``: condition keys of the request itself, for every check. ``find``:
    further checks, with actions of their own (iam:PassRole) or on resources that the request does not name; with ``also`` it
    says that these and the operation's own are all the actions that it has, so that it need not look for whom all of them
    are allowed on everything. ``action``: if it is not the operation's own name. ``open``: no policy is asked at all
    (GetCallerIdentity; an operation that itself decides, as AssumeRole does by the role's trust policy). ``shared``: the
    resources may have policies of their own or belong to other accounts, so that an account's root is asked too.

    ``actions`` and ``plain`` come together, for resources of which most are the caller's account's and have nothing to say themselves
    (S3's): ``actions(call)`` are all that this request needs, ``plain(call)`` is True when nobody but the account itself decides. Where
    both leave no doubt nothing else is asked; otherwise ``find`` makes all the questions.

    Whatever is found, the operation's own action is asked about at least once: on ``*`` where the request names no resource.
    Tags that the request gives to what it makes are asked about besides (``TAGGING``), by whatever declaration."""

    __slots__ = ("action", "actions", "also", "find", "keys", "on", "open", "plain", "shared")

    def __init__(
        self,
        *on: On,
        keys: Mapping[str, Callable[[Call], Values]] | None = None,
        find: Callable[[Call], Iterable[Check]] | None = None,
        action: str | None = None,
        open: bool = False,
        shared: bool = False,
        also: tuple[str, ...] | None = None,
        actions: Callable[[Call], tuple[str, ...]] | None = None,
        plain: Callable[[Call], bool] | None = None,
    ) -> None:
        self.on = on
        self.keys = keys or {}
        self.find = find
        self.action = action
        self.open = open
        self.shared = shared
        self.also = () if find is None else also
        self.actions = actions
        self.plain = plain


PREFIXES = {"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing", "service-quotas": "servicequotas", "s3control": "s3"}
"""The services whose actions don't begin with botocore's name of the service."""

TAGGING: Mapping[str, Mapping[str, str]] = {
    "iam": {
        "user": "iam:TagUser",
        "role": "iam:TagRole",
        "policy": "iam:TagPolicy",
        "instance-profile": "iam:TagInstanceProfile",
        "mfa": "iam:TagMFADevice",
        "oidc-provider": "iam:TagOpenIDConnectProvider",
        "saml-provider": "iam:TagSAMLProvider",
        "server-certificate": "iam:TagServerCertificate",
    }
}
"""The action that a request needs as well to put tags on what it makes, by service and type. EC2 has one for all types."""


def prefix(service: str) -> str:
    return PREFIXES.get(service, service)


def check_on(
    call: Call,
    action: str,
    type: ResourceType,
    identifier: str,
    keys: Mapping[str, Values | Callable[[], Values]] | None = None,
    thing: Any = None,
) -> Check:
    """The action on one resource: the ``thing`` where the caller has it, else loaded when a policy asks for what only the
    thing can tell. ``keys`` come to those of the type. The identifier ``*`` is of what is yet to be made."""

    @functools.cache
    def loaded() -> Any:
        if thing is not None or type.load is None or identifier == "*":
            return thing
        return type.load(call, identifier)

    def reader(read: Callable[[Call, Any], Values]) -> Callable[[], Values]:
        return lambda: None if loaded() is None else read(call, loaded())

    def tagged() -> Mapping[str, str]:
        return {} if type.tags is None or loaded() is None else type.tags(call, loaded())

    found: dict[str, Values | Callable[[], Values]] = {name: reader(read) for name, read in type.keys.items()}
    if keys:
        found |= keys
    if callable(type.arn):
        return Check(action, type.arn(call, identifier, loaded()), found, tagged, shown=type.arn(call, identifier, None))
    settings = call.settings
    arn = type.arn.format(partition=settings.partition, region=settings.region, account=call.account_id, id=identifier)
    return Check(action, arn, found, tagged)


@functools.lru_cache(1024)
def reader(member: str) -> Callable[[Mapping[str, Any]], list[str]]:
    """What stands at a member's place in an input: ``InstanceIds``, ``Groups[].GroupId``, ``Options.SubnetId``."""
    names = member.replace("[]", "").split(".")

    def read(given: Mapping[str, Any]) -> list[str]:
        places: list[Any] = [given]
        for name in names:
            found = [place.get(name) for place in places if isinstance(place, Mapping)]
            places = [each for place in found for each in (place if isinstance(place, list) else [place]) if each is not None]
        return list(dict.fromkeys(str(place) for place in places))

    return read


def identifiers(call: Call, on: On) -> Iterable[str]:
    """The identifiers that a request has for one of its operation's resources."""
    if on.member is None:
        return ("*",)
    found = reader(on.member)(call.input)
    return found if found or on.default is None else on.default(call)
