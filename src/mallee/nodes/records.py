"""What the cloud knows of its hosts: the nodes, which instance stands on which, and what each node last reported.

Two kinds of facts, in tables of their own, so that neither ever overwrites or waits for the other. The *cloud's*:
``nodes`` (where a node is, whether it takes new instances, the generation of what it shall have) and ``placements``.
The *node's*: ``node_reports``, ``guest_reports`` and ``consoles``, written only from what a node says, guarded by its
run and sequence.

Capacity is what the node reported, times its overcommit, minus the sum of its placements, computed under a lock on
the rows of the nodes concerned: there is no counter that could drift. A placement is one row with the instance's id
as its key: an instance stands on one node or on none.

A generation is raised in the transaction that changes what it stands for, under a lock that is held until the commit;
so whoever reads generation g in a snapshot sees every change up to g and none after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, bindparam, func, select, update

from mallee.store import Bytes, Flag, Float, Integer, Json, Text, Timestamp, Tx, plain_table, read, read_all

from .rules import Candidate, Size, choose

NODES = plain_table(
    "nodes",
    Column("id", Text, primary_key=True),
    Column("zone", Text, nullable=False),
    Column("hostname", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("accepting", Flag, nullable=False),  # takes new instances
    Column("reachable", Flag, nullable=False),
    Column("vcpu_overcommit", Float, nullable=False),
    Column("memory_overcommit", Float, nullable=False),
    Column("disk_overcommit", Float, nullable=False),
    Column("joined_at", Timestamp, nullable=False),
)

NODE_REPORTS = plain_table(
    "node_reports",
    Column("node_id", Text, ForeignKey("nodes.id"), primary_key=True),
    Column("boot_id", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("applied", Integer, nullable=False),
    Column("vcpus", Integer, nullable=False),
    Column("memory_mib", Integer, nullable=False),
    Column("disk_gib", Integer, nullable=False),
    Column("accelerator", Text, nullable=False),
    Column("faults", Json, nullable=False),
    Column("seen_at", Timestamp, nullable=False),
)

PLACEMENTS = plain_table(
    "placements",
    Column("instance_id", Text, primary_key=True),
    Column("node_id", Text, ForeignKey("nodes.id"), nullable=False),
    Column("vpc_id", Text),
    Column("vcpus", Integer, nullable=False),
    Column("memory_mib", Integer, nullable=False),
    Column("disk_gib", Integer, nullable=False),
    Column("placed_at", Timestamp, nullable=False),
)
Index("placements_by_node", PLACEMENTS.c.node_id, PLACEMENTS.c.vcpus, PLACEMENTS.c.memory_mib, PLACEMENTS.c.disk_gib)
Index("placements_by_vpc", PLACEMENTS.c.vpc_id, PLACEMENTS.c.node_id)

GUEST_REPORTS = plain_table(
    "guest_reports",
    Column("node_id", Text, ForeignKey("nodes.id"), primary_key=True),
    Column("instance_id", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reboots", Integer, nullable=False),
    Column("started_at", Text),
    Column("stopped_by", Text),
    Column("detail", Text, nullable=False),
    Column("ready_at", Text),
    Column("health", Text, nullable=False),
    Column("reported_at", Timestamp, nullable=False),
)
Index("guest_reports_by_instance", GUEST_REPORTS.c.instance_id)

CONSOLES = plain_table(
    "consoles",
    Column("instance_id", Text, primary_key=True),
    Column("text", Bytes, nullable=False),
    Column("offset", Integer, nullable=False),  # bytes of the console that came before ``text``
    Column("written_at", Timestamp, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Node:
    """A host. ``generation`` is what it shall have, ``applied`` the newest that it has applied whole."""

    id: str
    zone: str
    hostname: str
    generation: int
    accepting: bool
    reachable: bool
    joined_at: datetime
    boot_id: str
    sequence: int
    applied: int
    vcpus: int
    memory_mib: int
    disk_gib: int
    accelerator: str
    faults: list[dict[str, Any]]
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Placement:
    instance_id: str
    node_id: str
    vpc_id: str | None
    vcpus: int
    memory_mib: int
    disk_gib: int
    placed_at: datetime


@dataclass(frozen=True, slots=True)
class Guest:
    """What the node of an instance's placement last reported of it; the fields are those of
    ``fabric.document.GuestReport``.
    """

    node_id: str
    instance_id: str
    revision: int
    state: str
    reboots: int
    started_at: str | None
    stopped_by: str | None
    detail: str
    ready_at: str | None
    health: str
    reported_at: datetime


@dataclass(frozen=True, slots=True)
class Console:
    instance_id: str
    text: bytes
    offset: int
    written_at: datetime


_NODE_COLUMNS = (
    NODES.c.id,
    NODES.c.zone,
    NODES.c.hostname,
    NODES.c.generation,
    NODES.c.accepting,
    NODES.c.reachable,
    NODES.c.joined_at,
    *(column for column in NODE_REPORTS.c if column.name != "node_id"),
)
_ALL_NODES = select(*_NODE_COLUMNS).join(NODE_REPORTS, NODE_REPORTS.c.node_id == NODES.c.id).order_by(NODES.c.id)
_ONE_NODE = _ALL_NODES.where(NODES.c.id == bindparam("node_id"))
_GENERATION = select(NODES.c.generation).where(NODES.c.id == bindparam("node_id"))
_GENERATIONS = select(NODES.c.id, NODES.c.generation)
_LOCK_OPEN = (
    select(
        NODES.c.id,
        NODES.c.zone,
        (NODES.c.vcpu_overcommit * NODE_REPORTS.c.vcpus).label("vcpus"),
        (NODES.c.memory_overcommit * NODE_REPORTS.c.memory_mib).label("memory_mib"),
        (NODES.c.disk_overcommit * NODE_REPORTS.c.disk_gib).label("disk_gib"),
    )
    .join(NODE_REPORTS, NODE_REPORTS.c.node_id == NODES.c.id)
    .where(NODES.c.accepting, NODES.c.reachable)
    .order_by(NODES.c.id)
    .with_for_update(of=NODES)
)
_LOCK_OPEN_IN_ZONE = _LOCK_OPEN.where(NODES.c.zone == bindparam("zone"))
_USED = select(
    PLACEMENTS.c.node_id,
    func.sum(PLACEMENTS.c.vcpus).label("vcpus"),
    func.sum(PLACEMENTS.c.memory_mib).label("memory_mib"),
    func.sum(PLACEMENTS.c.disk_gib).label("disk_gib"),
).group_by(PLACEMENTS.c.node_id)
_PLACEMENT = select(PLACEMENTS).where(PLACEMENTS.c.instance_id == bindparam("instance_id"))
_NODES_OF = select(PLACEMENTS.c.node_id).where(PLACEMENTS.c.instance_id.in_(bindparam("instance_ids", expanding=True))).distinct()
_PLACEMENTS_ON = select(PLACEMENTS).where(PLACEMENTS.c.node_id == bindparam("node_id")).order_by(PLACEMENTS.c.instance_id)
_LOCK_NODES_OF_VPC = (
    select(NODES.c.id)
    .where(NODES.c.id.in_(select(PLACEMENTS.c.node_id).where(PLACEMENTS.c.vpc_id == bindparam("vpc_id"))))
    .order_by(NODES.c.id)
    .with_for_update()
)
_RAISE = update(NODES).where(NODES.c.id == bindparam("node_id")).values(generation=NODES.c.generation + 1)
_PLACED_GUESTS = select(GUEST_REPORTS).join(
    PLACEMENTS,
    (PLACEMENTS.c.instance_id == GUEST_REPORTS.c.instance_id) & (PLACEMENTS.c.node_id == GUEST_REPORTS.c.node_id),
)
_GUEST = _PLACED_GUESTS.where(GUEST_REPORTS.c.instance_id == bindparam("instance_id"))
_GUESTS_OF = _PLACED_GUESTS.where(GUEST_REPORTS.c.instance_id.in_(bindparam("instance_ids", expanding=True)))
_MANY = 500  # ids in one statement
_CONSOLE = select(CONSOLES).where(CONSOLES.c.instance_id == bindparam("instance_id"))


# --------------------------------------------------------------------------------------------------------- nodes


def node(tx: Tx, node_id: str) -> Node | None:
    row = tx.first(_ONE_NODE, node_id=node_id)
    return None if row is None else read(Node, row)


def nodes(tx: Tx) -> list[Node]:
    """All nodes, by id."""
    return read_all(Node, tx.all(_ALL_NODES))


def generation(tx: Tx, node_id: str) -> int | None:
    """The generation of what the node shall have; ``None`` when there is no such node."""
    row = tx.first(_GENERATION, node_id=node_id)
    return None if row is None else row.generation


def generations(tx: Tx) -> dict[str, int]:
    """The generation of every node, by id."""
    return {row.id: row.generation for row in tx.all(_GENERATIONS)}


# ---------------------------------------------------------------------------------------------------- placements


def place(
    tx: Tx, instance_id: str, vcpus: int, memory_mib: int, disk_gib: int, zone: str | None, vpc_id: str | None
) -> str | None:
    """Gives the instance room on a node of the zone (any zone: ``None``) and returns the node's id, or ``None`` when
    it fits nowhere. An instance that has a place keeps it. The node's generation is raised.
    """
    standing = placement_of(tx, instance_id)
    if standing is not None:
        return standing.node_id
    open_nodes = tx.all(_LOCK_OPEN) if zone is None else tx.all(_LOCK_OPEN_IN_ZONE, zone=zone)
    if not open_nodes:
        return None
    used = {row.node_id: Size(int(row.vcpus), int(row.memory_mib), int(row.disk_gib)) for row in tx.all(_USED)}
    candidates = (
        Candidate(row.id, Size(row.vcpus, row.memory_mib, row.disk_gib), used.get(row.id, Size(0, 0, 0))) for row in open_nodes
    )
    node_id = choose(candidates, Size(vcpus, memory_mib, disk_gib))
    if node_id is None:
        return None
    tx.insert(
        PLACEMENTS,
        instance_id=instance_id,
        node_id=node_id,
        vpc_id=vpc_id,
        vcpus=vcpus,
        memory_mib=memory_mib,
        disk_gib=disk_gib,
        placed_at=tx.now,
    )
    touch(tx, node_id=node_id)
    return node_id


def place_many(
    tx: Tx, instance_ids: Sequence[str], vcpus: int, memory_mib: int, disk_gib: int, zone: str | None, vpc_id: str | None
) -> tuple[str | None, dict[str, str]]:
    """Gives equal new instances room, all in one zone: in ``zone``, or in that of the node that takes the first. Returns
    the zone and the node of each instance that has found one, in the order given: fewer than asked when the zone is full.
    """
    open_nodes = tx.all(_LOCK_OPEN) if zone is None else tx.all(_LOCK_OPEN_IN_ZONE, zone=zone)
    if not open_nodes:
        return None, {}
    used = {row.node_id: Size(int(row.vcpus), int(row.memory_mib), int(row.disk_gib)) for row in tx.all(_USED)}
    wanted = Size(vcpus, memory_mib, disk_gib)
    zones = {row.id: row.zone for row in open_nodes}
    candidates = {
        row.id: Candidate(row.id, Size(row.vcpus, row.memory_mib, row.disk_gib), used.get(row.id, Size(0, 0, 0)))
        for row in open_nodes
    }
    placed: dict[str, str] = {}
    for instance_id in instance_ids:
        node_id = choose(candidates.values(), wanted)
        if node_id is None:
            break
        if zone is None:
            zone = zones[node_id]
            candidates = {id: each for id, each in candidates.items() if zones[id] == zone}
        candidates[node_id] = candidates[node_id].with_more(wanted)
        placed[instance_id] = node_id
    size = {"vcpus": vcpus, "memory_mib": memory_mib, "disk_gib": disk_gib, "placed_at": tx.now}
    tx.insert_many(
        PLACEMENTS,
        [{"instance_id": id, "node_id": node_id, "vpc_id": vpc_id, **size} for id, node_id in placed.items()],
    )
    for node_id in sorted(set(placed.values())):
        touch(tx, node_id=node_id)
    return zone, placed


def resize(tx: Tx, instance_id: str, vcpus: int, memory_mib: int) -> bool:
    """Gives a placed instance another size on its node; ``False`` (and nothing changes) when the node has no room for it."""
    standing = placement_of(tx, instance_id)
    if standing is None:
        return False
    more = Size(vcpus - standing.vcpus, memory_mib - standing.memory_mib, 0)
    total = next((row for row in tx.all(_LOCK_OPEN) if row.id == standing.node_id), None)
    if total is None:
        return more.vcpus <= 0 and more.memory_mib <= 0 and tx.change(PLACEMENTS, instance_id, vcpus=vcpus, memory_mib=memory_mib)
    (used,) = (row for row in tx.all(_USED) if row.node_id == standing.node_id)
    for have, taken, wanted in (
        (total.vcpus, int(used.vcpus), more.vcpus),
        (total.memory_mib, int(used.memory_mib), more.memory_mib),
    ):
        if wanted > 0 and taken + wanted > have:
            return False
    return tx.change(PLACEMENTS, instance_id, vcpus=vcpus, memory_mib=memory_mib)


def release(tx: Tx, instance_id: str) -> bool:
    """Takes the instance's place away and forgets what its node reported of it; says whether it had one. The node's
    generation is raised. The console's text stays for a while, as AWS keeps that of a terminated instance.
    """
    standing = placement_of(tx, instance_id)
    if standing is None:
        return False
    tx.remove(PLACEMENTS, instance_id)
    tx.remove(GUEST_REPORTS, {"node_id": standing.node_id, "instance_id": instance_id})
    touch(tx, node_id=standing.node_id)
    return True


def placement_of(tx: Tx, instance_id: str) -> Placement | None:
    row = tx.first(_PLACEMENT, instance_id=instance_id)
    return None if row is None else read(Placement, row)


def placements_on(tx: Tx, node_id: str) -> list[Placement]:
    """What stands on a node, by instance id."""
    return read_all(Placement, tx.all(_PLACEMENTS_ON, node_id=node_id))


def touch(tx: Tx, node_id: str | None = None, vpc_id: str | None = None, instance_id: str | None = None) -> None:
    """Raises the generation of the node itself, of every node with an instance in the VPC, and of the node of the
    instance, in one order for all transactions, and wakes those who wait for their documents once this transaction is
    committed.
    """
    concerned = set()
    if node_id is not None:
        concerned.add(node_id)
    if instance_id is not None:
        standing = placement_of(tx, instance_id)
        if standing is not None:
            concerned.add(standing.node_id)
    if vpc_id is not None:
        concerned.update(row.id for row in tx.all(_LOCK_NODES_OF_VPC, vpc_id=vpc_id))
    for each in sorted(concerned):
        tx.execute(_RAISE, node_id=each)
    if concerned:
        tx.nudge("desired")


def touch_instances(tx: Tx, instance_ids: Iterable[str]) -> None:
    """``touch`` of many instances: each of their nodes once."""
    wanted = sorted(set(instance_ids))
    concerned: set[str] = set()
    for start in range(0, len(wanted), _MANY):
        concerned.update(row.node_id for row in tx.all(_NODES_OF, instance_ids=wanted[start : start + _MANY]))
    for each in sorted(concerned):
        tx.execute(_RAISE, node_id=each)
    if concerned:
        tx.nudge("desired")


# ------------------------------------------------------------------------------------------------------- reports


def guest_report(tx: Tx, instance_id: str) -> Guest | None:
    """What the instance's node last said of it; ``None`` when it has no place, or its node has not mentioned it yet
    or any more.
    """
    row = tx.first(_GUEST, instance_id=instance_id)
    return None if row is None else read(Guest, row)


def guest_reports(tx: Tx, instance_ids: Iterable[str]) -> dict[str, Guest]:
    """``guest_report`` of many instances at once, by instance id."""
    wanted = sorted(set(instance_ids))
    found: dict[str, Guest] = {}
    for start in range(0, len(wanted), _MANY):
        rows = tx.all(_GUESTS_OF, instance_ids=wanted[start : start + _MANY])
        found.update((guest.instance_id, guest) for guest in read_all(Guest, rows))
    return found


def console(tx: Tx, instance_id: str) -> Console | None:
    """The end of the instance's serial console, as its node last handed it over."""
    row = tx.first(_CONSOLE, instance_id=instance_id)
    return None if row is None else read(Console, row)
