"""DescribeImages and DescribeImageAttribute.

Kernels and ramdisks are images too, with ids of their own prefixes. ``amazon`` as an owner means whoever runs the
cloud: the account of its administrator, which publishes the images that everybody may use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mallee.compute import access, records
from mallee.compute.access import PROVIDER
from mallee.compute.answers import path
from mallee.compute.records import Image
from mallee.ec2 import filters, paging, resources, tags
from mallee.ec2.access import checked
from mallee.identity.access import On
from mallee.identity.call import Call
from mallee.wire.errors import AwsError

VOLUME_TYPE = "gp3"

_PREFIXES = ("ami", "aki", "ari")

_FILTERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "architecture": path("Architecture"),
    "block-device-mapping.delete-on-termination": path("BlockDeviceMappings", "Ebs", "DeleteOnTermination"),
    "block-device-mapping.device-name": path("BlockDeviceMappings", "DeviceName"),
    "block-device-mapping.encrypted": path("BlockDeviceMappings", "Ebs", "Encrypted"),
    "block-device-mapping.snapshot-id": path("BlockDeviceMappings", "Ebs", "SnapshotId"),
    "block-device-mapping.volume-size": path("BlockDeviceMappings", "Ebs", "VolumeSize"),
    "block-device-mapping.volume-type": path("BlockDeviceMappings", "Ebs", "VolumeType"),
    "boot-mode": path("BootMode"),
    "creation-date": path("CreationDate"),
    "description": path("Description"),
    "ena-support": path("EnaSupport"),
    "free-tier-eligible": path("FreeTierEligible"),
    "hypervisor": path("Hypervisor"),
    "image-allowed": path("ImageAllowed"),
    "image-id": path("ImageId"),
    "image-type": path("ImageType"),
    "image-watermark.source-image-creation-time": path("ImageWatermarks", "SourceImageCreationTime"),
    "image-watermark.source-image-id": path("ImageWatermarks", "SourceImageId"),
    "image-watermark.source-image-region": path("ImageWatermarks", "SourceImageRegion"),
    "image-watermark.watermark-creation-time": path("ImageWatermarks", "WatermarkCreationTime"),
    "image-watermark.watermark-key": path("ImageWatermarks", "WatermarkKey"),
    "instance-type-specification.supported-instance-type": path(
        "InstanceTypeSpecification", "SupportedInstanceTypes", "InstanceType"
    ),
    "instance-type-specification.unsupported-instance-type": path(
        "InstanceTypeSpecification", "UnsupportedInstanceTypes", "InstanceType"
    ),
    "is-public": path("Public"),
    "kernel-id": path("KernelId"),
    "manifest-location": path("ImageLocation"),
    "name": path("Name"),
    "owner-alias": path("ImageOwnerAlias"),
    "owner-id": path("OwnerId"),
    "platform": path("Platform"),
    "product-code": path("ProductCodes", "ProductCodeId"),
    "product-code.type": path("ProductCodes", "ProductCodeType"),
    "public-ssm-parameter-name": path("PublicSsmParameterName"),
    "ramdisk-id": path("RamdiskId"),
    "root-device-name": path("RootDeviceName"),
    "root-device-type": path("RootDeviceType"),
    "scan-result.critical-fix-available-since": path("ScanResults", "CriticalFixAvailableSince"),
    "scan-result.finding-scan-date": path("ScanResults", "FindingScanDate"),
    "scan-result.high-fix-available-since": path("ScanResults", "HighFixAvailableSince"),
    "scan-result.highest-finding-severity-label": path("ScanResults", "HighestFindingSeverityLabel"),
    "scan-result.informational-fix-available-since": path("ScanResults", "InformationalFixAvailableSince"),
    "scan-result.low-fix-available-since": path("ScanResults", "LowFixAvailableSince"),
    "scan-result.medium-fix-available-since": path("ScanResults", "MediumFixAvailableSince"),
    "source-image-id": path("SourceImageId"),
    "source-image-region": path("SourceImageRegion"),
    "source-instance-id": path("SourceInstanceId"),
    "sriov-net-support": path("SriovNetSupport"),
    "state": path("State"),
    "state-reason-code": path("StateReason", "Code"),
    "state-reason-message": path("StateReason", "Message"),
    "virtualization-type": path("VirtualizationType"),
}


def describe_images(call: Call) -> dict[str, Any]:
    given = call.input
    asked = list(dict.fromkeys(given.get("ImageIds") or ()))
    for id in asked:
        kind = resources.kind_of(id)
        if kind is None or kind.prefix not in _PREFIXES:
            resources.check_id("ami", id)
    found = records.visible_images(call.tx, call.account_id)
    if asked:
        found = _named(found, asked)
    found = [image for image in found if image.state == "available" or image.id in asked]
    found = _of_owners(call, found, given.get("Owners") or ())
    found = _executable_by(call, found, given.get("ExecutableUsers") or ())
    labels = tags.tags_of(call.tx, [image.id for image in found], "image")
    described = [_describe(call, image, labels.get(image.id, [])) for image in found]
    described = filters.apply(given.get("Filters"), _FILTERS, described, tags_of=lambda image: image["Tags"])
    described, token = paging.page(call, described, key=_order, minimum=1)
    return {"Images": described, "NextToken": token}


def _order(image: dict[str, Any]) -> tuple[bool, str, str]:
    """Machines before the kernels and ramdisks that they are made of, then by age."""
    return image["ImageType"] != "machine", image["CreationDate"], image["ImageId"]


def describe_image_attribute(call: Call) -> dict[str, Any]:
    id, attribute = call.input.get("ImageId") or "", call.input.get("Attribute") or ""
    kind = resources.kind_of(id)
    if kind is None or kind.prefix not in _PREFIXES:
        resources.check_id("ami", id)
    image = records.visible_image(call.tx, call.account_id, id)
    if image is None:
        raise resources.not_found("ami", id)
    if image.account_id != call.account_id:
        raise AwsError("AuthFailure", f"Not authorized for image:{id}")
    read = _ATTRIBUTES.get(attribute)
    if read is None:
        raise AwsError(
            "InvalidParameterValue", f"Value ({attribute[:64]}) for parameter attribute is invalid. Unknown attribute."
        )
    return {"ImageId": id, **read(call, image)}


def _value(value: str | None) -> dict[str, Any]:
    return {} if value is None else {"Value": value}


def _permissions(call: Call, image: Image) -> dict[str, Any]:
    shared = [{"UserId": user} for user in records.launch_permissions(call.tx).get(image.id, ())]
    return {"LaunchPermissions": [{"Group": "all"}, *shared] if image.public else shared}


def _last_launched(call: Call, image: Image) -> dict[str, Any]:
    at = records.last_launched(call.tx, image.id)
    return {"LastLaunchedTime": _value(None if at is None else filters.text(at))}


_ATTRIBUTES: dict[str, Callable[[Call, Image], dict[str, Any]]] = {
    "description": lambda call, image: {"Description": _value(image.description)},
    "kernel": lambda call, image: {"KernelId": _value(image.kernel_id)},
    "ramdisk": lambda call, image: {"RamdiskId": _value(image.ramdisk_id)},
    "launchPermission": _permissions,
    "productCodes": lambda call, image: {"ProductCodes": []},
    "blockDeviceMapping": lambda call, image: {"BlockDeviceMappings": _mappings(image)},
    "sriovNetSupport": lambda call, image: {"SriovNetSupport": {}},
    "bootMode": lambda call, image: {"BootMode": _value(image.boot_mode)},
    "tpmSupport": lambda call, image: {"TpmSupport": {}},
    "uefiData": lambda call, image: {"UefiData": {}},
    "lastLaunchedTime": _last_launched,
    "imdsSupport": lambda call, image: {"ImdsSupport": {}},
    "deregistrationProtection": lambda call, image: {"DeregistrationProtection": _value("disabled")},
}


def _named(found: list[Image], asked: list[str]) -> list[Image]:
    known = {image.id: image for image in found}
    missing = [id for id in asked if id not in known]
    if missing:
        raise resources.not_found("ami", missing)
    return [known[id] for id in asked]


def _of_owners(call: Call, found: list[Image], owners: Any) -> list[Image]:
    if not owners:
        return found
    settings = call.settings
    aliases = {"self": call.account_id, PROVIDER: settings.admin_account_id, settings.admin_alias: settings.admin_account_id}
    wanted = set()
    for owner in owners:
        account = aliases.get(owner, owner)
        if owner in ("aws-marketplace", "aws-backup-vault"):
            continue
        if not (account.isascii() and account.isdigit() and len(account) == 12):
            raise AwsError("InvalidUserID.Malformed", f'Invalid user id: "{owner[:256]}"')
        wanted.add(account)
    return [image for image in found if image.account_id in wanted]


def _executable_by(call: Call, found: list[Image], users: Any) -> list[Image]:
    if not users:
        return found
    shared = records.launch_permissions(call.tx)
    accounts = set()
    for user in users:
        account = call.account_id if user == "self" else user
        if user != "all" and not (account.isascii() and account.isdigit() and len(account) == 12):
            raise AwsError("InvalidUserID.Malformed", f'Invalid user id: "{user[:256]}"')
        accounts.add(account)
    return [image for image in found if (image.public and "all" in accounts) or not accounts.isdisjoint(shared.get(image.id, ()))]


def _mappings(image: Image) -> list[dict[str, Any]]:
    if image.root_device_name is None:
        return []
    ebs = {
        "DeleteOnTermination": True,
        "VolumeSize": image.root_gib,
        "VolumeType": VOLUME_TYPE,
        "Encrypted": False,
    }
    return [{"DeviceName": image.root_device_name, "Ebs": ebs}]


def _describe(call: Call, image: Image, given: tags.TagList) -> dict[str, Any]:
    machine = image.kind == "machine"
    own_alias = image.account_id == call.settings.admin_account_id
    return {
        "ImageId": image.id,
        "ImageLocation": image.location,
        "ImageType": image.kind,
        "ImageOwnerAlias": PROVIDER if own_alias else None,
        "OwnerId": image.account_id,
        "Name": image.name,
        "Description": image.description or None,
        "State": image.state,
        "Public": image.public,
        "CreationDate": filters.text(image.created_at),
        "Architecture": image.architecture,
        "Hypervisor": "xen",
        "VirtualizationType": "hvm" if machine else None,
        "RootDeviceType": "ebs" if machine else None,
        "RootDeviceName": image.root_device_name,
        "BlockDeviceMappings": _mappings(image),
        "BootMode": image.boot_mode,
        "EnaSupport": True if machine else None,
        "PlatformDetails": "Linux/UNIX" if machine else None,
        "UsageOperation": "RunInstances" if machine else None,
        "DeregistrationProtection": "disabled" if machine else None,
        "KernelId": image.kernel_id,
        "RamdiskId": image.ramdisk_id,
        "Tags": given,
    }


ACCESS = {
    "describe_images": checked(),
    "describe_image_attribute": checked(On(access.IMAGE, "ImageId")),
}
