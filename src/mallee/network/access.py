"""The resources of networks as policies name them, with AWS's condition keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mallee.ec2 import access
from mallee.ec2.access import arn_of, by_own_id, resource
from mallee.identity.call import Call
from mallee.network import addresses, interfaces, records


def _vpc_arn(call: Call, thing: Any) -> str | None:
    return arn_of(call, "vpc", thing.vpc_id) if thing.vpc_id else None


def _own_id(call: Call, thing: Any) -> str:
    return str(thing.id)


def _zone(call: Call, thing: Any) -> str:
    return str(thing.zone)


def _row(prefix: str) -> Callable[[Call, str], Any]:
    return lambda call, id: records.row(call.tx, prefix, id)


VPC = resource(
    "vpc",
    lambda call, id: records.vpc(call.tx, id),
    {"ec2:Tenancy": lambda call, vpc: "default", "ec2:VpcID": _own_id},
)
SUBNET = resource(
    "subnet",
    lambda call, id: records.subnet(call.tx, id),
    {"ec2:AvailabilityZone": _zone, "ec2:SubnetID": _own_id, "ec2:Vpc": _vpc_arn},
)
ROUTE_TABLE = resource("route-table", _row("rtb"), {"ec2:RouteTableID": _own_id, "ec2:Vpc": _vpc_arn})
INTERNET_GATEWAY = resource("internet-gateway", _row("igw"), {"ec2:InternetGatewayID": _own_id})
NETWORK_ACL = resource("network-acl", _row("acl"), {"ec2:NetworkAclID": _own_id, "ec2:Vpc": _vpc_arn})
DHCP_OPTIONS = resource("dhcp-options", _row("dopt"), {"ec2:DhcpOptionsID": _own_id})

# ------------------------------------------------------------------------------------------------------ security groups

_GROUP_KEYS = {"ec2:SecurityGroupID": _own_id, "ec2:Vpc": _vpc_arn}


def _group(call: Call, id: str) -> records.Group | None:
    return records.groups_by_id(call.tx, [id]).get(id)


def _group_named(call: Call, name: str) -> records.Group | None:
    """Names alone stand for groups of the default VPC."""
    vpc = records.default_vpc(call.tx)
    return None if vpc is None else records.groups_named(call.tx, vpc.id, [name]).get(name)


SECURITY_GROUP = resource("security-group", _group, _GROUP_KEYS)
SECURITY_GROUP_NAMED = resource("security-group", _group_named, _GROUP_KEYS, by_own_id("security-group"))
NEW_SECURITY_GROUP = resource("security-group")
SECURITY_GROUP_RULE = resource("security-group-rule", lambda call, id: records.rules_by_id(call.tx, [id]).get(id))
NEW_SECURITY_GROUP_RULE = resource("security-group-rule")

# ------------------------------------------------------------------------------------------------ interfaces, addresses

_INTERFACE_KEYS = {
    "ec2:AvailabilityZone": _zone,
    "ec2:NetworkInterfaceID": _own_id,
    "ec2:Subnet": lambda call, interface: arn_of(call, "subnet", interface.subnet_id),
    "ec2:Vpc": _vpc_arn,
}
_ADDRESS_KEYS = {
    "ec2:AllocationId": _own_id,
    "ec2:Domain": lambda call, address: "vpc",
    "ec2:PublicIpAddress": lambda call, address: address.public_ip,
}


def _interface_associated(call: Call, association_id: str) -> records.Interface | None:
    return interfaces.of_association(call.tx, association_id)


def _interface_at(call: Call, ip: str) -> records.Interface | None:
    address = addresses.by_ip(call.tx, ip)
    return None if address is None else interfaces.of_allocation(call.tx, address.id)


def _address_associated(call: Call, association_id: str) -> records.Address | None:
    interface = interfaces.of_association(call.tx, association_id)
    return None if interface is None or not interface.allocation_id else addresses.by_id(call.tx, interface.allocation_id)


NETWORK_INTERFACE = resource("network-interface", lambda call, id: interfaces.one(call.tx, id), _INTERFACE_KEYS)
NEW_NETWORK_INTERFACE = resource("network-interface")
INTERFACE_ASSOCIATED = resource("network-interface", _interface_associated, _INTERFACE_KEYS, by_own_id("network-interface"))
INTERFACE_AT = resource("network-interface", _interface_at, _INTERFACE_KEYS, by_own_id("network-interface"))
ELASTIC_IP = resource("elastic-ip", lambda call, id: addresses.by_id(call.tx, id), _ADDRESS_KEYS)
ELASTIC_IP_AT = resource("elastic-ip", lambda call, ip: addresses.by_ip(call.tx, ip), _ADDRESS_KEYS, by_own_id("elastic-ip"))
ELASTIC_IP_ASSOCIATED = resource("elastic-ip", _address_associated, _ADDRESS_KEYS, by_own_id("elastic-ip"))
NEW_ELASTIC_IP = resource("elastic-ip")

for _prefix, _type in {
    "vpc": VPC,
    "subnet": SUBNET,
    "rtb": ROUTE_TABLE,
    "igw": INTERNET_GATEWAY,
    "acl": NETWORK_ACL,
    "dopt": DHCP_OPTIONS,
    "sg": SECURITY_GROUP,
    "sgr": SECURITY_GROUP_RULE,
    "eni": NETWORK_INTERFACE,
    "eipalloc": ELASTIC_IP,
}.items():
    access.declare(_prefix, _type)
