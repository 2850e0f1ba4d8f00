"""Security groups and the anti-spoofing of ports, with real packets."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from mallee.fabric.document import Group
from mallee.node.network import NetworkError
from tests.node.network.lab import OPEN, identifier, network, port, rule

pytestmark = pytest.mark.node

WEB, BACK = identifier("sg", 1), identifier("sg", 2)


def two(lab, *ingress, egress=(OPEN,), sender=(OPEN,)):
    """A (group WEB) may send; B (group BACK) receives by these rules."""
    a, b = port(10, "10.0.0.10", WEB), port(11, "10.0.0.11", BACK)
    groups = (Group(WEB, egress=tuple(sender)), Group(BACK, tuple(ingress), tuple(egress)))
    lab.apply(network((a, b), groups))
    return a, b


def test_a_cidr_and_a_port_range_let_in_just_that(lab):
    a, b = two(lab, rule(1, "tcp", 8080, 8081, cidr="10.0.0.0/28"))
    sender, receiver = lab.plug(a), lab.plug(b)
    for number in (8080, 8081, 8082):
        receiver.serve(number)
    assert sender.tcp(b.ip, 8080)
    assert sender.tcp(b.ip, 8081)
    assert not sender.tcp(b.ip, 8082)
    assert not sender.ping(b.ip)
    two(lab, rule(1, "tcp", 8080, 8081, cidr="10.0.0.64/28"))
    assert not sender.tcp(b.ip, 8080)


def test_a_group_as_peer_lets_in_its_members(lab):
    a, b = two(lab, rule(1, "tcp", 8080, 8080, group=WEB))
    stranger = port(12, "10.0.0.12", BACK)
    sender, receiver = lab.plug(a), lab.plug(b)
    receiver.serve(8080)
    assert sender.tcp(b.ip, 8080)
    groups = lab.desired.networks[0].groups
    lab.apply(network((a, b, stranger), tuple(replace(group, members=()) for group in groups)))
    guest = lab.plug(stranger)
    assert not guest.tcp(b.ip, 8080)
    joined = replace(stranger, group_ids=(WEB,))
    lab.apply(network((a, b, joined), tuple(replace(group, members=()) for group in groups)))
    assert guest.tcp(b.ip, 8080)


def test_udp_and_icmp_rules(lab):
    a, b = two(lab, rule(1, "udp", 5000, 5000, cidr="0.0.0.0/0"))
    sender, receiver = lab.plug(a), lab.plug(b)
    receiver.echo_udp(5000)
    receiver.echo_udp(5001)
    assert sender.udp(b.ip, 5000)
    assert not sender.udp(b.ip, 5001)
    assert not sender.ping(b.ip)
    two(lab, rule(2, "icmp", 8, -1, cidr="0.0.0.0/0"))
    assert sender.ping(b.ip)
    assert not sender.udp(b.ip, 5000)
    two(lab, rule(3, "icmp", 13, -1, cidr="0.0.0.0/0"))
    assert not sender.ping(b.ip)


def test_egress_rules_hold_the_sender(lab):
    a, b = two(lab, OPEN, sender=(rule(5, "tcp", 8080, 8080, cidr="10.0.0.11/32"),))
    sender, receiver = lab.plug(a), lab.plug(b)
    receiver.serve(8080)
    receiver.serve(8081)
    assert sender.tcp(b.ip, 8080)
    assert not sender.tcp(b.ip, 8081)
    assert not sender.ping(b.ip)


def test_a_tracked_connection_outlives_its_rule_and_a_new_one_does_not_begin(lab):
    a, b = two(lab, rule(1, "tcp", 8080, 8080, cidr="0.0.0.0/0"))
    sender, receiver = lab.plug(a), lab.plug(b)
    listener = receiver.socket()
    listener.bind(("0.0.0.0", 8080))
    listener.listen()
    connection = sender.socket()
    connection.connect((b.ip, 8080))
    accepted, _ = listener.accept()
    two(lab)
    accepted.sendall(b"still here")
    assert connection.recv(100) == b"still here"
    assert not sender.tcp(b.ip, 8080)
    accepted.close()


def test_the_connection_of_a_port_that_went_is_not_inherited(lab):
    a, b = two(lab, rule(1, "tcp", 8080, 8080, cidr="0.0.0.0/0"))
    sender, receiver = lab.plug(a), lab.plug(b)
    listener = receiver.socket()
    listener.bind(("0.0.0.0", 8080))
    listener.listen()
    connection = sender.socket()
    connection.connect((b.ip, 8080))
    accepted, _ = listener.accept()
    successor = replace(b, id=identifier("eni", 1, 99), guest_id=identifier("i", 1, 99))
    lab.apply(network((a, successor), lab.desired.networks[0].groups))
    assert lab.networks.vpc(identifier("vpc", 1)).router.namespace.netlink.forget_connections({b.ip}) == 0
    accepted.close()


def test_a_port_sends_only_from_its_own_address_and_mac(lab):
    a, b = two(lab, OPEN)
    sender, receiver = lab.plug(a), lab.plug(b)
    assert sender.ping(b.ip)
    sender.ip("address", "add", "10.0.0.77/24", "dev", "eth0")
    assert not sender.ping(b.ip, source="10.0.0.77")
    assert sender.ping(b.ip, source=a.ip)
    sender.ip("link", "set", "eth0", "address", "02:66:66:66:66:66")
    sender.ip("neigh", "replace", "10.0.0.11", "lladdr", "02:00:00:00:00:01", "dev", "eth0")
    assert not sender.ping(b.ip)
    dropped = lab.networks.inspect(a.guest_id)["ports"][0]["dropped"]
    assert dropped["spoofed"]["packets"] >= 2
    assert receiver.ping("10.0.0.1")


def test_arp_for_another_address_leaves_no_trace(lab):
    a, b = two(lab, OPEN)
    sender, _ = lab.plug(a), lab.plug(b)
    raw = sender.socket(socket.SOCK_RAW, socket.AF_PACKET, socket.htons(0x0806))
    raw.bind(("eth0", 0))
    mac = bytes.fromhex(a.mac.replace(":", ""))
    claim = b"\xff" * 6 + mac + b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01" + mac + socket.inet_aton(b.ip) + bytes(6) + socket.inet_aton("10.0.0.1")
    raw.send(claim)
    assert sender.ping(b.ip)
    router = lab.networks.vpc(identifier("vpc", 1)).router.namespace.netlink
    assert [each.mac for each in router.neighbours() if each.ip == b.ip] == [b.mac]


def test_without_a_check_of_the_source_a_port_may_forward(lab):
    a, b = two(lab, OPEN)
    free = replace(a, source_dest_check=False)
    lab.apply(network((free, b), lab.desired.networks[0].groups))
    sender, receiver = lab.plug(free), lab.plug(b)
    seen = receiver.socket(socket.SOCK_RAW, socket.AF_PACKET, socket.htons(0x0800))
    seen.settimeout(1)
    sender.ip("address", "add", "192.0.2.55/32", "dev", "eth0")
    sender.ping(b.ip, timeout=0.05, source="192.0.2.55")
    assert any(seen.recv(2000)[26:30] == socket.inet_aton("192.0.2.55") for _ in range(3))


def test_an_address_without_a_port_is_unreachable_and_the_gateway_answers(lab):
    a, _ = two(lab, OPEN)
    sender = lab.plug(a)
    assert sender.ping("10.0.0.1")
    assert not sender.ping("10.0.0.200", timeout=0.2)


def test_connections_from_the_router_pass_the_groups(lab):
    a, b = two(lab, rule(1, "tcp", 22, 22, cidr="10.0.0.1/32"))
    lab.plug(a)
    receiver = lab.plug(b)
    callers = receiver.serve(22)
    receiver.serve(23)
    with lab.networks.connect(b.guest_id, 22, timeout=1) as connection:
        assert connection.recv(10) == b"hello"
    assert callers == ["10.0.0.1"]
    with pytest.raises(OSError):
        lab.networks.connect(b.guest_id, 23, timeout=0.3)
    with pytest.raises(NetworkError):
        lab.networks.connect("i-0000000000000ffff", 22)


def test_counters_name_the_rule(lab):
    a, b = two(lab, rule(1, "tcp", 8080, 8080, cidr="0.0.0.0/0"), rule(2, "tcp", 9, 9, cidr="0.0.0.0/0"))
    sender, receiver = lab.plug(a), lab.plug(b)
    receiver.serve(8080)
    assert sender.tcp(b.ip, 8080)
    assert not sender.tcp(b.ip, 8081, timeout=0.1)
    facts = lab.networks.inspect(b.guest_id)["ports"][0]
    ingress = facts["groups"][BACK]["ingress"]
    assert ingress[identifier("sgr", 1)]["packets"] == 1
    assert ingress[identifier("sgr", 2)]["packets"] == 0
    assert facts["dropped"]["ingress"]["packets"] == 1
