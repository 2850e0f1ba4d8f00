"""Names, locations, checks and records: what is made is read back, and nothing that was changed, moved or cut is."""

from __future__ import annotations

import os
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mallee.objects.engine.base import ContentDamaged
from mallee.objects.engine.rados import layout
from mallee.objects.engine.rados.layout import BLOCK, STRIPE, Check, Entry, Packed, Striped

IDENTITY = layout.id_of(layout.new_block(), 7)
IDENTITIES = st.builds(layout.id_of, st.builds(layout.new_block), st.integers(0, 255))


@given(IDENTITIES, st.integers(0, 2**32 - 1))
def test_names(identity: str, number: int) -> None:
    name = layout.stripe_name(identity, number)
    assert layout.parse_name(name) == (identity, number)
    assert name.startswith(layout.block_of(identity))


@given(IDENTITIES, st.integers(0, 5 * 2**40), st.integers(0, 2**32), st.integers(0, 99_999_999))
def test_locations(identity: str, size: int, offset: int, length: int) -> None:
    for place in (Striped(identity, size), Packed(identity, offset, length)):
        assert layout.parse(str(place)) == place
        assert len(str(place)) <= 200 and str(place).isascii()


@given(st.text(max_size=60))
def test_nonsense_is_no_location(text: str) -> None:
    assert layout.parse(text) is None and layout.parse("c." + text) is None and layout.parse_name("." + text) is None


def test_ids_never_collide() -> None:
    blocks = {layout.new_block() for _ in range(10_000)}
    assert len(blocks) == 10_000 and all(len(block) == 24 for block in blocks)


@pytest.mark.parametrize(("size", "count"), [(0, 1), (1, 1), (STRIPE, 1), (STRIPE + 1, 2), (5 * STRIPE, 5)])
def test_how_many_stripes(size: int, count: int) -> None:
    assert layout.stripes(size) == count


def check_of(data: bytes) -> Check:
    return Check(len(data), tuple(layout.crc(data[place : place + BLOCK]) for place in range(0, len(data), BLOCK)))


@settings(deadline=None)
@given(st.integers(0, 5 * BLOCK), st.data())
def test_checks(length: int, data: st.DataObject) -> None:
    stripe = bytearray(os.urandom(length))
    packed = check_of(stripe).pack("name")
    check = layout.unpack_check(packed, "name")
    assert check == check_of(stripe)
    with pytest.raises(ContentDamaged):
        layout.unpack_check(packed, "another name")
    first = data.draw(st.integers(0, max(0, length - 1) // BLOCK)) * BLOCK
    end = data.draw(st.sampled_from([min(length, first + BLOCK), length]))
    assert check.verify(memoryview(stripe)[first:end], first)
    if first < end:
        bad = data.draw(st.integers(first, end - 1))
        stripe[bad] ^= data.draw(st.integers(1, 255))
        assert not check.verify(memoryview(stripe)[first:end], first)


@given(st.integers(0, 5 * BLOCK), st.data())
def test_a_changed_check_is_damage(length: int, data: st.DataObject) -> None:
    packed = bytearray(check_of(bytes(length)).pack("name"))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ContentDamaged):
        layout.unpack_check(bytes(packed), "name")


LABELS = st.dictionaries(st.text(max_size=8), st.text(max_size=20) | st.integers(), max_size=4)


@given(st.lists(st.tuples(LABELS, st.binary(max_size=300)), max_size=12), st.data())
def test_packs(contents: list[tuple[dict[str, object], bytes]], data: st.DataObject) -> None:
    packed, entries = bytearray(), []
    for label, content in contents:
        packed += bytes(data.draw(st.integers(0, 3)))  # a gap, as before what begins at a block
        encoded = layout.label_bytes(label)
        record = layout.record(IDENTITY, len(packed), encoded, content)
        assert len(record) == layout.record_length(encoded, content)
        entries.append(Entry(len(packed), len(record), label))
        packed += record
    index = layout.index_record(IDENTITY, len(packed), entries)
    assert layout.read_index(IDENTITY, len(packed), memoryview(index)) == entries
    assert layout.walk(IDENTITY, memoryview(bytes(packed) + index)) == entries
    gone = data.draw(st.sets(st.sampled_from(range(len(entries))))) if entries else set()
    for number in gone:
        entry = entries[number]
        packed[entry.offset : entry.offset + entry.length] = bytes(entry.length)
    assert layout.walk(IDENTITY, memoryview(packed)) == [entry for number, entry in enumerate(entries) if number not in gone]
    for number, entry in enumerate(entries):
        place = memoryview(packed)[entry.offset : entry.offset + entry.length]
        if number not in gone:
            assert bytes(layout.read_record(IDENTITY, entry.offset, place)[1]) == contents[number][1]
            for identity, offset in ((layout.id_of(layout.new_block(), 0), entry.offset), (IDENTITY, entry.offset + 1)):
                with pytest.raises(ContentDamaged):
                    layout.read_record(identity, offset, place)


@given(LABELS, st.binary(max_size=300), st.data())
def test_a_changed_record_is_damage(label: dict[str, object], content: bytes, data: st.DataObject) -> None:
    record = bytearray(layout.record(IDENTITY, 5, layout.label_bytes(label), content))
    changed = record[: data.draw(st.integers(0, len(record) - 1))]
    with pytest.raises(ContentDamaged):
        layout.read_record(IDENTITY, 5, memoryview(changed))
    record[data.draw(st.integers(0, len(record) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ContentDamaged):
        layout.read_record(IDENTITY, 5, memoryview(record))


def test_the_checksum_is_crc32c() -> None:
    assert layout.crc(b"123456789") == 0xE3069283 != zlib.crc32(b"123456789")
