"""DescribeInstanceTypes and DescribeInstanceTypeOfferings."""

from __future__ import annotations

from typing import Any

from mallee.compute import instance_types
from mallee.compute.answers import path
from mallee.ec2 import filters, paging
from mallee.ec2.access import checked
from mallee.identity.call import Call
from mallee.network import names
from mallee.wire.errors import AwsError

MAXIMUM_NAMED = 100


_TYPE_FILTERS = {
    "auto-recovery-supported": path("AutoRecoverySupported"),
    "bare-metal": path("BareMetal"),
    "burstable-performance-supported": path("BurstablePerformanceSupported"),
    "current-generation": path("CurrentGeneration"),
    "dedicated-hosts-supported": path("DedicatedHostsSupported"),
    "ebs-info.attachment-limit-type": path("EbsInfo", "AttachmentLimitType"),
    "ebs-info.maximum-ebs-attachments": path("EbsInfo", "MaximumEbsAttachments"),
    "ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps": path("EbsInfo", "EbsOptimizedInfo", "BaselineBandwidthInMbps"),
    "ebs-info.ebs-optimized-info.baseline-iops": path("EbsInfo", "EbsOptimizedInfo", "BaselineIops"),
    "ebs-info.ebs-optimized-info.baseline-throughput-in-mbps": path("EbsInfo", "EbsOptimizedInfo", "BaselineThroughputInMBps"),
    "ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps": path("EbsInfo", "EbsOptimizedInfo", "MaximumBandwidthInMbps"),
    "ebs-info.ebs-optimized-info.maximum-iops": path("EbsInfo", "EbsOptimizedInfo", "MaximumIops"),
    "ebs-info.ebs-optimized-info.maximum-throughput-in-mbps": path("EbsInfo", "EbsOptimizedInfo", "MaximumThroughputInMBps"),
    "ebs-info.ebs-optimized-support": path("EbsInfo", "EbsOptimizedSupport"),
    "ebs-info.encryption-support": path("EbsInfo", "EncryptionSupport"),
    "ebs-info.nvme-support": path("EbsInfo", "NvmeSupport"),
    "free-tier-eligible": path("FreeTierEligible"),
    "hibernation-supported": path("HibernationSupported"),
    "hypervisor": path("Hypervisor"),
    "instance-storage-info.disk.count": path("InstanceStorageInfo", "Disks", "Count"),
    "instance-storage-info.disk.size-in-gb": path("InstanceStorageInfo", "Disks", "SizeInGB"),
    "instance-storage-info.disk.type": path("InstanceStorageInfo", "Disks", "Type"),
    "instance-storage-info.encryption-support": path("InstanceStorageInfo", "EncryptionSupport"),
    "instance-storage-info.nvme-support": path("InstanceStorageInfo", "NvmeSupport"),
    "instance-storage-info.total-size-in-gb": path("InstanceStorageInfo", "TotalSizeInGB"),
    "instance-storage-supported": path("InstanceStorageSupported"),
    "instance-type": path("InstanceType"),
    "memory-info.size-in-mib": path("MemoryInfo", "SizeInMiB"),
    "network-info.bandwidth-weightings": path("NetworkInfo", "BandwidthWeightings"),
    "network-info.efa-info.maximum-efa-interfaces": path("NetworkInfo", "EfaInfo", "MaximumEfaInterfaces"),
    "network-info.efa-supported": path("NetworkInfo", "EfaSupported"),
    "network-info.ena-support": path("NetworkInfo", "EnaSupport"),
    "network-info.flexible-ena-queues-support": path("NetworkInfo", "FlexibleEnaQueuesSupport"),
    "network-info.encryption-in-transit-supported": path("NetworkInfo", "EncryptionInTransitSupported"),
    "network-info.ipv4-addresses-per-interface": path("NetworkInfo", "Ipv4AddressesPerInterface"),
    "network-info.ipv6-addresses-per-interface": path("NetworkInfo", "Ipv6AddressesPerInterface"),
    "network-info.ipv6-supported": path("NetworkInfo", "Ipv6Supported"),
    "network-info.maximum-network-cards": path("NetworkInfo", "MaximumNetworkCards"),
    "network-info.maximum-network-interfaces": path("NetworkInfo", "MaximumNetworkInterfaces"),
    "network-info.network-performance": path("NetworkInfo", "NetworkPerformance"),
    "nitro-enclaves-support": path("NitroEnclavesSupport"),
    "nitro-tpm-support": path("NitroTpmSupport"),
    "nitro-tpm-info.supported-versions": path("NitroTpmInfo", "SupportedVersions"),
    "processor-info.supported-architecture": path("ProcessorInfo", "SupportedArchitectures"),
    "processor-info.sustained-clock-speed-in-ghz": path("ProcessorInfo", "SustainedClockSpeedInGhz"),
    "processor-info.supported-features": path("ProcessorInfo", "SupportedFeatures"),
    "reboot-migration-support": path("RebootMigrationSupport"),
    "supported-boot-mode": path("SupportedBootModes"),
    "supported-root-device-type": path("SupportedRootDeviceTypes"),
    "supported-usage-class": path("SupportedUsageClasses"),
    "supported-virtualization-type": path("SupportedVirtualizationTypes"),
    "vcpu-info.default-cores": path("VCpuInfo", "DefaultCores"),
    "vcpu-info.default-threads-per-core": path("VCpuInfo", "DefaultThreadsPerCore"),
    "vcpu-info.default-vcpus": path("VCpuInfo", "DefaultVCpus"),
    "vcpu-info.valid-cores": path("VCpuInfo", "ValidCores"),
    "vcpu-info.valid-threads-per-core": path("VCpuInfo", "ValidThreadsPerCore"),
}

_OFFERING_FILTERS = {"instance-type": path("InstanceType"), "location": path("Location")}


def describe_instance_types(call: Call) -> dict[str, Any]:
    named = list(dict.fromkeys(call.input.get("InstanceTypes") or ()))
    known = instance_types.descriptions()
    if named:
        if call.input.get("MaxResults") is not None:
            raise AwsError(
                "InvalidParameterCombination",
                "The parameter MaxResults cannot be used with the parameter InstanceTypes",
            )
        if len(named) > MAXIMUM_NAMED:
            raise AwsError("InvalidParameterValue", f"The number of instance types exceeds the maximum of {MAXIMUM_NAMED}")
        missing = [name for name in named if name not in known]
        if missing:
            raise AwsError("InvalidInstanceType", f"The following supplied instance types do not exist: [{', '.join(missing)}]")
    found = [known[name] for name in named] if named else list(known.values())
    found = filters.apply(call.input.get("Filters"), _TYPE_FILTERS, found)
    found, token = paging.page(call, found, key=path("InstanceType"), default=100, maximum=100)
    return {"InstanceTypes": found, "NextToken": token}


def describe_instance_type_offerings(call: Call) -> dict[str, Any]:
    """Every type is offered in every zone: a zone has the nodes that it has, and capacity is a matter of the moment."""
    kind = call.input.get("LocationType") or "region"
    if kind == "region":
        locations = [call.region]
    elif kind == "availability-zone":
        locations = list(call.settings.zones)
    elif kind == "availability-zone-id":
        locations = [names.zone_id(call.region, zone) for zone in call.settings.zones]
    elif kind == "outpost":
        locations = []
    else:
        raise AwsError("InvalidParameterValue", f"The location type '{kind[:64]}' is not valid.")
    found = [
        {"InstanceType": name, "LocationType": kind, "Location": location}
        for location in locations
        for name in instance_types.names()
    ]
    found = filters.apply(call.input.get("Filters"), _OFFERING_FILTERS, found)
    found, token = paging.page(call, found, key=lambda each: (each["Location"], each["InstanceType"]))
    return {"InstanceTypeOfferings": found, "NextToken": token}


ACCESS = {"describe_instance_types": checked(), "describe_instance_type_offerings": checked()}
