"""How tables are declared, and the store's own two: the journal and the nudges.

Each domain declares its tables in its ``records.py`` with :func:`resource_table` (rows that belong to users, scoped by
account and journaled) or :func:`plain_table` (Mallee's own bookkeeping). What a table is stands in ``table.info`` and nowhere
else; the compiler (``scope.py``) and the transaction (``transaction.py``) act on it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import SchemaItem

from .types import Bytes, Flag, Float, Integer, Json, Text, Timestamp

ACCOUNT = "account_id"

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def resource_table(name: str, *columns: SchemaItem, owned: bool = True, journal: bool = True) -> sa.Table:
    """A table of users' resources. ``columns`` holds the primary key, the other columns, constraints and indexes.

    ``owned`` adds ``account_id`` (unless it is among ``columns``) with an index, and makes the rows visible only to
    transactions of that account and to unscoped ones. ``journal`` records every change. A column with ``info={"secret":
    True}`` appears in the journal only as changed. Defaults must be Python's (``default=``): a value that the database makes
    up would escape the journal.
    """
    items = list(columns)
    if owned:
        own = next((c for c in items if isinstance(c, sa.Column) and c.name == ACCOUNT), None)
        if own is None:
            end = next((n for n, item in enumerate(items) if not isinstance(item, sa.Column)), len(items))
            items.insert(end, sa.Column(ACCOUNT, Text, nullable=False, index=True))  # constraints may name it
        elif own.nullable and not own.primary_key:
            raise ValueError(f"{name}.{ACCOUNT} must not be nullable")
    return _table(name, items, {"owned": owned, "journal": journal})


def plain_table(name: str, *columns: SchemaItem, within: sa.MetaData = metadata, **options: Any) -> sa.Table:
    """A table without owner and journal: jobs, placements, reports. ``within``: the metadata of another database than the
    cloud's own; ``options`` are SQLAlchemy's (``sqlite_with_rowid=False``)."""
    return _table(name, list(columns), {"owned": False, "journal": False}, within, **options)


def _table(name: str, items: list[SchemaItem], info: dict[str, Any], within: sa.MetaData = metadata, **options: Any) -> sa.Table:
    table = sa.Table(name, within, *items, sqlite_strict=True, implicit_returning=False, info=info, **options)
    if not table.primary_key.columns:
        raise ValueError(f"table {name} has no primary key")
    for column in table.columns:
        if not isinstance(column.type, (Text, Integer, Float, Flag, Bytes, Timestamp, Json)):
            raise TypeError(f"{name}.{column.name}: {column.type!r} is not one of the store's column types")
        if info["journal"] and column.server_default is not None:
            raise ValueError(f"{name}.{column.name}: a journaled table takes default=, not server_default=")
    return table


journal = sa.Table(
    "journal",
    metadata,
    sa.Column("seq", Integer, primary_key=True, autoincrement=True),
    sa.Column("at", Timestamp, nullable=False),
    sa.Column(ACCOUNT, Text),
    sa.Column("actor", Text),
    sa.Column("request_id", Text),
    sa.Column("kind", Text, nullable=False),
    sa.Column("resource_id", Text, nullable=False),
    sa.Column("action", Text, nullable=False),
    sa.Column("before", Json),
    sa.Column("after", Json),
    sa.Index("ix_journal_resource_id_seq", "resource_id", "seq"),
    sa.Index("ix_journal_account_id_at", ACCOUNT, "at"),
    sa.Index("ix_journal_kind_at", "kind", "at"),
    sqlite_strict=True,
    sqlite_autoincrement=True,
    implicit_returning=False,
    info={"owned": True, "journal": False, "append_only": True},
)

nudges = plain_table(
    "nudges",
    sa.Column("topic", Text, primary_key=True),
    sa.Column("count", Integer, nullable=False),
    sa.Column("by", Text, nullable=False),
)
