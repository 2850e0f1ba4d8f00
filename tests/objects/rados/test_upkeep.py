"""Sessions, sweeps, trash and compaction with several processes: who is too slow loses what it was writing, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from mallee.objects.engine.base import EngineError, Label
from mallee.objects.engine.rados import layout, packs, trash, turns, upkeep
from mallee.objects.engine.rados.errors import Lapsed
from mallee.objects.engine.rados.librados import Pool, Read, Write
from tests.objects.engine_suite import LONG, MIB, Rows, is_gone, label, read, rows
from tests.objects.rados.conftest import House

__all__ = ["rows"]


def sweep_much_later(house: House, rows: Rows) -> int:
    """As a process does that takes all others for dead."""
    return upkeep.sweep(house.pool, rows.is_live, time.time() + house.clock.ahead + LONG, lambda: True)


def names_of(pool: Pool, table: str) -> set[str]:
    return {key for number in range(16) for key, _ in trash.rows(pool, f"{table}.{number:x}")}


def test_who_was_taken_for_dead_cannot_finish(house: House, rows: Rows) -> None:
    writer = house.engine.writer()
    writer.write(bytes(9 * MIB))
    writer._await(0)  # type: ignore[attr-defined]  # nothing is on its way for an hour
    assert sweep_much_later(house, rows) >= 4 * MIB
    with pytest.raises(Lapsed):
        writer.finish(label("late"))
    assert house.things() == set()
    rows.write(house.engine, "next", 9 * MIB)
    rows.check(house.engine)


def test_a_pack_of_who_was_taken_for_dead_is_shut(house: House, rows: Rows) -> None:
    rows.append(house.engine, {f"{number}": 1000 for number in range(10)})
    (pack,) = {layout.parse(location).identity for location in rows.at.values()}  # type: ignore[union-attr]
    lost = rows.at.pop("3")
    sweep_much_later(house, rows)
    whole = packs.load(house.pool, pack)
    assert whole is not None and whole.index is not None and len(whole.index) == 10
    assert is_gone(house.engine, lost)
    with pytest.raises(Lapsed):
        rows.append(house.engine, {"late": 10})
    rows.append(house.engine, {"next": 10})
    assert layout.parse(rows.at["next"]).identity != pack  # type: ignore[union-attr]
    rows.check(house.engine)


def test_a_lease_that_ran_out_ends_what_was_begun_under_it(house: House, rows: Rows) -> None:
    rows.append(house.engine, {"before": 10})
    writer = house.engine.writer()
    writer.write(bytes(9 * MIB))
    house.engine._births._renewed -= 10_000
    with pytest.raises(Lapsed):
        writer.write(bytes(9 * MIB))
    writer.abort()
    rows.append(house.engine, {"after": 10})
    assert layout.block_of(str(rows.at["before"])[2:]) != layout.block_of(str(rows.at["after"])[2:])
    rows.check(house.engine)


def test_the_books_are_empty_when_all_is_settled(house: House, rows: Rows) -> None:
    for number in range(3):
        engine = house.again()
        rows.write(engine, f"large-{number}", 300_000)
        rows.append(engine, {f"small-{number}": 10})
        engine.writer().abort()
        engine.close()
    assert len(names_of(house.pool, "mallee.births")) == 3
    house.later(LONG)
    house.engine.sweep(rows.is_live)
    assert not names_of(house.pool, "mallee.births")
    house.engine.sweep(rows.is_live)
    assert [key for key, _ in trash.rows(house.pool, "mallee.sessions")] == []
    rows.check(house.engine)


def test_ids_of_many_blocks(house: House, rows: Rows) -> None:
    locations = [rows.write(house.engine, f"{number}", 1) for number in range(layout.IDS_PER_BLOCK + 10)]
    assert len({layout.block_of(location[2:]) for location in locations}) == 2 and len(set(locations)) == len(locations)
    rows.check(house.again())


def test_discarded_contents_are_held_by_who_reads_them(house: House, rows: Rows) -> None:
    location = rows.write(house.engine, "it", 9 * MIB)
    reader = house.again()
    content = reader.open(location)
    house.later(400)  # longer than half of the time that things linger
    rows.remove(house.engine, "it")
    for _ in range(20):
        house.later(550)
    assert content.read(0, 9 * MIB) == rows.data["it"]
    content.close()
    for _ in range(3):
        house.later(1300)
    assert house.things() == set()
    assert list(trash.rows(house.pool, trash.HOLDS)) == []
    assert not names_of(house.pool, "mallee.trash")


def test_a_removal_that_was_cut_off_is_finished(house: House, rows: Rows) -> None:
    location = rows.write(house.engine, "it", 9 * MIB)
    rows.remove(house.engine, "it")
    place = layout.parse(location)
    assert place is not None
    house.pool.submit(place.identity, Write().remove()).wait()  # the first stripe, then the process died
    house.later(3600)
    house.later(3600)
    assert house.things() == set()


def test_stripes_without_a_first_one_are_found_by_the_scrub(house: House, rows: Rows) -> None:
    kept = rows.write(house.engine, "kept", 9 * MIB)
    stray = layout.stripe_name(layout.id_of(layout.new_block(), 3), 2)
    house.pool.submit(stray, Write().write_full(b"stray")).wait()
    writer = house.engine.writer()
    writer.write(bytes(9 * MIB))
    found = house.engine.scrub(rows.is_live, 60)
    assert found.complete and found.orphaned == 1 and not found.damaged
    assert stray not in house.things()
    assert read(house.engine, kept) == rows.data["kept"] and len(read(house.engine, writer.finish(label("x")))) == 9 * MIB


def test_the_scrub_misses_stripes(house: House, rows: Rows) -> None:
    location = rows.write(house.engine, "it", 9 * MIB)
    place = layout.parse(location)
    assert place is not None
    house.pool.submit(layout.stripe_name(place.identity, 1), Write().remove()).wait()
    found = house.engine.scrub(rows.is_live, 60)
    assert [each for each, _ in found.damaged] == [location] and found.lost == 1
    assert house.again().scrubbed()[1] == found


def test_a_note_stays_when_more_is_discarded_meanwhile(house: House, rows: Rows) -> None:
    rows.append(house.engine, {"a": 100, "b": 100})
    rows.remove(house.engine, "a")
    ((pack, nonce),) = packs.notes(house.pool)
    rows.remove(house.engine, "b")
    packs.forget(house.pool, pack, nonce)
    ((again, newer),) = packs.notes(house.pool)
    assert again == pack and newer != nonce
    packs.forget(house.pool, pack, newer)
    assert packs.notes(house.pool) == []


def test_an_open_pack_is_not_compacted(house: House, rows: Rows) -> None:
    rows.append(house.engine, {str(number): 1000 for number in range(10)})
    rows.remove(house.engine, *(str(number) for number in range(9)))
    assert house.again().compact(rows.moved) == 0
    rows.append(house.engine, {"more": 1000})
    house.later(700)  # it is sealed by its age
    assert house.again().compact(rows.moved) > 8000
    rows.check(house.engine)


def test_a_compaction_that_died_in_the_middle_is_done_again(house: House, rows: Rows) -> None:
    rows.append(house.engine, {str(number): 1000 for number in range(10)})
    rows.remove(house.engine, *(str(number) for number in range(8)))
    house.later(700)

    def dies(told: object) -> list[bool]:
        rows.moved(told)  # type: ignore[arg-type]
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        house.engine.compact(dies)
    rows.check(house.engine)
    assert house.engine.compact(rows.moved) > 0
    rows.check(house.engine)
    house.later(LONG)
    house.engine.sweep(rows.is_live)
    rows.check(house.engine)


def test_upkeep_is_done_by_one(house: House, rows: Rows) -> None:
    with turns.turn(house.engine._link, "sweep", "another", house.clock) as mine:
        assert mine is not None
        _, turn = mine
        with turns.turn(house.engine._link, "sweep", "a third", house.clock) as other:
            assert other is None
        assert turn.go_on()
        house.clock.ahead += turns.LEASE * 2
        with turns.turn(house.engine._link, "sweep", "a third", house.clock) as other:
            assert other is not None, "the lease ran out"
        assert not turn.go_on(), "another had it meanwhile"
    with turns.turn(house.engine._link, "sweep", "a fourth", house.clock) as mine:
        assert mine is not None


def test_a_damaged_index_is_made_up(house: House, rows: Rows) -> None:
    rows.append(house.engine, {str(number): 1000 for number in range(10)})
    rows.remove(house.engine, "4")
    house.later(700)
    (pack,) = {layout.parse(location).identity for location in rows.at.values()}  # type: ignore[union-attr]
    look = Read().attributes_too()
    house.pool.submit(pack, look).wait()
    place = packs.index_place(look.attributes)
    assert place is not None
    house.pool.submit(pack, Write().write(b"\0\0\0\0", place[0] + 20)).wait()
    entries = packs.load_index(house.pool, pack, look.attributes)
    assert [entry.label["key"] for entry in entries] == [str(number) for number in range(10) if number != 4]


def test_ended_writers_end(house: House) -> None:
    writer = house.engine.writer()
    writer.abort()
    writer.abort()
    for work in (lambda: writer.write(b"x"), lambda: writer.finish(label("x"))):
        with pytest.raises(EngineError):
            work()


def test_what_was_marked_but_not_thrown_away(house: House, rows: Rows) -> None:
    """A process died in the middle of a discard, and in the middle of a compaction."""
    rows.append(house.engine, {str(number): 1000 for number in range(10)})
    rows.remove(house.engine, "1")
    location = rows.write(house.engine, "large", 9 * MIB)
    large, small = layout.parse(location), layout.parse(rows.at["2"])
    assert large is not None and small is not None
    for place in (large, small):
        house.pool.submit(place.identity, Write().attribute(layout.GONE, b"1")).wait()
    house.later(LONG)
    house.engine.sweep(rows.is_live)
    house.engine.compact(rows.moved)
    house.later(LONG)
    assert house.things() == set() and packs.load(house.pool, small.identity) is None


def test_the_scrub_leaves_stripes_whose_first_one_is_on_its_way(house: House, rows: Rows) -> None:
    claim = house.engine._births.take()
    name = layout.stripe_name(claim.identity, 1)
    house.pool.submit(name, Write().write_full(b"early")).wait()
    assert house.engine.scrub(rows.is_live, 60).orphaned == 0
    assert house.things() == {name}


def test_much_trash(house: House, rows: Rows) -> None:
    names = [str(number) for number in range(300)]
    for name in names:
        rows.write(house.engine, name, 1)
    rows.write(house.engine, "kept", 1)
    rows.remove(house.again(), *names)
    house.later(3600)
    assert len(house.things()) == 1 and not names_of(house.pool, "mallee.trash")
    rows.check(house.engine)


def test_small_contents_are_gone_at_once(house: House, rows: Rows) -> None:
    """Those that were discarded, and in a compaction those that came too late."""
    rows.append(house.engine, {str(number): 5000 for number in range(20)})
    before = dict(rows.at)
    rows.remove(house.again(), *(str(number) for number in range(15)))
    assert all(is_gone(house.engine, before[str(number)]) for number in range(15))
    house.later(700)
    moved_to: list[str] = []

    def refuses(told: Sequence[tuple[str, str, Label]]) -> list[bool]:
        moved_to.extend(new for _, new, _ in told)
        return [False] * len(told)

    assert house.engine.compact(refuses) > 0
    assert len(moved_to) == 5 and all(is_gone(house.engine, location) for location in moved_to)
    house.later(LONG)
    assert all(is_gone(house.engine, location) for location in before.values()), "the pack went, as nobody wanted what was left"
