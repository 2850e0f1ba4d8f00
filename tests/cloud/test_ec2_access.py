"""What policies decide about EC2: each operation on each resource that it uses or makes, with AWS's condition keys."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mallee.http.protocol import VPC
from mallee.registry import Registry
from tests.cloud import people
from tests.cloud.harness import ADMIN, Account, TestCloud, refused

DENIED = "UnauthorizedOperation"
EC2 = f"arn:aws:ec2:local-1:{ADMIN}"
_names = itertools.count(1)
Statement = dict[str, Any]


def allow(action: str | list[str], resource: str | list[str] = "*", **condition: Any) -> Statement:
    return _statement("Allow", action, resource, condition)


def deny(action: str | list[str], resource: str | list[str] = "*", **condition: Any) -> Statement:
    return _statement("Deny", action, resource, condition)


def _statement(effect: str, action: Any, resource: Any, condition: Any) -> Statement:
    made = {"Effect": effect, "Action": action, "Resource": resource}
    return made | ({"Condition": condition} if condition else {})


def person(cloud: TestCloud, *statements: Statement, account: Account | None = None) -> Any:
    """EC2's client of a new user whose only policy has these statements."""
    name = f"user{next(_names)}"
    made = people.user(cloud, name, account=account)
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    cloud.client("iam", account=account).put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    return made.client("ec2")


def launch(ec2: Any, cloud: TestCloud, **more: Any) -> str:
    asked = {"ImageId": cloud.image_id, "MinCount": 1, "MaxCount": 1, "InstanceType": "t3.nano"} | more
    return str(ec2.run_instances(**asked)["Instances"][0]["InstanceId"])


def tags(kind: str, **values: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in values.items()]}]


def may(call: Callable[[], Any]) -> bool:
    """Whether the policies let the call through, whatever then became of it."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"] != DENIED
    return True


# --------------------------------------------------------------------------------------------------------------- all of them


def test_every_operation_of_ec2_says_what_it_is_checked_against() -> None:
    registry = Registry()
    ours = [handler for handler in registry.handlers() if handler.service == "ec2"]
    assert len(ours) > 55
    for handler in ours:
        module = __import__(handler.function.__module__, fromlist=["ACCESS"])
        assert handler.function.__name__ in module.ACCESS, handler.function.__qualname__
        assert "ec2:Region" in module.ACCESS[handler.function.__name__].keys


def test_who_has_no_policy_may_nothing_and_learns_nothing(cloud: TestCloud) -> None:
    mine = launch(cloud.client("ec2"), cloud)
    nobody = person(cloud, allow("s3:*"))
    for call in (
        nobody.describe_instances,
        nobody.describe_vpcs,
        lambda: nobody.describe_instances(InstanceIds=[mine]),
        lambda: nobody.terminate_instances(InstanceIds=[mine]),
        lambda: nobody.terminate_instances(InstanceIds=["i-0123456789abcdef0"]),
        lambda: nobody.terminate_instances(InstanceIds=["nonsense"]),
        lambda: nobody.run_instances(ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1),
        lambda: nobody.run_instances(ImageId=cloud.image_id, MinCount=1, MaxCount=1),
        lambda: nobody.create_key_pair(KeyName="k"),
        lambda: nobody.create_tags(Resources=[mine], Tags=[{"Key": "a", "Value": "b"}]),
        lambda: nobody.release_address(AllocationId="eipalloc-0123456789abcdef0"),
    ):
        with refused(DENIED, 403):
            call()


def test_the_region_is_a_condition_of_every_call(sqlite_cloud: TestCloud) -> None:
    here = person(sqlite_cloud, allow("ec2:Describe*", StringEquals={"ec2:Region": "local-1"}))
    assert here.describe_instances()["Reservations"] == []
    there = person(sqlite_cloud, allow("ec2:Describe*", StringEquals={"ec2:Region": "eu-west-1"}))
    with refused(DENIED):
        there.describe_instances()


# ------------------------------------------------------------------------------------------------------------------ launches

PARTS = ("image", "instance", "subnet", "network-interface", "volume", "security-group", "key-pair")


@pytest.mark.parametrize("part", PARTS)
def test_a_launch_is_checked_on_each_of_its_parts(cloud: TestCloud, part: str) -> None:
    cloud.client("ec2").create_key_pair(KeyName="k")
    every = {name: f"{EC2}:{name}/*" for name in PARTS} | {"image": "arn:aws:ec2:local-1::image/*"}
    able = person(cloud, allow("ec2:RunInstances", list(every.values())), allow("ec2:DescribeImages"))
    launch(able, cloud, KeyName="k")
    unable = person(cloud, allow("ec2:RunInstances", [arn for name, arn in every.items() if name != part]))
    with refused(DENIED) as said:
        launch(unable, cloud, KeyName="k")
    assert f":{part}/" in said()
    forbidden = person(cloud, allow("ec2:*"), deny("ec2:RunInstances", every[part]))
    with refused(DENIED) as said:
        launch(forbidden, cloud, KeyName="k")
    assert "explicit deny" in said()


def _subnet(cloud: TestCloud, zone: str) -> str:
    found = cloud.client("ec2").describe_subnets(Filters=[{"Name": "availability-zone", "Values": [zone]}])["Subnets"]
    return str(found[0]["SubnetId"])


@pytest.mark.parametrize(
    ("key", "part", "good", "bad"),
    [
        ("ec2:InstanceType", "instance", "t3.nano", "t3.micro"),
        ("ec2:AvailabilityZone", "instance", "local-1b", "local-1a"),
        ("ec2:AvailabilityZone", "volume", "local-1b", "local-1a"),
        ("ec2:Tenancy", "instance", "default", "dedicated"),
        ("ec2:RootDeviceType", "instance", "ebs", "instance-store"),
        ("ec2:EbsOptimized", "instance", "false", "true"),
        ("ec2:MetadataHttpTokens", "instance", "optional", "required"),
        ("ec2:MetadataHttpEndpoint", "instance", "enabled", "disabled"),
        ("ec2:MetadataHttpPutResponseHopLimit", "instance", "1", "2"),
        ("ec2:InstanceMetadataTags", "instance", "disabled", "enabled"),
        ("ec2:InstanceMarketType", "instance", "on-demand", "spot"),
        ("ec2:IsLaunchTemplateResource", "instance", "false", "true"),
        ("ec2:IsLaunchTemplateResource", "image", "false", "true"),
        ("ec2:VolumeSize", "volume", "1", "2"),
        ("ec2:VolumeType", "volume", "gp3", "io1"),
        ("ec2:Encrypted", "volume", "false", "true"),
        ("ec2:AssociatePublicIpAddress", "network-interface", "true", "false"),
        ("ec2:Owner", "image", "amazon", ADMIN),
        ("ec2:ImageType", "image", "machine", "aki"),
        ("ec2:Public", "image", "true", "false"),
        ("ec2:KeyPairName", "key-pair", "k", "other"),
        ("ec2:KeyPairType", "key-pair", "rsa", "ed25519"),
    ],
)
def test_a_launch_has_the_keys_of_its_parts(sqlite_cloud: TestCloud, key: str, part: str, good: str, bad: str) -> None:
    """Defaults count as if they had been written: the request names almost nothing."""
    cloud = sqlite_cloud
    cloud.client("ec2").create_key_pair(KeyName="k")
    arn = "arn:aws:ec2:local-1::image/*" if part == "image" else f"{EC2}:{part}/*"
    others = [f"{EC2}:{name}/*" for name in PARTS if name != part] + ["arn:aws:ec2:local-1::image/*"] * (part != "image")
    for value, answer in ((good, True), (bad, False)):
        ec2 = person(cloud, allow("ec2:RunInstances", others), allow("ec2:RunInstances", arn, StringEquals={key: value}))
        zone = {"AvailabilityZone": "local-1b"}
        assert may(lambda: launch(ec2, cloud, KeyName="k", Placement=zone)) is answer, (value, answer)  # noqa: B023
        ec2 = person(cloud, allow("ec2:*"), deny("ec2:RunInstances", arn, StringNotEquals={key: value}))
        assert may(lambda: launch(ec2, cloud, KeyName="k", Placement=zone)) is answer, ("deny", value)  # noqa: B023


def test_what_the_request_says_is_what_counts(sqlite_cloud: TestCloud) -> None:
    cloud = sqlite_cloud
    strict = person(
        cloud,
        allow("ec2:*"),
        deny("ec2:RunInstances", f"{EC2}:instance/*", StringNotEquals={"ec2:MetadataHttpTokens": "required"}),
        deny("ec2:RunInstances", f"{EC2}:volume/*", NumericGreaterThan={"ec2:VolumeSize": "20"}),
        deny("ec2:RunInstances", f"{EC2}:network-interface/*", Bool={"ec2:AssociatePublicIpAddress": "true"}),
    )
    good: dict[str, Any] = {
        "MetadataOptions": {"HttpTokens": "required"},
        "NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": False}],
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20}}],
    }
    launch(strict, cloud, **good)
    for spoiled in (
        {"MetadataOptions": {"HttpTokens": "optional"}},
        {"NetworkInterfaces": [{"DeviceIndex": 0}]},
        {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 21}}]},
    ):
        with refused(DENIED):
            launch(strict, cloud, **(good | spoiled))


def test_subnets_and_groups_are_those_that_the_launch_will_have(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    default = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    inside = _subnet(cloud, "local-1b")
    rest = [f"{EC2}:{name}/*" for name in ("instance", "volume")] + ["arn:aws:ec2:local-1::image/*"]
    ours = person(
        cloud,
        allow("ec2:RunInstances", [*rest, f"{EC2}:subnet/{inside}", f"{EC2}:security-group/{group}"]),
        allow("ec2:RunInstances", f"{EC2}:network-interface/*", ArnEquals={"ec2:Subnet": f"{EC2}:subnet/{inside}"}),
    )
    launch(ours, cloud, SubnetId=inside, SecurityGroupIds=[group])
    launch(ours, cloud, Placement={"AvailabilityZone": "local-1b"}, SecurityGroups=["web"])
    with refused(DENIED) as said:  # the default group of the VPC
        launch(ours, cloud, SubnetId=inside)
    assert default in said()
    with refused(DENIED):
        launch(ours, cloud, SubnetId=_subnet(cloud, "local-1a"), SecurityGroupIds=[group])
    by_vpc = person(
        cloud,
        allow("ec2:RunInstances", [*rest, f"{EC2}:network-interface/*"]),
        allow("ec2:RunInstances", [f"{EC2}:subnet/*", f"{EC2}:security-group/*"], ArnEquals={"ec2:Vpc": f"{EC2}:vpc/{vpc}"}),
    )
    launch(by_vpc, cloud)


def test_a_zone_that_the_cloud_chooses_is_checked_when_it_is_chosen(cloud: TestCloud) -> None:
    """Only the zone that is asked about in the policy is open; the cloud puts the launch into the least loaded one."""
    seen = set()
    for zone in cloud.settings.zones:
        keys = {"ec2:AvailabilityZone": zone}
        others = [f"{EC2}:{name}/*" for name in PARTS if name != "subnet"] + ["arn:aws:ec2:local-1::image/*"]
        ec2 = person(cloud, allow("ec2:RunInstances", others), allow("ec2:RunInstances", f"{EC2}:subnet/*", StringEquals=keys))
        before = cloud.client("ec2").describe_instances()["Reservations"]
        try:
            made = ec2.run_instances(ImageId=cloud.image_id, MinCount=1, MaxCount=1)["Instances"][0]
            assert made["Placement"]["AvailabilityZone"] == zone
            seen.add(zone)
        except ClientError as error:
            assert error.response["Error"]["Code"] == DENIED
            assert cloud.client("ec2").describe_instances()["Reservations"] == before
    assert seen


def test_tags_at_a_launch_need_create_tags(cloud: TestCloud) -> None:
    run = allow("ec2:RunInstances")
    wanted = tags("instance", team="red")
    plain = person(cloud, run)
    with refused(DENIED) as said:
        launch(plain, cloud, TagSpecifications=wanted)
    assert "ec2:CreateTags" in said()
    at_launch = person(
        cloud, run, allow("ec2:CreateTags", f"{EC2}:instance/*", StringEquals={"ec2:CreateAction": "RunInstances"})
    )
    made = launch(at_launch, cloud, TagSpecifications=wanted)
    with refused(DENIED):
        at_launch.create_tags(Resources=[made], Tags=[{"Key": "team", "Value": "blue"}])
    with refused(DENIED):
        launch(at_launch, cloud, TagSpecifications=tags("volume", team="red"))
    red = {"StringEquals": {"aws:RequestTag/team": "red"}}
    only_red = person(
        cloud,
        allow("ec2:RunInstances", [f"{EC2}:{name}/*" for name in PARTS if name != "instance"]),
        allow("ec2:RunInstances", "arn:aws:ec2:local-1::image/*"),
        allow("ec2:RunInstances", f"{EC2}:instance/*", **red),
        allow("ec2:CreateTags", f"{EC2}:instance/*", **red),
    )
    launch(only_red, cloud, TagSpecifications=wanted)
    for other in ({}, {"TagSpecifications": tags("instance", team="blue")}, {"TagSpecifications": tags("volume", team="red")}):
        with refused(DENIED):
            launch(only_red, cloud, **other)


def test_where_a_call_comes_from(sqlite_cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """From within a VPC there are its id and the address in it, told by the node; from outside an address, and nothing that a
    header says."""
    cloud, vpc = sqlite_cloud, "vpc-0123456789abcdef0"
    within = person(cloud, allow("ec2:*", StringEquals={"aws:SourceVpc": vpc}, IpAddress={"aws:VpcSourceIp": "172.31.0.0/16"}))
    outside = person(cloud, allow("ec2:*", IpAddress={"aws:SourceIp": "192.0.2.0/24"}))
    unless = person(cloud, allow("ec2:*"), deny("ec2:*", StringNotEquals={"aws:SourceVpc": vpc}))
    outside.describe_vpcs()
    for client in (within, unless):
        for name in ("X-Forwarded-For", "Forwarded", "X-Amz-Source-Vpc", "mallee.vpc"):
            header = lambda request, name=name, **_: request.headers.add_header(name, vpc)  # noqa: E731
            client.meta.events.register("before-sign", header)
            with refused(DENIED):
                client.describe_vpcs()
            client.meta.events.unregister("before-sign", header)
    serve = cloud.cloud.api.__call__

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        await serve({**scope, VPC: vpc, "client": ("172.31.0.9", 40000)}, receive, send)

    monkeypatch.setattr(cloud.cloud, "api", inside)
    within.describe_vpcs()
    unless.describe_vpcs()
    with refused(DENIED):
        outside.describe_vpcs()
    monkeypatch.undo()


def test_a_dry_run_asks_the_policies(sqlite_cloud: TestCloud) -> None:
    with refused("DryRunOperation"):
        launch(person(sqlite_cloud, allow("ec2:RunInstances")), sqlite_cloud, DryRun=True)
    with refused(DENIED):
        launch(person(sqlite_cloud, allow("ec2:Describe*")), sqlite_cloud, DryRun=True)


# ----------------------------------------------------------------------------------------------------------------- instances


def test_verbs_are_checked_on_every_instance_that_they_name(cloud: TestCloud) -> None:
    admin = cloud.client("ec2")
    red = launch(admin, cloud, TagSpecifications=tags("instance", team="red"))
    blue = launch(admin, cloud, TagSpecifications=tags("instance", team="blue"))
    cloud.run()
    verbs = ["ec2:StartInstances", "ec2:StopInstances", "ec2:RebootInstances", "ec2:TerminateInstances"]
    ec2 = person(cloud, allow(verbs, f"{EC2}:instance/*", StringEquals={"ec2:ResourceTag/team": "red"}))
    for call in (ec2.reboot_instances, ec2.stop_instances):
        with refused(DENIED):
            call(InstanceIds=[blue])
        with refused(DENIED):
            call(InstanceIds=[red, blue])
        call(InstanceIds=[red])
    by_id = person(cloud, allow("ec2:TerminateInstances", f"{EC2}:instance/{red}"))
    with refused(DENIED):
        by_id.terminate_instances(InstanceIds=[blue])
    by_id.terminate_instances(InstanceIds=[red])
    small = person(cloud, allow("ec2:*", StringEquals={"ec2:InstanceType": "t3.nano"}))
    small.reboot_instances(InstanceIds=[blue])
    with refused(DENIED):
        person(cloud, allow("ec2:*", StringEquals={"ec2:InstanceType": "m5.large"})).reboot_instances(InstanceIds=[blue])


def test_what_is_not_there_is_what_is_another_accounts(cloud: TestCloud) -> None:
    """A policy by tags lets neither through, one that allows everything tells of neither."""
    other = cloud.account()
    foreign = launch(other.client("ec2"), cloud, TagSpecifications=tags("instance", team="red"))
    missing = "i-0123456789abcdef0"
    tagged = person(cloud, allow("ec2:*", f"{EC2}:instance/*", StringEquals={"aws:ResourceTag/team": "red"}))
    free = person(cloud, allow("ec2:*"))
    for ec2, code in ((tagged, DENIED), (free, "InvalidInstanceID.NotFound")):
        messages = []
        for id in (foreign, missing):
            with refused(code) as said:
                ec2.stop_instances(InstanceIds=[id])
            messages.append(said().replace(id, "…").partition(" Encoded")[0])
        assert messages[0] == messages[1]


def test_modifying_is_checked_by_attribute(cloud: TestCloud) -> None:
    admin = cloud.client("ec2")
    made = launch(admin, cloud)
    cloud.run()
    one = f"{EC2}:instance/{made}"
    ec2 = person(cloud, allow("ec2:ModifyInstanceAttribute", one, StringEquals={"ec2:Attribute": "DisableApiStop"}))
    ec2.modify_instance_attribute(InstanceId=made, DisableApiStop={"Value": False})
    ec2.modify_instance_attribute(InstanceId=made, Attribute="disableApiStop", Value="false")
    with refused(DENIED):
        ec2.modify_instance_attribute(InstanceId=made, DisableApiTermination={"Value": True})
    ec2 = person(cloud, allow("ec2:ModifyInstanceMetadataOptions", one, StringEquals={"ec2:Attribute/HttpTokens": "required"}))
    ec2.modify_instance_metadata_options(InstanceId=made, HttpTokens="required")
    with refused(DENIED):
        ec2.modify_instance_metadata_options(InstanceId=made, HttpTokens="optional")
    group = admin.create_security_group(GroupName="web", Description="d")["GroupId"]
    ec2 = person(cloud, allow("ec2:ModifyInstanceAttribute", one))
    with refused(DENIED) as said:
        ec2.modify_instance_attribute(InstanceId=made, Groups=[group])
    assert group in said()
    with refused(DENIED) as said:
        change = {"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}}
        ec2.modify_instance_attribute(InstanceId=made, BlockDeviceMappings=[change])
    assert ":volume/vol-" in said()


# -------------------------------------------------------------------------------------------------------- tags, keys, groups


def test_tagging_is_checked_on_resources_of_all_kinds(cloud: TestCloud) -> None:
    admin = cloud.client("ec2")
    vpc = admin.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = _subnet(cloud, "local-1a")
    address = admin.allocate_address()["AllocationId"]
    group = admin.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    pair = admin.create_key_pair(KeyName="named")["KeyPairId"]
    made = launch(admin, cloud)
    held = admin.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"][0]
    volume, interface = held["BlockDeviceMappings"][0]["Ebs"]["VolumeId"], held["NetworkInterfaces"][0]["NetworkInterfaceId"]
    table = admin.describe_route_tables()["RouteTables"][0]["RouteTableId"]
    gateway = admin.describe_internet_gateways()["InternetGateways"][0]["InternetGatewayId"]
    acl = admin.describe_network_acls()["NetworkAcls"][0]["NetworkAclId"]
    options = admin.describe_dhcp_options()["DhcpOptions"][0]["DhcpOptionsId"]
    own_vpc = f"{EC2}:vpc/{vpc}"
    for id, key, value in (
        (vpc, "ec2:VpcID", vpc),
        (subnet, "ec2:SubnetID", subnet),
        (subnet, "ec2:Vpc", own_vpc),
        (address, "ec2:AllocationId", address),
        (group, "ec2:SecurityGroupID", group),
        (pair, "ec2:KeyPairName", "named"),
        (made, "ec2:InstanceID", made),
        (volume, "ec2:VolumeID", volume),
        (volume, "ec2:VolumeSize", "1"),
        (interface, "ec2:NetworkInterfaceID", interface),
        (interface, "ec2:Subnet", f"{EC2}:subnet/{held['SubnetId']}"),
        (table, "ec2:RouteTableID", table),
        (table, "ec2:Vpc", own_vpc),
        (gateway, "ec2:InternetGatewayID", gateway),
        (acl, "ec2:NetworkAclID", acl),
        (options, "ec2:DhcpOptionsID", options),
        (cloud.image_id, "ec2:ImageID", cloud.image_id),
    ):
        wanted = {"Resources": [id], "Tags": [{"Key": "a", "Value": "b"}]}
        assert may(lambda: person(cloud, allow("ec2:CreateTags", StringEquals={key: value})).create_tags(**wanted)), key  # noqa: B023
        with refused(DENIED):
            person(cloud, allow("ec2:CreateTags", StringEquals={key: "other"})).create_tags(**wanted)


def test_tags_are_keys_of_tagging_and_untagging(cloud: TestCloud) -> None:
    made = launch(cloud.client("ec2"), cloud)
    ec2 = person(
        cloud,
        allow("ec2:CreateTags", f"{EC2}:instance/*", **{"ForAllValues:StringEquals": {"aws:TagKeys": ["team", "cost"]}}),
        allow("ec2:DeleteTags", f"{EC2}:instance/*", StringEquals={"ec2:ResourceTag/team": "red"}),
    )
    with refused(DENIED):
        ec2.create_tags(Resources=[made], Tags=[{"Key": "owner", "Value": "me"}])
    ec2.create_tags(Resources=[made], Tags=[{"Key": "team", "Value": "blue"}])
    with refused(DENIED):
        ec2.delete_tags(Resources=[made], Tags=[{"Key": "team"}])
    ec2.create_tags(Resources=[made], Tags=[{"Key": "team", "Value": "red"}])
    ec2.delete_tags(Resources=[made], Tags=[{"Key": "team"}])


def test_key_pairs_are_named_by_name_and_by_id(cloud: TestCloud) -> None:
    mine = person(cloud, allow(["ec2:CreateKeyPair", "ec2:ImportKeyPair", "ec2:DeleteKeyPair"], f"{EC2}:key-pair/mine-*"))
    made = mine.create_key_pair(KeyName="mine-1", KeyType="ed25519")["KeyPairId"]
    other = cloud.client("ec2").create_key_pair(KeyName="theirs")["KeyPairId"]
    with refused(DENIED):
        mine.create_key_pair(KeyName="theirs-1")
    for named in ({"KeyName": "theirs"}, {"KeyPairId": other}):
        with refused(DENIED):
            mine.delete_key_pair(**named)
    mine.delete_key_pair(KeyPairId=made)
    assert mine.delete_key_pair(KeyName="mine-2")["Return"]
    modern = person(cloud, allow("ec2:CreateKeyPair", StringEquals={"ec2:KeyPairType": "ed25519"}))
    modern.create_key_pair(KeyName="e", KeyType="ed25519")
    with refused(DENIED):
        modern.create_key_pair(KeyName="r")


def test_groups_are_named_by_name_and_by_id(cloud: TestCloud) -> None:
    admin = cloud.client("ec2")
    vpc = admin.describe_vpcs()["Vpcs"][0]["VpcId"]
    web = admin.create_security_group(GroupName="web", Description="d")["GroupId"]
    database = admin.create_security_group(GroupName="database", Description="d")["GroupId"]
    rule = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    ec2 = person(cloud, allow("ec2:*", f"{EC2}:security-group/{web}"))
    for call in (ec2.authorize_security_group_ingress, ec2.revoke_security_group_ingress):
        for named in ({"GroupId": database}, {"GroupName": "database"}, {"GroupName": "missing"}):
            with refused(DENIED):
                call(**named, IpPermissions=rule)
        call(GroupName="web", IpPermissions=rule)
    made = ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=rule)["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    change = [
        {
            "SecurityGroupRuleId": made,
            "SecurityGroupRule": {"IpProtocol": "tcp", "FromPort": 81, "ToPort": 81, "CidrIpv4": "10.0.0.0/8"},
        }
    ]
    with refused(DENIED) as said:
        ec2.modify_security_group_rules(GroupId=web, SecurityGroupRules=change)
    assert made in said()
    by_rule = person(cloud, allow("ec2:*", [f"{EC2}:security-group/{web}", f"{EC2}:security-group-rule/{made}"]))
    by_rule.modify_security_group_rules(GroupId=web, SecurityGroupRules=change)
    by_vpc = person(cloud, allow("ec2:DeleteSecurityGroup", ArnEquals={"ec2:Vpc": f"{EC2}:vpc/{vpc}"}))
    by_vpc.delete_security_group(GroupName="database")
    with refused(DENIED):  # of a new one, the VPC counts as well: the default one where none is named
        person(cloud, allow("ec2:CreateSecurityGroup", f"{EC2}:security-group/*")).create_security_group(
            GroupName="x", Description="d"
        )
    makes = person(cloud, allow("ec2:CreateSecurityGroup", [f"{EC2}:security-group/*", f"{EC2}:vpc/{vpc}"]))
    makes.create_security_group(GroupName="x", Description="d")


def test_addresses_and_interfaces(cloud: TestCloud) -> None:
    admin = cloud.client("ec2")
    made = launch(admin, cloud)
    cloud.run()
    interface = admin.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"][0]["NetworkInterfaces"][0]
    mine, other = admin.allocate_address(), admin.allocate_address()
    on_mine = f"{EC2}:elastic-ip/{mine['AllocationId']}"
    ec2 = person(cloud, allow("ec2:*", [on_mine, f"{EC2}:instance/{made}", f"{EC2}:network-interface/*"]))
    for named in ({"AllocationId": other["AllocationId"]}, {"PublicIp": other["PublicIp"]}):
        with refused(DENIED):
            ec2.associate_address(InstanceId=made, **named)
        with refused(DENIED):
            ec2.release_address(**named)
    linked = ec2.associate_address(InstanceId=made, PublicIp=mine["PublicIp"])["AssociationId"]
    only_interface = person(cloud, allow("ec2:DisassociateAddress", f"{EC2}:network-interface/*"))
    with refused(DENIED):
        only_interface.disassociate_address(AssociationId=linked)
    ec2.disassociate_address(AssociationId=linked)
    ec2.associate_address(NetworkInterfaceId=interface["NetworkInterfaceId"], AllocationId=mine["AllocationId"])
    ec2.disassociate_address(PublicIp=mine["PublicIp"])
    by_ip = person(cloud, allow("ec2:ReleaseAddress", StringEquals={"ec2:PublicIpAddress": mine["PublicIp"]}))
    with refused(DENIED):
        by_ip.release_address(AllocationId=other["AllocationId"])
    by_ip.release_address(AllocationId=mine["AllocationId"])
    ec2 = person(cloud, allow("ec2:ModifyNetworkInterfaceAttribute", StringEquals={"ec2:Attribute": "Description"}))
    ec2.modify_network_interface_attribute(NetworkInterfaceId=interface["NetworkInterfaceId"], Description={"Value": "x"})
    with refused(DENIED):
        ec2.modify_network_interface_attribute(
            NetworkInterfaceId=interface["NetworkInterfaceId"], SourceDestCheck={"Value": False}
        )
    subnet = _subnet(cloud, "local-1a")
    ec2 = person(cloud, allow("ec2:ModifySubnetAttribute", Bool={"ec2:Attribute/MapPublicIpOnLaunch": "false"}))
    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": False})
    with refused(DENIED):
        ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})


def test_a_refusal_can_be_decoded(sqlite_cloud: TestCloud) -> None:
    ec2 = person(sqlite_cloud, allow("ec2:Describe*"))
    with refused(DENIED, 403) as said:
        launch(ec2, sqlite_cloud)
    encoded = said().rpartition("Encoded authorization failure message: ")[2]
    assert base64.urlsafe_b64decode(encoded + "==") if encoded else False
    told = json.loads(sqlite_cloud.client("sts").decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"])
    assert told["allowed"] is False and told["context"]["action"] == "ec2:RunInstances"
