"""The router of one VPC on this node: a namespace, its link to the edge, its addresses and routes, and the ports in it.

There is no bridge. Every port is a routed link: the router answers its guest's ARP for all addresses (proxy ARP), holds a permanent
neighbour entry for the guest's MAC, and a /32 route to its address; an address of the VPC that no port has is unreachable. So a
guest's address leads to its own link and to no other, whatever ARP says on any link.

A guest's packets bear a mark that names its subnet's route table (the firewall sets it); ``INTERNET`` is the one whose default route
leads to the edge. Addresses on lo are what the router itself serves: the subnets' gateways, the resolver and the metadata service.
On a node among several, the routes of ports elsewhere would lead to a VXLAN link in the same namespace; nothing else here changes.
"""

from __future__ import annotations

import errno

from mallee.fabric.document import Network, Port
from mallee.node.config import NodeConfig
from mallee.node.network.edge import host_address, router_address
from mallee.node.network.namespaces import Namespace, NetworkError, port_link, router_namespace, uplink_link
from mallee.node.network.netlink import MAIN, UNREACHABLE, Address, Link, Neighbour, PolicyRule, Route

METADATA, RESOLVER, API = "169.254.169.254", "169.254.169.253", "169.254.169.252"
INTERNET = 1  # mark and number of the route table with a default route to the internet gateway
GATEWAY = "igw"
PORT_MAC = "02:00:00:00:00:01"
_NODE_SIDE_MAC, _ROUTER_SIDE_MAC = "02:00:00:00:01:01", "02:00:00:00:01:02"
_NODE_SIDE = "169.254.0.1"  # the next hop on igw: has no address, only a neighbour entry

_SETTINGS = {
    "ipv4__ip_forward": 1,
    "ipv4__conf__all__rp_filter": 0,
    "ipv4__conf__default__rp_filter": 0,
    "ipv4__conf__all__send_redirects": 0,
    "ipv4__conf__default__send_redirects": 0,
    "ipv4__conf__all__accept_redirects": 0,
    "ipv4__conf__default__accept_redirects": 0,
    "ipv6__conf__all__disable_ipv6": 1,
    "ipv6__conf__default__disable_ipv6": 1,
    "ipv4__ip_unprivileged_port_start": 53,  # the resolver is started without any privilege
}


class Router:
    def __init__(self, config: NodeConfig, node: Namespace, vpc_id: str) -> None:
        self.config = config
        self.node = node
        self.vpc_id = vpc_id
        self.namespace = Namespace(router_namespace(config.tag, vpc_id))
        self.uplink = uplink_link(vpc_id)
        self._settled: set[tuple[str, int]] = set()  # links whose kernel settings were written: name, number

    # ------------------------------------------------------------------------------------------------------ the router

    def prepare(self) -> None:
        """The namespace and its kernel settings; before the firewall, which comes before any link."""
        if self.namespace.create():
            self._settled.clear()
            self.node.netlink.delete_link(self.uplink)
        self.namespace.set(**_SETTINGS)
        lo = self.namespace.netlink.link("lo")
        if lo is not None and not lo.up:
            self.namespace.netlink.change_link(lo.index, up=True)

    def connect(self, network: Network) -> None:
        """The link to the edge, the addresses and routes, and every port's link that is here already; what is not desired goes."""
        # there is no such setting until the firewall has brought connection tracking into the kernel;
        # a connection that was cut does not come back by a retransmission
        self.namespace.set(netfilter__nf_conntrack_tcp_loose=0)
        self._connect_uplink(network)
        netlink = self.namespace.netlink
        links = netlink.links()
        wanted = {port_link(port.id): port for port in network.ports}
        neighbours, routes = netlink.neighbours(), netlink.routes()
        for name in [name for name in links if name.startswith("p-")]:
            if name in wanted:
                self._settle(wanted[name], links[name], neighbours, routes)
            else:
                self.drop_link(name)
                del links[name]
        self._reconcile_addresses(network, links)
        self._reconcile_routes(network, links, wanted)

    def _connect_uplink(self, network: Network) -> None:
        node, here = self.node.netlink, self.namespace.netlink
        outer, inner = node.link(self.uplink), here.link(GATEWAY)
        if outer is None or inner is None:
            node.delete_link(self.uplink)
            here.delete_link(GATEWAY)
            with self.namespace.opened() as there:
                node.add_veth(self.uplink, GATEWAY, there, _NODE_SIDE_MAC, _ROUTER_SIDE_MAC, self.config.mtu)
            outer, inner = node.link(self.uplink), here.link(GATEWAY)
        if outer is None or inner is None:
            raise NetworkError(f"the link {self.uplink} vanished while it was being made")
        self.node.set_link(self.uplink, ipv4__conf__rp_filter=1)
        address = router_address(network.vni)
        for namespace, link, ip, mac in (
            (node, outer, address, _ROUTER_SIDE_MAC),
            (here, inner, _NODE_SIDE, _NODE_SIDE_MAC),
        ):
            if not link.up:
                namespace.change_link(link.index, up=True)
            if Neighbour(link.index, ip, mac, True) not in namespace.neighbours():
                namespace.set_neighbour(link.index, ip, mac)

    def _reconcile_addresses(self, network: Network, links: dict[str, Link]) -> None:
        netlink = self.namespace.netlink
        lo = links["lo"].index
        served = {METADATA, RESOLVER, API, network.dns, *(subnet.gateway for subnet in network.subnets)}
        wanted = {Address(lo, ip, 32) for ip in served}
        wanted.add(Address(links[GATEWAY].index, router_address(network.vni), 32))
        actual = netlink.addresses()
        for address in wanted - actual:
            netlink.add_address(address)
        for address in actual - wanted:
            if not address.ip.startswith("127."):
                netlink.delete_address(address)

    def _reconcile_routes(self, network: Network, links: dict[str, Link], ports: dict[str, Port]) -> None:
        netlink = self.namespace.netlink
        gateway = links[GATEWAY].index
        wanted = {Route(cidr, kind=UNREACHABLE) for cidr in network.cidrs}
        wanted.add(Route("0.0.0.0/0", gateway, via=_NODE_SIDE, table=INTERNET))
        if self.config.egress == "nat":
            resolver = f"{host_address(self.config.tag)}/32"
            wanted.add(Route(resolver, gateway, via=_NODE_SIDE, source=router_address(network.vni)))
        wanted |= {Route(f"{port.ip}/32", links[name].index) for name, port in ports.items() if name in links}
        actual = netlink.routes()
        for route in sorted(wanted - actual):
            netlink.add_route(route)
        kept = {(route.to, route.table) for route in wanted}
        for route in actual - wanted:
            if (route.to, route.table) not in kept:
                netlink.delete_route(route)
        # what the VPC holds comes first, whatever route table a packet is marked for
        rules = {PolicyRule(100, 0, MAIN), PolicyRule(1000 + INTERNET, INTERNET, INTERNET)}
        for rule in rules - netlink.rules():
            netlink.add_rule(rule)

    # ----------------------------------------------------------------------------------------------------------- ports

    def adopt(self, port: Port, ifname: str) -> None:
        """Takes a link out of the node's namespace and makes it this port's; the same again when it is here already."""
        name = port_link(port.id)
        waiting = self.node.netlink.link(ifname)
        if waiting is not None:
            self.drop_link(name)
            self._settled = {known for known in self._settled if known[0] != name}
            self.node.netlink.change_link(waiting.index, up=False)
            with self.namespace.opened() as there:
                self.node.netlink.change_link(waiting.index, namespace=there, name=name)
        here = self.namespace.netlink.link(name)
        if here is None:
            raise NetworkError(f"there is no link {ifname} in {self.node.name} to connect {port.id} with")
        self._settle(port, here, set(), set())

    def _settle(self, port: Port, link: Link, neighbours: set[Neighbour], routes: set[Route]) -> None:
        """The port's own settings. A packet is let through only by the firewall, which knew the link's name before it came."""
        netlink = self.namespace.netlink
        if link.mac != PORT_MAC:
            netlink.change_link(link.index, mac=PORT_MAC)
        if link.mtu != self.config.mtu:
            netlink.change_link(link.index, mtu=self.config.mtu)
        if (link.name, link.index) not in self._settled:
            self.namespace.set_link(link.name, ipv4__conf__proxy_arp=1, ipv4__neigh__proxy_delay=0)
            self._settled.add((link.name, link.index))
        if not link.up:
            netlink.change_link(link.index, up=True)
        if not link.up or Neighbour(link.index, port.ip, port.mac.lower(), True) not in neighbours:
            netlink.set_neighbour(link.index, port.ip, port.mac)
        route = Route(f"{port.ip}/32", link.index)
        if not link.up or route not in routes:
            netlink.add_route(route)

    def drop_link(self, name: str) -> None:
        try:
            self.namespace.netlink.delete_link(name)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:  # a physical one: not ours to delete
                raise

    def remove(self) -> None:
        """Everything of this VPC on this node. Sockets and processes in the namespace are closed before."""
        self.node.netlink.delete_link(self.uplink)
        if self.namespace.identity():
            for name in self.namespace.netlink.links():
                if name.startswith("p-"):
                    self.drop_link(name)
        self.namespace.delete()
