"""The domain document of a guest: what libvirt is given, made from the desired guest and nothing else.

The same guest always gives the same document, so that what a running guest was started from can be compared with what
it should be now. An operator changes it by an XSLT stylesheet, ``<node's home>/domain.xsl``, applied to every
document before it is used (docs/node.md).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from mallee.fabric.document import Guest
from mallee.node.network.namespaces import port_link

EMULATOR = "/usr/bin/qemu-system-x86_64"
_NAMESPACE = uuid.UUID("6d616c6c-6565-5000-8000-000000000000")


@dataclass(frozen=True, slots=True)
class Files:
    """Where the guest's parts lie on this node. ``disks`` in the order of ``Guest.disks``."""

    disks: tuple[Path, ...]
    console: Path
    kernel: Path | None = None
    ramdisk: Path | None = None


@dataclass(frozen=True, slots=True)
class Nic:
    port_id: str
    mac: str
    mtu: int


class StylesheetError(Exception):
    """The operator's stylesheet can't be used; the text says why."""


def guest_uuid(guest_id: str) -> str:
    """Begins with "ec2", as every instance's does on EC2; images recognize the platform by it."""
    return "ec2" + str(uuid.uuid5(_NAMESPACE, guest_id))[3:]


def serial_of(volume_id: str) -> str:
    """What the guest sees as the disk's serial number: the volume's id without the dash, as on EC2."""
    return volume_id.replace("-", "")


def document(guest: Guest, files: Files, nics: Sequence[Nic], accelerator: str, stylesheet: Path | None = None) -> str:
    """The domain as XML text. Raises ``StylesheetError``."""
    domain = ElementTree.Element("domain", type="kvm" if accelerator == "kvm" else "qemu")
    _text(domain, "name", guest.id)
    _text(domain, "uuid", guest_uuid(guest.id))
    _text(domain, "memory", guest.memory_mib, unit="MiB")
    _text(domain, "vcpu", guest.vcpus, placement="static")
    _identity(domain, guest)
    _boot(domain, guest, files)
    features = _child(domain, "features")
    _child(features, "acpi")
    _child(features, "apic")
    if accelerator == "kvm":
        _child(domain, "cpu", mode="host-passthrough", check="none", migratable="on")
    else:
        _text(_child(features, "tcg"), "tb-cache", 32, unit="MiB")
        _child(domain, "cpu", mode="maximum", check="none")
    _child(domain, "clock", offset="utc")
    _text(domain, "on_poweroff", "destroy")
    _text(domain, "on_reboot", "restart")
    _text(domain, "on_crash", "destroy")
    _devices(domain, guest, files, nics)
    ElementTree.indent(domain)
    text = ElementTree.tostring(domain, encoding="unicode")
    return text if stylesheet is None else _transformed(text, stylesheet)


def fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _identity(domain: ElementTree.Element, guest: Guest) -> None:
    """The firmware's tables say what EC2's say: cloud images look there before they look for the metadata service."""
    tables = _child(domain, "sysinfo", type="smbios")
    system = _child(tables, "system")
    entries = {
        "manufacturer": "Amazon EC2",
        "product": guest.metadata.instance_type,
        "serial": guest_uuid(guest.id),
        "uuid": guest_uuid(guest.id),
    }
    for name, value in entries.items():
        _text(system, "entry", value, name=name)
    board = _child(tables, "baseBoard")
    for name, value in (("manufacturer", "Amazon EC2"), ("asset", guest.id)):
        _text(board, "entry", value, name=name)


def _boot(domain: ElementTree.Element, guest: Guest, files: Files) -> None:
    boot = _child(domain, "os")
    _text(boot, "type", "hvm", arch="x86_64", machine=guest.machine)
    if files.kernel is not None:
        _text(boot, "kernel", files.kernel)
        if files.ramdisk is not None:
            _text(boot, "initrd", files.ramdisk)
        if guest.boot.command_line:
            _text(boot, "cmdline", guest.boot.command_line)
    else:
        _child(boot, "boot", dev="hd")
    _child(boot, "smbios", mode="sysinfo")


def _devices(domain: ElementTree.Element, guest: Guest, files: Files, nics: Sequence[Nic]) -> None:
    devices = _child(domain, "devices")
    _text(devices, "emulator", EMULATOR)
    for index, (disk, path) in enumerate(zip(guest.disks, files.disks, strict=True)):
        element = _child(devices, "disk", type="file", device="disk")
        _child(element, "driver", name="qemu", type="qcow2", cache="writeback", discard="unmap", detect_zeroes="unmap")
        _child(element, "source", file=str(path))
        _child(element, "target", dev=f"vd{_letters(index)}", bus="virtio")
        _text(element, "serial", serial_of(disk.volume_id))
    for nic in nics:
        element = _child(devices, "interface", type="ethernet")
        _child(element, "mac", address=nic.mac)
        _child(element, "target", dev=port_link(nic.port_id), managed="yes")
        _child(element, "model", type="virtio")
        _child(element, "mtu", size=str(nic.mtu))
    serial = _child(devices, "serial", type="file")
    _child(serial, "source", path=str(files.console), append="on")
    _child(serial, "target", type="isa-serial", port="0")
    _child(devices, "controller", type="usb", model="none")
    _child(devices, "memballoon", model="virtio")
    source = _child(_child(devices, "rng", model="virtio"), "backend", model="random")
    source.text = "/dev/urandom"


def _letters(index: int) -> str:
    """a … z, aa, ab, … as the kernel names disks."""
    name = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = chr(97 + rest) + name
    return name


def _transformed(text: str, stylesheet: Path) -> str:
    from lxml import etree  # 8 MB that a node without a stylesheet does not carry

    try:
        access = etree.XSLTAccessControl(read_network=False, write_network=False, write_file=False, create_dir=False)
        transform = etree.XSLT(etree.parse(str(stylesheet)), access_control=access)
        return str(transform(etree.fromstring(text)))
    except (etree.LxmlError, OSError) as error:
        raise StylesheetError(f"{stylesheet} can't be applied: {error}") from error


def _child(parent: ElementTree.Element, name: str, /, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, name, attributes)


def _text(parent: ElementTree.Element, name: str, text: object, /, **attributes: object) -> None:
    child = _child(parent, name, **{key: str(value) for key, value in attributes.items()})
    child.text = str(text)
