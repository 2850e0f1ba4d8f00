"""RunInstances through boto3: what is asked is what one gets, once, or a clear refusal."""

from __future__ import annotations

import base64

import pytest

from mallee.compute import projection
from tests.cloud.harness import refused

USER_DATA = "#!/bin/sh\necho hello\n"


@pytest.fixture
def ec2(cloud):
    return cloud.client("ec2")


def _run(cloud, account=None, **asked):
    ec2 = (account or cloud).client("ec2")
    asked = {"ImageId": cloud.image_id, "MinCount": 1, "MaxCount": 1} | asked
    return ec2.run_instances(**asked)


def _guests(cloud):
    """All guests of all nodes' documents."""
    with cloud.database.reading() as tx:
        documents = [projection.desired(tx, each.node_id, cloud.settings) for each in cloud.simulators]
    return {guest.id: guest for document in documents for guest in document.guests}


def test_a_launch_becomes_running(cloud, ec2):
    answer = _run(cloud, InstanceType="t3.micro")
    (instance,) = answer["Instances"]
    assert answer["ReservationId"].startswith("r-") and answer["OwnerId"] == cloud.admin.id
    assert instance["State"] == {"Code": 0, "Name": "pending"} and instance["StateReason"]["Code"] == "pending"
    assert instance["PrivateDnsName"] == "ip-{}.local-1.compute.internal".format(instance["PrivateIpAddress"].replace(".", "-"))
    cloud.run()
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance["InstanceId"]])
    ((shown,),) = [each["Instances"] for each in ec2.describe_instances()["Reservations"]]
    assert shown["State"]["Name"] == "running" and "StateReason" not in shown
    assert shown["InstanceType"] == "t3.micro" and shown["PublicIpAddress"] and shown["PublicDnsName"]
    assert shown["MetadataOptions"]["State"] == "applied"
    assert shown["BlockDeviceMappings"][0]["Ebs"]["VolumeId"].startswith("vol-")


def test_the_node_hears_of_it_with_the_commit(cloud):
    """Nothing stands between the answer and the first guest but the node: no job has to run before."""
    answer = _run(cloud)
    assert list(_guests(cloud)) == [answer["Instances"][0]["InstanceId"]]


def test_everything_asked_reaches_the_guest(cloud, ec2):
    key = ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    group = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    public = ec2.describe_key_pairs(KeyPairIds=[key["KeyPairId"]], IncludePublicKey=True)["KeyPairs"][0]["PublicKey"]
    answer = _run(
        cloud,
        InstanceType="t3.small",
        KeyName="mine",
        UserData=USER_DATA,
        SecurityGroupIds=[group],
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9}}],
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "InstanceMetadataTags": "enabled"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}],
        PrivateIpAddress="172.31.0.77",
        Placement={"AvailabilityZone": "local-1a"},
    )
    (instance,) = answer["Instances"]
    assert instance["PrivateIpAddress"] == "172.31.0.77" and instance["KeyName"] == "mine"
    assert instance["SecurityGroups"] == [{"GroupId": group, "GroupName": "web"}]
    guest = _guests(cloud)[instance["InstanceId"]]
    assert (guest.vcpus, guest.memory_mib, guest.power) == (2, 2048, "on")
    assert guest.disks[0].size_gib == 9 and guest.boot.kernel is not None
    metadata = guest.metadata
    assert metadata.public_key == public and base64.b64decode(metadata.user_data).decode() == USER_DATA
    assert metadata.options.tokens_required and metadata.options.hop_limit == 2 and metadata.tags == {"Name": "web"}
    assert metadata.hostname == "ip-172-31-0-77.local-1.compute.internal" and metadata.security_groups == ("web",)


def test_many_at_once_share_a_reservation_and_a_zone(cloud, ec2):
    answer = _run(cloud, MinCount=5, MaxCount=5)
    assert [each["AmiLaunchIndex"] for each in answer["Instances"]] == list(range(5))
    assert len({each["PrivateIpAddress"] for each in answer["Instances"]}) == 5
    assert len({each["Placement"]["AvailabilityZone"] for each in answer["Instances"]}) == 1
    cloud.run()
    (reservation,) = ec2.describe_instances()["Reservations"]
    assert len(reservation["Instances"]) == 5
    assert {each["State"]["Name"] for each in reservation["Instances"]} == {"running"}


def test_a_zone_is_honoured_and_launches_spread_without_one(cloud):
    for zone in cloud.settings.zones:
        (instance,) = _run(cloud, Placement={"AvailabilityZone": zone})["Instances"]
        assert instance["Placement"]["AvailabilityZone"] == zone
    spread = {_run(cloud)["Instances"][0]["Placement"]["AvailabilityZone"] for _ in range(3)}
    assert len(spread) == 3


def test_a_token_makes_a_launch_once(cloud, ec2):
    first = _run(cloud, ClientToken="one", MinCount=2, MaxCount=2)
    again = _run(cloud, ClientToken="one", MinCount=2, MaxCount=2)
    assert again["ReservationId"] == first["ReservationId"]
    assert [i["InstanceId"] for i in again["Instances"]] == [i["InstanceId"] for i in first["Instances"]]
    assert again["Instances"][0]["ClientToken"] == "one"
    with refused("IdempotentParameterMismatch"):
        _run(cloud, ClientToken="one", MinCount=1, MaxCount=2)
    other = cloud.account()
    assert _run(cloud, other, ClientToken="one")["ReservationId"] != first["ReservationId"]
    ec2.terminate_instances(InstanceIds=[each["InstanceId"] for each in first["Instances"]])
    with refused("IdempotentInstanceTerminated"):
        _run(cloud, ClientToken="one", MinCount=2, MaxCount=2)


def test_tags_reach_instance_volume_and_interface(cloud, ec2):
    kinds = ("instance", "volume", "network-interface")
    answer = _run(
        cloud,
        MinCount=2,
        MaxCount=2,
        TagSpecifications=[{"ResourceType": kind, "Tags": [{"Key": "of", "Value": kind}]} for kind in kinds],
    )
    assert answer["Instances"][0]["Tags"] == [{"Key": "of", "Value": "instance"}]
    tags = ec2.describe_tags()["Tags"]
    assert sorted(tag["ResourceType"] for tag in tags) == sorted(kinds * 2)
    assert all(tag["Value"] == tag["ResourceType"] for tag in tags)


def test_a_primary_interface_can_be_specified(cloud, ec2):
    subnet = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["local-1b"]}])["Subnets"][0]
    (instance,) = _run(
        cloud,
        NetworkInterfaces=[
            {
                "DeviceIndex": 0,
                "SubnetId": subnet["SubnetId"],
                "AssociatePublicIpAddress": False,
                "Description": "the only one",
                "DeleteOnTermination": True,
            }
        ],
    )["Instances"]
    (interface,) = instance["NetworkInterfaces"]
    assert instance["SubnetId"] == subnet["SubnetId"] and instance["Placement"]["AvailabilityZone"] == "local-1b"
    assert interface["Description"] == "the only one" and "PublicIpAddress" not in instance


def test_capacity_bounds_a_launch(cloud, ec2):
    """Between MinCount and MaxCount as many as fit, or none at all."""
    with refused("InsufficientInstanceCapacity", 500) as message:
        _run(cloud, InstanceType="r5.24xlarge", MinCount=50, MaxCount=50)
    assert "r5.24xlarge" in message()
    assert ec2.describe_instances()["Reservations"] == [] and ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    launched = _run(cloud, InstanceType="r5.24xlarge", MinCount=1, MaxCount=50)["Instances"]
    assert 1 <= len(launched) < 50


def test_a_dry_run_changes_nothing(cloud, ec2):
    with refused("DryRunOperation", 412):
        _run(cloud, DryRun=True)
    assert ec2.describe_instances()["Reservations"] == []
    with refused("InvalidAMIID.NotFound"):
        _run(cloud, DryRun=True, ImageId="ami-0123456789abcdef0")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "nonsense"}, "InvalidAMIID.Malformed"),
        ({"InstanceType": "t9.vast"}, "InvalidParameterValue"),
        ({"KeyName": "none"}, "InvalidKeyPair.NotFound"),
        ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        ({"SecurityGroups": ["none"]}, "InvalidGroup.NotFound"),
        ({"Placement": {"AvailabilityZone": "local-1z"}}, "InvalidParameterValue"),
        ({"Placement": {"Tenancy": "dedicated"}}, "UnsupportedOperation"),
        ({"MinCount": 2}, "InvalidParameterCombination"),
        ({"PrivateIpAddress": "10.1.2.3"}, "InvalidParameterValue"),
        ({"KernelId": "aki-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"IamInstanceProfile": {"Name": "x"}}, "InvalidParameterValue"),
        ({"Monitoring": {"Enabled": True}}, "UnsupportedOperation"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}]}, "UnsupportedOperation"),
        ({"CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 1}}, "UnsupportedOperation"),
        ({"InstanceType": "t2.micro", "EbsOptimized": True}, "Unsupported"),
        ({"TagSpecifications": [{"ResourceType": "vpc", "Tags": [{"Key": "a", "Value": "b"}]}]}, "InvalidParameterValue"),
        ({"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "aws:a", "Value": "b"}]}]},
         "InvalidParameterValue"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_left(sqlite_cloud, asked, code):
    with refused(code):
        _run(sqlite_cloud, **asked)
    ec2 = sqlite_cloud.client("ec2")
    assert ec2.describe_instances()["Reservations"] == [] and ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    assert ec2.describe_tags()["Tags"] == []


def test_a_taken_address_is_refused(sqlite_cloud):
    asked = {"PrivateIpAddress": "172.31.0.99", "Placement": {"AvailabilityZone": "local-1a"}}
    _run(sqlite_cloud, **asked)
    with refused("InvalidIPAddress.InUse"):
        _run(sqlite_cloud, **asked)


def test_a_launch_that_the_node_cannot_make_ends_with_its_reason(sqlite_cloud):
    cloud = sqlite_cloud
    for simulator in cloud.simulators:
        simulator.troubles.arm("disk-full")
    (instance,) = _run(cloud)["Instances"]
    cloud.run()
    ec2 = cloud.client("ec2")
    (shown,) = ec2.describe_instances()["Reservations"][0]["Instances"]
    assert shown["State"]["Name"] == "terminated" and shown["InstanceId"] == instance["InstanceId"]
    assert shown["StateReason"]["Code"] == "Server.InternalError" and "no room" in shown["StateReason"]["Message"]
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
