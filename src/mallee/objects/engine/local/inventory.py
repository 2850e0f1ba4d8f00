"""What is on the disks, content by content, in one order: for audits. Nothing is changed and no content is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from ..base import ContentMissing, Label
from . import format
from .files import Files
from .format import InFile, InPack
from .packs import Packs
from .scanning import Gap, walk
from .sealing import readers_of
from .sweeping import Sweep

Place = list[Any]
Found = tuple[Place, str, Label, float]
"""Where that is in the order, its location, its label, and when it was written at the latest."""
Wanted = Callable[[str], bool]


def contents(sweep: Sweep, after: Place, wanted: Wanted) -> Iterator[Found]:
    """Those behind ``after`` (the empty list: all) that are not discarded. Of a file that is not ``wanted`` (by its location) nothing is read:
    its label is empty, and its time that of now or later."""
    if after[:1] != ["p"]:
        for hour in sweep.hours():
            if after and hour < after[1]:
                continue
            for id in sweep.ids(hour):
                if not after or [hour, id] > after[1:]:
                    location = f"f/{hour}/{id}"
                    label, made, _ = sweep.label(InFile(hour, id)) if wanted(location) else ({}, math.inf, 0)
                    yield ["f", hour, id], location, label, made
    for pack in sorted(sweep.packs.all()):
        if after[:1] == ["p"] and pack < after[1]:
            continue
        yield from _pack(sweep, pack, after[2] if after[:2] == ["p", pack] else -1)


def _pack(sweep: Sweep, pack: int, behind: int) -> Iterator[Found]:
    written, dead = sweep.written(pack), sweep.packs.dead(pack)
    if written is None:
        return
    start = behind if behind >= 0 else format.PACK_HEAD
    for found in walk(pack, readers_of(sweep.packs, pack), start, whole=False):
        if isinstance(found, Gap) or found.head.kind != format.CONTENT or found.offset in dead or found.offset <= behind:
            continue
        location = format.pack_location(pack, found.offset, found.head.length)
        yield ["p", pack, found.offset], location, found.label, written


def is_there(files: Files, packs: Packs, location: str) -> bool:
    """Whether it still is, and is not discarded."""
    place = format.parse_location(location)
    if isinstance(place, InPack):
        return place.pack in packs.all() and place.offset not in packs.dead(place.pack)
    try:
        files.open(location, place).close()
    except ContentMissing:
        return False
    return True
