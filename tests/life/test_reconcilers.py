from __future__ import annotations

import shutil
import threading
from collections import namedtuple
from datetime import timedelta
from pathlib import Path

import pytest

from mallee.durable import Done, Machine, Reconcilers, Runner, faults, job_of, reconciler, reconciliations, record, start
from mallee.durable.reconcilers import KEPT, forget_ended_jobs, watch_disk
from mallee.store import Clock, Database, ManualClock, StoreUnavailable

Usage = namedtuple("Usage", "free")


def standing(database: Database) -> list[tuple[str, str]]:
    with database.reading() as tx:
        return [(fault.code, fault.subject) for fault in faults.open_(tx)]


def test_each_runs_in_its_time(database: Database, clock: ManualClock) -> None:
    calls: list[str] = []

    @reconciler("often", every=10)
    def often(database: Database, clock: Clock) -> None:
        calls.append("often")

    @reconciler("seldom", every=25)
    def seldom(database: Database, clock: Clock) -> None:
        calls.append("seldom")

    driver = Reconcilers(database, [often, seldom])
    for _ in range(4):
        driver.run_due()
        driver.run_due()
        clock.advance(10)
    assert calls == ["often", "seldom", "often", "often", "often", "seldom"]
    calls.clear()
    driver.run_all()
    assert calls == ["often", "seldom"]


def test_how_it_went_is_written_down(database: Database, clock: ManualClock) -> None:
    broken = True

    @reconciler("fragile", every=10)
    def fragile(database: Database, clock: Clock) -> None:
        if broken:
            raise OSError("no such thing")

    driver = Reconcilers(database, [fragile])
    driver.run_due()
    last = {each.name: each for each in reconciliations(database)}
    assert last["fragile"].error == "OSError: no such thing" and last["fragile"].ran_at == clock.now()
    assert last["ended-jobs"].error is None
    assert ("reconciler-failing", "fragile") in standing(database)
    broken = False
    clock.advance(10)
    driver.run_due()
    assert {each.name: each.error for each in reconciliations(database)}["fragile"] is None
    assert not standing(database)


def test_a_database_that_is_away_is_not_the_reconcilers_failure(database: Database) -> None:
    @reconciler("poor", every=10)
    def poor(database: Database, clock: Clock) -> None:
        raise StoreUnavailable("database-unreachable", "It is away.", "Wait.")

    Reconcilers(database, [poor]).run_due()
    assert "poor" not in {each.name for each in reconciliations(database)}


def test_a_nudge_calls_it_at_once(database: Database) -> None:
    database.clock = Clock()
    called = threading.Semaphore(0)

    @reconciler("eager", every=3600, on=("topic",))
    def eager(database: Database, clock: Clock) -> None:
        called.release()

    driver = Reconcilers(database, [eager])
    driver.start()
    try:
        assert called.acquire(timeout=10)
        with database.transaction() as tx:
            tx.nudge("topic")
        assert called.acquire(timeout=10)
    finally:
        driver.stop()


class Brief(Machine):
    name = "sample-brief"
    first = "end"

    @record
    def end(self, tx: object, job: object) -> Done:
        return Done()


def test_ended_jobs_are_forgotten_after_a_while(database: Database, clock: ManualClock) -> None:
    with database.transaction() as tx:
        start(tx, Brief.name, "old")
    Runner(database, [Brief()]).run_until_idle()
    clock.advance((KEPT - timedelta(seconds=1)).total_seconds())
    with database.transaction() as tx:
        start(tx, Brief.name, "new")
        for number in range(1200):  # more than one batch
            start(tx, Brief.name, f"old-{number}")
    Runner(database, [Brief()]).run_until_idle()
    forget_ended_jobs(database, clock)
    with database.reading() as tx:
        assert job_of(tx, "old") is not None
    clock.advance(2)
    forget_ended_jobs(database, clock)
    with database.reading() as tx:
        assert job_of(tx, "old") is None and job_of(tx, "new") is not None
    clock.advance(KEPT.total_seconds())
    forget_ended_jobs(database, clock)
    with database.reading() as tx:
        assert job_of(tx, "old-1199") is None and job_of(tx, "new") is None


def test_a_disk_that_fills_is_a_fault_until_there_is_room(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mallee.store import schema

    database = Database(f"sqlite:///{tmp_path}/cloud.db", clock, synchronous=False)
    schema.create(database)
    room = {"free": 200 << 20}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(room["free"]))
    seen = []
    for free in (1 << 30, 300 << 20, 200 << 20, 100 << 20, 300 << 20, 600 << 20):
        room["free"] = free
        watch_disk(database, clock)
        seen.append(standing(database))
    full = [("disk-full", str(tmp_path))]
    assert seen == [[], [], full, full, full, []]
    database.close()


def test_a_database_on_a_server_has_no_disk_here(database: Database, clock: ManualClock) -> None:
    if database.kind == "postgresql":
        watch_disk(database, clock)
        assert database.folder is None and not standing(database)
