"""A real directory's users and groups in the accounts of a cloud."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mallee.durable import faults, signal, start
from mallee.identity.directory import synchronisation
from mallee.identity.life import FAULT, NOW
from mallee.identity.records import accounts, tags, users
from mallee.identity.records.directories import DIRECTORY, directories, person, run_of
from tests.cloud.conftest import _empty_database, sqlite_cloud  # noqa: F401
from tests.cloud.harness import TestCloud
from tests.directory.conftest import document
from tests.slapd import Slapd, group, group_dn, person_dn
from tests.slapd import person as entry


@pytest.fixture
def filled(directory: Slapd) -> Slapd:
    directory.add(
        entry("alice"), entry("bob"), entry("admin"), group("sales", [person_dn("alice"), person_dn("admin")]),
        group("support", [person_dn("alice"), person_dn("bob")]),
        group("acme", [group_dn("sales"), group_dn("support")], under="accounts"),
        group("mallee", [group_dn("sales")], under="accounts"),
    )  # fmt: skip
    return directory


def configure(cloud: TestCloud, url: str, **changes: Any) -> None:
    sealed = cloud.cloud.vault.seal(synchronisation.SEALED, json.dumps(document(url, **changes)))
    with cloud.database.transaction() as tx:
        tx.put(directories, id=DIRECTORY, configuration=sealed, interval=900.0, changed_at=tx.now)


def synchronise(cloud: TestCloud) -> synchronisation.Outcome:
    return synchronisation.synchronise(cloud.database, cloud.settings, cloud.cloud.tools)


def names(cloud: TestCloud, alias: str = "acme") -> dict[str, list[str]]:
    with cloud.database.reading() as tx:
        account = accounts.account_by_alias(tx, alias)
        assert account is not None
        return {
            row.name: [each.name for each in users.groups_of(tx, row.id)]
            for row in tx.all(synchronisation._USERS, account_id=account.id)
        }


def test_an_account_comes_with_its_users(sqlite_cloud: TestCloud, filled: Slapd) -> None:  # noqa: F811
    configure(sqlite_cloud, filled.url)
    done = synchronise(sqlite_cloud)
    assert done.problem is None and done.changes == 1 + 2 + 2 + 3
    assert any("administrators are not imported" in line for line in done.skipped)
    assert any("'mallee' is left out" in line for line in done.skipped)
    assert names(sqlite_cloud) == {"alice": ["sales", "support"], "bob": ["support"]}
    with sqlite_cloud.database.reading() as tx:
        account = accounts.account_by_alias(tx, "acme")
        assert account is not None
        alice = users.user_by_name(tx, account.id, "alice")
        assert alice is not None and alice.origin == DIRECTORY
        assert tags.tags_of(tx, alice.id) == {"Email": "alice@example.com"}
        known = person(tx, alice.id)
        assert known is not None and known.dn == person_dn("alice")
    again = synchronise(sqlite_cloud)
    assert again.changes == 0 and again.skipped == done.skipped


def test_who_leaves_a_group_and_who_is_gone(sqlite_cloud: TestCloud, filled: Slapd) -> None:  # noqa: F811
    configure(sqlite_cloud, filled.url)
    synchronise(sqlite_cloud)
    filled.modify(f"dn: {group_dn('support')}\nchangetype: modify\ndelete: member\nmember: {person_dn('alice')}\n")
    filled.modify(f"dn: {person_dn('alice')}\nchangetype: modify\nreplace: mail\nmail: a@example.com\n")
    filled.delete(person_dn("bob"))
    assert synchronise(sqlite_cloud).problem is None
    assert names(sqlite_cloud) == {"alice": ["sales"], "bob": []}
    configure(sqlite_cloud, filled.url, sync={"clean-deletion": "true"})
    synchronise(sqlite_cloud)
    assert names(sqlite_cloud) == {"alice": ["sales"]}
    with sqlite_cloud.database.reading() as tx:
        account = accounts.account_by_alias(tx, "acme")
        assert account is not None
        alice = users.user_by_name(tx, account.id, "alice")
        assert alice is not None and tags.tags_of(tx, alice.id) == {"Email": "a@example.com"}


def test_an_empty_directory_removes_nobody(sqlite_cloud: TestCloud, filled: Slapd) -> None:  # noqa: F811
    configure(sqlite_cloud, filled.url, sync={"clean-deletion": "true"})
    synchronise(sqlite_cloud)
    filled.delete("cn=acme,ou=accounts,dc=example,dc=com", "cn=mallee,ou=accounts,dc=example,dc=com")
    done = synchronise(sqlite_cloud)
    assert done.problem is not None and "nothing is removed" in done.problem
    assert set(names(sqlite_cloud)) == {"alice", "bob"}


def test_the_machine_asks_when_told_and_tells_when_it_cannot(sqlite_cloud: TestCloud, filled: Slapd) -> None:  # noqa: F811
    cloud = sqlite_cloud
    configure(cloud, "ldap://127.0.0.1:1")
    with cloud.database.transaction() as tx:
        start(tx, "directory", DIRECTORY)
    cloud.run()
    with cloud.database.reading() as tx:
        run = run_of(tx)
        assert run is not None and run.state == "failed" and run.problem is not None
        assert [fault.code for fault in faults.open_(tx, DIRECTORY)] == [FAULT]
    configure(cloud, filled.url)
    with cloud.database.transaction() as tx:
        signal(tx, DIRECTORY, NOW)
    cloud.run()
    with cloud.database.reading() as tx:
        run = run_of(tx)
        assert run is not None and run.state == "done" and run.changes == 8
        assert faults.open_(tx, DIRECTORY) == []
    assert set(names(cloud)) == {"alice", "bob"}
