"""The walk of a listing against the slow way, over any keys, prefixes, delimiters and markers; and how little it reads."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.objects.index import walk as walking
from mallee.objects.index.walk import Page, Position, beginning, successor, walk

from . import oracle

ATOMS = [b"a", b"b", b"/", b"//", b"\x00", b"\xff", b"\xfe", b"ab", "é".encode(), "€".encode(), "😀".encode(), b"0", b"."]
KEYS = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=5).map(b"".join)
PREFIXES = st.one_of(st.just(b""), KEYS, KEYS.map(lambda key: key[:-1]))
DELIMITERS = st.one_of(st.just(b""), st.just(b"/"), st.sampled_from(ATOMS), st.just(b"/a"), st.just(b"\xff\xff"), st.just(b"ab/"))
LIMITS = st.one_of(st.integers(0, 3), st.integers(4, 200))


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


@given(st.sets(KEYS, max_size=120), PREFIXES, DELIMITERS, st.one_of(st.just(b""), KEYS), LIMITS, st.booleans())
def test_a_page_of_objects(keys: set[bytes], prefix: bytes, delimiter: bytes, after: bytes, limit: int, leaping: bool) -> None:
    rows = [(key, 0) for key in keys]
    source = Rows(rows, prefix, delimiter)
    found = listed(source, beginning(prefix, delimiter, after), limit, leaping)
    everything = oracle.items(sorted(rows), prefix, delimiter, lambda row: row[0] > after, after)
    assert ([line.row for line in found.entries], found.prefixes, found.next) == oracle.page(everything, limit)
    if found.last is not None:
        assert found.last.key == found.next


VERSIONS = st.dictionaries(KEYS, st.sets(st.integers(-30, 30), min_size=1, max_size=6), max_size=30)


@given(VERSIONS, PREFIXES, DELIMITERS, st.one_of(st.just(b""), KEYS), st.integers(-31, 31), LIMITS, st.booleans())
def test_a_page_of_versions(
    places: dict[bytes, set[int]], prefix: bytes, delimiter: bytes, marker: bytes, within: int, limit: int, whole: bool
) -> None:
    """``within`` is a place in the marker's key; with ``whole`` the page begins after all of that key."""
    rows = sorted((key, place) for key, found in places.items() for place in found)
    start = beginning(prefix, delimiter, marker, None if whole else within)
    found = listed(Rows(rows, prefix, delimiter), start, limit)

    def shown(row: Any) -> bool:
        return bool(row[0] > marker if whole else row > (marker, within) or not marker)

    everything = oracle.items(rows, prefix, delimiter, shown, marker)
    assert ([line.row for line in found.entries], found.prefixes, found.next) == oracle.page(everything, limit)


@given(st.sets(KEYS, max_size=80), PREFIXES, DELIMITERS, st.integers(1, 9))
def test_pages_put_together_are_the_whole(keys: set[bytes], prefix: bytes, delimiter: bytes, limit: int) -> None:
    rows = [(key, 0) for key in keys]
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
