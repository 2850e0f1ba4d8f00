"""Room of dead records comes back, rows follow, readers notice nothing."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from mallee.objects.engine.base import ContentMissing
from tests.objects.engine.conftest import Make
from tests.objects.engine.rows import Rows, is_gone, some_bytes
from tests.objects.engine.test_damage import turn


def packs(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "0" / "p").iterdir() if len(path.name) == 16)


def fill(engine: Any, rows: Rows, count: int = 40, size: int = 1000) -> None:
    for number in range(count):
        rows.append(engine, {f"n-{number}": size})


@pytest.mark.parametrize(("disks", "copies"), [(1, 1), (2, 2)])
def test_emptied(make: Make, tmp_path: Path, disks: int, copies: int) -> None:
    rows = Rows()
    engine = make(disks, copies, pack_size=10_000)
    fill(engine, rows)
    before = engine.usage()
    rows.delete(engine, *(f"n-{number}" for number in range(40) if number % 4))
    assert engine.usage().dead > before.pack_bytes // 2
    given = engine.compact(rows.moved)
    after = engine.usage()
    assert given >= before.pack_bytes // 2 and after.pack_bytes < before.pack_bytes // 2
    rows.check(engine)
    engine.close()
    rows.check(make(disks, copies))


def test_what_is_mostly_alive_stays(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make(pack_size=10_000)
    fill(engine, rows)
    rows.delete(engine, "n-1", "n-2")
    before = packs(tmp_path)
    assert engine.compact(rows.moved) == 0
    assert packs(tmp_path) == before


def test_all_dead(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make(pack_size=10_000)
    fill(engine, rows)
    rows.delete(engine, *list(rows.at))
    engine.close()
    engine = make(pack_size=10_000)
    engine.compact(lambda moves: pytest.fail("nothing is to be moved"))
    assert packs(tmp_path) == [] and not list((tmp_path / "0" / "p").iterdir())


def test_each_start_leaves_a_small_pack(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    for number in range(6):
        engine = make()
        rows.append(engine, {str(number): 500})
        engine.close()
    engine = make()
    engine.compact(rows.moved)
    assert len(packs(tmp_path)) == 1
    rows.check(engine)


def test_deleted_while_it_is_moved(make: Make) -> None:
    """No row refers to the old place any more: then the new one is dead, too."""
    rows = Rows()
    engine = make(pack_size=10_000)
    fill(engine, rows)
    rows.delete(engine, *(f"n-{number}" for number in range(40) if number % 4))

    def moved(moves: Any) -> list[bool]:
        if "n-0" in rows.at:
            rows.delete(engine, "n-0")
        return rows.moved(moves)

    engine.compact(moved)
    rows.check(engine)
    usage = engine.usage()
    engine.close()
    assert usage.dead >= 1000


def test_moving_fails(make: Make, tmp_path: Path) -> None:
    """Nobody knows whether the rows were changed: both places stay, until that is known."""
    rows = Rows()
    engine = make(pack_size=10_000)
    fill(engine, rows)
    rows.delete(engine, *(f"n-{number}" for number in range(40) if number % 4))

    def commits_and_fails(moves: Any) -> list[bool]:
        rows.moved(moves)
        raise ConnectionError("the answer was lost")

    def fails(moves: Any) -> list[bool]:
        raise ConnectionError("the question was lost")

    for moved in (fails, commits_and_fails):
        with pytest.raises(ConnectionError):
            engine.compact(moved)
        rows.check(engine)
    engine.compact(rows.moved)
    engine.compact(rows.moved)
    rows.check(engine)
    engine.close()
    engine = make(pack_size=10_000)
    found = engine.scrub(rows.is_live, 5)
    assert found.complete and found.orphaned >= 1 and not found.lost
    engine.compact(rows.moved)
    rows.check(engine)


def test_a_damaged_record_keeps_its_pack(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make(pack_size=10_000)
    fill(engine, rows)
    _, pack, offset, length = rows.at["n-0"].split("/")
    turn(tmp_path / "0" / "p" / pack, int(offset) + int(length) - 1)
    damaged = rows.at.pop("n-0")
    rows.delete(engine, *(f"n-{number}" for number in range(1, 40) if number % 4))
    for _ in range(2):
        engine.compact(rows.moved)
    assert pack in packs(tmp_path)
    rows.at["n-0"] = damaged
    found = engine.scrub(rows.is_live, 5)
    assert [location for location, _ in found.damaged] == [damaged]
    rows.delete(engine, "n-0")
    engine.compact(rows.moved)
    assert pack not in packs(tmp_path)
    rows.check(engine)


def test_a_pack_that_lost_its_end_is_kept(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make(pack_size=10_000)
    fill(engine, rows)
    pack = tmp_path / "0" / "p" / packs(tmp_path)[0]
    held = [name for name, location in rows.at.items() if pack.name in location]
    rows.delete(engine, *held[1:])
    with pack.open("r+b") as file:
        file.truncate(pack.stat().st_size // 2)
    engine.compact(rows.moved)
    assert pack.exists()


def test_grace(make: Make, tmp_path: Path) -> None:
    """Who read a location just before its row moved on still finds the content."""
    rows = Rows()
    engine = make(pack_size=10_000, grace=1000)
    fill(engine, rows)
    rows.delete(engine, *(f"n-{number}" for number in range(40) if number % 4))
    old = rows.at["n-0"]
    assert engine.compact(rows.moved) == 0 and rows.at["n-0"] != old
    assert engine.open(old).read(0, 1000) == rows.data["n-0"]
    engine.close()
    engine = make(pack_size=10_000)
    engine.compact(rows.moved)
    assert is_gone(engine, old)
    rows.check(engine)


def test_two_engines_on_the_same_disks(make: Make, tmp_path: Path) -> None:
    """Two processes of a cloud: each appends to its own packs, neither takes away what the other holds."""
    one, two = make(pack_size=10_000), make(pack_size=10_000)
    rows = Rows()
    for number in range(20):
        rows.append(one, {f"one-{number}": 700})
        rows.append(two, {f"two-{number}": 700})
    writer = two.writer()
    writer.write(some_bytes(100_000, 1))
    rows.delete(one, *[name for name in rows.at if not name.endswith("7")])
    for _ in range(3):
        one.sweep(rows.is_live)
        one.compact(rows.moved)
        one.scrub(rows.is_live, 1)
    rows.at["w"] = writer.finish({})
    rows.data["w"] = some_bytes(100_000, 1)
    rows.check(two)
    rows.check(one)


def test_readers_beside_compaction(make: Make) -> None:
    """Readers who look a row up again when its content moved away never fail, and never read anything else."""
    rows = Rows()
    engine = make(pack_size=30_000)
    stop = threading.Event()
    wrong: list[BaseException] = []
    guard = threading.Lock()
    reads = [0, 0]

    def reader(own: int) -> None:
        try:
            while not stop.is_set():
                for name in list(rows.at):
                    for attempt in range(100):
                        location = rows.at.get(name)
                        if location is None:
                            break
                        try:
                            content = engine.open(location)
                        except ContentMissing:
                            assert attempt < 99 and rows.at.get(name) != location, "missing, and the row says nothing else"
                            continue
                        if content.read(0, content.size) != rows.data[name]:
                            raise AssertionError(name)
                        content.close()
                        reads[own] += 1
                        break
        except BaseException as error:
            wrong.append(error)

    class Together:
        """Rows that change together, as transactions make them."""

        def moved(self, moves: Any) -> list[bool]:
            with guard:
                return rows.moved(moves)

    threads = [threading.Thread(target=reader, args=(own,)) for own in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(60):
            rows.append(engine, {f"{number}-{part}": 300 + part for part in range(20)})
            with guard:
                names = [name for name in rows.at if int(name.split("-")[0]) == number - 3 and int(name.split("-")[1]) % 10]
            rows.delete(engine, *names)
            engine.compact(Together().moved)
            if wrong:
                break
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong
    assert all(reads)
    rows.check(engine)
