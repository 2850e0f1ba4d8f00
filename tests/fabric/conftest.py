from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mallee.store import Database, ManualClock, schema
from tests import stores

from .world import World


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables and no rows: to copy it is faster than to make it."""
    schema.load()
    path = tmp_path_factory.mktemp("template") / "empty.db"
    made = Database(f"sqlite:///{path}", synchronous=False)
    schema.create(made)
    made.close()
    return path


@pytest.fixture
def sqlite_world(clock: ManualClock, tmp_path: Path, sqlite_template: Path) -> Iterator[World]:
    """For what happens above the database."""
    shutil.copy(sqlite_template, tmp_path / "world.db")
    database = Database(f"sqlite:///{tmp_path}/world.db", clock, synchronous=False)
    (tmp_path / "blobs").mkdir()
    objects = stores.attach(database, tmp_path / "home")
    yield World(database, clock, tmp_path / "blobs")
    objects.close()
    database.close()


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> Iterator[World]:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    objects = stores.attach(database, tmp_path / "home")
    yield World(database, clock, blobs)
    objects.close()
