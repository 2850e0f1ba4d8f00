"""What tests of every kind use: ``clock`` stands still, ``database`` is empty and comes once on SQLite and once on PostgreSQL."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis  # noqa: F401  CPython 3.11.2 can fail to import it late, from a traceback's printing
import pytest

from mallee.store import Database, ManualClock, metadata, schema
from tests import postgresql

ENGINES = ("sqlite", "postgresql")

_names = itertools.count(1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[postgresql.Server]:
    folder = postgresql.binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    server = postgresql.Server(folder)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _shared_postgresql(postgresql_server: postgresql.Server) -> str:
    postgresql_server.create("shared")
    return "shared"


@pytest.fixture(scope="session")
def _sqlite_templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sqlite-templates")


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Iterator[Database]:
    """A database with all tables that were declared so far, and no rows."""
    if request.param == "sqlite":
        path = tmp_path / "cloud.db"
        shutil.copy(_template(request.getfixturevalue("_sqlite_templates")), path)
        made = Database(f"sqlite:///{path}", clock, synchronous=False)
    else:
        server: postgresql.Server = request.getfixturevalue("postgresql_server")
        name = request.getfixturevalue("_shared_postgresql")
        server.empty(name)
        made = Database(server.url(name), clock, synchronous=False)
        schema.create(made)
    yield made
    made.close()


@pytest.fixture(params=ENGINES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables, of this test's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    server: postgresql.Server = request.getfixturevalue("postgresql_server")
    name = f"empty{next(_names)}"
    yield server.create(name)
    server.drop(name)


def _template(folder: Path) -> Path:
    """A SQLite file with the tables declared so far: copying it is faster than creating them."""
    path = folder / f"{len(metadata.tables)}.db"
    if not path.exists():
        made = Database(f"sqlite:///{path}", synchronous=False)
        schema.create(made)
        made.close()
    return path
