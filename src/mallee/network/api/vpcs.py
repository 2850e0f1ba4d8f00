"""DescribeVpcs, DescribeVpcAttribute, DescribeDhcpOptions."""

from __future__ import annotations

from typing import Any

from mallee.ec2 import resources
from mallee.ec2.access import checked
from mallee.ec2.listing import listed
from mallee.identity.access import On
from mallee.identity.call import Call
from mallee.network import access, records
from mallee.network.records import Vpc
from mallee.wire.errors import AwsError


def _nothing(item: Any) -> None:
    return None


_VPC_FILTERS = {
    "cidr": lambda vpc: vpc.cidr,
    "cidrBlock": lambda vpc: vpc.cidr,
    "cidr-block-association.association-id": lambda vpc: vpc.association_id,
    "cidr-block-association.cidr-block": lambda vpc: vpc.cidr,
    "cidr-block-association.state": lambda vpc: "associated",
    "dhcp-options-id": lambda vpc: vpc.dhcp_options_id,
    "dhcpOptionsId": lambda vpc: vpc.dhcp_options_id,
    "ipv6-cidr-block-association.association-id": _nothing,
    "ipv6-cidr-block-association.ipv6-cidr-block": _nothing,
    "ipv6-cidr-block-association.ipv6-pool": _nothing,
    "ipv6-cidr-block-association.state": _nothing,
    "is-default": lambda vpc: vpc.is_default,
    "isDefault": lambda vpc: vpc.is_default,
    "owner-id": lambda vpc: vpc.account_id,
    "state": lambda vpc: "available",
    "vpc-id": lambda vpc: vpc.id,
}

_OPTION_FILTERS = {
    "dhcp-options-id": lambda options: options.id,
    "key": lambda options: list(options.configurations),
    "owner-id": lambda options: options.account_id,
    "value": lambda options: [value for values in options.configurations.values() for value in values],
}


def describe_vpcs(call: Call) -> dict[str, Any]:
    found, tags, token = listed(call, "vpc", "VpcIds", records.all_vpcs(call.tx), _VPC_FILTERS)
    return {"Vpcs": [_vpc(vpc) | {"Tags": tags.get(vpc.id, [])} for vpc in found], "NextToken": token}


def _vpc(vpc: Vpc) -> dict[str, Any]:
    return {
        "CidrBlock": vpc.cidr,
        "CidrBlockAssociationSet": [
            {
                "AssociationId": vpc.association_id,
                "CidrBlock": vpc.cidr,
                "CidrBlockState": {"State": "associated"},
            }
        ],
        "DhcpOptionsId": vpc.dhcp_options_id,
        "InstanceTenancy": "default",
        "IsDefault": vpc.is_default,
        "OwnerId": vpc.account_id,
        "State": "available",
        "VpcId": vpc.id,
    }


def describe_vpc_attribute(call: Call) -> dict[str, Any]:
    id, attribute = call.input["VpcId"], call.input["Attribute"]
    vpc = records.vpc(call.tx, resources.check_id("vpc", id))
    if vpc is None:
        raise resources.not_found("vpc", id)
    if attribute == "enableDnsSupport":
        return {"VpcId": id, "EnableDnsSupport": {"Value": vpc.dns_support}}
    if attribute == "enableDnsHostnames":
        return {"VpcId": id, "EnableDnsHostnames": {"Value": vpc.dns_hostnames}}
    if attribute == "enableNetworkAddressUsageMetrics":
        return {"VpcId": id, "EnableNetworkAddressUsageMetrics": {"Value": False}}
    raise AwsError("InvalidParameterValue", f"Value ({attribute[:64]}) for parameter attribute is invalid.")


def describe_dhcp_options(call: Call) -> dict[str, Any]:
    found, tags, token = listed(call, "dhcp-options", "DhcpOptionsIds", records.all_dhcp_options(call.tx), _OPTION_FILTERS)
    return {
        "DhcpOptions": [
            {
                "DhcpOptionsId": options.id,
                "OwnerId": options.account_id,
                "DhcpConfigurations": [
                    {"Key": key, "Values": [{"Value": value} for value in values]}
                    for key, values in options.configurations.items()
                ],
                "Tags": tags.get(options.id, []),
            }
            for options in found
        ],
        "NextToken": token,
    }


ACCESS = {
    "describe_vpcs": checked(),
    "describe_vpc_attribute": checked(On(access.VPC, "VpcId")),
    "describe_dhcp_options": checked(),
}
