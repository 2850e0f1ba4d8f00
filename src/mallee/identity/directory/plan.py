"""What a directory's users and groups mean for the accounts here: a decision, without touching either.

A snapshot has accounts with groups with users. Names that the directory has and IAM cannot have are left out and told. What was
made here by hand is never taken over, changed or removed: a user or group of the same name that has no ``origin`` blocks the
directory's. The administrator's own account and users called ``admin`` are never imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_ALIAS = re.compile(r"[a-z0-9](-?[a-z0-9]){2,62}")
_USER = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")
_GROUP = re.compile(r"[A-Za-z0-9+=,.@_-]{1,128}")
RESERVED = "admin"


@dataclass(frozen=True, slots=True)
class Person:
    """``dn`` is what a sign-in binds as; ``info`` goes into the user's tags."""

    name: str
    dn: str
    info: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """account name -> group name -> users' names, and the users by name."""

    accounts: Mapping[str, Mapping[str, frozenset[str]]]
    people: Mapping[str, Person]


@dataclass(frozen=True, slots=True)
class Present:
    """An account as it is here, names folded: who and which groups came from the directory, who was made by hand."""

    users: Mapping[str, bool]  # folded name -> from the directory
    groups: Mapping[str, bool]
    members: frozenset[tuple[str, str]]  # (group, user), both from the directory


@dataclass(frozen=True, slots=True)
class Changes:
    """Of one account. ``create_users`` and ``update_users`` are people; all other names are folded but the created groups'."""

    account: str
    create_account: bool = False
    create_users: tuple[Person, ...] = ()
    update_users: tuple[Person, ...] = ()
    create_groups: tuple[str, ...] = ()
    join: tuple[tuple[str, str], ...] = ()  # (group, user)
    leave: tuple[tuple[str, str], ...] = ()
    remove_users: tuple[str, ...] = ()
    remove_groups: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return int(self.create_account) + sum(
            len(each)
            for each in (
                self.create_users, self.create_groups, self.join, self.leave, self.remove_users, self.remove_groups,
            )
        )  # fmt: skip


@dataclass(slots=True)
class Plan:
    changes: list[Changes] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)  # sentences


def plan(snapshot: Snapshot, present: Mapping[str, Present], reserved: Iterable[str], clean: bool) -> Plan:
    """``present`` has the accounts that exist here, by alias; ``reserved`` are aliases that are never touched."""
    made = Plan()
    closed = frozenset(reserved)
    for account, groups in sorted(snapshot.accounts.items()):
        if not _ALIAS.fullmatch(account):
            made.skipped.append(f"The account {account[:64]!r} is left out: it is no valid account alias.")
        elif account in closed:
            made.skipped.append(f"The account {account!r} is left out: it is not the directory's.")
        else:
            made.changes.append(_account(account, groups, snapshot.people, present.get(account), clean, made.skipped))
    if clean:
        for account, here in sorted(present.items()):
            if account not in snapshot.accounts and account not in closed and _has_any(here):
                made.changes.append(_account(account, {}, {}, here, clean, made.skipped))
    return made


def _has_any(here: Present) -> bool:
    return any(here.users.values()) or any(here.groups.values())


def _account(
    account: str,
    groups: Mapping[str, frozenset[str]],
    people: Mapping[str, Person],
    here: Present | None,
    clean: bool,
    skipped: list[str],
) -> Changes:
    old = here or Present({}, {}, frozenset())
    wanted_groups = _names(account, "group", groups, _GROUP, old.groups, skipped)
    names = {name for each in groups.values() for name in each}
    wanted_users = _names(account, "user", names, _USER, old.users, skipped)
    wanted = {
        (folded, user.lower())
        for folded, group in wanted_groups.items()
        for user in groups[group]
        if user.lower() in wanted_users
    }
    ours_users = {name for name, ours in old.users.items() if ours}
    ours_groups = {name for name, ours in old.groups.items() if ours}
    gone_users = ours_users - set(wanted_users) if clean else set()
    gone_groups = ours_groups - set(wanted_groups) if clean else set()
    leave = {pair for pair in old.members - wanted if pair[0] not in gone_groups and pair[1] not in gone_users}
    return Changes(
        account,
        create_account=here is None,
        create_users=tuple(people[name] for folded, name in sorted(wanted_users.items()) if folded not in old.users),
        update_users=tuple(people[name] for folded, name in sorted(wanted_users.items()) if folded in ours_users),
        create_groups=tuple(name for folded, name in sorted(wanted_groups.items()) if folded not in old.groups),
        join=tuple(sorted(wanted - old.members)),
        leave=tuple(sorted(leave)),
        remove_users=tuple(sorted(gone_users)),
        remove_groups=tuple(sorted(gone_groups)),
    )


def _names(
    account: str, kind: str, names: Iterable[str], form: re.Pattern[str], old: Mapping[str, bool], skipped: list[str]
) -> dict[str, str]:
    """folded -> as it is spelled, of those that may be imported."""
    found: dict[str, str] = {}
    for name in sorted(names):
        folded = name.lower()
        if not form.fullmatch(name):
            skipped.append(f"The {kind} {name[:128]!r} of {account} is left out: it is no valid name of a {kind}.")
        elif kind == "user" and folded == RESERVED:
            skipped.append(f"The user {name!r} of {account} is left out: administrators are not imported.")
        elif folded in found:
            skipped.append(f"The {kind} {name!r} of {account} is left out: it differs from {found[folded]!r} in case only.")
        elif old.get(folded) is False:
            skipped.append(f"The {kind} {name!r} of {account} is left out: there is one of this name that was made here.")
        else:
            found[folded] = name
    return found
