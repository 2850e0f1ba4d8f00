"""What EC2's operations have in common when policies are asked about them (``identity/access.py`` has the vocabulary).

A domain declares the type of resource behind each of its prefixes (``declare``), so that CreateTags, which takes ids of any
kind, finds the condition keys of all of them. What nobody declared has its ARN and no keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mallee.ec2 import resources, tags
from mallee.identity.access import Access, Check, On, ResourceType, Values, check_on
from mallee.identity.call import Call

ANY = "*"  # in the place of an id: of what is yet to be made, or what no id was found for

Keys = Mapping[str, Callable[[Call, Any], Values]]  # of a type: they read the thing
Asked = Mapping[str, Values | Callable[[], Values]]  # of one question

_REGION: dict[str, Callable[[Call], Values]] = {"ec2:Region": lambda call: call.region}
_declared: dict[str, ResourceType] = {}


def checked(
    *on: On, keys: Mapping[str, Callable[[Call], Values]] | None = None, find: Callable[[Call], Iterable[Check]] | None = None
) -> Access:
    """The ``Access`` of an operation of EC2, which asks about no action but its own and the passing of roles."""
    return Access(*on, keys={**_REGION, **(keys or {})}, find=find, also=("iam:PassRole",))


def resource(
    name: str,
    load: Callable[[Call, str], Any] | None = None,
    keys: Keys | None = None,
    arn: str | Callable[[Call, str, Any], str] | None = None,
) -> ResourceType:
    """A type of EC2's resources; what is loaded has its id as ``id``, and tags. ``load`` None: it is yet to be made."""
    template = f"arn:{{partition}}:ec2:{{region}}:{{account}}:{name}/{{id}}"
    return ResourceType(name, arn or template, load, keys or {}, None if load is None else _tags)


def _tags(call: Call, thing: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags.tags_of(call.tx, [thing.id]).get(thing.id, ())}


def by_own_id(name: str) -> Callable[[Call, str, Any], str]:
    """The ARN of what requests name by something else than its id."""
    return lambda call, identifier, thing: call.arn(f"{name}/{identifier if thing is None else thing.id}", "ec2")


def arn_of(call: Call, type: str, id: str) -> str:
    return call.arn(f"{type}/{id}", "ec2")


def declare(prefix: str, type: ResourceType) -> None:
    """Ids with this prefix are of this type."""
    _declared[prefix] = type


def about(call: Call, type: ResourceType, identifier: str = ANY, keys: Asked | None = None, thing: Any = None) -> Check:
    """The operation's own action on one resource: the thing itself where the caller has it, else it is loaded when a policy
    asks. ``keys`` come to those of the type."""
    return check_on(call, f"ec2:{call.operation}", type, identifier, {**_region(call), **(keys or {})}, thing)


def about_id(call: Call, id: str) -> Check:
    """The operation's own action on whatever the id names."""
    kind = resources.kind_of(id)
    if kind is None:
        return Check(f"ec2:{call.operation}", ANY, _region(call))
    return about(call, _declared.get(kind.prefix) or resource(kind.type), id)


def attribute_keys(changed: Callable[[Call], Values], members: Iterable[str]) -> dict[str, Callable[[Call], Values]]:
    """``ec2:Attribute`` and ``ec2:Attribute/<Name>`` of an operation that modifies one of an input's ``members``; ``changed``
    says which."""

    def value(member: str) -> Callable[[Call], Values]:
        return lambda call: _plain(call.input.get(member))

    found: dict[str, Callable[[Call], Values]] = {f"ec2:Attribute/{member}": value(member) for member in members}
    return {"ec2:Attribute": changed} | found


def _plain(given: Any) -> Values:
    """An attribute's new value as far as it is one that a policy can name."""
    if isinstance(given, Mapping):
        given = given.get("Value")
    if isinstance(given, list):
        return [each for each in given if isinstance(each, str)] or None
    return given if isinstance(given, str | bool | int) else None


def _region(call: Call) -> dict[str, Values | Callable[[], Values]]:
    return {"ec2:Region": call.region}
