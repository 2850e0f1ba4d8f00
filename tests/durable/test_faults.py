"""Faults: raised once, cleared once, each with a cause and a remedy; the page is what the catalogue says."""

from __future__ import annotations

import string
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from mallee.durable import faults
from mallee.durable.faults import CATALOGUE
from mallee.store import Database, ManualClock, errors, journal

ROOT = Path(__file__).parents[2]


def test_a_fault_stands_until_it_is_cleared(database: Database, clock: ManualClock) -> None:
    with database.transaction() as tx:
        faults.raise_(tx, "disk-full", "/home")
        began = tx.now
    clock.advance(5)
    with database.transaction() as tx:
        faults.raise_(tx, "disk-full", "/home")  # it stands already
        faults.raise_(tx, "guest-crashed", "i-1", node="n-1")
    with database.reading() as tx:
        disk, guest = faults.open_(tx)
        assert [fault.code for fault in faults.open_(tx, "i-1")] == ["guest-crashed"]
        assert faults.open_(tx, "i-2") == []
    assert (disk.code, disk.subject, disk.raised_at) == ("disk-full", "/home", began)
    assert disk.cause == "There is hardly any room left on /home."
    assert guest.cause == "The guest i-1 on node n-1 ended without being asked." and "doctor i-1" in guest.remedy
    with database.transaction() as tx:
        faults.clear(tx, "disk-full", "/home")
        faults.clear(tx, "disk-full", "/home")
        faults.clear(tx, "guest-crashed", "i-2")
    with database.reading() as tx:
        assert [fault.subject for fault in faults.open_(tx)] == ["i-1"]


def test_a_fault_goes_with_its_transaction_and_into_the_journal(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as tx:
        faults.raise_(tx, "disk-full", "/home")
        _ = 1 / 0
    with database.reading() as tx:
        assert faults.open_(tx) == []
    with database.transaction("111111111111") as tx:  # whoever meets it: faults belong to no account
        faults.raise_(tx, "disk-full", "/home")
    with database.transaction("222222222222") as tx:
        assert len(faults.open_(tx)) == 1
        faults.clear(tx, "disk-full", "/home")
    with database.reading() as tx:
        entries = tx.all(select(journal.c.action).where(journal.c.resource_id == "disk-full//home").order_by(journal.c.seq))
    assert [entry.action for entry in entries] == ["create", "remove"]


def test_raised_again_it_tells_the_latest_and_keeps_its_time(database: Database, clock: ManualClock) -> None:
    for tries in (5, 6):
        with database.transaction() as tx:
            faults.raise_(tx, "step-failing", "i-1", step="launch", machine="instance", tries=tries, error="no")
        clock.advance(1)
    with database.reading() as tx:
        (fault,) = faults.open_(tx)
    assert "6 times" in fault.cause and (clock.now() - fault.raised_at).total_seconds() == 2


def test_words_of_ones_own_and_details_that_are_missing(database: Database) -> None:
    with database.transaction() as tx:
        with pytest.raises(KeyError, match="not in the catalogue"):
            faults.raise_(tx, "unheard-of", "x")
        faults.raise_(tx, "unheard-of", "x", cause="So it was {found}.", remedy="Nothing helps.")
        faults.raise_(tx, "guest-crashed", "i-1")
    with database.reading() as tx:
        by = {fault.code: fault for fault in faults.open_(tx)}
    assert by["unheard-of"].cause == "So it was {found}."
    assert by["guest-crashed"].cause == "The guest i-1 on node ? ended without being asked."


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_an_entry_says_cause_and_remedy(code: str) -> None:
    entry = CATALOGUE[code]
    assert entry.title and entry.remedy[-1] == "." and entry.title[-1] != "."
    for sentence in (entry.cause, entry.remedy):
        assert "|" not in sentence and list(string.Formatter().parse(sentence))


def test_what_the_store_names_is_in_the_catalogue() -> None:
    named = {entry[0] for entry in (errors.DISK_FULL, errors.BUSY, errors.CORRUPT, errors.UNREACHABLE)}
    assert named <= set(CATALOGUE)


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, "-m", "mallee.durable.faults"], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == (ROOT / "docs" / "faults.md").read_text(), "python -m mallee.durable.faults > docs/faults.md"
