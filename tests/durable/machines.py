"""Small machines for the tests of the durable core, and what these tests ask of the database."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import Column, select

from mallee.durable import Done, Fail, Go, Idle, Job, Machine, Wait, act, job_of, record, start
from mallee.durable.records import SIGNALS
from mallee.store import Database, Integer, Text, Tx, plain_table

MARKS = plain_table(
    "sample_marks",
    Column("job_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("what", Text, nullable=False),
)
OF_JOB = select(MARKS.c.what).order_by(MARKS.c.number)


def mark(tx: Tx, job: Job, what: str) -> None:
    """Leaves a trace in the transaction of the step."""
    number = len(tx.all(OF_JOB.where(MARKS.c.job_id == job.id)))
    tx.insert(MARKS, job_id=job.id, number=number, what=what)


def marks(database: Database, job_id: str = "j-1") -> list[str]:
    with database.reading() as tx:
        return [row.what for row in tx.all(OF_JOB.where(MARKS.c.job_id == job_id))]


def begin(database: Database, machine: type[Machine], job_id: str = "j-1", **state: Any) -> str:
    with database.transaction() as tx:
        start(tx, machine.name, job_id, **state)
    return job_id


def job(database: Database, job_id: str = "j-1") -> Job:
    with database.reading() as tx:
        found = job_of(tx, job_id)
    assert found is not None
    return found


def signals_left(database: Database) -> list[str]:
    with database.reading() as tx:
        return sorted(row.name for row in tx.all(select(SIGNALS.c.name)))


class Walk(Machine):
    """Two acts between record steps, a rest, and a teardown."""

    name = "sample-walk"
    first = "one"
    interrupts: ClassVar[dict[str, str]] = {"end": "tear", "abort": "leave"}
    destroying = frozenset({"tear", "leave"})

    @record
    def one(self, tx: Tx, job: Job) -> Any:
        mark(tx, job, "one")
        return Go("two", seen=1)

    @act
    def two(self, world: Any, job: Job) -> Any:
        world.append(("two", dict(job.state)))
        return Go("rest", seen=job.state["seen"] + 1)

    @record
    def rest(self, tx: Tx, job: Job) -> Any:
        if job.take("paint"):
            mark(tx, job, "painted")
        mark(tx, job, "rest")
        return Idle()

    @act
    def tear(self, world: Any, job: Job) -> Any:
        world.append(("tear", dict(job.state)))
        return Go("leave")

    @record
    def leave(self, tx: Tx, job: Job) -> Any:
        mark(tx, job, "leave")
        return Done()


class Waits(Machine):
    """Says Wait(30) until ``go`` is among its signals; its step has a deadline."""

    name = "sample-waits"
    first = "wait"

    @record(deadline=100)
    def wait(self, tx: Tx, job: Job) -> Any:
        mark(tx, job, "look")
        if job.take("go"):
            return Go("over")
        return Wait(30)

    @record
    def over(self, tx: Tx, job: Job) -> Any:
        return Done()


class Late(Machine):
    """Idles to its deadline, and answers it by going elsewhere."""

    name = "sample-late"
    first = "hope"
    interrupts: ClassVar[dict[str, str]] = {"end": "leave"}
    destroying = frozenset({"leave"})

    @record(deadline=60)
    def hope(self, tx: Tx, job: Job) -> Any:
        mark(tx, job, "hope")
        if job.state.get("hopeless"):
            raise RuntimeError("no hope")
        return Idle()

    @record
    def leave(self, tx: Tx, job: Job) -> Any:
        mark(tx, job, f"left because of {job.state['reason']['code']}")
        return Done()

    def overdue(self, tx: Tx, job: Job) -> Any:
        mark(tx, job, "overdue")
        return Fail("TooLate", "It did not come in time.")


class Poison(Machine):
    """A step that raises as long as its world says so, after writing something that must not stay."""

    name = "sample-poison"
    first = "drink"

    @record(deadline=1000)
    def drink(self, tx: Tx, job: Job) -> Any:
        mark(tx, job, "drunk")
        if POISONED:
            raise ValueError("it was poison")
        return Done()


POISONED: set[str] = set()


class Act(Machine):
    """One act that the test writes: ``world(job)`` says the outcome."""

    name = "sample-act"
    first = "do"
    interrupts: ClassVar[dict[str, str]] = {"end": "undo"}
    destroying = frozenset({"undo"})

    @act(lease=60)
    def do(self, world: Any, job: Job) -> Any:
        return world(job)

    @record
    def next(self, tx: Tx, job: Job) -> Any:
        mark(tx, job, "next")
        return Idle()

    @record
    def undo(self, tx: Tx, job: Job) -> Any:
        mark(tx, job, "undo")
        return Done()


MACHINES = (Walk, Waits, Late, Poison, Act)
