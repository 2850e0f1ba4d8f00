"""Guests without a cloud: QEMU started directly, with the files, the devices and the network services that Mallee's guests have.

They are the reference of the launch tests. Network, DHCP and metadata are there before anything is timed; what is timed is what
nobody can do without: the overlay, QEMU, and the guest's own boot.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from mallee.fabric.document import Boot, Desired, Group, Guest, Metadata, Network, Port, Rule, Subnet
from mallee.node.config import NodeConfig
from mallee.node.network import Networks, port_link
from mallee.node.network.namespaces import Namespace, router_namespace
from mallee.node.starter import StarterImage

READY = b"mallee-ready"
VPC, SUBNET, GROUP = "vpc-00000000000000ba1", "subnet-00000000000000ba1", "sg-00000000000000ba1"
POLL = 0.01
KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode() + " bare"


class Bare:
    """``count`` guests of ``memory_mib`` and one processor each, that can be booted any number of times."""

    def __init__(self, home: Path, image: StarterImage, memory_mib: int, count: int) -> None:
        self.home, self.image, self.memory_mib = home, image, memory_mib
        tag = hashlib.sha1(str(home).encode()).hexdigest()[:4]
        pool = f"100.{64 + int(tag[:2], 16) % 64}.{int(tag[2:], 16)}.0/24"
        self.networks = Networks(NodeConfig(home, tag, "node-bare", "bare-1a", "bare-1", (pool,), "none"))
        self.namespace = Namespace(router_namespace(tag, VPC))
        self.ports = [_port(number) for number in range(count)]
        self.running: list[subprocess.Popen[bytes]] = []

    def set_up(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.networks.ensure_node_namespace()
        rules = (Rule("sgr-00000000000000ba1", "-1", cidr="0.0.0.0/0"),)
        group = Group(GROUP, rules, rules, tuple(port.ip for port in self.ports))
        subnet = Subnet(SUBNET, "172.31.0.0/20", "172.31.0.1")
        network = Network(
            VPC, 4242, ("172.31.0.0/16",), "172.31.0.2", "bare-1.compute.internal", (subnet,), tuple(self.ports), (group,)
        )
        guests = tuple(_guest(port, self.memory_mib) for port in self.ports)
        faults = self.networks.apply(Desired("node-bare", 1, "bare-1", "bare-1a", (), (network,), guests))
        assert not faults, faults
        for port in self.ports:
            self.namespace.run(["ip", "tuntap", "add", port_link(port.id), "mode", "tap"])
            self.networks.adopt_tap(port.id, port_link(port.id))

    def tear_down(self) -> None:
        self.end()
        self.networks.teardown()

    def console(self, port: Port) -> Path:
        return self.home / f"{port.guest_id}.console"

    def start(self, port: Port) -> None:
        """A fresh overlay, and QEMU on it."""
        disk = self.home / f"{port.guest_id}.qcow2"
        console = self.console(port)
        console.unlink(missing_ok=True)
        disk.unlink(missing_ok=True)
        make = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(self.image.root.path), "-F", "qcow2", str(disk), "1G"]
        subprocess.run(make, check=True)
        with self.namespace.inside():
            self.running.append(subprocess.Popen(self._command(port, disk, console), stdin=subprocess.DEVNULL))

    def _command(self, port: Port, disk: Path, console: Path) -> list[str]:
        image, serial = self.image, f"vol{port.guest_id[2:]}"
        words = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc", "-cpu", "max"]
        words += ["-accel", "tcg,tb-size=32", "-m", str(self.memory_mib), "-smp", "1", "-rtc", "base=utc"]
        words += ["-smbios", "type=1,manufacturer=Amazon EC2,product=t2.nano"]
        words += ["-smbios", f"type=2,manufacturer=Amazon EC2,asset={port.guest_id}"]
        words += ["-kernel", str(image.kernel.path), "-initrd", str(image.ramdisk.path), "-append", image.command_line]
        words += ["-drive", f"file={disk},format=qcow2,if=none,id=disk0,discard=unmap,detect-zeroes=unmap"]
        words += ["-device", f"virtio-blk-pci,drive=disk0,serial={serial}"]
        words += ["-netdev", f"tap,id=net0,ifname={port_link(port.id)},script=no,downscript=no,vhost=off"]
        words += ["-device", f"virtio-net-pci,netdev=net0,mac={port.mac},host_mtu=1500"]
        words += ["-chardev", f"file,id=serial0,path={console}", "-device", "isa-serial,chardev=serial0"]
        words += ["-device", "virtio-balloon-pci", "-object", "rng-random,id=rng0,filename=/dev/urandom"]
        return [*words, "-device", "virtio-rng-pci,rng=rng0"]

    def end(self) -> None:
        for qemu in self.running:
            qemu.kill()
        for qemu in self.running:
            qemu.wait(30)
        self.running.clear()

    def boot(self, count: int = 1) -> float:
        """Seconds from nothing until the last of ``count`` guests, started at once, says that it is ready."""
        ports = self.ports[:count]
        started = time.perf_counter()
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(self.start, ports))
        seconds = ready([self.console(port) for port in ports], started)
        self.end()
        return seconds


def ready(consoles: Sequence[Path], started: float, most: float = 240) -> float:
    """Seconds since ``started`` until every one of these consoles has the ready line."""
    waiting = list(consoles)
    while waiting:
        waiting = [path for path in waiting if not _says_ready(path)]
        seconds = time.perf_counter() - started
        assert seconds < most, f"not ready: {waiting}"
        if waiting:
            time.sleep(POLL)
    return seconds


def _says_ready(console: Path) -> bool:
    try:
        return READY in console.read_bytes()
    except FileNotFoundError:
        return False


@contextmanager
def bare(home: Path, image: StarterImage, memory_mib: int, count: int) -> Iterator[Bare]:
    guests = Bare(home, image, memory_mib, count)
    try:
        guests.set_up()
        yield guests
    finally:
        guests.tear_down()


def _port(number: int) -> Port:
    ip = f"172.31.0.{10 + number}"
    name = f"ip-{ip.replace('.', '-')}.bare-1.compute.internal"
    digits = f"{number:017x}"
    return Port(f"eni-{digits}", f"i-{digits}", 0, f"0a:00:00:00:0b:{number:02x}", ip, SUBNET, (GROUP,), None, name)


def _guest(port: Port, memory_mib: int) -> Guest:
    metadata = Metadata(
        account_id="123456789012",
        image_id="ami-00000000000000ba1",
        instance_type="t2.nano",
        reservation_id="r-00000000000000ba1",
        launch_index=0,
        hostname=port.private_hostname,
        region="bare-1",
        zone="bare-1a",
        zone_id="bar1-az1",
        launched_at="2026-01-01T00:00:00Z",
        key_name="bare",
        public_key=KEY,
        security_groups=("default",),
    )
    return Guest(port.guest_id, 1, "on", 0, 1, memory_mib, (), Boot(), metadata, port_ids=(port.id,))
