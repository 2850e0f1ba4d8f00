from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy import func, select

from mallee.store import Actor, Conflict, Constraint, Database, ManualClock, Misuse, ScopeViolation, journal
from tests.store.tables import ALICE, BOB, NOTES, PARTS, PLACES, THINGS


def test_every_type_comes_back_as_it_went_in(database: Database, clock: ManualClock) -> None:
    values = {
        "name": "ünï ✓ 'quoted\"",
        "size": -(2**63),
        "weight": 0.1 + 0.2,
        "open": True,
        "tags": {"a": [1, None, {"b": "\u0000😀"}], "n": 1.5},
        "made_at": datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        "raw": bytes(range(256)),
        "password": "p",
    }
    with database.transaction(ALICE) as tx:
        tx.insert(THINGS, id="t-1", **values)
    with database.reading(ALICE) as tx:
        row = tx.get(THINGS, "t-1")
    assert row is not None
    assert {name: row._mapping[name] for name in values} == values
    assert row.made_at.tzinfo is UTC
    assert row.account_id == ALICE
    assert type(row.open) is bool


def test_a_time_without_zone_is_refused(database: Database) -> None:
    with pytest.raises((ValueError, sa.exc.StatementError), match="without a zone"), database.transaction(ALICE) as tx:
        tx.insert(THINGS, id="t-1", made_at=datetime(2024, 1, 1))


def test_defaults_are_filled_in_and_journaled(database: Database) -> None:
    with database.transaction(ALICE) as tx:
        tx.insert(THINGS, id="t-1")
    with database.reading(ALICE) as tx:
        row = tx.get(THINGS, "t-1")
        entry = tx.first(select(journal))
    assert row is not None and entry is not None
    assert (row.name, row.open, row.tags, row.size) == ("nameless", False, {}, None)
    assert entry.after["name"] == "nameless" and entry.after["open"] is False


def test_what_an_exception_leaves_is_undone(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction(ALICE) as tx:
        tx.insert(THINGS, id="t-1")
        _ = 1 / 0
    with database.reading() as tx:
        assert tx.value(select(func.count()).select_from(THINGS)) == 0
        assert tx.value(select(func.count()).select_from(journal)) == 0


def test_change_get_remove_and_put(database: Database) -> None:
    with database.transaction(ALICE) as tx:
        tx.insert_many(PARTS, [{"thing_id": "t-1", "number": n, "size": n} for n in range(3)])
        key = {"thing_id": "t-1", "number": 1}
        assert tx.change(PARTS, key, size=10)
        assert not tx.change(PARTS, key | {"number": 9}, size=10)
        assert tx.remove(PARTS, key | {"number": 2})
        assert not tx.remove(PARTS, key | {"number": 2})
        tx.put(PARTS, thing_id="t-1", number=0, size=7)
        tx.put(PARTS, thing_id="t-1", number=5, size=8)
        tx.put(PLACES, id="p")
        tx.put(PLACES, id="p")
        assert tx.get(PARTS, key)[2] == 10  # type: ignore[index]
        assert tx.get(PARTS, key | {"number": 2}) is None
        rows = tx.all(select(PARTS.c.number, PARTS.c.size).order_by(PARTS.c.number))
        assert [tuple(row) for row in rows] == [(0, 7), (1, 10), (5, 8)]
        assert tx.change_all(PARTS, PARTS.c.number > 0, size=1) == 2
        assert tx.remove_all(PARTS, PARTS.c.size == 1) == 2
        assert tx.value(select(func.count()).select_from(PARTS)) == 1
        assert tx.value(select(PARTS.c.size).where(PARTS.c.number == 99)) is None


def test_a_place_that_is_taken(database: Database) -> None:
    with database.transaction(ALICE) as tx:
        assert tx.insert_if_free(PLACES, id="p-1", size=1)
        assert not tx.insert_if_free(PLACES, id="p-1", size=2)
        assert tx.insert_if_free(THINGS, id="t-1", name="n")
        assert not tx.insert_if_free(THINGS, id="t-2", name="n")  # any unique constraint, not only the key
        tx.insert(PLACES, id="p-2")  # and the transaction goes on
    with database.reading() as tx:
        assert tx.value(select(PLACES.c.size).where(PLACES.c.id == "p-1")) == 1
        assert tx.value(select(func.count()).select_from(journal)) == 1


@pytest.mark.parametrize(
    ("values", "kind"),
    [({"id": "t-1"}, "unique"), ({"id": "t-2", "name": "n"}, "unique"), ({"id": "t-3", "name": None}, "not-null")],
)
def test_constraints_have_names(database: Database, values: dict[str, str | None], kind: str) -> None:
    with database.transaction(ALICE) as tx:
        tx.insert(THINGS, id="t-1", name="n")
    with pytest.raises(Constraint) as caught, database.transaction(ALICE) as tx:
        tx.insert(THINGS, **values)
    assert caught.value.kind == kind


def test_a_failed_statement_is_never_committed_around(database: Database) -> None:
    with pytest.raises(Misuse, match="savepoint"), database.transaction() as tx:
        tx.insert(PLACES, id="p-1")
        with pytest.raises(Constraint):
            tx.insert(PLACES, id="p-1")
    with database.reading() as tx:
        assert tx.get(PLACES, "p-1") is None


def test_a_savepoint_is_undone_alone(database: Database) -> None:
    called: list[str] = []
    with database.transaction(ALICE) as tx:
        tx.insert(THINGS, id="t-1", name="kept")
        with pytest.raises(Constraint), tx.savepoint():
            tx.insert(THINGS, id="t-2", name="undone")
            tx.after_commit(lambda: called.append("undone"))
            tx.insert(THINGS, id="t-1", name="again")
        with tx.savepoint(), tx.savepoint():
            tx.insert(THINGS, id="t-3", name="kept too")
        tx.after_commit(lambda: called.append("kept"))
    with database.reading() as tx:
        assert [row.id for row in tx.all(select(THINGS).order_by(THINGS.c.id))] == ["t-1", "t-3"]
        assert [row.resource_id for row in tx.all(select(journal).order_by(journal.c.seq))] == ["t-1", "t-3"]
    assert called == ["kept"]


def test_after_commit_runs_after_the_commit_only(database: Database) -> None:
    seen: list[bool] = []

    def look() -> None:
        with database.reading() as tx:
            seen.append(tx.get(PLACES, "p-1") is not None)

    with pytest.raises(ZeroDivisionError), database.transaction() as tx:
        tx.after_commit(look)
        _ = 1 / 0
    with database.transaction() as tx:
        tx.insert(PLACES, id="p-1")
        tx.after_commit(lambda: 1 / 0)  # logged; the transaction is committed all the same
        tx.after_commit(look)
    assert seen == [True]


def test_a_transaction_in_a_transaction_is_refused_at_once(database: Database) -> None:
    with database.transaction() as tx:
        tx.insert(PLACES, id="p-1")
        with pytest.raises(Misuse, match="open in this thread"), database.transaction():
            pass
    with database.transaction() as tx:
        assert tx.get(PLACES, "p-1") is not None


def test_reading_only_reads(database: Database) -> None:
    with database.reading(ALICE) as tx:
        for write in (
            lambda: tx.insert(PLACES, id="p"),
            lambda: tx.change(PLACES, "p", size=1),
            lambda: tx.change(THINGS, "t", size=1),
            lambda: tx.remove(PLACES, "p"),
            lambda: tx.remove(THINGS, "t"),
            lambda: tx.put(PLACES, id="p"),
            lambda: tx.insert_if_free(PLACES, id="p"),
            lambda: tx.execute(sa.delete(PLACES)),
            lambda: tx.all(sa.update(PLACES).values(size=1).returning(PLACES.c.id)),
            lambda: tx.lock(PLACES, "p"),
            lambda: tx.nudge("topic"),
        ):
            with pytest.raises(Misuse, match="only reads"):
                write()


def test_reading_is_a_snapshot(database: Database) -> None:
    with database.reading() as tx:
        assert tx.value(select(func.count()).select_from(PLACES)) == 0
        thread = threading.Thread(target=_insert_place, args=(database, "p-1"))
        thread.start()
        thread.join()
        assert tx.value(select(func.count()).select_from(PLACES)) == 0
    with database.reading() as tx:
        assert tx.value(select(func.count()).select_from(PLACES)) == 1


def _insert_place(database: Database, name: str) -> None:
    with database.transaction() as tx:
        tx.insert(PLACES, id=name)


def test_a_transaction_that_is_over_is_over(database: Database) -> None:
    """Its connection may be in the hands of another transaction by then."""
    with database.transaction(ALICE) as writing:
        everyone = writing.everyone()
    with database.reading(ALICE) as reading:
        pass
    for tx in (writing, everyone, reading):
        with pytest.raises(Misuse, match="is over"):
            tx.all(select(PLACES))
    with pytest.raises(Misuse, match="is over"):
        writing.insert(PLACES, id="p")
    with pytest.raises(Misuse, match="is over"), writing.savepoint():
        pass


def test_misuse_is_told_apart(database: Database) -> None:
    with database.transaction(ALICE) as tx:
        tx.insert(THINGS, id="t-1")
        with pytest.raises(Misuse, match="no column colour"):
            tx.insert(THINGS, id="t-2", colour="red")
        with pytest.raises(Misuse, match="no column colour"):
            tx.change(THINGS, "t-1", colour="red")
        with pytest.raises(Misuse, match="does not change"):
            tx.change(THINGS, "t-1", id="t-2")
        with pytest.raises(Misuse, match="nothing to change"):
            tx.change(THINGS, "t-1")
        with pytest.raises(Misuse, match="thing_id, number"):
            tx.get(PARTS, "t-1")
        with pytest.raises(Misuse, match="thing_id, number"):
            tx.get(PARTS, {"number": 1})
        with pytest.raises(Misuse, match="journaled"):
            tx.execute(sa.update(THINGS).values(name="x"))
        with pytest.raises(Misuse, match="journaled"):
            tx.execute(sa.delete(THINGS))
        with pytest.raises(Misuse, match="journaled"):
            tx.execute(sa.insert(THINGS).values(id="t-9"))
        with pytest.raises(Misuse, match="journaled"):
            tx.execute(sa.delete(journal))
        with pytest.raises(ScopeViolation):
            tx.insert(THINGS, id="t-3", account_id=BOB)
        with pytest.raises(ScopeViolation):
            tx.change(THINGS, "t-1", account_id=BOB)
        with pytest.raises(ScopeViolation):
            tx.execute(sa.insert(NOTES).values(id="n-1", account_id=BOB))
        with pytest.raises(ScopeViolation):
            tx.execute(sa.update(NOTES).values(account_id=BOB))
        assert tx.change(THINGS, "t-1", size=5)  # none of that spoiled the transaction


def test_time_stands_still_in_a_transaction(database: Database, clock: ManualClock) -> None:
    with database.transaction() as tx:
        begun = tx.now
        clock.advance(5)
        assert tx.now == begun == clock.now() - timedelta(seconds=5)


def test_the_actor_is_known(database: Database) -> None:
    actor = Actor("arn:aws:iam::111111111111:root", ALICE, "r-1")
    with database.transaction(ALICE, actor) as tx:
        assert tx.actor is actor and tx.everyone().actor is actor


def test_run_repeats_what_came_in_between(database: Database) -> None:
    """Two who read the same and write on it: on both engines, one is done after the other."""
    with database.transaction() as tx:
        tx.insert(PLACES, id="p-0", size=0)
    barrier = threading.Barrier(2, timeout=10)
    runs: list[int] = []

    def add(name: str) -> None:
        first = True

        def work(tx: object) -> None:
            nonlocal first
            assert hasattr(tx, "value")
            total = tx.value(select(func.sum(PLACES.c.size)))
            runs.append(total)
            if first and database.kind == "postgresql":
                first = False
                barrier.wait()
            tx.insert(PLACES, id=name, size=total + 1)  # type: ignore[attr-defined]

        database.run(work)

    threads = [threading.Thread(target=add, args=(name,)) for name in ("p-1", "p-2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as tx:
        assert sorted(tx.all(select(PLACES.c.size))) == [(0,), (1,), (2,)]
    assert len(runs) == (3 if database.kind == "postgresql" else 2)


def test_run_gives_up_in_the_end(database: Database) -> None:
    calls = 0

    def work(tx: object) -> None:
        nonlocal calls
        calls += 1
        raise Conflict("always")

    with pytest.raises(Conflict):
        database.run(work)
    assert calls == 10
