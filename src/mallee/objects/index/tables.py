"""The tables of the index, in a database of their own (or beside the cloud's tables on PostgreSQL).

A key's latest version is the row of ``s3_current``, or, where it is a delete marker, the row of ``s3_noncurrent`` whose
``since`` is NULL. All older versions are in ``s3_noncurrent``, the newest first: its ``rank`` is the negative of the moment that the version
was made. So a listing of objects, a listing of versions and the search for what becomes the latest are walks along a primary key.

Keys are bytes, compared as bytes on both engines, which is S3's order. A column that a listing does not show stands at the end of its row: SQLite
then reads no further than it must. ``content`` is a list of [location, plain length].
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, Index, UniqueConstraint

from mallee import store
from mallee.store import Bytes, Flag, Integer, Json, Text, Timestamp, migrate, plain_table, schema

metadata = sa.MetaData(naming_convention=store.metadata.naming_convention)

CHAIN = migrate.Chain(Path(__file__).parent / "migrations", "objects_version", metadata)


def _version() -> tuple[Column[Any], ...]:
    return (
        Column("version_id", Text, nullable=False),
        Column("modified", Timestamp, nullable=False),
        Column("size", Integer, nullable=False),
        Column("etag", Text, nullable=False),
        Column("storage_class", Text, nullable=False),
        Column("owner", Text, nullable=False),
        Column("checksum", Text, nullable=False),
        Column("attributes", Json),
        Column("content", Json, nullable=False),
    )


CURRENT = plain_table(
    "s3_current",
    Column("bucket_id", Text, primary_key=True),
    Column("key", Bytes, primary_key=True),
    Column("made", Integer, nullable=False),
    *_version(),
    within=metadata,
    sqlite_with_rowid=False,
)
NONCURRENT = plain_table(
    "s3_noncurrent",
    Column("bucket_id", Text, primary_key=True),
    Column("key", Bytes, primary_key=True),
    Column("rank", Integer, primary_key=True, autoincrement=False),
    Column("since", Timestamp),
    Column("deleted", Flag, nullable=False),
    *_version(),
    UniqueConstraint("bucket_id", "key", "version_id"),
    within=metadata,
    sqlite_with_rowid=False,
)
UPLOADS = plain_table(
    "s3_uploads",
    Column("bucket_id", Text, primary_key=True),
    Column("key", Bytes, primary_key=True),
    Column("upload_id", Text, primary_key=True),
    Column("created", Timestamp, nullable=False),
    Column("storage_class", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("initiator", Text, nullable=False),
    Column("attributes", Json),
    within=metadata,
    sqlite_with_rowid=False,
)
PARTS = plain_table(
    "s3_parts",
    Column("upload_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("modified", Timestamp, nullable=False),
    Column("size", Integer, nullable=False),
    Column("etag", Text, nullable=False),
    Column("checksum", Text, nullable=False),
    Column("attributes", Json),
    Column("content", Json, nullable=False),
    within=metadata,
    sqlite_with_rowid=False,
)
COMPLETED = plain_table(
    "s3_completed",
    Column("upload_id", Text, primary_key=True),
    Column("bucket_id", Text, nullable=False),
    Column("key", Bytes, nullable=False),
    Column("at", Timestamp, nullable=False, index=True),
    Column("result", Json, nullable=False),
    within=metadata,
    sqlite_with_rowid=False,
)
"""Uploads that became objects a short while ago, with what was answered: a completion that is repeated gets the same answer."""
RENAMED = plain_table(
    "s3_renamed",
    Column("location", Text, primary_key=True),
    Column("bucket_id", Text, nullable=False),
    Column("key", Bytes, nullable=False),
    within=metadata,
    sqlite_with_rowid=False,
)
"""Where to look for what refers to a content whose label names another key."""
GARBAGE = plain_table(
    "s3_garbage",
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("location", Text, nullable=False),
    Column("since", Timestamp, nullable=False),
    within=metadata,
    sqlite_autoincrement=True,
)
USAGE = plain_table(
    "s3_usage",
    Column("bucket_id", Text, primary_key=True),
    Column("writer", Text, primary_key=True),
    Column("objects", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("noncurrent", Integer, nullable=False),
    Column("noncurrent_bytes", Integer, nullable=False),
    Column("uploads", Integer, nullable=False),
    Column("upload_bytes", Integer, nullable=False),
    within=metadata,
    sqlite_with_rowid=False,
)
CLOSED = plain_table(
    "s3_closed",
    Column("bucket_id", Text, primary_key=True),
    Column("at", Timestamp, nullable=False),
    within=metadata,
    sqlite_with_rowid=False,
)
TASKS = plain_table(
    "s3_tasks",
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("bucket_id", Text, nullable=False),
    Column("key", Bytes, nullable=False),
    Column("version_id", Text, nullable=False),
    Column("at", Timestamp, nullable=False),
    Column("due", Timestamp, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("detail", Json, nullable=False),
    Index("ix_s3_tasks_of", "kind", "bucket_id", "key"),
    Index("ix_s3_tasks_due", "kind", "due"),
    within=metadata,
    sqlite_autoincrement=True,
)
"""What is to be done about versions: see ``tasks``."""


def behind(columns: tuple[Any, Any], place: tuple[Any, Any]) -> tuple[Any, Any]:
    """The rows that stand behind a place in the order of two columns. The second condition follows from the first; PostgreSQL may find a
    range by it where it does not by the first. SQLite takes what comes first."""
    return sa.tuple_(*columns) > sa.tuple_(*place), columns[0] >= place[0]


PLANNER = "-c enable_bitmapscan=off -c enable_seqscan=off -c jit=off"
"""For PostgreSQL, whose planner does not know how large a bucket has become since it last looked, and would rather read all of the rest of
it and sort that than walk along the key."""


def open_database(url: str, clock: store.Clock | None = None, *, synchronous: bool = True) -> store.Database:
    """The database of the index; its connections are for the index alone, even where the cloud's tables are in the same database."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        given = parsed.query.get("options", ())
        before = (given,) if isinstance(given, str) else given
        parsed = parsed.update_query_dict({"options": " ".join([*before, PLANNER])})
    return store.Database(parsed.render_as_string(hide_password=False), clock, synchronous=synchronous)


def create_tables(database: store.Database) -> None:
    """All tables at once, for tests: a cloud's are made by ``upgrade``."""
    schema.create(database, metadata)


def upgrade(database: store.Database) -> list[str]:
    """Brings the database to this release; the numbers of the migrations that were applied."""
    return migrate.upgrade(database, CHAIN)
