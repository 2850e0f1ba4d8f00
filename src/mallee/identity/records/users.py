"""Users, groups and who is in which. Names are unique in their account and kind without regard to case."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Column, Index, bindparam, select

from mallee.identity.records.names import Taken, folded, listing, one, part, unique
from mallee.store import Integer, Text, Timestamp, Tx, read_all, resource_table

users = resource_table(
    "users",
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("folded_name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("boundary_arn", Text),
    Column("origin", Text),
)
Index("users_by_name", users.c.account_id, users.c.folded_name, unique=True)
Index("users_by_boundary", users.c.account_id, users.c.boundary_arn)

groups = resource_table(
    "iam_groups",
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("folded_name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("origin", Text),
)
Index("iam_groups_by_name", groups.c.account_id, groups.c.folded_name, unique=True)

members = resource_table(
    "iam_group_members",
    Column("group_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
)
Index("iam_group_members_by_user", members.c.user_id)


@dataclass(frozen=True, slots=True)
class User:
    """``origin``: the directory that the user is synchronised from; None for one made here."""

    id: str
    account_id: str
    name: str
    path: str
    created_at: datetime.datetime
    boundary_arn: str | None = None
    origin: str | None = None

    def arn(self, partition: str) -> str:
        return f"arn:{partition}:iam::{self.account_id}:user{self.path}{self.name}"


@dataclass(frozen=True, slots=True)
class Group:
    id: str
    account_id: str
    name: str
    path: str
    created_at: datetime.datetime
    origin: str | None = None

    def arn(self, partition: str) -> str:
        return f"arn:{partition}:iam::{self.account_id}:group{self.path}{self.name}"


_USER = select(users).where(users.c.id == bindparam("id"))
_USER_BY_NAME = select(users).where(
    users.c.account_id == bindparam("account_id"), users.c.folded_name == bindparam("folded_name")
)
_GROUP_BY_NAME = select(groups).where(
    groups.c.account_id == bindparam("account_id"), groups.c.folded_name == bindparam("folded_name")
)
_GROUPS_OF = (
    select(groups).join(members, members.c.group_id == groups.c.id).where(members.c.user_id == bindparam("user_id"))
    .order_by(groups.c.folded_name)
)  # fmt: skip
_USERS_OF = (
    select(users).join(members, members.c.user_id == users.c.id)
    .where(members.c.group_id == bindparam("group_id"), users.c.folded_name > bindparam("after"))
    .order_by(users.c.folded_name).limit(bindparam("most", type_=Integer))
)  # fmt: skip
_SOMEBODY = select(members.c.user_id).where(members.c.group_id == bindparam("group_id")).limit(1)
_USERS_BY_ID = select(users).where(users.c.id.in_(bindparam("ids", expanding=True)))
_GROUPS_BY_ID = select(groups).where(groups.c.id.in_(bindparam("ids", expanding=True)))
_USERS = listing(users)
_GROUPS = listing(groups)


def user(tx: Tx, user_id: str) -> User | None:
    return one(User, tx.first(_USER, id=user_id))


def user_by_name(tx: Tx, account_id: str, name: str) -> User | None:
    return one(User, tx.first(_USER_BY_NAME, account_id=account_id, folded_name=folded(name)))


def group_by_name(tx: Tx, account_id: str, name: str) -> Group | None:
    return one(Group, tx.first(_GROUP_BY_NAME, account_id=account_id, folded_name=folded(name)))


def groups_of(tx: Tx, user_id: str) -> list[Group]:
    """The groups that the user is in, by name."""
    return read_all(Group, tx.all(_GROUPS_OF, user_id=user_id))


def users_by_id(tx: Tx, ids: Iterable[str]) -> dict[str, User]:
    wanted = sorted(set(ids))
    return {found.id: found for found in read_all(User, tx.all(_USERS_BY_ID, ids=wanted))} if wanted else {}


def groups_by_id(tx: Tx, ids: Iterable[str]) -> dict[str, Group]:
    wanted = sorted(set(ids))
    return {found.id: found for found in read_all(Group, tx.all(_GROUPS_BY_ID, ids=wanted))} if wanted else {}


def users_in(tx: Tx, account_id: str, prefix: str = "", after: str = "", most: int = 1_000_000) -> list[User]:
    """The account's users whose path begins with ``prefix``, by name; at most so many, from after the folded name."""
    return read_all(User, tx.all(_USERS, **part(account_id, prefix, after, most)))


def groups_in(tx: Tx, account_id: str, prefix: str = "", after: str = "", most: int = 1_000_000) -> list[Group]:
    """As ``users_in``."""
    return read_all(Group, tx.all(_GROUPS, **part(account_id, prefix, after, most)))


def users_of(tx: Tx, group_id: str, after: str = "", most: int = 1_000_000) -> list[User]:
    """Who is in the group, by name."""
    return read_all(User, tx.all(_USERS_OF, group_id=group_id, after=after, most=most))


def has_users(tx: Tx, group_id: str) -> bool:
    return tx.first(_SOMEBODY, group_id=group_id) is not None


def is_in(tx: Tx, group_id: str, user_id: str) -> bool:
    return tx.get(members, {"group_id": group_id, "user_id": user_id}) is not None


def add_user(
    tx: Tx, account_id: str, name: str, path: str = "/", origin: str | None = None, boundary_arn: str | None = None
) -> User:
    if user_by_name(tx, account_id, name) is not None:
        raise Taken(f"there is a user {name} already")
    made = User(unique("AIDA"), account_id, name, path, tx.now, boundary_arn, origin)
    tx.insert(
        users, id=made.id, account_id=account_id, name=name, folded_name=folded(name), path=path, created_at=tx.now,
        boundary_arn=boundary_arn, origin=origin,
    )  # fmt: skip
    return made


def add_group(tx: Tx, account_id: str, name: str, path: str = "/", origin: str | None = None) -> Group:
    if group_by_name(tx, account_id, name) is not None:
        raise Taken(f"there is a group {name} already")
    made = Group(unique("AGPA"), account_id, name, path, tx.now, origin)
    tx.insert(
        groups, id=made.id, account_id=account_id, name=name, folded_name=folded(name), path=path, created_at=tx.now,
        origin=origin,
    )  # fmt: skip
    return made


def rename_user(tx: Tx, found: User, name: str, path: str) -> User:
    """Gives the user another name or path, or only another case. Raises ``Taken``."""
    other = user_by_name(tx, found.account_id, name)
    if other is not None and other.id != found.id:
        raise Taken(f"there is a user {name} already")
    tx.change(users, found.id, name=name, folded_name=folded(name), path=path)
    return replace(found, name=name, path=path)


def rename_group(tx: Tx, found: Group, name: str, path: str) -> Group:
    """As ``rename_user``."""
    other = group_by_name(tx, found.account_id, name)
    if other is not None and other.id != found.id:
        raise Taken(f"there is a group {name} already")
    tx.change(groups, found.id, name=name, folded_name=folded(name), path=path)
    return replace(found, name=name, path=path)
