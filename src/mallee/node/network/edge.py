"""The edge of the node: the hypervisor's namespace, its one link to the host, public addresses and the way out.

    host's own namespace          mle-<tag>-node                     mle-<tag>-<vpc>  (one per VPC)
      mle-<tag>  198.18.x.y/31  ----  uplink  198.18.x.y+1   v-<vpc>  ----  igw  240.a.b.c

What always holds:

* Nothing addressed to the public pool takes the default route: an ``unreachable`` route stands behind it on both sides of the uplink.
* What comes from a guest reaches no service of the host itself, at whatever address: only answers pass, and the resolver's
  questions, which come from the node's own address. This stands in a table of our own; the user's tables are not touched.
* With egress "none" guests reach nothing outside; the host reaches them. With "nat" the host masquerades what comes from the
  pool; it forwards for that purpose, and goes back to what it did before when the last cloud leaves it.

The uplink's addresses come from 198.18.0.0/15 (RFC 2544, never routed on the internet) by the tag, those of the routers from
240.0.0.0/4 by the VPC's number, which no VPC can contain and which never leave the node.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from mallee.fabric.document import Fault
from mallee.node.config import NodeConfig
from mallee.node.network.namespaces import Namespace, NetworkError, checked_tag, node_namespace
from mallee.node.network.netlink import MAIN, UNREACHABLE, Address, Link, Route
from mallee.node.network.ruleset import Applied, Chain, Ruleset, Set, Table

UPLINK = "uplink"
RESOLVER_PORT = 10053
_HOST_MAC, _NODE_MAC = "02:00:00:00:02:01", "02:00:00:00:02:02"
_STATE = Path("/run/mallee")


def host_link(tag: str) -> str:
    return f"mle-{checked_tag(tag)}"


def host_address(tag: str) -> str:
    """The host's end of the uplink: where guests see the host's own connections come from."""
    return str(ipaddress.IPv4Address("198.18.0.0") + 2 * int(checked_tag(tag), 16))


def node_address(tag: str) -> str:
    return str(ipaddress.IPv4Address(host_address(tag)) + 1)


def router_address(vni: int) -> str:
    """The address of a VPC's router on its link to the node."""
    return str(ipaddress.IPv4Address("240.0.0.0") + vni)


@dataclass(frozen=True, slots=True)
class PublicAddress:
    address: str
    link: str  # v-…
    router: str


class Edge:
    def __init__(self, config: NodeConfig, host: Namespace) -> None:
        self.config = config
        self.host = host
        self.node = Namespace(node_namespace(config.tag))
        self.link = host_link(config.tag)
        self._host_rules = Applied(host)
        self._node_rules = Applied(self.node)
        self.pools = config.public_pool
        self._metric = 0xF0000000 + int(config.tag, 16)  # behind every route of others, and telling two clouds' apart

    # ---------------------------------------------------------------------------------------------- the node's namespace

    def ensure(self) -> None:
        """The node's namespace, its link to the host and the guards of both ends; leaves alone what is right."""
        self.node.create()
        settings = {"ipv4__ip_forward": 1, "ipv6__conf__all__disable_ipv6": 1, "ipv6__conf__default__disable_ipv6": 1}
        settings |= {"ipv4__conf__all__rp_filter": 0, "ipv4__conf__default__rp_filter": 1}
        settings |= {"ipv4__conf__all__send_redirects": 0, "ipv4__conf__default__send_redirects": 0}
        self.node.set(**settings)
        lo = self._required(self.node, "lo")
        if not lo.up:
            self.node.netlink.change_link(lo.index, up=True)
        if self.node.netlink.link(UPLINK) is None or self.host.netlink.link(self.link) is None:
            self.node.netlink.delete_link(UPLINK)
            self.host.netlink.delete_link(self.link)
            with self.node.opened() as there:
                self.host.netlink.add_veth(self.link, UPLINK, there, _HOST_MAC, _NODE_MAC, self.config.mtu)
        self._guard()  # before the link is up
        outer, inner = self._required(self.host, self.link), self._required(self.node, UPLINK)
        self.host.set_link(self.link, ipv4__conf__rp_filter=0, ipv4__conf__send_redirects=0, ipv6__conf__disable_ipv6=1)
        for namespace, link, address in (
            (self.host, outer, host_address(self.config.tag)),
            (self.node, inner, node_address(self.config.tag)),
        ):
            wanted = Address(link.index, address, 31)
            if wanted not in namespace.netlink.addresses():
                namespace.netlink.add_address(wanted)
            if not link.up:
                namespace.netlink.change_link(link.index, up=True)

    @staticmethod
    def _required(namespace: Namespace, name: str) -> Link:
        link = namespace.netlink.link(name)
        if link is None:
            raise NetworkError(f"the link {name} vanished from {namespace.name or 'the host'}")
        return link

    # ------------------------------------------------------------------------------------------------------------ guards

    def _guard(self) -> None:
        self._host_rules.apply(self._host_ruleset(self.pools))
        self._node_rules.apply(self._node_ruleset(self.pools))

    def _pool_set(self, pools: tuple[str, ...]) -> Set:
        return Set("type ipv4_addr; flags interval; auto-merge;", dict.fromkeys(pools, ""))

    def _host_ruleset(self, pools: tuple[str, ...]) -> Ruleset:
        link, nat = self.link, self.config.egress == "nat"
        resolver = (
            f'iifname "{link}" ip saddr {node_address(self.config.tag)} ip daddr {host_address(self.config.tag)} '
            f"meta l4proto {{ tcp, udp }} th dport {RESOLVER_PORT} accept"
        )
        answers = f'iifname "{link}" ct state established,related accept'
        table = Table("inet", f"mallee_{self.config.tag}", sets={"pool": self._pool_set(pools)})
        table.counters = {"refused-host": None, "refused-forward": None}
        table.chains = {
            # before the address translation of others, which could lead a guest to a service published by a container
            "arriving": Chain(
                [
                    answers,
                    *([resolver] if nat else []),
                    f'iifname "{link}" fib daddr type local counter name "refused-host" drop',
                    # the uplink's own address is for the node alone, whoever on the host's network routes it here
                    f'iifname != {{ "{link}", "lo" }} ip daddr {host_address(self.config.tag)} drop',
                ],
                "type filter hook prerouting priority -150; policy accept;",
            ),
            "input": Chain(
                [answers, *([resolver] if nat else []), f'iifname "{link}" counter name "refused-host" drop'],
                "type filter hook input priority -5; policy accept;",
            ),
            "forward": Chain(
                [f'iifname "{link}" ip saddr != @pool counter name "refused-forward" drop', f'meta nfproto ipv6 iifname "{link}" drop']
                + ([] if nat else [f'iifname "{link}" drop', f'oifname "{link}" drop']),
                "type filter hook forward priority -5; policy accept;",
            ),
        }
        if nat:
            table.chains["leaving"] = Chain(
                [f'ip saddr @pool oifname != "{link}" masquerade'], "type nat hook postrouting priority 100; policy accept;"
            )
        return Ruleset([table])

    def _node_ruleset(self, pools: tuple[str, ...]) -> Ruleset:
        host, node = host_address(self.config.tag), node_address(self.config.tag)
        table = Table("inet", "edge", sets={"pool": self._pool_set(pools)})
        table.counters = {"refused": None}
        table.chains = {
            "input": Chain(['iifname "v-*" counter name "refused" drop'], "type filter hook input priority 0; policy accept;"),
            "forward": Chain(
                [
                    "ct state established,related accept",
                    'iifname "v-*" oifname "v-*" ip saddr @pool ip daddr @pool accept',
                    f'iifname "v-*" oifname "{UPLINK}" ip saddr 240.0.0.0/4 ip daddr {host} th dport {RESOLVER_PORT} accept',
                    f'iifname "v-*" oifname "{UPLINK}" ip daddr {{ 240.0.0.0/4, 169.254.0.0/16, {host} }} counter name "refused" drop',
                    f'iifname "v-*" oifname "{UPLINK}" ip saddr @pool accept',
                    f'iifname "{UPLINK}" oifname "v-*" ip daddr @pool accept',
                    "drop",
                ],
                "type filter hook forward priority 0; policy accept;",
            ),
            "leaving": Chain(
                [f'ip saddr 240.0.0.0/4 oifname "{UPLINK}" snat ip to {node}'], "type nat hook postrouting priority 100; policy accept;"
            ),
        }
        return Ruleset([table])

    # -------------------------------------------------------------------------------------------- pools and public addresses

    def apply(self, pools: tuple[str, ...], routers: dict[str, str], addresses: list[PublicAddress]) -> list[Fault]:
        """Routes of the pool, of every router (link -> its address) and public address, and the way out."""
        faults: list[Fault] = []
        if pools != self.pools:
            self.pools = pools
            self._guard()
        usable = self._apply_host_routes(pools, faults)
        node = self.node.netlink
        links = node.links()
        wanted = {Route(pool, kind=UNREACHABLE, metric=self._metric) for pool in pools}
        wanted |= {Route(f"{address}/32", links[link].index) for link, address in routers.items() if link in links}
        for public in addresses:
            if public.link in links:
                wanted.add(Route(f"{public.address}/32", links[public.link].index, via=public.router))
        if self.config.egress == "nat":
            wanted.add(Route("0.0.0.0/0", links[UPLINK].index, via=host_address(self.config.tag)))
        else:
            wanted.add(Route("0.0.0.0/0", kind=UNREACHABLE, metric=self._metric))
        self._reconcile(self.node, node.routes(), wanted)
        if usable and self.config.egress == "nat":
            self._forwarding().enable(self.config.tag)
        return faults

    def _apply_host_routes(self, pools: tuple[str, ...], faults: list[Fault]) -> bool:
        link = self._required(self.host, self.link)
        everything = self.host.netlink.routes(None)
        ours = {route for route in everything if self._is_ours(route, link.index)}
        others = [route for route in everything - ours if route.table == MAIN and route.to != "0.0.0.0/0"]
        wanted: set[Route] = set()
        for pool in pools:
            network = ipaddress.ip_network(pool)
            clash = next((route for route in others if ipaddress.ip_network(route.to).overlaps(network)), None)
            if clash is not None:
                faults.append(self._clash(pool, clash))
                continue
            wanted.add(Route(pool, link.index, via=node_address(self.config.tag), source=host_address(self.config.tag)))
            wanted.add(Route(pool, kind=UNREACHABLE, metric=self._metric))
        self._reconcile(self.host, ours, wanted)
        return bool(wanted)

    def _clash(self, pool: str, route: Route) -> Fault:
        names = {link.index: link.name for link in self.host.netlink.links().values()}
        through = f" through {names[route.index]}" if route.index in names else ""
        return Fault(
            code="public-pool-routed",
            subject=self.config.node_id,
            cause=f"The public pool {pool} overlaps {route.to}, which this host already routes{through}.",
            remedy="Choose another public_pool in config.toml and start Mallee again, or remove that route.",
        )

    def _is_ours(self, route: Route, index: int) -> bool:
        if route.table != MAIN:
            return False
        return route.index == index or (route.kind == UNREACHABLE and route.metric == self._metric)

    def _reconcile(self, namespace: Namespace, actual: set[Route], wanted: set[Route]) -> None:
        for route in sorted(wanted - actual):
            namespace.netlink.add_route(route)
        kept = {(route.to, route.metric) for route in wanted}
        for route in actual - wanted:
            if (route.to, route.metric) not in kept and route.kind in (1, UNREACHABLE) and route.protocol == 77:
                namespace.netlink.delete_route(route)

    def host_routes(self) -> set[Route]:
        link = self.host.netlink.link(self.link)
        return {route for route in self.host.netlink.routes(None) if self._is_ours(route, link.index if link else -1)}

    # ---------------------------------------------------------------------------------------------------------- teardown

    def _forwarding(self) -> Forwarding:
        return Forwarding(self.host)

    def teardown(self) -> None:
        """Removes both ends, the routes, the tables and the namespace, and gives the host its forwarding back."""
        self.host.netlink.delete_link(self.link)
        for route in self.host_routes():
            self.host.netlink.delete_route(route)
        self._host_rules.remove([("inet", f"mallee_{self.config.tag}")])
        self._forwarding().restore(self.config.tag)
        self.node.delete()


class Forwarding:
    """The host's ip_forward: switched on by the first cloud that needs it, put back when the last such cloud leaves.

    The former value, the boot it belongs to and the clouds that need forwarding stand in a file under /run/mallee, which all
    clouds of the host share.
    """

    def __init__(self, host: Namespace) -> None:
        self.host = host
        self.path = _STATE / f"forwarding{'-' + host.name if host.name else ''}"

    def _read(self) -> tuple[int, set[str]] | None:
        try:
            boot, former, *tags = self.path.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return (int(former), set(tags)) if boot == _boot_id() else None

    def _write(self, former: int, tags: set[str]) -> None:
        self.path.parent.mkdir(mode=0o755, exist_ok=True)
        fresh = self.path.with_suffix(f".{os.getpid()}")
        fresh.write_text(" ".join([_boot_id(), str(former), *sorted(tags)]) + "\n")
        fresh.replace(self.path)

    def enable(self, tag: str) -> None:
        known = self._read()
        former, tags = known or (self.host.get("ipv4/ip_forward"), set())
        if tag not in tags:
            self._write(former, tags | {tag})
        self.host.set(ipv4__ip_forward=1)

    def restore(self, tag: str) -> None:
        known = self._read()
        if known is None:
            self.path.unlink(missing_ok=True)
            return
        former, tags = known
        others = {other for other in tags - {tag} if self.host.netlink.link(host_link(other))}  # one that vanished needs it no more
        if others:
            self._write(former, others)
            return
        if tag in tags:
            self.host.set(ipv4__ip_forward=former)
        self.path.unlink(missing_ok=True)
        try:
            self.path.parent.rmdir()
        except OSError:
            pass


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
