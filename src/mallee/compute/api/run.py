"""RunInstances.

One transaction writes everything that the launch consists of: places on nodes, interfaces with their addresses,
instances, root volumes, tags, one job per instance, and the client token. The nodes' documents are complete with
its commit, so nothing stands between the answer and the first guest but the node. Capacity is settled here, as in
AWS: a launch gets between MinCount and MaxCount instances or fails.
"""

from __future__ import annotations

from typing import Any

from mallee import durable
from mallee.compute import access, changes, descriptions, launch_access, launching, lookup, profiles, quotas, records, rules
from mallee.compute.life import InstanceLife
from mallee.compute.lookup import Launch
from mallee.compute.records import INSTANCES, LAUNCH_DATA, ROOT_VOLUMES
from mallee.ec2 import tags, tokens
from mallee.ec2.access import checked
from mallee.identity import authorize
from mallee.identity.access import On
from mallee.identity.call import Call
from mallee.network import interfaces, places
from mallee.nodes import records as nodes
from mallee.store import ids
from mallee.wire.errors import AwsError


def run_instances(call: Call) -> dict[str, Any]:
    token = call.input.get("ClientToken")
    saved = tokens.remembered(call, token)
    if saved is not None:
        return _once_more(call, saved)
    launch = lookup.launch(call, launching.read(call.input))
    subnet, wanted = lookup.subnet_of(call, launch.asked)
    zone, placed = _place(call, launch, subnet, wanted)
    if zone != subnet.zone:
        subnet = places.subnet_for(call.tx, call.settings, None, zone)
    if not launch_access.settled(call, launch.asked):
        for question in launch_access.placed(call, launch.asked, subnet):
            authorize.check(call, question)
    group_ids = lookup.groups_of(call, launch.asked, subnet)
    reservation_id = ids.new("r")
    _write(call, launch, reservation_id, subnet, placed)
    _connect(call, launch, subnet, group_ids, placed)
    tokens.remember(call, token, {"reservation": reservation_id})
    durable.start_waiting(call.tx, InstanceLife.name, placed)
    return _answer(call, placed)


def _place(call: Call, launch: Launch, subnet: Any, zone: str | None) -> tuple[str, dict[str, str]]:
    """Node ids by instance id, for as many instances as the call wants, quotas allow and the zone holds."""
    asked, kind = launch.asked, launch.type
    most = quotas.launchable(call, kind, launch.root.size_gib, asked.minimum, asked.maximum)
    fresh = [ids.new("i") for _ in range(most)]
    found, placed = nodes.place_many(
        call.tx.everyone(), fresh, kind.vcpus, kind.memory_mib, launch.root.size_gib, zone, subnet.vpc_id
    )
    if len(placed) < asked.minimum:
        where = f"in the Availability Zone you requested ({zone})" if zone else "in any Availability Zone"
        raise AwsError(
            "InsufficientInstanceCapacity",
            f"We currently do not have sufficient {kind.name} capacity {where}: "
            f"{len(placed)} of at least {asked.minimum} instances would fit.",
            status=500,
        )
    return found or subnet.zone, placed


def _write(call: Call, launch: Launch, reservation_id: str, subnet: Any, placed: dict[str, str]) -> None:
    tx, asked, image, now = call.tx, launch.asked, launch.image, call.now
    common = {
        "reservation_id": reservation_id,
        "image_id": image.id,
        "kernel_id": launch.kernel_id,
        "ramdisk_id": launch.ramdisk_id,
        "architecture": image.architecture,
        "root_device_name": image.root_device_name,
        "instance_type": launch.type.name,
        "key_name": asked.key_name,
        "zone": subnet.zone,
        "vpc_id": subnet.vpc_id,
        "subnet_id": subnet.id,
        "client_token": asked.client_token,
        "created_at": now,
        "launched_at": now,
        "terminated_at": None,
        "state": rules.PENDING,
        "power": rules.ON,
        "force_off": False,
        "revision": 1,
        "reboots": 0,
        "has_run": False,
        **changes.because(rules.PENDING),
        "transition_reason": "",
        "shutdown_behavior": asked.shutdown_behavior,
        "termination_protected": asked.termination_protected,
        "stop_protected": asked.stop_protected,
        "ebs_optimized": bool(asked.ebs_optimized),
        "metadata_tokens": asked.metadata.tokens,
        "metadata_hops": asked.metadata.hop_limit,
        "metadata_endpoint": asked.metadata.endpoint,
        "metadata_tags": asked.metadata.tags,
        "metadata_applied": False,
    }
    tx.insert_many(
        INSTANCES,
        [{"id": id, "launch_index": index, **common, **_profile(call, launch)} for index, id in enumerate(placed)],
    )
    if asked.user_data or launch.public_key:
        data = {"user_data": asked.user_data, "public_key": launch.public_key}
        tx.insert_many(LAUNCH_DATA, [{"instance_id": id, **data} for id in placed])
    root = {
        "node_id": None,
        "image_id": image.id,
        "device_name": image.root_device_name,
        "size_gib": launch.root.size_gib,
        "volume_type": launch.root.volume_type,
        "delete_on_termination": launch.root.delete_on_termination,
        "attached_at": now,
    }
    volumes = [{"id": ids.new("vol"), "instance_id": id, **root} for id in placed]
    tx.insert_many(ROOT_VOLUMES, volumes)
    tags.write_many(tx, list(placed), "instance", launch.labels["instance"])
    tags.write_many(tx, [str(volume["id"]) for volume in volumes], "volume", launch.labels["volume"])


def _profile(call: Call, launch: Launch) -> dict[str, Any]:
    return profiles.NONE if launch.profile is None else profiles.columns(call, launch.profile)


def _connect(call: Call, launch: Launch, subnet: Any, group_ids: list[str], placed: dict[str, str]) -> None:
    asked = launch.asked.interface
    plan = interfaces.Plan(
        subnet=subnet,
        group_ids=group_ids,
        description=asked.description,
        delete_on_termination=asked.delete_on_termination,
        public=asked.public,
    )
    private_ips = [asked.private_ip] if asked.private_ip else None
    made = interfaces.create_many(call.tx, call.settings, plan, list(placed), private_ips)
    tags.write_many(call.tx, [each.id for each in made], "network-interface", launch.labels["network-interface"])


def _once_more(call: Call, saved: dict[str, Any]) -> dict[str, Any]:
    """The answer to a repeated request: the same launch as it is now."""
    known = records.of_reservation(call.tx, saved["reservation"])
    live = [each for each in records.instances(call.tx, known) if each.state not in (rules.SHUTTING_DOWN, rules.TERMINATED)]
    if not live:
        raise AwsError(
            "IdempotentInstanceTerminated",
            "The request to launch an instance uses the same client token as a previous request for which the instance "
            "has been terminated.",
        )
    return _answer(call, known)


def _answer(call: Call, known: Any) -> dict[str, Any]:
    (reservation,) = descriptions.reservations(descriptions.describe(call.tx, call.settings, list(known)))
    return reservation


ACCESS = {
    "run_instances": checked(
        On(access.IMAGE, "ImageId"),
        On(access.IMAGE, "KernelId"),
        On(access.IMAGE, "RamdiskId"),
        On(access.KEY_PAIR, "KeyName"),
        keys=launch_access.LAUNCH,
        find=launch_access.named,
    ),
}
