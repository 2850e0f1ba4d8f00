"""Instance types and offerings through boto3."""

from __future__ import annotations

import pytest

from mallee.compute import instance_types
from tests.cloud.harness import refused


@pytest.fixture
def ec2(sqlite_cloud):
    return sqlite_cloud.client("ec2")


def test_a_type_is_described_in_full(ec2):
    (shown,) = ec2.describe_instance_types(InstanceTypes=["t3.nano"])["InstanceTypes"]
    assert shown["VCpuInfo"]["DefaultVCpus"] == 2 and shown["MemoryInfo"]["SizeInMiB"] == 512
    assert shown["NetworkInfo"]["NetworkPerformance"] == "Up to 5 Gigabit"
    assert shown["EbsInfo"]["EbsOptimizedInfo"]["MaximumIops"] == 11800
    assert shown["ProcessorInfo"]["SupportedArchitectures"] == ["x86_64"]


def test_all_types_come_in_pages(ec2):
    pages = list(ec2.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 10}))
    found = [each["InstanceType"] for page in pages for each in page["InstanceTypes"]]
    assert len(pages) == 5 and sorted(found) == sorted(instance_types.names())


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [
        ("instance-type", "t3.*", 7),
        ("vcpu-info.default-vcpus", "96", 3),
        ("memory-info.size-in-mib", "512", 3),
        ("burstable-performance-supported", "true", 21),
        ("free-tier-eligible", "true", 2),
        ("bare-metal", "true", 0),
        ("hypervisor", "xen", 7),
        ("supported-usage-class", "on-demand", 45),
        ("vcpu-info.valid-threads-per-core", "1", 45),
        ("network-info.ena-support", "unsupported", 7),
        ("instance-storage-info.disk.type", "ssd", 0),
        ("nitro-tpm-info.supported-versions", "2.0", 0),
    ],
)
def test_type_filters(ec2, name, value, count):
    found = ec2.describe_instance_types(Filters=[{"Name": name, "Values": [value]}])["InstanceTypes"]
    assert len(found) == count


def test_offerings(ec2):
    def offered(**asked):
        pages = ec2.get_paginator("describe_instance_type_offerings").paginate(**asked)
        return [(each["InstanceType"], each["Location"]) for page in pages for each in page["InstanceTypeOfferings"]]

    assert len(offered()) == 45 and {location for _, location in offered()} == {"local-1"}
    nano = [{"Name": "instance-type", "Values": ["t3.nano"]}]
    zones = {"local-1a", "local-1b", "local-1c"}
    assert {location for _, location in offered(LocationType="availability-zone", Filters=nano)} == zones
    assert len(offered(LocationType="availability-zone-id", Filters=nano)) == 3
    assert offered(LocationType="availability-zone", Filters=[{"Name": "location", "Values": ["local-1z"]}]) == []


def test_what_is_wrong_is_said(ec2):
    with refused("InvalidInstanceType") as message:
        ec2.describe_instance_types(InstanceTypes=["t3.nano", "t9.vast"])
    assert message() == "The following supplied instance types do not exist: [t9.vast]"
    with refused("InvalidParameterCombination"):
        ec2.describe_instance_types(InstanceTypes=["t3.nano"], MaxResults=5)
    with refused("InvalidParameterValue"):
        ec2.describe_instance_types(Filters=[{"Name": "colour", "Values": ["red"]}])
