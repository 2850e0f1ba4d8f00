"""What a host shall have of networks: the ``Network`` entries of its desired document, computed whole from rows.

A host has a network when an instance placed on it has an interface there. Of that VPC it gets its own ports, every
group that a port of its bears, with the members that each group named by their rules has anywhere in the VPC, and the
names of all hosts. Rules for IPv6 stay out: no interface has an IPv6 address, so they can match nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mallee.fabric.document import Group, Network, Port, Rule, Subnet
from mallee.network import interfaces, names, records, rules
from mallee.network.records import Interface, Vpc
from mallee.nodes import records as nodes
from mallee.store import Tx

if TYPE_CHECKING:
    from mallee.settings import Settings


def networks(tx: Tx, node_id: str, settings: Settings) -> tuple[Network, ...]:
    """For the document of a node; ``tx`` is of no account."""
    placed = [placement.instance_id for placement in nodes.placements_on(tx, node_id)]
    local = [each for start in range(0, len(placed), 500) for each in _held(tx, placed[start : start + 500])]
    vpcs = records.vpcs_by_id(tx, sorted({each.vpc_id for each in local}))
    if not vpcs:
        return ()
    everywhere: dict[str, list[Interface]] = defaultdict(list)
    for each in interfaces.attached_in(tx, list(vpcs)):
        everywhere[each.vpc_id].append(each)
    here: dict[str, list[Interface]] = defaultdict(list)
    for each in local:
        here[each.vpc_id].append(each)
    subnets = records.subnets_of(tx, list(vpcs))
    internet = records.internet_subnets(tx, subnets)
    borne = sorted({id for each in local for id in each.group_ids})
    their_rules, their_names = records.rules_of(tx, borne), records.group_names(tx, borne)
    return tuple(
        Network(
            id=vpc.id,
            vni=vpc.vni,
            cidrs=(vpc.cidr,),
            dns=rules.resolver(vpc.cidr),
            domain=names.domain(settings.region),
            subnets=tuple(
                Subnet(each.id, each.cidr, rules.gateway(each.cidr), each.id in internet)
                for each in subnets
                if each.vpc_id == vpc.id
            ),
            ports=tuple(_port(each, vpc, settings) for each in sorted(here[vpc.id], key=lambda one: one.id)),
            groups=_groups(here[vpc.id], everywhere[vpc.id], their_rules, their_names),
            hosts=_hosts(everywhere[vpc.id], vpc, settings),
        )
        for vpc in vpcs.values()
    )


def _held(tx: Tx, instance_ids: Sequence[str]) -> Iterable[Interface]:
    return (each for held in interfaces.of_instances(tx, instance_ids).values() for each in held)


def _port(each: Interface, vpc: Vpc, settings: Settings) -> Port:
    return Port(
        id=each.id,
        guest_id=each.instance_id or "",
        device_index=each.device_index or 0,
        mac=each.mac,
        ip=each.private_ip,
        subnet_id=each.subnet_id,
        group_ids=tuple(each.group_ids),
        public_ip=each.public_ip,
        private_hostname=names.private_hostname(each.private_ip, settings.region),
        public_hostname=_public_hostname(each, vpc, settings),
        source_dest_check=each.source_dest_check,
    )


def _public_hostname(each: Interface, vpc: Vpc, settings: Settings) -> str:
    return names.public_hostname(each.public_ip, settings) if each.public_ip and vpc.dns_hostnames else ""


def _groups(
    here: Sequence[Interface],
    everywhere: Sequence[Interface],
    their_rules: dict[str, list[records.Rule]],
    their_names: dict[str, str],
) -> tuple[Group, ...]:
    """The groups of the local ports with their names and rules, and every group that those rules name with its members."""
    borne = {group_id for each in here for group_id in each.group_ids}
    named = {rule.peer for group_id in borne for rule in their_rules.get(group_id, ()) if rule.permission.is_group}
    members: dict[str, list[str]] = defaultdict(list)
    for each in everywhere:
        for group_id in each.group_ids:
            if group_id in named or group_id in borne:
                members[group_id].append(each.private_ip)
    found = []
    for group_id in sorted(borne | named):
        mine = their_rules.get(group_id, ()) if group_id in borne else ()
        found.append(
            Group(
                id=group_id,
                ingress=tuple(_rule(rule) for rule in mine if not rule.egress and not rule.permission.is_ipv6),
                egress=tuple(_rule(rule) for rule in mine if rule.egress and not rule.permission.is_ipv6),
                members=tuple(sorted(members.get(group_id, ()), key=rules.number)),
                name=their_names.get(group_id, "") if group_id in borne else "",
            )
        )
    return tuple(found)


def _rule(rule: records.Rule) -> Rule:
    is_group = rule.permission.is_group
    return Rule(
        id=rule.id,
        protocol=rule.protocol,
        from_port=rule.from_port,
        to_port=rule.to_port,
        cidr=None if is_group else rule.peer,
        group_id=rule.peer if is_group else None,
    )


def _hosts(everywhere: Sequence[Interface], vpc: Vpc, settings: Settings) -> dict[str, str]:
    """Every name that resolves within the VPC; a public name leads to the private address, as it does inside AWS."""
    if not vpc.dns_support:
        return {}
    found = {names.private_hostname(each.private_ip, settings.region): each.private_ip for each in everywhere}
    for each in everywhere:
        public = _public_hostname(each, vpc, settings)
        if public:
            found[public] = each.private_ip
    return dict(sorted(found.items()))
