"""Plans give what SQLAlchemy gives: every SELECT here is run often enough to be planned, and compared with itself unplanned."""

from __future__ import annotations

import gc
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import bindparam, func, select

from mallee.store import Database
from mallee.store.prepared import LONGEST
from tests.store.tables import ALICE, BOB, PLACES, THINGS

AT = datetime(2026, 5, 4, 3, 2, 1, 999, tzinfo=UTC)
C = THINGS.c
STATEMENTS: list[tuple[Any, dict[str, Any]]] = [
    (select(THINGS).order_by(C.id), {}),
    (select(C.id, C.tags).where(C.id == bindparam("id")), {"id": "t-1"}),
    (select(C.id, C.made_at).where(C.made_at <= bindparam("at")).order_by(C.id), {"at": AT}),
    (select(C.id).where(C.open == bindparam("open"), C.size > 1).order_by(C.id), {"open": True}),
    (
        select(C.id, C.size.label("how_much")).where(C.id.in_(bindparam("ids", expanding=True))).order_by(C.id),
        {"ids": ["t-1", "t-3"]},
    ),
    (select(C.id).where(C.made_at.in_(bindparam("when", expanding=True))), {"when": [AT]}),
    (select(C.id).where(C.id.in_(bindparam("ids", expanding=True))), {"ids": []}),
    (select(C.id).where(C.id.in_(bindparam("ids", expanding=True))), {"ids": [f"t-{number}" for number in range(LONGEST + 5)]}),
    (select(func.count()).select_from(THINGS), {}),
    (select(C.id).where(C.name.like("n%")).order_by(C.id).limit(2), {}),
    (select(C.id, PLACES.c.id).join(PLACES, PLACES.c.size == C.size), {}),
    (sa.union_all(select(C.id), select(PLACES.c.id)), {}),
]


@pytest.fixture
def filled(database: Database) -> Database:
    for account in (ALICE, BOB):
        with database.transaction(account) as tx:
            for number in range(4):
                id = f"t-{number}" if account == ALICE else f"u-{number}"
                tx.insert(
                    THINGS, id=id, name=f"n{number}", size=number, open=number > 1, tags={"a": [number]}, made_at=AT, raw=b"\0x"
                )
    with database.transaction() as tx:
        tx.insert(PLACES, id="p", size=2)
    return database


@pytest.mark.parametrize("account", [ALICE, BOB, None])
@pytest.mark.parametrize(("statement", "params"), STATEMENTS)
def test_a_planned_select_gives_the_same_rows(
    filled: Database, statement: Any, params: dict[str, Any], account: str | None
) -> None:
    def run(what: Any) -> list[Any]:
        with filled.reading(account) as tx:
            return tx.all(what, **params)

    fresh = run(statement._clone())
    for _ in range(3):
        again = run(statement)
        assert [tuple(row) for row in again] == [tuple(row) for row in fresh]
        assert [row._fields for row in again] == [row._fields for row in fresh]
        assert [dict(row._mapping) for row in again] == [dict(row._mapping) for row in fresh]
        with filled.reading(account) as tx:
            first = tx.first(statement, **params)
            assert (None if first is None else tuple(first)) == (tuple(fresh[0]) if fresh else None)


def test_accounts_do_not_share_what_they_see(filled: Database) -> None:
    statement = select(C.id).order_by(C.id)
    for _ in range(3):
        for account, letter in ((ALICE, "t"), (BOB, "u")):
            with filled.reading(account) as tx:
                assert {row.id[0] for row in tx.all(statement)} == {letter}
        with filled.reading() as tx:
            assert len(tx.all(statement)) == 8


def test_lists_of_every_length(filled: Database) -> None:
    statement = select(C.id).where(C.id.in_(bindparam("ids", expanding=True)), C.size >= bindparam("least")).order_by(C.id)
    for length in (2, 0, 1, 3, 1, LONGEST, LONGEST + 1, 4, 0):
        wanted = [f"t-{number}" for number in range(length)]
        with filled.reading(ALICE) as tx:
            assert [row.id for row in tx.all(statement, ids=wanted, least=1)] == wanted[1:4]


def test_a_missing_parameter_is_refused_every_time(filled: Database) -> None:
    statement = select(C.id).where(C.id == bindparam("id"))
    for _ in range(3):
        with filled.reading(ALICE) as tx, pytest.raises(sa.exc.StatementError):
            tx.all(statement)


def test_plans_go_with_their_statements(filled: Database) -> None:
    plans = filled.engine.plans(True)
    if plans is None:
        pytest.skip("only SQLite has plans")
    before = len(plans._plans)
    for _ in range(5):
        statement = select(C.id).where(C.size == 1)
        for _ in range(2):
            with filled.reading(ALICE) as tx:
                tx.all(statement)
    del statement
    gc.collect()
    assert len(plans._plans) <= before + 1  # SQLAlchemy's own cache, which is bounded, keeps one of each form
