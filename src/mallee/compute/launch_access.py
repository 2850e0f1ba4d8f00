"""What policies are asked about a launch: each resource that it uses or makes, with the keys that it will have.

Defaults count as if they had been written in the request: the default subnet, its public addresses, the default group. What
can't be found is asked about by the name that the request gives it, without keys; the operation then refuses it. A launch
whose zone is left to the cloud is asked about twice: what does not depend on the place before the operation, the rest
(``placed``) by the operation once it has found the place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mallee.compute import access, instance_types, launching, lookup, profiles, records
from mallee.compute.access import or_none
from mallee.compute.launching import Request
from mallee.compute.records import Image
from mallee.ec2 import access as ec2
from mallee.ec2.access import ANY, arn_of
from mallee.identity.access import Check, ResourceType, Values
from mallee.identity.call import Call
from mallee.network import access as networks
from mallee.network import records as network_records
from mallee.network.records import Subnet

Keys = dict[str, Values | Callable[[], Values]]

LAUNCH = {"ec2:IsLaunchTemplateResource": lambda call: False}  # keys of every resource of a launch


def named(call: Call) -> Iterator[Check]:
    """All but image and key pair, which the request names by itself."""
    asked: Request | None = or_none(lambda: launching.read(call.input))
    if asked is None:
        yield _about(call, access.NEW_INSTANCE)
        return
    yield from profiles.pass_role(call, asked.profile, ANY)
    found = or_none(lambda: lookup.subnet_of(call, asked))
    if found is None:
        yield _about(call, networks.SUBNET, asked.interface.subnet_id or ANY)
        yield _about(call, access.NEW_INSTANCE, keys=_instance_keys(call, asked))
        return
    subnet = found[0]
    for id in or_none(lambda: lookup.groups_of(call, asked, subnet)) or asked.interface.group_ids:
        yield _about(call, networks.SECURITY_GROUP, id)
    if settled(call, asked):
        yield from placed(call, asked, subnet)


def settled(call: Call, asked: Request) -> bool:
    """Whether the place was known to ``named``: the request names it, or the cloud has no choice of zones."""
    chosen = asked.interface.subnet_id or asked.zone or asked.zone_id
    return bool(chosen) or len(network_records.default_subnets(call.tx)) < 2


def placed(call: Call, asked: Request, subnet: Subnet) -> Iterable[Check]:
    """What depends on the place, or will be there."""
    where: Keys = {"ec2:AvailabilityZone": subnet.zone}
    wants = asked.interface.public
    interface: Keys = {
        "ec2:AssociatePublicIpAddress": subnet.map_public_ip if wants is None else wants,
        "ec2:Subnet": arn_of(call, "subnet", subnet.id),
        "ec2:Vpc": arn_of(call, "vpc", subnet.vpc_id),
    }
    return (
        _about(call, access.NEW_INSTANCE, keys=where | _instance_keys(call, asked)),
        _about(call, networks.SUBNET, subnet.id, thing=subnet),
        _about(call, networks.NEW_NETWORK_INTERFACE, keys=where | interface),
        _about(call, access.NEW_VOLUME, keys=where | _volume_keys(call, asked)),
    )


def _about(call: Call, type: ResourceType, id: str = ANY, keys: Keys | None = None, thing: Subnet | None = None) -> Check:
    return ec2.about(call, type, id, (keys or {}) | {"ec2:IsLaunchTemplateResource": False}, thing)


def _instance_keys(call: Call, asked: Request) -> Keys:
    def profile_arn() -> str | None:
        found = or_none(lambda: profiles.find(call, asked.profile)) if asked.profile else None
        return None if found is None else str(found.arn)

    return {
        **access.FIXED_OF_INSTANCE,
        "ec2:EbsOptimized": bool(asked.ebs_optimized),
        "ec2:InstanceMetadataTags": asked.metadata.tags,
        "ec2:InstanceProfile": profile_arn,
        "ec2:InstanceType": asked.instance_type or instance_types.DEFAULT,
        "ec2:MetadataHttpEndpoint": asked.metadata.endpoint,
        "ec2:MetadataHttpPutResponseHopLimit": asked.metadata.hop_limit,
        "ec2:MetadataHttpTokens": asked.metadata.tokens,
    }


def _volume_keys(call: Call, asked: Request) -> Keys:
    def of_root(name: str) -> Callable[[], Values]:
        def read() -> Values:
            image: Image | None = records.visible_image(call.tx, call.account_id, asked.image_id)
            root = None if image is None else or_none(lambda: lookup.root_of(asked, image))
            return None if root is None else getattr(root, name)

        return read

    return {
        "ec2:Encrypted": False,
        "ec2:VolumeSize": of_root("size_gib"),
        "ec2:VolumeType": of_root("volume_type"),
    }
