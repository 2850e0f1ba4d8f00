"""What of this cloud is on the host: for ``mallee doctor`` (one guest, hop by hop) and ``mallee audit`` (everything, to
be compared with the rows).

Everything is found by looking at the host, never at what the agent believes; only ``inspect`` adds what is wanted,
for comparison.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mallee.fabric.document import to_json
from mallee.node import disks
from mallee.node.hypervisor import Away
from mallee.node.limits import group_of
from mallee.node.network.namespaces import FOLDER, checked_id, node_namespace, port_link, tagged

if TYPE_CHECKING:
    from mallee.node.agent import Agent


def status(agent: Agent) -> dict[str, Any]:
    reports, faults = agent.guests.reports()
    return {
        "node_id": agent.config.node_id,
        "boot_id": agent.boot_id,
        "pid": os.getpid(),
        "accelerator": agent.hypervisor.accelerator,
        "generation": agent.applied,
        "libvirtd": agent.hypervisor.daemon.pid(),
        "connected": agent.hypervisor.connected,
        "limits": agent.limits.kind,
        "capacity": to_json(agent.capacity()),
        "guests": [to_json(report) for report in reports],
        "faults": [to_json(fault) for fault in (*agent.faults(), *faults)],
    }


def inspect(agent: Agent, guest_id: str) -> dict[str, Any]:
    """All that the node knows of one guest."""
    checked_id(guest_id)
    held = agent.guests.held().get(guest_id)
    facts: dict[str, Any] = {"id": guest_id, "known": held is not None, "generation": agent.applied}
    if held is not None:
        facts["record"] = dataclasses.asdict(held.record)
        facts["doing"], facts["health"] = held.doing, held.health
        facts["fault"] = to_json(held.fault) if held.fault else None
        if held.wanted is not None:
            wanted = held.wanted
            facts["wanted"] = {
                "power": wanted.power,
                "revision": wanted.revision,
                "reboots": wanted.reboots,
                "generation": held.generation,
            }
            facts["images"] = {digest: agent.images.path(digest).exists() for digest in held.record.images}
            facts["disks"] = [_disk(disks.path_of(agent.guests.directory / guest_id, disk)) for disk in wanted.disks]
        facts["ports"] = [{"id": nic.port_id, "mac": nic.mac, "link": port_link(nic.port_id)} for nic in held.nics]
    facts["domain"] = _domain(agent, guest_id)
    facts["last_end"] = agent.hypervisor.last_end(guest_id)
    facts["qemu_says"] = agent.hypervisor.last_words(guest_id)
    facts["console"] = agent.consoles.tail(guest_id, 2048).decode(errors="replace")
    facts["network"] = agent.networks.inspect(guest_id)
    return facts


def _domain(agent: Agent, guest_id: str) -> dict[str, Any]:
    pid = agent.hypervisor.qemu(guest_id)
    try:
        state = agent.hypervisor.state(guest_id)
        told: Any = None if state is None else dataclasses.asdict(state)
    except Away:
        told = "libvirtd is not there"
    return {"state": told, "qemu": pid, "memory_mib": _resident(pid), "group": group_of(pid) if pid else ""}


def _resident(pid: int | None) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None


def _disk(path: Path) -> dict[str, Any]:
    try:
        state = path.stat()
    except FileNotFoundError:
        return {"path": str(path), "exists": False}
    return {"path": str(path), "exists": True, "allocated_mib": state.st_blocks * 512 >> 20}


def audit(agent: Agent) -> dict[str, Any]:
    """Everything of this cloud that is on the host, by kind."""
    config = agent.config
    try:
        domains: list[str] | None = agent.hypervisor.names()
    except Away:
        domains = None
    guests = agent.guests.directory
    return {
        "generation": agent.applied,
        "settled": agent.guests.idle(),
        "domains": domains,
        "processes": _processes(node_namespace(config.tag)),
        "guests": sorted(path.name for path in guests.iterdir()),
        "disks": sorted(str(path.relative_to(guests)) for path in guests.glob("*/*.qcow2")),
        "consoles": sorted(path.name for path in agent.consoles.directory.iterdir()),
        "groups": agent.limits.guests(),
        "images": agent.images.listing(),
        "namespaces": tagged(config.tag),
        "networks": agent.networks.audit(),
    }


def _processes(namespace: str) -> list[dict[str, Any]]:
    """The processes that live in a network namespace: libvirtd and every QEMU."""
    return [{"pid": pid, "name": name, "guest": guest} for pid, name, guest in processes_in(namespace)]


def processes_in(namespace: str) -> list[tuple[int, str, str]]:
    """Pid, program, and guest id ("" for others), found by the namespace they are in."""
    try:
        target = os.stat(FOLDER / namespace)
    except FileNotFoundError:
        return []
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if os.stat(f"/proc/{entry}/ns/net").st_ino != target.st_ino:
                continue
            words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        named = next((word for word in words if word.startswith(b"guest=")), b"")
        guest = named.removeprefix(b"guest=").partition(b",")[0].decode(errors="replace")
        found.append((int(entry), os.path.basename(words[0]).decode(errors="replace"), guest))
    return sorted(found)
