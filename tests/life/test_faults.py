from __future__ import annotations

import string
from pathlib import Path

import pytest
from sqlalchemy import select

from mallee.durable import faults
from mallee.durable.page import page
from mallee.store import Database, ManualClock, errors, journal

ROOT = Path(__file__).parents[2]


def test_a_fault_stands_from_raise_to_clear(database: Database, clock: ManualClock) -> None:
    with database.transaction("1" * 12) as tx:  # whose transaction it is does not matter
        faults.raise_(tx, "no-capacity", "i-1", zone="local-1a", vcpus=2, memory_mib=512, disk_gib=8)
        faults.raise_(tx, "node-unreachable", "n-1")
    raised = clock.now()
    clock.advance(10)
    with database.transaction() as tx:
        faults.raise_(tx, "no-capacity", "i-1", zone="local-1a", vcpus=2, memory_mib=512, disk_gib=8)
        capacity, unreachable = faults.open_(tx)
        assert faults.open_(tx, "i-1") == [capacity]
    assert capacity.raised_at == raised
    assert capacity.cause == "No node of zone local-1a has 2 virtual CPUs, 512 MiB of memory and 8 GiB of disk left."
    assert "?" in unreachable.cause  # an unknown detail is no error within an error
    with database.transaction("1" * 12) as tx:
        faults.clear(tx, "no-capacity", "i-1")
        faults.clear(tx, "no-capacity", "i-1")
        assert faults.open_(tx) == [unreachable]
    with database.reading() as tx:  # and the journal remembers both, once
        entries = tx.all(select(journal).where(journal.c.resource_id == "no-capacity/i-1").order_by(journal.c.seq))
    assert [entry.action for entry in entries] == ["create", "remove"]


def test_sentences_may_be_given(database: Database) -> None:
    with database.transaction() as tx:
        faults.raise_(tx, "guest-start-failed", "i-1", cause="QEMU said no.", remedy="Ask it nicely.")
        faults.raise_(tx, "of-another-release", "n-1", cause="Who knows.", remedy="Upgrade.")
        assert {(f.cause, f.remedy) for f in faults.open_(tx)} == {
            ("QEMU said no.", "Ask it nicely."),
            ("Who knows.", "Upgrade."),
        }
        with pytest.raises(KeyError, match="not in the catalogue"):
            faults.raise_(tx, "unheard-of", "x")


@pytest.mark.parametrize("code", sorted(faults.CATALOGUE))
def test_every_entry_is_whole(code: str) -> None:
    entry = faults.CATALOGUE[code]
    assert code == code.lower() and " " not in code
    for sentence in (entry.cause, entry.remedy):
        assert sentence.strip() == sentence and sentence
        list(string.Formatter().parse(sentence))
    assert entry.remedy.endswith(".")
    assert not entry.title.endswith(".")


def test_what_the_store_says_is_in_the_catalogue() -> None:
    for entry in (errors.DISK_FULL, errors.BUSY, errors.CORRUPT, errors.UNREACHABLE):
        assert entry[0] in faults.CATALOGUE


def test_the_page_is_fresh() -> None:
    written = ROOT / "docs" / "faults.md"
    assert written.read_text() == page(), "run: python -m mallee.durable.page > docs/faults.md"
