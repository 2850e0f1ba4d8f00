"""A guest's disks: one qcow2 file per volume in the guest's directory, on top of the shared image it starts from.

The path to the image is written relative to the disk, so that it holds on the host and in the directories that QEMU
sees (libvirtd.py).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from mallee.fabric.document import Disk, Guest
from mallee.node.images import ImageFault, disk_full
from mallee.node.network.namespaces import checked_id


def path_of(directory: Path, disk: Disk) -> Path:
    return directory / f"{checked_id(disk.volume_id)}.qcow2"


def make(directory: Path, guest: Guest, images: Mapping[str, Path], uid: int) -> tuple[Path, ...]:
    """The guest's disks, made where they are missing. Raises ``ImageFault``."""
    return tuple(_make_one(path_of(directory, disk), disk, images, uid) for disk in guest.disks)


def _make_one(path: Path, disk: Disk, images: Mapping[str, Path], uid: int) -> Path:
    if path.exists():
        return path
    fresh = path.with_suffix(".new")
    command = ["qemu-img", "create", "-q", "-f", "qcow2"]
    if disk.image is not None:
        base = os.path.relpath(images[disk.image.digest], path.parent)
        command += ["-b", base, "-F", "qcow2" if disk.image.format == "qcow2" else "raw"]
    fresh.unlink(missing_ok=True)
    try:
        subprocess.run([*command, fresh.name, f"{disk.size_gib}G"], cwd=path.parent, check=True, capture_output=True, timeout=60)
    except FileNotFoundError as error:
        raise ImageFault("guest-start-failed", "qemu-img is missing on the node.", "Install the package qemu-utils.") from error
    except subprocess.TimeoutExpired as error:
        raise ImageFault(
            "guest-start-failed",
            f"Making the disk {disk.volume_id} took longer than a minute.",
            "Look at the load of the node's disk.",
        ) from error
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode(errors="replace").strip()
        if "No space left" in words:
            raise disk_full(path.parent) from error
        raise ImageFault(
            "guest-start-failed", f"The disk {disk.volume_id} could not be made: {words}", "Look at the image; then launch again."
        ) from error
    os.chown(fresh, uid, uid)
    fresh.chmod(0o600)
    fresh.replace(path)
    return path
