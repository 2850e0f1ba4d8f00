"""How much of each thing of a network one account may have. The defaults are AWS's, before anybody asks for more."""

from __future__ import annotations

from mallee.identity import quotas
from mallee.identity.quotas import Quota, Rows
from mallee.network import records
from mallee.store import Tx

INSTANCES = 20
"""Only reported: DescribeAccountAttributes says itself that its number of instances limits nothing."""

ELASTIC_ADDRESSES = Quota(
    "ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", 5, Rows(records.addresses), "ec2:quota-addressnumber", "ec2:AllocateAddress",
    description="The maximum number of Elastic IP addresses that you can allocate for EC2-VPC in this Region.",
)  # fmt: skip
GROUPS = Quota(
    "vpc", "L-E79EC296", "VPC security groups per Region", 2500, Rows(records.security_groups), "ec2:quota-securitygroupnumber",
    "ec2:CreateSecurityGroup", description="The maximum number of VPC security groups per Region.",
)  # fmt: skip
RULES_PER_GROUP = Quota(
    "vpc", "L-0EA8095F", "Inbound or outbound rules per security group", 60,
    description="The maximum number of inbound or outbound rules per VPC security group (120 rules in total). It is enforced "
    "separately for IPv4 and IPv6 rules.",
)  # fmt: skip
GROUPS_PER_INTERFACE = Quota(
    "vpc", "L-2AFB9258", "Security groups per network interface", 5,
    description="The maximum number of security groups per network interface.",
)  # fmt: skip
VPCS = Quota(
    "vpc", "L-F678F1CE", "VPCs per Region", 5, Rows(records.vpcs), "ec2:quota-vpcnumber", "ec2:CreateVpc",
    description="The maximum number of VPCs per Region.",
)  # fmt: skip
INTERNET_GATEWAYS = Quota(
    "vpc", "L-A4707A72", "Internet gateways per Region", 5, Rows(records.internet_gateways), "ec2:quota-internetgatewaynumber",
    "ec2:CreateInternetGateway", description="The maximum number of internet gateways per Region.",
)  # fmt: skip

QUOTAS = (ELASTIC_ADDRESSES, GROUPS, RULES_PER_GROUP, GROUPS_PER_INTERFACE, VPCS, INTERNET_GATEWAYS)


def groups_per_interface(tx: Tx, account_id: str) -> int:
    return int(quotas.effective(tx, account_id, GROUPS_PER_INTERFACE))


def rules_per_group(tx: Tx, account_id: str) -> int:
    return int(quotas.effective(tx, account_id, RULES_PER_GROUP))
