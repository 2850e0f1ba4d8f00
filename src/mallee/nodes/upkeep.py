"""Reconcilers of what the cloud knows of its hosts. None of them touches a guest: a node that is silent keeps what it
has.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import bindparam, select

from mallee.durable import faults, reconciler
from mallee.objects import store
from mallee.store import Clock, Database

from .blobs import Blobs
from .records import CONSOLES, NODE_REPORTS, NODES, PLACEMENTS

SILENCE = timedelta(seconds=60)  # three missed writes of "seen"
CONSOLE_KEPT = timedelta(hours=1)  # how long the console of a terminated instance can still be read

_REACHABILITY = (
    select(NODES.c.id, NODES.c.hostname, NODES.c.reachable, NODE_REPORTS.c.seen_at)
    .join(NODE_REPORTS, NODE_REPORTS.c.node_id == NODES.c.id)
    .order_by(NODES.c.id)
)
_LEFT_CONSOLES = (
    select(CONSOLES.c.instance_id)
    .outerjoin(PLACEMENTS, PLACEMENTS.c.instance_id == CONSOLES.c.instance_id)
    .where(PLACEMENTS.c.instance_id.is_(None), CONSOLES.c.written_at < bindparam("before"))
)


@reconciler("blobs", every=60)
def take_in_blobs(database: Database, clock: Clock) -> None:
    """What lies in the staging folder becomes objects, from which nodes fetch it."""
    Blobs(database, store.at(database).settings.blobs).take_in_all()


@reconciler("nodes", every=15, on=("nodes",))
def mark_silent_nodes(database: Database, clock: Clock) -> None:
    """Marks the nodes that have said nothing for ``SILENCE`` as unreachable, so that they get no new instances, and
    those that speak again as reachable; the fault ``node-unreachable`` stands meanwhile.
    """
    with database.reading() as tx:
        before = tx.now - SILENCE
        wrong = [row for row in tx.all(_REACHABILITY) if row.reachable == (row.seen_at < before)]
    if not wrong:
        return
    with database.transaction() as tx:
        before = tx.now - SILENCE
        for row in tx.all(_REACHABILITY):
            silent = row.seen_at < before
            if row.reachable != silent:
                continue
            tx.change(NODES, row.id, reachable=not silent)
            if silent:
                faults.raise_(
                    tx, "node-unreachable", row.id, hostname=row.hostname, seen_at=row.seen_at.isoformat(timespec="seconds")
                )
            else:
                faults.clear(tx, "node-unreachable", row.id)


@reconciler("consoles", every=600)
def forget_old_consoles(database: Database, clock: Clock) -> None:
    """Removes the consoles of instances that have had no place for a while."""
    with database.reading() as tx:
        left = [row.instance_id for row in tx.all(_LEFT_CONSOLES, before=tx.now - CONSOLE_KEPT)]
    if not left:
        return
    with database.transaction() as tx:
        for row in tx.all(_LEFT_CONSOLES, before=tx.now - CONSOLE_KEPT):
            tx.remove(CONSOLES, row.instance_id)
