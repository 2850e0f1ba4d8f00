"""Reading a RunInstances request: what is asked, in one flat record, or the reason why it can't be had.

No database here. A parameter of EC2 that this cloud can't honour is refused by name; one whose value asks for
nothing (``false``, an empty list, the only behaviour that there is) passes, because tools send such values as a
matter of course. The tables below are the complete list: what stands in none of them is honoured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mallee.compute import rules
from mallee.wire.errors import AwsError

MAXIMUM_COUNT = 1000  # instances of one call

# Parameters (dotted: members of a structure) with the values that ask for nothing beyond what there is.
_HARMLESS: dict[str, tuple[Any, ...]] = {
    "AdditionalInfo": ("",),
    "CapacityReservationSpecification.CapacityReservationPreference": ("open", "none"),
    "CapacityReservationSpecification.CapacityReservationTarget": (),
    "CpuOptions.AmdSevSnp": ("disabled",),
    "CpuOptions.NestedVirtualization": ("disabled",),
    "CreditSpecification.CpuCredits": ("unlimited",),
    "ElasticGpuSpecification": ([],),
    "ElasticInferenceAccelerators": ([],),
    "EnablePrimaryIpv6": (False,),
    "EnclaveOptions.Enabled": (False,),
    "HibernationOptions.Configured": (False,),
    "InstanceMarketOptions.MarketType": ("on-demand",),
    "InstanceMarketOptions.SpotOptions": (),
    "Ipv6AddressCount": (0,),
    "Ipv6Addresses": ([],),
    "LaunchTemplate": ({},),
    "LicenseSpecifications": ([],),
    "MaintenanceOptions.AutoRecovery": ("default",),
    "Monitoring.Enabled": (False,),
    "Monitoring.MetricCategoryIds": ([],),
    "NetworkPerformanceOptions.BandwidthWeighting": ("default",),
    "Operator": ({},),
    "Placement.Affinity": ("default",),
    "Placement.GroupId": ("",),
    "Placement.GroupName": ("",),
    "Placement.HostId": ("",),
    "Placement.HostResourceGroupArn": ("",),
    "Placement.PartitionNumber": (0,),
    "Placement.SpreadDomain": ("",),
    "Placement.Tenancy": ("default",),
    "PrivateDnsNameOptions.EnableResourceNameDnsAAAARecord": (False,),
    "PrivateDnsNameOptions.EnableResourceNameDnsARecord": (False,),
    "PrivateDnsNameOptions.HostnameType": ("ip-name",),
    "SecondaryInterfaces": ([],),
}
_HARMLESS_OF_INTERFACE: dict[str, tuple[Any, ...]] = {
    "AssociateCarrierIpAddress": (False,),
    "ConnectionTrackingSpecification": ({},),
    "EnaQueueCount": (),
    "EnaSrdSpecification": ({},),
    "InterfaceType": ("interface",),
    "Ipv4PrefixCount": (0,),
    "Ipv4Prefixes": ([],),
    "Ipv6AddressCount": (0,),
    "Ipv6Addresses": ([],),
    "Ipv6PrefixCount": (0,),
    "Ipv6Prefixes": ([],),
    "NetworkCardIndex": (0,),
    "NetworkInterfaceId": ("",),
    "PrimaryIpv6": (False,),
    "SecondaryPrivateIpAddressCount": (0,),
}


@dataclass(frozen=True, slots=True)
class Interface:
    """The primary interface: what is asked of it; None leaves the choice to the network."""

    subnet_id: str | None = None
    group_ids: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()
    private_ip: str | None = None
    public: bool | None = None
    description: str = ""
    delete_on_termination: bool = True


@dataclass(frozen=True, slots=True)
class Request:
    """A launch as asked, checked as far as that goes without looking anything up."""

    minimum: int
    maximum: int
    image_id: str
    instance_type: str | None
    kernel_id: str | None
    ramdisk_id: str | None
    key_name: str | None
    user_data: str | None
    zone: str | None
    zone_id: str | None
    interface: Interface
    mappings: tuple[Mapping[str, Any], ...]
    cores: int | None
    threads: int | None
    shutdown_behavior: str
    termination_protected: bool
    stop_protected: bool
    ebs_optimized: bool | None
    metadata: rules.MetadataOptions
    profile: rules.ProfileNamed | None
    client_token: str


def read(given: Mapping[str, Any]) -> Request:
    minimum, maximum = rules.counts(given.get("MinCount"), given.get("MaxCount"), MAXIMUM_COUNT)
    _refuse(given, _HARMLESS, "")
    image_id = given.get("ImageId")
    if not image_id:
        raise AwsError("MissingParameter", "The request must contain the parameter ImageId")
    behavior = given.get("InstanceInitiatedShutdownBehavior") or "stop"
    if behavior not in ("stop", "terminate"):
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({behavior[:64]}) for parameter instanceInitiatedShutdownBehavior is invalid. It must be stop or terminate.",
        )
    placement, processors = given.get("Placement") or {}, given.get("CpuOptions") or {}
    interface = _interface(given)
    if interface.private_ip and maximum > 1:
        raise AwsError(
            "InvalidParameterCombination", "A private IP address can be given to one instance only: MaxCount must be 1."
        )
    return Request(
        minimum=minimum,
        maximum=maximum,
        image_id=image_id,
        instance_type=given.get("InstanceType") or None,
        kernel_id=given.get("KernelId") or None,
        ramdisk_id=given.get("RamdiskId") or None,
        key_name=given.get("KeyName") or None,
        user_data=rules.user_data(given.get("UserData")),
        zone=placement.get("AvailabilityZone") or None,
        zone_id=placement.get("AvailabilityZoneId") or None,
        interface=interface,
        mappings=tuple(given.get("BlockDeviceMappings") or ()),
        cores=processors.get("CoreCount"),
        threads=processors.get("ThreadsPerCore"),
        shutdown_behavior=behavior,
        termination_protected=bool(given.get("DisableApiTermination")),
        stop_protected=bool(given.get("DisableApiStop")),
        ebs_optimized=given.get("EbsOptimized"),
        metadata=rules.metadata_options(given.get("MetadataOptions")),
        profile=rules.profile_named(given.get("IamInstanceProfile")),
        client_token=given.get("ClientToken") or "",
    )


def _refuse(given: Mapping[str, Any], harmless: Mapping[str, Sequence[Any]], where: str) -> None:
    for path, allowed in harmless.items():
        parent, _, member = path.rpartition(".")
        value = ((given.get(parent) or {}) if parent else given).get(member)
        if value is not None and value not in allowed:
            raise AwsError("UnsupportedOperation", _refusal(where + path, value, allowed))


def _refusal(path: str, value: Any, allowed: Sequence[Any]) -> str:
    named = [each for each in allowed if isinstance(each, str) and each]
    if named and isinstance(value, str):
        return f"The value '{value[:64]}' of the parameter {path} is not supported here. Supported: {', '.join(named)}."
    return f"The parameter {path} is not supported here."


def _interface(given: Mapping[str, Any]) -> Interface:
    specifications = given.get("NetworkInterfaces") or ()
    if not specifications:
        return Interface(
            subnet_id=given.get("SubnetId") or None,
            group_ids=tuple(dict.fromkeys(given.get("SecurityGroupIds") or ())),
            group_names=tuple(dict.fromkeys(given.get("SecurityGroups") or ())),
            private_ip=given.get("PrivateIpAddress") or None,
        )
    for member, name in (
        ("SubnetId", "subnet ID"),
        ("SecurityGroupIds", "security groups"),
        ("SecurityGroups", "security groups"),
        ("PrivateIpAddress", "private IP address"),
    ):
        if given.get(member):
            raise AwsError(
                "InvalidParameterCombination",
                f"Network interfaces and an instance-level {name} may not be specified on the same request",
            )
    if len(specifications) > 1:
        raise AwsError("UnsupportedOperation", "More than one network interface at launch is not supported here.")
    return _specified(specifications[0])


def _specified(given: Mapping[str, Any]) -> Interface:
    index = given.get("DeviceIndex")
    if index is None:
        raise AwsError("MissingParameter", "Each network interface requires a device index.")
    if index != 0:
        raise AwsError("InvalidParameterCombination", "The primary network interface must have the device index 0.")
    _refuse(given, _HARMLESS_OF_INTERFACE, "NetworkInterfaces.")
    private_ip = given.get("PrivateIpAddress") or None
    for each in given.get("PrivateIpAddresses") or ():
        address = each.get("PrivateIpAddress")
        if not each.get("Primary"):
            raise AwsError("UnsupportedOperation", "Secondary private IP addresses are not supported here.")
        if private_ip is not None and address != private_ip:
            raise AwsError("InvalidParameterCombination", "Only one primary private IP address may be specified.")
        private_ip = address
    delete = given.get("DeleteOnTermination")
    return Interface(
        subnet_id=given.get("SubnetId") or None,
        group_ids=tuple(dict.fromkeys(given.get("Groups") or ())),
        private_ip=private_ip,
        public=given.get("AssociatePublicIpAddress"),
        description=given.get("Description") or "",
        delete_on_termination=True if delete is None else delete,
    )
