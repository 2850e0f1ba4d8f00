"""What nodes say: written once, in order, from the run that counts, and never more than what changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mallee import durable
from mallee.durable import faults
from mallee.fabric.document import Capacity, Fault, GuestReport, Join, Report
from mallee.fabric.transport import CONSOLE_LIMIT, JoinFirst
from mallee.nodes import records, upkeep
from mallee.nodes.session import Session

from .world import ZONE, World

CAPACITY = Capacity(64, 65536, 1000)
FULL = Fault("disk-full", "i-1", "It is full.", "Free some.")


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(durable, "wake", lambda tx, instance_id: found.append(instance_id))
    return found


@pytest.fixture
def session(world: World) -> Session:
    made = world.session()
    made.join(Join("n-1", "run-1", ZONE, "host", CAPACITY))
    return made


def report(sequence: int, *guests: GuestReport, generation: int = 1, run: str = "run-1", **more: Any) -> Report:
    return Report("n-1", run, sequence, generation, CAPACITY, guests, **more)


def running(instance_id: str, revision: int = 1) -> GuestReport:
    return GuestReport(instance_id, revision, "running")


def open_faults(world: World) -> set[tuple[str, str]]:
    with world.database.reading() as tx:
        return {(fault.code, fault.subject) for fault in faults.open_(tx)}


def test_only_guests_that_changed_are_written_and_woken(world: World, session: Session, woken: list[str]) -> None:
    for name in ("i-1", "i-2", "i-3"):
        world.launch(name)
    session.report(report(1, running("i-1"), running("i-2")))
    assert woken == ["i-1", "i-2", "i-3"]  # the third: its node has applied something and does not mention it
    first = world.report("i-1")
    assert first is not None and (first.state, first.revision, first.node_id) == ("running", 1, "n-1")
    woken.clear()
    world.clock.advance(5)
    session.report(report(2, running("i-1"), running("i-2", revision=2)))
    assert woken == ["i-2"]
    assert world.report("i-1") == first
    woken.clear()
    session.report(report(3, running("i-2", revision=2)))
    assert woken == ["i-1"]
    assert world.report("i-1") is None


def test_a_rising_generation_wakes_those_who_wait_for_absence(world: World, session: Session, woken: list[str]) -> None:
    world.launch("i-1")
    session.report(report(1))
    woken.clear()
    session.report(report(2, generation=1, faults=(FULL,)))
    assert woken == []
    session.report(report(3, generation=2))
    assert woken == ["i-1"]
    assert world.node().applied == 2


def test_older_reports_are_dropped(world: World, session: Session, woken: list[str]) -> None:
    world.launch("i-1")
    session.report(report(5, running("i-1", revision=3), generation=4))
    woken.clear()
    for late in (5, 4, 1):
        session.report(report(late, running("i-1", revision=2), generation=3))
    found = world.report("i-1")
    assert found is not None and found.revision == 3
    assert (world.node().applied, world.node().sequence, woken) == (4, 5, [])


def test_another_run_must_join_and_then_the_former_is_refused(world: World, session: Session, woken: list[str]) -> None:
    session.report(report(9, generation=7))
    with pytest.raises(JoinFirst):
        session.report(report(1, run="run-2"))
    session.join(Join("n-1", "run-2", ZONE, "host", CAPACITY))
    assert world.node().applied == 0
    session.report(report(1, run="run-2", generation=3))
    with pytest.raises(JoinFirst):
        session.report(report(10, generation=8))
    assert (world.node().applied, world.node().boot_id) == (3, "run-2")


def test_joining_twice_is_joining_once(world: World, session: Session, woken: list[str]) -> None:
    session.report(report(3, generation=7))
    session.join(Join("n-1", "run-1", "local-1b", "renamed", Capacity(1, 2, 3)))
    node = world.node()
    assert (node.sequence, node.applied, node.zone, node.hostname, node.vcpus) == (3, 7, "local-1b", "renamed", 1)


def test_a_node_that_never_joined(world: World) -> None:
    with pytest.raises(JoinFirst):
        world.session().report(report(1))


def test_reports_that_say_nothing_new_are_seldom_written(world: World, session: Session, woken: list[str]) -> None:
    world.launch("i-1")
    session.report(report(1, running("i-1")))
    seen = world.node().seen_at
    for sequence in range(2, 4):
        world.clock.advance(9)
        session.report(report(sequence, running("i-1")))
    assert (world.node().seen_at, world.node().sequence) == (seen, 1)
    world.clock.advance(9)
    session.report(report(4, running("i-1")))
    assert (world.node().seen_at, world.node().sequence) == (world.clock.now(), 4)


def test_a_guest_without_a_place_is_no_ones(world: World, session: Session, woken: list[str]) -> None:
    session.report(report(1, running("i-9")))
    assert world.report("i-9") is None


def test_a_released_guest_is_forgotten(world: World, session: Session, woken: list[str]) -> None:
    world.launch("i-1")
    session.report(report(1, running("i-1")))
    world.write(lambda tx: records.release(tx, "i-1"))
    with world.database.reading() as tx:
        assert tx.all(records.GUEST_REPORTS.select()) == []


def test_a_guest_named_twice_counts_once(world: World, session: Session, woken: list[str]) -> None:
    world.launch("i-1")
    session.report(report(1, running("i-1"), running("i-1", revision=2)))
    found = world.report("i-1")
    assert found is not None and found.revision == 2


def test_reports_of_many(world: World, session: Session, woken: list[str]) -> None:
    names = [f"i-{number:04}" for number in range(40)]
    for name in names:
        world.launch(name, None)
    session.report(report(1, *(running(name) for name in names)))
    with world.database.reading() as tx:
        found = records.guest_reports(tx, [*names, "i-none"])
    assert sorted(found) == sorted(name for name in names if world.report(name) is not None)
    assert len(found) >= 32


def test_faults_follow_the_reports(world: World, session: Session, woken: list[str]) -> None:
    session.report(report(1, faults=(FULL,)))
    assert ("disk-full", "i-1") in open_faults(world)
    session.report(report(2, faults=(FULL, replace(FULL, code="image-corrupt"))))
    assert {("disk-full", "i-1"), ("image-corrupt", "i-1")} <= open_faults(world)
    session.report(report(3))
    assert not {("disk-full", "i-1"), ("image-corrupt", "i-1")} & open_faults(world)


def test_consoles_are_kept_bounded_for_instances_that_stand_here(world: World, session: Session) -> None:
    world.launch("i-1")
    session.console("n-1", "i-1", b"x" * CONSOLE_LIMIT + b"end", 10)
    session.console("n-2", "i-1", b"another node's", 0)
    session.console("n-1", "i-2", b"no such instance", 0)
    with world.database.reading() as tx:
        found = records.console(tx, "i-1")
        assert records.console(tx, "i-2") is None
    assert found is not None
    assert (len(found.text), found.text[-3:], found.offset) == (CONSOLE_LIMIT, b"end", 13)
    session.console("n-1", "i-1", b"again\0\xff", 0)
    with world.database.reading() as tx:
        found = records.console(tx, "i-1")
    assert found is not None and (found.text, found.offset) == (b"again\0\xff", 0)


def test_a_console_is_kept_an_hour_after_its_instance(world: World, session: Session) -> None:
    world.launch("i-1")
    session.console("n-1", "i-1", b"text", 0)
    world.clock.advance(7200)
    upkeep.forget_old_consoles(world.database, world.clock)
    session.console("n-1", "i-1", b"text", 0)
    world.write(lambda tx: records.release(tx, "i-1"))
    for minutes, kept in ((59, True), (2, False)):
        world.clock.advance(minutes * 60)
        upkeep.forget_old_consoles(world.database, world.clock)
        with world.database.reading() as tx:
            assert (records.console(tx, "i-1") is not None) is kept


def test_a_silent_node_is_marked_and_nothing_of_it_is_touched(world: World, session: Session, woken: list[str]) -> None:
    world.launch("i-1")
    session.report(report(1, running("i-1")))
    generation = world.node().generation
    world.clock.advance(59)
    upkeep.mark_silent_nodes(world.database, world.clock)
    assert world.node().reachable
    world.clock.advance(2)
    for _ in range(2):
        upkeep.mark_silent_nodes(world.database, world.clock)
        assert not world.node().reachable
        assert ("node-unreachable", "n-1") in open_faults(world)
    assert world.node().generation == generation
    assert world.report("i-1") is not None
    session.report(report(2, running("i-1")))
    upkeep.mark_silent_nodes(world.database, world.clock)
    assert world.node().reachable
    assert ("node-unreachable", "n-1") not in open_faults(world)
