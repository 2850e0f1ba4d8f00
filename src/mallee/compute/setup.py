"""Registering images when a cloud is set up. Each call may be repeated: what is registered already is left as it is.

An image is known by its owner, its name and what it is made of. The same name with other contents becomes a new
image with a new id, beside the former, because instances of the former must still be able to start; a client that
wants the newest takes the latest creation date.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mallee.compute import records
from mallee.compute.records import IMAGES
from mallee.fabric.document import Blob
from mallee.store import Tx, ids

if TYPE_CHECKING:
    from mallee.settings import Settings

STARTER = "mallee-starter"


def register_image(
    tx: Tx,
    *,
    owner: str,
    name: str,
    root: Blob,
    root_gib: int,
    description: str = "",
    architecture: str = "x86_64",
    root_device_name: str = "/dev/xvda",
    kernel: Blob | None = None,
    ramdisk: Blob | None = None,
    command_line: str = "",
    public: bool = True,
) -> str:
    """Registers an image of blobs that the cloud has (or, simulated, need not have) and returns its id. With a kernel it boots
    directly, and kernel and ramdisk get ids of their own (``aki-``, ``ari-``); without, the firmware boots its root disk."""
    common = {"owner": owner, "architecture": architecture, "public": public}
    kernel_id = _part(tx, "kernel", f"vmlinuz-{name}", kernel, command_line, **common)  # type: ignore[arg-type]
    ramdisk_id = _part(tx, "ramdisk", f"initrd-{name}", ramdisk, "", **common)  # type: ignore[arg-type]
    for image in records.images_named(tx, owner, name):
        if (image.digest, image.kernel_id, image.ramdisk_id, image.root_gib) == (
            root.digest,
            kernel_id,
            ramdisk_id,
            root_gib,
        ):
            return image.id
    id = ids.new("ami")
    tx.everyone().insert(
        IMAGES,
        id=id,
        account_id=owner,
        kind="machine",
        name=name,
        description=description,
        location=f"{owner}/{name}",
        state="available",
        public=public,
        architecture=architecture,
        created_at=tx.now,
        kernel_id=kernel_id,
        ramdisk_id=ramdisk_id,
        root_device_name=root_device_name,
        root_gib=root_gib,
        boot_mode="legacy-bios",
        command_line=command_line,
        digest=root.digest,
        format=root.format,
        bytes=root.size,
    )
    return id


def _part(
    tx: Tx, kind: str, name: str, blob: Blob | None, command_line: str, *, owner: str, architecture: str, public: bool
) -> str | None:
    if blob is None:
        return None
    for image in records.images_named(tx, owner, name):
        if image.digest == blob.digest and image.command_line == command_line:
            return image.id
    id = ids.new({"kernel": "aki", "ramdisk": "ari"}[kind])
    tx.everyone().insert(
        IMAGES,
        id=id,
        account_id=owner,
        kind=kind,
        name=name,
        description="",
        location=f"{owner}/{name}",
        state="available",
        public=public,
        architecture=architecture,
        created_at=tx.now,
        kernel_id=None,
        ramdisk_id=None,
        root_device_name=None,
        root_gib=None,
        boot_mode=None,
        command_line=command_line,
        digest=blob.digest,
        format=blob.format,
        bytes=blob.size,
    )
    return id


def register_synthetic_image(tx: Tx, *, owner: str, name: str = STARTER) -> str:
    """The starter image of a simulated cloud: the same names and parts, with digests of nothing that any node would fetch."""

    def blob(part: str, format: str = "raw") -> Blob:
        return Blob("sha256:" + hashlib.sha256(f"{name} {part}".encode()).hexdigest(), format, 0)

    return register_image(
        tx,
        owner=owner,
        name=name,
        description="Mallee's starter image (simulated)",
        root=blob("root", "qcow2"),
        root_gib=1,
        kernel=blob("kernel"),
        ramdisk=blob("ramdisk"),
    )


# ------------------------------------------------------------------------------------------------- images of a cloud


def new_cloud(tx: Tx, settings: Settings) -> None:
    """At every start of the cloud: registers the images that lie ready in its directory, or the synthetic one."""
    if settings.simulated:
        register_synthetic_image(tx, owner=settings.admin_account_id)
    for file in sorted(manifests(settings).glob("*.json")):
        register_manifest(tx, settings.admin_account_id, json.loads(file.read_text("utf-8")))


def manifests(settings: Settings) -> Path:
    """Where images to be registered are described, one JSON file each; their blobs lie in ``settings.blobs`` by digest."""
    return settings.cloud / "images"


def register_manifest(tx: Tx, owner: str, manifest: dict[str, Any]) -> str:
    """``{"name", "description", "architecture", "root_device_name", "root_gib", "command_line", "root", "kernel",
    "ramdisk"}``, of which each blob is ``{"digest", "format", "size"}``, and all but ``name``, ``root`` and ``root_gib``
    may be left out."""
    given = dict(manifest)
    for part in ("root", "kernel", "ramdisk"):
        blob = given.get(part)
        given[part] = None if blob is None else Blob(blob["digest"], blob["format"], blob["size"])
    return register_image(tx, owner=owner, **given)
