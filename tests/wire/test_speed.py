"""Speed as ratios to botocore's own work on the same data in the same run; the limits leave room for a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.parsers import create_parser

from mallee import wire
from tests.wire import peer
from tests.wire.test_routing import form, signed

pytestmark = pytest.mark.performance


def best(work: Callable[[], Any], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def instance(number: int) -> dict[str, Any]:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    group = {"GroupName": "default", "GroupId": "sg-0123456789abcdef0"}
    return {
        "AmiLaunchIndex": 0, "ImageId": "ami-0123456789abcdef0", "InstanceId": f"i-{number:017x}", "InstanceType": "t3.nano",
        "KeyName": "key", "LaunchTime": now, "Monitoring": {"State": "disabled"}, "Architecture": "x86_64",
        "Placement": {"AvailabilityZone": "local-1a", "GroupName": "", "Tenancy": "default"}, "ClientToken": "token",
        "PrivateDnsName": "ip-10-0-0-1.ec2.internal", "PrivateIpAddress": "10.0.0.1", "PublicDnsName": "",
        "State": {"Code": 16, "Name": "running"}, "StateTransitionReason": "", "SubnetId": "subnet-0123456789abcdef0",
        "VpcId": "vpc-0123456789abcdef0", "EbsOptimized": False, "EnaSupport": True, "Hypervisor": "xen",
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/xvda", "Ebs": {"AttachTime": now, "DeleteOnTermination": True, "Status": "attached", "VolumeId": "vol-1"}}
        ],
        "NetworkInterfaces": [
            {
                "Attachment": {"AttachTime": now, "AttachmentId": "eni-attach-1", "DeviceIndex": 0, "Status": "attached"},
                "Description": "", "Groups": [group], "Ipv6Addresses": [], "MacAddress": "02:00:00:00:00:01",
                "NetworkInterfaceId": "eni-1", "OwnerId": "123456789012", "PrivateIpAddress": "10.0.0.1",
                "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": "10.0.0.1"}], "SourceDestCheck": True,
                "Status": "in-use", "SubnetId": "subnet-1", "VpcId": "vpc-1",
            }
        ],
        "RootDeviceName": "/dev/xvda", "RootDeviceType": "ebs", "SecurityGroups": [group], "SourceDestCheck": True,
        "Tags": [{"Key": "Name", "Value": "web"}], "VirtualizationType": "hvm", "ProductCodes": [],
        "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 2}, "HibernationOptions": {"Configured": False},
        "MetadataOptions": {"State": "applied", "HttpTokens": "optional", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"},
    }  # fmt: skip


def test_writing_a_thousand_instances() -> None:
    route = wire.route(form("Action=DescribeInstances&Version=2016-11-15"))
    output = {"Reservations": [{"ReservationId": f"r-{n}", "OwnerId": "1", "Instances": [instance(n)]} for n in range(1000)]}
    body = route.respond(output, "r")[2]
    ours = best(lambda: route.respond(output, "r"), 5)
    parser, shape = create_parser("ec2"), peer.model_of("ec2", "ec2").operation_model("DescribeInstances").output_shape
    theirs = best(lambda: parser.parse({"status_code": 200, "headers": {}, "body": body, "context": {}}, shape), 2)
    print(f"writing {len(body) / 1e6:.1f} MB: {ours * 1e3:.1f} ms; botocore reads it in {theirs * 1e3:.0f} ms")
    assert theirs / ours > 6


def test_reading() -> None:
    rules = [
        {"FromPort": 22, "ToPort": 22, "IpProtocol": "tcp", "IpRanges": [{"CidrIp": f"10.0.{n}.0/24", "Description": "x"}]}
        for n in range(200)
    ]
    launch = {
        "ImageId": "ami-1", "MinCount": 1, "MaxCount": 1, "InstanceType": "t3.nano", "UserData": "QUFB" * 700, "KeyName": "k",
        "SecurityGroupIds": ["sg-1"], "SubnetId": "subnet-1", "ClientToken": "token",
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8}}],
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}],
    }  # fmt: skip
    for name, params, limit in (
        ("RunInstances", launch, 1.3),
        ("AuthorizeSecurityGroupIngress", {"GroupId": "sg-1", "IpPermissions": rules}, 1.3),
    ):
        request = peer.request_of("ec2", "ec2", name, params)

        def read(body: bytes = request.body, headers: Any = request.headers) -> None:
            got = wire.Request("POST", b"/", b"", headers, body)
            wire.route(got).parse(got)

        read()
        ours = best(read, 200)
        theirs = best(lambda name=name, params=params: peer.request_of("ec2", "ec2", name, params), 20)  # type: ignore[misc]
        print(f"reading {name}, {len(request.body)} bytes: {ours * 1e6:.0f} us; botocore makes it in {theirs * 1e6:.0f} us")
        assert theirs / ours > limit


def test_a_small_call_costs_microseconds() -> None:
    request = form("Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-1", signed("ec2"))
    output = {"Reservations": [{"Instances": [instance(1)]}]}

    def call() -> None:
        got = wire.Request("POST", b"/", b"", request.headers, request.body)
        route = wire.route(got)
        route.parse(got)
        route.respond(output, "r")

    call()
    assert best(call, 500) < 0.001
