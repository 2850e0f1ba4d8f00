"""How the object store is: what it holds, what is to be given back, what its engine says. For operators and for metrics."""

from __future__ import annotations

import datetime
import io
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any

from mallee.objects import internal
from mallee.objects.engine.base import SMALL, EngineError, Fault
from mallee.objects.engine.local import LocalEngine
from mallee.objects.engine.local import engine as local
from mallee.objects.index import garbage, usage, versions
from mallee.objects.records import Bucket
from mallee.objects.store import Store
from mallee.store import StoreUnavailable, Tx

PROBE = "mallee-probe"


@dataclass(frozen=True, slots=True)
class Condition:
    """``space`` is the local engine's; ``scrub`` the pass that is under way and the last whole one, where the engine scrubs."""

    engine: str
    index: str
    copies: int | None
    held: usage.Usage
    garbage: int
    garbage_since: datetime.datetime | None
    space: local.Usage | None
    scrub: tuple[Any, Any]
    faults: tuple[Fault, ...]


def condition(objects: Store) -> Condition:
    """Raises EngineError when the engine is away, StoreUnavailable when the index is."""
    with objects.index.reading() as tx:
        held = usage.all_usage(tx)
        waiting, since = garbage.backlog(tx)
    sums = [sum(column) for column in zip(*(astuple(each)[1:] for each in held), strict=True)]
    engine = objects.engine
    own = engine if isinstance(engine, LocalEngine) else None
    scrubbed = getattr(engine, "scrubbed", None)
    return Condition(
        engine.name,
        objects.index.database.kind,
        None if own is None else own.copies,
        usage.Usage("", *sums),
        waiting,
        since,
        None if own is None else own.usage(),
        scrubbed() if scrubbed is not None else (None, None),
        tuple(engine.faults()),
    )


def probe(objects: Store) -> tuple[int, float]:
    """Writes a small and a large object, reads and removes them; how many bytes, and the seconds that took. Raises EngineError,
    StoreUnavailable, LookupError."""
    began = time.monotonic()
    total = 0
    there = internal.bucket(objects, PROBE)
    for size in (1000, SMALL + 1000):
        key, data = os.urandom(8).hex(), os.urandom(size)
        internal.put(objects, PROBE, key, size, io.BytesIO(data))
        try:
            reader = internal.opened(objects, PROBE, key)
            if reader is None:
                raise EngineError("An object that was just written to the object store is not there.", "See ./mallee logs cloud.")
            try:
                if reader.read(0, size) != data:
                    raise EngineError("An object that was just written to the object store reads differently.", "See ./mallee logs cloud.")
            finally:
                reader.close()
        finally:
            objects.index.run(partial(_remove, there, key))
        total += size
    return total, time.monotonic() - began


def _remove(there: Bucket, key: str, tx: Tx) -> None:
    versions.delete(tx, there.versioning, there.id, key.encode(), there.account_id)


class Samples:
    """For /metrics; asked at most every few seconds, however often somebody looks."""

    SECONDS = 10.0

    def __init__(self, objects: Store) -> None:
        self._objects = objects
        self._until = 0.0
        self._known: list[tuple[str, dict[str, str], float]] = []

    def __call__(self) -> Iterable[tuple[str, dict[str, str], float]]:
        if self._until <= time.monotonic():
            try:
                self._known = list(_samples(condition(self._objects)))
            except (EngineError, StoreUnavailable, OSError):
                self._known = [("mallee_objects_up", {}, 0)]
            self._until = time.monotonic() + self.SECONDS
        return self._known


def _samples(found: Condition) -> Iterator[tuple[str, dict[str, str], float]]:
    held = found.held
    yield "mallee_objects_up", {}, 1
    for kind, number, size in (
        ("current", held.objects, held.bytes),
        ("noncurrent", held.noncurrent, held.noncurrent_bytes),
        ("uploads", held.uploads, held.upload_bytes),
    ):
        yield "mallee_objects", {"kind": kind}, number
        yield "mallee_objects_bytes", {"kind": kind}, size
    yield "mallee_objects_garbage", {}, found.garbage
    yield "mallee_objects_faults", {}, len(found.faults)
    if found.space is not None:
        for disk in found.space.disks:
            yield "mallee_objects_disk_bytes", {"disk": str(disk.path)}, disk.total
            yield "mallee_objects_disk_free_bytes", {"disk": str(disk.path)}, disk.free
            yield "mallee_objects_disk_up", {"disk": str(disk.path)}, int(disk.fault is None)
        yield "mallee_objects_packs", {}, found.space.packs
        yield "mallee_objects_dead_bytes", {}, found.space.dead
        yield "mallee_objects_owed", {}, found.space.owed
    for name, scrub in zip(("running", "last"), found.scrub, strict=True):
        if scrub is not None:
            yield "mallee_objects_scrub_verified_bytes", {"pass": name}, scrub.verified
            yield "mallee_objects_scrub_damaged", {"pass": name}, getattr(scrub, "lost", 0)
            yield "mallee_objects_scrub_began_seconds", {"pass": name}, scrub.began
