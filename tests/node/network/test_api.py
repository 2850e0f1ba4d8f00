"""The way of guests to the API: who they are is told by the node, and they reach nothing else."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mallee.fabric import origin
from mallee.fabric.document import Group
from mallee.fabric.origin import Origin
from mallee.node.network import api
from mallee.node.network.ruleset import counters
from tests.node.network.lab import OPEN, Box, Lab, identifier, network, port, rule

pytestmark = pytest.mark.node

ALL, SHUT, WEB = identifier("sg", 1), identifier("sg", 2), identifier("sg", 3)
API = "169.254.169.252"


class Cloud:
    """What listens where the cloud would: tells each caller who it is, then echoes."""

    def __init__(self, run: Path, stack: contextlib.ExitStack) -> None:
        self.run = run
        self.stack = stack
        self.seen: list[Origin] = []
        self.connections: list[socket.socket] = []
        run.mkdir(parents=True, exist_ok=True)
        self.listening = {name: self._listen(name) for name in (origin.PLAIN, origin.TLS)}

    def _listen(self, name: str) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(self.run / name))
        listening.listen(64)
        self.stack.callback(listening.close)
        threading.Thread(target=self._serve, args=(listening, name), daemon=True).start()
        return listening

    def _serve(self, listening: socket.socket, name: str) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = listening.accept()
                self.connections.append(accepted)
                threading.Thread(target=self._talk, args=(accepted, name), daemon=True).start()

    def _talk(self, accepted: socket.socket, name: str) -> None:
        with contextlib.suppress(OSError):
            head = accepted.recv(origin.HEAD, socket.MSG_WAITALL)
            found = origin.decode(accepted.recv(origin.remaining(head), socket.MSG_WAITALL))
            self.seen.append(found)
            accepted.sendall(f"{name} {found.vpc_id} {found.address}\n".encode())
            while data := accepted.recv(65536):
                accepted.sendall(data)
            accepted.shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        for name, listening in self.listening.items():
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
            (self.run / name).unlink()
        for each in self.connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def served(lab: Lab, stack: contextlib.ExitStack) -> Any:
    cloud = Cloud(lab.config.run, stack)
    a, b = port(10, "10.0.0.10", ALL, public="198.51.100.10"), port(11, "10.0.0.11", ALL)
    other = port(10, "10.0.0.10", ALL, vpc=2)  # the same address in another VPC
    groups = (Group(ALL, (OPEN,), (OPEN,)), Group(SHUT), Group(WEB, (), (rule(9, "tcp", 443, 443, cidr=f"{API}/32"),)))
    lab.apply(network((a, b), groups), network((other,), groups, vpc=2))
    return lab, cloud, groups, (lab.plug(a), lab.plug(b), lab.plug(other))


def call(box: Box, number: int = 80, timeout: float = 2.0) -> str | None:
    """Whom the cloud takes the caller for."""
    with contextlib.closing(box.socket()) as sender:
        sender.settimeout(timeout)
        with contextlib.suppress(OSError):
            sender.connect((API, number))
            return sender.recv(200).decode().strip() or None
    return None


def test_the_cloud_is_told_who_asks_whether_it_has_a_public_address_or_not(served: Any) -> None:
    lab, _, _, (a, b, other) = served
    first, second = (each.id for each in lab.desired.networks)
    assert call(a) == f"{origin.PLAIN} {first} 10.0.0.10"
    assert call(b) == f"{origin.PLAIN} {first} 10.0.0.11"
    assert call(other) == f"{origin.PLAIN} {second} 10.0.0.10"
    assert call(a, 443) == f"{origin.TLS} {first} 10.0.0.10"
    facts = lab.networks.inspect(lab.desired.networks[0].ports[0].guest_id)["api"]
    assert (facts["count"], facts["refused"], facts["last"]["why"]) == (2, 0, "passed on")


def test_nothing_else_of_the_host_is_there(served: Any, host: Box) -> None:
    _, cloud, _, (a, _, _) = served
    callers = [host.serve(number) for number in (22, 8773, 8775)]
    for number in (22, 53, 8773, 8774, 8775):
        assert call(a, number, timeout=0.2) is None
        assert not a.tcp(API, number, timeout=0.2)
    assert callers == [[], [], []] and cloud.seen == []


def test_names_of_the_regions_endpoints_lead_there(served: Any) -> None:
    lab, _, _, (a, _, _) = served
    zone = f"local-1.{lab.config.dns_suffix}"
    for name in (zone, f"ec2.{zone}", f"sts.{zone}", f"bucket.s3.{zone}"):
        assert a.resolve(name, "10.0.0.2") == [API]
    assert a.resolve(f"ec2.{zone}", "10.0.0.2", kind=28) == []  # no IPv6, and nobody else is asked
    assert a.resolve("ip-10-0-0-11.local-1.compute.internal", "10.0.0.2") == ["10.0.0.11"]


def test_what_the_groups_of_the_sender_allow(served: Any) -> None:
    lab, cloud, groups, (a, _, _) = served
    mine, other = lab.desired.networks[0].ports
    lab.apply(network((replace(mine, group_ids=(SHUT,)), other), groups))
    assert call(a, timeout=0.3) is None and cloud.seen == []
    assert a.get("/latest/meta-data/instance-id") == mine.guest_id  # as in AWS, groups don't stand before the metadata
    lab.apply(network((replace(mine, group_ids=(WEB,)), other), groups))
    assert call(a, timeout=0.3) is None and call(a, 443)


def test_who_may_send_from_any_address_is_believed_its_own_only(served: Any) -> None:
    lab, cloud, groups, (a, _, _) = served
    mine, other = lab.desired.networks[0].ports
    lab.apply(network((replace(mine, source_dest_check=False), other), groups))
    assert call(a)
    cloud.seen.clear()
    a.ip("address", "add", f"{other.ip}/32", "dev", "lo")
    for address, number in ((API, 80), ("169.254.169.254", 80)):
        sender = a.socket()
        sender.settimeout(0.3)
        sender.bind((other.ip, 0))
        with pytest.raises(OSError):
            sender.connect((address, number))
    assert cloud.seen == []
    namespace = lab.networks.vpc(lab.desired.networks[0].id).router.namespace
    assert counters(namespace)["forged"][0] >= 2
    assert call(a)


def test_bytes_go_through_whole_in_both_directions(served: Any) -> None:
    _, _, _, (a, _, _) = served
    sender = a.socket()
    sender.settimeout(10)
    sender.connect((API, 80))
    assert sender.recv(200)
    data = os.urandom(3_000_000)
    threading.Thread(target=lambda: (sender.sendall(data), sender.shutdown(socket.SHUT_WR)), daemon=True).start()
    back = bytearray()
    while piece := sender.recv(65536):
        back += piece
    assert bytes(back) == data


def test_one_guest_has_so_many_connections_and_no_more(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, _, (a, b, _) = served
    monkeypatch.setattr(api, "PER_GUEST", 5)
    held = [a.socket() for _ in range(5)]
    for each in held:
        each.connect((API, 80))
        assert each.recv(200)
    assert call(a) is None
    assert call(b)
    for each in held:
        each.close()
    limit = time.monotonic() + 3
    while call(a) is None:
        assert time.monotonic() < limit


def test_silence_ends_a_connection(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, _, (a, _, _) = served
    monkeypatch.setattr(api, "SILENCE", 0.1)
    sender = a.socket()
    sender.settimeout(5)
    sender.connect((API, 80))
    assert sender.recv(200)
    assert sender.recv(200) == b""


def test_a_cloud_that_is_away_ends_the_connection_and_is_found_again(served: Any, stack: contextlib.ExitStack) -> None:
    lab, cloud, _, (a, _, _) = served
    held = a.socket()
    held.settimeout(5)
    held.connect((API, 80))
    assert held.recv(200)
    cloud.vanish()
    with contextlib.suppress(ConnectionResetError):
        assert held.recv(200) == b""
    began = time.monotonic()
    assert call(a) is None and time.monotonic() - began < 1
    Cloud(lab.config.run, stack)
    assert call(a)


def test_what_belonged_to_a_port_ends_with_it(served: Any) -> None:
    lab, cloud, groups, (a, _, _) = served
    mine, other = lab.desired.networks[0].ports
    held = a.socket()
    held.settimeout(5)
    held.connect((API, 80))
    assert held.recv(200)
    lab.apply(network((other,), groups))
    limit = time.monotonic() + 5
    while (door := lab.networks.services._vpcs[lab.desired.networks[0].id].door).relays:
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert door.per_guest == {}
    assert cloud.seen[0].address == mine.ip
