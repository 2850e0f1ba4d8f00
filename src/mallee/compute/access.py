"""Instances, images, volumes and key pairs as policies name them, with AWS's condition keys."""

from __future__ import annotations

from typing import Any

from mallee.compute import records
from mallee.compute.records import Image, Instance, KeyPair, RootVolume
from mallee.ec2 import access
from mallee.ec2.access import by_own_id, resource
from mallee.identity.call import Call
from mallee.wire.errors import AwsError

PROVIDER = "amazon"  # what the administrator's images are called


# What every instance and volume here is; launches are asked about with the same.
FIXED_OF_INSTANCE = {
    "ec2:InstanceAutoRecovery": "default",
    "ec2:InstanceMarketType": "on-demand",
    "ec2:RootDeviceType": "ebs",
    "ec2:Tenancy": "default",
}


def _fixed(value: str | bool) -> Any:
    return lambda call, thing: value


def _image_arn(call: Call, identifier: str, thing: Any) -> str:
    """Images bear no account: they are shared."""
    return f"arn:{call.settings.partition}:ec2:{call.region}::image/{identifier}"


def _owner(call: Call, image: Image) -> str:
    return PROVIDER if image.account_id == call.settings.admin_account_id else image.account_id


def _key_arn(call: Call, identifier: str, thing: Any) -> str:
    return call.arn(f"key-pair/{identifier if thing is None else thing.name}", "ec2")


def _volume_zone(call: Call, volume: RootVolume) -> str | None:
    instance = records.instance(call.tx, volume.instance_id) if volume.instance_id else None
    return None if instance is None else instance.zone


INSTANCE = resource(
    "instance",
    lambda call, id: records.instance(call.tx, id),
    {name: _fixed(value) for name, value in FIXED_OF_INSTANCE.items()}
    | {
        "ec2:AvailabilityZone": lambda call, instance: instance.zone,
        "ec2:EbsOptimized": lambda call, instance: instance.ebs_optimized,
        "ec2:InstanceID": lambda call, instance: instance.id,
        "ec2:InstanceMetadataTags": lambda call, instance: instance.metadata_tags,
        "ec2:InstanceProfile": lambda call, instance: instance.profile_arn,
        "ec2:InstanceType": lambda call, instance: instance.instance_type,
        "ec2:MetadataHttpEndpoint": lambda call, instance: instance.metadata_endpoint,
        "ec2:MetadataHttpPutResponseHopLimit": lambda call, instance: instance.metadata_hops,
        "ec2:MetadataHttpTokens": lambda call, instance: instance.metadata_tokens,
    },
)
NEW_INSTANCE = resource("instance")


def _associated(call: Call, association_id: str) -> Instance | None:
    return records.of_profile_association(call.tx, association_id)


INSTANCE_ASSOCIATED = resource("instance", _associated, INSTANCE.keys, by_own_id("instance"))

IMAGE = resource(
    "image",
    lambda call, id: records.visible_image(call.tx, call.account_id, id),
    {
        "ec2:ImageID": lambda call, image: image.id,
        "ec2:ImageType": lambda call, image: {"machine": "machine", "kernel": "aki", "ramdisk": "ari"}[image.kind],
        "ec2:Owner": _owner,
        "ec2:Public": lambda call, image: image.public,
        "ec2:RootDeviceType": lambda call, image: "ebs" if image.kind == "machine" else None,
    },
    _image_arn,
)
VOLUME = resource(
    "volume",
    lambda call, id: records.volume(call.tx, id),
    {
        "ec2:AvailabilityZone": _volume_zone,
        "ec2:Encrypted": _fixed(False),
        "ec2:VolumeID": lambda call, volume: volume.id,
        "ec2:VolumeSize": lambda call, volume: volume.size_gib,
        "ec2:VolumeType": lambda call, volume: volume.volume_type,
    },
)
NEW_VOLUME = resource("volume")

_KEY_KEYS = {
    "ec2:KeyPairName": lambda call, key: key.name,
    "ec2:KeyPairType": lambda call, key: key.kind,
}


def _key_named(call: Call, name: str) -> KeyPair | None:
    return records.key_named(call.tx, name)


KEY_PAIR = resource("key-pair", _key_named, _KEY_KEYS, _key_arn)
KEY_PAIR_IDENTIFIED = resource("key-pair", lambda call, id: records.key_identified(call.tx, id), _KEY_KEYS, _key_arn)
NEW_KEY_PAIR = resource("key-pair", arn=lambda call, id, thing: _key_arn(call, call.input.get("KeyName") or id, None))

for _prefix, _type in {
    "i": INSTANCE,
    "ami": IMAGE,
    "aki": IMAGE,
    "ari": IMAGE,
    "vol": VOLUME,
    "key": KEY_PAIR_IDENTIFIED,
}.items():
    access.declare(_prefix, _type)


def or_none(look: Any) -> Any:
    """What ``look()`` finds; None where it raises AWS's error, which is for the operation itself to say."""
    try:
        return look()
    except AwsError:
        return None
