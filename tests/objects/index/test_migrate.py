"""The index's tables are made by a chain of migrations of their own, alone in a database or beside the cloud's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mallee.objects.index import tables
from mallee.store import Database, SchemaTooNew, migrate
from tests import postgresql
from tests.store.test_migrate import described, engine_of


@pytest.fixture
def fresh(empty_url: str) -> Iterator[Database]:
    made = Database(empty_url)
    yield made
    made.close()


def without(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: lines for name, lines in found.items() if name != "objects_version"}


def test_fresh_is_what_the_code_declares(fresh: Database, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    assert tables.upgrade(fresh) == migrate.revisions(tables.CHAIN)
    assert tables.upgrade(fresh) == []
    engine = engine_of(fresh)
    with engine.connect() as connection:
        options = {"compare_type": True, "version_table": "objects_version"}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata) == []
    if fresh.kind == "sqlite":
        declared = Database(f"sqlite:///{tmp_path}/declared.db")
    else:
        server: postgresql.Server = request.getfixturevalue("postgresql_server")
        declared = Database(server.create("declared_index"))
    tables.create_tables(declared)
    assert without(described(engine)) == described(engine_of(declared))
    declared.close()
    if fresh.kind == "postgresql":
        server.drop("declared_index")


def test_every_table_is_strict_and_most_have_no_rowid(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/objects.db")
    tables.upgrade(database)
    with engine_of(database).connect() as connection:
        query = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name LIKE 's3_%'"
        made = {name: sql.rpartition(")")[2].split() for name, sql in connection.execute(sa.text(query))}
    database.close()
    assert set(made) == set(tables.metadata.tables)
    assert all(words[-1] == "STRICT" for words in made.values())
    assert [name for name, words in made.items() if "WITHOUT" not in words] == ["s3_garbage", "s3_tasks"]


def test_it_lives_beside_the_clouds_tables(fresh: Database) -> None:
    assert migrate.upgrade(fresh) == migrate.revisions()
    assert tables.upgrade(fresh) == migrate.revisions(tables.CHAIN)
    assert migrate.upgrade(fresh) == [] and tables.upgrade(fresh) == []


def test_a_later_releases_index_is_refused(fresh: Database) -> None:
    tables.upgrade(fresh)
    with engine_of(fresh).begin() as connection:
        connection.execute(sa.text("UPDATE objects_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew):
        tables.upgrade(fresh)


def test_numbers_have_no_gap() -> None:
    known = migrate.revisions(tables.CHAIN)
    assert known == [f"{number:04d}" for number in range(1, len(known) + 1)]
