from __future__ import annotations

from pathlib import Path

import pytest

from mallee.store import Database, ManualClock

from .world import World


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    return World(database, clock, blobs)
