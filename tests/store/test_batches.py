"""What transactions of many changes use: statements for many rows, rows as the driver has them, what is gathered for the end, locks of tables."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Column, bindparam, select, type_coerce

from mallee.store import Constraint, Database, Integer, Json, Misuse, ScopeViolation, Text, Timestamp, Tx, plain_table, schema

from .tables import ALICE, NOTES, PLACES, THINGS

INSERT = sa.insert(PLACES)
GROW = sa.update(PLACES).where(PLACES.c.id == bindparam("this")).values(size=PLACES.c.size + bindparam("more"))
ALL = select(PLACES.c.id, PLACES.c.size).order_by(PLACES.c.id)
RAW = select(
    THINGS.c.name, type_coerce(THINGS.c.tags, Text).label("tags"), type_coerce(THINGS.c.made_at, Integer).label("made_at")
).where(THINGS.c.id == bindparam("id"))


def test_a_statement_for_each_of_many_rows(database: Database) -> None:
    for _ in range(3):  # compiled, kept, used again
        with database.transaction() as tx:
            assert tx.execute_each(INSERT, [{"id": f"p{n}", "size": n} for n in range(5)]) == 5
            assert tx.execute_each(GROW, [{"this": "p1", "more": 10}, {"this": "p2", "more": 20}, {"this": "no", "more": 1}]) == 2
            assert tx.execute_each(GROW, []) == 0
            assert [tuple(row) for row in tx.tuples(ALL)] == [("p0", 0), ("p1", 11), ("p2", 22), ("p3", 3), ("p4", 4)]
            tx.execute(sa.delete(PLACES))


def test_the_border_and_the_journal_hold_for_each(database: Database) -> None:
    things, notes = sa.insert(THINGS), sa.insert(NOTES)
    size = sa.update(NOTES).where(NOTES.c.id == bindparam("this")).values(size=bindparam("new"))
    with database.transaction() as tx:
        tx.insert(NOTES, id="theirs", size=1, account_id="222222222222")
    with database.transaction(ALICE) as tx:
        tx.insert(NOTES, id="ours", size=1)
        assert tx.execute_each(size, [{"this": "theirs", "new": 2}, {"this": "ours", "new": 2}]) == 1
    with pytest.raises(ScopeViolation), database.transaction(ALICE) as tx:
        tx.execute_each(notes, [{"id": "n", "size": 1, "account_id": "222222222222"}])
    with pytest.raises(Misuse, match="journaled"), database.transaction() as tx:
        tx.execute_each(things, [{"id": "t"}])
    with pytest.raises(Misuse, match="only reads"), database.reading() as tx:
        tx.execute_each(INSERT, [{"id": "p", "size": 1}])


def test_rows_as_the_driver_has_them(database: Database) -> None:
    with database.transaction(ALICE) as tx:
        tx.insert(THINGS, id="t", name="n", tags={"a": "b"}, made_at=tx.now)
        moment = tx.now
    for _ in range(3):
        with database.reading(ALICE) as tx:
            assert [tuple(row) for row in tx.tuples(RAW, id="t")] == [("n", '{"a":"b"}', int(moment.timestamp()) * 10**6)]
            assert len(tx.tuples(RAW, id="other")) == 0


def test_what_is_gathered_is_written_once_at_the_end(database: Database) -> None:
    flushed: list[list[str]] = []

    def flush(tx: Tx, items: list[Any]) -> None:
        flushed.append(items)
        tx.execute_each(INSERT, [{"id": item, "size": 1} for item in items])

    with database.transaction() as tx:
        tx.gather(flush, "a")
        with pytest.raises(RuntimeError), tx.savepoint():
            tx.gather(flush, "undone")
            raise RuntimeError
        with tx.savepoint():
            tx.gather(flush, "b")
        assert tx.tuples(ALL) == [] and not flushed
    assert flushed == [["a", "b"]]
    with database.reading() as tx:
        assert [row[0] for row in tx.tuples(ALL)] == ["a", "b"]
        with pytest.raises(Misuse, match="only reads"):
            tx.gather(flush, "c")
    with pytest.raises(RuntimeError), database.transaction() as tx:
        tx.gather(flush, "c")
        raise RuntimeError
    assert len(flushed) == 1


def test_what_is_gathered_and_fails_undoes_all(database: Database) -> None:
    def flush(tx: Tx, items: list[Any]) -> None:
        tx.execute_each(INSERT, [{"id": "same", "size": 1}, {"id": "same", "size": 1}])

    with pytest.raises(Constraint), database.transaction() as tx:
        tx.insert(PLACES, id="before", size=1)
        tx.gather(flush, 1)
    with database.transaction() as tx:
        assert tx.tuples(ALL) == []


def test_it_is_known_whether_something_was_written(database: Database) -> None:
    with database.transaction() as tx:
        tx.all(ALL)
        assert tx.touched == 0 and tx.failed is None
        tx.insert(PLACES, id="a", size=1)
        seen = tx.touched
        assert seen
        with pytest.raises(Constraint), tx.savepoint():
            tx.insert(PLACES, id="a", size=1)
        assert tx.touched > seen and tx.failed is None
    with pytest.raises(Misuse), database.transaction() as tx:
        with pytest.raises(Constraint):
            tx.insert(PLACES, id="a", size=1)
        assert isinstance(tx.failed, Constraint)


def test_who_locks_a_table_alone_sees_what_the_others_left(database: Database) -> None:
    with database.transaction() as tx:
        tx.insert(PLACES, id="n", size=0)
    begun, wrong = threading.Barrier(4), []

    def add() -> None:
        try:
            begun.wait(30)
            for _ in range(10):  # no retry: nobody is in the way
                with database.transaction() as tx:
                    tx.lock_table(PLACES, alone=True)
                    tx.change(PLACES, "n", size=tx.value(select(PLACES.c.size)) + 1)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    with database.reading() as tx:
        assert tx.value(select(PLACES.c.size)) == 40


def test_a_database_without_the_clouds_tables(tmp_path: Path) -> None:
    """Another database than the cloud's own has its own tables and nothing else."""
    own = sa.MetaData()
    lines = plain_table(
        "lines",
        Column("id", Text, primary_key=True),
        Column("at", Timestamp),
        Column("words", Json),
        within=own,
        sqlite_with_rowid=False,
    )
    database = Database(f"sqlite:///{tmp_path}/other.db")
    schema.create(database, own)
    database.grow_log()
    with database.transaction() as tx:
        tx.insert(lines, id="a", at=tx.now, words=["x"])
    with database.transaction(durable=False) as tx:
        tx.change(lines, "a", words=["y"])
    with database.reading() as tx:
        row = tx.get(lines, "a")
        assert row is not None and row.words == ["y"]
    database.checkpoint()
    database.close()
