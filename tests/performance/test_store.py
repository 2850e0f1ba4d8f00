"""What a transaction costs over the driver's own: ratios within one run, so that the machine does not matter."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import bindparam, select

from mallee.durable import Done, Go, Job, Machine, Runner, record, start_many
from mallee.store import Database, Tx, read, schema
from tests.store.tables import ALICE, THINGS

pytestmark = pytest.mark.performance

READ = select(THINGS).where(THINGS.c.id == bindparam("id"))
MOST = 5.0
"""A scoped point read in its own transaction, to a dataclass, against the same in sqlite3 without scope, types and dataclass."""


@dataclass(frozen=True, slots=True)
class Thing:
    id: str
    name: str
    size: int | None
    tags: dict[str, str]


def best(function: Callable[[], object], runs: int = 7, calls: int = 1000) -> float:
    function()
    shortest = float("inf")
    for _ in range(runs):
        began = time.perf_counter()
        for _ in range(calls):
            function()
        shortest = min(shortest, time.perf_counter() - began)
    return shortest / calls


@pytest.fixture
def filled(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/cloud.db")
    schema.create(database)
    with database.transaction(ALICE) as tx:
        tx.insert_many(THINGS, [{"id": f"t-{n}", "name": str(n), "size": n, "tags": {"a": "b"}} for n in range(1000)])
    return database


def test_a_point_read(filled: Database) -> None:
    def ours() -> None:
        with filled.reading(ALICE) as tx:
            read(Thing, tx.first(READ, id="t-500"))

    raw = sqlite3.connect(filled.engine.url.database or "", isolation_level=None)

    def theirs() -> None:
        raw.execute("BEGIN")
        raw.execute("SELECT * FROM sample_things WHERE id = ? AND account_id = ?", ("t-500", ALICE)).fetchone()
        raw.execute("COMMIT")

    ratio = best(ours) / best(theirs)
    assert ratio < MOST, f"{ratio:.1f} times sqlite3"


class Brisk(Machine):
    name = "sample-brisk"
    first = "one"

    @record
    def one(self, tx: Tx, job: Job) -> Go:
        return Go("two")

    @record
    def two(self, tx: Tx, job: Job) -> Done:
        return Done()


def test_steps(filled: Database) -> None:
    """A step costs less than forty point reads: claim, lease, commit and all."""

    def look() -> None:
        with filled.reading(ALICE) as tx:
            tx.first(READ, id="t-500")

    with filled.transaction() as tx:
        start_many(tx, Brisk.name, [f"j-{n}" for n in range(500)])
    runner = Runner(filled, [Brisk()])
    began = time.perf_counter()
    while runner._run_batch():
        pass
    step = (time.perf_counter() - began) / 1000
    assert step < 40 * best(look), f"{step * 1e6:.0f} µs a step"
