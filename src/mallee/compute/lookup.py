"""A RunInstances request with everything that it names looked up: what the launch is made of, and what policies are asked
about (``launch_access.py``). Each function raises AWS's own error for what it does not find.
"""

from __future__ import annotations

from dataclasses import dataclass

from mallee.compute import instance_types, profiles, records, rules
from mallee.compute.instance_types import InstanceType
from mallee.compute.launching import Request
from mallee.compute.records import Image
from mallee.ec2 import resources, tags
from mallee.identity.call import Call
from mallee.identity.instance_profiles import Profile
from mallee.network import groups, places
from mallee.network.records import Subnet
from mallee.wire.errors import AwsError

TAGGED = ("instance", "volume", "network-interface")
NOT_HERE = ("spot-instances-request", "elastic-gpu", "capacity-reservation")


@dataclass(frozen=True, slots=True)
class Launch:
    asked: Request
    image: Image
    kernel_id: str | None
    ramdisk_id: str | None
    type: InstanceType
    root: rules.RootVolume
    public_key: str | None
    profile: Profile | None
    labels: dict[str, tags.TagList]


def launch(call: Call, asked: Request) -> Launch:
    labels = {kind: _labels(call, kind) for kind in TAGGED}
    image = image_of(call, asked.image_id, "machine", "ami")
    kernel_id, ramdisk_id = image.kernel_id, image.ramdisk_id
    if asked.kernel_id:
        kernel_id = image_of(call, asked.kernel_id, "kernel", "aki").id
    if asked.ramdisk_id:
        ramdisk_id = image_of(call, asked.ramdisk_id, "ramdisk", "ari").id
    kind = _type(asked, image)
    public_key = None
    if asked.key_name:
        key = records.key_named(call.tx, asked.key_name)
        if key is None:
            raise AwsError("InvalidKeyPair.NotFound", f"The key pair '{asked.key_name}' does not exist")
        public_key = f"{key.public_key} {key.name}"
    profile = profiles.find(call, asked.profile) if asked.profile else None
    return Launch(asked, image, kernel_id, ramdisk_id, kind, root_of(asked, image), public_key, profile, labels)


def _labels(call: Call, kind: str) -> tags.TagList:
    for each in call.input.get("TagSpecifications") or ():
        if each.get("ResourceType") in NOT_HERE:
            raise AwsError(
                "UnsupportedOperation", f"Tags for resources of the type '{each['ResourceType']}' are not supported here."
            )
    return tags.from_specifications(call.input, kind, *(other for other in TAGGED if other != kind))


def image_of(call: Call, id: str, kind: str, prefix: str) -> Image:
    resources.check_id(prefix, id)
    image = records.visible_image(call.tx, call.account_id, id)
    if image is None or image.kind != kind:
        raise resources.not_found(prefix, id)
    if image.state != "available":
        raise AwsError("InvalidAMIID.Unavailable", f"The image ID '[{id}]' is no longer available")
    return image


def root_of(asked: Request, image: Image) -> rules.RootVolume:
    return rules.root_volume(asked.mappings, image.root_device_name or "", image.root_gib or 1)


def _type(asked: Request, image: Image) -> InstanceType:
    name = asked.instance_type or instance_types.DEFAULT
    kind = instance_types.find(name)
    if kind is None:
        raise AwsError("InvalidParameterValue", f"Invalid value '{name[:64]}' for InstanceType.")
    if image.architecture not in kind.architectures:
        raise AwsError(
            "InvalidParameterValue",
            f"The architecture '{','.join(kind.architectures)}' of the specified instance type does not match the "
            f"architecture '{image.architecture}' of the specified AMI.",
        )
    if asked.ebs_optimized and kind.ebs_optimized == "unsupported":
        raise AwsError("Unsupported", f"EBS-optimized instances are not supported for the instance type '{name}'.")
    if (asked.cores or kind.cores, asked.threads or kind.threads) != (kind.cores, kind.threads):
        raise AwsError(
            "UnsupportedOperation",
            f"CpuOptions other than the default of '{name}' ({kind.cores} cores of {kind.threads} threads) "
            "are not supported here.",
        )
    return kind


def subnet_of(call: Call, asked: Request) -> tuple[Subnet, str | None]:
    """The subnet, and the zone that placing must keep to: None when the call leaves the zone to the cloud."""
    zone = asked.zone or asked.zone_id
    subnet = places.subnet_for(call.tx, call.settings, asked.interface.subnet_id, zone)
    return subnet, subnet.zone if asked.interface.subnet_id or zone else None


def groups_of(call: Call, asked: Request, subnet: Subnet) -> list[str]:
    interface = asked.interface
    return groups.resolve(call.tx, subnet.vpc_id, interface.group_ids, interface.group_names, interface.subnet_id or "")
