"""Runners beside each other, in threads and in processes: no job is done by two at once, none is forgotten."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mallee.durable import Go, Idle, Runner, job_of, start, unfinished
from mallee.durable.records import JOBS
from mallee.store import Clock, Database, ManualClock
from tests.durable.machines import Act, Walk, begin, job

ROOT = Path(__file__).parents[2]
LONG = 30.0


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def over(database: Database) -> bool:
    """Whether every job rests in a step that waits, or has ended."""
    with database.reading() as tx:
        return all(step in ("rest", "next") for _, step, _ in unfinished(tx))


WORKER = """
import os, sys, time
from mallee.durable import Done, Runner
from mallee.store import Database
from tests.durable.machines import MACHINES

database = Database(sys.argv[1], synchronous=False)
folder = sys.argv[2]

class World:
    def append(self, what): pass
    def __call__(self, job):
        # a file that only one may make stands for the job while somebody is at it
        os.close(os.open(f"{folder}/{job.id}.busy", os.O_CREAT | os.O_EXCL))
        time.sleep(0.002)
        with open(f"{folder}/{job.id}.done", "a") as file:
            file.write("x")
        os.unlink(f"{folder}/{job.id}.busy")
        return Done()

runner = Runner(database, [kind() for kind in MACHINES], World(), workers=2)
runner.free_leases = lambda: None  # what a start on SQLite does, where one process runs at a time
print("ready", flush=True)
sys.stdin.readline()
runner.start()
sys.stdin.readline()
runner.stop()
database.close()
"""


def test_two_processes_never_do_one_job_at_once(database: Database, tmp_path: Path) -> None:
    database.clock = Clock()
    folder = tmp_path / "world"
    folder.mkdir()
    names = [f"j-{number:03d}" for number in range(60)]
    command = [sys.executable, "-c", WORKER, database.url, str(folder)]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
    with database.transaction() as tx:
        for name in names:
            start(tx, Act.name, name)
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    assert within(LONG, lambda: over(database))
    for worker in workers:
        worker.communicate("stop\n", timeout=LONG)
        assert worker.returncode == 0
    assert {file.name: file.read_text() for file in folder.iterdir()} == {f"{name}.done": "x" for name in names}
    with database.reading() as tx:
        assert all(found is not None and found.error is None for found in (job_of(tx, name) for name in names))


def test_stopping_lets_the_step_under_way_commit(database: Database) -> None:
    database.clock = Clock()
    entered, leave = threading.Event(), threading.Event()

    def world(_: Any) -> Any:
        entered.set()
        leave.wait(LONG)
        return Go("next")

    runner = Runner(database, [Act()], world, workers=1)
    begin(database, Act)
    runner.start()
    assert entered.wait(LONG)
    stopping = threading.Thread(target=runner.stop)
    stopping.start()
    leave.set()
    stopping.join(LONG)
    assert not stopping.is_alive() and job(database).step == "next"


def test_a_worker_survives_what_goes_wrong_outside_any_step(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database.clock = Clock()
    runner = Runner(database, [Walk()], [], workers=1)
    claim, failures = runner._claim, iter([RuntimeError("outside")])

    def failing(most: int) -> Any:
        for failure in failures:
            raise failure
        return claim(most)

    monkeypatch.setattr(runner, "_claim", failing)
    begin(database, Walk)
    runner.start()
    assert within(LONG, lambda: job(database).step == "rest")
    runner.stop()
    assert "failed outside any step" in caplog.text


# ------------------------------------------------------------------------------------------------------------- restart


def test_on_sqlite_a_restart_frees_the_leases_at_once(database: Database, clock: ManualClock) -> None:
    """There is one process at a time, so whoever holds a lease is dead; on PostgreSQL it may be another that lives."""
    with database.transaction() as tx:
        for name in ("j-first", "j-again"):
            start(tx, Act.name, name)
    claimed = Runner(database, [Act()], None)
    claimed._claim(1)
    claimed._claim(1)
    with database.transaction() as tx:
        tx.change(JOBS, "j-again", tries=3)  # it may be what killed the process twice
    clock.advance(1)
    runner = Runner(database, [Act()], lambda given: Idle(), workers=0)
    runner.start()
    runner.run_until_idle()
    if database.kind == "postgresql":
        assert job(database, "j-first").due is not None
        return
    assert job(database, "j-first").due is None and job(database, "j-first").tries == 0
    again = job(database, "j-again")
    assert again.due is not None and (again.due - clock.now()).total_seconds() == 2
    clock.advance(2)
    runner.run_until_idle()
    assert job(database, "j-again").due is None


KILLED = """
import sys
from mallee.durable import Go, Runner
from mallee.store import Database
from tests.durable.machines import MACHINES

def world(job):
    print("at it", flush=True)
    sys.stdin.readline()

Runner(Database(sys.argv[1]), [kind() for kind in MACHINES], world, workers=1).start()
sys.stdin.readline()
"""


def test_a_killed_process_on_sqlite_is_followed_by_one_that_goes_on(database: Database) -> None:
    if database.kind == "postgresql":
        pytest.skip("another process may live: its leases run out in their own time")
    database.clock = Clock()
    begin(database, Act)
    command = [sys.executable, "-c", KILLED, database.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as killed:
        assert killed.stdout is not None and killed.stdout.readline() == "at it\n"
        killed.send_signal(signal.SIGKILL)
    runner = Runner(database, [Act()], lambda given: Go("next"), workers=1)
    runner.start()
    assert within(5, lambda: job(database).step == "next")  # its lease would have been a minute
    runner.stop()
