"""DescribeInstances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mallee.compute import descriptions, named
from mallee.compute.answers import path
from mallee.compute.descriptions import Described
from mallee.ec2 import filters, paging, tags
from mallee.ec2.access import checked
from mallee.identity.call import Call

Reader = Callable[[Described], Any]


def _answer(*members: str) -> Reader:
    read = path(*members)
    return lambda each: read(each.answer)


def _interface(*members: str) -> Reader:
    return _answer("NetworkInterfaces", *members)


def _held(name: str) -> Reader:
    """A fact of the interfaces that answers don't show."""
    return lambda each: [getattr(interface, name) for interface in each.interfaces]


def _absent(each: Described) -> Any:
    """What no instance here has: the filter is valid and matches nothing."""
    return None


_FILTERS: dict[str, Reader] = {
    "affinity": _absent,
    "architecture": _answer("Architecture"),
    "availability-zone": _answer("Placement", "AvailabilityZone"),
    "availability-zone-id": _answer("Placement", "AvailabilityZoneId"),
    "block-device-mapping.attach-time": _answer("BlockDeviceMappings", "Ebs", "AttachTime"),
    "block-device-mapping.delete-on-termination": _answer("BlockDeviceMappings", "Ebs", "DeleteOnTermination"),
    "block-device-mapping.device-name": _answer("BlockDeviceMappings", "DeviceName"),
    "block-device-mapping.status": _answer("BlockDeviceMappings", "Ebs", "Status"),
    "block-device-mapping.volume-id": _answer("BlockDeviceMappings", "Ebs", "VolumeId"),
    "boot-mode": _answer("CurrentInstanceBootMode"),
    "capacity-reservation-id": _absent,
    "capacity-reservation-specification.capacity-reservation-preference": _answer(
        "CapacityReservationSpecification", "CapacityReservationPreference"
    ),
    "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-id": _absent,
    "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-resource-group-arn": _absent,
    "client-token": _answer("ClientToken"),
    "current-instance-boot-mode": _answer("CurrentInstanceBootMode"),
    "dns-name": _answer("PublicDnsName"),
    "ebs-optimized": _answer("EbsOptimized"),
    "ena-support": _answer("EnaSupport"),
    "enclave-options.enabled": _answer("EnclaveOptions", "Enabled"),
    "hibernation-options.configured": _answer("HibernationOptions", "Configured"),
    "host-id": _absent,
    "hypervisor": _answer("Hypervisor"),
    "iam-instance-profile.arn": _answer("IamInstanceProfile", "Arn"),
    "iam-instance-profile.id": _answer("IamInstanceProfile", "Id"),
    "image-id": _answer("ImageId"),
    "instance-id": _answer("InstanceId"),
    "instance-lifecycle": _absent,
    "instance-state-code": _answer("State", "Code"),
    "instance-state-name": _answer("State", "Name"),
    "instance-type": _answer("InstanceType"),
    "instance.group-id": _answer("SecurityGroups", "GroupId"),
    "instance.group-name": _answer("SecurityGroups", "GroupName"),
    "ip-address": _answer("PublicIpAddress"),
    "ipv6-address": _absent,
    "kernel-id": _answer("KernelId"),
    "key-name": _answer("KeyName"),
    "launch-index": _answer("AmiLaunchIndex"),
    "launch-time": _answer("LaunchTime"),
    "maintenance-options.auto-recovery": _answer("MaintenanceOptions", "AutoRecovery"),
    "metadata-options.http-endpoint": _answer("MetadataOptions", "HttpEndpoint"),
    "metadata-options.http-protocol-ipv4": _answer("MetadataOptions", "HttpEndpoint"),
    "metadata-options.http-protocol-ipv6": _answer("MetadataOptions", "HttpProtocolIpv6"),
    "metadata-options.http-put-response-hop-limit": _answer("MetadataOptions", "HttpPutResponseHopLimit"),
    "metadata-options.http-tokens": _answer("MetadataOptions", "HttpTokens"),
    "metadata-options.instance-metadata-tags": _answer("MetadataOptions", "InstanceMetadataTags"),
    "metadata-options.state": _answer("MetadataOptions", "State"),
    "monitoring-state": _answer("Monitoring", "State"),
    "network-interface.addresses.association.allocation-id": _held("allocation_id"),
    "network-interface.addresses.association.association-id": _held("association_id"),
    "network-interface.addresses.association.carrier-ip": _absent,
    "network-interface.addresses.association.customer-owned-ip": _absent,
    "network-interface.addresses.association.ip-owner-id": _interface("PrivateIpAddresses", "Association", "IpOwnerId"),
    "network-interface.addresses.association.public-dns-name": _interface("PrivateIpAddresses", "Association", "PublicDnsName"),
    "network-interface.addresses.association.public-ip": _interface("PrivateIpAddresses", "Association", "PublicIp"),
    "network-interface.addresses.primary": _interface("PrivateIpAddresses", "Primary"),
    "network-interface.addresses.private-dns-name": _interface("PrivateIpAddresses", "PrivateDnsName"),
    "network-interface.addresses.private-ip-address": _interface("PrivateIpAddresses", "PrivateIpAddress"),
    "network-interface.association.allocation-id": _held("allocation_id"),
    "network-interface.association.association-id": _held("association_id"),
    "network-interface.association.carrier-ip": _absent,
    "network-interface.association.customer-owned-ip": _absent,
    "network-interface.association.ip-owner-id": _interface("Association", "IpOwnerId"),
    "network-interface.association.public-dns-name": _interface("Association", "PublicDnsName"),
    "network-interface.association.public-ip": _interface("Association", "PublicIp"),
    "network-interface.attachment.attach-time": _interface("Attachment", "AttachTime"),
    "network-interface.attachment.attachment-id": _interface("Attachment", "AttachmentId"),
    "network-interface.attachment.delete-on-termination": _interface("Attachment", "DeleteOnTermination"),
    "network-interface.attachment.device-index": _interface("Attachment", "DeviceIndex"),
    "network-interface.attachment.instance-id": _held("instance_id"),
    "network-interface.attachment.instance-owner-id": _held("account_id"),
    "network-interface.attachment.network-card-index": _interface("Attachment", "NetworkCardIndex"),
    "network-interface.attachment.status": _interface("Attachment", "Status"),
    "network-interface.availability-zone": _held("zone"),
    "network-interface.deny-all-igw-traffic": _absent,
    "network-interface.description": _interface("Description"),
    "network-interface.group-id": _interface("Groups", "GroupId"),
    "network-interface.group-name": _interface("Groups", "GroupName"),
    "network-interface.ipv4-prefixes.ipv4-prefix": _absent,
    "network-interface.ipv6-address": _absent,
    "network-interface.ipv6-addresses.ipv6-address": _absent,
    "network-interface.ipv6-addresses.is-primary-ipv6": _absent,
    "network-interface.ipv6-native": _absent,
    "network-interface.ipv6-prefixes.ipv6-prefix": _absent,
    "network-interface.mac-address": _interface("MacAddress"),
    "network-interface.network-interface-id": _interface("NetworkInterfaceId"),
    "network-interface.operator.managed": lambda each: [False] * len(each.interfaces),
    "network-interface.operator.principal": _absent,
    "network-interface.outpost-arn": _absent,
    "network-interface.owner-id": _interface("OwnerId"),
    "network-interface.private-dns-name": _interface("PrivateDnsName"),
    "network-interface.private-ip-address": _interface("PrivateIpAddress"),
    "network-interface.public-dns-name": _interface("Association", "PublicDnsName"),
    "network-interface.requester-id": _absent,
    "network-interface.requester-managed": lambda each: [False] * len(each.interfaces),
    "network-interface.source-dest-check": _interface("SourceDestCheck"),
    "network-interface.status": _interface("Status"),
    "network-interface.subnet-id": _interface("SubnetId"),
    "network-interface.vpc-id": _interface("VpcId"),
    "network-performance-options.bandwidth-weighting": _answer("NetworkPerformanceOptions", "BandwidthWeighting"),
    "operator.managed": _answer("Operator", "Managed"),
    "operator.principal": _absent,
    "outpost-arn": _absent,
    "owner-id": lambda each: each.owner_id,
    "placement-group-name": _absent,
    "placement-partition-number": _absent,
    "platform": _absent,
    "platform-details": _answer("PlatformDetails"),
    "private-dns-name": _answer("PrivateDnsName"),
    "private-dns-name-options.enable-resource-name-dns-a-record": _answer(
        "PrivateDnsNameOptions", "EnableResourceNameDnsARecord"
    ),
    "private-dns-name-options.enable-resource-name-dns-aaaa-record": _answer(
        "PrivateDnsNameOptions", "EnableResourceNameDnsAAAARecord"
    ),
    "private-dns-name-options.hostname-type": _answer("PrivateDnsNameOptions", "HostnameType"),
    "private-ip-address": _answer("PrivateIpAddress"),
    "product-code": _answer("ProductCodes", "ProductCodeId"),
    "product-code.type": _answer("ProductCodes", "ProductCodeType"),
    "ramdisk-id": _answer("RamdiskId"),
    "reason": _answer("StateTransitionReason"),
    "requester-id": _absent,
    "reservation-id": lambda each: each.reservation_id,
    "root-device-name": _answer("RootDeviceName"),
    "root-device-type": _answer("RootDeviceType"),
    "source-dest-check": _answer("SourceDestCheck"),
    "spot-instance-request-id": _absent,
    "state-reason-code": _answer("StateReason", "Code"),
    "state-reason-message": _answer("StateReason", "Message"),
    "subnet-id": _answer("SubnetId"),
    "tenancy": _answer("Placement", "Tenancy"),
    "tpm-support": _absent,
    "usage-operation": _answer("UsageOperation"),
    "usage-operation-update-time": _answer("UsageOperationUpdateTime"),
    "virtualization-type": _answer("VirtualizationType"),
    "vpc-id": _answer("VpcId"),
}


def describe_instances(call: Call) -> dict[str, Any]:
    paging.refuse_with_ids(call, "InstanceIds", "instancesSet")
    asked = named.ids(call)
    given = call.input.get("Filters")
    accepts = filters.compiled(given, _table(call, given), tags_of=_tags) if given else None
    found = descriptions.describe(call.tx, call.settings, asked)
    if asked is not None:
        named.require(asked, {each.answer["InstanceId"] for each in found})
    if accepts is not None:
        found = [each for each in found if accepts(each)]
    found, token = paging.page(call, found, key=_key)
    return {"Reservations": descriptions.reservations(found), "NextToken": token}


def _key(each: Described) -> tuple[int, str, int]:
    return each.key


def _tags(each: Described) -> tags.TagList:
    labels: tags.TagList = each.answer["Tags"]
    return labels


def _table(call: Call, given: Any) -> dict[str, Reader]:
    """The filters; those by the tags of interfaces only when they are asked, for they cost a statement."""
    if not any((each.get("Name") or "").startswith("network-interface.tag-") for each in given):
        return _FILTERS
    labels = tags.of_type(call.tx, "network-interface")

    def reader(member: str) -> Reader:
        return lambda each: [tag[member] for interface in each.interfaces for tag in labels.get(interface.id, ())]

    return _FILTERS | {"network-interface.tag-key": reader("Key"), "network-interface.tag-value": reader("Value")}


ACCESS = {"describe_instances": checked()}
