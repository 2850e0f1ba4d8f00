"""Builds the starter image: kernel, ramdisk and root disk, each a file named by its own SHA-256.

The same packages and the same recipe give the same digests. What was built is kept in the cache with a manifest; to
build again with everything present compares a few sizes. A file that was changed behind our back is made anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import kernel as kernels
from . import ramdisk as ramdisks
from . import rootfs
from .packages import BuildError, Progress, Tree, fetch

# quiet: the serial console is slow. The clock options spare calibrations that fail or lie under emulation. cryptomgr.notests: 0.4 s of self-tests.
COMMAND_LINE = "console=ttyS0 quiet panic=1 tsc=reliable no_timer_check random.trust_cpu=on mitigations=off cryptomgr.notests root=/dev/vda rw"
# In the order in which they depend on each other.
MODULES = (
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci",
    "drivers/block/virtio_blk",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
)


@dataclass(frozen=True, slots=True)
class Part:
    path: Path
    digest: str  # sha256:<hex>, which is also the file's name
    format: str  # raw | qcow2
    size: int


@dataclass(frozen=True, slots=True)
class StarterImage:
    kernel: Part
    ramdisk: Part
    root: Part
    command_line: str
    versions: Mapping[str, str]


def build(cache: Path, out: Path, progress: Progress = lambda text: None) -> StarterImage:
    """The starter image with its three files in ``out``. Raises ``BuildError`` with a remedy in its text.

    ``cache`` keeps packages and results and may be shared by several clouds; ``progress`` is called with a line per stage.
    """
    cache.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    with _alone(cache):
        manifest = _manifest(cache)
        if manifest is None:
            if os.geteuid() != 0:
                raise BuildError(
                    "Building the starter image needs root: its files belong to the guest's users. Run it with sudo."
                )
            manifest = _make(cache, progress)
        kernel, ramdisk, root = (
            _deliver(cache / "built", out, manifest["parts"][name]) for name in ("kernel", "ramdisk", "root")
        )
        return StarterImage(kernel, ramdisk, root, manifest["command_line"], manifest["versions"])


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _recipe() -> str:
    """Changes when anything of ours that goes into the image changes."""
    state = hashlib.sha256()
    for path in sorted((*Path(__file__).parent.glob("*.py"), *rootfs.FILES.iterdir())):
        if path.is_file():
            state.update(path.name.encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


def _manifest(cache: Path) -> dict[str, Any] | None:
    """What was built before, if it is whole and made by the present recipe."""
    try:
        manifest = json.loads((cache / "built/manifest.json").read_text())
        if manifest["recipe"] != _recipe():
            return None
        return manifest if all(_sound(cache / "built", part) for part in manifest["parts"].values()) else None
    except (OSError, ValueError, KeyError):
        return None


def _sound(directory: Path, part: Mapping[str, Any]) -> bool:
    """Whether the file is the one that was built. A file whose time is still the fixed one was not written to; others are read."""
    path = directory / part["digest"].removeprefix("sha256:")
    try:
        state = path.stat()
    except FileNotFoundError:
        return False
    if state.st_size != part["size"]:
        return False
    if state.st_mtime == rootfs.EPOCH:
        return True
    if digest_of(path) != part["digest"]:
        return False
    os.utime(path, (rootfs.EPOCH, rootfs.EPOCH))
    return True


def _deliver(built: Path, out: Path, part: Mapping[str, Any]) -> Part:
    name = part["digest"].removeprefix("sha256:")
    target = out / name
    if not _sound(out, part):
        fresh = out / f".{name}.new"
        shutil.copyfile(built / name, fresh)
        fresh.chmod(0o644)
        os.utime(fresh, (rootfs.EPOCH, rootfs.EPOCH))
        fresh.rename(target)
    return Part(target, part["digest"], part["format"], part["size"])


def _make(cache: Path, progress: Progress) -> dict[str, Any]:
    began = time.monotonic()
    tree = fetch(cache, progress)
    progress("making kernel, ramdisk and root disk")
    built = cache / "built"
    shutil.rmtree(built, ignore_errors=True)
    built.mkdir()
    with tempfile.TemporaryDirectory(dir=cache, prefix="make-") as scratch:
        work = Path(scratch)
        parts = {
            "kernel": _keep(built, _kernel(tree, work), "raw"),
            "ramdisk": _keep(built, _ramdisk(tree, work), "raw"),
            "root": _keep(built, _root(tree, work), "qcow2"),
        }
    manifest = {"recipe": _recipe(), "parts": parts, "command_line": COMMAND_LINE, "versions": dict(tree.versions)}
    fresh = built / "manifest.new"
    fresh.write_text(json.dumps(manifest, indent=1, sort_keys=True))
    fresh.rename(built / "manifest.json")
    progress(f"built the starter image in {time.monotonic() - began:.1f} s")
    return manifest


def _kernel(tree: Tree, work: Path) -> Path:
    def unpack(packed: bytes) -> bytes:
        (work / "packed").write_bytes(packed)
        tree.run("usr/bin/lz4", "-d", "-q", "-f", work / "packed", work / "unpacked")
        return (work / "unpacked").read_bytes()

    made = work / "kernel"
    made.write_bytes(kernels.bare(tree.path(f"boot/vmlinuz-{tree.kernel_release}").read_bytes(), unpack))
    return made


def _ramdisk(tree: Tree, work: Path) -> Path:
    entries = [ramdisks.Entry(name, ramdisks.DIRECTORY) for name in ("bin", "dev", "root", "modules")]
    entries += [
        ramdisks.Entry("dev/console", ramdisks.DEVICE, device=(5, 1)),
        ramdisks.Entry("bin/busybox", ramdisks.FILE | 0o755, tree.path("bin/busybox").read_bytes()),
        ramdisks.Entry("bin/sh", ramdisks.LINK, b"busybox"),
        ramdisks.Entry("init", ramdisks.FILE | 0o755, (rootfs.FILES / "ramdisk-init.sh").read_bytes()),
    ]
    modules = [tree.path(f"lib/modules/{tree.kernel_release}/kernel/{module}.ko") for module in MODULES]
    entries += [ramdisks.Entry(f"modules/{path.name}", ramdisks.FILE | 0o644, path.read_bytes()) for path in modules]
    entries.append(ramdisks.Entry("modules/order", ramdisks.FILE | 0o644, "".join(f"{path.name}\n" for path in modules).encode()))
    made = work / "ramdisk"
    made.write_bytes(ramdisks.archive(entries))
    return made


def _root(tree: Tree, work: Path) -> Path:
    staged, raw, made = work / "root", work / "root.raw", work / "root.qcow2"
    staged.mkdir()
    rootfs.stage(tree, staged)
    rootfs.image(tree, staged, raw)
    try:
        subprocess.run(
            ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(made)], check=True, capture_output=True, timeout=120
        )
    except FileNotFoundError as error:
        raise BuildError("qemu-img is missing: install the package qemu-utils.") from error
    except subprocess.CalledProcessError as error:
        raise BuildError(f"qemu-img failed: {error.stderr.decode(errors='replace').strip()}") from error
    return made


def _keep(built: Path, made: Path, kind: str) -> dict[str, Any]:
    digest, size = digest_of(made), made.stat().st_size
    kept = built / digest.removeprefix("sha256:")
    shutil.copyfile(made, kept)
    kept.chmod(0o644)
    os.utime(kept, (rootfs.EPOCH, rootfs.EPOCH))
    return {"digest": digest, "format": kind, "size": size}


def digest_of(path: Path) -> str:
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
