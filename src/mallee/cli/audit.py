"""`mallee audit`: compares what the rows say with each other and with what is on the host: domains, disks, ports, rules, leases, processes;
and the index of objects with the contents that there are (``audit_objects``).

Things in motion differ for a moment by design (a launch is under way, a document is being applied); a difference counts when it is still
there after several looks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from mallee.cli import audit_objects, home, node_client, rows
from mallee.cli.progress import Progress
from mallee.compute import projection, rules
from mallee.compute.records import INSTANCES, ROOT_VOLUMES
from mallee.durable.records import JOBS
from mallee.fabric.document import Desired, Network
from mallee.network import interfaces
from mallee.nodes import records as nodes
from mallee.settings import Settings
from mallee.store import Tx

LOOKS, PAUSE = 10, 1.0
BROADCAST = "255.255.255.255"  # how the lease is brought to a guest that has no address yet


def run(chosen: Settings) -> int:
    """Prints every difference; 0 when there is none."""
    console = Progress().console
    differences: list[str] = []
    for look in range(LOOKS):
        differences = _differences(chosen)
        if not differences:
            break
        if look + 1 < LOOKS:
            time.sleep(PAUSE)
    for difference in differences:
        console.print(f"[red]differs[/] {difference}")
    found = audit_objects.differences(chosen)
    for difference in found:
        console.print(f"[red]differs[/] {difference}")
    differences += found
    where = "rows and objects" if chosen.simulated else "rows, objects, domains, disks, ports, rules, leases and processes"
    console.print(f"audit of {where}: {len(differences)} differences")
    return 1 if differences else 0


def _differences(chosen: Settings) -> list[str]:
    with rows.reading(chosen) as tx:
        found = _rows(tx)
        wanted = {node.id: projection.builder(chosen)(tx, node.id) for node in nodes.nodes(tx)}
        kept = {f"{row.id}.qcow2" for row in tx.all(sa.select(ROOT_VOLUMES.c.id))}
    if chosen.simulated:
        return found
    try:
        status = node_client.ask(chosen, {"ask": "status"})
        host = node_client.ask(chosen, {"ask": "audit"}, timeout=30)
    except home.Sorry as sorry:
        return [*found, f"the node agent: {sorry}"]
    document = wanted.get(status["node_id"])
    if document is None:
        return [*found, f"the node {status['node_id']} has not joined"]
    return found + _host(document, host, kept)


# ---------------------------------------------------------------------------------------------------------------- rows


def _rows(tx: Tx) -> list[str]:
    """What the tables say of each other."""
    instances = {row.id: row for row in tx.all(sa.select(INSTANCES.c.id, INSTANCES.c.state, INSTANCES.c.power))}
    live = {id for id, row in instances.items() if row.state != rules.TERMINATED}
    placed = {row.instance_id for row in tx.all(sa.select(nodes.PLACEMENTS.c.instance_id))}
    jobs = {row.id for row in tx.all(sa.select(JOBS.c.id).where(JOBS.c.machine == "instance", JOBS.c.done_at.is_(None)))}
    volumes = {row.instance_id for row in tx.all(sa.select(ROOT_VOLUMES.c.instance_id)) if row.instance_id}
    reports = {row.instance_id for row in tx.all(sa.select(nodes.GUEST_REPORTS.c.instance_id))}
    attached = {each.instance_id for each in interfaces.everything(tx) if each.instance_id}
    return [
        *_both("placement", live, placed, "instance"),
        *_both("root volume", live, volumes, "instance"),
        *_both("interface", live, attached, "instance"),
        *(f"instance {id} has no job" for id in sorted(set(instances) - jobs)),
        *(f"a job goes on for {id}, which is gone" for id in sorted(jobs - set(instances))),
        *(f"a report of {id} stands without a placement" for id in sorted(reports - placed)),
    ]


def _both(what: str, wanted: Iterable[str], there: Iterable[str], subject: str) -> list[str]:
    wanted, there = set(wanted), set(there)
    return [
        *(f"{subject} {id} has no {what}" for id in sorted(wanted - there)),
        *(f"a {what} of {id} is there, but no {subject}" for id in sorted(there - wanted)),
    ]


# ---------------------------------------------------------------------------------------------------------------- host


def _host(document: Desired, host: dict[str, Any], kept: set[str]) -> list[str]:
    """The node's document against what the node finds on its host."""
    guests = {guest.id for guest in document.guests}
    on = {guest.id for guest in document.guests if guest.power == "on"}
    found: list[str] = []
    if host.get("domains") is None:
        found.append("libvirtd does not answer, so its domains cannot be compared")
    else:
        found += _both("domain", on, host["domains"], "guest")
    found += _both("QEMU process", on, [each["guest"] for each in host["processes"] if each["guest"]], "guest")
    found += _both("directory", guests, host["guests"], "guest")
    disks = {f"{guest.id}/{disk.volume_id}.qcow2" for guest in document.guests for disk in guest.disks}
    there = set(host["disks"])
    found += [f"disk {name} is missing" for name in sorted(disks - there)]
    found += [f"disk {name} is there and nobody's" for name in sorted(there - disks) if name.split("/")[-1] not in kept]
    if host.get("groups"):
        found += [f"a resource group of {id} is there, but no guest" for id in sorted(set(host["groups"]) - guests)]
    return found + _networks(document, host.get("networks") or {}, on)


def _networks(document: Desired, there: dict[str, Any], on: set[str]) -> list[str]:
    from mallee.node.network.namespaces import node_namespace, router_namespace

    tag = there.get("tag", "")
    namespaces = there.get("namespaces", {})
    routers = {router_namespace(tag, network.id): network for network in document.networks}
    found = _both("router namespace", routers, set(namespaces) - {node_namespace(tag)}, "network")
    servers = [each["network"] for each in there.get("processes", [])]
    found += _both("name server", {network.id for network in document.networks}, servers, "network")
    found += [f"network {id} has {servers.count(id)} name servers" for id in sorted(set(servers)) if servers.count(id) > 1]
    for name, network in routers.items():
        if name in namespaces:
            found += _router(network, namespaces[name], on)
    return found


def _router(network: Network, facts: dict[str, Any], on: set[str]) -> list[str]:
    """Ports, the addresses that may speak and be spoken to, and the rules of one router."""
    from mallee.node.network.namespaces import port_link

    if facts.get("error"):
        return [f"network {network.id} cannot be read: {facts['error']}"]
    ports = {port_link(port.id): port for port in network.ports}
    running = {name for name, port in ports.items() if port.guest_id in on}
    found = [f"port {name} is there and nobody's" for name in sorted(set(facts["ports"]) - set(ports))]
    found += [f"port {name} of {ports[name].guest_id} is missing" for name in sorted(running - set(facts["ports"]))]
    leased = {entry.split()[1] for entry in facts["neighbours"] if entry.startswith("p-")} - {BROADCAST}
    found += _both("permanent neighbour", {ports[name].ip for name in running}, leased, "address")
    table = facts["tables"].get("inet vpc")
    if table is None:
        return [*found, f"network {network.id} has no firewall"]
    wanted = {rule.id for group in _enforced(network) for rule in (*group.ingress, *group.egress)}
    rule_counters = {name for name in table["counters"] if name.startswith("sgr-")}
    return found + _both("firewall rule", wanted, rule_counters, "security group rule")


def _enforced(network: Network) -> list[Any]:
    """The groups that a port of this node is in: the others are there for their members only."""
    used = {group_id for port in network.ports for group_id in port.group_ids}
    return [group for group in network.groups if group.id in used]
