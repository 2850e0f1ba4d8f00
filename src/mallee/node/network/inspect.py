"""What is really on the host: the facts about one guest for ``doctor``, and everything under the tag for the auditor.

Both read the kernel, never what the agent believes; where the two are compared, the reader does it. Only plain data is returned.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mallee.fabric.document import Port
from mallee.node.network import firewall
from mallee.node.network.edge import RESOLVER_PORT, UPLINK, host_address, host_link
from mallee.node.network.namespaces import Namespace, NetworkError, node_namespace, port_link, tagged, uplink_link
from mallee.node.network.netlink import UNICAST
from mallee.node.network.ruleset import counters, listing

if TYPE_CHECKING:
    from mallee.node.network.networks import Networks, Vpc


@contextlib.contextmanager
def _gathering(into: dict[str, Any]) -> Iterator[None]:
    """What can't be read is itself a fact."""
    try:
        yield
    except (NetworkError, OSError) as error:
        into["error"] = str(error)


# ------------------------------------------------------------------------------------------------------------- one guest


def inspect(networks: Networks, guest_id: str) -> dict[str, Any]:
    """The ports of one guest as they are. No ports when the document that was last applied has none."""
    found: list[dict[str, Any]] = []
    for vpc_id, port in networks.ports_of(guest_id):
        facts: dict[str, Any] = {"id": port.id, "network": vpc_id, "ip": port.ip, "mac": port.mac}
        with _gathering(facts):
            _port_facts(networks, networks.vpc(vpc_id), port, facts)
        found.append(facts)
    services = networks.services
    return {
        "guest": guest_id,
        "ports": found,
        "metadata": services.metadata.of(guest_id).facts(),
        "credentials": services.credentials.facts(guest_id),
        "api": services.api.of(guest_id).facts(),
    }


def _port_facts(networks: Networks, vpc: Vpc, port: Port, facts: dict[str, Any]) -> None:
    namespace, name = vpc.router.namespace, port_link(port.id)
    facts["namespace"], facts["link"] = namespace.name, name
    facts["dhcp"] = networks.services.dhcp.of(port.id).facts()
    link = namespace.netlink.link(name)
    facts["tap"] = {"present": False}
    if link is not None:
        facts["tap"] = {
            "present": True,
            "kind": link.kind,
            "up": link.up,
            "carrier": link.carrier,
            "mtu": link.mtu,
            # the kernel counts from the router's side: what it receives is what the guest sends
            "guest_sent": {key.removeprefix("rx_"): value for key, value in link.statistics.items() if key.startswith("rx_")},
            "guest_received": {key.removeprefix("tx_"): value for key, value in link.statistics.items() if key.startswith("tx_")},
        }
        facts["route"] = any(route.to == f"{port.ip}/32" and route.index == link.index for route in namespace.netlink.routes())
        known = [each for each in namespace.netlink.neighbours() if each.index == link.index and each.ip == port.ip]
        facts["neighbour"] = {"mac": known[0].mac, "permanent": known[0].permanent} if known else None
    _rule_facts(vpc, port, facts)
    if port.public_ip:
        facts["public"] = _public_facts(networks, vpc, port)


def _rule_facts(vpc: Vpc, port: Port, facts: dict[str, Any]) -> None:
    """Packets and bytes per rule are of the group, on this node; drops are of the port."""
    counted = counters(vpc.router.namespace)

    def numbers(name: str) -> dict[str, int] | None:
        return {"packets": counted[name][0], "bytes": counted[name][1]} if name in counted else None

    name = port_link(port.id)
    facts["groups"] = {}
    if vpc.network is not None:
        facts["groups"] = {
            group_id: {"ingress": {rule: numbers(rule) for rule in ingress}, "egress": {rule: numbers(rule) for rule in egress}}
            for group_id, (ingress, egress) in firewall.rules_of(vpc.network, port).items()
        }
    facts["dropped"] = {
        "ingress": numbers(f"refused-in-{name}"),
        "egress": numbers(f"refused-out-{name}"),
        "spoofed": numbers(f"spoofed-{name}"),
    }


def _public_facts(networks: Networks, vpc: Vpc, port: Port) -> dict[str, Any]:
    """The path of the public address: the host's route, the node's, the router's translation both ways."""
    edge, address = networks.edge, str(port.public_ip)
    node_links = {link.index: link.name for link in edge.node.netlink.links().values()}
    towards = [route for route in edge.node.netlink.routes() if route.to == f"{address}/32" and route.kind == UNICAST]
    inward, outward = (_elements(vpc.router.namespace, name) for name in ("public_in", "public_out"))
    return {
        "address": address,
        "host_routes": any(route.kind == UNICAST and _contains(route.to, address) for route in edge.host_routes()),
        "node_routes": bool(towards) and node_links.get(towards[0].index) == uplink_link(vpc.router.vpc_id),
        "translated_in": inward.get(address) == port.ip,
        "translated_out": outward.get(port.ip) == address,
    }


def _contains(cidr: str, address: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def _elements(namespace: Namespace, name: str) -> dict[str, str]:
    for item in listing(namespace, "map", "inet", "vpc", name):
        if "map" in item:
            return {str(key): str(value) for key, value in item["map"].get("elem", [])}
    return {}


# ---------------------------------------------------------------------------------------------------------- everything


def audit(networks: Networks) -> dict[str, Any]:
    """Everything that bears the tag on this host, whoever made it."""
    tag, host = networks.config.tag, networks.edge.host
    found: dict[str, Any] = {
        "tag": tag,
        "namespaces": {name: _namespace_facts(Namespace(name)) for name in tagged(tag)},
        "processes": [
            {"pid": each.pid, "network": each.folder.name, "command": each.command, "namespace": each.network}
            for each in networks.names.found()
            if each.folder.name.startswith("vpc-")
        ],
    }
    mine: dict[str, Any] = {"link": None, "routes": [], "tables": {}, "ip_forward": None}
    with _gathering(mine):
        link = host.netlink.link(host_link(tag))
        mine["link"] = asdict(link) if link else None
        mine["routes"] = [_route_facts(route) for route in sorted(networks.edge.host_routes())]
        mine["tables"] = _tables(host, f"mallee_{tag}")
        mine["ip_forward"] = host.get("ipv4/ip_forward")
        asked = [each.pid for each in networks.names.found() if not each.folder.name.startswith("vpc-")]
        mine["resolver"] = {"address": f"{host_address(tag)}:{RESOLVER_PORT}", "pids": asked} if asked else None
    found["host"] = mine
    found["node"] = node_namespace(tag)
    return found


def _namespace_facts(namespace: Namespace) -> dict[str, Any]:
    facts: dict[str, Any] = {"identity": namespace.identity()}
    with _gathering(facts), contextlib.closing(namespace):
        netlink = namespace.netlink
        links = netlink.links()
        names = {link.index: link.name for link in links.values()}
        facts["links"] = {link.name: asdict(link) for link in links.values()}
        facts["ports"] = sorted(name for name in links if name.startswith("p-"))
        facts["uplink"] = UPLINK in links or "igw" in links
        facts["addresses"] = sorted(f"{names.get(each.index, '')} {each.ip}/{each.length}" for each in netlink.addresses())
        facts["routes"] = [_route_facts(route, names) for route in sorted(netlink.routes())]
        known = [each for each in netlink.neighbours() if each.permanent]
        facts["neighbours"] = sorted(f"{names.get(each.index, '')} {each.ip} {each.mac}" for each in known)
        facts["tables"] = _tables(namespace)
    return facts


def _route_facts(route: Any, names: dict[int, str] | None = None) -> dict[str, Any]:
    link = (names or {}).get(route.index, route.index)
    return {"to": route.to, "kind": route.kind_name, "link": link, "via": route.via, "table": route.table, "metric": route.metric}


def _tables(namespace: Namespace, only: str = "") -> dict[str, Any]:
    """The nftables of a namespace: chains with their number of rules, sets and maps with their elements, counters."""
    tables: dict[str, Any] = {}
    for item in listing(namespace, "ruleset"):
        (kind, value), *_ = item.items()
        at = f"{value['family']} {value['name'] if kind == 'table' else value['table']}"
        if only and at.split(" ")[1] != only:
            continue
        table = tables.setdefault(at, {"chains": {}, "sets": {}, "counters": {}})
        if kind == "chain":
            table["chains"].setdefault(value["name"], 0)
        elif kind == "rule":
            table["chains"][value["chain"]] = table["chains"].get(value["chain"], 0) + 1
        elif kind in ("set", "map"):
            table["sets"][value["name"]] = [_plain(element) for element in value.get("elem", [])]
        elif kind == "counter":
            table["counters"][value["name"]] = [value["packets"], value["bytes"]]
    return tables


def _plain(element: Any) -> str:
    """An element as nft writes it, roughly: keys joined by dots, a value after a colon."""
    if isinstance(element, list) and len(element) == 2:
        return f"{_plain(element[0])} : {_plain(element[1])}"
    if isinstance(element, dict):
        if "concat" in element:
            return " . ".join(_plain(part) for part in element["concat"])
        if "prefix" in element:
            return f"{element['prefix']['addr']}/{element['prefix']['len']}"
        if "jump" in element:
            return f"jump {element['jump']['target']}"
        if "elem" in element:
            return _plain(element["elem"].get("val"))
    return str(element)
