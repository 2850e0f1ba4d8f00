"""What a node shall have, computed whole from rows: its guests here, its networks by ``network.projection``.

A guest is in the document for as long as its instance has a place on the node and ``power`` is not ``gone``; there
is no other condition, and no memory of what the node was told before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mallee.compute import instance_types, records, rules
from mallee.compute.records import Image, Instance
from mallee.ec2 import filters, tags
from mallee.fabric.document import Blob, Boot, Desired, Disk, Guest, Metadata, MetadataOptions
from mallee.identity import instance_profiles
from mallee.network import interfaces, names
from mallee.network import projection as networks
from mallee.network.records import Interface
from mallee.nodes import records as nodes
from mallee.store import Tx

if TYPE_CHECKING:
    from mallee.settings import Settings


def builder(settings: Settings) -> Callable[[Tx, str], Desired]:
    """``desired`` for one cloud, as the fabric's session takes it."""
    return functools.partial(desired, settings=settings)


def desired(tx: Tx, node_id: str, settings: Settings) -> Desired:
    """The document of a node; ``tx`` is of no account. The session sets generation and digest."""
    node = nodes.node(tx, node_id)
    if node is None:
        raise LookupError(f"there is no node {node_id}")
    return Desired(
        node_id=node_id,
        generation=node.generation,
        region=settings.region,
        zone=node.zone,
        public_pool=tuple(settings.public_pool),
        networks=networks.networks(tx, node_id, settings),
        guests=_guests(tx, node_id, settings),
    )


def _guests(tx: Tx, node_id: str, settings: Settings) -> tuple[Guest, ...]:
    placed = [placement.instance_id for placement in nodes.placements_on(tx, node_id)]
    wanted = [each for each in records.instances(tx, placed) if each.power != rules.GONE]
    wanted.sort(key=lambda each: each.id)
    ids = [each.id for each in wanted]
    parts = {part for each in wanted for part in (each.image_id, each.kernel_id, each.ramdisk_id) if part}
    facts = _Facts(
        settings,
        images=records.images(tx, sorted(parts)),
        volumes={volume.instance_id: volume for volume in records.volume_rows(tx, ids)},
        data=records.launch_data_of(tx, ids),
        labels=tags.tags_of(tx, [each.id for each in wanted if each.metadata_tags == "enabled"], "instance"),
        view=interfaces.View(tx, settings, ids) if ids else None,
        roles=instance_profiles.role_names(tx, sorted({each.profile_id for each in wanted if each.profile_id})),
    )
    return tuple(facts.guest(each) for each in wanted)


class _Facts:
    """All that the guests of one node are made of."""

    def __init__(
        self,
        settings: Settings,
        images: dict[str, Image],
        volumes: dict[str, Any],
        data: dict[str, tuple[str | None, str | None]],
        labels: dict[str, tags.TagList],
        view: interfaces.View | None,
        roles: dict[str, str | None],
    ) -> None:
        self.settings = settings
        self.images = images
        self.volumes = volumes
        self.data = data
        self.labels = labels
        self.view = view
        self.roles = roles

    def guest(self, instance: Instance) -> Guest:
        kind = instance_types.catalogue()[instance.instance_type]
        held = self.view.of(instance.id) if self.view is not None else []
        volume = self.volumes[instance.id]
        image = self.images[instance.image_id]
        root = Disk(
            volume_id=volume.id,
            device_name=volume.device_name,
            size_gib=volume.size_gib,
            image=_blob(image),
            delete_on_termination=volume.delete_on_termination,
        )
        return Guest(
            id=instance.id,
            revision=instance.revision,
            power=instance.power,
            reboots=instance.reboots,
            vcpus=kind.vcpus,
            memory_mib=kind.memory_mib,
            disks=(root,),
            boot=self._boot(instance, image),
            metadata=self._metadata(instance, held),
            force_off=instance.force_off,
            port_ids=tuple(each.id for each in held),
        )

    def _boot(self, instance: Instance, image: Image) -> Boot:
        """The command line belongs to the image that the kernel was registered with, unless the user chose another."""
        if not instance.kernel_id:
            return Boot()
        kernel = self.images[instance.kernel_id]
        ramdisk = self.images[instance.ramdisk_id] if instance.ramdisk_id else None
        line = image.command_line if instance.kernel_id == image.kernel_id else kernel.command_line
        return Boot(_blob(kernel), None if ramdisk is None else _blob(ramdisk), line)

    def _metadata(self, instance: Instance, held: Sequence[Interface]) -> Metadata:
        region = self.settings.region
        user_data, public_key = self.data.get(instance.id, (None, None))
        groups: tuple[str, ...] = ()
        if held and self.view is not None:
            groups = tuple(group["GroupName"] for group in self.view.groups(held[0]))
        root = instance.root_device_name
        return Metadata(
            account_id=instance.account_id,
            image_id=instance.image_id,
            instance_type=instance.instance_type,
            reservation_id=instance.reservation_id,
            launch_index=instance.launch_index,
            hostname=names.private_hostname(held[0].private_ip, region) if held else instance.id,
            region=region,
            zone=instance.zone,
            zone_id=names.zone_id(region, instance.zone),
            launched_at=filters.text(instance.launched_at),
            architecture=instance.architecture,
            kernel_id=instance.kernel_id,
            ramdisk_id=instance.ramdisk_id,
            key_name=instance.key_name,
            public_key=public_key,
            user_data=user_data,
            security_groups=groups,
            block_devices={"ami": root.removeprefix("/dev/"), "root": root},
            tags={tag["Key"]: tag["Value"] for tag in self.labels.get(instance.id, ())},
            options=MetadataOptions(
                endpoint=instance.metadata_endpoint == "enabled",
                tokens_required=instance.metadata_tokens == "required",
                hop_limit=instance.metadata_hops,
                tags=instance.metadata_tags == "enabled",
            ),
            profile_arn=instance.profile_arn,
            profile_id=instance.profile_id or "",
            profile_since="" if instance.profile_since is None else filters.text(instance.profile_since),
            profile_gone=instance.profile_id is not None and instance.profile_id not in self.roles,
            role=self.roles.get(instance.profile_id or ""),
        )


def _blob(image: Image) -> Blob:
    return Blob(image.digest, image.format, image.bytes)
