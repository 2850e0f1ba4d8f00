"""Migrations: how a database of any earlier release becomes one of this release, in place and losing nothing.

Each is a numbered file in ``migrations/versions``; a fresh database is made by applying all of them, so there is one road and the tests
hold that it ends at the tables that the code declares. Two processes that start at once take turns. A database of a later release is
refused, not touched.

    python -m mallee.store.migrate --autogenerate "what changes"     writes the next numbered file

A database beside the cloud's own (the index of objects) has a :class:`Chain` of its own; it may share a server, and even a database,
with the cloud's.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib
import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from .database import Database
from .errors import SchemaTooNew, translate
from .tables import metadata

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x6D616C6C  # PostgreSQL's advisory lock for migrations


@dataclass(frozen=True, slots=True)
class Chain:
    """The migrations of one set of tables: ``folder`` has them in ``versions``, the database remembers the last in ``version_table``."""

    folder: Path
    version_table: str
    metadata: sa.MetaData


def cloud() -> Chain:
    """That of the cloud's own tables."""
    return Chain(FOLDER, "alembic_version", metadata)


def revisions(chain: Chain | None = None) -> list[str]:
    """The numbers of all migrations of this release, oldest first."""
    folder = (chain or cloud()).folder / "versions"
    return sorted(match[1] for path in folder.iterdir() if (match := re.match(r"(\d{4})_\w+\.py$", path.name)))


def upgrade(database: Database, chain: Chain | None = None) -> list[str]:
    """Brings the database to this release and returns the numbers of the migrations that were applied. Raises SchemaTooNew."""
    engine = sa.create_engine(database.engine.url, poolclass=NullPool)
    chain = chain or cloud()
    try:
        if current(engine, chain) == revisions(chain)[-1]:
            return []
        with _alone(engine):
            before = current(engine, chain)
            known = revisions(chain)
            if before is not None and before not in known:
                raise SchemaTooNew(
                    f"the database is at migration {before}, which this release does not know (it ends at {known[-1]}): run the later release"
                )
            to_do = known[known.index(before) + 1 :] if before is not None else known
            if to_do:
                _apply(engine, chain)
                log.info("database migrated: %s", " ".join(to_do))
            return to_do
    except (SchemaTooNew, OSError):
        raise
    except Exception as error:
        raise translate(error) from error
    finally:
        engine.dispose()


def current(engine: sa.Engine, chain: Chain | None = None) -> str | None:
    """The number of the last migration that the database has; None for an empty one."""
    table = (chain or cloud()).version_table
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(table):
            return None
        found = connection.execute(sa.text(f"SELECT version_num FROM {table}")).scalar()
        return None if found is None else str(found)


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
            try:
                yield
            finally:
                connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
        return
    assert engine.url.database is not None
    with Path(engine.url.database + ".migrating").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _apply(engine: sa.Engine, chain: Chain) -> None:
    from alembic import command

    with engine.connect() as connection:
        # pysqlite begins no transaction before DDL by itself; one BEGIN makes a migration whole or nothing
        if engine.dialect.name == "sqlite":
            connection.connection.dbapi_connection.isolation_level = None  # type: ignore[union-attr]
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        command.upgrade(_config(connection, chain), "head")
        connection.commit()
        if engine.dialect.name == "sqlite":
            raw: Any = connection.connection.dbapi_connection
            if raw.in_transaction:
                raw.execute("COMMIT")


def _config(connection: sa.Connection, chain: Chain) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(chain.folder / "versions"))
    config.attributes.update(connection=connection, metadata=chain.metadata, version_table=chain.version_table)
    return config


def autogenerate(message: str, chain: Chain | None = None) -> Path:
    """Writes the migration from the last one to the tables as they are declared now; a person reads it before it is committed."""
    from alembic import command

    from . import schema

    if chain is None:
        schema.load()
        chain = cloud()
    known = revisions(chain)
    number = f"{int(known[-1]) + 1 if known else 1:04d}"
    with tempfile.TemporaryDirectory() as folder:
        engine = sa.create_engine(f"sqlite:///{folder}/empty.db", poolclass=NullPool)
        if known:
            _apply(engine, chain)
        with engine.connect() as connection:
            made: Any = command.revision(_config(connection, chain), message=message, autogenerate=True, rev_id=number)
        engine.dispose()
    return Path(made.path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="mallee.store.migrate", description="Write the next migration.")
    parser.add_argument("--autogenerate", metavar="MESSAGE", required=True)
    parser.add_argument(
        "--chain", metavar="MODULE", help="the module whose CHAIN is meant, for tables that are not the cloud's own"
    )
    given = parser.parse_args()
    print(autogenerate(given.autogenerate, importlib.import_module(given.chain).CHAIN if given.chain else None))


if __name__ == "__main__":
    main()
