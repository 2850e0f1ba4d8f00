"""DescribeInstances through boto3: every filter, pages, ids."""

from __future__ import annotations

import re

from mallee.compute.api import instances as operations
from tests.cloud.harness import refused


def _launch(cloud, **asked):
    asked = {"ImageId": cloud.image_id, "MinCount": 1, "MaxCount": 1} | asked
    return cloud.client("ec2").run_instances(**asked)["Instances"]


def _ids(ec2, *filters, **asked):
    wanted = [{"Name": name, "Values": values if isinstance(values, list) else [values]} for name, values in filters]
    found = ec2.describe_instances(Filters=wanted, **asked)["Reservations"]
    return [each["InstanceId"] for reservation in found for each in reservation["Instances"]]


def test_every_filter_of_the_model_is_known():
    """The model's documentation is AWS's own list."""
    import html

    text = _text()
    listed = {
        html.unescape(re.sub("<[^>]+>", "", item)).split(" - ")[0].strip() for item in re.findall(r"<li>(.*?)</li>", text, re.S)
    }
    assert len(listed) > 100
    unknown = {name for name in listed if not name.startswith("tag")} - set(operations._FILTERS)
    assert unknown <= {"network-interface.tag-key", "network-interface.tag-value"}


def _text() -> str:
    from botocore.loaders import Loader

    model = Loader().load_service_model("ec2", "service-2")
    shape = model["operations"]["DescribeInstances"]["input"]["shape"]
    return model["shapes"][shape]["members"]["Filters"]["documentation"]


def test_each_filter_finds_the_instance_by_what_it_shows(sqlite_cloud):
    """One instance that has everything, one that differs in everything that can differ."""
    cloud = sqlite_cloud
    ec2 = cloud.client("ec2")
    ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    group = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    (one,) = _launch(
        cloud,
        InstanceType="t3.small",
        KeyName="mine",
        ClientToken="token-one",
        Placement={"AvailabilityZone": "local-1a"},
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 5, "InstanceMetadataTags": "enabled"},
        NetworkInterfaces=[{"DeviceIndex": 0, "Groups": [group], "Description": "the first"}],
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "one"}]},
            {"ResourceType": "network-interface", "Tags": [{"Key": "role", "Value": "front"}]},
        ],
    )
    cloud.clock.advance(5)
    address = ec2.allocate_address()
    cloud.run()
    ec2.associate_address(AllocationId=address["AllocationId"], InstanceId=one["InstanceId"])
    cloud.clock.advance(86400)
    (two,) = _launch(cloud, InstanceType="t2.micro", Placement={"AvailabilityZone": "local-1b"})
    id = one["InstanceId"]
    (shown,) = ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"]
    interface = shown["NetworkInterfaces"][0]
    launched = shown["LaunchTime"]
    expected = {
        "availability-zone": "local-1a",
        "availability-zone-id": shown["Placement"]["AvailabilityZoneId"],
        "block-device-mapping.attach-time": f"{launched:%Y-%m-%d}*",
        "block-device-mapping.volume-id": shown["BlockDeviceMappings"][0]["Ebs"]["VolumeId"],
        "client-token": "token-one",
        "dns-name": shown["PublicDnsName"],
        "instance-id": id,
        "instance-state-code": "16",
        "instance-state-name": "running",
        "instance-type": "t3.*",
        "instance.group-id": group,
        "instance.group-name": "web",
        "ip-address": address["PublicIp"],
        "key-name": "mine",
        "launch-time": f"{launched:%Y-%m-%d}*",
        "metadata-options.http-put-response-hop-limit": "5",
        "metadata-options.http-tokens": "required",
        "metadata-options.instance-metadata-tags": "enabled",
        "metadata-options.state": "applied",
        "network-interface.addresses.association.allocation-id": address["AllocationId"],
        "network-interface.addresses.association.public-ip": address["PublicIp"],
        "network-interface.addresses.private-ip-address": shown["PrivateIpAddress"],
        "network-interface.association.ip-owner-id": cloud.admin.id,
        "network-interface.attachment.attachment-id": interface["Attachment"]["AttachmentId"],
        "network-interface.attachment.instance-id": id,
        "network-interface.availability-zone": "local-1a",
        "network-interface.description": "the*",
        "network-interface.group-name": "web",
        "network-interface.mac-address": interface["MacAddress"],
        "network-interface.network-interface-id": interface["NetworkInterfaceId"],
        "network-interface.private-dns-name": shown["PrivateDnsName"],
        "network-interface.subnet-id": shown["SubnetId"],
        "network-interface.tag-key": "role",
        "network-interface.tag-value": "front",
        "private-dns-name": shown["PrivateDnsName"],
        "private-ip-address": shown["PrivateIpAddress"],
        "reservation-id": ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["ReservationId"],
        "subnet-id": shown["SubnetId"],
        "tag-key": "Name",
        "tag:Name": "o?e",
        "usage-operation-update-time": f"{launched:%Y-%m-%d}*",
    }
    for name, value in expected.items():
        assert _ids(ec2, (name, value)) == [id], name
    both = [id, two["InstanceId"]]
    common = {
        "architecture": "x86_64", "block-device-mapping.delete-on-termination": "true", "hypervisor": "xen",
        "block-device-mapping.device-name": "/dev/xvda", "block-device-mapping.status": "attached", "ebs-optimized": "false",
        "image-id": shown["ImageId"], "kernel-id": shown["KernelId"], "ramdisk-id": shown["RamdiskId"], "launch-index": "0",
        "monitoring-state": "disabled", "owner-id": cloud.admin.id, "root-device-name": "/dev/xvda", "tenancy": "default",
        "root-device-type": "ebs", "source-dest-check": "true", "virtualization-type": "hvm", "vpc-id": shown["VpcId"],
        "network-interface.attachment.device-index": "0", "network-interface.status": "in-use", "operator.managed": "false",
        "platform-details": "Linux/UNIX", "private-dns-name-options.hostname-type": "ip-name", "ena-support": "true",
        "hibernation-options.configured": "false", "enclave-options.enabled": "false", "usage-operation": "RunInstances",
        "maintenance-options.auto-recovery": "default", "current-instance-boot-mode": "legacy-bios",
    }  # fmt: skip
    for name, value in common.items():
        assert _ids(ec2, (name, value)) == both, name
    nothing = [name for name, read in operations._FILTERS.items() if read is operations._absent]
    for name in nothing:
        assert _ids(ec2, (name, "*")) == [], name


def test_filters_join_by_and_their_values_by_or(sqlite_cloud):
    cloud = sqlite_cloud
    ec2 = cloud.client("ec2")
    (small,), (nano,), (micro,) = (_launch(cloud, InstanceType=name) for name in ("t3.small", "t3.nano", "t2.micro"))
    small, nano, micro = (each["InstanceId"] for each in (small, nano, micro))
    assert sorted(_ids(ec2, ("instance-type", ["t3.small", "t2.micro"]))) == sorted([small, micro])
    assert _ids(ec2, ("instance-type", "t3.*"), ("instance-id", nano)) == [nano]
    assert _ids(ec2, ("instance-type", "t3.*"), ("instance-id", micro)) == []
    assert _ids(ec2, ("instance-type", "t3.*"), InstanceIds=[small, micro]) == [small]
    assert _ids(ec2, ("instance-type", "T3.*")) == []
    with refused("InvalidParameterValue") as message:
        _ids(ec2, ("colour", "red"))
    assert message() == "The filter 'colour' is invalid"
    with refused("FilterLimitExceeded"):
        _ids(ec2, ("instance-id", [f"i-{number:017x}" for number in range(201)]))


def test_pages_hold_every_instance_once(sqlite_cloud):
    cloud = sqlite_cloud
    ec2 = cloud.client("ec2")
    for _ in range(3):
        _launch(cloud, MinCount=7, MaxCount=7)
        cloud.clock.advance(1)
    everything = _ids(ec2)
    pages = list(ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    paged = [each["InstanceId"] for page in pages for r in page["Reservations"] for each in r["Instances"]]
    assert len(pages) == 5 and paged == everything and len(set(paged)) == 21


def test_pages_survive_what_comes_and_goes(sqlite_cloud):
    cloud = sqlite_cloud
    ec2 = cloud.client("ec2")
    before = [each["InstanceId"] for each in _launch(cloud, MinCount=12, MaxCount=12)]
    cloud.run()
    first = ec2.describe_instances(MaxResults=5)
    shown = {each["InstanceId"] for r in first["Reservations"] for each in r["Instances"]}
    cloud.clock.advance(1)
    _launch(cloud, MinCount=3, MaxCount=3)
    rest = ec2.describe_instances(MaxResults=100, NextToken=first["NextToken"])
    shown |= {each["InstanceId"] for r in rest["Reservations"] for each in r["Instances"]}
    assert set(before) <= shown and "NextToken" not in rest
    with refused("InvalidNextToken"):
        ec2.describe_instances(MaxResults=5, NextToken="nonsense")
    with refused("InvalidNextToken"):
        cloud.account().client("ec2").describe_instances(MaxResults=5, NextToken=first["NextToken"])


def test_what_cannot_be_combined_or_found(sqlite_cloud):
    ec2 = sqlite_cloud.client("ec2")
    (one,) = _launch(sqlite_cloud)
    with refused("InvalidParameterCombination"):
        ec2.describe_instances(InstanceIds=[one["InstanceId"]], MaxResults=5)
    for size in (4, 1001):
        with refused("InvalidParameterValue"):
            ec2.describe_instances(MaxResults=size)
    with refused("InvalidInstanceID.Malformed") as message:
        ec2.describe_instances(InstanceIds=["i-xyz"])
    assert message() == 'Invalid id: "i-xyz"'
    absent = ["i-0123456789abcdef0", "i-0123456789abcdef1"]
    with refused("InvalidInstanceID.NotFound") as message:
        ec2.describe_instances(InstanceIds=[one["InstanceId"], *absent])
    assert message() == f"The instance IDs '{absent[0]}, {absent[1]}' do not exist"
    with refused("DryRunOperation", 412):
        ec2.describe_instances(DryRun=True)
