"""DescribeInstanceAttribute, ModifyInstanceAttribute, ResetInstanceAttribute, ModifyInstanceMetadataOptions through boto3."""

from __future__ import annotations

import base64

import pytest

from mallee.compute import projection
from tests.cloud.harness import refused


@pytest.fixture
def ec2(cloud):
    return cloud.client("ec2")


@pytest.fixture
def id(cloud, ec2):
    answer = ec2.run_instances(ImageId=cloud.image_id, MinCount=1, MaxCount=1, InstanceType="t3.nano", UserData="first")
    cloud.run()
    return answer["Instances"][0]["InstanceId"]


def _guest(cloud, id):
    with cloud.database.reading() as tx:
        documents = [projection.desired(tx, each.node_id, cloud.settings) for each in cloud.simulators]
    return next(guest for document in documents for guest in document.guests if guest.id == id)


def _attribute(ec2, id, name):
    return ec2.describe_instance_attribute(InstanceId=id, Attribute=name)


def _stop(cloud, ec2, id):
    ec2.stop_instances(InstanceIds=[id])
    cloud.run()


def test_attributes_as_launched(cloud, ec2, id):
    shown = ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"][0]
    assert _attribute(ec2, id, "instanceType")["InstanceType"] == {"Value": "t3.nano"}
    assert base64.b64decode(_attribute(ec2, id, "userData")["UserData"]["Value"]) == b"first"
    assert _attribute(ec2, id, "kernel")["KernelId"] == {"Value": shown["KernelId"]}
    assert _attribute(ec2, id, "disableApiTermination")["DisableApiTermination"] == {"Value": False}
    assert _attribute(ec2, id, "disableApiStop")["DisableApiStop"] == {"Value": False}
    assert _attribute(ec2, id, "instanceInitiatedShutdownBehavior")["InstanceInitiatedShutdownBehavior"] == {"Value": "stop"}
    assert _attribute(ec2, id, "rootDeviceName")["RootDeviceName"] == {"Value": shown["RootDeviceName"]}
    assert _attribute(ec2, id, "blockDeviceMapping")["BlockDeviceMappings"] == shown["BlockDeviceMappings"]
    assert _attribute(ec2, id, "sourceDestCheck")["SourceDestCheck"] == {"Value": True}
    assert _attribute(ec2, id, "groupSet")["Groups"] == shown["SecurityGroups"]
    assert _attribute(ec2, id, "ebsOptimized")["EbsOptimized"] == {"Value": False}
    assert _attribute(ec2, id, "enaSupport")["EnaSupport"] == {"Value": True}
    with refused("InvalidParameterValue"):
        _attribute(ec2, id, "colour")


def test_another_type_needs_a_stopped_instance_and_room(cloud, ec2, id):
    with refused("IncorrectInstanceState") as message:
        ec2.modify_instance_attribute(InstanceId=id, InstanceType={"Value": "t3.large"})
    assert message() == f"The instance '{id}' is not in the 'stopped' state."
    _stop(cloud, ec2, id)
    with refused("InvalidInstanceAttributeValue"):
        ec2.modify_instance_attribute(InstanceId=id, InstanceType={"Value": "t9.vast"})
    zone = ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"][0]["Placement"]["AvailabilityZone"]
    full = {"InstanceType": "r5.4xlarge", "MinCount": 1, "MaxCount": 1000, "Placement": {"AvailabilityZone": zone}}
    ec2.run_instances(ImageId=cloud.image_id, **full)
    with refused("InsufficientInstanceCapacity"):
        ec2.modify_instance_attribute(InstanceId=id, InstanceType={"Value": "r5.24xlarge"})
    ec2.modify_instance_attribute(InstanceId=id, InstanceType={"Value": "t3.large"})
    ec2.start_instances(InstanceIds=[id])
    cloud.run()
    assert _guest(cloud, id).memory_mib == 8192
    shown = ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"][0]
    assert shown["State"]["Name"] == "running" and shown["InstanceType"] == "t3.large"


def test_user_data_of_a_stopped_instance(cloud, ec2, id):
    with refused("IncorrectInstanceState"):
        ec2.modify_instance_attribute(InstanceId=id, UserData={"Value": b"second"})
    _stop(cloud, ec2, id)
    ec2.modify_instance_attribute(InstanceId=id, UserData={"Value": b"second"})
    assert base64.b64decode(_attribute(ec2, id, "userData")["UserData"]["Value"]) == b"second"
    assert base64.b64decode(_guest(cloud, id).metadata.user_data) == b"second"
    with refused("InvalidParameterValue"):
        ec2.modify_instance_attribute(InstanceId=id, UserData={"Value": b"x" * 16385})


def test_groups_and_the_source_check(cloud, ec2, id):
    group = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    ec2.modify_instance_attribute(InstanceId=id, Groups=[group])
    assert _attribute(ec2, id, "groupSet")["Groups"] == [{"GroupId": group, "GroupName": "web"}]
    assert _guest(cloud, id).metadata.security_groups == ("web",)
    with refused("InvalidGroup.NotFound"):
        ec2.modify_instance_attribute(InstanceId=id, Groups=["sg-0123456789abcdef0"])
    ec2.modify_instance_attribute(InstanceId=id, SourceDestCheck={"Value": False})
    assert _attribute(ec2, id, "sourceDestCheck")["SourceDestCheck"] == {"Value": False}
    ec2.reset_instance_attribute(InstanceId=id, Attribute="sourceDestCheck")
    assert _attribute(ec2, id, "sourceDestCheck")["SourceDestCheck"] == {"Value": True}


def test_kernel_and_ramdisk(cloud, ec2, id):
    kernel = _attribute(ec2, id, "kernel")["KernelId"]["Value"]
    _stop(cloud, ec2, id)
    ec2.modify_instance_attribute(InstanceId=id, Kernel={"Value": kernel})
    with refused("InvalidAMIID.NotFound"):
        ec2.modify_instance_attribute(InstanceId=id, Ramdisk={"Value": "ari-0123456789abcdef0"})
    ec2.reset_instance_attribute(InstanceId=id, Attribute="kernel")
    assert _attribute(ec2, id, "kernel")["KernelId"]["Value"] == kernel


def test_the_root_volume_can_be_kept(cloud, ec2, id):
    device = _attribute(ec2, id, "rootDeviceName")["RootDeviceName"]["Value"]
    ec2.modify_instance_attribute(
        InstanceId=id, BlockDeviceMappings=[{"DeviceName": device, "Ebs": {"DeleteOnTermination": False}}]
    )
    (mapping,) = _attribute(ec2, id, "blockDeviceMapping")["BlockDeviceMappings"]
    assert mapping["Ebs"]["DeleteOnTermination"] is False
    assert _guest(cloud, id).disks[0].delete_on_termination is False
    with refused("InvalidInstanceAttributeValue") as message:
        ec2.modify_instance_attribute(
            InstanceId=id, BlockDeviceMappings=[{"DeviceName": "/dev/sdz", "Ebs": {"DeleteOnTermination": True}}]
        )
    assert message() == "No device is currently mapped at /dev/sdz"


def test_one_attribute_at_a_time(ec2, id):
    with refused("InvalidParameterCombination"):
        ec2.modify_instance_attribute(InstanceId=id, DisableApiStop={"Value": True}, DisableApiTermination={"Value": True})
    with refused("InvalidParameterCombination"):
        ec2.modify_instance_attribute(InstanceId=id)
    with refused("InvalidParameterValue"):
        ec2.modify_instance_attribute(InstanceId=id, Attribute="disableApiStop", Value="perhaps")
    with refused("InvalidParameterValue"):
        ec2.modify_instance_attribute(InstanceId=id, InstanceInitiatedShutdownBehavior={"Value": "sleep"})
    with refused("UnsupportedOperation"):
        ec2.modify_instance_attribute(InstanceId=id, EnaSupport={"Value": False})
    ec2.modify_instance_attribute(InstanceId=id, EnaSupport={"Value": True})
    ec2.modify_instance_attribute(InstanceId=id, Attribute="instanceInitiatedShutdownBehavior", Value="terminate")
    shown = _attribute(ec2, id, "instanceInitiatedShutdownBehavior")
    assert shown["InstanceInitiatedShutdownBehavior"] == {"Value": "terminate"}


def test_metadata_options_are_applied_by_the_node(cloud, ec2, id):
    def state():
        shown = ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"][0]
        return shown["MetadataOptions"]

    answer = ec2.modify_instance_metadata_options(InstanceId=id, HttpTokens="required", HttpPutResponseHopLimit=3)
    assert answer["InstanceMetadataOptions"]["State"] == "pending" and state()["State"] == "pending"
    cloud.run()
    assert state() == {
        "State": "applied",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 3,
        "HttpEndpoint": "enabled",
        "HttpProtocolIpv6": "disabled",
        "InstanceMetadataTags": "disabled",
    }
    options = _guest(cloud, id).metadata.options
    assert options.tokens_required and options.hop_limit == 3
    with refused("InvalidParameterValue"):
        ec2.modify_instance_metadata_options(InstanceId=id, HttpPutResponseHopLimit=65)


def test_tags_in_the_metadata_follow_the_tags(cloud, ec2, id):
    ec2.create_tags(Resources=[id], Tags=[{"Key": "a", "Value": "1"}])
    assert _guest(cloud, id).metadata.tags == {}
    ec2.modify_instance_metadata_options(InstanceId=id, InstanceMetadataTags="enabled")
    assert _guest(cloud, id).metadata.tags == {"a": "1"}
    revision = _guest(cloud, id).revision
    ec2.create_tags(Resources=[id], Tags=[{"Key": "a", "Value": "2"}])
    guest = _guest(cloud, id)
    assert guest.metadata.tags == {"a": "2"} and guest.revision > revision
    cloud.run()
    assert ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"][0]["State"]["Name"] == "running"


def test_a_terminated_instance_does_not_change(cloud, ec2, id):
    ec2.terminate_instances(InstanceIds=[id])
    cloud.run()
    with refused("IncorrectInstanceState"):
        ec2.modify_instance_attribute(InstanceId=id, DisableApiTermination={"Value": True})
    with refused("IncorrectInstanceState"):
        ec2.modify_instance_metadata_options(InstanceId=id, HttpTokens="required")
