"""What every account has of networks from its first moment, and what may be asked of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.harness import TestCloud, refused


def test_an_account_starts_with_a_default_vpc(cloud: TestCloud) -> None:
    account = cloud.account("other")
    ec2 = account.client("ec2")
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    assert vpc["CidrBlock"] == "172.31.0.0/16"
    assert vpc["IsDefault"] is True
    assert vpc["State"] == "available"
    assert vpc["OwnerId"] == account.id
    assert [each["CidrBlock"] for each in vpc["CidrBlockAssociationSet"]] == ["172.31.0.0/16"]

    subnets = sorted(ec2.describe_subnets()["Subnets"], key=lambda each: each["AvailabilityZone"])
    assert [(each["AvailabilityZone"], each["CidrBlock"]) for each in subnets] == [
        ("local-1a", "172.31.0.0/20"),
        ("local-1b", "172.31.16.0/20"),
        ("local-1c", "172.31.32.0/20"),
    ]
    for each in subnets:
        assert each["DefaultForAz"] and each["MapPublicIpOnLaunch"] and each["VpcId"] == vpc["VpcId"]
        assert each["AvailableIpAddressCount"] == 4091
        assert each["SubnetArn"] == f"arn:aws:ec2:local-1:{account.id}:subnet/{each['SubnetId']}"

    (gateway,) = ec2.describe_internet_gateways()["InternetGateways"]
    assert gateway["Attachments"] == [{"State": "available", "VpcId": vpc["VpcId"]}]

    (table,) = ec2.describe_route_tables()["RouteTables"]
    assert [(each["DestinationCidrBlock"], each["GatewayId"], each["State"]) for each in table["Routes"]] == [
        ("172.31.0.0/16", "local", "active"),
        ("0.0.0.0/0", gateway["InternetGatewayId"], "active"),
    ]
    assert [each["Main"] for each in table["Associations"]] == [True]

    (acl,) = ec2.describe_network_acls()["NetworkAcls"]
    assert acl["IsDefault"] is True
    assert {each["SubnetId"] for each in acl["Associations"]} == {each["SubnetId"] for each in subnets}
    assert [(each["Egress"], each["RuleNumber"], each["RuleAction"]) for each in acl["Entries"]] == [
        (False, 100, "allow"),
        (False, 32767, "deny"),
        (True, 100, "allow"),
        (True, 32767, "deny"),
    ]

    (group,) = ec2.describe_security_groups()["SecurityGroups"]
    assert (group["GroupName"], group["Description"]) == ("default", "default VPC security group")
    (inward,) = group["IpPermissions"]
    assert inward["IpProtocol"] == "-1"
    assert inward["UserIdGroupPairs"] == [{"GroupId": group["GroupId"], "UserId": account.id}]
    (outward,) = group["IpPermissionsEgress"]
    assert outward["IpRanges"] == [{"CidrIp": "0.0.0.0/0"}]

    (options,) = ec2.describe_dhcp_options()["DhcpOptions"]
    assert options["DhcpOptionsId"] == vpc["DhcpOptionsId"]
    assert options["DhcpConfigurations"][0] == {
        "Key": "domain-name",
        "Values": [{"Value": "local-1.compute.internal"}],
    }


DESCRIBED = [
    ("describe_vpcs", "Vpcs", "VpcIds", "VpcId", "InvalidVpcID"),
    ("describe_subnets", "Subnets", "SubnetIds", "SubnetId", "InvalidSubnetID"),
    ("describe_route_tables", "RouteTables", "RouteTableIds", "RouteTableId", "InvalidRouteTableID"),
    (
        "describe_internet_gateways",
        "InternetGateways",
        "InternetGatewayIds",
        "InternetGatewayId",
        "InvalidInternetGatewayID",
    ),
    ("describe_network_acls", "NetworkAcls", "NetworkAclIds", "NetworkAclId", "InvalidNetworkAclID"),
    ("describe_dhcp_options", "DhcpOptions", "DhcpOptionsIds", "DhcpOptionsId", "InvalidDhcpOptionsID"),
    ("describe_security_groups", "SecurityGroups", "GroupIds", "GroupId", "InvalidGroup"),
    (
        "describe_security_group_rules",
        "SecurityGroupRules",
        "SecurityGroupRuleIds",
        "SecurityGroupRuleId",
        "InvalidSecurityGroupRuleId",
    ),
]


@pytest.mark.parametrize(("operation", "result", "member", "key", "code"), DESCRIBED)
def test_ids_choose_and_accounts_are_apart(
    cloud: TestCloud, operation: str, result: str, member: str, key: str, code: str
) -> None:
    mine, theirs = getattr(cloud.client("ec2"), operation), getattr(cloud.account().client("ec2"), operation)
    my_ids = {each[key] for each in mine()[result]}
    their_ids = {each[key] for each in theirs()[result]}
    assert my_ids and their_ids and not my_ids & their_ids
    for id in my_ids:
        assert [each[key] for each in mine(**{member: [id]})[result]] == [id]
        with refused(f"{code}.NotFound") as message:
            theirs(**{member: [id]})
        assert id in message()
        assert theirs(Filters=[{"Name": "tag:a", "Values": ["b"]}])[result] == []


@pytest.mark.parametrize(("operation", "result", "member", "key", "code"), DESCRIBED)
def test_malformed_and_absent_ids_and_filters(
    sqlite_cloud: TestCloud, operation: str, result: str, member: str, key: str, code: str
) -> None:
    ec2 = sqlite_cloud.client("ec2")
    describe = getattr(ec2, operation)
    known = describe()[result][0][key]
    prefix = known.rpartition("-")[0]
    with refused(f"{code}.NotFound"):
        describe(**{member: [known, f"{prefix}-0123456789abcdef0"]})
    for bad in ("", "nonsense", f"{prefix}-xyz", "vol-0123456789abcdef0"):
        try:
            describe(**{member: [bad]})
        except ec2.exceptions.ClientError as error:
            assert error.response["Error"]["Code"].endswith(".Malformed")
        else:
            raise AssertionError(bad)
    with refused("InvalidParameterValue"):
        describe(Filters=[{"Name": "colour", "Values": ["red"]}])
    with refused("InvalidNextToken"):
        describe(NextToken="made-up")


FILTERS: list[tuple[str, str, list[tuple[str, str, int]]]] = [
    (
        "describe_vpcs",
        "Vpcs",
        [
            ("cidr", "172.31.0.0/16", 1),
            ("cidr", "172.31.0.0/20", 0),
            ("cidr-block-association.cidr-block", "172.31.*", 1),
            ("cidr-block-association.state", "associated", 1),
            ("cidr-block-association.association-id", "vpc-cidr-assoc-*", 1),
            ("dhcp-options-id", "dopt-*", 1),
            ("ipv6-cidr-block-association.ipv6-cidr-block", "*", 0),
            ("ipv6-cidr-block-association.ipv6-pool", "*", 0),
            ("ipv6-cidr-block-association.association-id", "*", 0),
            ("ipv6-cidr-block-association.state", "*", 0),
            ("is-default", "true", 1),
            ("is-default", "false", 0),
            ("owner-id", "123456789012", 1),
            ("state", "available", 1),
            ("vpc-id", "vpc-*", 1),
            ("tag-key", "*", 0),
        ],
    ),
    (
        "describe_subnets",
        "Subnets",
        [
            ("availability-zone", "local-1a", 1),
            ("availabilityZone", "local-1?", 3),
            ("availability-zone-id", "local1-az2", 1),
            ("availabilityZoneId", "local1-az2", 1),
            ("available-ip-address-count", "4091", 3),
            ("cidr-block", "172.31.16.0/20", 1),
            ("cidr", "172.31.16.0/20", 1),
            ("cidrBlock", "172.31.16.0/20", 1),
            ("customer-owned-ipv4-pool", "*", 0),
            ("default-for-az", "true", 3),
            ("defaultForAz", "true", 3),
            ("enable-dns64", "false", 3),
            ("enable-lni-at-device-index", "*", 0),
            ("ipv6-cidr-block-association.ipv6-cidr-block", "*", 0),
            ("ipv6-cidr-block-association.association-id", "*", 0),
            ("ipv6-cidr-block-association.state", "*", 0),
            ("ipv6-native", "true", 0),
            ("map-customer-owned-ip-on-launch", "false", 3),
            ("map-public-ip-on-launch", "true", 3),
            ("outpost-arn", "*", 0),
            ("owner-id", "123456789012", 3),
            ("private-dns-name-options-on-launch.hostname-type", "ip-name", 3),
            ("private-dns-name-options-on-launch.enable-resource-name-dns-a-record", "false", 3),
            ("private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record", "true", 0),
            ("state", "available", 3),
            ("subnet-arn", "arn:aws:ec2:*:subnet/*", 3),
            ("subnet-id", "subnet-*", 3),
            ("vpc-id", "vpc-*", 3),
        ],
    ),
    (
        "describe_route_tables",
        "RouteTables",
        [
            ("association.gateway-id", "*", 0),
            ("association.main", "true", 1),
            ("association.route-table-association-id", "rtbassoc-*", 1),
            ("association.route-table-id", "rtb-*", 1),
            ("association.subnet-id", "*", 0),
            ("owner-id", "123456789012", 1),
            ("route-table-id", "rtb-*", 1),
            ("route.destination-cidr-block", "0.0.0.0/0", 1),
            ("route.destination-cidr-block", "10.0.0.0/8", 0),
            ("route.destination-ipv6-cidr-block", "*", 0),
            ("route.destination-prefix-list-id", "*", 0),
            ("route.egress-only-internet-gateway-id", "*", 0),
            ("route.gateway-id", "igw-*", 1),
            ("route.gateway-id", "local", 1),
            ("route.instance-id", "*", 0),
            ("route.nat-gateway-id", "*", 0),
            ("route.origin", "CreateRouteTable", 1),
            ("route.state", "active", 1),
            ("route.state", "blackhole", 0),
            ("route.transit-gateway-id", "*", 0),
            ("route.vpc-peering-connection-id", "*", 0),
            ("vpc-id", "vpc-*", 1),
        ],
    ),
    (
        "describe_internet_gateways",
        "InternetGateways",
        [
            ("attachment.state", "available", 1),
            ("attachment.vpc-id", "vpc-*", 1),
            ("internet-gateway-id", "igw-*", 1),
            ("owner-id", "123456789012", 1),
        ],
    ),
    (
        "describe_network_acls",
        "NetworkAcls",
        [
            ("association.association-id", "aclassoc-*", 1),
            ("association.network-acl-id", "acl-*", 1),
            ("association.subnet-id", "subnet-*", 1),
            ("default", "true", 1),
            ("entry.cidr", "0.0.0.0/0", 1),
            ("entry.egress", "true", 1),
            ("entry.icmp.code", "*", 0),
            ("entry.icmp.type", "*", 0),
            ("entry.ipv6-cidr", "*", 0),
            ("entry.port-range.from", "*", 0),
            ("entry.port-range.to", "*", 0),
            ("entry.protocol", "-1", 1),
            ("entry.rule-action", "deny", 1),
            ("entry.rule-number", "100", 1),
            ("network-acl-id", "acl-*", 1),
            ("owner-id", "123456789012", 1),
            ("vpc-id", "vpc-*", 1),
        ],
    ),
    (
        "describe_dhcp_options",
        "DhcpOptions",
        [
            ("dhcp-options-id", "dopt-*", 1),
            ("key", "domain-name", 1),
            ("owner-id", "123456789012", 1),
            ("value", "AmazonProvidedDNS", 1),
        ],
    ),
]


def documented(operation: str) -> set[str]:
    """The filter names that the model's documentation of an operation lists."""
    import re

    import botocore.session

    service = botocore.session.get_session().get_service_model("ec2")
    name = "".join(part.capitalize() for part in operation.split("_"))
    text = service.operation_model(name).input_shape.members["Filters"].documentation
    return {found for found in re.findall(r"<li>\s*<p>\s*<code>([a-z0-9.-]+)</code>\s*(?:-|:)", text) if found != "tag"}


@pytest.mark.parametrize(("operation", "result", "cases"), FILTERS, ids=[case[0] for case in FILTERS])
def test_filters(sqlite_cloud: TestCloud, operation: str, result: str, cases: list[tuple[str, str, int]]) -> None:
    describe = getattr(sqlite_cloud.client("ec2"), operation)
    for name, value, expected in cases:
        found = describe(Filters=[{"Name": name, "Values": [value]}])[result]
        assert len(found) == expected, (name, value)


@pytest.mark.parametrize(
    "operation",
    [
        *[case[0] for case in FILTERS],
        "describe_security_groups",
        "describe_security_group_rules",
        "describe_network_interfaces",
        "describe_addresses",
        "describe_availability_zones",
        "describe_regions",
    ],
)
def test_every_documented_filter_is_known(sqlite_cloud: TestCloud, operation: str) -> None:
    names = documented(operation)
    assert names
    describe = getattr(sqlite_cloud.client("ec2"), operation)
    for name in sorted(names):
        describe(Filters=[{"Name": name, "Values": ["*"]}])


def test_subnets_come_in_pages(sqlite_cloud: TestCloud) -> None:
    with refused("InvalidParameterValue"):
        sqlite_cloud.client("ec2", validate=False).describe_subnets(MaxResults=4)
    pages = list(sqlite_cloud.client("ec2").get_paginator("describe_subnets").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["Subnets"]) for page in pages] == [3]


def test_vpc_attributes(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]

    def attribute(name: str) -> Any:
        return ec2.describe_vpc_attribute(VpcId=id, Attribute=name)

    assert attribute("enableDnsSupport")["EnableDnsSupport"] == {"Value": True}
    assert attribute("enableDnsHostnames")["EnableDnsHostnames"] == {"Value": True}
    assert attribute("enableNetworkAddressUsageMetrics")["EnableNetworkAddressUsageMetrics"] == {"Value": False}
    with refused("InvalidVpcID.NotFound"):
        ec2.describe_vpc_attribute(VpcId="vpc-0123456789abcdef0", Attribute="enableDnsSupport")


def test_a_subnet_can_stop_giving_public_addresses(cloud: TestCloud) -> None:
    ec2, other = cloud.client("ec2"), cloud.account().client("ec2")
    id = ec2.describe_subnets()["Subnets"][0]["SubnetId"]

    def shown() -> bool:
        return ec2.describe_subnets(SubnetIds=[id])["Subnets"][0]["MapPublicIpOnLaunch"]

    ec2.modify_subnet_attribute(SubnetId=id, MapPublicIpOnLaunch={"Value": False})
    assert shown() is False
    ec2.modify_subnet_attribute(SubnetId=id, AssignIpv6AddressOnCreation={"Value": False})
    with refused("UnsupportedOperation"):
        ec2.modify_subnet_attribute(SubnetId=id, AssignIpv6AddressOnCreation={"Value": True})
    with refused("UnsupportedOperation"):
        ec2.modify_subnet_attribute(SubnetId=id, PrivateDnsHostnameTypeOnLaunch="resource-name")
    with refused("InvalidParameterCombination"):
        ec2.modify_subnet_attribute(
            SubnetId=id, MapPublicIpOnLaunch={"Value": True}, AssignIpv6AddressOnCreation={"Value": False}
        )
    with refused("MissingParameter"):
        ec2.modify_subnet_attribute(SubnetId=id)
    with refused("InvalidSubnetID.NotFound"):
        other.modify_subnet_attribute(SubnetId=id, MapPublicIpOnLaunch={"Value": True})
    assert shown() is False


def test_places(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    (region,) = ec2.describe_regions()["Regions"]
    assert (region["RegionName"], region["OptInStatus"]) == ("local-1", "opt-in-not-required")
    assert ec2.describe_regions(RegionNames=["local-1"])["Regions"] == [region]
    assert ec2.describe_regions(Filters=[{"Name": "region-name", "Values": ["us-*"]}])["Regions"] == []
    with refused("InvalidParameterValue"):
        ec2.describe_regions(RegionNames=["us-east-1"])

    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert [(each["ZoneName"], each["ZoneId"], each["State"]) for each in zones] == [
        ("local-1a", "local1-az1", "available"),
        ("local-1b", "local1-az2", "available"),
        ("local-1c", "local1-az3", "available"),
    ]
    assert len(ec2.describe_availability_zones(ZoneNames=["local-1b"])["AvailabilityZones"]) == 1
    assert len(ec2.describe_availability_zones(ZoneIds=["local1-az3"])["AvailabilityZones"]) == 1
    by_state = [{"Name": "state", "Values": ["impaired"]}]
    assert ec2.describe_availability_zones(Filters=by_state)["AvailabilityZones"] == []
    with refused("InvalidParameterValue"):
        ec2.describe_availability_zones(ZoneNames=["local-1z"])


def test_account_attributes(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")

    def attributes(*names: str) -> dict[str, str]:
        asked = {"AttributeNames": list(names)} if names else {}
        found = ec2.describe_account_attributes(**asked)["AccountAttributes"]
        return {each["AttributeName"]: each["AttributeValues"][0]["AttributeValue"] for each in found}

    vpc_id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    assert attributes("default-vpc", "supported-platforms") == {"default-vpc": vpc_id, "supported-platforms": "VPC"}
    assert set(attributes()) == {
        "default-vpc",
        "max-elastic-ips",
        "max-instances",
        "supported-platforms",
        "vpc-max-elastic-ips",
        "vpc-max-security-groups-per-interface",
    }
    unchecked = sqlite_cloud.client("ec2", validate=False)
    with refused("InvalidParameterValue"):
        unchecked.describe_account_attributes(AttributeNames=["favourite-colour"])


def test_a_zone_that_comes_later_gets_its_default_subnets(cloud: TestCloud) -> None:
    import dataclasses

    from mallee.network import setup

    account = cloud.account()
    more = dataclasses.replace(cloud.settings, zones=(*cloud.settings.zones, "local-1d"))
    for _ in range(2):
        with cloud.database.transaction() as tx:
            setup.new_cloud(tx, more)
    for ec2 in (cloud.client("ec2"), account.client("ec2")):
        subnets = {each["AvailabilityZone"]: each for each in ec2.describe_subnets()["Subnets"]}
        assert len(subnets) == 4
        assert subnets["local-1d"]["CidrBlock"] == "172.31.48.0/20"
        (acl,) = ec2.describe_network_acls()["NetworkAcls"]
        assert len(acl["Associations"]) == 4
