"""The driver of the reconcilers, and the three that are built in."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections import namedtuple
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mallee.durable import Idle, Reconciler, Reconcilers, Runner, faults, job_of, reconciler, reconciliations
from mallee.durable import reconcilers as module
from mallee.store import Clock, Database, ManualClock, StoreUnavailable
from mallee.store.errors import DISK_FULL, unavailable
from tests.durable.machines import Act, Poison, begin

LONG = 20.0
Usage = namedtuple("Usage", "total used free")


class Counting:
    def __init__(self) -> None:
        self.calls = 0
        self.failure: Exception | None = None
        self.called = threading.Event()

    def __call__(self, database: Database, clock: Clock) -> None:
        self.calls += 1
        self.called.set()
        if self.failure is not None:
            raise self.failure


def made(function: Any, every: float = 30, on: tuple[str, ...] = (), name: str = "sample") -> Reconciler:
    return reconciler(name, every=every, on=on)(function)


def raised(database: Database) -> list[tuple[str, str]]:
    with database.reading() as tx:
        return [(fault.code, fault.subject) for fault in faults.open_(tx)]


def test_each_runs_in_its_own_time(database: Database, clock: ManualClock) -> None:
    often, seldom = Counting(), Counting()
    driver = Reconcilers(database, [made(often, 5), made(seldom, 100, name="seldom")])
    driver.run_due()
    assert (often.calls, seldom.calls) == (1, 1)
    for _ in range(4):
        clock.advance(5)
        driver.run_due()
    assert (often.calls, seldom.calls) == (5, 1)
    assert driver.run_due() == 0
    driver.run_all()
    assert (often.calls, seldom.calls) == (6, 2)


def test_a_reconciler_can_be_called_by_itself(database: Database, clock: ManualClock) -> None:
    count = Counting()
    made(count)(database, clock)
    assert count.calls == 1


def test_one_that_fails_is_noted_and_holds_up_no_other(database: Database, clock: ManualClock) -> None:
    bad, good = Counting(), Counting()
    bad.failure = ValueError("out of order")
    driver = Reconcilers(database, [made(bad, name="bad"), made(good, name="good")])
    driver.run_due()
    notes = {note.name: note for note in reconciliations(database)}
    assert notes["bad"].error == "ValueError: out of order" and notes["bad"].ran_at == clock.now()
    assert good.calls == 1 and notes["good"].error is None
    assert raised(database) == [("reconciler-failing", "bad")]
    bad.failure = None
    clock.advance(30)
    driver.run_due()
    assert {note.name: note.error for note in reconciliations(database)}["bad"] is None
    assert raised(database) == []


def test_a_run_like_the_one_before_is_written_down_seldom(database: Database, clock: ManualClock) -> None:
    driver = Reconcilers(database, [made(Counting(), 1)])
    driver.run_due()
    began = clock.now()
    for seconds, noted in ((59, 0), (1, 60)):
        clock.advance(seconds)
        driver.run_due()
        ran = {note.name: note.ran_at for note in reconciliations(database)}["sample"]
        assert ran == began + timedelta(seconds=noted)


def test_a_database_that_is_away_is_no_failure_of_the_reconciler(database: Database, clock: ManualClock) -> None:
    waits = Counting()
    waits.failure = unavailable(DISK_FULL)
    assert isinstance(waits.failure, StoreUnavailable)
    driver = Reconcilers(database, [made(waits, 10)])
    driver.run_due()
    assert raised(database) == [] and "sample" not in {note.name for note in reconciliations(database)}
    clock.advance(10)
    driver.run_due()
    assert waits.calls == 2


def test_a_nudge_runs_it_at_once(database: Database) -> None:
    database.clock = Clock()
    count = Counting()
    driver = Reconcilers(database, [made(count, 3600, ("news",))])
    driver.start()
    assert count.called.wait(LONG)
    for _ in range(2):
        count.called.clear()
        with database.transaction() as tx:
            tx.nudge("other")
            tx.nudge("news")
        assert count.called.wait(LONG)
    began = time.monotonic()
    driver.stop()
    assert time.monotonic() - began < 5
    calls = count.calls
    database.nudge("news")
    assert count.calls == calls
    assert not any(thread.name == "reconcilers" for thread in threading.enumerate())


def test_a_nudge_that_comes_while_it_runs_makes_it_run_again(database: Database) -> None:
    """It had looked already; what the nudge is about it may not have seen."""
    database.clock = Clock()
    first, again = threading.Event(), threading.Event()

    def function(database: Database, clock: Clock) -> None:
        if first.is_set():
            again.set()
            return
        first.set()
        with database.transaction() as tx:
            tx.nudge("news")

    driver = Reconcilers(database, [made(function, 3600, ("news",))])
    driver.start()
    assert again.wait(LONG)
    driver.stop()


# ------------------------------------------------------------------------------------------------------------ built in


def test_jobs_that_ended_long_ago_are_forgotten(database: Database, clock: ManualClock) -> None:
    runner = Runner(database, [Act(), Poison()], lambda given: Idle())
    for number in range(3):
        begin(database, Poison, f"j-{number}")  # without poison, it ends at once
    begin(database, Act, "j-alive")
    runner.run_until_idle()
    clock.advance(module.KEPT.total_seconds())
    module.forget_ended_jobs(database, clock)
    with database.reading() as tx:
        assert all(job_of(tx, f"j-{number}") is not None for number in range(3))
    clock.advance(1)
    module.forget_ended_jobs(database, clock)
    module.forget_ended_jobs(database, clock)
    with database.reading() as tx:
        assert all(job_of(tx, f"j-{number}") is None for number in range(3))
        assert job_of(tx, "j-alive") is not None


def test_a_disk_that_fills_up_is_told_in_time(database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    if database.kind == "postgresql":
        module.watch_disk(database, clock)  # the server's disk is its operator's business
        assert raised(database) == []
        return
    told = []
    for free in (module.ENOUGH_ROOM, module.LITTLE_ROOM, module.LITTLE_ROOM - 1, module.LITTLE_ROOM, module.ENOUGH_ROOM):
        monkeypatch.setattr(module.shutil, "disk_usage", lambda folder, free=free: Usage(2**40, 0, free))
        module.watch_disk(database, clock)
        module.watch_disk(database, clock)
        told.append([code for code, _ in raised(database)])
    assert told == [[], [], ["disk-full"], ["disk-full"], []]


def test_a_checkpoint_moves_what_was_committed_into_the_file(database: Database, clock: ManualClock, tmp_path: Path) -> None:
    for number in range(20):
        begin(database, Act, f"j-{number}")
    module.checkpoint(database, clock)
    if database.kind == "sqlite":
        shutil.copy(database.engine.url.database or "", tmp_path / "alone.db")  # without its log
        with sqlite3.connect(tmp_path / "alone.db") as alone:
            assert alone.execute("SELECT count(*) FROM jobs").fetchone() == (20,)
