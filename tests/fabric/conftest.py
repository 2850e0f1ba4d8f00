from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mallee.store import Database, ManualClock, schema

from .world import World


@pytest.fixture
def sqlite_world(clock: ManualClock, tmp_path: Path) -> Iterator[World]:
    """For what happens above the database."""
    schema.load()
    database = Database(f"sqlite:///{tmp_path}/world.db", clock, synchronous=False)
    schema.create(database)
    (tmp_path / "blobs").mkdir()
    yield World(database, clock, tmp_path / "blobs")
    database.close()


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    return World(database, clock, blobs)
