"""The metadata of one instance as EC2's tree of paths: a pure function of the document.

A leaf is a text, a folder a dictionary; what an instance does not have (a public address, a key, tags that it may not see) is absent
and answers 404, as in EC2. Signatures of the identity document are absent too: there is no key that anybody could verify them with.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

from mallee.fabric.document import Guest, Metadata
from mallee.node.config import NodeConfig
from mallee.node.network.credentials import written
from mallee.node.network.served import Place

Tree = dict[str, Any]  # name -> text, bytes, or a Tree

VERSIONS = (
    "1.0",
    *("2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01", "2009-04-04"),
    *("2011-01-01", "2011-05-01", "2012-01-12", "2014-02-25", "2014-11-05", "2015-10-20", "2016-04-19", "2016-06-30"),
    *("2016-09-02", "2018-03-28", "2018-08-17", "2018-09-24", "2019-10-01", "2020-10-27", "2021-01-03", "2021-03-23"),
    *("2021-07-15", "2022-09-24", "2024-04-11", "latest"),
)
_FIRST_WITH_TAGS = "2021-03-23"
_FIRST_WITH_ROLES = "2012-01-12"
_VERSION = re.compile(r"\d{4}-\d\d-\d\d\Z")


@dataclass(frozen=True, slots=True)
class Role:
    """A leaf that is no part of the document: the credentials of the guest's role (credentials.py)."""

    name: str


class Folder(dict[str, Any]):
    """A folder that lists itself in its own way."""

    def __init__(self, content: Tree, listing: str) -> None:
        super().__init__(content)
        self.listing = listing


def _keys(name: str, line: str) -> Folder:
    return Folder({"0": {"openssh-key": line.rstrip("\n") + "\n"}}, f"0={name}")


def find(path: list[str], places: tuple[Place, ...], guest: Guest, config: NodeConfig) -> bytes | Role | None:
    """What stands at ``/<path>``: a leaf's bytes, a folder's listing, the place of a role's credentials, or None."""
    if not path:
        return "\n".join(VERSIONS).encode()
    version, *rest = path
    if version not in VERSIONS:
        return None
    node: Any = _root(places, guest, config, version)
    for name in rest:
        if not isinstance(node, dict) or name not in node:
            return None
        node = node[name]
    if isinstance(node, dict):
        return listing(node).encode()
    if isinstance(node, Role):
        return node
    return node if isinstance(node, bytes) else str(node).encode()


def listing(folder: Tree) -> str:
    if isinstance(folder, Folder):
        return folder.listing
    return "\n".join(f"{name}/" if isinstance(folder[name], dict) else name for name in sorted(folder))


def user_data(metadata: Metadata) -> bytes | None:
    if metadata.user_data is None:
        return None
    try:
        return base64.b64decode(metadata.user_data)
    except binascii.Error:
        return metadata.user_data.encode()


def _root(places: tuple[Place, ...], guest: Guest, config: NodeConfig, version: str) -> Tree:
    root: Tree = {
        "dynamic": {"instance-identity": {"document": identity_document(places, guest)}},
        "meta-data": meta_data(places, guest, config, version),
    }
    data = user_data(guest.metadata)
    if data:
        root["user-data"] = data
    return Folder(root, "\n".join(sorted(root)))  # EC2 sets no slashes here


def identity_document(places: tuple[Place, ...], guest: Guest) -> str:
    metadata = guest.metadata
    document = {
        "accountId": metadata.account_id,
        "architecture": metadata.architecture,
        "availabilityZone": metadata.zone,
        "billingProducts": None,
        "devpayProductCodes": None,
        "marketplaceProductCodes": None,
        "imageId": metadata.image_id,
        "instanceId": guest.id,
        "instanceType": metadata.instance_type,
        "kernelId": metadata.kernel_id,
        "pendingTime": _to_the_second(metadata.launched_at),
        "privateIp": places[0].port.ip,
        "ramdiskId": metadata.ramdisk_id,
        "region": metadata.region,
        "version": "2017-09-30",
    }
    return json.dumps(document, indent=2, separators=(",", " : "))


def _to_the_second(time: str) -> str:
    return re.sub(r"(\.\d+)?(\+00:00|Z)?\Z", "Z", time, count=1)


def meta_data(places: tuple[Place, ...], guest: Guest, config: NodeConfig, version: str = "latest") -> Tree:
    metadata, first = guest.metadata, places[0]
    tree: Tree = {
        "ami-id": metadata.image_id,
        "ami-launch-index": str(metadata.launch_index),
        "ami-manifest-path": "(unknown)",
        "block-device-mapping": dict(metadata.block_devices),
        "events": {"maintenance": {"history": "[]", "scheduled": "[]"}},
        "hibernation": {"configured": "false"},
        "hostname": metadata.hostname,
        "instance-action": "none",
        "instance-id": guest.id,
        "instance-life-cycle": "on-demand",
        "instance-type": metadata.instance_type,
        "local-hostname": first.port.private_hostname or metadata.hostname,
        "local-ipv4": first.port.ip,
        "mac": first.port.mac.lower(),
        "network": {"interfaces": {"macs": {place.port.mac.lower(): _interface(place, metadata) for place in places}}},
        "placement": {"availability-zone": metadata.zone, "availability-zone-id": metadata.zone_id, "region": metadata.region},
        "profile": "default-hvm",
        "reservation-id": metadata.reservation_id,
        "security-groups": "\n".join(metadata.security_groups),
        "services": {"domain": config.dns_suffix, "partition": config.partition},
        "system": "nitro",
    }
    if first.port.public_ip:
        tree["public-hostname"] = first.port.public_hostname
        tree["public-ipv4"] = first.port.public_ip
    if metadata.kernel_id:
        tree["kernel-id"] = metadata.kernel_id
    if metadata.ramdisk_id:
        tree["ramdisk-id"] = metadata.ramdisk_id
    if metadata.public_key:
        tree["public-keys"] = _keys(metadata.key_name or "key", metadata.public_key)
    if metadata.profile_arn and not (_VERSION.match(version) and version < _FIRST_WITH_ROLES):
        tree["iam"] = _iam(metadata)
    if metadata.options.tags and not (_VERSION.match(version) and version < _FIRST_WITH_TAGS):
        tree["tags"] = {"instance": dict(metadata.tags)}
    return tree


def _iam(metadata: Metadata) -> Tree:
    told = {
        "Code": "InstanceProfileNotFound" if metadata.profile_gone else "Success",
        "LastUpdated": _to_the_second(metadata.profile_since),
        "InstanceProfileArn": metadata.profile_arn or "",
        "InstanceProfileId": metadata.profile_id,
    }
    tree: Tree = {"info": written(told)}
    if metadata.role:
        tree["security-credentials"] = {metadata.role: Role(metadata.role)}
    return tree


def _interface(place: Place, metadata: Metadata) -> Tree:
    port, network = place.port, place.network
    names = {group.id: group.name for group in network.groups}
    tree: Tree = {
        "device-number": str(port.device_index),
        "interface-id": port.id,
        "local-hostname": port.private_hostname,
        "local-ipv4s": port.ip,
        "mac": port.mac.lower(),
        "owner-id": metadata.account_id,
        "security-group-ids": "\n".join(port.group_ids),
        "security-groups": "\n".join(names.get(group_id) or group_id for group_id in port.group_ids),
        "subnet-id": port.subnet_id,
        "subnet-ipv4-cidr-block": place.subnet.cidr,
        "vpc-id": network.id,
        "vpc-ipv4-cidr-block": network.cidrs[0] if network.cidrs else "",
        "vpc-ipv4-cidr-blocks": "\n".join(network.cidrs),
    }
    if port.public_ip:
        tree["ipv4-associations"] = {port.public_ip: port.ip}
        tree["public-hostname"] = port.public_hostname
        tree["public-ipv4s"] = port.public_ip
    return tree
