"""The walk of a listing against the slow way, over any keys, prefixes, delimiters and markers; and how little it reads."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mallee.objects.index import walk as walking
from mallee.objects.index.walk import Page, Position, beginning, successor, walk

from . import oracle

ATOMS = [b"a", b"/", b"\x00", b"\xff", b"b", b"//", b"\xfe", b"ab", "é".encode(), "€".encode(), "😀".encode(), b"0"]
LIMITS = st.one_of(st.integers(0, 3), st.integers(4, 20), st.just(200))
EXAMPLES = 400


@dataclass(frozen=True)
class Asked:
    keys: list[bytes]
    prefix: bytes
    delimiter: bytes
    after: bytes


@st.composite
def asking(draw: st.DrawFn, many: int = 60) -> Asked:
    """Keys of few atoms, so that they share much, and questions that are made of the keys."""
    atoms = st.sampled_from(ATOMS[: draw(st.sampled_from([3, 5, len(ATOMS)]))])
    words = st.lists(atoms, min_size=1, max_size=5).map(b"".join)
    keys = draw(st.lists(words, min_size=1, max_size=many, unique=True))

    def part(least: int) -> bytes:
        key = draw(st.sampled_from(keys))
        begin = 0 if least == 0 else draw(st.integers(0, len(key) - 1))
        return key[begin : draw(st.integers(min(begin + least, len(key)), len(key)))]

    prefix = draw(st.sampled_from([b"", part(0)]))
    delimiter = draw(st.sampled_from([b"", b"/", part(1), draw(atoms)]))
    after = draw(st.sampled_from([b"", part(0), draw(st.sampled_from(keys)), prefix + part(0), prefix[:-1], part(0) + b"\x00"]))
    return Asked(sorted(keys), prefix, delimiter, after)


@dataclass
class Line:
    key: bytes
    row: tuple[Any, ...]


class Rows:
    """Rows in memory, counted as they are read."""

    def __init__(self, rows: Sequence[tuple[bytes, int]], prefix: bytes, delimiter: bytes) -> None:
        self.rows = sorted(rows)
        self.prefix, self.delimiter = prefix, delimiter
        self.seen = self.reads = 0
        self.end = bisect_left(self.rows, (successor(prefix) or walking.END, -(10**9)))

    def read(self, position: Position, limit: int) -> Sequence[Any]:
        key, place = position
        at = bisect_left(self.rows, (key, -(10**9))) if place is None else bisect_right(self.rows, (key, place))
        found = self.rows[at : min(at + limit, self.end)]
        self.reads += 1
        self.seen += len(found)
        return found

    def leap(self, first: bytes, limit: int) -> Sequence[bytes]:
        found: list[bytes] = []
        while len(found) < limit:
            at = bisect_left(self.rows, (first, -(10**9)))
            if at >= self.end:
                break
            key = self.rows[at][0]
            found.append(key)
            end = key.find(self.delimiter, len(self.prefix))
            if end < 0:
                break
            first = successor(key[: end + len(self.delimiter)]) or walking.END
        self.reads += 1
        self.seen += len(found)
        return found


def listed(source: Rows, start: Position | None, limit: int, leaping: bool = True) -> Page[Line]:
    leap = source.leap if leaping and source.delimiter and successor(source.delimiter) else None
    return walk(
        source.read,
        leap,
        lambda row: Line(row[0], row),
        prefix=source.prefix,
        delimiter=source.delimiter,
        start=start,
        limit=limit,
        after_row=lambda row: (row[0], row[1]),
    )


@settings(max_examples=EXAMPLES, deadline=None)
@given(asking(), LIMITS, st.booleans())
def test_a_page_of_objects(asked: Asked, limit: int, leaping: bool) -> None:
    prefix, delimiter, after = asked.prefix, asked.delimiter, asked.after
    rows = [(key, 0) for key in asked.keys]
    source = Rows(rows, prefix, delimiter)
    found = listed(source, beginning(prefix, delimiter, after), limit, leaping)
    everything = oracle.items(sorted(rows), prefix, delimiter, lambda row: row[0] > after, after)
    assert ([line.row for line in found.entries], found.prefixes, found.next) == oracle.page(everything, limit)
    if found.last is not None:
        assert found.last.key == found.next


@settings(max_examples=EXAMPLES, deadline=None)
@given(asking(12), st.integers(0, 2**32), st.integers(-1, 6), LIMITS, st.booleans())
def test_a_page_of_versions(asked: Asked, seed: int, within: int, limit: int, whole: bool) -> None:
    """``within`` is a place in the marker's key; with ``whole`` the page begins after all of that key."""
    prefix, delimiter, marker = asked.prefix, asked.delimiter, asked.after
    dice = random.Random(seed)
    rows = sorted((key, place) for key in asked.keys for place in dice.sample(range(6), dice.randint(1, 6)))
    start = beginning(prefix, delimiter, marker, None if whole else within)
    found = listed(Rows(rows, prefix, delimiter), start, limit)

    def shown(row: Any) -> bool:
        return bool(row[0] > marker if whole else row > (marker, within) or not marker)

    everything = oracle.items(rows, prefix, delimiter, shown, marker)
    assert ([line.row for line in found.entries], found.prefixes, found.next) == oracle.page(everything, limit)


@settings(max_examples=EXAMPLES, deadline=None)
@given(asking(), st.integers(1, 9))
def test_pages_put_together_are_the_whole(asked: Asked, limit: int) -> None:
    prefix, delimiter = asked.prefix, asked.delimiter
    rows = [(key, 0) for key in asked.keys]
    whole = listed(Rows(rows, prefix, delimiter), beginning(prefix, delimiter, b""), 10_000)
    entries: list[Any] = []
    prefixes: list[bytes] = []
    after: bytes | None = b""
    while after is not None:
        page = listed(Rows(rows, prefix, delimiter), beginning(prefix, delimiter, after), limit)
        entries += page.entries
        prefixes += page.prefixes
        after = page.next
    assert (entries, prefixes) == (whole.entries, whole.prefixes)


@given(st.binary(max_size=6), st.binary(max_size=8))
def test_the_successor_bounds_a_prefix(prefix: bytes, key: bytes) -> None:
    end = successor(prefix)
    if end is None:
        assert not prefix.strip(b"\xff")
    else:
        assert (prefix <= key < end) == key.startswith(prefix)


@pytest.mark.parametrize("under", [1, 3, 100, 5000])
@pytest.mark.parametrize("files", [0, 1, 7])
def test_a_page_reads_little_whatever_is_rolled_up(under: int, files: int) -> None:
    """Prefixes with ``under`` keys each, and between two of them some keys that are not rolled up."""
    rows = [(b"d%04d/%06d" % (n, m), 0) for n in range(60) for m in range(under)]
    rows += [(b"d%04d~%d" % (n, m), 0) for n in range(60) for m in range(files)]
    source = Rows(rows, b"", b"/")
    found = listed(source, (b"", None), 50)
    assert len(found.entries) + len(found.prefixes) == 50
    assert source.seen <= 6 * 50 + walking.FIRST and source.reads <= 3 * 50


def test_one_prefix_with_everything_under_it_is_one_look() -> None:
    rows = [(b"one/%07d" % n, 0) for n in range(100_000)]
    source = Rows(rows, b"", b"/")
    found = listed(source, (b"", None), 1000)
    assert found.prefixes == [b"one/"] and found.next is None
    assert source.seen <= walking.FIRST and source.reads <= 2


def test_no_room_is_an_empty_page() -> None:
    source = Rows([(b"a", 0)], b"", b"")
    assert listed(source, (b"", None), 0) == Page([], [], None)
    assert source.reads == 0
