"""``cloud``: a fresh cloud on SQLite and on PostgreSQL. ``sqlite_cloud`` where the database makes no difference."""

from __future__ import annotations

import shutil
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


@pytest.fixture(scope="session")
def _empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables and no rows, to be copied."""
    path = tmp_path_factory.mktemp("template") / "cloud.db"
    made = Database(f"sqlite:///{path}", synchronous=False)
    schema.load()
    schema.create(made)
    made.checkpoint()
    made.close()
    return path


@pytest.fixture
def sqlite_cloud(tmp_path: Path, _empty_database: Path) -> Iterator[TestCloud]:
    clock = ManualClock()
    shutil.copy(_empty_database, tmp_path / "cloud.db")
    database = Database(f"sqlite:///{tmp_path}/cloud.db", clock, synchronous=False)
    made = TestCloud(tmp_path / "home", database, clock)
    yield made
    made.close()
    database.close()
