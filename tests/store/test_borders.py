"""The views that one transaction has of the accounts, and what a cache may know of when it began."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import select

from mallee.store import Database, ScopeViolation
from tests.store.tables import ALICE, BOB, NOTES, THINGS

NAMES = select(THINGS.c.name).order_by(THINGS.c.name)


def test_a_transaction_of_no_account_looks_into_one(database: Database) -> None:
    with database.transaction(ALICE) as tx:
        tx.insert(THINGS, id="t-1", name="hers")
        tx.of(BOB).insert(THINGS, id="t-2", name="his")
    with database.reading("") as tx:
        assert tx.all(NAMES) == []
        assert [row.name for row in tx.of(ALICE).all(NAMES)] == ["hers"]
        assert [row.name for row in tx.of(ALICE).of(BOB).all(NAMES)] == ["his"]
        assert [row.name for row in tx.everyone().all(NAMES)] == ["hers", "his"]
        assert tx.of("") is tx


def test_such_a_view_writes_for_its_account_only(database: Database) -> None:
    with database.transaction("") as tx:
        view = tx.of(ALICE)
        with pytest.raises(ScopeViolation):
            view.insert(THINGS, id="t-1", account_id=BOB)
        view.insert(THINGS, id="t-1")
        assert not tx.of(BOB).remove(THINGS, "t-1") and not tx.remove(THINGS, "t-1")
        assert view.change(THINGS, "t-1", size=3)
    with database.reading(ALICE) as tx:
        assert tx.get(THINGS, "t-1").size == 3


def test_when_it_began_and_whether_it_changed_anything(database: Database) -> None:
    before = time.monotonic()
    with database.transaction(ALICE) as tx:
        assert before <= tx.began <= time.monotonic()
        tx.insert(NOTES, id="n-1", size=1)
        assert not tx.changed  # that table is not journaled
        with pytest.raises(RuntimeError), tx.savepoint():
            tx.insert(THINGS, id="t-1")
            assert tx.of(BOB).changed
            raise RuntimeError
        assert not tx.changed
        tx.memory["seen"] = 1
    with database.reading(BOB) as tx:
        assert tx.memory == {"seen": 1} and not tx.changed
