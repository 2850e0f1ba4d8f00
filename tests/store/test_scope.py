"""No statement crosses the border of an account.

The oracle is the database in which the other account's rows do not exist: whatever statement is made of owned tables must answer
in the scoped transaction as it answers there without a scope.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import exists, func, literal_column, select, text, union, union_all

from mallee.store import Database, Misuse, ScopeViolation, Tx, journal
from tests.store.tables import ALICE, BOB, NOTES, PARTS, PLACES, THINGS

SOURCES = (THINGS, PARTS, NOTES, PLACES)
BY_ACCOUNT = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def fill(database: Database) -> None:
    """Both accounts have rows that differ in nothing but their owner and their sizes."""
    for account, sizes in ((ALICE, (1, 2, 3)), (BOB, (2, 3, 4, 5))):
        with database.transaction(account) as tx:
            for size in sizes:
                name = f"{account[0]}-{size}"
                tx.insert(THINGS, id=f"t{name}", name=f"n-{size}", size=size)
                tx.insert(PARTS, thing_id=f"t{name}", number=size, size=size)
                tx.insert(NOTES, id=f"n{name}", size=size)
    with database.transaction() as tx:
        tx.insert_many(PLACES, [{"id": f"p-{size}", "size": size} for size in range(6)])


# ------------------------------------------------------------------------------------------------- any statement at all


@st.composite
def sources(draw: st.DrawFn, depth: int) -> Any:
    """Something to select from that has a column ``size``."""
    kind = draw(st.sampled_from(("table", "table", "alias", "subquery", "cte", "union") if depth else ("table", "alias")))
    if kind == "table":
        return draw(st.sampled_from(SOURCES))
    if kind == "alias":
        return draw(st.sampled_from(SOURCES)).alias()
    if kind == "union":
        arms = draw(st.lists(selects(depth - 1), min_size=2, max_size=3))
        combine = draw(st.sampled_from((union, union_all)))
        return combine(*arms).subquery()
    inner = draw(selects(depth - 1))
    return inner.subquery() if kind == "subquery" else inner.cte()


@st.composite
def conditions(draw: st.DrawFn, column: Any, depth: int) -> Any:
    kind = draw(st.sampled_from(("compare", "in", "exists", "scalar") if depth else ("compare",)))
    if kind == "compare":
        return column > draw(st.integers(0, 5))
    inner = draw(sources(depth - 1))
    if kind == "in":
        return column.in_(select(inner.c.size).correlate(None))
    if kind == "exists":
        return exists(select(inner.c.size).where(inner.c.size == column + draw(st.integers(-1, 1))).correlate_except(inner))
    function = draw(st.sampled_from((func.max, func.min, func.count)))
    return column <= select(function(inner.c.size)).correlate(None).scalar_subquery()


@st.composite
def selects(draw: st.DrawFn, depth: int = 2) -> Any:
    """A select of one column ``size``."""
    left = draw(sources(depth))
    shape = draw(st.sampled_from(("plain", "join", "outer", "full", "comma")))
    column = left.c.size
    if shape == "plain":
        statement = select(column.label("size")).select_from(left)
    else:
        right = draw(sources(depth))
        assume(right is not left)
        if draw(st.booleans()):
            column = right.c.size
        if shape == "comma":
            statement = select(column.label("size")).where(left.c.size == right.c.size)
        else:
            joined = left.join(right, left.c.size == right.c.size + 1, isouter=shape == "outer", full=shape == "full")
            statement = select(column.label("size")).select_from(joined)
    if draw(st.booleans()):
        statement = statement.where(draw(conditions(column, depth)))
    if draw(st.booleans()):
        statement = select(func.coalesce(func.sum(statement.subquery().c.size), 0).label("size"))
    return statement


class _UndoneError(Exception):
    pass


def alone(tx: Tx, account: str, look: Callable[[Tx], Any]) -> Any:
    """What ``look`` finds where no other account has anything."""
    found: list[Any] = []
    everyone = tx.everyone()
    try:
        with tx.savepoint():
            for table in (PARTS, THINGS, NOTES):
                everyone.remove_all(table, table.c.account_id != account)
            found.append(look(everyone))
            raise _UndoneError
    except _UndoneError:
        return found[0]


@BY_ACCOUNT
@given(statement=selects(), account=st.sampled_from((ALICE, BOB)))
def test_any_select_sees_one_account_only(database: Database, statement: Any, account: str) -> None:
    with database.reading() as tx:
        empty = tx.get(PLACES, "p-1") is None
    if empty:
        fill(database)
    with database.transaction(account) as tx:
        seen = sorted(tx.all(statement), key=str)
        assert seen == sorted(alone(tx, account, lambda everyone: everyone.all(statement)), key=str)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), account=st.sampled_from((ALICE, BOB)), delete=st.booleans())
def test_any_update_or_delete_touches_one_account_only(
    database: Database, data: st.DataObject, account: str, delete: bool
) -> None:
    with database.reading() as tx:
        empty = tx.get(PLACES, "p-1") is None
    if empty:
        fill(database)
    condition = data.draw(conditions(NOTES.c.size, 2))
    if delete:
        statement: Any = sa.delete(NOTES).where(condition)
    else:
        other = data.draw(st.sampled_from((THINGS, NOTES.alias(), PLACES)))
        value = select(func.max(other.c.size)).where(other.c.size <= NOTES.c.size).scalar_subquery()
        statement = sa.update(NOTES).where(condition).values(size=value)

    def result(tx: Tx) -> Any:
        tx.execute(statement)
        return sorted(tx.all(select(NOTES.c.id, NOTES.c.size, NOTES.c.account_id)))

    with database.transaction(account) as tx:
        others = select(NOTES).where(NOTES.c.account_id != account).order_by(NOTES.c.id)
        before = tx.everyone().all(others)
        expected = alone(tx, account, result)
        try:
            with tx.savepoint():
                assert result(tx) == expected
                assert tx.everyone().all(others) == before
                raise _UndoneError
        except _UndoneError:
            pass


# ------------------------------------------------------------------------------------------------------- named corners


def test_an_outer_join_keeps_its_own_rows(database: Database) -> None:
    """A condition in WHERE would drop the rows without a partner; the border is drawn below the join."""
    fill(database)
    with database.reading(ALICE) as tx:
        joined = PLACES.outerjoin(THINGS, THINGS.c.size == PLACES.c.size)
        rows = tx.all(select(PLACES.c.size, THINGS.c.id).select_from(joined).order_by(PLACES.c.size))
        assert [tuple(row) for row in rows] == [(0, None), (1, "t1-1"), (2, "t1-2"), (3, "t1-3"), (4, None), (5, None)]


def test_update_from_sees_one_account_only(database: Database) -> None:
    fill(database)
    with database.transaction(ALICE) as tx:
        statement = sa.update(NOTES).where(NOTES.c.size == THINGS.c.size - 1).values(size=THINGS.c.size + 100)
        assert tx.execute(statement) == 2  # sizes 1 and 2 have a thing one larger; 3 has one only with Bob
        assert sorted(tx.all(select(NOTES.c.size))) == [(3,), (102,), (103,)]
    with database.reading(BOB) as tx:
        assert sorted(tx.all(select(NOTES.c.size))) == [(2,), (3,), (4,), (5,)]


def test_the_other_accounts_rows_do_not_exist(database: Database) -> None:
    fill(database)
    with database.transaction(ALICE) as tx:
        assert tx.get(THINGS, "t2-2") is None
        assert tx.lock(THINGS, "t2-2") is None
        assert not tx.change(THINGS, "t2-2", size=9)
        assert not tx.change(NOTES, "n2-2", size=9)
        assert not tx.remove(THINGS, "t2-2")
        assert not tx.remove(NOTES, "n2-2")
        assert tx.change_all(NOTES, NOTES.c.size >= 0, size=9) == 3
        assert tx.remove_all(THINGS, THINGS.c.size >= 0) == 3
        assert tx.all(select(journal).where(journal.c.account_id != ALICE)) == []
        assert tx.value(select(func.count()).select_from(journal)) == 6  # this transaction's entries come with its commit
        assert tx.everyone().get(THINGS, "t2-2") is not None
    with database.reading(BOB) as tx:
        assert len(tx.all(select(THINGS))) == len(tx.all(select(NOTES))) == 4


def test_a_bare_table_is_the_declared_one(database: Database) -> None:
    """``sa.table(name)`` names the same rows and gets the same border."""
    fill(database)
    bare = sa.table("sample_things", sa.column("id"))
    with database.reading(ALICE) as tx:
        assert len(tx.all(select(bare.c.id))) == 3
        assert len(tx.all(select(bare.alias().c.id))) == 3


@pytest.mark.parametrize(
    "statement",
    [
        text("SELECT * FROM sample_things"),
        text("SELECT id FROM sample_things").columns(sa.column("id")),
        select(text("id")).select_from(THINGS),
        select(THINGS.c.id).where(text("1 = 1")),
        select(literal_column("(SELECT count(*) FROM sample_things)")),
        select(THINGS.c.id).select_from(text("sample_things")),
        select(THINGS.c.id).prefix_with("DISTINCT"),
        select(THINGS.c.id).order_by(literal_column("(SELECT 1)")),
    ],
)
def test_raw_sql_is_refused(database: Database, statement: Any) -> None:
    for opened in (database.reading(ALICE), database.reading()):
        with opened as tx, pytest.raises(Misuse, match="raw SQL"):
            tx.all(statement)


def test_writing_through_an_alias_or_a_bare_table_is_refused(database: Database) -> None:
    bare = sa.table("sample_notes", sa.column("id"), sa.column("account_id"))
    with database.transaction(ALICE) as tx:
        for target in (bare, NOTES.alias()):
            with pytest.raises(Misuse, match="declared table"):
                tx.execute(sa.delete(target))  # type: ignore[arg-type]
        with pytest.raises(ScopeViolation):
            tx.execute(sa.update(NOTES), account_id=BOB)
        with pytest.raises(ScopeViolation):
            tx.execute(sa.update(NOTES).ordered_values((NOTES.c.account_id, BOB)))


def test_the_account_is_a_parameter_not_a_part_of_the_cached_statement(database: Database) -> None:
    fill(database)
    statement = select(func.count()).select_from(THINGS)
    found = []
    for account in (ALICE, BOB, None, ALICE):
        with database.reading(account) as tx:
            found.append(tx.value(statement))
    assert found == [3, 4, 7, 3]


@pytest.mark.parametrize(
    ("statement", "used"),
    [
        (select(THINGS).where(THINGS.c.id == "t"), "(id=?)"),
        (select(THINGS).where(THINGS.c.name == "n"), "(account_id=? AND name=?)"),
        (select(THINGS.c.id, PARTS.c.size).select_from(THINGS.outerjoin(PARTS, PARTS.c.thing_id == THINGS.c.id)), "(thing_id=?)"),
        (select(THINGS).where(exists(select(PARTS.c.size).where(PARTS.c.thing_id == THINGS.c.id))), "(thing_id=?)"),
        (select(func.count()).select_from(THINGS), "(account_id=?)"),
    ],
)
def test_sqlite_finds_its_indexes_through_the_border(sqlite: Database, statement: Any, used: str) -> None:
    """The slice is folded into the query, and the account's index is taken only where there is no better one."""
    compiled = statement.compile(dialect=sqlite.engine._scoped.dialect)
    values = [compiled.params.get(name) or ALICE for name in compiled.positiontup]
    with sqlite.reading() as tx:
        plan = tx._work.session.dbapi.execute(f"EXPLAIN QUERY PLAN {compiled}", values).fetchall()
    assert used in plan[-1][3] and not any("MATERIALIZE" in row[3] or "CO-ROUTINE" in row[3] for row in plan), plan


def test_a_write_that_hides_in_a_cte_is_guarded(database: Database) -> None:
    if database.kind == "sqlite":
        pytest.skip("SQLite has no writing CTEs")
    fill(database)
    removed = sa.delete(NOTES).returning(NOTES.c.id).cte()
    with database.transaction(ALICE) as tx:
        assert len(tx.all(select(removed.c.id))) == 3
    with database.transaction(ALICE) as tx:
        with pytest.raises(Misuse, match="journaled"):
            tx.all(select(sa.delete(THINGS).returning(THINGS.c.id).cte().c.id))
    with database.reading(BOB) as tx:
        assert len(tx.all(select(NOTES))) == 4
