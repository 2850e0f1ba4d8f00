"""Public addresses, the pool, the way out, and what the host keeps to itself."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import replace

import pytest

from mallee.fabric.document import Group, Subnet
from mallee.node.network import NetworkError
from mallee.node.network.edge import Forwarding, host_address, host_link
from tests.node.network.lab import OPEN, Box, Lab, identifier, network, port

pytestmark = pytest.mark.node

ALL = identifier("sg", 1)
GROUPS = (Group(ALL, (OPEN,), (OPEN,)),)
HOST_ITSELF = "192.0.2.1"


def pair(vpc=1, prefix="10.0", pool="198.51.100"):
    a = port(10, f"{prefix}.0.10", ALL, vpc=vpc, public=f"{pool}.10")
    b = port(11, f"{prefix}.0.11", ALL, vpc=vpc, public=f"{pool}.11")
    return a, b


def test_the_host_reaches_a_public_address_and_is_answered(lab, host):
    a, b = pair()
    plain = port(12, "10.0.0.12", ALL)
    lab.apply(network((a, b, plain), GROUPS))
    guest = lab.plug(a)
    callers = guest.serve(22)
    assert host.tcp("198.51.100.10", 22)
    assert callers == [host_address(lab.tag)]
    assert host.ping("198.51.100.10")
    assert not host.ping("198.51.100.99", timeout=0.2)
    assert not host.ping("10.0.0.10", timeout=0.2)


def test_public_addresses_reach_each_other_within_and_across_vpcs(lab):
    a, b = pair()
    c = port(10, "10.0.0.10", ALL, vpc=2, public="198.51.100.20")
    lab.apply(network((a, b), GROUPS), network((c,), GROUPS, vpc=2))
    one, two, three = lab.plug(a), lab.plug(b), lab.plug(c)
    seen_by_b, seen_by_c = two.serve(80), three.serve(80)
    assert one.tcp("198.51.100.11", 80)
    assert one.tcp("198.51.100.20", 80)
    assert seen_by_b == ["198.51.100.10"]
    assert seen_by_c == ["198.51.100.10"]
    one.serve(80)
    assert one.tcp("198.51.100.10", 80), "an address reaches its own guest"


def test_an_address_that_moves_takes_new_connections_with_it(lab, host):
    a, b = pair()
    b = replace(b, public_ip=None)
    lab.apply(network((a, b), GROUPS))
    one, two = lab.plug(a), lab.plug(b)
    first, second = one.serve(22), two.serve(22)
    assert host.tcp("198.51.100.10", 22)
    lab.apply(network((replace(a, public_ip=None), replace(b, public_ip="198.51.100.10")), GROUPS))
    assert host.tcp("198.51.100.10", 22)
    assert (len(first), len(second)) == (1, 1)
    assert not one.tcp("198.51.100.10", 22, timeout=0.2), "no public address, no way to the edge"


def test_a_subnet_without_an_internet_gateway_has_no_way_out(lab, host):
    a, b = pair()
    closed = Subnet(identifier("subnet", 1, 2), "10.0.1.0/24", "10.0.1.1", internet=False)
    inner = port(20, "10.0.1.20", ALL, subnet=2, public="198.51.100.30")
    opened = Subnet(identifier("subnet", 1, 1), "10.0.0.0/24", "10.0.0.1")
    lab.apply(network((a, b, inner), GROUPS, subnets=(opened, closed)))
    one, deep = lab.plug(a), lab.plug(inner)
    deep.serve(80)
    assert one.tcp("10.0.1.20", 80)
    assert not host.tcp("198.51.100.30", 80, timeout=0.3)


def test_guests_reach_no_service_of_the_host(lab, host):
    a, b = pair()
    lab.apply(network((a, b), GROUPS))
    guest = lab.plug(a)
    host.ip("address", "add", f"{HOST_ITSELF}/32", "dev", "lo")
    callers = host.serve(8080)
    for address in (HOST_ITSELF, host_address(lab.tag), "10.0.0.1", "10.0.0.2", "198.51.100.1", "240.0.3.233"):
        assert not guest.tcp(address, 8080, timeout=0.2), address
        assert not guest.ping(HOST_ITSELF, timeout=0.1)
    assert callers == []


def outside(lab_stack, host) -> Box:
    """The world beyond the host's uplink, with one server in it."""
    world = Box.make(lab_stack, f"{host.namespace.name}-out"[:30])
    host.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(world.namespace.name))
    for box, address in ((host, "203.0.113.2/24"), (world, "203.0.113.1/24")):
        box.ip("address", "add", address, "dev", "eth0")
        box.ip("link", "set", "eth0", "up")
    host.ip("route", "add", "default", "via", "203.0.113.1")
    return world


def test_with_nat_a_public_guest_goes_out_as_the_host_and_nobody_else_does(stack, host, tmp_path):
    world = outside(stack, host)
    lab = Lab.make(stack, tmp_path, host.namespace, egress="nat")
    a, _ = pair()
    plain = port(12, "10.0.0.12", ALL)
    lab.apply(network((a, plain), GROUPS))
    public, private = lab.plug(a), lab.plug(plain)
    callers = world.serve(80)
    assert public.tcp("203.0.113.1", 80)
    assert callers == ["203.0.113.2"]
    assert not private.tcp("203.0.113.1", 80, timeout=0.3)
    assert not public.tcp("203.0.113.2", 80, timeout=0.2), "the host itself"
    host.serve(8080)
    assert not public.tcp("203.0.113.2", 8080, timeout=0.2)
    world.ip("route", "add", "198.51.100.0/24", "via", "203.0.113.2")
    public.serve(22)
    assert world.tcp("198.51.100.10", 22), "a network that routes the pool here reaches it"
    assert not world.tcp("198.51.100.99", 22, timeout=0.2)
    assert public.resolve("nothing.local-1.compute.internal", "10.0.0.2") == 3
    world.ip("route", "add", f"{host_address(lab.tag)}/32", "via", "203.0.113.2")
    assert not world.ping(host_address(lab.tag), timeout=0.2), "the uplink's own address is for the node"


def test_with_nat_other_names_are_asked_of_whom_the_host_asks(stack, host, tmp_path):
    world = outside(stack, host)
    with world.namespace.inside():
        upstream = subprocess.Popen(
            ["dnsmasq", "-k", "-C", "/dev/null", "--no-resolv", "--no-hosts", "--pid-file", "--address=/example.net/192.0.2.80", "--log-facility=-"],
            stderr=subprocess.DEVNULL,
        )
    stack.callback(upstream.wait)
    stack.callback(upstream.kill)
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 203.0.113.1\n")
    tmp_path.chmod(0o755)
    lab = Lab.make(stack, tmp_path, host.namespace, egress="nat", upstream=resolv)
    _readable(resolv)
    plain = port(12, "10.0.0.12", ALL)
    lab.apply(network((plain,), GROUPS))
    private = lab.plug(plain)
    assert private.resolve("www.example.net", "10.0.0.2") == ["192.0.2.80"]
    assert private.resolve("www.example.net", "169.254.169.253") == ["192.0.2.80"]
    assert host.namespace.get("ipv4/ip_forward") == 1


def _readable(path):
    for folder in path.parents:
        if folder.stat().st_mode & 0o001 == 0 and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o011)


def test_forwarding_is_given_back_by_the_last_cloud(stack, host, tmp_path):
    host.namespace.set(ipv4__ip_forward=0)
    one = Lab.make(stack, tmp_path, host.namespace, egress="nat")
    two = Lab.make(stack, tmp_path, host.namespace, pool="203.0.113.0/24", egress="nat")
    one.apply()
    two.apply()
    assert host.namespace.get("ipv4/ip_forward") == 1
    one.destroy()
    assert host.namespace.get("ipv4/ip_forward") == 1
    two.destroy()
    assert host.namespace.get("ipv4/ip_forward") == 0


def test_a_cloud_that_vanished_does_not_keep_the_host_forwarding(stack, host, tmp_path):
    host.namespace.set(ipv4__ip_forward=0)
    lab = Lab.make(stack, tmp_path, host.namespace, egress="nat")
    lab.apply()
    Forwarding(host.namespace).enable("dead")
    lab.destroy()
    assert host.namespace.get("ipv4/ip_forward") == 0


def test_a_host_that_forwarded_goes_on_forwarding(stack, host, tmp_path):
    host.namespace.set(ipv4__ip_forward=1)
    lab = Lab.make(stack, tmp_path, host.namespace, egress="nat")
    lab.apply()
    lab.destroy()
    assert host.namespace.get("ipv4/ip_forward") == 1


def test_a_pool_that_the_host_routes_elsewhere_is_a_fault_with_a_remedy(stack, host, tmp_path):
    world = outside(stack, host)
    host.ip("route", "add", "198.51.100.128/25", "via", "203.0.113.1")
    lab = Lab.make(stack, tmp_path, host.namespace)
    faults = lab.networks.apply(lab.desired)
    assert [(fault.code, fault.subject) for fault in faults] == [("public-pool-routed", "node-1")]
    assert "198.51.100.128/25" in faults[0].cause and "eth0" in faults[0].cause
    assert "public_pool" in faults[0].remedy
    assert "dev mle" not in host.ip("route", "show", "198.51.100.0/24")
    host.ip("route", "del", "198.51.100.128/25")
    assert lab.networks.apply(lab.desired) == []
    assert host_link(lab.tag) in host.ip("route")
    assert world.namespace.identity()


def test_nothing_for_the_pool_takes_the_default_route(stack, host, tmp_path):
    world = outside(stack, host)
    lab = Lab.make(stack, tmp_path, host.namespace)
    lab.apply()
    world.ip("address", "add", "198.51.100.77/32", "dev", "lo")
    assert not host.ping("198.51.100.77", timeout=0.2)
    host.ip("link", "set", host_link(lab.tag), "down")
    assert "unreachable 198.51.100.0/24" in host.ip("route")
    assert not host.ping("198.51.100.77", timeout=0.2)
    lab.apply()
    assert f"dev {host_link(lab.tag)}" in host.ip("route", "show", "198.51.100.0/24")


def test_two_clouds_with_the_same_vpc_addresses_do_not_meet(stack, host, tmp_path):
    one = Lab.make(stack, tmp_path, host.namespace)
    two = Lab.make(stack, tmp_path, host.namespace, pool="203.0.113.0/24")
    a, _ = pair()
    b, _ = pair(pool="203.0.113")
    one.apply(network((a,), GROUPS))
    two.apply(network((b,), GROUPS))
    first, second = one.plug(a), two.plug(b)
    seen_first, seen_second = first.serve(22), second.serve(22)
    assert host.tcp("198.51.100.10", 22)
    assert host.tcp("203.0.113.10", 22)
    assert (len(seen_first), len(seen_second)) == (1, 1)
    one.destroy()
    assert host.tcp("203.0.113.10", 22)
    with contextlib.suppress(NetworkError):
        two.destroy()
    assert "mle-" not in host.ip("link")
