"""What holds for every engine of bytes (``mallee.objects.engine.base``), as tests that any engine runs.

To use it, make a folder with a ``conftest.py`` that has a fixture ``house``, an object like ``House`` below around engines on an empty store,
and a test module with the one line

    from tests.objects.engine_suite import *  # noqa: F403

Tests get ``house`` and ``rows``: what an index would know. Whether a discarded small content can still be read before its room was given back is
the engine's own business, and is not asked here.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mallee.objects.engine.base import SMALL, ContentDamaged, ContentMissing, Engine, Label

MIB = 1024 * 1024
STRIPE = 4 * MIB
SIZES = [0, 1, 4095, 65536, 65537, SMALL, SMALL + 1, STRIPE - 1, STRIPE, STRIPE + 1, 2 * STRIPE, 20 * MIB + 12345]
LONG = 3 * 24 * 3600.0
"""Seconds after which no engine takes anything for fresh."""


class House(Protocol):
    engine: Engine
    source: str
    """Python that makes another engine on the same store, as ``engine``, in a process of its own."""

    def again(self) -> Engine:
        """Another engine on the same store, as another process or a later one has it."""
        ...

    def later(self, seconds: float) -> None:
        """So much time passes for all engines made here, which go on living meanwhile."""
        ...

    def damage(self, location: str) -> None:
        """Changes some bytes of a content, in every copy."""
        ...

    def lose(self, location: str) -> None:
        """Takes the content away, behind the engine's back."""
        ...

    def things(self) -> set[str]:
        """What lies in the store, by name; without the engine's own books."""
        ...


class Rows:
    """An index: where each name's content is, and what it must be."""

    def __init__(self) -> None:
        self.at: dict[str, str] = {}
        self.data: dict[str, bytes] = {}
        self.lock = threading.Lock()

    def append(self, engine: Engine, sizes: dict[str, int]) -> list[str]:
        contents = {name: os.urandom(size) for name, size in sizes.items()}
        locations = engine.append([(label(name), data) for name, data in contents.items()])
        assert len(locations) == len(contents)
        with self.lock:
            self.data |= contents
            self.at |= zip(contents, locations, strict=True)
        return locations

    def write(self, engine: Engine, name: str, size: int, piece: int = 1_000_003) -> str:
        data = os.urandom(size)
        writer = engine.writer(size)
        for start in range(0, size, piece):
            writer.write(data[start : start + piece])
        location = writer.finish(label(name))
        with self.lock:
            self.data[name] = data
            self.at[name] = location
        return location

    def remove(self, engine: Engine, *names: str) -> list[str]:
        with self.lock:
            locations = [self.at.pop(name) for name in names]
        engine.discard(locations)
        return locations

    def is_live(self, asked: Sequence[tuple[str, Label]]) -> list[bool]:
        with self.lock:
            return [self.at.get(str(known["key"])) == location for location, known in asked]

    def moved(self, told: Sequence[tuple[str, str, Label]]) -> list[bool]:
        answers = []
        with self.lock:
            for old, new, known in told:
                there = self.at.get(str(known["key"])) == old
                answers.append(there)
                if there:
                    self.at[str(known["key"])] = new
        return answers

    def check(self, engine: Engine) -> None:
        for name, location in self.at.items():
            assert read(engine, location) == self.data[name], name


def label(name: str) -> Label:
    return {"kind": "object", "bucket": "b-1", "key": name}


def read(engine: Engine, location: str, piece: int = 3 * MIB) -> bytes:
    with contextlib.closing(engine.open(location)) as content:
        return b"".join(content.read(start, piece) for start in range(0, content.size, piece))


def is_gone(engine: Engine, location: str) -> bool:
    try:
        engine.open(location).close()
    except ContentMissing:
        return True
    return False


@pytest.fixture
def rows() -> Rows:
    return Rows()


# --------------------------------------------------------------------------------------------------- writing and reading


@pytest.mark.parametrize("size", SIZES)
def test_what_was_written_is_read(house: House, rows: Rows, size: int) -> None:
    rows.write(house.engine, "written", size)
    if size <= SMALL:
        rows.append(house.engine, {"appended": size})
    for engine in (house.engine, house.again()):
        rows.check(engine)
        for location in rows.at.values():
            with contextlib.closing(engine.open(location)) as content:
                assert content.size == size


def test_a_location_is_short_and_plain(house: House, rows: Rows) -> None:
    for location in (rows.write(house.engine, "a", 9 * MIB), *rows.append(house.engine, {"b": 1, "c": SMALL})):
        assert location.isascii() and location.isprintable() and len(location) <= 200


@pytest.mark.parametrize("size", [SMALL, 9 * MIB + 777])
def test_ranges(house: House, rows: Rows, size: int) -> None:
    location = rows.append(house.engine, {"it": size})[0] if size <= SMALL else rows.write(house.engine, "it", size)
    data = rows.data["it"]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.integers(0, size + 10), st.integers(0, 3 * MIB), st.booleans()), min_size=1, max_size=6))
    def any_ranges(asked: list[tuple[int, int, bool]]) -> None:
        with contextlib.closing(house.engine.open(location)) as content:
            end = 0
            for offset, length, goes_on in asked:
                start = end if goes_on else offset
                assert content.read(start, length) == data[start : start + length]
                end = start + length

    any_ranges()


@pytest.mark.parametrize("piece", [1000, 65536, 300_000, MIB, 5 * MIB])
def test_pieces_in_sequence(house: House, rows: Rows, piece: int) -> None:
    location = rows.write(house.engine, "it", (2 if piece < 65536 else 11) * MIB + 13, piece=piece)
    assert read(house.engine, location, piece) == rows.data["it"]


def test_a_writer_keeps_nothing_of_the_callers_memory(house: House) -> None:
    buffer = bytearray(b"a" * 300_000)
    writer = house.engine.writer()
    writer.write(memoryview(buffer)[:200_000])
    buffer[:] = b"b" * len(buffer)
    writer.write(buffer)
    buffer[:] = b"c" * len(buffer)
    assert read(house.engine, writer.finish(label("x"))) == b"a" * 200_000 + b"b" * 300_000


def test_a_wrong_expectation_does_no_harm(house: House) -> None:
    for expected in (0, 10, 500_000):
        writer = house.engine.writer(expected)
        writer.write(bytes(300_000))
        assert read(house.engine, writer.finish(label("x"))) == bytes(300_000)


def test_batches(house: House, rows: Rows) -> None:
    assert house.engine.append([]) == []
    for batch in range(6):
        rows.append(house.engine, {f"{batch}-{number}": random.choice([0, 1, 100, 4096, 50_000]) for number in range(40)})
    rows.append(house.engine, {f"large-{number}": SMALL for number in range(100)})
    assert len(set(rows.at.values())) == len(rows.at)
    rows.check(house.again())


# ---------------------------------------------------------------------------------------------------------- discarding


def test_discarding(house: House, rows: Rows) -> None:
    rows.append(house.engine, {"small": 5000, "other small": 5000})
    rows.write(house.engine, "large", 9 * MIB)
    rows.write(house.engine, "other large", 9 * MIB)
    large, small = rows.remove(house.engine, "large", "small")
    for engine in (house.engine, house.again()):
        assert is_gone(engine, large)
        engine.discard([large, small, large])
        engine.discard(iter([]))
    rows.check(house.engine)
    house.later(LONG)
    house.engine.sweep(rows.is_live)
    house.engine.discard([large, small])
    rows.check(house.again())


def test_what_never_was(house: House, rows: Rows) -> None:
    for location in ("", "nonsense", "../../etc/passwd", "c." + "a" * 26 + ".5", "p." + "a" * 26 + ".0.100", "x" * 200):
        assert is_gone(house.engine, location)
        house.engine.discard([location])


def test_who_has_it_open_reads_it_to_the_end(house: House, rows: Rows) -> None:
    locations = {name: rows.write(house.engine, name, size) for name, size in (("a", 200_000), ("b", 9 * MIB))}
    locations["c"] = rows.append(house.engine, {"c": 5000})[0]
    opened = {name: house.engine.open(location) for name, location in locations.items()}
    data = dict(rows.data)
    opened["b"].read(0, 1000)
    rows.remove(house.again(), *locations)
    for _ in range(3):
        house.later(450.0)
        house.engine.sweep(rows.is_live)
        house.engine.compact(rows.moved)
    for name, content in opened.items():
        assert content.read(0, 4 * MIB) + content.read(4 * MIB, 9 * MIB) == data[name]
        content.close()
    assert all(is_gone(house.engine, location) for name, location in locations.items() if name != "c")


def test_room_comes_back(house: House, rows: Rows) -> None:
    rows.write(house.engine, "stays", MIB)
    before = house.things()
    rows.write(house.engine, "goes", 9 * MIB)
    rows.remove(house.engine, "goes")
    house.later(LONG)
    house.engine.sweep(rows.is_live)
    assert house.things() == before, house.things() ^ before
    rows.check(house.engine)


def test_abort_leaves_nothing(house: House, rows: Rows) -> None:
    before = house.things()
    for size in (0, 1000, STRIPE, 13 * MIB):
        writer = house.engine.writer(size)
        writer.write(bytes(size))
        writer.abort()
        assert house.things() == before, house.things() ^ before


# --------------------------------------------------------------------------------------------------------------- upkeep


def test_a_sweep_takes_what_nobody_refers_to(house: House, rows: Rows) -> None:
    rows.write(house.engine, "kept", 5 * MIB)
    rows.append(house.engine, {"small kept": 3000, "small lost": 3000})
    before = house.things()
    rows.write(house.engine, "lost", 9 * MIB)
    lost = [rows.at.pop("lost"), rows.at.pop("small lost")]
    assert house.engine.sweep(rows.is_live) == 0
    assert not is_gone(house.engine, lost[0]) and not is_gone(house.engine, lost[1]), "its row may be on its way"
    house.later(LONG)
    assert house.engine.sweep(rows.is_live) >= 9 * MIB
    assert is_gone(house.engine, lost[0])
    assert house.things() == before, house.things() ^ before
    house.engine.compact(rows.moved)
    rows.check(house.engine)
    assert house.engine.sweep(rows.is_live) == 0


def test_a_sweep_leaves_what_is_being_written(house: House, rows: Rows) -> None:
    writer = house.engine.writer()
    writer.write(bytes(5 * MIB))
    other = house.again()
    for engine in (house.engine, other):
        house.later(LONG)
        assert engine.sweep(rows.is_live) == 0
    writer.write(bytes(5 * MIB))
    location = writer.finish(label("slow"))
    for engine in (house.engine, other):
        assert engine.sweep(rows.is_live) == 0
    assert read(other, location) == bytes(10 * MIB)


def test_compaction(house: House, rows: Rows) -> None:
    for batch in range(8):
        rows.append(house.engine, {f"{batch}-{number}": random.choice([10, 5000, 60_000]) for number in range(20)})
    house.engine.close()
    engine = house.again()
    doomed = [name for name in rows.at if int(name.partition("-")[2]) % 5]
    old = dict(rows.at)
    rows.remove(engine, *doomed)
    rows.check(engine)
    house.later(LONG)
    assert engine.compact(rows.moved) > 0
    rows.check(engine)
    assert any(old[name] != location for name, location in rows.at.items())
    house.later(LONG)
    engine.sweep(rows.is_live)
    rows.check(house.again())


def test_compaction_of_what_is_removed_meanwhile(house: House, rows: Rows) -> None:
    rows.append(house.engine, {str(number): 5000 for number in range(40)})
    house.engine.close()
    engine = house.again()
    rows.remove(engine, *(str(number) for number in range(30)))

    def moved(told: Sequence[tuple[str, str, Label]]) -> list[bool]:
        for name in ("30", "31"):
            rows.remove(engine, name)
        return rows.moved(told)

    engine.compact(moved)
    assert len(rows.at) == 8
    rows.check(engine)
    house.later(LONG)
    engine.sweep(rows.is_live)
    rows.check(house.again())


# --------------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("size", [1, 5000, SMALL])
def test_a_damaged_small_content(house: House, rows: Rows, size: int) -> None:
    location = rows.append(house.engine, {"it": size})[0]
    rows.append(house.engine, {"other": 4000})
    house.damage(location)
    with pytest.raises(ContentDamaged):
        read(house.engine, location)
    assert read(house.engine, rows.at["other"]) == rows.data["other"]


@pytest.mark.parametrize("size", [1, SMALL + 1, 9 * MIB])
def test_a_damaged_large_content(house: House, rows: Rows, size: int) -> None:
    location = rows.write(house.engine, "it", size)
    house.damage(location)
    with pytest.raises(ContentDamaged):
        read(house.engine, location)


def test_a_lost_content_is_missing(house: House, rows: Rows) -> None:
    location = rows.write(house.engine, "it", 300_000)
    house.lose(location)
    with pytest.raises(ContentMissing):
        house.engine.open(location)


def test_the_scrub_finds_damage(house: House, rows: Rows) -> None:
    rows.append(house.engine, {f"small-{number}": 3000 for number in range(20)})
    for number in range(5):
        rows.write(house.engine, f"large-{number}", 5 * MIB)
    bad = [rows.at["small-7"], rows.at["large-2"]]
    house.engine.close()
    engine = house.again()
    assert not found_damaged(engine, rows)
    for location in bad:
        house.damage(location)
    assert found_damaged(engine, rows) == set(bad)
    rows.remove(engine, "small-7", "large-2")
    assert not found_damaged(engine, rows), "nobody needs it any more"
    rows.check(engine)


def found_damaged(engine: Engine, rows: Rows) -> set[str]:
    """Of one whole round of the scrub, in many small turns."""
    found: set[str] = set()
    for _ in range(2000):
        told = engine.scrub(rows.is_live, 0.01)
        found |= {location for location, _ in told.damaged}
        if told.complete:
            return found
    raise AssertionError("the scrub never comes to an end")


# ------------------------------------------------------------------------------------------------------- many at once


def test_many_at_once(house: House, rows: Rows) -> None:
    """Two engines on one store, written, read and discarded by threads, with all kinds of upkeep beside."""
    engines = (house.engine, house.again())
    failed: list[BaseException] = []
    stop = threading.Event()

    def client(number: int) -> None:
        mine: list[str] = []
        engine = engines[number % 2]
        try:
            for turn in range(12):
                name = f"{number}-{turn}"
                rows.write(engine, name, random.choice([1, 200_000, STRIPE, 6 * MIB]))
                assert read(engines[turn % 2], rows.at[name]) == rows.data[name]
                mine.append(name)
                if len(mine) > 3:
                    rows.remove(engines[turn % 2], mine.pop(0))
        except BaseException as error:
            failed.append(error)

    def committer(number: int) -> None:
        try:
            for turn in range(25):
                names = [f"s{number}-{turn}-{each}" for each in range(10)]
                rows.append(engines[number], dict.fromkeys(names, 3000))
                rows.remove(engines[1 - number], *names[:7])
        except BaseException as error:
            failed.append(error)

    def keeper(number: int) -> None:
        try:
            while not stop.is_set():
                engines[number].sweep(rows.is_live)
                engines[number].compact(rows.moved)
                engines[number].scrub(rows.is_live, 0.05)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    threads += [threading.Thread(target=committer, args=(number,)) for number in range(2)]
    keepers = [threading.Thread(target=keeper, args=(number,)) for number in range(2)]
    for thread in threads + keepers:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    for thread in keepers:
        thread.join()
    assert not failed, failed
    for engine in engines:
        rows.check(engine)
    house.later(LONG)
    engines[0].sweep(rows.is_live)
    rows.check(engines[1])


CHILD = """
import os, sys, time
sys.path[:0] = {path!r}
{source}
label = {{"kind": "object", "bucket": "b-1", "key": "of the child"}}
print(engine.append([(label, bytes([n]) * 5000) for n in range(20)])[0], flush=True)
whole = engine.writer()
whole.write(bytes(300_000))
print(whole.finish(label), flush=True)
half = engine.writer()
for _ in range({mib}):
    half.write(os.urandom(1024 * 1024))
print("ready", flush=True)
while True:
    half.write(os.urandom(1024 * 1024)) if {goes_on} else time.sleep(60)
"""


@pytest.fixture
def child(house: House) -> Iterator[list[subprocess.Popen[str]]]:
    made: list[subprocess.Popen[str]] = []
    yield made
    for process in made:
        process.kill()
        process.wait()


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_process_is_killed_in_the_middle_of_a_write(
    house: House, rows: Rows, child: list[subprocess.Popen[str]], goes_on: bool
) -> None:
    rows.write(house.engine, "kept", 5 * MIB)
    rows.append(house.engine, {"small kept": 3000})
    before = house.things()
    root = Path(__file__).parents[2]
    code = CHILD.format(path=[str(root / "src"), str(root)], source=house.source, mib=13, goes_on=goes_on)
    child.append(subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True))
    out = child[0].stdout
    assert out is not None
    small, whole = out.readline().strip(), out.readline().strip()
    assert out.readline() == "ready\n"
    child[0].send_signal(signal.SIGKILL)
    child[0].wait()
    assert house.engine.sweep(rows.is_live) == 0, "it may be alive"
    assert read(house.engine, small) == bytes(5000) and len(read(house.engine, whole)) == 300_000
    house.later(LONG)
    assert house.engine.sweep(rows.is_live) >= 300_000
    house.engine.compact(rows.moved)
    house.later(LONG)
    house.engine.sweep(rows.is_live)
    assert is_gone(house.engine, whole)
    assert house.things() == before, house.things() ^ before
    rows.check(house.engine)
    assert house.engine.sweep(rows.is_live) == 0
