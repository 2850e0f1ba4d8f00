"""CreateTags, DeleteTags, DescribeTags over every kind of resource."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.harness import TestCloud, refused


def of(ec2: Any, id: str) -> dict[str, str]:
    found = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [id]}])["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def pairs(**given: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in given.items()]


def one_of_each(ec2: Any) -> dict[str, str]:
    """An id of every kind that a new account has, or can have at once."""
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    return {
        "vpc": ec2.describe_vpcs()["Vpcs"][0]["VpcId"],
        "subnet": ec2.describe_subnets()["Subnets"][0]["SubnetId"],
        "route-table": ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"],
        "internet-gateway": ec2.describe_internet_gateways()["InternetGateways"][0]["InternetGatewayId"],
        "network-acl": ec2.describe_network_acls()["NetworkAcls"][0]["NetworkAclId"],
        "dhcp-options": ec2.describe_dhcp_options()["DhcpOptions"][0]["DhcpOptionsId"],
        "security-group": group,
        "security-group-rule": ec2.describe_security_group_rules()["SecurityGroupRules"][0]["SecurityGroupRuleId"],
        "elastic-ip": ec2.allocate_address()["AllocationId"],
    }


def test_every_kind_can_be_tagged_and_says_its_type(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    kinds = one_of_each(ec2)
    ec2.create_tags(Resources=list(kinds.values()), Tags=pairs(Name="mine", empty=""))
    found = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["Name"]}])["Tags"]
    assert {tag["ResourceId"]: tag["ResourceType"] for tag in found} == {id: type for type, id in kinds.items()}
    assert of(ec2, kinds["vpc"]) == {"Name": "mine", "empty": ""}
    assert ec2.describe_vpcs()["Vpcs"][0]["Tags"] == pairs(Name="mine", empty="")
    assert ec2.describe_addresses()["Addresses"][0]["Tags"] == pairs(Name="mine", empty="")
    named = [{"Name": "tag:Name", "Values": ["mi*"]}]
    assert len(ec2.describe_subnets(Filters=named)["Subnets"]) == 1
    assert len(ec2.describe_subnets(Filters=[{"Name": "tag-key", "Values": ["Name"]}])["Subnets"]) == 1
    assert ec2.describe_subnets(Filters=[{"Name": "tag:name", "Values": ["mine"]}])["Subnets"] == []


def test_a_tag_is_overwritten_and_taken_away(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    ec2.create_tags(Resources=[id], Tags=pairs(a="1", b="2", c="", d="4"))
    ec2.create_tags(Resources=[id], Tags=pairs(a="one"))
    assert of(ec2, id) == {"a": "one", "b": "2", "c": "", "d": "4"}
    ec2.delete_tags(Resources=[id], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}, {"Key": "gone"}])
    assert of(ec2, id) == {"a": "one", "b": "2", "c": "", "d": "4"}
    ec2.delete_tags(Resources=[id], Tags=[{"Key": "a", "Value": "one"}, {"Key": "b"}, {"Key": "c", "Value": ""}])
    assert of(ec2, id) == {"d": "4"}
    ec2.delete_tags(Resources=[id])
    assert of(ec2, id) == {}


def test_what_aws_refuses(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    for bad in ("aws:cloudformation:stack-name", "AWS:x"):
        with refused("InvalidParameterValue", 400) as message:
            ec2.create_tags(Resources=[id], Tags=[{"Key": bad, "Value": "x"}])
        assert "reserved for internal use" in message()
        with refused("InvalidParameterValue"):
            ec2.delete_tags(Resources=[id], Tags=[{"Key": bad}])
    with refused("InvalidParameterValue"):
        ec2.create_tags(Resources=[id], Tags=[{"Key": "k" * 129, "Value": "x"}])
    with refused("InvalidParameterValue"):
        ec2.create_tags(Resources=[id], Tags=[{"Key": "k", "Value": "v" * 257}])
    with refused("InvalidParameterValue"):
        ec2.create_tags(Resources=[id], Tags=[{"Key": "", "Value": "v"}])
    with refused("InvalidParameterValue") as message:
        ec2.create_tags(Resources=[id], Tags=[{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}])
    assert message() == "Duplicate tag key 'k' specified."
    ec2.create_tags(Resources=[id], Tags=[{"Key": "k" * 128, "Value": "v" * 256}])
    assert of(ec2, id) == {"k" * 128: "v" * 256}


def test_fifty_is_the_limit_however_they_arrive(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    ec2.create_tags(Resources=[id], Tags=pairs(**{f"k{n}": "" for n in range(50)}))
    ec2.create_tags(Resources=[id], Tags=pairs(k7="again"))
    with refused("TagLimitExceeded"):
        ec2.create_tags(Resources=[id], Tags=pairs(one_more=""))
    assert len(of(ec2, id)) == 50


@pytest.mark.parametrize(
    ("id", "code"),
    [
        ("nonsense", "InvalidID"),
        ("xyz-0123456789abcdef0", "InvalidID"),
        ("vpc-0123456789abcdef0", "InvalidVpcID.NotFound"),
        ("i-0123456789abcdef0", "InvalidInstanceID.NotFound"),
        ("sg-0123456789abcdef0", "InvalidGroup.NotFound"),
        ("ami-0123456789abcdef0", "InvalidAMIID.NotFound"),
        ("eipalloc-0123456789abcdef0", "InvalidAllocationID.NotFound"),
        ("vol-0123456789abcdef0", "InvalidVolume.NotFound"),
    ],
)
def test_what_does_not_exist_has_its_kinds_own_code(sqlite_cloud: TestCloud, id: str, code: str) -> None:
    ec2 = sqlite_cloud.client("ec2")
    with refused(code):
        ec2.create_tags(Resources=[id], Tags=pairs(a="1"))
    with refused(code):
        ec2.delete_tags(Resources=[id], Tags=[{"Key": "a"}])


def test_one_unknown_resource_leaves_the_others_untouched(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    with refused("InvalidSubnetID.NotFound"):
        ec2.create_tags(Resources=[id, "subnet-0123456789abcdef0"], Tags=pairs(a="1"))
    assert of(ec2, id) == {}


def test_accounts_neither_see_nor_touch_each_other(cloud: TestCloud) -> None:
    ec2, other = cloud.client("ec2"), cloud.account("other").client("ec2")
    id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    ec2.create_tags(Resources=[id], Tags=pairs(secret="1"))
    assert other.describe_tags()["Tags"] == []
    with refused("InvalidVpcID.NotFound"):
        other.create_tags(Resources=[id], Tags=pairs(a="1"))
    with refused("InvalidVpcID.NotFound"):
        other.delete_tags(Resources=[id])
    assert of(ec2, id) == {"secret": "1"}


def test_pages_and_filters(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    ec2.create_tags(Resources=subnets, Tags=pairs(**{f"k{n}": f"v{n % 2}" for n in range(7)}))
    pages = list(ec2.get_paginator("describe_tags").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["Tags"]) for page in pages] == [5, 5, 5, 5, 1]
    seen = {(tag["ResourceId"], tag["Key"]) for page in pages for tag in page["Tags"]}
    assert len(seen) == 21
    count = {
        "key": [("k1", 3), ("k*", 21)],
        "value": [("v0", 12), ("v?", 21)],
        "resource-id": [(subnets[0], 7)],
        "resource-type": [("subnet", 21), ("vpc", 0)],
        "tag:k1": [("v1", 3), ("v0", 0)],
    }
    for name, cases in count.items():
        for value, expected in cases:
            assert len(ec2.describe_tags(Filters=[{"Name": name, "Values": [value]}])["Tags"]) == expected
    with refused("InvalidParameterValue") as message:
        ec2.describe_tags(Filters=[{"Name": "colour", "Values": ["red"]}])
    assert message() == "The filter 'colour' is invalid"
    with refused("InvalidNextToken"):
        ec2.describe_tags(NextToken="made-up")


def test_a_dry_run_changes_nothing(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    with refused("DryRunOperation", 412):
        ec2.create_tags(Resources=[id], Tags=pairs(a="1"), DryRun=True)
    with refused("InvalidVpcID.NotFound"):
        ec2.create_tags(Resources=["vpc-0123456789abcdef0"], Tags=pairs(a="1"), DryRun=True)
    assert of(ec2, id) == {}


def test_tags_of_instances_reach_their_node(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    made = ec2.run_instances(
        ImageId=cloud.image_id,
        InstanceType="t3.nano",
        MinCount=1,
        MaxCount=1,
        MetadataOptions={"InstanceMetadataTags": "enabled"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": pairs(Name="web")}],
    )
    id = made["Instances"][0]["InstanceId"]
    assert of(ec2, id) == {"Name": "web"}
    cloud.run()
    ec2.create_tags(Resources=[id], Tags=pairs(stage="test"))
    instance = ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"][0]
    assert instance["Tags"] == pairs(Name="web", stage="test")
