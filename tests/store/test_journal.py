from __future__ import annotations

import threading
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from mallee.store import Actor, Constraint, Database, ManualClock, journal
from mallee.store.journal import REDACTED, replay
from tests.store.tables import ALICE, BOB, NOTES, PARTS, PLACES, THINGS

ENTRIES = select(journal).order_by(journal.c.seq)


def test_an_entry_says_who_when_what(database: Database, clock: ManualClock) -> None:
    actor = Actor("arn:aws:iam::111111111111:user/ann", ALICE, "request-1")
    with database.transaction(ALICE, actor) as tx:
        tx.insert(THINGS, id="t-1", name="a", raw=b"\0\1", made_at=tx.now, password="hush")
    clock.advance(1)
    with database.transaction(ALICE, actor) as tx:
        tx.change(THINGS, "t-1", name="b", size=None, password="new")  # size is None already
        tx.change(THINGS, "t-1", name="b")  # no change, no entry
    with database.transaction() as tx:
        tx.remove(THINGS, "t-1")
        tx.insert(PLACES, id="p")  # not journaled
    with database.reading() as tx:
        made, changed, removed = tx.all(ENTRIES)
    assert (made.kind, made.resource_id, made.action) == ("sample_things", "t-1", "create")
    assert (made.account_id, made.actor, made.request_id) == (ALICE, actor.arn, "request-1")
    assert made.before is None
    assert made.after["made_at"] == "2024-01-01T12:00:00Z" and made.after["raw"] == "AAE="
    assert made.after["password"] == REDACTED
    assert changed.action == "change" and (changed.at - made.at).total_seconds() == 1
    assert changed.before == {"name": "a", "password": REDACTED}
    assert changed.after == {"name": "b", "password": REDACTED}
    assert removed.action == "remove" and removed.after is None and removed.before["name"] == "b"
    assert (removed.account_id, removed.actor) == (ALICE, None)
    assert "hush" not in str((made, changed, removed)) and "new" not in str((changed, removed))


def test_composite_keys_and_account_of_everyones_rows(database: Database) -> None:
    with database.transaction(ALICE) as tx:
        tx.everyone().insert(PARTS, thing_id="t-9", number=2, account_id=BOB)
    with database.reading(BOB) as tx:
        entry = tx.first(ENTRIES)
    assert entry is not None and entry.resource_id == "t-9/2" and entry.account_id == BOB


def test_numbers_follow_commits(database: Database) -> None:
    """A reader that has seen number n has seen all below n, however writers overlap."""
    stop = threading.Event()
    seen: list[int] = []
    gaps: list[tuple[int, int]] = []

    def follow() -> None:
        last = 0
        while True:
            finished = stop.is_set()
            with database.reading() as tx:
                for entry in tx.all(ENTRIES.where(journal.c.seq > last)):
                    if seen and entry.seq <= last:
                        gaps.append((last, entry.seq))
                    last = entry.seq
                    seen.append(entry.seq)
            if finished:
                return

    def write(account: str) -> None:
        for number in range(25):
            database.run(lambda tx, n=number: tx.insert(THINGS, id=f"{account}-{n}", name=str(n)), account)  # type: ignore[misc]

    follower = threading.Thread(target=follow)
    writers = [threading.Thread(target=write, args=(account,)) for account in ("1" * 12, "2" * 12, "3" * 12)]
    for thread in (follower, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    follower.join()
    with database.reading() as tx:
        everything = [entry.seq for entry in tx.all(ENTRIES)]
    assert not gaps and seen == everything and len(everything) == 75


# ------------------------------------------------------------------------------------------------------------ property

values = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3),
        "size": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        "weight": st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
        "open": st.booleans(),
        "tags": st.one_of(
            st.none(),
            st.dictionaries(
                st.text(st.characters(exclude_categories=["Cs"]), max_size=2), st.lists(st.integers(), max_size=2), max_size=2
            ),
        ),
        "made_at": st.one_of(st.none(), st.datetimes(timezones=st.timezones())),
        "raw": st.one_of(st.none(), st.binary(max_size=4)),
    },
)
operations = st.tuples(
    st.sampled_from(("insert", "insert", "free", "change", "put", "remove", "commit", "roll back", "change all", "remove all")),
    st.integers(0, 4),
    values,
    st.booleans(),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(operations=st.lists(operations, max_size=25), account=st.sampled_from((ALICE, BOB)))
def test_replaying_the_journal_gives_the_tables(database: Database, operations: list[Any], account: str) -> None:
    transaction = database.transaction(account)
    tx = transaction.__enter__()
    try:
        for name, number, given_values, undo in operations:
            if name in ("commit", "roll back"):
                transaction.__exit__(*((None, None, None) if name == "commit" else (KeyError, KeyError(), None)))
                transaction = database.transaction(account)
                tx = transaction.__enter__()
                continue
            try:
                with tx.savepoint():
                    _do(tx, name, f"{account}-{number}", given_values)
                    if undo and number == 0:
                        raise KeyError
            except (Constraint, KeyError):
                pass
    finally:
        transaction.__exit__(None, None, None)
    with database.reading() as tx:
        entries = tx.all(ENTRIES)
        rows = {row.id: dict(row._mapping) for row in tx.all(select(THINGS))}
        assert replay(entries, THINGS) == rows
        half = len(entries) // 2
        assert replay(entries[half:], THINGS, replay(entries[:half], THINGS)) == rows


def _do(tx: Any, name: str, key: str, given_values: dict[str, Any]) -> None:
    if name == "insert":
        tx.insert(THINGS, id=key, **given_values)
    elif name == "free":
        tx.insert_if_free(THINGS, id=key, **given_values)
    elif name == "put":
        tx.put(THINGS, id=key, **given_values)
    elif name == "remove":
        tx.remove(THINGS, key)
    elif name == "remove all":
        tx.remove_all(THINGS, THINGS.c.id > key)
    elif given_values:
        if name == "change":
            tx.change(THINGS, key, **given_values)
        else:
            tx.change_all(THINGS, THINGS.c.id >= key, **given_values)


def test_a_table_that_is_not_journaled_leaves_no_entry(database: Database) -> None:
    with database.transaction(ALICE) as tx:
        tx.insert(NOTES, id="n-1", size=1)
        tx.change(NOTES, "n-1", size=2)
        tx.remove(NOTES, "n-1")
    with database.reading() as tx:
        assert tx.all(ENTRIES) == []
