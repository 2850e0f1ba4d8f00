"""DescribeRouteTables, DescribeInternetGateways, DescribeNetworkAcls."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from mallee.ec2.access import checked
from mallee.ec2.listing import listed
from mallee.identity.call import Call
from mallee.network import records
from mallee.network.records import AclEntry, Gateway, Route, RouteAssociation


def _nothing(item: Any) -> None:
    return None


# ----------------------------------------------------------------------------------------------------------- route tables


@dataclass(frozen=True, slots=True)
class _Table:
    id: str
    account_id: str
    vpc_id: str
    routes: list[Route]
    associations: list[RouteAssociation]


def _gateways(route: Route) -> str | None:
    return route.target if route.target == "local" or route.target.startswith(("igw-", "vgw-")) else None


_ROUTE_TABLE_FILTERS = {
    "association.gateway-id": _nothing,
    "association.main": lambda table: [each.subnet_id is None for each in table.associations],
    "association.route-table-association-id": lambda table: [each.id for each in table.associations],
    "association.route-table-id": lambda table: [each.route_table_id for each in table.associations],
    "association.subnet-id": lambda table: [each.subnet_id for each in table.associations],
    "owner-id": lambda table: table.account_id,
    "route-table-id": lambda table: table.id,
    "route.destination-cidr-block": lambda table: [route.destination for route in table.routes],
    "route.destination-ipv6-cidr-block": _nothing,
    "route.destination-prefix-list-id": _nothing,
    "route.egress-only-internet-gateway-id": _nothing,
    "route.gateway-id": lambda table: [_gateways(route) for route in table.routes],
    "route.instance-id": _nothing,
    "route.nat-gateway-id": _nothing,
    "route.origin": lambda table: [route.origin for route in table.routes],
    "route.state": lambda table: ["active" for route in table.routes],
    "route.transit-gateway-id": _nothing,
    "route.vpc-peering-connection-id": _nothing,
    "vpc-id": lambda table: table.vpc_id,
}


def describe_route_tables(call: Call) -> dict[str, Any]:
    rows, routes, associations = records.all_route_tables(call.tx)
    routes_of: dict[str, list[Route]] = defaultdict(list)
    for route in routes:
        routes_of[route.route_table_id].append(route)
    associations_of: dict[str, list[RouteAssociation]] = defaultdict(list)
    for association in associations:
        associations_of[association.route_table_id].append(association)
    tables = [_Table(row.id, row.account_id, row.vpc_id, routes_of[row.id], associations_of[row.id]) for row in rows]
    found, tags, token = listed(call, "route-table", "RouteTableIds", tables, _ROUTE_TABLE_FILTERS, default=100, maximum=100)
    return {
        "RouteTables": [
            {
                "Associations": [_association(each) for each in table.associations],
                "OwnerId": table.account_id,
                "PropagatingVgws": [],
                "RouteTableId": table.id,
                "Routes": [
                    {
                        "DestinationCidrBlock": route.destination,
                        "GatewayId": route.target,
                        "Origin": route.origin,
                        "State": "active",
                    }
                    for route in table.routes
                ],
                "Tags": tags.get(table.id, []),
                "VpcId": table.vpc_id,
            }
            for table in found
        ],
        "NextToken": token,
    }


def _association(each: RouteAssociation) -> dict[str, Any]:
    return {
        "AssociationState": {"State": "associated"},
        "Main": each.subnet_id is None,
        "RouteTableAssociationId": each.id,
        "RouteTableId": each.route_table_id,
        "SubnetId": each.subnet_id,
    }


# ------------------------------------------------------------------------------------------------------ internet gateways


def _attachments(gateway: Gateway) -> list[dict[str, str]]:
    return [{"State": "available", "VpcId": gateway.vpc_id}] if gateway.vpc_id else []


_GATEWAY_FILTERS = {
    "attachment.state": lambda gateway: [each["State"] for each in _attachments(gateway)],
    "attachment.vpc-id": lambda gateway: gateway.vpc_id,
    "internet-gateway-id": lambda gateway: gateway.id,
    "owner-id": lambda gateway: gateway.account_id,
}


def describe_internet_gateways(call: Call) -> dict[str, Any]:
    found, tags, token = listed(call, "internet-gateway", "InternetGatewayIds", records.all_gateways(call.tx), _GATEWAY_FILTERS)
    return {
        "InternetGateways": [
            {
                "Attachments": _attachments(gateway),
                "InternetGatewayId": gateway.id,
                "OwnerId": gateway.account_id,
                "Tags": tags.get(gateway.id, []),
            }
            for gateway in found
        ],
        "NextToken": token,
    }


# ----------------------------------------------------------------------------------------------------------- network ACLs


@dataclass(frozen=True, slots=True)
class _Acl:
    id: str
    account_id: str
    vpc_id: str
    is_default: bool
    entries: list[AclEntry]
    associations: list[Any]


_PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp"}


def _icmp(entry: AclEntry) -> bool:
    return entry.protocol in ("1", "58")


_ACL_FILTERS = {
    "association.association-id": lambda acl: [each.id for each in acl.associations],
    "association.network-acl-id": lambda acl: [each.network_acl_id for each in acl.associations],
    "association.subnet-id": lambda acl: [each.subnet_id for each in acl.associations],
    "default": lambda acl: acl.is_default,
    "entry.cidr": lambda acl: [entry.cidr for entry in acl.entries],
    "entry.egress": lambda acl: [entry.egress for entry in acl.entries],
    "entry.icmp.code": lambda acl: [entry.to_port for entry in acl.entries if _icmp(entry)],
    "entry.icmp.type": lambda acl: [entry.from_port for entry in acl.entries if _icmp(entry)],
    "entry.ipv6-cidr": _nothing,
    "entry.port-range.from": lambda acl: [entry.from_port for entry in acl.entries if not _icmp(entry)],
    "entry.port-range.to": lambda acl: [entry.to_port for entry in acl.entries if not _icmp(entry)],
    "entry.protocol": lambda acl: [name for entry in acl.entries for name in (entry.protocol, _PROTOCOLS.get(entry.protocol))],
    "entry.rule-action": lambda acl: [entry.action for entry in acl.entries],
    "entry.rule-number": lambda acl: [entry.number for entry in acl.entries],
    "network-acl-id": lambda acl: acl.id,
    "owner-id": lambda acl: acl.account_id,
    "vpc-id": lambda acl: acl.vpc_id,
}


def describe_network_acls(call: Call) -> dict[str, Any]:
    rows, entries, associations = records.all_acls(call.tx)
    entries_of: dict[str, list[AclEntry]] = defaultdict(list)
    for entry in entries:
        entries_of[entry.network_acl_id].append(entry)
    associations_of: dict[str, list[Any]] = defaultdict(list)
    for association in associations:
        associations_of[association.network_acl_id].append(association)
    acls = [_Acl(row.id, row.account_id, row.vpc_id, row.is_default, entries_of[row.id], associations_of[row.id]) for row in rows]
    found, tags, token = listed(call, "network-acl", "NetworkAclIds", acls, _ACL_FILTERS)
    return {"NetworkAcls": [_acl(acl) | {"Tags": tags.get(acl.id, [])} for acl in found], "NextToken": token}


def _acl(acl: _Acl) -> dict[str, Any]:
    return {
        "Associations": [
            {
                "NetworkAclAssociationId": each.id,
                "NetworkAclId": each.network_acl_id,
                "SubnetId": each.subnet_id,
            }
            for each in acl.associations
        ],
        "Entries": [_entry(entry) for entry in acl.entries],
        "IsDefault": acl.is_default,
        "NetworkAclId": acl.id,
        "OwnerId": acl.account_id,
        "VpcId": acl.vpc_id,
    }


def _entry(entry: AclEntry) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "CidrBlock": entry.cidr,
        "Egress": entry.egress,
        "Protocol": entry.protocol,
        "RuleAction": entry.action,
        "RuleNumber": entry.number,
    }
    if entry.from_port is not None:
        if _icmp(entry):
            shown["IcmpTypeCode"] = {"Type": entry.from_port, "Code": entry.to_port}
        else:
            shown["PortRange"] = {"From": entry.from_port, "To": entry.to_port}
    return shown


ACCESS = {
    "describe_route_tables": checked(),
    "describe_internet_gateways": checked(),
    "describe_network_acls": checked(),
}
