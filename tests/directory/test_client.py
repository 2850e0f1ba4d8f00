"""What is read from a real slapd."""

from __future__ import annotations

import socket

import pytest

from mallee.identity.directory import client
from tests.directory.conftest import configured
from tests.slapd import Slapd, group, group_dn, person, person_dn


def fill(directory: Slapd) -> None:
    directory.add(
        person("alice"), person("bob"), person("carol"), person("dave"),
        group("sales", [person_dn("alice"), person_dn("bob")]),
        group("marketing", [person_dn("Carol").upper(), person_dn("nobody")]),
        group("lonely", [person_dn("dave")]),
        group("acme", [group_dn("sales"), group_dn("marketing")], under="accounts"),
    )  # fmt: skip


def test_accounting_groups(directory: Slapd) -> None:
    fill(directory)
    found = client.snapshot(configured(directory.url))
    assert found.accounts == {"acme": {"sales": frozenset({"alice", "bob"}), "marketing": frozenset({"carol"})}}
    alice = found.people["alice"]
    assert alice.dn == person_dn("alice") and alice.info == (("Email", "alice@example.com"),)


def test_a_partition(directory: Slapd) -> None:
    fill(directory)
    found = client.snapshot(
        configured(directory.url, accounting_groups=None, groups_partition={"one": ["sales"], "two": ["Lonely", "missing"]})
    )
    assert found.accounts == {"one": {"sales": frozenset({"alice", "bob"})}, "two": {"lonely": frozenset({"dave"})}}


def test_what_is_selected_and_what_is_not(directory: Slapd) -> None:
    fill(directory)
    users = {"selection": {"filter": "uid=b*", "select": [person_dn("alice")], "not-select": [f"UID=bob, {person_dn('x')[6:]}"]}}
    found = client.snapshot(configured(directory.url, users=users))
    assert set(found.people) == {"alice"}


def test_more_entries_than_a_page(directory: Slapd) -> None:
    names = [f"user{number:04}" for number in range(client.PAGE * 2 + 1)]
    directory.add(*(person(name) for name in names))
    directory.add(
        group("all", [person_dn(name) for name in names]), group("acme", [group_dn("all")], under="accounts")
    )  # fmt: skip
    assert client.snapshot(configured(directory.url)).accounts["acme"]["all"] == frozenset(names)


@pytest.mark.parametrize("method", ["simple", "DIGEST-MD5"])
def test_passwords(directory: Slapd, method: str) -> None:
    fill(directory)
    wanted = configured(directory.url, ldap_service={"user-auth-method": method})
    assert client.is_password(wanted, person_dn("alice"), "alice", "s3cret-of-alice")
    assert not client.is_password(wanted, person_dn("alice"), "alice", "wrong")
    assert not client.is_password(wanted, person_dn("nobody"), "nobody", "wrong")
    assert not client.is_password(wanted, person_dn("alice"), "alice", "")  # a bind without a password always succeeds


def test_refused_and_unreachable(directory: Slapd) -> None:
    with pytest.raises(client.DirectoryError, match="refuses the configured principal"):
        client.snapshot(configured(directory.url, ldap_service={"auth-credentials": "wrong"}))
    with pytest.raises(client.DirectoryError, match="ended with noSuchObject"):
        client.snapshot(configured(directory.url, users={"base-dn": "ou=absent,dc=example,dc=com"}))
    with pytest.raises(client.DirectoryError, match="filter"):
        client.snapshot(configured(directory.url, users={"selection": {"filter": "(uid=*"}}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(client.DirectoryError, match="cannot be asked"):
        client.snapshot(configured(f"ldap://127.0.0.1:{port}"))
    with pytest.raises(client.DirectoryError, match="cannot be asked"):
        client.is_password(configured(f"ldap://127.0.0.1:{port}"), person_dn("alice"), "alice", "x")
