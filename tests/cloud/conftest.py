"""``cloud``: a fresh cloud on SQLite and on PostgreSQL. ``sqlite_cloud`` where the database makes no difference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis  # noqa: F401 (its plugin would import it as the session ends, where CPython 3.11.2 trips over the depth)
import pytest

from mallee.store import Database, ManualClock, schema
from tests.cloud.harness import TestCloud


@pytest.fixture
def cloud(tmp_path: Path, database: Database, clock: ManualClock) -> Iterator[TestCloud]:
    schema.load()
    schema.create(database)
    made = TestCloud(tmp_path, database, clock)
    yield made
    made.close()


@pytest.fixture
def sqlite_cloud(tmp_path: Path) -> Iterator[TestCloud]:
    clock = ManualClock()
    database = Database(f"sqlite:///{tmp_path}/cloud.db", clock, synchronous=False)
    schema.load()
    schema.create(database)
    made = TestCloud(tmp_path / "home", database, clock)
    yield made
    made.close()
    database.close()
