"""A disk that is really full: a small filesystem of the test's own, with SQLite's file on it, filled to its last block."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from mallee.durable import Done, Job, Machine, Runner, act, job_of, start
from mallee.store import Database, StoreUnavailable, schema
from tests.store.tables import ALICE, PLACES, THINGS

SIZE = 4 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "mallee-test", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a filesystem")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def database(disk: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{disk}/cloud.db")
    schema.create(made)
    yield made
    made.close()


def fill(disk: Path) -> Path:
    """Leaves not one block."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    return ballast


def write_until_full(database: Database) -> tuple[int, StoreUnavailable]:
    """How many transactions were committed, and what the next one said."""
    done = 0
    while True:
        try:
            with database.transaction(ALICE) as tx:
                tx.insert(THINGS, id=f"t-{done}", name=f"n-{done}", raw=bytes(20_000))
                tx.nudge("things")
        except StoreUnavailable as trouble:
            return done, trouble
        done += 1


def things(database: Database) -> int:
    with database.reading() as tx:
        return int(tx.value(select(func.count()).select_from(THINGS)))


def test_what_was_committed_stays_and_writing_goes_on_when_there_is_room(database: Database, disk: Path) -> None:
    ballast = fill(disk)
    with ballast.open("r+b") as file:
        file.truncate(ballast.stat().st_size - 300_000)
    done, trouble = write_until_full(database)
    assert trouble.fault == "disk-full" and "Free space" in trouble.remedy
    assert database.trouble is trouble
    assert done > 0 and things(database) == done  # reading works on a full disk
    for _ in range(3):  # and it says so each time, without harm
        with pytest.raises(StoreUnavailable):
            with database.transaction(ALICE) as tx:
                tx.insert(THINGS, id="t-more", name="more", raw=bytes(20_000))
    ballast.unlink()
    with database.transaction(ALICE) as tx:
        tx.insert(THINGS, id="t-after", name="after")
    assert database.trouble is None and things(database) == done + 1
    database.checkpoint()
    session = database.engine.begin_read()
    assert session.command("PRAGMA integrity_check").fetchone()[0] == "ok"
    database.engine.rollback(session)


def test_a_process_that_starts_on_a_full_disk_reads_what_there_is(database: Database, disk: Path) -> None:
    with database.transaction() as tx:
        tx.insert(PLACES, id="p-1")
    ballast = fill(disk)
    other = Database(database.url)
    with other.reading() as tx:
        assert tx.get(PLACES, "p-1") is not None
    ballast.unlink()
    with other.transaction() as tx:
        tx.insert(PLACES, id="p-2")
    other.close()


class Patient(Machine):
    """An act that fills the disk the first time: its commit finds no room."""

    name = "sample-patient"
    first = "work"

    @act(lease=60)
    def work(self, world: list[Path], job: Job) -> object:
        if len(world) == 1:
            world.append(fill(world[0]))
        return Done()


def test_a_job_waits_for_room_and_is_done_then(database: Database, disk: Path) -> None:
    from mallee.store import ManualClock

    clock = ManualClock()
    database.clock = clock
    with database.transaction() as tx:
        start(tx, Patient.name, "j-1", weight="x" * 200_000)
    world = [disk]
    runner = Runner(database, [Patient()], world)
    with pytest.raises(StoreUnavailable) as caught:
        for _ in range(100):
            runner.run_once()
            clock.advance(70)
    assert caught.value.fault == "disk-full"
    world[1].unlink()
    clock.advance(70)
    runner.run_until_idle()
    with database.reading() as tx:
        found = job_of(tx, "j-1")
    assert found is not None and found.done_at is not None
