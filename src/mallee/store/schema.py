"""The tables of all domains, together.

Domains declare their tables in modules of their own, above this floor; :func:`load` imports those modules by name, so that
``metadata`` is complete before it is created, compared or migrated.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from .database import Database
from .errors import translate
from .tables import metadata

MODULES = (
    "mallee.store.tables",
    "mallee.durable.records",
    "mallee.identity.records",
    "mallee.objects.records",
    "mallee.objects.points",
    "mallee.objects.remotes",
    "mallee.objects.usage_records",
    "mallee.ec2.tags",
    "mallee.ec2.tokens",
    "mallee.nodes.records",
    "mallee.network.records",
    "mallee.compute.records",
    "mallee.admin.records",
)


def load(modules: Iterable[str] = MODULES) -> sa.MetaData:
    """Imports the modules that declare tables and returns the complete metadata."""
    for name in modules:
        importlib.import_module(name)
    return metadata


def create(database: Database, metadata: sa.MetaData = metadata) -> None:
    """Creates the tables declared so far that are not there yet: for tests. A cloud's database is made by ``migrate.upgrade``."""
    engine = sa.create_engine(database.engine.url, poolclass=NullPool)
    try:
        there = set(sa.inspect(engine).get_table_names())
        missing = [table for table in metadata.sorted_tables if table.name not in there]
        metadata.create_all(engine, tables=missing, checkfirst=False)
    except Exception as error:
        raise translate(error) from error
    finally:
        engine.dispose()
