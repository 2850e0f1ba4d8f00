"""Small contents, many in one RADOS object.

A process appends the records of a whole batch to its open pack with one operation, and begins another pack when that is full, old, or when an
append went wrong: what a failed append left is not overwritten. An append only works on a pack without an index, so that who seals the pack
of a dead process shuts it for good.

A discarded record is overwritten with zeros at once, which gives whole disk blocks back to Ceph, and is noted in the pack's omap. The pack is
then noted in ``mallee.touched.<shard>`` with a new nonce; compaction takes the note away only while the nonce is the one that it saw before it
looked at the pack, so that no discard is overlooked.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from mallee.objects.engine.base import ContentDamaged, ContentMissing, EngineError, Label, Span
from mallee.objects.engine.rados import layout
from mallee.objects.engine.rados.births import Births, Claim, shard
from mallee.objects.engine.rados.errors import Lapsed
from mallee.objects.engine.rados.layout import Entry, Packed
from mallee.objects.engine.rados.librados import Pending, Pool, RadosError, Read, Write
from mallee.objects.engine.rados.link import SHARDS, Link, rows, touched

PACK = 4 * 1024 * 1024
RECORDS = 4096
ALIGNMENT = 4096
ALIGN_FROM = 64 * 1024
"""What is appended together and is so large begins at a multiple of ``ALIGNMENT``: BlueStore then need not read what lay before it."""
WRITES = 4  # packs of one batch on their way at once
PACK_AGE = 600.0
AT_ONCE = 128


@dataclass(slots=True)
class OpenPack:
    claim: Claim
    opened: float
    offset: int = 0
    entries: list[Entry] = field(default_factory=list)


class Packer:
    """Appends, for one thread at a time; others wait."""

    def __init__(self, link: Link, births: Births, clock: Callable[[], float], size: int = PACK) -> None:
        self._link = link
        self._births = births
        self._clock = clock
        self._size = size
        self._lock = threading.Lock()
        self._pack: OpenPack | None = None

    def append(self, contents: Sequence[tuple[Label, bytes]]) -> list[str]:
        locations: list[str] = []
        flying: list[Pending] = []
        with self._lock:
            begun: list[OpenPack] = []
            try:
                labelled = [(label, layout.label_bytes(label), data) for label, data in contents]
                while labelled:
                    pack = self._room(layout.record_length(labelled[0][1], labelled[0][2]))
                    begun.append(pack)
                    count = self._write(pack, labelled, locations, flying)
                    del labelled[:count]
                self._await(flying, 0)
            except BaseException:
                # whether it was written is not known: nothing is written there again, and nobody refers to it
                for pack in begun:
                    self._births.ended(pack.claim)
                self._pack = None
                raise
        return locations

    def _room(self, needed: int) -> OpenPack:
        pack = self._pack
        if pack is not None:
            try:
                self._births.check(pack.claim)
            except EngineError:
                self._pack = pack = None  # the sweep seals it
        if pack is not None and (pack.offset + needed > self._size or len(pack.entries) >= RECORDS):
            self._seal()
            pack = None
        if pack is None:
            pack = self._pack = OpenPack(self._births.take(), self._clock())
        return pack

    def _write(
        self, pack: OpenPack, labelled: list[tuple[Label, bytes, bytes]], locations: list[str], flying: list[Pending]
    ) -> int:
        """As many of them as fit, at least one, with one operation."""
        identity = pack.claim.identity
        if sum(len(data) for _, _, data in labelled) >= ALIGN_FROM:
            pack.offset += -pack.offset % ALIGNMENT
        start = pack.offset
        parts: list[bytes] = []
        for label, packed, data in labelled:
            length = layout.record_length(packed, data)
            if parts and (pack.offset + length > self._size or len(pack.entries) >= RECORDS):
                break
            parts.append(layout.record(identity, pack.offset, packed, data))
            pack.entries.append(Entry(pack.offset, length, label))
            locations.append(str(Packed(identity, pack.offset, length)))
            pack.offset += length
        op = Write()
        if start:
            op.exists().unless_attribute(layout.INDEX)
        else:
            op.create().attribute(layout.PACK, b"1")
        op.write(b"".join(parts), start)
        with self._link.talking() as pool:
            flying.append(pool.submit(identity, op))
        self._await(flying, WRITES)
        return len(parts)

    def _await(self, flying: list[Pending], left: int) -> None:
        with self._link.talking():
            while len(flying) > left:
                try:
                    flying.pop(0).wait()
                except RadosError as error:
                    if error.number not in (errno.ECANCELED, errno.ENOENT):
                        raise
                    raise Lapsed(
                        "The pack that was appended to was taken for abandoned by a sweep.", "The next one is another."
                    ) from None

    def _seal(self) -> None:
        pack, self._pack = self._pack, None
        if pack is None:
            return
        try:
            self._births.check(pack.claim)
            with self._link.talking() as pool:
                seal(pool, pack.claim.identity, pack.offset, pack.entries)
        finally:
            self._births.ended(pack.claim)

    def tidy(self, age: float = PACK_AGE) -> None:
        """Seals a pack that has been open for so long. Raises EngineError; the sweep seals it then."""
        with self._lock:
            if self._pack is not None and self._clock() - self._pack.opened >= age:
                self._seal()


def seal(pool: Pool, identity: str, offset: int, entries: Sequence[Entry]) -> None:
    """Raises RadosError."""
    packed = layout.index_record(identity, offset, entries)
    op = Write().exists().unless_attribute(layout.INDEX).write(packed, offset)
    try:
        pool.submit(identity, op.attribute(layout.INDEX, f"{offset},{len(packed)}".encode())).wait()
    except RadosError as error:
        if error.number not in (errno.ENOENT, errno.ECANCELED):  # it is gone, or another has sealed it
            raise


class SmallContent:
    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def read(self, offset: int, length: int) -> bytes:
        if offset < 0 or length <= 0:
            return b""
        return self._data if not offset and length >= self.size else self._data[offset : offset + length]

    def span(self, offset: int, length: int) -> Span | None:
        return None

    def close(self) -> None:
        pass


def read(link: Link, place: Packed) -> SmallContent:
    """One look, and all of it is here and verified. Raises ContentMissing, ContentDamaged, EngineError."""
    buffer = bytearray(place.length)
    with link.talking() as pool:
        look = Read().into(buffer, place.offset, place.length)
        try:
            pool.submit(place.identity, look).wait()
            return SmallContent(bytes(layout.read_record(place.identity, place.offset, memoryview(buffer)[: look.filled])[1]))
        except RadosError as error:
            if error.number == errno.ENOENT:
                raise ContentMissing(str(place)) from None
            if error.number != errno.EIO:
                raise
            raise ContentDamaged(f"{place} cannot be read: {error}") from None
        except ContentDamaged:
            if place.offset in discarded(pool, place.identity, place.offset):
                raise ContentMissing(str(place)) from None
            raise


# ------------------------------------------------------------------------------------------------------------- discarding


def _key(offset: int) -> str:
    return f"{offset:010d}"


def discarded(pool: Pool, identity: str, only: int | None = None) -> dict[int, int]:
    """Offset and length of the records of a pack that were discarded. Raises RadosError."""
    prefix = "" if only is None else _key(only)
    return {int(key): int(value) for key, value in rows(pool, identity, prefix)}


def discard(pool: Pool, places: Iterable[Packed]) -> None:
    """Raises RadosError."""
    packs: dict[str, list[Packed]] = {}
    for place in places:
        packs.setdefault(place.identity, []).append(place)
    names = list(packs)
    for start in range(0, len(names), AT_ONCE):
        _discard(pool, {name: packs[name] for name in names[start : start + AT_ONCE]})


def _discard(pool: Pool, packs: dict[str, list[Packed]]) -> None:
    flying: list[Pending] = []
    for identity, of_pack in packs.items():
        op = Write().exists()
        for place in of_pack:
            op.zero(place.offset, place.length)
        flying.append(pool.submit(identity, op.keys({_key(place.offset): str(place.length).encode() for place in of_pack})))
    notes: dict[int, dict[str, bytes]] = {}
    for each in flying:
        if not each.missing():
            notes.setdefault(shard(each.name), {})[each.name] = os.urandom(12).hex().encode()
    for pending in [pool.submit(touched(number), Write().keys(values)) for number, values in notes.items()]:
        pending.wait()


def notes(pool: Pool) -> list[tuple[str, bytes]]:
    """The packs that something was discarded from, each with its nonce."""
    return [row for number in range(SHARDS) for row in rows(pool, touched(number))]


def forget(pool: Pool, identity: str, nonce: bytes) -> None:
    """Takes the note away, unless something was discarded since."""
    op = Write().if_key(identity, nonce).remove_keys([identity])
    try:
        pool.submit(touched(shard(identity)), op).wait()
    except RadosError as error:
        if error.number not in (errno.ECANCELED, errno.ENOENT):
            raise


# --------------------------------------------------------------------------------------------------------------- whole packs


@dataclass(frozen=True, slots=True)
class WholePack:
    """A pack as it was read: ``index`` is None while it may still grow."""

    identity: str
    data: memoryview
    index: list[Entry] | None
    discarded: dict[int, int]

    def entries(self) -> list[Entry]:
        return layout.walk(self.identity, self.data) if self.index is None else self.index


def index_place(attributes: dict[str, bytes]) -> tuple[int, int] | None:
    packed = attributes.get(layout.INDEX)
    if packed is None:
        return None
    offset, _, length = packed.decode().partition(",")
    return int(offset), int(length)


def load(pool: Pool, identity: str) -> WholePack | None:
    """The whole pack; None if there is none. An index that is damaged is made up from the records. Raises RadosError."""
    head = Read().stat().attributes_too()
    if pool.submit(identity, head).missing():
        return None
    buffer = bytearray(head.size)
    look = Read().into(buffer, 0, head.size).attributes_too()
    if pool.submit(identity, look).missing():
        return None
    data = memoryview(buffer)[: look.filled]
    index = None
    if (place := index_place(look.attributes)) is not None:
        try:
            index = layout.read_index(identity, place[0], data[place[0] : place[0] + place[1]])
        except (ContentDamaged, ValueError):
            index = layout.walk(identity, data)
    return WholePack(identity, data, index, discarded(pool, identity))


def load_index(pool: Pool, identity: str, attributes: dict[str, bytes]) -> list[Entry]:
    """The entries of a pack whose attributes these are: by its index if it has a good one, otherwise by reading all of it. Raises RadosError."""
    if (place := index_place(attributes)) is not None:
        buffer = bytearray(place[1])
        look = Read().into(buffer, *place)
        if pool.submit(identity, look).missing():
            return []
        try:
            return layout.read_index(identity, place[0], memoryview(buffer)[: look.filled])
        except (ContentDamaged, ValueError):
            pass
    whole = load(pool, identity)
    return [] if whole is None else whole.entries()
