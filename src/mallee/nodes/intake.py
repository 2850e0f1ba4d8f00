"""Writing down what nodes say: joins, reports, consoles. Each is one transaction, and each may come twice or late.

A report counts only from the run of the node that joined last (``boot_id``) and only when its sequence is newer than
the one written; under a lock on the node's row, so that of two reports on the way the newer one wins, whichever
arrives first. Only guests whose entry differs from the row are written, and their machines are woken. A machine that
waits for a generation to be applied while its guest was never mentioned is woken when the applied generation rises.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select

from mallee import durable
from mallee.durable import faults
from mallee.fabric.document import GuestReport, Join, Report, to_json
from mallee.fabric.transport import CONSOLE_LIMIT, JoinFirst
from mallee.store import Tx

from .records import CONSOLES, GUEST_REPORTS, NODE_REPORTS, NODES, PLACEMENTS, placement_of
from .rules import Overcommit

_LOCK_REPORT = select(NODE_REPORTS).where(NODE_REPORTS.c.node_id == bindparam("node_id")).with_for_update()
_NODE = select(NODES.c.id).where(NODES.c.id == bindparam("node_id")).with_for_update()
_GUESTS_ON = select(GUEST_REPORTS).where(GUEST_REPORTS.c.node_id == bindparam("node_id"))
_UNMENTIONED = (
    select(PLACEMENTS.c.instance_id)
    .outerjoin(
        GUEST_REPORTS,
        (GUEST_REPORTS.c.node_id == PLACEMENTS.c.node_id) & (GUEST_REPORTS.c.instance_id == PLACEMENTS.c.instance_id),
    )
    .where(PLACEMENTS.c.node_id == bindparam("node_id"), GUEST_REPORTS.c.instance_id.is_(None))
)
_CONSOLE = select(CONSOLES.c.instance_id).where(CONSOLES.c.instance_id == bindparam("instance_id"))
_GUEST_FIELDS = ("revision", "state", "reboots", "started_at", "stopped_by", "detail", "ready_at", "health")


def join(tx: Tx, joining: Join, overcommit: Overcommit) -> None:
    """Makes the node known, or known again, and this run of it the one whose reports count. A known node keeps its
    generation, its overcommit and whether it takes instances.
    """
    capacity = joining.capacity
    place = {"zone": joining.zone, "hostname": joining.hostname, "reachable": True}
    run = {
        "boot_id": joining.boot_id,
        "sequence": 0,
        "applied": 0,
        "vcpus": capacity.vcpus,
        "memory_mib": capacity.memory_mib,
        "disk_gib": capacity.disk_gib,
        "accelerator": capacity.accelerator,
        "seen_at": tx.now,
    }
    if tx.first(_NODE, node_id=joining.node_id) is None:
        tx.insert(
            NODES,
            id=joining.node_id,
            generation=1,
            accepting=True,
            vcpu_overcommit=overcommit.vcpus,
            memory_overcommit=overcommit.memory,
            disk_overcommit=overcommit.disk,
            joined_at=tx.now,
            **place,
        )
        tx.insert(NODE_REPORTS, node_id=joining.node_id, faults=[], **run)
    else:
        known = tx.first(_LOCK_REPORT, node_id=joining.node_id)
        assert known is not None
        if known.boot_id == joining.boot_id:  # the reply to its first join was lost, or the cloud was restored
            del run["sequence"], run["applied"]
        tx.change(NODES, joining.node_id, **place)
        tx.change(NODE_REPORTS, joining.node_id, **run)
    faults.clear(tx, "node-unreachable", joining.node_id)
    tx.nudge("desired")
    tx.nudge("nodes")


def accept(tx: Tx, report: Report) -> bool:
    """Writes a report; ``False`` when it is older than what is written. ``JoinFirst`` when this run of the node has
    not joined.
    """
    known = tx.first(_LOCK_REPORT, node_id=report.node_id)
    if known is None:
        raise JoinFirst(f"The node {report.node_id} has not joined this cloud.")
    if known.boot_id != report.boot_id:
        raise JoinFirst(f"Another run of the node {report.node_id} has joined since.")
    if report.sequence <= known.sequence:
        return False
    stirred = _write_guests(tx, report)
    if report.generation > known.applied:
        stirred.update(row.instance_id for row in tx.all(_UNMENTIONED, node_id=report.node_id))
    _write_faults(tx, known.faults, report)
    tx.change(
        NODE_REPORTS,
        report.node_id,
        sequence=report.sequence,
        applied=report.generation,
        vcpus=report.capacity.vcpus,
        memory_mib=report.capacity.memory_mib,
        disk_gib=report.capacity.disk_gib,
        accelerator=report.capacity.accelerator,
        faults=[to_json(fault) for fault in report.faults],
        seen_at=tx.now,
    )
    for instance_id in sorted(stirred):
        durable.wake(tx, instance_id)
    return True


def keep_console(tx: Tx, node_id: str | None, instance_id: str, text: bytes, offset: int) -> bool:
    """Keeps the end of a console; ``False`` (and nothing is kept) when no such instance stands on that node."""
    standing = placement_of(tx, instance_id)
    if standing is None or (node_id is not None and standing.node_id != node_id):
        return False
    cut = max(0, len(text) - CONSOLE_LIMIT)
    values = {"text": text[cut:], "offset": offset + cut, "written_at": tx.now}
    if tx.first(_CONSOLE, instance_id=instance_id) is None:
        tx.insert(CONSOLES, instance_id=instance_id, **values)
    else:
        tx.change(CONSOLES, instance_id, **values)
    return True


def _write_guests(tx: Tx, report: Report) -> set[str]:
    """Makes the rows equal to the report; the ids of the guests that changed, came or went."""
    rows = {row.instance_id: row for row in tx.all(_GUESTS_ON, node_id=report.node_id)}
    stirred = set()
    fresh = []
    for guest in {guest.id: guest for guest in report.guests}.values():
        row = rows.pop(guest.id, None)
        values = _values(guest)
        if row is None:
            fresh.append({"node_id": report.node_id, "instance_id": guest.id, "reported_at": tx.now, **values})
        elif any(getattr(row, name) != value for name, value in values.items()):
            key = {"node_id": report.node_id, "instance_id": guest.id}
            tx.change(GUEST_REPORTS, key, reported_at=tx.now, **values)
        else:
            continue
        stirred.add(guest.id)
    if fresh:
        tx.insert_many(GUEST_REPORTS, fresh)
    for instance_id in rows:
        tx.remove(GUEST_REPORTS, {"node_id": report.node_id, "instance_id": instance_id})
        stirred.add(instance_id)
    return stirred


def _values(guest: GuestReport) -> dict[str, Any]:
    return {name: getattr(guest, name) for name in _GUEST_FIELDS}


def _write_faults(tx: Tx, known: list[dict[str, Any]], report: Report) -> None:
    """Raises the faults that the node sees now and clears those that it saw before and does not see any more."""
    now = {(fault.code, fault.subject): fault for fault in report.faults}
    before = {(fault["code"], fault["subject"]): fault for fault in known}
    for key in sorted(before.keys() - now.keys()):
        faults.clear(tx, *key)
    for key, fault in sorted(now.items()):
        if before.get(key) != to_json(fault):
            faults.raise_(tx, fault.code, fault.subject, node=report.node_id, cause=fault.cause, remedy=fault.remedy)
