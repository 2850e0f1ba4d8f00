"""Coming, changing, going: what apply touches and what it leaves alone."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import struct
import time
from pathlib import Path

import pytest

from mallee.fabric.document import Desired, Group
from mallee.node.network import NetworkError, port_link
from mallee.node.network.names import processes, runtime_folder
from mallee.node.network.namespaces import Namespace
from tests.node.network.lab import OPEN, Lab, identifier, network, pinging, port, rule, traces

pytestmark = pytest.mark.node

ALL, MORE = identifier("sg", 1), identifier("sg", 2)
GROUPS = (Group(ALL, (OPEN,), (OPEN,)),)
VPC = identifier("vpc", 1)
TUNSETIFF, TUNSETPERSIST, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x400454CB, 0x0002, 0x1000


def pair():
    return port(10, "10.0.0.10", ALL, public="198.51.100.10"), port(11, "10.0.0.11", ALL)


@contextlib.contextmanager
def tap(lab, name):
    """A tap in the node's namespace, held open as QEMU holds it."""
    with lab.networks.edge.node.inside():
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def kill_resolvers(lab):
    for process in processes(runtime_folder(lab.tag)):
        os.kill(process.pid, signal.SIGKILL)
    while processes(runtime_folder(lab.tag)):
        time.sleep(0.01)


def test_a_tap_that_somebody_holds_open_becomes_the_port_and_carries_frames(lab):
    a, b = pair()
    lab.apply(network((a, b), GROUPS))
    other = lab.plug(b)
    router = lab.networks.vpc(VPC).router.namespace
    with tap(lab, port_link(a.id)) as descriptor:
        lab.networks.adopt_tap(a.id, port_link(a.id))
        lab.networks.adopt_tap(a.id, port_link(a.id))
        facts = lab.networks.inspect(a.guest_id)["ports"][0]
        assert facts["tap"]["kind"] == "tun" and facts["tap"]["up"] and facts["tap"]["carrier"]
        assert facts["route"] and facts["neighbour"]["permanent"]
        assert lab.networks.edge.node.netlink.link(port_link(a.id)) is None
        other.ping(a.ip, timeout=0.2)
        frames = []
        with contextlib.suppress(BlockingIOError):
            while True:
                frames.append(os.read(descriptor, 2000))
        pings = [frame for frame in frames if frame[12:14] == b"\x08\x00" and frame[23] == 1]
        assert pings and pings[0][:6] == bytes.fromhex(a.mac.replace(":", "")) and pings[0][6:12] == bytes.fromhex("020000000001")
        lab.apply(network((a, b), GROUPS))
    assert router.netlink.link(port_link(a.id)) is None, "a tap ends with the last who held it"
    with tap(lab, "tap-of-another") as descriptor:
        lab.networks.adopt_tap(a.id, "tap-of-another")
        assert router.netlink.link(port_link(a.id)) is not None
        lab.networks.drop_port(a.id)
        lab.networks.drop_port(a.id)
        assert router.netlink.link(port_link(a.id)) is None


def test_what_is_not_there_or_not_in_the_document_is_not_adopted(lab):
    a, b = pair()
    lab.apply(network((a,), GROUPS))
    with pytest.raises(NetworkError, match="there is no link"):
        lab.networks.adopt_tap(a.id, port_link(a.id))
    with pytest.raises(NetworkError, match="not in the document"):
        lab.networks.adopt_tap(b.id, port_link(b.id))


def test_changes_are_small_and_cost_unchanged_guests_nothing(lab):
    a, b = pair()
    lab.apply(network((a, b), GROUPS))
    one, _ = lab.plug(a), lab.plug(b)
    rules = lab.networks.vpc(VPC).rules
    wholes = rules.wholes
    assert one.ping(b.ip)
    with pinging(one, b.ip) as counts:
        for number in range(25):
            extra = tuple(port(100 + each, f"10.0.0.{100 + each}", ALL, MORE) for each in range(number % 5))
            groups = (*GROUPS, Group(MORE, (rule(number, "tcp", number, number + 1, group=ALL),), (OPEN,)))
            lab.apply(network((a, b, *extra), groups))
        lab.apply(network((a, b), GROUPS))
    assert counts["sent"] == counts["answered"] > 20
    assert rules.wholes == wholes and rules.differences >= 25


def test_replacing_the_whole_costs_a_packet_on_its_way_at_most(lab):
    a, b = pair()
    lab.apply(network((a, b), GROUPS))
    one, _ = lab.plug(a), lab.plug(b)
    vpc = lab.networks.vpc(VPC)
    with pinging(one, b.ip) as counts:
        for number in range(10):
            vpc.router.namespace.run(["nft", "-f", "-"], f"delete chain inet vpc applied-{vpc.rules._ruleset.digest()}")
            lab.apply(network((a, b), (Group(ALL, (OPEN, rule(number, "tcp", 1, 2, cidr="0.0.0.0/0")), (OPEN,)),)))
    assert counts["sent"] - counts["answered"] <= 1 and counts["answered"] > 5
    assert vpc.rules.wholes == 11


def test_a_new_agent_takes_over_what_runs(lab):
    a, b = pair()
    lab.apply(network((a, b), GROUPS))
    one, _ = lab.plug(a), lab.plug(b)
    names = {each.pid for each in processes(runtime_folder(lab.tag))}
    status, token, _ = one.http("PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60")
    with pinging(one, b.ip) as counts:
        for _ in range(3):
            lab.restart()
            lab.apply(network((a, b), GROUPS))
            assert lab.networks.vpc(VPC).rules.wholes == 0
            assert lab.networks.edge._host_rules.wholes == lab.networks.edge._node_rules.wholes == 0
            assert one.get("/latest/meta-data/instance-id") == a.guest_id
    assert counts["sent"] == counts["answered"] > 5
    assert {each.pid for each in processes(runtime_folder(lab.tag))} == names
    assert status == 200 and one.http("GET", "/latest/meta-data/", X_aws_ec2_metadata_token=token.decode())[0] == 200
    lab.restart()
    lab.apply(network((a, b), (Group(ALL, (), (OPEN,)),)))
    assert not one.ping(b.ip, timeout=0.2), "a change while no agent ran is applied"


def test_a_new_agent_removes_what_is_no_longer_desired(lab):
    a, b = pair()
    c = port(10, "10.0.0.10", ALL, vpc=2)
    lab.apply(network((a, b), GROUPS), network((c,), GROUPS, vpc=2))
    one, two = lab.plug(a), lab.plug(b)
    assert one.ping(b.ip)
    lab.restart()
    lab.apply(network((a,), GROUPS))
    found = lab.networks.audit()
    assert set(found["namespaces"]) == {f"mle-{lab.tag}-node", f"mle-{lab.tag}-{VPC[4:]}"}
    router = found["namespaces"][f"mle-{lab.tag}-{VPC[4:]}"]
    assert router["ports"] == [port_link(a.id)]
    assert not any(b.ip in element for element in router["tables"]["inet vpc"]["sets"]["senders"])
    assert [each["network"] for each in found["processes"]] == [VPC]
    with pytest.raises(NetworkError):
        two.ip("link", "show", "eth0")


def test_interference_is_repaired(lab, host):
    a, b = pair()
    lab.apply(network((a, b), GROUPS))
    one, _ = lab.plug(a), lab.plug(b)
    one.serve(22)
    vpc = lab.networks.vpc(VPC)
    router = vpc.router.namespace
    router.run(["nft", "flush", "ruleset"])
    router.run(["ip", "route", "del", f"{b.ip}/32"])
    router.run(["ip", "rule", "del", "pref", "1001"])
    router.run(["ip", "address", "del", "10.0.0.1/32", "dev", "lo"])
    lab.networks.edge.node.run(["ip", "route", "del", "198.51.100.10/32"])
    lab.networks.edge.node.run(["ip", "link", "del", vpc.router.uplink])
    host.namespace.run(["nft", "flush", "ruleset"])
    kill_resolvers(lab)
    lab.restart()
    lab.apply(network((a, b), GROUPS))
    assert one.ping(b.ip) and host.tcp("198.51.100.10", 22)
    assert one.resolve(b.private_hostname, "10.0.0.2") == [b.ip]
    assert f"mallee_{lab.tag}" in host.run("nft", "list", "tables")


def test_a_lost_router_namespace_is_made_again(lab, host):
    a, b = pair()
    lab.apply(network((a, b), GROUPS))
    guest = lab.plug(a)
    kill_resolvers(lab)
    host.run("ip", "netns", "delete", f"mle-{lab.tag}-{VPC[4:]}")
    lab.apply(network((a, b), GROUPS))
    with contextlib.suppress(NetworkError):  # the kernel may be quicker: it ends with the lost namespace
        guest.ip("link", "delete", "eth0")
    one = lab.plug(a)
    assert one.ping("10.0.0.1") and one.get("/latest/meta-data/instance-id") == a.guest_id
    assert host.ping("198.51.100.10")


def test_one_network_that_fails_leaves_the_others_working(lab):
    a, b = pair()
    broken = network((port(10, "10.0.0.10", ALL, vpc=2),), (Group(ALL, (rule(1, "nonsense", cidr="0.0.0.0/0"),), ()),), vpc=2)
    desired = Desired("node-1", 9, "local-1", "local-1a", lab.config.public_pool, (broken, network((a, b), GROUPS)))
    faults = lab.networks.apply(desired)
    assert [(fault.code, fault.subject) for fault in faults] == [("network-failed", identifier("vpc", 2))]
    assert "nonsense" in faults[0].cause
    one, _ = lab.plug(a), lab.plug(b)
    assert one.ping(b.ip)


def test_the_audit_is_plain_data_with_everything_in_it(lab, host):
    a, b = pair()
    lab.apply(network((a, b), GROUPS))
    lab.plug(a)
    found = json.loads(json.dumps(lab.networks.audit()))
    assert found["host"]["link"]["name"] == f"mle-{lab.tag}"
    assert {route["to"] for route in found["host"]["routes"]} >= {"198.51.100.0/24"}
    assert list(found["host"]["tables"]) == [f"inet mallee_{lab.tag}"]
    router = found["namespaces"][f"mle-{lab.tag}-{VPC[4:]}"]
    sets = router["tables"]["inet vpc"]["sets"]
    assert f"{port_link(a.id)} . {a.mac} . {a.ip}" in sets["senders"]
    assert "198.51.100.10 : 10.0.0.10" in sets["public_in"]
    assert any(route["to"] == "10.0.0.10/32" and route["link"] == port_link(a.id) for route in router["routes"])


def test_teardown_leaves_nothing_on_the_host(stack, host, tmp_path):
    host.namespace.set(ipv4__ip_forward=0)

    def state():
        inside = "ip -o link | cut -d: -f2; ip route show table all; ip rule; nft list ruleset; cat /proc/sys/net/ipv4/ip_forward"
        return host.run("sh", "-c", inside)

    before = state()
    lab = Lab.make(stack, tmp_path, host.namespace, egress="nat")
    a, b = pair()
    lab.apply(network((a, b), GROUPS), network((port(10, "10.0.0.10", ALL, vpc=2),), GROUPS, vpc=2))
    assert host.namespace.get("ipv4/ip_forward") == 1
    assert state() != before
    here = traces(lab.tag, str(host.namespace.name))
    assert here["namespaces"] and here["processes"] and here["runtime"]
    with tap(lab, port_link(a.id)):
        lab.networks.adopt_tap(a.id, port_link(a.id))
        lab.networks.close()
        lab.restart()
        lab.networks.teardown()
        assert state() == before
        assert not any(traces(lab.tag).values())
    lab.networks.teardown()
    assert state() == before


def test_the_same_in_the_real_namespace_of_the_host(stack, tmp_path):
    forwarding = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    lab = Lab.make(stack, tmp_path, Namespace(None), pool="192.0.0.64/28")
    faults = lab.networks.apply(lab.desired)
    here = traces(lab.tag, "192.0.0.64/28")
    assert here["links"] and here["tables"] and (here["routes"] or faults)
    lab.networks.teardown()
    assert not any(traces(lab.tag, "192.0.0.64/28").values())
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == forwarding
