"""Everything is read and verified, a little at a time: where it stands is kept in the pool, so that any process goes on with it.

Replicas are Ceph's own business: it compares them (``deep-scrub``), and reads another copy where a disk returns an error. This looks at what Ceph
cannot know: whether the bytes are those that were written here, and whether somebody still refers to them. Stripes without a first one, which
only a client can leave that was stopped for longer than its lease in the middle of a write, are removed.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mallee.objects.engine.base import ContentDamaged, IsLive, Label
from mallee.objects.engine.rados import layout, packs, upkeep
from mallee.objects.engine.rados.births import shard
from mallee.objects.engine.rados.layout import STRIPE, Packed, Striped
from mallee.objects.engine.rados.librados import Pool, RadosError, Read, Write
from mallee.objects.engine.rados.link import UPKEEP, births, put, rows

log = logging.getLogger("mallee.objects.rados")

STATE = "scrub.state"
WHOLE = 2**20
"""The pool is cut into so many parts at most; the position counts them."""
PER_PART = 64
_LISTED = 1000


@dataclass(slots=True)
class Findings:
    """Of one pass. ``damaged`` lists contents (location, label) that somebody refers to and nobody can read any more, at most 1,000 of the ``lost``
    ones; ``orphaned`` are stripes without a first one, which were removed."""

    number: int = 1
    began: float = 0.0
    ended: float = 0.0
    contents: int = 0
    verified: int = 0  # bytes
    orphaned: int = 0
    orphaned_bytes: int = 0
    lost: int = 0
    damaged: list[tuple[str, Label]] = field(default_factory=list)
    position: float = 0.0  # between 0 and 1

    @property
    def complete(self) -> bool:
        return bool(self.ended)

    def lose(self, location: str, label: Label) -> None:
        if any(location == known for known, _ in self.damaged):
            return
        self.lost += 1
        if len(self.damaged) < _LISTED:
            self.damaged.append((location, label))
        log.error("%s is damaged in the pool: %s", location, label)


def _read(saved: Any) -> Findings | None:
    if not saved:
        return None
    known = {each.name for each in dataclasses.fields(Findings)}
    found = Findings(**{name: value for name, value in saved.items() if name in known})
    found.damaged = [(location, label) for location, label in found.damaged]
    return found


def report(pool: Pool) -> tuple[Findings | None, Findings | None]:
    """The pass that is under way, and the last whole one. Raises RadosError."""
    saved = json.loads(dict(rows(pool, UPKEEP, STATE)).get(STATE, b"{}"))
    return _read(saved.get("found")), _read(saved.get("last"))


def scrub(pool: Pool, is_live: IsLive, budget: float, now: float, go_on: Callable[[], bool]) -> Findings:
    """What this pass has found so far; ``complete`` if this run ended it. At least one part is verified, however small the budget. Raises
    RadosError."""
    end = time.monotonic() + budget
    found, last = report(pool)
    if found is None:
        found = Findings(1 if last is None else last.number + 1, now)
    at = int(found.position * WHOLE)
    step = WHOLE // min(WHOLE, 1 << max(0, (pool.objects() // PER_PART).bit_length()))
    at -= at % step
    while True:
        suspects: list[tuple[str, Label]] = []
        for name in pool.names(at // step, WHOLE // step):
            parsed = layout.parse_name(name)
            if parsed is not None:
                _look(pool, *parsed, found, suspects)
        if suspects:
            for suspect, wanted in zip(suspects, is_live(suspects), strict=True):
                if wanted:
                    found.lose(*suspect)
        at += step
        found.position = at / WHOLE
        if at >= WHOLE:
            found.ended = now
        state = {"last": dataclasses.asdict(found)} if found.complete else {"found": dataclasses.asdict(found)}
        if not found.complete and last is not None:
            state["last"] = dataclasses.asdict(last)
        put(pool, UPKEEP, {STATE: json.dumps(state).encode()}).wait()
        if found.complete or time.monotonic() >= end or not go_on():
            return found


def _look(pool: Pool, identity: str, number: int, found: Findings, suspects: list[tuple[str, Label]]) -> None:
    if number:
        head = Read().attributes_too()
        if pool.submit(identity, head).missing():
            # what is being written has a row as long as it has no first stripe: it is asked for after the first stripe was
            block = layout.block_of(identity)
            if not list(rows(pool, births(shard(block)), block)):
                name = layout.stripe_name(identity, number)
                if not pool.submit(name, Write().remove()).missing():
                    found.orphaned += 1
                    found.orphaned_bytes += STRIPE
            return
        _stripe(pool, identity, number, head.attributes, found, suspects)
        return
    head = Read().attributes_too()
    if pool.submit(identity, head).missing() or layout.GONE in head.attributes:
        return
    if layout.PACK in head.attributes:
        _pack(pool, identity, found, suspects)
        return
    _stripe(pool, identity, 0, head.attributes, found, suspects)
    if layout.LABEL in head.attributes:
        found.contents += 1
        _all_there(pool, identity, head.attributes, suspects)


def _stripe(
    pool: Pool, identity: str, number: int, head: dict[str, bytes], found: Findings, suspects: list[tuple[str, Label]]
) -> None:
    """Verifies one stripe; ``head``: the attributes of the content's first one."""
    name = layout.stripe_name(identity, number)
    buffer = bytearray(STRIPE)
    look = Read().into(buffer, 0, STRIPE).attributes_too()
    good = False
    try:
        if pool.submit(name, look).missing():
            return  # it was removed meanwhile
        check = layout.unpack_check(look.attributes.get(layout.CHECK, b""), name)
        data = memoryview(buffer)[: look.filled]
        good = len(data) == check.length and check.verify(data, 0)
    except ContentDamaged:
        pass
    except RadosError as error:
        if error.number != errno.EIO:
            raise
    found.verified += look.filled
    if not good:
        _suspect(identity, head, suspects)


def _suspect(identity: str, head: dict[str, bytes], suspects: list[tuple[str, Label]]) -> None:
    if layout.LABEL not in head:
        return  # it is being written
    try:
        label, size = layout.unpack_label(head[layout.LABEL])
    except ContentDamaged:
        return
    suspect = (str(Striped(identity, size)), label)
    if suspect not in suspects:
        suspects.append(suspect)


def _all_there(pool: Pool, identity: str, head: dict[str, bytes], suspects: list[tuple[str, Label]]) -> None:
    try:
        count = layout.stripes(layout.unpack_label(head[layout.LABEL])[1])
    except ContentDamaged:
        return
    for start in range(1, count, upkeep.AT_ONCE):
        looks = [
            pool.submit(layout.stripe_name(identity, number), Read().exists())
            for number in range(start, min(start + upkeep.AT_ONCE, count))
        ]
        missing = [look.missing() for look in looks]
        if any(missing) and not pool.submit(identity, Read().exists()).missing():
            _suspect(identity, head, suspects)


def _pack(pool: Pool, identity: str, found: Findings, suspects: list[tuple[str, Label]]) -> None:
    whole = packs.load(pool, identity)
    if whole is None:
        return
    broken: list[tuple[str, Label]] = []
    for entry in whole.entries():
        if entry.offset in whole.discarded:
            continue
        found.contents += 1
        found.verified += entry.length
        try:
            layout.read_record(identity, entry.offset, whole.data[entry.offset : entry.offset + entry.length])
        except ContentDamaged:
            broken.append((str(Packed(identity, entry.offset, entry.length)), entry.label))
    suspects += broken
