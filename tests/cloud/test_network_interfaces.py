"""Network interfaces: how they are made for instances, described and modified, and what hosts are told of them."""

from __future__ import annotations

from typing import Any

import pytest

from mallee.network import groups, interfaces, places, projection, records, rules
from mallee.network.interfaces import Plan
from mallee.network.records import Interface
from mallee.store import ids
from mallee.wire.errors import AwsError
from tests.cloud.harness import TestCloud, refused


def launch(cloud: TestCloud, count: int = 1, ec2: Any = None, **more: Any) -> list[str]:
    made = (ec2 or cloud.client("ec2")).run_instances(
        ImageId=cloud.image_id, InstanceType="t3.nano", MinCount=count, MaxCount=count, **more
    )
    cloud.run()
    return [instance["InstanceId"] for instance in made["Instances"]]


def interface(ec2: Any, instance_id: str) -> dict[str, Any]:
    asked = [{"Name": "attachment.instance-id", "Values": [instance_id]}]
    (found,) = ec2.describe_network_interfaces(Filters=asked)["NetworkInterfaces"]
    return found


def made(cloud: TestCloud, count: int = 1, **more: Any) -> list[Interface]:
    """Interfaces of the administrator in the first zone, unattached unless ``instance_ids`` says otherwise."""
    held = more.pop("instance_ids", [None] * count)
    private_ips = more.pop("private_ips", None)
    with cloud.database.transaction(cloud.admin.id) as tx:
        subnet = places.subnet_for(tx, cloud.settings, None, "local-1a")
        plan = Plan(subnet, groups.resolve(tx, subnet.vpc_id), **more)
        return interfaces.create_many(tx, cloud.settings, plan, held, private_ips)


# ----------------------------------------------------------------------------------------------------------------- making


def test_an_instance_has_one_interface(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    (id,) = launch(cloud)
    shown = interface(ec2, id)
    instance = ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"][0]
    (subnet,) = ec2.describe_subnets(SubnetIds=[shown["SubnetId"]])["Subnets"]
    assert subnet["AvailableIpAddressCount"] == 4090
    assert rules.number(shown["PrivateIpAddress"]) in rules.host_range(subnet["CidrBlock"])
    assert shown["Status"] == "in-use"
    assert shown["AvailabilityZone"] == subnet["AvailabilityZone"]
    assert shown["Attachment"]["DeviceIndex"] == 0
    assert shown["Attachment"]["DeleteOnTermination"] is True
    assert shown["Attachment"]["InstanceOwnerId"] == cloud.admin.id
    assert shown["PrivateDnsName"] == f"ip-{shown['PrivateIpAddress'].replace('.', '-')}.local-1.compute.internal"
    assert shown["Groups"][0]["GroupName"] == "default"
    assert shown["SourceDestCheck"] is True
    (inside,) = instance["NetworkInterfaces"]
    for name in ("NetworkInterfaceId", "MacAddress", "PrivateIpAddress", "PrivateDnsName", "SubnetId", "VpcId", "Groups"):
        assert inside[name] == shown[name], name
    assert inside["Attachment"]["AttachmentId"] == shown["Attachment"]["AttachmentId"]
    assert instance["PublicIpAddress"] == shown["Association"]["PublicIp"]
    ec2.terminate_instances(InstanceIds=[id])
    cloud.run(seconds=120)
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    assert ec2.describe_subnets(SubnetIds=[shown["SubnetId"]])["Subnets"][0]["AvailableIpAddressCount"] == 4091


def test_addresses_and_hardware_addresses_are_never_given_twice(cloud: TestCloud) -> None:
    held = made(cloud, 300, instance_ids=[ids.new("i") for _ in range(300)])
    assert len({each.private_ip for each in held}) == 300
    assert len({each.mac for each in held}) == 300
    lent = [each.public_ip for each in held if each.public_ip]
    assert len(set(lent)) == len(lent) == 254


def test_a_full_subnet_says_so(sqlite_cloud: TestCloud) -> None:
    with sqlite_cloud.database.transaction(sqlite_cloud.admin.id) as tx:
        vpc = records.default_vpc(tx)
        assert vpc is not None
        small = {"id": ids.new("subnet"), "vpc_id": vpc.id, "cidr": "172.31.255.0/28", "zone": "local-1a"}
        tx.insert(records.subnets, **small, default_for_zone=False, map_public_ip=False, created_at=tx.now)
        plan = Plan(places.subnet(tx, small["id"]), groups.resolve(tx, vpc.id))
        held = [interfaces.create(tx, sqlite_cloud.settings, plan) for _ in range(8)]
        held += interfaces.create_many(tx, sqlite_cloud.settings, plan, [None] * 3)
        usable = {rules.dotted(each) for each in rules.host_range("172.31.255.0/28")}
        assert {each.private_ip for each in held} == usable
        with pytest.raises(AwsError) as full:
            interfaces.create(tx, sqlite_cloud.settings, plan)
        assert full.value.code == "InsufficientFreeAddressesInSubnet"
        interfaces.delete(tx, held[:1])
        assert interfaces.create(tx, sqlite_cloud.settings, plan).private_ip == held[0].private_ip


@pytest.mark.parametrize(
    ("ip", "code"),
    [
        ("172.31.0.0", "InvalidParameterValue"),
        ("172.31.0.3", "InvalidParameterValue"),
        ("172.31.15.255", "InvalidParameterValue"),
        ("172.31.16.9", "InvalidParameterValue"),
        ("10.0.0.1", "InvalidParameterValue"),
        ("nonsense", "InvalidParameterValue"),
        ("172.31.0.04", "InvalidParameterValue"),
        ("172.31.0.9", "InvalidIPAddress.InUse"),
    ],
)
def test_certain_addresses(sqlite_cloud: TestCloud, ip: str, code: str) -> None:
    assert [each.private_ip for each in made(sqlite_cloud, private_ips=["172.31.0.9"])] == ["172.31.0.9"]
    assert made(sqlite_cloud, private_ips=["172.31.0.4"])
    assert made(sqlite_cloud, private_ips=["172.31.15.254"])
    with pytest.raises(AwsError) as refusal:
        made(sqlite_cloud, private_ips=[ip])
    assert refusal.value.code == code
    if code == "InvalidIPAddress.InUse":
        assert refusal.value.message == f"Address {ip} is in use."


def test_attaching_and_detaching(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    (one,) = made(cloud)
    instance_id = ids.new("i")
    (shown,) = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert shown["Status"] == "available"
    assert "Attachment" not in shown and "Association" not in shown
    with cloud.database.transaction(cloud.admin.id) as tx:
        one = interfaces.attach(tx, one, instance_id, 1)
        with pytest.raises(AwsError) as taken:
            interfaces.attach(tx, one, ids.new("i"), 0)
        assert taken.value.code == "InvalidNetworkInterface.InUse"
    (second,) = made(cloud)
    with cloud.database.transaction(cloud.admin.id) as tx:
        with pytest.raises(AwsError) as taken:
            interfaces.attach(tx, second, instance_id, 1)
        assert taken.value.code == "InvalidParameterValue"
    assert interface(ec2, instance_id)["Attachment"]["DeviceIndex"] == 1
    with cloud.database.transaction(cloud.admin.id) as tx:
        interfaces.release(tx, instance_id)
        interfaces.release(tx, instance_id)
    states = {each["NetworkInterfaceId"]: each["Status"] for each in ec2.describe_network_interfaces()["NetworkInterfaces"]}
    assert states == {one.id: "available", second.id: "available"}


# --------------------------------------------------------------------------------------------------------------- choosing


def test_groups_and_subnets_are_resolved_as_aws_does(cloud: TestCloud) -> None:
    ec2, other = cloud.client("ec2"), cloud.account().client("ec2")
    web = ec2.create_security_group(GroupName="web", Description="x")["GroupId"]
    theirs = other.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    their_subnet = other.describe_subnets()["Subnets"][0]["SubnetId"]
    with cloud.database.reading(cloud.admin.id) as tx:
        vpc = records.default_vpc(tx)
        assert vpc is not None
        default = groups.resolve(tx, vpc.id)
        assert len(default) == 1
        assert groups.resolve(tx, vpc.id, [web], ["default", "WEB"]) == [web, *default]
        for code, given_ids, names in [
            ("InvalidGroup.NotFound", ["sg-0123456789abcdef0"], []),
            ("InvalidGroup.NotFound", [theirs], []),
            ("InvalidGroup.NotFound", [], ["nobody"]),
            ("InvalidGroupId.Malformed", ["web"], []),
        ]:
            with pytest.raises(AwsError) as refusal:
                groups.resolve(tx, vpc.id, given_ids, names)
            assert refusal.value.code == code
        with pytest.raises(AwsError) as refusal:
            groups.resolve(tx, "vpc-0123456789abcdef0", [web], subnet_id="subnet-0123456789abcdef0")
        assert refusal.value.code == "InvalidParameter"
        assert "belong to different networks" in refusal.value.message
        with pytest.raises(AwsError) as refusal:
            groups.resolve(tx, "vpc-0123456789abcdef0", [], ["web"])
        assert refusal.value.code == "InvalidParameterCombination"

        first = places.subnet_for(tx, cloud.settings)
        assert first.zone == "local-1a"
        assert places.subnet_for(tx, cloud.settings, zone="local-1c").zone == "local-1c"
        assert places.subnet_for(tx, cloud.settings, subnet_id=first.id, zone="local-1a") == first
        for code, subnet_id, zone in [
            ("InvalidSubnetID.NotFound", "subnet-0123456789abcdef0", None),
            ("InvalidSubnetID.NotFound", their_subnet, None),
            ("InvalidSubnetID.Malformed", "subnet", None),
            ("InvalidParameterValue", first.id, "local-1b"),
            ("InvalidParameterValue", None, "mars-1a"),
        ]:
            with pytest.raises(AwsError) as refusal:
                places.subnet_for(tx, cloud.settings, subnet_id, zone)
            assert refusal.value.code == code


def test_an_interface_bears_at_most_five_groups(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    six = [ec2.create_security_group(GroupName=f"g{n}", Description="x")["GroupId"] for n in range(6)]
    (one,) = made(sqlite_cloud)
    ec2.modify_network_interface_attribute(NetworkInterfaceId=one.id, Groups=six[:5])
    with refused("SecurityGroupsPerInterfaceLimitExceeded"):
        ec2.modify_network_interface_attribute(NetworkInterfaceId=one.id, Groups=six)


# -------------------------------------------------------------------------------------------------------------- attributes


def test_attributes_are_described_and_modified(cloud: TestCloud) -> None:
    ec2, other = cloud.client("ec2"), cloud.account().client("ec2")
    (id,) = launch(cloud)
    shown = interface(ec2, id)
    eni, attachment = shown["NetworkInterfaceId"], shown["Attachment"]["AttachmentId"]
    web = ec2.create_security_group(GroupName="web", Description="x")["GroupId"]

    def attribute(name: str) -> dict[str, Any]:
        return ec2.describe_network_interface_attribute(NetworkInterfaceId=eni, Attribute=name)

    modify = ec2.modify_network_interface_attribute
    modify(NetworkInterfaceId=eni, Description={"Value": "front"})
    assert attribute("description")["Description"] == {"Value": "front"}
    modify(NetworkInterfaceId=eni, SourceDestCheck={"Value": False})
    assert attribute("sourceDestCheck")["SourceDestCheck"] == {"Value": False}
    ec2.reset_network_interface_attribute(NetworkInterfaceId=eni, SourceDestCheck="true")
    assert attribute("sourceDestCheck")["SourceDestCheck"] == {"Value": True}
    modify(NetworkInterfaceId=eni, Groups=[web])
    assert attribute("groupSet")["Groups"] == [{"GroupId": web, "GroupName": "web"}]
    modify(NetworkInterfaceId=eni, Attachment={"AttachmentId": attachment, "DeleteOnTermination": False})
    assert attribute("attachment")["Attachment"]["DeleteOnTermination"] is False
    assert attribute("associatePublicIpAddress")["AssociatePublicIpAddress"] is True

    for code, asked in [
        ("InvalidParameterCombination", {"Description": {"Value": "x"}, "SourceDestCheck": {"Value": True}}),
        ("MissingParameter", {}),
        ("InvalidGroup.NotFound", {"Groups": ["sg-0123456789abcdef0"]}),
        ("InvalidParameterValue", {"Description": {"Value": "x" * 256}}),
        ("MissingParameter", {"Attachment": {"DeleteOnTermination": True}}),
        (
            "InvalidAttachmentID.NotFound",
            {"Attachment": {"AttachmentId": "eni-attach-0123456789abcdef0", "DeleteOnTermination": True}},
        ),
        ("UnsupportedOperation", {"EnaSrdSpecification": {"EnaSrdEnabled": True}}),
    ]:
        with refused(code):
            modify(NetworkInterfaceId=eni, **asked)
    for call in (
        lambda: other.modify_network_interface_attribute(NetworkInterfaceId=eni, Description={"Value": "x"}),
        lambda: other.describe_network_interface_attribute(NetworkInterfaceId=eni, Attribute="description"),
        lambda: other.describe_network_interfaces(NetworkInterfaceIds=[eni]),
    ):
        with refused("InvalidNetworkInterfaceID.NotFound"):
            call()
    with refused("MissingParameter"):
        ec2.describe_network_interface_attribute(NetworkInterfaceId=eni)

    ec2.terminate_instances(InstanceIds=[id])
    cloud.run(seconds=120)
    (kept,) = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert (kept["NetworkInterfaceId"], kept["Status"], kept["Description"]) == (eni, "available", "front")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("addresses.association.owner-id", "amazon", 1),
        ("addresses.association.public-ip", "198.51.100.*", 1),
        ("addresses.primary", "true", 2),
        ("addresses.private-ip-address", "172.31.0.77", 1),
        ("association.allocation-id", "*", 0),
        ("association.association-id", "*", 0),
        ("association.ip-owner-id", "amazon", 1),
        ("association.public-dns-name", "ec2-198-51-100-*", 1),
        ("association.public-ip", "198.*", 1),
        ("attachment.attach-time", "20*Z", 1),
        ("attachment.attachment-id", "eni-attach-*", 1),
        ("attachment.delete-on-termination", "true", 1),
        ("attachment.device-index", "0", 1),
        ("attachment.instance-id", "i-*", 1),
        ("attachment.instance-owner-id", "123456789012", 1),
        ("attachment.status", "attached", 1),
        ("availability-zone", "local-1a", 2),
        ("availability-zone-id", "local1-az1", 2),
        ("description", "front", 1),
        ("group-id", "sg-*", 2),
        ("interface-type", "interface", 2),
        ("ipv6-addresses.ipv6-address", "*", 0),
        ("mac-address", "??:??:??:??:??:??", 2),
        ("network-interface-id", "eni-*", 2),
        ("operator.managed", "false", 2),
        ("owner-id", "123456789012", 2),
        ("private-dns-name", "ip-172-31-0-77.*", 1),
        ("private-ip-address", "172.31.0.77", 1),
        ("requester-managed", "true", 0),
        ("source-dest-check", "true", 2),
        ("status", "available", 1),
        ("status", "in-use", 1),
        ("subnet-id", "subnet-*", 2),
        ("vpc-id", "vpc-*", 2),
        ("tag:a", "*", 0),
    ],
)
def test_filters(sqlite_cloud: TestCloud, name: str, value: str, expected: int) -> None:
    made(sqlite_cloud, instance_ids=["i-0123456789abcdef0"])
    made(sqlite_cloud, private_ips=["172.31.0.77"], description="front")
    describe = sqlite_cloud.client("ec2").describe_network_interfaces
    assert len(describe(Filters=[{"Name": name, "Values": [value]}])["NetworkInterfaces"]) == expected


def test_pages(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    known = made(sqlite_cloud, 12)
    pages = list(ec2.get_paginator("describe_network_interfaces").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["NetworkInterfaces"]) for page in pages] == [5, 5, 2]
    with refused("InvalidParameterCombination"):
        ec2.describe_network_interfaces(NetworkInterfaceIds=[known[0].id], MaxResults=5)
    with refused("InvalidNetworkInterfaceID.NotFound"):
        ec2.describe_network_interfaces(NetworkInterfaceIds=["eni-0123456789abcdef0"])
    with refused("InvalidNetworkInterfaceId.Malformed"):
        ec2.describe_network_interfaces(NetworkInterfaceIds=["eni-x"])


# ------------------------------------------------------------------------------------------------------------ what hosts get


def networks(cloud: TestCloud, node_id: str) -> dict[str, Any]:
    with cloud.database.reading() as tx:
        return {network.id: network for network in projection.networks(tx, node_id, cloud.settings)}


def generation(cloud: TestCloud, node_id: str) -> int:
    from mallee.nodes import records as nodes

    with cloud.database.reading() as tx:
        return nodes.generation(tx, node_id) or 0


HERE, THERE = "node-local-1a-0", "node-local-1b-0"


def test_a_host_gets_the_networks_of_its_instances_and_no_others(cloud: TestCloud) -> None:
    ec2, account = cloud.client("ec2"), cloud.account()
    other = account.client("ec2")
    assert networks(cloud, HERE) == {}
    named = ec2.create_security_group(GroupName="named", Description="x")["GroupId"]
    web = ec2.create_security_group(GroupName="web", Description="x")["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=web,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
            {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": named}]},
            {"IpProtocol": "tcp", "FromPort": 81, "ToPort": 81, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
        ],
    )
    zone = {"Placement": {"AvailabilityZone": "local-1a"}}
    (here,) = launch(cloud, SecurityGroupIds=[web], **zone)
    (there,) = launch(cloud, SecurityGroupIds=[named], Placement={"AvailabilityZone": "local-1b"})
    launch(cloud, ec2=other, **zone)
    mine, far = interface(ec2, here), interface(ec2, there)

    found = networks(cloud, HERE)
    assert len(found) == 2
    assert len({network.vni for network in found.values()}) == 2
    network = found[mine["VpcId"]]
    assert network.cidrs == ("172.31.0.0/16",)
    assert (network.dns, network.domain) == ("172.31.0.2", "local-1.compute.internal")
    assert {(subnet.cidr, subnet.gateway, subnet.internet) for subnet in network.subnets} == {
        ("172.31.0.0/20", "172.31.0.1", True),
        ("172.31.16.0/20", "172.31.16.1", True),
        ("172.31.32.0/20", "172.31.32.1", True),
    }
    (port,) = network.ports
    assert (port.id, port.guest_id, port.device_index) == (mine["NetworkInterfaceId"], here, 0)
    assert (port.mac, port.ip, port.subnet_id) == (mine["MacAddress"], mine["PrivateIpAddress"], mine["SubnetId"])
    assert (port.group_ids, port.public_ip) == ((web,), mine["Association"]["PublicIp"])
    assert port.private_hostname == mine["PrivateDnsName"]
    assert port.public_hostname == mine["Association"]["PublicDnsName"]

    by_id = {group.id: group for group in network.groups}
    assert set(by_id) == {web, named}
    assert by_id[web].members == (mine["PrivateIpAddress"],)
    assert by_id[named].members == (far["PrivateIpAddress"],)
    assert {(rule.protocol, rule.from_port, rule.cidr, rule.group_id) for rule in by_id[web].ingress} == {
        ("tcp", 22, "0.0.0.0/0", None),
        ("tcp", 80, None, named),
    }
    assert [rule.cidr for rule in by_id[web].egress] == ["0.0.0.0/0"]
    assert by_id[named].ingress == ()
    assert network.hosts[far["PrivateDnsName"]] == far["PrivateIpAddress"]
    assert network.hosts[far["Association"]["PublicDnsName"]] == far["PrivateIpAddress"]
    assert len(network.hosts) == 4


def test_every_change_reaches_the_hosts_of_the_vpc_and_no_others(cloud: TestCloud) -> None:
    ec2, account = cloud.client("ec2"), cloud.account()
    other = account.client("ec2")
    web = ec2.create_security_group(GroupName="web", Description="x")["GroupId"]
    (here,) = launch(cloud, SecurityGroupIds=[web], Placement={"AvailabilityZone": "local-1a"})
    launch(cloud, ec2=other, Placement={"AvailabilityZone": "local-1b"})
    eni = interface(ec2, here)["NetworkInterfaceId"]
    allocation = ec2.allocate_address()["AllocationId"]
    ssh = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    default = [each for each in ec2.describe_security_groups()["SecurityGroups"] if each["GroupName"] == "default"]
    for change in (
        lambda: ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=ssh),
        lambda: ec2.revoke_security_group_ingress(GroupId=web, IpPermissions=ssh),
        lambda: ec2.revoke_security_group_egress(GroupId=web, IpPermissions=everything),
        lambda: ec2.authorize_security_group_egress(GroupId=web, IpPermissions=ssh),
        lambda: ec2.associate_address(AllocationId=allocation, InstanceId=here),
        lambda: ec2.disassociate_address(PublicIp=ec2.describe_addresses()["Addresses"][0]["PublicIp"]),
        lambda: ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, SourceDestCheck={"Value": False}),
        lambda: ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, Groups=[default[0]["GroupId"]]),
    ):
        near, far = generation(cloud, HERE), generation(cloud, THERE)
        before = networks(cloud, HERE)
        change()
        assert networks(cloud, HERE) != before
        assert generation(cloud, HERE) > near
        assert generation(cloud, THERE) == far
