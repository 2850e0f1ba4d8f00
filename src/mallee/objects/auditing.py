"""The index against the contents that there are: whether every location leads to one, whether somebody refers to each, whether counters are right.

It goes piece by piece, and between two pieces everything may change; within one, what seems to differ is looked at once more, so that what is
written or removed meanwhile is no difference. Contents that no row refers to are a difference only when the sweep should have removed them
long ago.
"""

from __future__ import annotations

import time
import zlib
from dataclasses import astuple, dataclass, field
from itertools import islice
from typing import Any, Final

from mallee.objects.engine.base import ContentDamaged, ContentMissing, Label
from mallee.objects.engine.local import LocalEngine
from mallee.objects.index import garbage, liveness, references, usage
from mallee.objects.store import Store

AGE: Final = 3 * 3600.0
"""Seconds after which the sweep has certainly been there."""
MOST_COUNTED: Final = 200_000
"""Versions of a bucket whose counters are compared with its rows."""
_ROWS, _CONTENTS, _COUNTERS = "rows", "contents", "counters"


@dataclass(slots=True)
class Piece:
    """``next``: where to go on, as JSON; None at the end."""

    checked: int = 0
    differences: list[str] = field(default_factory=list)
    next: list[Any] | None = None


def audit(objects: Store, at: list[Any] | None, every: int = 1, limit: int = 1000, age: float = AGE) -> Piece:
    """One piece. Raises EngineError when the engine is away."""
    stage, *place = at or [_ROWS, *references.FIRST]
    if stage == _ROWS:
        return _rows(objects, place, every, limit)
    if stage == _CONTENTS:
        return _contents(objects, place, every, limit, age)
    return _counters(objects, place[0], limit)


def _chosen(location: str, every: int) -> bool:
    """The same ones from both sides."""
    return every == 1 or zlib.crc32(location.encode()) % every == 0


def _rows(objects: Store, place: list[Any], every: int, limit: int) -> Piece:
    with objects.index.reading() as tx:
        found, following = references.behind(tx, place, limit)
    piece = Piece(next=[_CONTENTS] if following is None else [_ROWS, *following])
    for reference in found:
        for location, _ in reference.content:
            if not _chosen(location, every):
                continue
            piece.checked += 1
            wrong = _trouble(objects, location)
            if wrong and _refers(objects, reference.place, location) and _trouble(objects, location):
                piece.differences.append(f"{references.named(reference.place)} refers to {location}, which {wrong}")
    return piece


def _trouble(objects: Store, location: str) -> str:
    try:
        objects.engine.open(location).close()
    except ContentMissing:
        return "is not there"
    except ContentDamaged:
        return "is damaged on every disk"
    return ""


def _refers(objects: Store, place: list[Any], location: str) -> bool:
    with objects.index.reading() as tx:
        return references.refers(tx, place, location)


def _contents(objects: Store, place: list[Any], every: int, limit: int, age: float) -> Piece:
    """Only the local engine can say all that it has; Ceph's own scrub of Mallee's pools does this there."""
    engine = objects.engine
    if not isinstance(engine, LocalEngine):
        return Piece(next=[_COUNTERS, ""])
    piece = Piece()
    old: list[tuple[str, Label]] = []
    before = time.time() - age
    for at, location, label, made in islice(engine.contents(place, lambda location: _chosen(location, every)), limit):
        piece.next = [_CONTENTS, *at]
        if _chosen(location, every):
            piece.checked += 1
            if made <= before:
                old.append((location, label))
    if piece.next is None:
        piece.next = [_COUNTERS, ""]
    with objects.index.reading() as tx:
        live = liveness.is_live(tx, old)
        orphans = [location for (location, _), lives in zip(old, live, strict=True) if not lives and not garbage.is_garbage(tx, location)]
    piece.differences = [f"{location} is there, and nobody refers to it" for location in orphans if engine.is_there(location)]
    return piece


def _counters(objects: Store, after: str, limit: int) -> Piece:
    """A bucket's at a time."""
    piece = Piece()
    with objects.index.reading() as tx:
        left = [each for each in usage.all_usage(tx) if each.bucket_id > after]
        for number, counted in enumerate(left):
            size = 1 + counted.objects + counted.noncurrent
            if size > MOST_COUNTED:
                continue
            if number >= limit or piece.checked + size > MOST_COUNTED:
                piece.next = [_COUNTERS, left[number - 1].bucket_id]
                break
            piece.checked += size
            there = usage.count(tx, counted.bucket_id)
            if there != counted:
                pairs = zip(usage.COUNTERS, astuple(there)[1:], astuple(counted)[1:], strict=True)
                wrong = ", ".join(f"{name} {has} and not {said}" for name, has, said in pairs if has != said)
                piece.differences.append(f"bucket {counted.bucket_id} has {wrong}")
    return piece


