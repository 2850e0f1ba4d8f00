"""What is done now and then: what crashes left behind is removed, packs with much discarded room are written anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mallee.objects.engine.base import ContentDamaged, IsLive, Label, Moved
from mallee.objects.engine.rados import layout, packs, trash
from mallee.objects.engine.rados.births import GRACE
from mallee.objects.engine.rados.contents import remove_stripes
from mallee.objects.engine.rados.layout import Packed, Striped
from mallee.objects.engine.rados.librados import Pool, Read, Write
from mallee.objects.engine.rados.link import SESSIONS, SHARDS, births, drop, rows
from mallee.objects.engine.rados.packs import Packer

AT_ONCE = 32
DISCARDED = 0.5
"""A pack of which so much was discarded is written anew."""

GoOn = Callable[[], bool]


# -------------------------------------------------------------------------------------------------------------- sweep


@dataclass(frozen=True, slots=True)
class Birth:
    """A block's row: ``settled`` is the moment from which on nothing of it was written any more, None while something may be."""

    table: str
    block: str
    session: str
    opened: float
    settled: float | None
    used: int


def settled_births(pool: Pool, now: float, grace: float) -> Iterator[Birth]:
    """The blocks of which everything is settled, by the rule of ``births``; sessions of which nothing is left are taken out. Raises RadosError."""
    found = list(all_births(pool))
    sessions = {key: json.loads(value)["until"] for key, value in rows(pool, SESSIONS)}
    left = {birth.session for birth in found}
    ended = [name for name, until in sessions.items() if until + grace < now and name not in left]
    if ended:
        drop(pool, SESSIONS, ended).wait()
    for birth in found:
        since = birth.settled if birth.settled is not None else sessions.get(birth.session, birth.opened)
        if since + grace < now:
            yield birth


def all_births(pool: Pool) -> Iterator[Birth]:
    for number in range(SHARDS):
        table = births(number)
        for block, value in rows(pool, table):
            row = json.loads(value)
            yield Birth(table, block, row["session"], row["opened"], row.get("settled"), row.get("used", layout.IDS_PER_BLOCK))


def sweep(pool: Pool, is_live: IsLive, now: float, go_on: GoOn, grace: float = GRACE, linger: float = trash.LINGER) -> int:
    """How many bytes it gave back. Raises RadosError."""
    given = 0
    for birth in settled_births(pool, now, grace):
        for start in range(0, birth.used, AT_ONCE):
            if not go_on():
                return given
            identities = [layout.id_of(birth.block, number) for number in range(start, min(start + AT_ONCE, birth.used))]
            given += _sweep(pool, is_live, identities, now + linger)
        drop(pool, birth.table, [birth.block]).wait()
    return given


def _sweep(pool: Pool, is_live: IsLive, identities: list[str], due: float) -> int:
    looks = [(identity, Read().stat().attributes_too()) for identity in identities]
    pending = [pool.submit(identity, look) for identity, look in looks]
    there = [look for look, each in zip(looks, pending, strict=True) if not each.missing()]
    given = 0
    asked: list[tuple[Striped | Packed, Label]] = []
    for identity, look in there:
        if layout.PACK in look.attributes:
            asked += _of_pack(pool, identity, look)
        elif layout.LABEL in look.attributes:
            try:
                label, size = layout.unpack_label(look.attributes[layout.LABEL])
            except ContentDamaged:
                continue  # nobody can say whose it is: it stays
            if layout.GONE in look.attributes:  # perhaps its process died before it had thrown it away
                trash.throw(pool, [Striped(identity, size)], due)
            else:
                asked.append((Striped(identity, size), label))
        elif layout.CHECK in look.attributes:
            given += remove_unfinished(pool, identity)
    lost: list[Striped | Packed] = []
    for start in range(0, len(asked), 1000):
        part = asked[start : start + 1000]
        answers = is_live([(str(place), label) for place, label in part])
        lost += [place for (place, _), live in zip(part, answers, strict=True) if not live]
    packs.discard(pool, [place for place in lost if isinstance(place, Packed)])
    for place in lost:
        if isinstance(place, Striped):
            remove_stripes(pool, place.identity, layout.stripes(place.size))
        given += place.size if isinstance(place, Striped) else place.length
    return given


def _of_pack(pool: Pool, identity: str, look: Read) -> list[tuple[Striped | Packed, Label]]:
    """The records of a pack, which is sealed if its process did not come to it."""
    entries = packs.load_index(pool, identity, look.attributes)
    if layout.INDEX not in look.attributes:
        packs.seal(pool, identity, look.size, entries)
    gone = packs.discarded(pool, identity)
    return [(Packed(identity, entry.offset, entry.length), entry.label) for entry in entries if entry.offset not in gone]


def remove_unfinished(pool: Pool, identity: str) -> int:
    """A content that never got its label: nobody knows how many stripes there are, but they were written one after the other. At most so
    many bytes were given back. Raises RadosError."""
    pool.submit(identity, Write().remove()).missing()
    given, number = layout.STRIPE, 1
    while True:
        flying = [pool.submit(layout.stripe_name(identity, number + step), Write().remove()) for step in range(AT_ONCE)]
        found = [not each.missing() for each in flying]
        given += sum(found) * layout.STRIPE
        number += AT_ONCE
        if not any(found):
            return given


# ------------------------------------------------------------------------------------------------------------ compact


def compact(pool: Pool, moved: Moved, packer: Packer, due: float, go_on: GoOn) -> int:
    """How many bytes it gave back. Raises RadosError, EngineError."""
    given = 0
    for identity, nonce in packs.notes(pool):
        if not go_on():
            break
        head = Read().stat().attributes_too()
        if pool.submit(identity, head).missing():
            packs.forget(pool, identity, nonce)
            continue
        if layout.GONE in head.attributes:  # perhaps its process died before it had thrown it away
            trash.throw(pool, [Packed(identity, 0, head.size)], due)
            packs.forget(pool, identity, nonce)
            continue
        place = packs.index_place(head.attributes)
        if place is None:
            continue  # it may still grow: the note stays until it is sealed
        gone = packs.discarded(pool, identity)
        if sum(gone.values()) >= DISCARDED * place[0]:
            found = _write_anew(pool, identity, moved, packer)
            if found is None:
                continue
            given += found
            trash.throw(pool, [Packed(identity, 0, head.size)], due)
        packs.forget(pool, identity, nonce)
    return given


def _write_anew(pool: Pool, identity: str, moved: Moved, packer: Packer) -> int | None:
    """What is left of a pack goes into another one. None: something in it is damaged, and it stays as it is until the owner of that has
    discarded it. Raises RadosError, EngineError."""
    whole = packs.load(pool, identity)
    if whole is None:
        return 0
    kept = [entry for entry in whole.entries() if entry.offset not in whole.discarded]
    contents: list[tuple[Label, bytes]] = []
    try:
        for entry in kept:
            data = layout.read_record(identity, entry.offset, whole.data[entry.offset : entry.offset + entry.length])[1]
            contents.append((entry.label, bytes(data)))
    except ContentDamaged:
        return None
    if contents:
        places = packer.append(contents)
        rows_of = [
            (str(Packed(identity, entry.offset, entry.length)), new, entry.label) for entry, new in zip(kept, places, strict=True)
        ]
        answers = moved(rows_of)
        unwanted = [layout.parse(new) for (_, new, _), wanted in zip(rows_of, answers, strict=True) if not wanted]
        packs.discard(pool, [place for place in unwanted if isinstance(place, Packed)])
    return len(whole.data) - sum(entry.length for entry in kept)
