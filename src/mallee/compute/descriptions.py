"""Instances as EC2 describes them, read with one statement per table however many they are.

The cost of describing a thousand instances decides how many users a cloud of one process bears, so this module is
written for it: rows are unpacked, not wrapped; what many instances have in common (their type's processors, their
zone, their metadata options) is one ``Constant`` that all of them share. Nobody may change an answer in place.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mallee.compute import instance_types, records, rules
from mallee.ec2 import tags
from mallee.network import interfaces, names
from mallee.network.records import Interface
from mallee.store import Tx
from mallee.wire import Constant

if TYPE_CHECKING:
    from mallee.settings import Settings

Answer = dict[str, Any]

_DISABLED = Constant(State="disabled")
_FIXED: Answer = {
    "CapacityReservationSpecification": Constant(CapacityReservationPreference="open"),
    "CurrentInstanceBootMode": "legacy-bios",
    "EnaSupport": True,
    "EnclaveOptions": Constant(Enabled=False),
    "HibernationOptions": Constant(Configured=False),
    "Hypervisor": "xen",
    "MaintenanceOptions": Constant(AutoRecovery="default"),
    "Monitoring": _DISABLED,
    "NetworkPerformanceOptions": Constant(BandwidthWeighting="default"),
    "Operator": Constant(Managed=False),
    "PlatformDetails": "Linux/UNIX",
    "PrivateDnsNameOptions": Constant(
        HostnameType="ip-name", EnableResourceNameDnsARecord=False, EnableResourceNameDnsAAAARecord=False
    ),
    "ProductCodes": [],
    "RootDeviceType": "ebs",
    "UsageOperation": "RunInstances",
    "VirtualizationType": "hvm",
}
_NOTHING: list[Any] = []


@dataclass(slots=True)
class Described:
    """An instance's answer with what filters ask beyond it."""

    answer: Answer
    reservation_id: str
    owner_id: str
    key: tuple[int, str, int]  # the order of answers: by launch
    interfaces: list[Interface]


def describe(tx: Tx, settings: Settings, ids: Sequence[str] | None = None) -> list[Described]:
    """Instances in the order of their launch: all of the account, or those of the ids that exist."""
    rows = records.rows(tx, ids)
    if not rows:
        return []
    wanted = ids if ids is None else [row.id for row in rows]
    view = interfaces.View(tx, settings, wanted)
    if wanted is None:
        labels = tags.of_type(tx, "instance")
    else:
        labels = tags.tags_of(tx, wanted, "instance")
    volumes: dict[str, list[Answer]] = {}
    for volume in records.volume_rows(tx, wanted):
        volumes.setdefault(volume.instance_id, []).append(mapping(volume))
    return [_describe(row, view, labels, volumes, settings.region) for row in rows]


def reservations(described: Iterable[Described]) -> list[Answer]:
    """Instances grouped by the launch that they came from, in their order."""
    found: dict[str, Answer] = {}
    for each in described:
        reservation = found.get(each.reservation_id)
        if reservation is None:
            reservation = found[each.reservation_id] = {
                "ReservationId": each.reservation_id,
                "OwnerId": each.owner_id,
                "Groups": _NOTHING,
                "Instances": [],
            }
        reservation["Instances"].append(each.answer)
    return list(found.values())


@functools.cache
def _processors(instance_type: str) -> Answer | None:
    found = instance_types.find(instance_type)
    return None if found is None else Constant(CoreCount=found.cores, ThreadsPerCore=found.threads)


@functools.lru_cache(256)
def _placement(region: str, zone: str) -> Answer:
    zone_id = names.zone_id(region, zone)
    return Constant(AvailabilityZone=zone, AvailabilityZoneId=zone_id, GroupName="", Tenancy="default")


@functools.lru_cache(256)
def metadata_options(tokens: str, hops: int, endpoint: str, instance_tags: str, applied: bool) -> Answer:
    """``InstanceMetadataOptionsResponse``."""
    return Constant(
        State="applied" if applied else "pending",
        HttpTokens=tokens,
        HttpPutResponseHopLimit=hops,
        HttpEndpoint=endpoint,
        HttpProtocolIpv6="disabled",
        InstanceMetadataTags=instance_tags,
    )


def mapping(volume: Any) -> Answer:
    return {
        "DeviceName": volume.device_name,
        "Ebs": {
            "AttachTime": volume.attached_at,
            "DeleteOnTermination": volume.delete_on_termination,
            "Status": "attached",
            "VolumeId": volume.id,
        },
    }


def _describe(
    row: Any,
    view: interfaces.View,
    labels: dict[str, tags.TagList],
    volumes: dict[str, list[Answer]],
    region: str,
) -> Described:
    # fmt: off
    (
        id, reservation_id, launch_index, image_id, kernel_id, ramdisk_id, architecture, root_device_name,
        instance_type, key_name, zone, vpc_id, subnet_id, client_token, created_at, launched_at, _terminated_at,
        state, _power, _force_off, _revision, _reboots, _has_run, reason_code, reason, transition_reason,
        _behavior, _termination_protected, _stop_protected, ebs_optimized,
        metadata_tokens, metadata_hops, metadata_endpoint, metadata_tags, metadata_applied,
        _association_id, profile_id, profile_arn, _profile_since, account_id,
    ) = row
    # fmt: on
    options = metadata_options(metadata_tokens, metadata_hops, metadata_endpoint, metadata_tags, metadata_applied)
    held = view.of(id)
    answer = {
        "InstanceId": id,
        "ImageId": image_id,
        "State": rules.STATE_SETS[state],
        "AmiLaunchIndex": launch_index,
        "Architecture": architecture,
        "BlockDeviceMappings": volumes.get(id, _NOTHING),
        "ClientToken": client_token,
        "CpuOptions": _processors(instance_type),
        "EbsOptimized": ebs_optimized,
        "IamInstanceProfile": None if profile_id is None else {"Arn": profile_arn, "Id": profile_id},
        "InstanceType": instance_type,
        "KernelId": kernel_id,
        "KeyName": key_name,
        "LaunchTime": launched_at,
        "MetadataOptions": options,
        "Placement": _placement(region, zone),
        "RamdiskId": ramdisk_id,
        "RootDeviceName": root_device_name,
        "StateReason": None if reason_code is None else {"Code": reason_code, "Message": reason},
        "StateTransitionReason": transition_reason,
        "Tags": labels.get(id, _NOTHING),
        "UsageOperationUpdateTime": created_at,
        **_FIXED,
    }
    if held:
        _connect(answer, view, held, vpc_id, subnet_id)
    else:
        answer.update(_UNCONNECTED)
    key = (int(created_at.timestamp() * 1_000_000), reservation_id, launch_index)
    return Described(answer, reservation_id, account_id, key, held)


_UNCONNECTED: Answer = {
    "NetworkInterfaces": _NOTHING,
    "PrivateDnsName": "",
    "PublicDnsName": "",
    "SecurityGroups": _NOTHING,
}


def _connect(answer: Answer, view: interfaces.View, held: list[Interface], vpc_id: str, subnet_id: str) -> None:
    """An instance without interfaces is terminated, and bears no network any more."""
    primary = held[0]
    described = [view.describe(each) for each in held]
    first = described[0]
    answer["NetworkInterfaces"] = described
    answer["PrivateDnsName"] = first["PrivateDnsName"]
    answer["PrivateIpAddress"] = primary.private_ip
    answer["PublicDnsName"] = view.public_hostname(primary)
    answer["PublicIpAddress"] = primary.public_ip
    answer["SecurityGroups"] = first["Groups"]
    answer["SourceDestCheck"] = primary.source_dest_check
    answer["SubnetId"] = subnet_id
    answer["VpcId"] = vpc_id
