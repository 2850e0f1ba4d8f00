"""What S3 knows accounts by: stable, unique, found again, and there for accounts of older releases too."""

from __future__ import annotations

from mallee.identity import setup
from mallee.identity.records import accounts
from tests.identity.conftest import Identity


def test_every_account_has_one(identity: Identity) -> None:
    with identity.database.transaction() as tx:
        made = setup.create_account(tx, identity.settings, alias="canonical", name="A Name")
    with identity.database.reading("000000000000") as tx:
        found = accounts.account(tx, made.id)
        assert found is not None and found.canonical_id == made.canonical_id
        assert len(made.canonical_id) == 64 and set(made.canonical_id) <= set("0123456789abcdef")
        again = accounts.account_by_canonical_id(tx, made.canonical_id)
        assert again is not None and again.id == made.id and again.display_name == "canonical"
        assert accounts.canonical_id(tx, made.id) == accounts.canonical_id(tx, made.id) == made.canonical_id
        assert accounts.account_by_canonical_id(tx, "0" * 64) is None
        assert accounts.canonical_id(tx, "") == accounts.canonical_id(tx, "999999999999") == accounts.NOBODY


def test_those_of_an_older_release_are_filled_in(identity: Identity) -> None:
    with identity.database.transaction() as tx:
        made = setup.create_account(tx, identity.settings, name="Older")
        tx.change(accounts.accounts, made.id, canonical_id=None)
        tx.change(accounts.accounts, made.id, alias=None)
    with identity.database.reading() as tx:
        before = accounts.account(tx, made.id)
        assert before is not None and before.canonical_id == made.canonical_id and before.display_name == "Older"
    for _ in range(2):
        with identity.database.transaction() as tx:
            setup.new_cloud(tx, identity.settings)
    with identity.database.reading() as tx:
        found = accounts.account_by_canonical_id(tx, made.canonical_id)
        assert found is not None and found.id == made.id
