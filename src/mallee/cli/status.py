"""`mallee status`: what runs, what it holds, what is wrong, on one page."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import sqlalchemy as sa
from rich.table import Table

from mallee.cli import home, rows
from mallee.cli.client import health
from mallee.cli.progress import Progress
from mallee.compute.records import INSTANCES
from mallee.durable import faults, unfinished
from mallee.nodes import records as nodes
from mallee.settings import Settings
from mallee.store import Tx

_STATES = sa.select(INSTANCES.c.state, sa.func.count().label("number")).group_by(INSTANCES.c.state).order_by(INSTANCES.c.state)


def wanted(chosen: Settings) -> tuple[str, ...]:
    """The processes that a cloud which is up has on this machine."""
    return ("supervisor", "cloud", "simulator" if chosen.simulated else "node")


def show(chosen: Settings) -> int:
    """Prints the page; 0 when everything is as it should be."""
    console = Progress().console
    console.print(f"cloud in {chosen.home}: region {chosen.region}, zones {', '.join(chosen.zones)}, API {chosen.endpoint}")
    missing = _processes(chosen)
    answer = health(chosen) if not missing else None
    if not missing and (answer is None or answer.get("status") != "ok"):
        missing.append("API")
        console.print(f"[red]the API does not answer[/]: {(answer or {}).get('cause', 'see ./mallee logs cloud')}")
    with rows.reading(chosen) as tx:
        standing = _rows(tx)
    if missing:
        console.print(f"[red]not running: {', '.join(missing)}[/]. ./mallee up starts everything")
    return 1 if missing or standing else 0


def _processes(chosen: Settings) -> list[str]:
    table = Table("process", "pid", "memory", "processor", box=None)
    missing = []
    for name in wanted(chosen):
        pid = home.running(chosen, name)
        if pid is None:
            missing.append(name)
            table.add_row(name, "-", "", "")
        else:
            table.add_row(name, str(pid), _memory(pid), _processor(pid))
    Progress().console.print(table)
    return missing


def _memory(pid: int) -> str:
    """The process's proportional share, which adds up over processes."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return f"{int(line.split()[1]) / 1024:.0f} MiB"
    except OSError:
        pass
    return "?"


def _processor(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "?"
    return f"{(int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK'):.1f} s"


def _rows(tx: Tx) -> int:
    """Nodes, instances, jobs and faults; returns how many faults stand."""
    console = Progress().console
    table = Table("node", "zone", "", "guests", "vCPUs", "memory", "disk", box=None)
    for node in nodes.nodes(tx):
        placed = nodes.placements_on(tx, node.id)
        state = f"{node.accelerator}" if node.reachable else "[red]silent[/]"
        behind = "" if node.applied >= node.generation else f", applying {node.applied} of {node.generation}"
        table.add_row(
            node.id,
            node.zone,
            state + behind,
            str(len(placed)),
            f"{sum(each.vcpus for each in placed)} of {node.vcpus}",
            f"{sum(each.memory_mib for each in placed)} of {node.memory_mib} MiB",
            f"{sum(each.disk_gib for each in placed)} of {node.disk_gib} GiB",
        )
    console.print(table)
    states = Counter({row.state: row.number for row in tx.all(_STATES)})
    console.print("instances: " + (", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"))
    jobs = ", ".join(f"{count} {machine} in {step}" for machine, step, count in unfinished(tx))
    console.print(f"jobs: {jobs or 'none'}")
    standing = faults.open_(tx)
    if not standing:
        console.print("faults: none")
    for fault in standing:
        console.print(f"[red]fault {fault.code}[/] {fault.subject} since {fault.raised_at:%Y-%m-%d %H:%M:%S}: {fault.cause}")
        console.print(f"  {fault.remedy}")
    return len(standing)
