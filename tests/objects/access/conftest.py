"""One cloud without nodes, one bucket, several callers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mallee.store import Database, ManualClock
from tests.cloud.conftest import _empty_database  # noqa: F401 (a fixture)
from tests.cloud.harness import TestCloud
from tests.objects.access import scene as scenes
from tests.objects.access.scene import Scene


@pytest.fixture
def scene(tmp_path: Path, _empty_database: Path) -> Iterator[Scene]:  # noqa: F811
    shutil.copy(_empty_database, tmp_path / "cloud.db")
    clock = ManualClock()
    database = Database(f"sqlite:///{tmp_path}/cloud.db", clock, synchronous=False)
    made = TestCloud(tmp_path / "home", database, clock, zones=("local-1a",), nodes_per_zone=0)
    yield scenes.make(made)
    made.close()
    database.close()
