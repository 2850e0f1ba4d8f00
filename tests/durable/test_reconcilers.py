"""The driver of the reconcilers."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

from mallee.durable import Reconciler, Reconcilers, reconciler, reconciliations
from mallee.durable import reconcilers as module
from mallee.store import Clock, Database, ManualClock
from tests.durable.machines import Act, begin

LONG = 20.0


def made(function: Any, every: float = 30, on: tuple[str, ...] = (), name: str = "sample") -> Reconciler:
    return reconciler(name, every=every, on=on)(function)


def test_a_run_like_the_one_before_is_written_down_seldom(database: Database, clock: ManualClock) -> None:
    driver = Reconcilers(database, [made(lambda database, clock: None, 1)])
    driver.run_due()
    began = clock.now()
    for seconds, noted in ((59, 0), (1, 60)):
        clock.advance(seconds)
        driver.run_due()
        ran = {note.name: note.ran_at for note in reconciliations(database)}["sample"]
        assert ran == began + timedelta(seconds=noted)


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


def test_a_checkpoint_moves_what_was_committed_into_the_file(database: Database, clock: ManualClock, tmp_path: Path) -> None:
    for number in range(20):
        begin(database, Act, f"j-{number}")
    module.checkpoint(database, clock)
    if database.kind == "sqlite":
        shutil.copy(database.engine.url.database or "", tmp_path / "alone.db")  # without its log
        with sqlite3.connect(tmp_path / "alone.db") as alone:
            assert alone.execute("SELECT count(*) FROM jobs").fetchone() == (20,)
