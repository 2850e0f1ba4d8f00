"""A host, its outside, and guests, all of them network namespaces of this test: nothing touches the host's own network.

A guest is a namespace with one end of a veth pair, whose other end is handed to ``adopt_tap`` as QEMU's tap would be. Sockets are made
inside the guests' namespaces and used from the test.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mallee.fabric.document import Boot, Desired, Group, Guest, Metadata, Network, Port, Rule, Subnet
from mallee.node.config import NodeConfig
from mallee.node.network import Networks, port_link
from mallee.node.network.namespaces import Namespace, run

OPEN = Rule("sgr-0000000000000e001", "-1", cidr="0.0.0.0/0")


def identifier(prefix: str, *numbers: int) -> str:
    return f"{prefix}-{''.join(f'{number:03x}' for number in numbers):0>17}"


def rule(number: int, protocol: str = "-1", first: int = -1, last: int = -1, cidr: str | None = None, group: str | None = None) -> Rule:
    return Rule(identifier("sgr", number), protocol, first, last, cidr, group)


def metadata(**values: object) -> Metadata:
    plain = Metadata(
        account_id="123456789012",
        image_id="ami-0123456789abcdef0",
        instance_type="t3.nano",
        reservation_id="r-0123456789abcdef0",
        launch_index=0,
        hostname="ip-10-0-0-10.local-1.compute.internal",
        region="local-1",
        zone="local-1a",
        zone_id="lcl1-az1",
        launched_at="2025-03-01T12:00:00.123456+00:00",
        security_groups=("default",),
        block_devices={"ami": "xvda", "root": "/dev/xvda"},
    )
    return replace(plain, **values)


def guest_of(guest_id: str, port_ids: tuple[str, ...], **values: object) -> Guest:
    return Guest(guest_id, 1, "on", 0, 1, 512, (), Boot(), metadata(**values), port_ids=port_ids)


def port(number: int, ip: str, *groups: str, vpc: int = 1, public: str | None = None, subnet: int = 1, **values: object) -> Port:
    name = f"ip-{ip.replace('.', '-')}.local-1.compute.internal"
    plain = Port(
        id=identifier("eni", vpc, number),
        guest_id=identifier("i", vpc, number),
        device_index=0,
        mac=f"02:ab:{vpc:02x}:00:{number >> 8:02x}:{number & 255:02x}",
        ip=ip,
        subnet_id=identifier("subnet", vpc, subnet),
        group_ids=groups,
        public_ip=public,
        private_hostname=name,
        public_hostname=f"ec2-{public.replace('.', '-')}.local-1.compute.amazonaws.com" if public else "",
    )
    return replace(plain, **values)


def network(ports: tuple[Port, ...], groups: tuple[Group, ...], vpc: int = 1, prefix: str = "10.0", subnets: tuple[Subnet, ...] = ()) -> Network:
    plain = (Subnet(identifier("subnet", vpc, 1), f"{prefix}.0.0/24", f"{prefix}.0.1"),)
    members: dict[str, list[str]] = {}
    for each in ports:
        for group_id in each.group_ids:
            members.setdefault(group_id, []).append(each.ip)
    return Network(
        id=identifier("vpc", vpc),
        vni=1000 + vpc,
        cidrs=(f"{prefix}.0.0/16",),
        dns=f"{prefix}.0.2",
        domain="local-1.compute.internal",
        subnets=subnets or plain,
        ports=ports,
        groups=tuple(replace(group, members=group.members or tuple(members.get(group.id, ()))) for group in groups),
        hosts={each.private_hostname: each.ip for each in ports},
    )


@dataclass
class Lab:
    """One cloud on one host."""

    tag: str
    config: NodeConfig
    host: Namespace
    networks: Networks
    stack: contextlib.ExitStack
    desired: Desired

    @classmethod
    def make(
        cls, stack: contextlib.ExitStack, home: Path, host: Namespace, pool: str = "198.51.100.0/24", egress: str = "none", **more: Path
    ) -> Lab:
        tag = secrets.token_hex(2)
        config = NodeConfig(home / tag, tag, "node-1", "local-1a", "local-1", (pool,), egress)
        lab = cls(tag, config, host, Networks(config, host.name, **more), stack, Desired("node-1", 0, "local-1", "local-1a", (pool,)))
        stack.callback(lab.destroy)
        lab.networks.ensure_node_namespace()
        return lab

    def destroy(self) -> None:
        self.networks.teardown()

    def apply(self, *networks: Network, guests: tuple[Guest, ...] | None = None) -> None:
        if guests is None:
            guests = tuple(guest_of(each.guest_id, (each.id,)) for network in networks for each in network.ports)
        self.desired = replace(self.desired, generation=self.desired.generation + 1, networks=networks, guests=guests)
        assert self.networks.apply(self.desired) == []

    def restart(self) -> None:
        """The agent ends and another one starts."""
        self.networks.close()
        self.networks = Networks(self.config, self.host.name)
        self.networks.ensure_node_namespace()

    def plug(self, port: Port, address: bool = True) -> Box:
        """A guest for this port, plugged in; with its address set by hand, or none."""
        box = Box.make(self.stack, f"mlt-{self.tag}-{port.id[-6:]}")
        node = f"mle-{self.tag}-node"
        name = port_link(port.id)
        run(["ip", "-n", node, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(box.namespace.name), "address", port.mac])
        box.ip("link", "set", "eth0", "up")
        self.networks.adopt_tap(port.id, name)
        if address:
            box.ip("address", "add", f"{port.ip}/24", "dev", "eth0")
            box.ip("route", "add", "default", "via", port.ip.rsplit(".", 1)[0] + ".1")
        return box


@dataclass
class Box:
    """A namespace to send from and listen in."""

    namespace: Namespace
    stack: contextlib.ExitStack

    @classmethod
    def make(cls, stack: contextlib.ExitStack, name: str) -> Box:
        namespace = Namespace(name)
        namespace.create()
        stack.callback(namespace.delete)
        box = cls(namespace, stack)
        box.ip("link", "set", "lo", "up")
        return box

    def ip(self, *words: str) -> str:
        return run(["ip", "-n", str(self.namespace.name), *words])

    def run(self, *words: str) -> str:
        return self.namespace.run(list(words))

    def socket(self, kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET, protocol: int = 0) -> socket.socket:
        with self.namespace.inside():
            made = socket.socket(family, kind, protocol)
        made.settimeout(2)
        self.stack.callback(made.close)
        return made

    def serve(self, port: int, ip: str = "0.0.0.0") -> list[str]:
        """Answers every TCP connection with "hello"; returns the list of who has called."""
        listener = self.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ip, port))
        listener.listen()
        listener.settimeout(None)
        callers: list[str] = []

        def loop() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted, address = listener.accept()
                    callers.append(address[0])
                    with accepted, contextlib.suppress(OSError):
                        accepted.sendall(b"hello")

        threading.Thread(target=loop, daemon=True).start()
        self.stack.callback(listener.shutdown, socket.SHUT_RDWR)
        return callers

    def echo_udp(self, port: int) -> None:
        listener = self.socket(socket.SOCK_DGRAM)
        listener.bind(("0.0.0.0", port))
        listener.settimeout(None)

        def loop() -> None:
            with contextlib.suppress(OSError):
                while True:
                    data, address = listener.recvfrom(2048)
                    listener.sendto(data, address)

        threading.Thread(target=loop, daemon=True).start()

    def udp(self, ip: str, port: int, timeout: float = 0.4) -> bool:
        with contextlib.closing(self.socket(socket.SOCK_DGRAM)) as sender:
            sender.settimeout(timeout)
            with contextlib.suppress(OSError):
                sender.connect((ip, port))
                sender.send(b"anyone")
                return sender.recv(100) == b"anyone"
        return False

    def tcp(self, ip: str, port: int, timeout: float = 0.6) -> bool:
        """Whether "hello" comes back."""
        with contextlib.closing(self.socket()) as sender:
            sender.settimeout(timeout)
            with contextlib.suppress(OSError):
                sender.connect((ip, port))
                return sender.recv(100) == b"hello"
        return False

    def ping(self, ip: str, timeout: float = 0.4, source: str = "") -> bool:
        with contextlib.closing(Pinger(self, source)) as pinger:
            return pinger.ping(ip, timeout)

    def http(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes, dict[str, str]]:
        lines = [f"{method} {path} HTTP/1.1", "Host: 169.254.169.254", *(f"{key.replace('_', '-')}: {value}" for key, value in headers.items())]
        return self.raw_http("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def raw_http(self, data: bytes) -> tuple[int, bytes, dict[str, str]]:
        with contextlib.closing(self.socket()) as sender:
            sender.connect(("169.254.169.254", 80))
            sender.sendall(data)
            answer = b""
            while piece := sender.recv(65536):
                answer += piece
        head, _, content = answer.partition(b"\r\n\r\n")
        status, *rest = head.decode().split("\r\n")
        return int(status.split(" ")[1]), content, {key.lower(): value for key, _, value in (line.partition(": ") for line in rest)}

    def get(self, path: str, **headers: str) -> str:
        status, body, _ = self.http("GET", path, **headers)
        assert status == 200, f"{path}: {status}"
        return body.decode()

    def resolve(self, name: str, server: str, kind: int = 1, timeout: float = 1.0) -> list[str] | int:
        """The A or PTR records of a name, or the response code of the refusal."""
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        with contextlib.closing(self.socket(socket.SOCK_DGRAM)) as sender:
            sender.settimeout(timeout)
            sender.sendto(struct.pack("!6H", 77, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1), (server, 53))
            answer = sender.recv(2048)
        _, flags, _, count, _, _ = struct.unpack_from("!6H", answer)
        if flags & 15:
            return flags & 15
        at, found = 12 + len(labels) + 5, []
        for _ in range(count):
            at += 2
            found_kind, _, _, length = struct.unpack_from("!2HIH", answer, at)
            data = answer[at + 10 : at + 10 + length]
            at += 10 + length
            found.append(socket.inet_ntoa(data) if found_kind == 1 else _name(answer, data))
        return found


def _name(message: bytes, data: bytes) -> str:
    labels, at = [], 0
    source = data
    while at < len(source) and source[at]:
        if source[at] >= 192:
            source, at = message, struct.unpack_from("!H", source, at)[0] & 0x3FFF
            continue
        labels.append(source[at + 1 : at + 1 + source[at]].decode())
        at += 1 + source[at]
    return ".".join(labels)


class Pinger:
    """ICMP echo from a box."""

    def __init__(self, box: Box, source: str = "") -> None:
        self.socket = box.socket(socket.SOCK_RAW, protocol=socket.IPPROTO_ICMP)
        if source:
            self.socket.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
            self.socket.bind((source, 0))
        self.number = secrets.randbelow(65536)
        self.sequence = 0

    def close(self) -> None:
        self.socket.close()

    def ping(self, ip: str, timeout: float = 0.4) -> bool:
        self.sequence += 1
        message = struct.pack("!BBHHH", 8, 0, 0, self.number, self.sequence)
        total = sum(struct.unpack("!4H", message))
        total = (total & 0xFFFF) + (total >> 16)
        try:
            self.socket.sendto(message[:2] + struct.pack("!H", ~total & 0xFFFF) + message[4:], (ip, 0))
        except OSError:
            return False
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                answer = self.socket.recv(1500)
            except OSError:
                return False
            if answer[20] == 0 and struct.unpack_from("!HH", answer, 24) == (self.number, self.sequence):
                return True
        return False


@contextlib.contextmanager
def pinging(box: Box, ip: str, every: float = 0.005) -> Iterator[dict[str, int]]:
    """Pings all the while; counts what was sent and what came back."""
    counts = {"sent": 0, "answered": 0}
    stop = threading.Event()
    pinger = Pinger(box)

    def loop() -> None:
        while not stop.is_set():
            counts["sent"] += 1
            counts["answered"] += pinger.ping(ip, 2)
            time.sleep(every)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield counts
    finally:
        stop.set()
        thread.join(5)
        pinger.close()


def traces(tag: str, *others: str) -> dict[str, str]:
    """All that a cloud with this tag could leave behind on the real host: the lines that name it, or one of the others."""
    commands = {
        "links": "ip -o link",
        "namespaces": "ls /run/netns 2>/dev/null",
        "tables": "nft list ruleset",
        "routes": "ip route show table all",
        "rules": "ip rule",
        "processes": "ps -eo comm=,args= | grep ^dnsmasq",
        "runtime": "find /run/mallee 2>/dev/null",
    }
    found = {name: subprocess.run(["sh", "-c", command], capture_output=True, text=True).stdout for name, command in commands.items()}
    wanted = (tag, *others)
    return {name: "\n".join(line for line in text.splitlines() if any(word in line for word in wanted)) for name, text in found.items()}
