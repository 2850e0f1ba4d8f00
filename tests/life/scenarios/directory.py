"""The machine ``directory``: a synchronisation that is asked for, one whose time has come, one that fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select

from mallee.durable import faults, job_of, signal, start
from mallee.identity.directory.configuration import Configuration, DirectoryError
from mallee.identity.directory.plan import Person, Snapshot
from mallee.identity.directory.synchronisation import SEALED
from mallee.identity.life import NOW, DirectoryLife
from mallee.identity.records import accounts, users
from mallee.identity.records.directories import DIRECTORY, directories, directory_people, run_of
from mallee.store import Database, ManualClock, Tx, schema
from tests.cloud.harness import TestCloud
from tests.directory.conftest import document
from tests.life.harness import Scenario

FOUND = Snapshot(
    {"acme": {"sales": frozenset({"alice", "bob"}), "empty": frozenset()}},
    {name: Person(name, f"uid={name},dc=example", (("Email", f"{name}@example.com"),)) for name in ("alice", "bob")},
)


@dataclass
class DirectoryStage:
    """One life of the synchronisation. ``ask`` is the directory."""

    cloud: TestCloud
    ask: Callable[[Configuration], Snapshot]
    interval: float | None

    def __post_init__(self) -> None:
        self.world = replace(self.cloud.world, ask_directory=self.ask)

    def begin(self, tx: Tx) -> str:
        sealed = self.cloud.cloud.vault.seal(SEALED, json.dumps(document("ldap://directory.invalid")))
        tx.insert(directories, id=DIRECTORY, configuration=sealed, interval=self.interval, changed_at=tx.now)
        start(tx, "directory", DIRECTORY)
        if self.interval is None:
            signal(tx, DIRECTORY, NOW)
        return DIRECTORY

    def react(self) -> bool:
        return False

    def settled(self, tx: Tx) -> Any:
        """A synchronisation that was removed has nothing more to do with whom it brought: they belong to their accounts."""
        stands = {fault.code for fault in faults.open_(tx, DIRECTORY)}
        job = job_of(tx, DIRECTORY)
        if job is None or job.done_at is not None:
            return "removed", stands
        run = run_of(tx)
        return {
            "faults": stands,
            "run": run and (run.state, run.problem),
            "accounts": sorted(account.alias or "" for account in accounts.all_accounts(tx)),
            "users": sorted((row.name, row.origin) for row in tx.all(select(users.users))),
            "groups": sorted(row.name for row in tx.all(select(users.groups))),
            "members": len(tx.all(select(users.members))),
            "people": sorted(row.dn for row in tx.all(select(directory_people))),
        }


def _stage(
    ask: Callable[[Configuration], Snapshot], interval: float | None
) -> Callable[[Path, Database, ManualClock], Callable[[], DirectoryStage]]:
    def prepare(home: Path, database: Database, clock: ManualClock) -> Callable[[], DirectoryStage]:
        schema.load()
        schema.create(database)
        cloud = TestCloud(home, database, clock, zones=("local-1a",))
        return lambda: DirectoryStage(cloud, ask, interval)

    return prepare


def _answers(_: Configuration) -> Snapshot:
    return FOUND


def _fails(_: Configuration) -> Snapshot:
    raise DirectoryError("ldap://directory.invalid cannot be asked: it is away.")


SCENARIOS = (
    Scenario(DirectoryLife, _stage(_answers, None), "directory-when-asked"),
    Scenario(DirectoryLife, _stage(_answers, 900.0), "directory-in-its-time"),
    Scenario(DirectoryLife, _stage(_fails, 900.0), "directory-away"),
)
