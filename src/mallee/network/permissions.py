"""Security group rules as values: reading what a caller asks, telling equal ones apart, and grouping them for an
answer.

A rule's identity is its direction, protocol, ports and peer; a description is not part of it. Everything here is
kept in one canonical spelling (``tcp`` never ``6``, ranges with cleared host bits, ports -1 where a protocol has
none), so that equality of the canonical values is equality of the rules. All functions are pure; the caller
resolves group names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mallee.network import rules
from mallee.wire.errors import AwsError

MAXIMUM_DESCRIPTION = 255
ALL = -1
_NAMES = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": "-1", "any": "-1"}
_WITH_PORTS = frozenset({"tcp", "udp"})
_WITH_TYPES = frozenset({"icmp", "icmpv6"})
_DESCRIPTION = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]*")


@dataclass(frozen=True, slots=True)
class Permission:
    """``peer`` is an IPv4 range, an IPv6 range or a group's id; ICMP has its type and code as ports."""

    protocol: str
    from_port: int
    to_port: int
    peer: str

    @property
    def is_group(self) -> bool:
        return self.peer.startswith("sg-")

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.peer

    @property
    def sort_key(self) -> tuple[str, int, int, str]:
        return (self.protocol, self.from_port, self.to_port, self.peer)


@dataclass(frozen=True, slots=True)
class Asked:
    """A permission in a request, with the description given to it (None: none given)."""

    permission: Permission
    description: str | None = None


Resolve = Callable[[Mapping[str, Any]], str]  # a UserIdGroupPair -> the group's id, or an AwsError


def read(given: Sequence[Mapping[str, Any]], resolve: Resolve) -> list[Asked]:
    """The single rules that an ``IpPermissions`` parameter stands for, in its order."""
    return [asked for each in given for asked in _read_one(each, resolve)]


def _read_one(each: Mapping[str, Any], resolve: Resolve) -> list[Asked]:
    protocol = read_protocol(each.get("IpProtocol"))
    first, last = read_ports(protocol, each.get("FromPort"), each.get("ToPort"))
    found = [
        Asked(Permission(protocol, first, last, read_peer(one)), read_description(one.get("Description")))
        for one in (*(each.get("IpRanges") or ()), *(each.get("Ipv6Ranges") or ()))
    ]
    for pair in each.get("UserIdGroupPairs") or ():
        permission = Permission(protocol, first, last, resolve(pair))
        found.append(Asked(permission, read_description(pair.get("Description"))))
    for prefix_list in each.get("PrefixListIds") or ():
        id = prefix_list.get("PrefixListId") or ""
        raise AwsError("InvalidPrefixListID.NotFound", f"The prefix list ID '{id[:256]}' does not exist")
    if not found:
        raise AwsError(
            "MissingParameter",
            "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or a source security group",
        )
    return found


def read_protocol(given: str | None) -> str:
    if given is None or given == "":
        raise AwsError("MissingParameter", "The request must contain the parameter ipProtocol")
    name = given.strip().lower()
    name = _NAMES.get(name, name)
    if name in _WITH_PORTS or name in _WITH_TYPES or name == "-1":
        return name
    if name.isascii() and name.isdigit() and int(name) <= 255:
        name = str(int(name))
        return _NAMES.get(name, name)
    raise AwsError("InvalidParameterValue", f"Invalid value '{given[:256]}' for IP protocol. Unknown protocol.")


def read_ports(protocol: str, first: int | None, last: int | None) -> tuple[int, int]:
    """Canonical ports, or type and code, of a protocol; AWS ignores ports where a protocol has none."""
    if protocol in _WITH_PORTS:
        if first is None or last is None:
            raise AwsError(
                "InvalidParameterValue",
                "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.",
            )
        if not (0 <= first <= last <= 65535):
            raise AwsError("InvalidParameterValue", f"Invalid {protocol.upper()} port range ({first}:{last})")
        return first, last
    if protocol in _WITH_TYPES:
        if protocol == "icmpv6" and first is None and last is None:
            return ALL, ALL
        if first is None or last is None:
            raise AwsError("InvalidParameterValue", "Invalid value 'Must specify both type and code with ICMP.' for portRange.")
        if not (-1 <= first <= 255 and -1 <= last <= 255) or (first == ALL and last != ALL):
            raise AwsError("InvalidParameterValue", f"Invalid ICMP type and code ({first}:{last})")
        return first, last
    return ALL, ALL


def read_peer(given: Mapping[str, Any]) -> str:
    """Of an IpRange or Ipv6Range, or of the members of a SecurityGroupRuleRequest that name ranges."""
    for member, is_ipv6 in (("CidrIp", False), ("CidrIpv4", False), ("CidrIpv6", True)):
        text = given.get(member)
        if text is not None:
            return read_cidr(text, is_ipv6)
    raise AwsError("MissingParameter", "The request must contain the parameter cidrIp")


def read_cidr(text: str, is_ipv6: bool) -> str:
    found = rules.canonical_cidr(text)
    if found is None or (":" in found) is not is_ipv6:
        raise AwsError("InvalidParameterValue", f"CIDR block {text[:256]} is malformed")
    return found


def read_description(given: str | None) -> str | None:
    if given is not None and (len(given) > MAXIMUM_DESCRIPTION or not _DESCRIPTION.fullmatch(given)):
        raise AwsError(
            "InvalidParameterValue",
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  "
            "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
        )
    return given


# ------------------------------------------------------------------------------------------------------ the flat parameters

_FLAT = ("IpProtocol", "FromPort", "ToPort", "CidrIp", "SourceSecurityGroupName", "SourceSecurityGroupOwnerId")


def flattened(input: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``IpPermissions``, or what the older flat parameters of the same operations mean."""
    given = [name for name in _FLAT if input.get(name) is not None]
    structured = list(input.get("IpPermissions") or ())
    if not given:
        return structured
    if structured:
        raise AwsError(
            "InvalidParameterCombination", f"The parameter ipPermissions may not be used in combination with {given[0]}"
        )
    group = input.get("SourceSecurityGroupName")
    if group is not None:
        return _flat_group(input, group)
    return [
        {
            "IpProtocol": input.get("IpProtocol"),
            "FromPort": input.get("FromPort"),
            "ToPort": input.get("ToPort"),
            "IpRanges": [{"CidrIp": input["CidrIp"]}] if input.get("CidrIp") is not None else [],
        }
    ]


def _flat_group(input: Mapping[str, Any], group: str) -> list[dict[str, Any]]:
    """A source group by the flat parameters opens everything to it: it cannot be joined with a protocol, ports or
    range."""
    for name in ("CidrIp", "IpProtocol", "FromPort", "ToPort"):
        if input.get(name) is not None:
            raise AwsError(
                "InvalidParameterCombination",
                f"The parameter SourceSecurityGroupName may not be used in combination with {name}",
            )
    pair = {"GroupName": group}
    if input.get("SourceSecurityGroupOwnerId"):
        pair["UserId"] = input["SourceSecurityGroupOwnerId"]
    return [
        {"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535, "UserIdGroupPairs": [pair]},
        {"IpProtocol": "udp", "FromPort": 0, "ToPort": 65535, "UserIdGroupPairs": [pair]},
        {"IpProtocol": "icmp", "FromPort": ALL, "ToPort": ALL, "UserIdGroupPairs": [pair]},
    ]


# ------------------------------------------------------------------------------------------------------------------ decisions


def refuse_repeated(asked: Iterable[Asked]) -> None:
    seen: set[Permission] = set()
    for each in asked:
        if each.permission in seen:
            raise AwsError("InvalidParameterValue", "The same permission must not appear multiple times")
        seen.add(each.permission)


def split(asked: Iterable[Asked], present: Mapping[Permission, str]) -> tuple[list[str], list[Asked]]:
    """Which existing rules (by the ids in ``present``) a request names, and which of its permissions name none."""
    known: list[str] = []
    unknown: list[Asked] = []
    for each in asked:
        id = present.get(each.permission)
        if id is None:
            unknown.append(each)
        else:
            known.append(id)
    return list(dict.fromkeys(known)), unknown


def exceeds(permissions: Iterable[Permission], maximum: int) -> bool:
    """Whether rules of one direction are too many. IPv4 and IPv6 count apart; a group counts in both."""
    ipv4 = ipv6 = 0
    for each in permissions:
        ipv4 += not each.is_ipv6
        ipv6 += each.is_ipv6 or each.is_group
    return ipv4 > maximum or ipv6 > maximum


def duplicate(permission: Permission) -> AwsError:
    """The error for a rule that the group has already."""
    parts = [f"peer: {permission.peer}"]
    protocol = permission.protocol
    if protocol == "-1":
        parts.append("ALL")
    elif protocol in _WITH_TYPES:
        parts += [protocol.upper(), f"type: {permission.from_port}", f"code: {permission.to_port}"]
    elif protocol in _WITH_PORTS:
        parts += [protocol.upper(), f"from port: {permission.from_port}", f"to port: {permission.to_port}"]
    else:
        parts.append(f"protocol: {protocol}")
    return AwsError("InvalidPermission.Duplicate", f'the specified rule "{", ".join(parts)}, ALLOW" already exists')


# ------------------------------------------------------------------------------------------------------------------- answers


def grouped(asked: Iterable[Asked], pair: Callable[[str], dict[str, Any]]) -> list[dict[str, Any]]:
    """``IpPermissions`` as answers list them: rules of the same protocol and ports in one entry. ``pair`` makes the
    UserIdGroupPair of a group's id."""
    entries: dict[tuple[str, int, int], dict[str, Any]] = {}
    for each in sorted(asked, key=lambda one: one.permission.sort_key):
        permission = each.permission
        key = (permission.protocol, permission.from_port, permission.to_port)
        entry = entries.get(key)
        if entry is None:
            entry = entries[key] = _entry(permission)
        if permission.is_group:
            item, member = pair(permission.peer), "UserIdGroupPairs"
        elif permission.is_ipv6:
            item, member = {"CidrIpv6": permission.peer}, "Ipv6Ranges"
        else:
            item, member = {"CidrIp": permission.peer}, "IpRanges"
        if each.description:
            item["Description"] = each.description
        entry[member].append(item)
    return list(entries.values())


def _entry(permission: Permission) -> dict[str, Any]:
    entry: dict[str, Any] = {"IpProtocol": permission.protocol}
    if permission.protocol in _WITH_PORTS or permission.protocol in _WITH_TYPES:
        entry["FromPort"] = permission.from_port
        entry["ToPort"] = permission.to_port
    entry |= {"UserIdGroupPairs": [], "IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": []}
    return entry
