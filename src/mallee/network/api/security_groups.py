"""CreateSecurityGroup, DeleteSecurityGroup, DescribeSecurityGroups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mallee.ec2 import filters, paging, resources, tags
from mallee.ec2.access import checked
from mallee.ec2.listing import by_ids
from mallee.identity.access import On
from mallee.identity.call import Call
from mallee.identity.quotas import require
from mallee.network import access, groups, permissions, quotas, records
from mallee.network.records import Group, Rule
from mallee.store import Tx
from mallee.wire.errors import AwsError

TYPE = "security-group"


def create_security_group(call: Call) -> dict[str, Any]:
    given = tags.from_specifications(call.input, TYPE)
    vpc_id = call.input.get("VpcId")
    if vpc_id:
        vpc = records.vpc(call.tx, resources.check_id("vpc", vpc_id))
        if vpc is None:
            raise resources.not_found("vpc", vpc_id)
    else:
        vpc = records.default_vpc(call.tx)
        if vpc is None:
            raise AwsError("VPCIdNotSpecified", "No default VPC for this user")
    id = groups.create(call.tx, call.account_id, vpc.id, call.input["GroupName"], call.input["Description"])
    error = AwsError("SecurityGroupLimitExceeded", "The maximum number of security groups has been reached.")
    require(call, quotas.GROUPS, more=0, error=error)  # the new one counts already
    tags.write(call.tx, id, TYPE, given)
    return {"GroupId": id, "Tags": given, "SecurityGroupArn": call.arn(f"security-group/{id}")}


def delete_security_group(call: Call) -> dict[str, Any]:
    group = groups.one(call.tx, call.input)
    groups.delete(call.tx, group)
    return {"Return": True, "GroupId": group.id}


# ------------------------------------------------------------------------------------------------------------- describing


@dataclass(slots=True)
class _Shown:
    group: Group
    rules: list[Rule] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.group.id

    def of(self, egress: bool) -> Iterable[Rule]:
        return (rule for rule in self.rules if rule.egress is egress)


def describe_security_groups(call: Call) -> dict[str, Any]:
    tx, given = call.tx, call.input.get("Filters")
    shown = [_Shown(group) for group in _chosen(call)]
    known: dict[str, tags.TagList] | None = None
    with_rules = any("ip-permission." in (each.get("Name") or "") for each in given or ())
    names: dict[str, str] = {}
    if with_rules:
        _load_rules(tx, shown)
        if any((each.get("Name") or "").endswith(".group-name") for each in given or ()):
            names = records.group_names(tx)
    if filters.names_tags(given):
        known = tags.tags_of(tx, [each.id for each in shown], TYPE)
    found = known or {}
    shown = filters.apply(given, _filters(names), shown, tags_of=lambda each: found.get(each.id, ()))
    shown, token = paging.page(call, shown, key=lambda each: each.id, default=0)
    if not with_rules:
        _load_rules(tx, shown)
    if known is None:
        known = tags.tags_of(tx, [each.id for each in shown], TYPE)
    return {
        "SecurityGroups": [_group(call, each) | {"Tags": known.get(each.id, [])} for each in shown],
        "NextToken": token,
    }


def _chosen(call: Call) -> list[Group]:
    """The groups that ids and names choose: either, or both lists joined; all without."""
    tx, names, wanted = call.tx, call.input.get("GroupNames"), call.input.get("GroupIds")
    if not names and not wanted:
        return _all_or_filtered(tx, call.input.get("Filters"))
    found: dict[str, Group] = {}
    if wanted:
        distinct = resources.check_ids(TYPE, wanted)
        found |= {group.id: group for group in by_ids(call, TYPE, "GroupIds", list(_some(tx, distinct)))}
    if names:
        found |= {group.id: group for group in groups.by_names(tx, list(dict.fromkeys(names)))}
    return list(found.values())


def _all_or_filtered(tx: Tx, given: Sequence[Mapping[str, Any]] | None) -> list[Group]:
    """All groups, or only those whose ids a filter gives literally."""
    named = filters.exact(given, "group-id")
    return records.all_groups(tx) if named is None else list(_some(tx, named))


def _some(tx: Tx, ids: list[str]) -> Iterable[Group]:
    return records.groups_by_id(tx, ids).values()


def _load_rules(tx: Tx, shown: list[_Shown]) -> None:
    found = records.rules_of(tx, [each.id for each in shown])
    for each in shown:
        each.rules = found.get(each.id, [])


def _group(call: Call, shown: _Shown) -> dict[str, Any]:
    group = shown.group

    def pair(peer: str) -> dict[str, Any]:
        return {"GroupId": peer, "UserId": group.account_id}

    return {
        "Description": group.description,
        "GroupId": group.id,
        "GroupName": group.name,
        "IpPermissions": permissions.grouped((rule.asked for rule in shown.of(False)), pair),
        "IpPermissionsEgress": permissions.grouped((rule.asked for rule in shown.of(True)), pair),
        "OwnerId": group.account_id,
        "SecurityGroupArn": call.arn(f"security-group/{group.id}"),
        "VpcId": group.vpc_id,
    }


# ---------------------------------------------------------------------------------------------------------------- filters


def _ports(rule: Rule, port: int) -> int | None:
    return port if rule.protocol in ("tcp", "udp", "icmp", "icmpv6") else None


_RULE_FILTERS: dict[str, Callable[[Rule], Any]] = {
    "cidr": lambda rule: None if rule.permission.is_group or rule.permission.is_ipv6 else rule.peer,
    "from-port": lambda rule: _ports(rule, rule.from_port),
    "group-id": lambda rule: rule.peer if rule.permission.is_group else None,
    "ipv6-cidr": lambda rule: rule.peer if rule.permission.is_ipv6 else None,
    "prefix-list-id": lambda rule: None,
    "protocol": lambda rule: rule.protocol,
    "to-port": lambda rule: _ports(rule, rule.to_port),
    "user-id": lambda rule: rule.account_id if rule.permission.is_group else None,
}
_GROUP_FILTERS: dict[str, Callable[[_Shown], Any]] = {
    "description": lambda shown: shown.group.description,
    "group-id": lambda shown: shown.group.id,
    "group-name": lambda shown: shown.group.name,
    "owner-id": lambda shown: shown.group.account_id,
    "vpc-id": lambda shown: shown.group.vpc_id,
}


def _over(read: Callable[[Rule], Any], egress: bool) -> Callable[[_Shown], Any]:
    return lambda shown: [read(rule) for rule in shown.of(egress)]


for _name, _read in _RULE_FILTERS.items():
    _GROUP_FILTERS[f"ip-permission.{_name}"] = _over(_read, False)
    _GROUP_FILTERS[f"egress.ip-permission.{_name}"] = _over(_read, True)


def _filters(names: Mapping[str, str]) -> dict[str, Callable[[_Shown], Any]]:
    """The filters, with those by the names of groups that rules refer to."""

    def named(rule: Rule) -> str | None:
        return names.get(rule.peer)

    return _GROUP_FILTERS | {
        "ip-permission.group-name": _over(named, False),
        "egress.ip-permission.group-name": _over(named, True),
    }


def _default_vpc(call: Call) -> list[str]:
    vpc = records.default_vpc(call.tx)
    return [] if vpc is None else [vpc.id]


ACCESS = {
    "create_security_group": checked(On(access.NEW_SECURITY_GROUP), On(access.VPC, "VpcId", default=_default_vpc)),
    "delete_security_group": checked(On(access.SECURITY_GROUP, "GroupId"), On(access.SECURITY_GROUP_NAMED, "GroupName")),
    "describe_security_groups": checked(),
}
