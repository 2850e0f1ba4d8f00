from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from mallee.store import Clock, Database, ManualClock, ids, read, read_all
from tests.store.tables import ALICE, PLACES, THINGS


@dataclass(frozen=True, slots=True)
class Place:
    id: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Name:
    name: str
    extra: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Lacking:
    id: str
    colour: str


def test_rows_become_dataclasses_by_name(database: Database) -> None:
    with database.transaction(ALICE) as tx:
        tx.insert_many(PLACES, [{"id": "p-1", "size": 1}, {"id": "p-2", "size": 2}])
        tx.insert(THINGS, id="t-1", name="n")
        assert read_all(Place, tx.all(select(PLACES).order_by(PLACES.c.id))) == [Place("p-1", 1), Place("p-2", 2)]
        assert read(Place, tx.first(select(PLACES.c.size, PLACES.c.id).where(PLACES.c.id == "p-2"))) == Place("p-2", 2)
        assert read_all(Name, tx.all(select(THINGS))) == [Name("n")]
        assert read_all(Place, []) == []
        with pytest.raises(TypeError, match="needs colour"):
            read(Lacking, tx.first(select(PLACES)))


def test_ids_look_like_aws() -> None:
    assert re.fullmatch(r"i-0[0-9a-f]{16}", ids.new("i"))
    assert re.fullmatch(r"[1-9][0-9]{11}", ids.account())
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", ids.request())
    assert len({ids.new("i") for _ in range(1000)}) == 1000


@given(st.lists(st.floats(0, 1e6), max_size=5))
def test_the_manual_clock_goes_as_it_is_moved(steps: list[float]) -> None:
    clock = ManualClock()
    before = clock.now()
    for step in steps:
        assert clock.advance(step) == clock.now() >= before
        before = clock.now()


def test_clocks_show_utc() -> None:
    assert Clock().now().utcoffset() is not None
    with pytest.raises(ValueError, match="aware"):
        ManualClock().set(Clock().now().replace(tzinfo=None))
