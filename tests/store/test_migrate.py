"""A fresh database is made by all migrations, and is then what the code declares; an older one becomes it and loses nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from mallee.store import Database, SchemaTooNew, StoreUnavailable, metadata, migrate, schema
from tests import postgresql

ROOT = Path(__file__).parents[2]


def ours(name: str | None, kind: str) -> bool:
    """The tests declare tables too; those are no part of the schema."""
    return kind != "table" or not str(name).startswith("sample_")


@pytest.fixture
def fresh(empty_url: str) -> Iterator[Database]:
    made = Database(empty_url)
    yield made
    made.close()


def engine_of(database: Database) -> sa.Engine:
    return sa.create_engine(database.engine.url, poolclass=NullPool)


def described(engine: sa.Engine) -> dict[str, list[str]]:
    """Everything that the engine says of its tables, in one order."""
    inspector = sa.inspect(engine)
    found: dict[str, list[str]] = {}
    for kind in ("columns", "pk_constraint", "unique_constraints", "foreign_keys", "indexes", "check_constraints"):
        for (_, name), items in getattr(inspector, f"get_multi_{kind}")().items():
            if ours(name, "table") and name != "alembic_version":
                listed = items if isinstance(items, list) else [items]
                found.setdefault(name, []).extend(sorted(f"{kind} {_words(item)}" for item in listed))
    return found


def _words(item: Any) -> str:
    """An item of the inspector's in words that are the same each time; SQL expressions come as objects."""
    if isinstance(item, dict):
        return " ".join(f"{name}={_words(value)}" for name, value in sorted(item.items()))
    return str(item)


def test_fresh_is_what_the_code_declares(fresh: Database, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    schema.load()
    assert migrate.upgrade(fresh) == migrate.revisions()
    engine = engine_of(fresh)
    with engine.connect() as connection:
        options = {"include_object": lambda item, name, kind, reflected, other: ours(name, kind), "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    if fresh.kind == "sqlite":
        declared = Database(f"sqlite:///{tmp_path}/declared.db")
    else:
        declared = Database(request.getfixturevalue("postgresql_server").create("declared"))
    schema.create(declared)
    assert described(engine) == described(engine_of(declared))
    if fresh.kind == "sqlite":
        strict = (
            "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"
        )
        with engine.connect() as connection:
            assert all(row.sql.rstrip().endswith("STRICT") for row in connection.execute(sa.text(strict)))
    declared.close()
    if fresh.kind == "postgresql":
        request.getfixturevalue("postgresql_server").drop("declared")


def test_twice_is_once(fresh: Database) -> None:
    assert migrate.upgrade(fresh) == migrate.revisions()
    assert migrate.upgrade(fresh) == []
    with engine_of(fresh).connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM alembic_version")).scalar() == 1


def test_numbers_have_no_gap() -> None:
    assert migrate.revisions() == [f"{number:04d}" for number in range(1, len(migrate.revisions()) + 1)]


UPGRADE = """
import sys
from mallee.store import Database, migrate
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(",".join(migrate.upgrade(database)) or "nothing")
"""


def test_two_that_start_at_once_take_turns(fresh: Database) -> None:
    command = [sys.executable, "-c", UPGRADE, fresh.url]
    starters = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(3)]
    for starter in starters:
        assert starter.stdout is not None and starter.stdout.readline() == "ready\n"
    said = sorted(starter.communicate("go\n", timeout=60)[0].strip() for starter in starters)
    assert said == [",".join(migrate.revisions()), "nothing", "nothing"]


def test_a_later_releases_database_is_refused_and_not_touched(fresh: Database) -> None:
    migrate.upgrade(fresh)
    engine = engine_of(fresh)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    before = described(engine)
    with pytest.raises(SchemaTooNew, match=r"migration 9999.*run the later release"):
        migrate.upgrade(fresh)
    assert described(engine) == before


LATER = '''
"""a column more"""
import sqlalchemy as sa
from alembic import op

revision = "{number}"
down_revision = "{before}"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("colour", sa.Text()))
    op.execute("UPDATE accounts SET colour = 'grey'")
    {more}
'''


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The next release's migrations: this one's, and room for one more."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    yield folder
    monkeypatch.undo()


def test_an_older_database_keeps_its_rows(fresh: Database, later: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate.upgrade(fresh)
    engine = engine_of(fresh)
    with engine.begin() as connection:
        connection.execute(metadata.tables["nudges"].insert().values(topic="t", count=3, by="x"))
        connection.execute(_account(connection))
    _add(later)
    monkeypatch.setattr(migrate, "FOLDER", later)
    assert migrate.upgrade(fresh) == [f"{len(migrate.revisions()):04d}"]
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT topic, count FROM nudges")).all() == [("t", 3)]
        assert connection.execute(sa.text("SELECT colour FROM accounts")).scalar() == "grey"


def test_a_migration_that_fails_changes_nothing(fresh: Database, later: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate.upgrade(fresh)
    engine = engine_of(fresh)
    before, number = described(engine), migrate.current(engine)
    _add(later, more="raise RuntimeError('half done')")
    monkeypatch.setattr(migrate, "FOLDER", later)
    with pytest.raises(RuntimeError, match="half done"):
        migrate.upgrade(fresh)
    assert described(engine) == before and migrate.current(engine) == number


def _add(folder: Path, more: str = "pass") -> None:
    before = len(migrate.revisions())
    text = LATER.format(number=f"{before + 1:04d}", before=f"{before:04d}", more=more)
    (folder / "versions" / f"{before + 1:04d}_later.py").write_text(text)


def _account(connection: sa.Connection) -> sa.Insert:
    """A row of ``accounts`` with something in every column, whatever they are."""
    schema.load()
    table = metadata.tables["accounts"]
    examples = {"Text": "x", "Integer": 1, "Flag": True, "Json": {}, "Bytes": b"x", "Float": 1.0}
    values = {}
    for column in table.columns:
        kind = type(column.type).__name__
        values[column.name] = examples.get(kind) if kind != "Timestamp" else _now()
    return table.insert().values(values)


def _now() -> object:
    from mallee.store import Clock

    return Clock().now()


def test_a_database_that_is_away_has_a_name(tmp_path: Path, postgresql_server: postgresql.Server) -> None:
    for url in (f"sqlite:///{tmp_path}/none/cloud.db", f"postgresql+psycopg://mallee@/x?host={tmp_path}"):
        with pytest.raises(StoreUnavailable):
            migrate.upgrade(Database(url))


def test_the_command_writes_the_next_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With nothing changed it writes an empty one, numbered after the last."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(migrate, "FOLDER", folder)
    number = len(migrate.revisions()) + 1
    script = (
        "import sys, pathlib; from mallee.store import migrate; migrate.FOLDER = pathlib.Path(sys.argv.pop(1)); migrate.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), "--autogenerate", "Nothing new"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    written = folder / "versions" / f"{number:04d}_nothing_new.py"
    assert str(written) in done.stdout
    assert "pass" in written.read_text() and f'revision = "{number:04d}"' in written.read_text().replace("'", '"')


def test_every_earlier_release_upgrades_with_rows_in_every_table(
    fresh: Database, later: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that must have a value cannot be added to a table that has rows, unless the migration gives it one."""
    newest = migrate.revisions()
    monkeypatch.setattr(migrate, "FOLDER", later)
    for path in sorted((later / "versions").glob("0*.py"))[1:]:
        path.unlink()
    migrate.upgrade(fresh)
    engine = engine_of(fresh)
    tables = sa.MetaData()
    tables.reflect(engine)
    filled = [table for table in tables.sorted_tables if table.name != "alembic_version"]
    with engine.begin() as connection:
        for table in filled:
            connection.execute(table.insert().values({column.name: _some(column) for column in table.columns}))
    monkeypatch.undo()
    assert migrate.upgrade(fresh) == newest[1:]
    with engine.connect() as connection:
        for table in filled:
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 1, table.name


def _some(column: sa.Column[Any]) -> Any:
    kind = column.type
    if isinstance(kind, sa.LargeBinary):
        return b"x"
    if isinstance(kind, sa.JSON):
        return {}
    if isinstance(kind, sa.Boolean):
        return True
    return "{}" if isinstance(kind, sa.Text | sa.String) else 1
