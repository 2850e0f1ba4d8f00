"""``objects`` is an empty index database, once on SQLite and once on PostgreSQL; ``index`` is an index over it with bytes in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mallee.objects.index.index import Index
from mallee.objects.index.tables import create_tables, open_database
from mallee.store import Database, ManualClock
from tests import postgresql
from tests.conftest import ENGINES

from .engines import MemoryEngine


@pytest.fixture(scope="session")
def _objects_postgresql(postgresql_server: postgresql.Server) -> str:
    url = postgresql_server.create("objects")
    made = Database(url)
    create_tables(made)
    made.close()
    return "objects"


@pytest.fixture(params=ENGINES)
def objects(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        made = open_database(f"sqlite:///{tmp_path}/objects.db", clock, synchronous=False)
        create_tables(made)
    else:
        server: postgresql.Server = request.getfixturevalue("postgresql_server")
        name = request.getfixturevalue("_objects_postgresql")
        server.empty(name)
        made = open_database(server.url(name), clock, synchronous=False)
    yield made
    made.close()


@pytest.fixture
def engine() -> MemoryEngine:
    return MemoryEngine()


@pytest.fixture
def index(objects: Database, engine: MemoryEngine) -> Iterator[Index]:
    made = Index(objects, engine)
    yield made
    made.close()
