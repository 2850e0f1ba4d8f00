"""Reading RunInstances: every parameter of the model is honoured, harmless, or refused by name; none is dropped in
silence."""

from __future__ import annotations

import inspect
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.compute import instance_types, launching, lookup
from mallee.compute.api import run
from mallee.wire import services
from mallee.wire.errors import AwsError

MINIMAL = {"MinCount": 1, "MaxCount": 1, "ImageId": "ami-0123456789abcdef0"}


def test_every_parameter_of_the_model_is_known():
    source = inspect.getsource(launching) + inspect.getsource(run) + inspect.getsource(lookup)
    known = {path.partition(".")[0] for path in launching._HARMLESS}
    shape = services.get("ec2").operation("RunInstances").input
    forgotten = [name for name in shape.members if name not in known and f'"{name}"' not in source and name not in ("DryRun",)]
    assert not forgotten


def test_every_member_of_a_network_interface_is_known():
    source = inspect.getsource(launching)
    shape = services.get("ec2").operation("RunInstances").input.members["NetworkInterfaces"].shape
    members = shape.member.shape.members if hasattr(shape.member, "shape") else shape.member.members
    assert not [name for name in members if f'"{name}"' not in source]


@given(st.sampled_from(sorted(launching._HARMLESS)), st.sampled_from([True, "odd", 7, ["x"], {"x": 1}]))
def test_what_cannot_be_honoured_is_refused_by_name(path, value):
    parent, _, member = path.rpartition(".")
    if value in launching._HARMLESS[path]:
        return
    asked = MINIMAL | ({parent: {member: value}} if parent else {member: value})
    with pytest.raises(AwsError) as refused:
        launching.read(asked)
    assert refused.value.code == "UnsupportedOperation" and path in refused.value.message


@pytest.mark.parametrize("path", sorted(launching._HARMLESS))
def test_what_asks_for_nothing_passes(path):
    parent, _, member = path.rpartition(".")
    for value in launching._HARMLESS[path]:
        launching.read(MINIMAL | ({parent: {member: value}} if parent else {member: value}))


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"ImageId": None}, "MissingParameter"),
        ({"MinCount": None}, "MissingParameter"),
        ({"MinCount": 2}, "InvalidParameterCombination"),
        ({"MaxCount": 5, "PrivateIpAddress": "172.31.0.5"}, "InvalidParameterCombination"),
        ({"InstanceInitiatedShutdownBehavior": "sleep"}, "InvalidParameterValue"),
        ({"UserData": "%%%"}, "InvalidUserData.Malformed"),
        ({"NetworkInterfaces": [{}]}, "MissingParameter"),
        ({"NetworkInterfaces": [{"DeviceIndex": 1}]}, "InvalidParameterCombination"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}, {"DeviceIndex": 1}]}, "UnsupportedOperation"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}], "SubnetId": "subnet-1"}, "InvalidParameterCombination"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}], "SecurityGroups": ["x"]}, "InvalidParameterCombination"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0, "NetworkInterfaceId": "eni-1"}]}, "UnsupportedOperation"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0, "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.1"}]}]},
         "UnsupportedOperation"),
    ],
)  # fmt: skip
def test_wrong_requests_get_awss_errors(more, code):
    with pytest.raises(AwsError) as refused:
        launching.read(MINIMAL | more)
    assert refused.value.code == code


def test_a_primary_interface_says_what_instance_level_parameters_say():
    flat = launching.read(MINIMAL | {"SubnetId": "subnet-1", "SecurityGroupIds": ["sg-1"], "PrivateIpAddress": "10.0.0.9"})
    specified = launching.read(
        MINIMAL
        | {
            "NetworkInterfaces": [
                {
                    "DeviceIndex": 0,
                    "SubnetId": "subnet-1",
                    "Groups": ["sg-1"],
                    "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": "10.0.0.9"}],
                }
            ]
        }
    )
    assert flat.interface == specified.interface


# ------------------------------------------------------------------------------------------------------------- types


def test_the_types_hold_together():
    catalogue = instance_types.catalogue()
    assert instance_types.DEFAULT in catalogue
    for name, kind in catalogue.items():
        shown = instance_types.descriptions()[name]
        assert kind.vcpus == kind.cores * kind.threads
        assert max(shown["VCpuInfo"]["ValidCores"]) == kind.cores
        assert shown["MemoryInfo"]["SizeInMiB"] == kind.memory_mib
        assert (
            shown["NetworkInfo"]["NetworkCards"][0]["BaselineBandwidthInGbps"]
            <= (shown["NetworkInfo"]["NetworkCards"][0]["PeakBandwidthInGbps"])
        )


@pytest.mark.parametrize("family", ["t2", "t3", "t3a", "m5", "c5", "r5"])
def test_sizes_grow(family):
    kinds = [kind for name, kind in instance_types.catalogue().items() if name.startswith(family + ".")]
    assert len(kinds) >= 7
    for smaller, larger in itertools.pairwise(kinds):
        assert smaller.vcpus <= larger.vcpus and smaller.memory_mib < larger.memory_mib


@pytest.mark.parametrize(
    ("name", "vcpus", "memory_mib"),
    [
        ("t2.nano", 1, 512), ("t2.2xlarge", 8, 32768), ("t3.nano", 2, 512), ("t3a.xlarge", 4, 16384),
        ("m5.large", 2, 8192), ("m5.24xlarge", 96, 393216), ("c5.9xlarge", 36, 73728), ("r5.16xlarge", 64, 524288),
    ],
)  # fmt: skip
def test_sizes_are_awss(name, vcpus, memory_mib):
    kind = instance_types.find(name)
    assert (kind.vcpus, kind.memory_mib) == (vcpus, memory_mib)
