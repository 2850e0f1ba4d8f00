"""The instance types: AWS's names with AWS's own sizes, and what this cloud can really do with them.

``instance_types.json`` holds the numbers of a type (processors, memory, network and volume figures are AWS's) and
what is common to a family. The capabilities that depend on the cloud and not on the size (hibernation, dedicated
hosts, enclaves, IPv6, spot) are Mallee's own: a client that chooses a type by them must not be promised what no
node can do.

A type is immutable and the catalogue is read once per process. ``descriptions()`` are the ready answers of
DescribeInstanceTypes, shared between calls; nobody changes them.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

DEFAULT = "t3.nano"  # what RunInstances takes when the call names no type; the smallest that runs the starter image


@dataclass(frozen=True, slots=True)
class InstanceType:
    name: str
    vcpus: int
    cores: int
    threads: int
    memory_mib: int
    architectures: tuple[str, ...]
    hypervisor: str
    ena: bool
    ebs_optimized: str  # unsupported | default
    interfaces: int
    addresses: int
    boot_modes: tuple[str, ...]


@functools.cache
def _data() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(resources.files(__package__).joinpath("instance_types.json").read_text("utf-8"))
    return loaded


def _facts(name: str) -> dict[str, Any]:
    """The facts of one type laid over those of its family."""
    return {**_data()["families"][name.split(".")[0]], **_data()["types"][name]}


@functools.cache
def catalogue() -> dict[str, InstanceType]:
    found = {}
    for name in _data()["types"]:
        facts = _facts(name)
        found[name] = InstanceType(
            name=name,
            vcpus=facts["vcpus"],
            cores=facts["vcpus"] // facts["threads"],
            threads=facts["threads"],
            memory_mib=facts["memory_mib"],
            architectures=tuple(facts["architectures"]),
            hypervisor=facts["hypervisor"],
            ena=facts["ena"] != "unsupported",
            ebs_optimized=facts["ebs_optimized"],
            interfaces=facts["interfaces"],
            addresses=facts["addresses"],
            boot_modes=tuple(facts["boot_modes"]),
        )
    return found


def find(name: str) -> InstanceType | None:
    return catalogue().get(name)


def names() -> list[str]:
    return list(catalogue())


@functools.cache
def descriptions() -> dict[str, dict[str, Any]]:
    """``InstanceTypeInfo`` of every type, in the model's member names."""
    return {name: _describe(name, _facts(name)) for name in _data()["types"]}


def _describe(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "InstanceType": name,
        "CurrentGeneration": facts["current"],
        "FreeTierEligible": facts.get("free_tier", False),
        "SupportedUsageClasses": ["on-demand"],
        "SupportedRootDeviceTypes": ["ebs"],
        "SupportedVirtualizationTypes": ["hvm"],
        "BareMetal": False,
        "Hypervisor": facts["hypervisor"],
        "ProcessorInfo": {
            "SupportedArchitectures": facts["architectures"],
            "SustainedClockSpeedInGhz": facts["clock_ghz"],
            "Manufacturer": facts["manufacturer"],
        },
        "VCpuInfo": {
            "DefaultVCpus": facts["vcpus"],
            "DefaultCores": facts["vcpus"] // facts["threads"],
            "DefaultThreadsPerCore": facts["threads"],
            "ValidCores": facts["valid_cores"],
            "ValidThreadsPerCore": facts["valid_threads"],
        },
        "MemoryInfo": {"SizeInMiB": facts["memory_mib"]},
        "InstanceStorageSupported": False,
        "EbsInfo": _volumes(facts),
        "NetworkInfo": _network(facts),
        "PlacementGroupInfo": {"SupportedStrategies": facts["strategies"]},
        "HibernationSupported": False,
        "BurstablePerformanceSupported": facts["burstable"],
        "DedicatedHostsSupported": False,
        "AutoRecoverySupported": False,
        "SupportedBootModes": facts["boot_modes"],
        "NitroEnclavesSupport": "unsupported",
        "NitroTpmSupport": "unsupported",
        "PhcSupport": "unsupported",
        "RebootMigrationSupport": "unsupported",
    }


def _volumes(facts: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "EbsOptimizedSupport": facts["ebs_optimized"],
        "EncryptionSupport": "unsupported",
        "NvmeSupport": facts["nvme"],
    }
    if facts["ebs"]:
        baseline, baseline_iops, maximum, maximum_iops = facts["ebs"]
        described["EbsOptimizedInfo"] = {
            "BaselineBandwidthInMbps": baseline,
            "BaselineThroughputInMBps": baseline / 8,
            "BaselineIops": baseline_iops,
            "MaximumBandwidthInMbps": maximum,
            "MaximumThroughputInMBps": maximum / 8,
            "MaximumIops": maximum_iops,
        }
    return described


def _network(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "NetworkPerformance": facts["network"],
        "MaximumNetworkInterfaces": facts["interfaces"],
        "MaximumNetworkCards": 1,
        "DefaultNetworkCardIndex": 0,
        "NetworkCards": [
            {
                "NetworkCardIndex": 0,
                "NetworkPerformance": facts["network"],
                "MaximumNetworkInterfaces": facts["interfaces"],
                "BaselineBandwidthInGbps": facts["baseline_gbps"],
                "PeakBandwidthInGbps": facts["peak_gbps"],
            }
        ],
        "Ipv4AddressesPerInterface": facts["addresses"],
        "Ipv6AddressesPerInterface": 0,
        "Ipv6Supported": False,
        "EnaSupport": facts["ena"],
        "EfaSupported": False,
        "EncryptionInTransitSupported": False,
        "EnaSrdSupported": False,
    }
