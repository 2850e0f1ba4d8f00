"""DescribeSubnets, ModifySubnetAttribute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mallee.ec2.access import attribute_keys, checked
from mallee.ec2.listing import listed
from mallee.identity.access import On
from mallee.identity.call import Call
from mallee.network import access, names, places, records, rules
from mallee.network.records import Subnet
from mallee.wire.errors import AwsError


@dataclass(frozen=True, slots=True)
class _Shown:
    """A subnet with what follows from other rows and the settings."""

    subnet: Subnet
    free: int
    zone_id: str
    arn: str

    @property
    def id(self) -> str:
        return self.subnet.id


def _nothing(item: Any) -> None:
    return None


def _false(item: Any) -> bool:
    return False


_FILTERS = {
    "availability-zone": lambda shown: shown.subnet.zone,
    "availabilityZone": lambda shown: shown.subnet.zone,
    "availability-zone-id": lambda shown: shown.zone_id,
    "availabilityZoneId": lambda shown: shown.zone_id,
    "available-ip-address-count": lambda shown: shown.free,
    "cidr-block": lambda shown: shown.subnet.cidr,
    "cidr": lambda shown: shown.subnet.cidr,
    "cidrBlock": lambda shown: shown.subnet.cidr,
    "customer-owned-ipv4-pool": _nothing,
    "default-for-az": lambda shown: shown.subnet.default_for_zone,
    "defaultForAz": lambda shown: shown.subnet.default_for_zone,
    "enable-dns64": _false,
    "enable-lni-at-device-index": _nothing,
    "ipv6-cidr-block-association.association-id": _nothing,
    "ipv6-cidr-block-association.ipv6-cidr-block": _nothing,
    "ipv6-cidr-block-association.state": _nothing,
    "ipv6-native": _false,
    "map-customer-owned-ip-on-launch": _false,
    "map-public-ip-on-launch": lambda shown: shown.subnet.map_public_ip,
    "outpost-arn": _nothing,
    "owner-id": lambda shown: shown.subnet.account_id,
    "private-dns-name-options-on-launch.enable-resource-name-dns-a-record": _false,
    "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": _false,
    "private-dns-name-options-on-launch.hostname-type": lambda shown: "ip-name",
    "state": lambda shown: "available",
    "subnet-arn": lambda shown: shown.arn,
    "subnet-id": lambda shown: shown.subnet.id,
    "vpc-id": lambda shown: shown.subnet.vpc_id,
}


def describe_subnets(call: Call) -> dict[str, Any]:
    taken = records.taken_counts(call.tx)
    shown = [
        _Shown(
            subnet=subnet,
            free=len(rules.host_range(subnet.cidr)) - taken.get(subnet.id, 0),
            zone_id=names.zone_id(call.region, subnet.zone),
            arn=call.arn(f"subnet/{subnet.id}"),
        )
        for subnet in records.all_subnets(call.tx)
    ]
    found, tags, token = listed(call, "subnet", "SubnetIds", shown, _FILTERS)
    return {"Subnets": [_subnet(each) | {"Tags": tags.get(each.id, [])} for each in found], "NextToken": token}


def _subnet(shown: _Shown) -> dict[str, Any]:
    subnet = shown.subnet
    return {
        "AssignIpv6AddressOnCreation": False,
        "AvailabilityZone": subnet.zone,
        "AvailabilityZoneId": shown.zone_id,
        "AvailableIpAddressCount": shown.free,
        "CidrBlock": subnet.cidr,
        "DefaultForAz": subnet.default_for_zone,
        "EnableDns64": False,
        "Ipv6CidrBlockAssociationSet": [],
        "Ipv6Native": False,
        "MapCustomerOwnedIpOnLaunch": False,
        "MapPublicIpOnLaunch": subnet.map_public_ip,
        "OwnerId": subnet.account_id,
        "PrivateDnsNameOptionsOnLaunch": {
            "EnableResourceNameDnsAAAARecord": False,
            "EnableResourceNameDnsARecord": False,
            "HostnameType": "ip-name",
        },
        "State": "available",
        "SubnetArn": shown.arn,
        "SubnetId": subnet.id,
        "VpcId": subnet.vpc_id,
    }


# What a subnet of this cloud always is; asking for it changes nothing, asking for anything else is refused.
_FIXED: dict[str, Any] = {
    "AssignIpv6AddressOnCreation": {"Value": False},
    "EnableDns64": {"Value": False},
    "MapCustomerOwnedIpOnLaunch": {"Value": False},
    "PrivateDnsHostnameTypeOnLaunch": "ip-name",
    "EnableResourceNameDnsARecordOnLaunch": {"Value": False},
    "EnableResourceNameDnsAAAARecordOnLaunch": {"Value": False},
    "DisableLniAtDeviceIndex": {"Value": True},
}
_ATTRIBUTES = ("MapPublicIpOnLaunch", "CustomerOwnedIpv4Pool", "EnableLniAtDeviceIndex", *_FIXED)


def modify_subnet_attribute(call: Call) -> dict[str, Any]:
    given = [name for name in _ATTRIBUTES if call.input.get(name) is not None]
    if not given:
        raise AwsError("MissingParameter", "The request must contain an attribute to modify")
    if len(given) > 1:
        raise AwsError("InvalidParameterCombination", "Fields for multiple attribute types specified")
    subnet = places.subnet(call.tx, call.input["SubnetId"])
    name = given[0]
    if name == "MapPublicIpOnLaunch":
        wanted = bool(call.input[name].get("Value"))
        call.tx.change(records.subnets, subnet.id, map_public_ip=wanted)
    elif call.input[name] != _FIXED.get(name):
        raise AwsError("UnsupportedOperation", f"{name} with this value is not supported in this region.")
    return {}


def _attribute(call: Call) -> str | None:
    return next((name for name in _ATTRIBUTES if call.input.get(name) is not None), None)


ACCESS = {
    "describe_subnets": checked(),
    "modify_subnet_attribute": checked(On(access.SUBNET, "SubnetId"), keys=attribute_keys(_attribute, _ATTRIBUTES)),
}
