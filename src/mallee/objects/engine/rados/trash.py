"""Contents that were discarded and linger: whoever has one open reads it to its end.

``discard`` marks the first stripe as ``gone``, so that nobody opens it any more, and writes a row ``due.location`` into ``mallee.trash.<shard>``.
Once that is due, ``LINGER`` seconds later, whoever comes first empties it. A process that has a content open for more than half of that time
says so in ``mallee.holds`` (``id.process -> until``) and renews it; what is held is not removed. Packs that were compacted take the same
way, so that a reader that looked its location up just before still finds it.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterable, Iterator

from mallee.objects.engine.rados import layout
from mallee.objects.engine.rados.births import shard
from mallee.objects.engine.rados.contents import remove_stripes
from mallee.objects.engine.rados.layout import Packed, Striped
from mallee.objects.engine.rados.librados import Pool, RadosError, Write
from mallee.objects.engine.rados.link import HOLDS, SHARDS, drop, put, rows, trash

LINGER = 600.0
AT_ONCE = 128


def _row(due: float, place: Striped | Packed) -> str:
    return f"{max(0, int(due * 1e6)):016x}.{place}"


def throw(pool: Pool, places: Iterable[Striped | Packed], due: float) -> None:
    """To be removed when it is due. What is not there is passed over. Raises RadosError."""
    waiting = list(places)
    for start in range(0, len(waiting), AT_ONCE):
        part = waiting[start : start + AT_ONCE]
        marks = [pool.submit(place.identity, Write().exists().attribute(layout.GONE, b"1")) for place in part]
        found: dict[int, dict[str, bytes]] = {}
        for place, mark in zip(part, marks, strict=True):
            if not mark.missing():
                found.setdefault(shard(place.identity), {})[_row(due, place)] = b""
        for pending in [put(pool, trash(number), values) for number, values in found.items()]:
            pending.wait()


def empty(pool: Pool, now: float, go_on: Callable[[], bool]) -> int:
    """Removes what is due; how many bytes. Raises RadosError."""
    given = 0
    held: dict[str, float] | None = None
    for number in range(SHARDS):
        while due := dict(itertools.islice(_due(pool, number, now), AT_ONCE)):
            if not go_on():
                return given
            if held is None:
                held = holds(pool)
            free = []
            for place in due.values():
                if (until := held.get(place.identity, 0.0)) > now:
                    put(pool, trash(number), {_row(until, place): b""}).wait()
                else:
                    free.append(place)
            given += _remove(pool, free)
            drop(pool, trash(number), list(due)).wait()
    return given


def _due(pool: Pool, number: int, now: float) -> Iterator[tuple[str, Striped | Packed]]:
    for key, _ in rows(pool, trash(number)):
        due, _, location = key.partition(".")
        if int(due, 16) > now * 1e6:
            return
        place = layout.parse(location)
        if place is not None:
            yield key, place


def _remove(pool: Pool, places: list[Striped | Packed]) -> int:
    """The first stripe of each, and packs, all at once; then what follows. How many bytes."""
    heads = [pool.submit(place.identity, Write().remove()) for place in places]
    given = 0
    for place, head in zip(places, heads, strict=True):
        there = not head.missing()
        if isinstance(place, Striped):
            if place.size > layout.STRIPE:
                remove_stripes(pool, place.identity, layout.stripes(place.size))
            given += place.size
        elif there:
            given += place.length
    return given


# -------------------------------------------------------------------------------------------------------------- holds


def holds(pool: Pool) -> dict[str, float]:
    """Until when each content is held. Raises RadosError."""
    found: dict[str, float] = {}
    for key, value in rows(pool, HOLDS):
        identity = key.partition(".")[0]
        found[identity] = max(found.get(identity, 0.0), float(value))
    return found


def hold(pool: Pool, process: str, identities: Iterable[str], until: float, now: float) -> None:
    """This process has these open; what it held before and has closed is taken away, and what ran out. Raises RadosError."""
    wanted = {f"{identity}.{process}": str(until).encode() for identity in identities}
    stale = [key for key, value in rows(pool, HOLDS) if (key.endswith("." + process) or float(value) < now) and key not in wanted]
    if wanted:
        put(pool, HOLDS, wanted).wait()
    if stale:
        try:
            drop(pool, HOLDS, stale).wait()
        except RadosError as error:
            if error.number != errno.ENOENT:
                raise
