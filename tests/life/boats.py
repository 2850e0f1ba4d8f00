"""A machine for the harness's own tests: a boat is given a berth, built, launched, and scrapped. It has every kind of step, and
subclasses plant one bug each, as they happen in earnest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from sqlalchemy import Column, select

from mallee.durable import Done, Fail, Go, Idle, Job, Machine, Wait, act, record, start
from mallee.store import Database, Integer, ManualClock, Text, Tx, plain_table

BOATS = plain_table("sample_boats", Column("id", Text, primary_key=True), Column("state", Text, nullable=False))
BERTHS = plain_table(
    "sample_berths", Column("number", Integer, primary_key=True), Column("boat_id", Text, nullable=False, unique=True)
)


@dataclass
class Yard:
    """The world: hulls by boat, and what was ordered of the crew, who report later."""

    hulls: list[str] = field(default_factory=list)
    orders: set[str] = field(default_factory=set)
    afloat: set[str] = field(default_factory=set)
    visits: int = 0

    def ensure_hull(self, name: str) -> None:
        if name not in self.hulls:
            self.hulls.append(name)

    def scrap(self, name: str) -> None:
        if name in self.hulls:
            self.hulls.remove(name)
        self.afloat.discard(name)


class Boat(Machine):
    name = "sample-boat"
    first = "berth"
    interrupts: ClassVar[dict[str, str]] = {"sink": "scrap"}
    destroying = frozenset({"scrap", "leave"})

    @record(deadline=60)
    def berth(self, tx: Tx, job: Job) -> Any:
        if tx.value(select(BERTHS.c.number).where(BERTHS.c.boat_id == job.id)) is None:
            number = next(n for n in range(10) if tx.insert_if_free(BERTHS, number=n, boat_id=job.id))
            return Go("build", berth=number)
        return Go("build")

    @act(deadline=600)
    def build(self, yard: Yard, job: Job) -> Any:
        yard.ensure_hull(job.id)
        return Go("order")

    @act
    def order(self, yard: Yard, job: Job) -> Any:
        yard.orders.add(job.id)
        return Go("float_")

    @record(deadline=300)
    def float_(self, tx: Tx, job: Job) -> Any:
        state = tx.value(select(BOATS.c.state).where(BOATS.c.id == job.id))
        if state == "wrecked":
            return Fail("Wrecked", "It hit a rock.")
        if state != "afloat":
            return Wait(30)
        return Go("sail")

    @record
    def sail(self, tx: Tx, job: Job) -> Any:
        if job.take("paint"):
            tx.change(BOATS, job.id, state="painted")
        return Idle()

    @act
    def scrap(self, yard: Yard, job: Job) -> Any:
        yard.scrap(job.id)
        yard.orders.discard(job.id)
        return Go("leave")

    @record
    def leave(self, tx: Tx, job: Job) -> Any:
        tx.remove_all(BERTHS, BERTHS.c.boat_id == job.id)
        tx.change(BOATS, job.id, state="gone")
        return Done()


class BoatStage:
    """The crew floats what was ordered, and writes that down as a node's report is written down."""

    id = "boat-1"
    kind: ClassVar[type[Machine]] = Boat

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database = database
        self.world = Yard()

    def begin(self, tx: Tx) -> str:
        tx.insert(BOATS, id=self.id, state="planned")
        start(tx, self.kind.name, self.id)
        return self.id

    def react(self) -> bool:
        from mallee.durable import wake

        if self.id not in self.world.orders or self.id in self.world.afloat or self.id not in self.world.hulls:
            return False
        self.world.afloat.add(self.id)
        with self.database.transaction() as tx:
            if tx.value(select(BOATS.c.state)) == "planned":
                tx.change(BOATS, self.id, state="afloat")
            wake(tx, self.id)
        return True

    def settled(self, tx: Tx) -> Any:
        return {
            "boat": tx.value(select(BOATS.c.state)),
            "berths": [tuple(row) for row in tx.all(select(BERTHS))],
            "hulls": self.world.hulls,
            "afloat": sorted(self.world.afloat),
            "orders": sorted(self.world.orders),
            "visits": self.world.visits,
        }


# ------------------------------------------------------------------------------------------------------- planted bugs


class BuildsTwice(Boat):
    """An act that is not idempotent."""

    name = "sample-builds-twice"

    @act
    def build(self, yard: Yard, job: Job) -> Any:
        yard.hulls.append(job.id)
        return Go("order")


class RecordsOutside(Boat):
    """A record step that touches the world: its transaction is undone, the world is not."""

    name = "sample-records-outside"

    @record
    def berth(self, tx: Tx, job: Job) -> Any:
        for _, value in vars(YARDS[job.id]).items():
            if isinstance(value, int):
                YARDS[job.id].visits += 1
        return super().berth(tx, job)


YARDS: dict[str, Yard] = {}


class RecordsOutsideStage(BoatStage):
    def __init__(self, database: Database, clock: ManualClock) -> None:
        super().__init__(database, clock)
        YARDS[self.id] = self.world


class Remembers(Boat):
    """Keeps in memory what must be in the job."""

    name = "sample-remembers"

    def __init__(self) -> None:
        self.built: set[str] = set()

    @act
    def build(self, yard: Yard, job: Job) -> Any:
        yard.ensure_hull(job.id)
        self.built.add(job.id)
        return Go("order")

    @act
    def order(self, yard: Yard, job: Job) -> Any:
        if job.id in self.built:
            yard.orders.add(job.id)
        return Go("float_")


class ScrapsWhatItKnows(Boat):
    """Teardown that trusts the job's state: an act that was done, but not committed, leaves its hull behind."""

    name = "sample-scraps-what-it-knows"

    @act
    def build(self, yard: Yard, job: Job) -> Any:
        yard.ensure_hull(job.id)
        return Go("order", built=True)

    @act
    def scrap(self, yard: Yard, job: Job) -> Any:
        if job.state.get("built"):
            return super().scrap(yard, job)
        return Go("leave")


class VisitsTwice(Boat):
    """Teardown that adds up: done again, it counts again."""

    name = "sample-visits-twice"

    @act
    def scrap(self, yard: Yard, job: Job) -> Any:
        yard.visits += 1
        return super().scrap(yard, job)


class NeverRests(Boat):
    """Two steps that send the job to each other."""

    name = "sample-never-rests"

    @record
    def sail(self, tx: Tx, job: Job) -> Any:
        return Go("float_")
