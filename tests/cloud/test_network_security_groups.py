"""CreateSecurityGroup, DeleteSecurityGroup, DescribeSecurityGroups."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.harness import TestCloud, refused


def create(ec2: Any, name: str = "web", **more: Any) -> str:
    return ec2.create_security_group(GroupName=name, Description="for tests", **more)["GroupId"]


def shown(ec2: Any, id: str) -> dict[str, Any]:
    return ec2.describe_security_groups(GroupIds=[id])["SecurityGroups"][0]


def names(ec2: Any, *filters: tuple[str, str]) -> list[str]:
    asked = [{"Name": name, "Values": [value]} for name, value in filters]
    return sorted(each["GroupName"] for each in ec2.describe_security_groups(Filters=asked)["SecurityGroups"])


def ssh(**more: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, **more}


def test_a_new_group_lets_everything_out_and_nothing_in(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    made = ec2.create_security_group(
        GroupName="web",
        Description="for tests",
        TagSpecifications=[{"ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "1"}]}],
    )
    id = made["GroupId"]
    assert made["Tags"] == [{"Key": "a", "Value": "1"}]
    assert made["SecurityGroupArn"] == f"arn:aws:ec2:local-1:{cloud.admin.id}:security-group/{id}"
    group = shown(ec2, id)
    assert group["IpPermissions"] == []
    (outward,) = group["IpPermissionsEgress"]
    assert (outward["IpProtocol"], outward["IpRanges"]) == ("-1", [{"CidrIp": "0.0.0.0/0"}])
    assert "FromPort" not in outward
    assert group["VpcId"] == ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    assert group["Tags"] == [{"Key": "a", "Value": "1"}]
    assert ec2.describe_security_groups(GroupNames=["web"])["SecurityGroups"] == [group]


def test_names_are_one_per_vpc_regardless_of_case(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    create(ec2, "Web")
    vpc_id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    with refused("InvalidGroup.Duplicate", 400) as message:
        create(ec2, "web")
    assert message() == f"The security group 'web' already exists for VPC '{vpc_id}'"
    create(cloud.account().client("ec2"), "web")


@pytest.mark.parametrize(
    ("name", "description", "code"),
    [
        ("default", "x", "InvalidParameterValue"),
        ("sg-web", "x", "InvalidParameterValue"),
        ("w" * 256, "x", "InvalidParameterValue"),
        ("wéb", "x", "InvalidParameterValue"),
        ("web\n", "x", "InvalidParameterValue"),
        ("", "x", "MissingParameter"),
        ("web", "d" * 256, "InvalidParameterValue"),
        ("web", "dé", "InvalidParameterValue"),
    ],
)
def test_names_that_aws_refuses(sqlite_cloud: TestCloud, name: str, description: str, code: str) -> None:
    with refused(code, 400):
        sqlite_cloud.client("ec2", validate=False).create_security_group(GroupName=name, Description=description)


def test_a_vpc_that_is_not_there_or_not_ones_own(cloud: TestCloud) -> None:
    ec2, other = cloud.client("ec2"), cloud.account().client("ec2")
    theirs = other.describe_vpcs()["Vpcs"][0]["VpcId"]
    for id in (theirs, "vpc-0123456789abcdef0"):
        with refused("InvalidVpcID.NotFound"):
            create(ec2, VpcId=id)
    with refused("InvalidVpcID.Malformed"):
        create(ec2, VpcId="vpc-xyz")
    mine = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    assert shown(ec2, create(ec2, VpcId=mine))["VpcId"] == mine


def test_groups_go_by_id_and_by_name(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    first, second = create(ec2, "first"), create(ec2, "second")
    assert ec2.delete_security_group(GroupId=first)["GroupId"] == first
    ec2.delete_security_group(GroupName="second")
    assert names(ec2) == ["default"]
    with refused("InvalidGroup.NotFound") as message:
        ec2.delete_security_group(GroupId=second)
    assert message() == f"The security group '{second}' does not exist"
    vpc_id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    with refused("InvalidGroup.NotFound") as message:
        ec2.delete_security_group(GroupName="second")
    assert message() == f"The security group 'second' does not exist in default VPC '{vpc_id}'"
    with refused("MissingParameter") as message:
        ec2.delete_security_group()
    assert message() == "The request must contain the parameter groupName or groupId"
    with refused("InvalidGroupId.Malformed"):
        ec2.delete_security_group(GroupId="first")


def test_the_default_group_stays(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    id = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    with refused("CannotDelete") as message:
        ec2.delete_security_group(GroupId=id)
    assert message() == f'the specified group: "{id}" name: "default" cannot be deleted by a user'


def test_a_group_that_something_depends_on_stays(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    named, naming = create(ec2, "named"), create(ec2, "naming")
    ec2.authorize_security_group_ingress(GroupId=naming, IpPermissions=[ssh(UserIdGroupPairs=[{"GroupId": named}])])
    with refused("DependencyViolation") as message:
        ec2.delete_security_group(GroupId=named)
    assert message() == f"resource {named} has a dependent object"
    ec2.delete_security_group(GroupId=naming)
    ec2.authorize_security_group_ingress(GroupId=named, IpPermissions=[ssh(UserIdGroupPairs=[{"GroupId": named}])])
    ec2.delete_security_group(GroupId=named)

    borne = create(ec2, "borne")
    made = ec2.run_instances(ImageId=cloud.image_id, InstanceType="t3.nano", MinCount=1, MaxCount=1, SecurityGroupIds=[borne])
    with refused("DependencyViolation"):
        ec2.delete_security_group(GroupId=borne)
    ec2.terminate_instances(InstanceIds=[made["Instances"][0]["InstanceId"]])
    cloud.run(seconds=120)
    ec2.delete_security_group(GroupId=borne)
    assert names(ec2) == ["default"]


def test_tags_go_with_their_group(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    tag = [{"Key": "a", "Value": "1"}]
    id = create(ec2, TagSpecifications=[{"ResourceType": "security-group", "Tags": tag}])
    rule = ec2.authorize_security_group_ingress(
        GroupId=id,
        IpPermissions=[ssh(IpRanges=[{"CidrIp": "0.0.0.0/0"}])],
        TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": tag}],
    )["SecurityGroupRules"][0]
    assert rule["Tags"] == tag
    assert len(ec2.describe_tags()["Tags"]) == 2
    ec2.delete_security_group(GroupId=id)
    assert ec2.describe_tags()["Tags"] == []


def test_filters(sqlite_cloud: TestCloud) -> None:
    ec2, account_id = sqlite_cloud.client("ec2"), sqlite_cloud.admin.id
    web, db = create(ec2, "web"), create(ec2, "db")
    ec2.authorize_security_group_ingress(
        GroupId=web,
        IpPermissions=[
            ssh(IpRanges=[{"CidrIp": "10.0.0.0/8"}]),
            {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 444, "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}]},
        ],
    )
    ec2.authorize_security_group_egress(
        GroupId=db, IpPermissions=[{"IpProtocol": "udp", "FromPort": 53, "ToPort": 54, "UserIdGroupPairs": [{"GroupId": web}]}]
    )
    for name, value, expected in [
        ("description", "for *", ["db", "web"]),
        ("group-id", web, ["web"]),
        ("group-id", "sg-*", ["db", "default", "web"]),
        ("group-name", "d*", ["db", "default"]),
        ("owner-id", account_id, ["db", "default", "web"]),
        ("vpc-id", "vpc-*", ["db", "default", "web"]),
        ("ip-permission.cidr", "10.0.0.0/8", ["web"]),
        ("ip-permission.from-port", "22", ["web"]),
        ("ip-permission.from-port", "443", ["web"]),
        ("ip-permission.to-port", "444", ["web"]),
        ("ip-permission.group-id", "*", ["default"]),
        ("ip-permission.group-name", "default", ["default"]),
        ("ip-permission.ipv6-cidr", "2001:db8::/32", ["web"]),
        ("ip-permission.prefix-list-id", "*", []),
        ("ip-permission.protocol", "tcp", ["web"]),
        ("ip-permission.protocol", "-1", ["default"]),
        ("ip-permission.user-id", account_id, ["default"]),
        ("egress.ip-permission.cidr", "0.0.0.0/0", ["db", "default", "web"]),
        ("egress.ip-permission.from-port", "53", ["db"]),
        ("egress.ip-permission.to-port", "54", ["db"]),
        ("egress.ip-permission.group-id", web, ["db"]),
        ("egress.ip-permission.group-name", "web", ["db"]),
        ("egress.ip-permission.ipv6-cidr", "*", []),
        ("egress.ip-permission.prefix-list-id", "*", []),
        ("egress.ip-permission.protocol", "udp", ["db"]),
        ("egress.ip-permission.user-id", account_id, ["db"]),
        ("tag-key", "*", []),
    ]:
        assert names(ec2, (name, value)) == expected, (name, value)
    # rules need not be one and the same to match several filters
    assert names(ec2, ("ip-permission.cidr", "10.0.0.0/8"), ("ip-permission.from-port", "443")) == ["web"]
    assert names(ec2, ("group-id", web), ("group-name", "db")) == []


def test_pages(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    for number in range(11):
        create(ec2, f"group {number}")
    pages = list(ec2.get_paginator("describe_security_groups").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["SecurityGroups"]) for page in pages] == [5, 5, 2]
    assert len({each["GroupId"] for page in pages for each in page["SecurityGroups"]}) == 12
    assert len(ec2.describe_security_groups()["SecurityGroups"]) == 12
    token = ec2.describe_security_groups(MaxResults=5)["NextToken"]
    with refused("InvalidNextToken"):
        ec2.describe_security_groups(MaxResults=5, NextToken=token, Filters=[{"Name": "group-id", "Values": ["*"]}])
    with refused("InvalidNextToken"):
        sqlite_cloud.account().client("ec2").describe_security_groups(NextToken=token)


def test_names_in_describing(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    web = create(ec2, "web")
    assert len(ec2.describe_security_groups(GroupNames=["web", "default"])["SecurityGroups"]) == 2
    assert len(ec2.describe_security_groups(GroupNames=["web"], GroupIds=[web])["SecurityGroups"]) == 1
    with refused("InvalidGroup.NotFound"):
        ec2.describe_security_groups(GroupNames=["nobody"])


def test_a_dry_run_creates_nothing(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    with refused("DryRunOperation", 412):
        create(ec2, DryRun=True)
    with refused("InvalidParameterValue"):
        create(ec2, "sg-x", DryRun=True)
    assert names(ec2) == ["default"]
