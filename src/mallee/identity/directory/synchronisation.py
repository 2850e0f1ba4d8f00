"""Bringing the accounts here up to what the directory says: one snapshot, one transaction.

``synchronise`` may be repeated at any time and by several at once: the plan is made from the rows inside the transaction that carries
it out. A snapshot without any account removes nothing: a directory that was emptied looks like one that was asked wrongly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import bindparam, select

from mallee.identity import grants, keys, principals, setup
from mallee.identity.directory.configuration import Configuration, DirectoryError, read
from mallee.identity.directory.plan import Changes, Person, Plan, Present, Snapshot, plan
from mallee.identity.records import accounts, directories, tags, users
from mallee.identity.records.directories import DIRECTORY, directory, directory_people, directory_runs
from mallee.identity.tools import Tools
from mallee.settings import Settings
from mallee.store import Actor, Database, Tx

SEALED = "directory"
ACTOR = "directory synchronisation"
_TAG_VALUE = 256

Ask = Callable[[Configuration], Snapshot]

_USERS = select(users.users).where(users.users.c.account_id == bindparam("account_id"))
_GROUPS = select(users.groups).where(users.groups.c.account_id == bindparam("account_id"))
_MEMBERS = select(users.members).where(users.members.c.account_id == bindparam("account_id"))


@dataclass(frozen=True, slots=True)
class Outcome:
    changes: int
    skipped: list[str]
    problem: str | None = None


def configuration_of(tx: Tx, tools: Tools) -> Configuration | None:
    found = directory(tx)
    return None if found is None else read(tools.vault.open(SEALED, found.configuration))


def synchronise(database: Database, settings: Settings, tools: Tools, ask: Ask | None = None) -> Outcome:
    """Asks the directory and writes what it says. A directory that does not answer is an outcome, not an exception."""
    with database.reading() as tx:
        configuration = configuration_of(tx, tools)
    if configuration is None or not configuration.sync.enabled:
        return Outcome(0, [])
    try:
        found = (ask or _ask)(configuration)
    except DirectoryError as problem:
        return Outcome(0, [], str(problem))
    if not found.accounts and configuration.sync.clean_deletion:
        return Outcome(0, [], "The directory has no account that the configuration selects: nothing is removed.")
    actor = Actor(f"arn:{settings.partition}:iam::{settings.admin_account_id}:root", settings.admin_account_id, ACTOR)

    def apply(tx: Tx) -> Outcome:
        made = planned(tx, found, settings, configuration.sync.clean_deletion)
        for changes in made.changes:
            _apply(tx, changes, settings, tools)
        return Outcome(sum(changes.count for changes in made.changes), made.skipped)

    return database.run(apply, None, actor)


def _ask(configuration: Configuration) -> Snapshot:
    from mallee.identity.directory import client  # with ldap3, which only a cloud with a directory carries in memory

    return client.snapshot(configuration)


def planned(tx: Tx, found: Snapshot, settings: Settings, clean: bool) -> Plan:
    present: dict[str, Present] = {}
    reserved = {settings.admin_alias}
    for account in accounts.all_accounts(tx):
        if account.alias is None:
            continue
        if account.id == settings.admin_account_id or account.status != accounts.OPEN:
            reserved.add(account.alias)
        else:
            present[account.alias] = _present(tx, account.id)
    return plan(found, present, reserved, clean)


def _present(tx: Tx, account_id: str) -> Present:
    people = tx.all(_USERS, account_id=account_id)
    groups = tx.all(_GROUPS, account_id=account_id)
    user_names = {row.id: row.folded_name for row in people if row.origin is not None}
    group_names = {row.id: row.folded_name for row in groups if row.origin is not None}
    return Present(
        {row.folded_name: row.origin is not None for row in people},
        {row.folded_name: row.origin is not None for row in groups},
        frozenset(
            (group_names[row.group_id], user_names[row.user_id])
            for row in tx.all(_MEMBERS, account_id=account_id)
            if row.group_id in group_names and row.user_id in user_names
        ),
    )


def _apply(tx: Tx, changes: Changes, settings: Settings, tools: Tools) -> None:
    if changes.create_account:
        account = setup.create_account(tx, settings, alias=changes.account, hooks=tools.account_hooks)
    else:
        found = accounts.account_by_alias(tx, changes.account)
        assert found is not None
        account = found
    for name in changes.create_groups:
        users.add_group(tx, account.id, name, origin=DIRECTORY)
    for person in changes.create_users:
        _write_person(tx, users.add_user(tx, account.id, person.name, origin=DIRECTORY), person)
    for person in changes.update_users:
        known = users.user_by_name(tx, account.id, person.name)
        if known is not None:
            _write_person(tx, known, person)
    for group, user in changes.join:
        _member(tx, account.id, group, user, join=True)
    for group, user in changes.leave:
        _member(tx, account.id, group, user, join=False)
    for name in changes.remove_groups:
        old = users.group_by_name(tx, account.id, name)
        if old is not None:
            principals.remove_group(tx, old)
    for name in changes.remove_users:
        gone = users.user_by_name(tx, account.id, name)
        if gone is not None:
            principals.remove_user(tx, gone)
            tx.remove(directory_people, gone.id)
    if changes.count:
        grants.forget_after(tx)
        keys.forget_after(tx)


def _member(tx: Tx, account_id: str, group: str, user: str, *, join: bool) -> None:
    found, member = users.group_by_name(tx, account_id, group), users.user_by_name(tx, account_id, user)
    if found is None or member is None:
        return
    if join:
        tx.insert_if_free(users.members, account_id=account_id, group_id=found.id, user_id=member.id)
    else:
        tx.remove(users.members, {"group_id": found.id, "user_id": member.id})


def _write_person(tx: Tx, user: users.User, person: Person) -> None:
    """Where the user signs in, and what the directory says of it as tags; only differences are written."""
    known = directories.person(tx, user.id)
    info = {key[:128]: value[:_TAG_VALUE] for key, value in person.info}
    if known is None or known.dn != person.dn or known.info_keys != sorted(info):
        tx.put(directory_people, user_id=user.id, account_id=user.account_id, dn=person.dn, info_keys=sorted(info))
    old = tags.tags_of(tx, user.id)
    changed = {key: value for key, value in info.items() if old.get(key) != value}
    if changed:
        tags.set_tags(tx, user.account_id, user.id, changed)
    gone = [key for key in (known.info_keys if known else []) if key not in info]
    if gone:
        tags.remove_tags(tx, user.id, gone)


def note_run(tx: Tx, outcome: Outcome | None) -> None:
    """How it stands with the synchronisation: ``None`` says that one begins."""
    if outcome is None:
        tx.put(
            directory_runs, directory_id=DIRECTORY, state="running", began_at=tx.now, ended_at=None, changes=0, problem=None,
            skipped=[],
        )  # fmt: skip
        return
    tx.change(
        directory_runs, DIRECTORY, state="failed" if outcome.problem else "done", ended_at=tx.now, changes=outcome.changes,
        problem=outcome.problem, skipped=outcome.skipped[:100],
    )  # fmt: skip
