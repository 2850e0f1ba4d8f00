"""Upkeep of the bytes: garbage, what crashes left behind, room of discarded small contents, damage, disks that fail."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from mallee.durable import faults, reconciler
from mallee.objects import store
from mallee.objects.engine.base import Label
from mallee.objects.index import liveness, uploads
from mallee.objects.store import Store
from mallee.store import Clock, Database

SCRUB_SECONDS = 1.0
"""Of every minute, that the scrub may read: at 1 GiB/s a terabyte takes some seventeen hours."""

DISK_FAULTS = (
    "objects-copies-owed", "objects-disk-failed", "objects-disk-refused", "objects-disk-left-out", "objects-ceph-away", "objects-ceph-full",
)  # fmt: skip


@reconciler("objects-checkpoint", every=10)
def checkpoint_index(database: Database, clock: Clock) -> None:
    """Keeps the log of the index's SQLite short, so that no commit has to."""
    store.at(database).index.database.checkpoint()


@reconciler("objects-garbage", every=30)
def reclaim_garbage(database: Database, clock: Clock) -> None:
    """Discards contents that nothing refers to any more: what a crash put off, and what was being read."""
    store.at(database).index.reclaim()


@reconciler("objects-uploads", every=3600)
def forget_uploads(database: Database, clock: Clock) -> None:
    """Forgets completions that are a day old, and aborts the uploads of buckets that were deleted."""
    index = store.at(database).index
    while index.run(uploads.purge):
        pass


@reconciler("objects-sweep", every=900)
def sweep_contents(database: Database, clock: Clock) -> None:
    """Removes contents that were written and never referred to: what a crash between body and commit left."""
    objects = store.at(database)
    objects.engine.sweep(lambda contents: _are_live(objects, contents))


@reconciler("objects-compaction", every=300)
def compact_packs(database: Database, clock: Clock) -> None:
    """Gives back the room of small contents that were discarded."""
    objects = store.at(database)

    def moved(swings: Sequence[tuple[str, str, Label]]) -> Sequence[bool]:
        return objects.index.run(lambda tx: liveness.moved(tx, swings))

    objects.engine.compact(moved)


@reconciler("objects-scrub", every=60)
def scrub_contents(database: Database, clock: Clock) -> None:
    """Goes on verifying every content and mending what is damaged from another copy; what has no whole copy is a fault."""
    objects = store.at(database)
    found = objects.engine.scrub(lambda contents: _are_live(objects, contents), SCRUB_SECONDS)
    lost = getattr(found, "lost", 0)
    named = [f"{label.get('name', label.get('bucket', '?'))}/{_key(label)}" for _, label in getattr(found, "damaged", ())[:5]]
    _stand(objects, "objects-damaged", bool(lost), number=str(lost), names=", ".join(named))


@reconciler("objects-disks", every=30)
def check_disks(database: Database, clock: Clock) -> None:
    """Tells what the engine says of its disks."""
    objects = store.at(database)
    found = {fault.name: fault for fault in objects.engine.faults()}
    with database.reading() as tx:
        standing = {fault.code for fault in faults.open_(tx, "objects")}
    for code in sorted(set(found) | (standing & set(DISK_FAULTS))):
        fault = found.get(code)
        if fault is None:
            _stand(objects, code, False)
        else:
            _stand(objects, code, True, cause=fault.cause, remedy=fault.remedy)


def _stand(objects: Store, code: str, stands: bool, **details: str) -> None:
    with objects.database.reading() as tx:
        known = [fault for fault in faults.open_(tx, "objects") if fault.code == code]
    if stands:
        if known and known[0].cause == details.get("cause", known[0].cause) and "cause" in details:
            return
        objects.database.run(lambda tx: faults.raise_(tx, code, "objects", **details), durable=False)
    elif known:
        objects.database.run(lambda tx: faults.clear(tx, code, "objects"), durable=False)


def _are_live(objects: Store, contents: Sequence[tuple[str, Label]]) -> list[bool]:
    with objects.index.reading() as tx:
        return liveness.is_live(tx, contents)


def _key(label: Label) -> str:
    return base64.b64decode(str(label.get("key", ""))).decode("utf-8", "replace")
