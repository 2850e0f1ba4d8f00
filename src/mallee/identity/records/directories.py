"""The directory that users are synchronised from: its configuration, how the last synchronisation went, who is who in it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sqlalchemy import Column, bindparam, select

from mallee.identity.records.names import one
from mallee.store import Bytes, Float, Integer, Json, Text, Timestamp, Tx, read_all, resource_table

DIRECTORY = "directory"
"""The id of the one directory that a cloud can have."""

directories = resource_table(
    "directories",
    Column("id", Text, primary_key=True),
    Column("configuration", Bytes, nullable=False, info={"secret": True}),
    Column("interval", Float),
    Column("changed_at", Timestamp, nullable=False),
    owned=False,
)

directory_runs = resource_table(
    "directory_runs",
    Column("directory_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("began_at", Timestamp, nullable=False),
    Column("ended_at", Timestamp),
    Column("changes", Integer, nullable=False, default=0),
    Column("problem", Text),
    Column("skipped", Json, nullable=False, default=list),
    owned=False,
    journal=False,
)

directory_people = resource_table(
    "directory_people",
    Column("user_id", Text, primary_key=True),
    Column("dn", Text, nullable=False),
    Column("info_keys", Json, nullable=False, default=list),
)


@dataclass(frozen=True, slots=True)
class Directory:
    """``configuration`` is sealed: it has the password of Mallee's own principal in it. ``interval``: seconds between two
    synchronisations; None when only on request."""

    id: str
    configuration: bytes
    interval: float | None
    changed_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class Run:
    """``state``: running, done or failed. ``skipped``: sentences about what the directory has and this cloud cannot have."""

    directory_id: str
    state: str
    began_at: datetime.datetime
    ended_at: datetime.datetime | None
    changes: int
    problem: str | None
    skipped: list[str]


@dataclass(frozen=True, slots=True)
class DirectoryPerson:
    """``info_keys``: the tags of the user that come from the directory."""

    user_id: str
    account_id: str
    dn: str
    info_keys: list[str]


_DIRECTORY = select(directories).where(directories.c.id == bindparam("id"))
_RUN = select(directory_runs).where(directory_runs.c.directory_id == bindparam("id"))
_PERSON = select(directory_people).where(directory_people.c.user_id == bindparam("user_id"))
_PEOPLE = select(directory_people).where(directory_people.c.account_id == bindparam("account_id"))


def directory(tx: Tx) -> Directory | None:
    return one(Directory, tx.first(_DIRECTORY, id=DIRECTORY))


def run_of(tx: Tx) -> Run | None:
    """The last synchronisation, or the one that goes on."""
    return one(Run, tx.first(_RUN, id=DIRECTORY))


def person(tx: Tx, user_id: str) -> DirectoryPerson | None:
    return one(DirectoryPerson, tx.first(_PERSON, user_id=user_id))


def people_of(tx: Tx, account_id: str) -> dict[str, DirectoryPerson]:
    """By the user's id."""
    return {each.user_id: each for each in read_all(DirectoryPerson, tx.all(_PEOPLE, account_id=account_id))}
