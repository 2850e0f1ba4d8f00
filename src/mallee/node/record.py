"""What the node must remember of a guest beyond what kernel and libvirt know, and what follows from it: the pure part of
keeping guests.

One small file per guest, written whole. It is not a plan: a plan would be wrong after a crash. ``decide`` looks at
what is wanted, what was applied and what is, and names the one next thing to do; it is asked again after every step,
event and restart.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mallee.fabric.document import Guest, GuestReport
from mallee.node.hypervisor import State
from mallee.node.libvirtd import write_whole

FILE = "guest.json"


@dataclass(slots=True)
class Record:
    """``state``: new, running, off, crashed or failed. ``boot``: the kernel's boot in which the guest was last seen running."""

    id: str
    revision: int = -1  # the newest that was applied
    reboots: int = 0
    state: str = "new"
    boot: str = ""
    started_at: str | None = None
    stopped_by: str | None = None
    detail: str = ""
    ready_at: str | None = None
    run_offset: int = 0  # where in the console the present boot of the guest began
    reboot_due: float | None = None  # until when the guest may take to reboot by itself, seconds since the epoch
    images: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)


def load(directory: Path) -> Record:
    """A record that can't be read is a new one: everything in it can be found out again or is asked for again by the cloud."""
    try:
        data: dict[str, Any] = json.loads((directory / FILE).read_text())
        known = {item.name for item in dataclasses.fields(Record)}
        return Record(**{name: value for name, value in data.items() if name in known} | {"id": directory.name})
    except (OSError, ValueError, TypeError, AttributeError):
        return Record(directory.name)


def save(directory: Path, record: Record) -> None:
    """Durable only where the machine's next boot could not find it out by itself: that a guest is off."""
    write_whole(directory / FILE, json.dumps(dataclasses.asdict(record)), durable=record.state in ("off", "failed", "crashed"))


# --------------------------------------------------------------------------------------------------------------- decisions

REMOVE, PREPARE, START, RESUME, ADOPT, STOP, REBOOT, ENDED, SETTLE, NOTHING = (
    "remove", "prepare", "start", "resume", "adopt", "stop", "reboot", "ended", "settle", "nothing",
)  # fmt: skip


def decide(wanted: Guest | None, record: Record, is_: State | None, boot: str) -> str:
    """The next thing to do for a guest.

    remove    it is not wanted: end it and delete all that is its
    prepare   make its disks, without starting it
    start     make disks and domain
    resume    its domain was made but never set going
    adopt     it runs and is wanted to, unknown to the record
    stop      it runs and shall not
    reboot    more reboots are asked than were done
    ended     the record says that it runs, and it does not: find out why
    settle    only the record lags
    nothing   it is as it should be
    """
    if wanted is None:
        return REMOVE
    new = wanted.revision > record.revision or record.state == "new"
    if is_ is not None:
        if wanted.power == "off":
            return STOP
        if is_.paused:
            return RESUME
        if record.state != "running":
            return ADOPT
        if wanted.reboots > record.reboots and not is_.stuck:
            return REBOOT
        return SETTLE if new else NOTHING
    if wanted.power == "on":
        if new or (record.state == "running" and record.boot != boot):
            return START  # asked for, or the machine went down with the guest running
        return ENDED if record.state == "running" else NOTHING
    if record.state == "running":
        return ENDED
    if record.state == "new" or (record.state == "failed" and new):
        return PREPARE
    return SETTLE if new else NOTHING


def report(record: Record, health: str, doing: str) -> GuestReport:
    """The record as the cloud is told; ``doing`` names what is going on, if anything keeps it from being as wanted."""
    running = record.state == "running"
    state = "preparing" if record.state == "new" or (doing and not running) else record.state
    return GuestReport(
        id=record.id,
        revision=max(0, record.revision),
        state=state,
        reboots=record.reboots,
        started_at=record.started_at if running else None,
        stopped_by=record.stopped_by if state == "off" else None,
        detail=doing if state == "preparing" else record.detail,
        ready_at=record.ready_at if running else None,
        health=health if running else ("impaired" if state == "crashed" else "initializing"),
    )
