"""Stamps of use: collected without a word to the database, written together, kept when they cannot be."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from mallee.identity import records, usage
from mallee.identity.call import ANONYMOUS, Principal, Session
from mallee.identity.records import uses
from mallee.identity.usage import Usage
from mallee.store import StoreUnavailable
from tests.identity.conftest import Identity

NOW = datetime.datetime(2026, 3, 4, 5, 6, 7, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)


class World(Identity):
    def __init__(self, home: Path) -> None:
        super().__init__(home)
        with self.database.transaction() as tx:
            self.user = records.add_user(tx, self.root.account_id, "bob")
        self.own = self.key(user_id=self.user.id).access_key_id
        arn = self.user.arn("aws")
        self.bob = Principal(self.root.account_id, arn, self.user.id, "user", "bob", self.own, self.user.id, arn)

    def last(self) -> tuple[str, datetime.datetime] | None:
        with self.database.reading() as tx:
            found = uses.key_use(tx, self.own)
            return None if found is None else (found.service, found.used_at)

    def actions(self) -> dict[str, datetime.datetime]:
        with self.database.reading() as tx:
            return {f"{each.service}:{each.action}": each.used_at for each in uses.uses_of(tx, self.user.id)}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "home")
    yield made
    made.database.close()


def test_nothing_is_written_until_it_is_time(world: World) -> None:
    noted = Usage(world.database, "local-1")
    noted.note(world.bob, "ec2", "RunInstances", NOW)
    noted.note(world.bob, "iam", "GetUser", NOW + SECOND)
    noted.note(world.bob, "ec2", "RunInstances", NOW + 2 * SECOND)
    assert world.last() is None and world.actions() == {}
    noted.write()
    assert world.last() == ("ec2", NOW + 2 * SECOND)
    assert world.actions() == {"ec2:RunInstances": NOW + 2 * SECOND, "iam:GetUser": NOW + SECOND}


def test_two_processes_keep_the_later_stamp(world: World) -> None:
    first, second = Usage(world.database, "local-1"), Usage(world.database, "local-1")
    first.note(world.bob, "ec2", "RunInstances", NOW)
    second.note(world.bob, "iam", "GetUser", NOW + SECOND)
    second.write()
    first.write()
    assert world.last() == ("iam", NOW + SECOND)
    assert set(world.actions()) == {"ec2:RunInstances", "iam:GetUser"}


def test_sessions_are_their_holder_s_and_nobody_s_key(world: World) -> None:
    session = Session("session", world.bob.account_id, world.user.id, "", NOW, NOW + 3600 * SECOND)
    noted = Usage(world.database, "local-1")
    noted.note(dataclasses.replace(world.bob, session=session, access_key_id="ASIA1"), "ec2", "RunInstances", NOW)
    noted.note(ANONYMOUS, "sts", "AssumeRoleWithWebIdentity", NOW)
    assert not noted._keys
    noted.write()
    assert world.last() is None and set(world.actions()) == {"ec2:RunInstances"}


def test_what_cannot_be_written_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Usage(world.database, "local-1")
    noted.note(world.bob, "ec2", "RunInstances", NOW)

    def away(*_: object, **__: object) -> None:
        noted.note(world.bob, "iam", "GetUser", NOW + SECOND)  # meanwhile
        raise StoreUnavailable("database", "the server is away", "start it")

    with monkeypatch.context() as patch:
        patch.setattr(world.database, "run", away)
        noted.write()
    assert world.last() is None
    noted.write()
    assert world.last() == ("iam", NOW + SECOND)
    assert world.actions() == {"ec2:RunInstances": NOW, "iam:GetUser": NOW + SECOND}


def test_memory_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "MOST", 3)
    noted = Usage(world.database, "local-1")
    for number in range(10):
        noted.note(dataclasses.replace(world.bob, access_key_id=f"AKIA{number}"), "ec2", f"Do{number}", NOW)
    assert len(noted._keys) == len(noted._actions) == 3


def test_the_thread_writes_by_itself_and_the_stop_writes_the_rest(world: World) -> None:
    noted = Usage(world.database, "local-1", seconds=0.01)
    noted.note(world.bob, "ec2", "RunInstances", NOW)
    noted.start()
    for _ in range(500):
        if world.last() is not None:
            break
        noted._stopping.wait(0.01)
    assert world.last() == ("ec2", NOW)
    noted.stop()
    noted.note(world.bob, "iam", "GetUser", NOW + SECOND)
    noted.stop()
    assert world.last() == ("iam", NOW + SECOND)
