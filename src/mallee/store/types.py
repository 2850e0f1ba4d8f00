"""The column types: one Python value each, stored alike on SQLite (STRICT) and PostgreSQL.

| type        | Python                     | SQLite  | PostgreSQL       |
|-------------|----------------------------|---------|------------------|
| `Text`      | str                        | TEXT    | TEXT             |
| `Integer`   | int, 64 bit                | INTEGER | BIGINT           |
| `Float`     | float                      | REAL    | DOUBLE PRECISION |
| `Flag`      | bool                       | INTEGER | BOOLEAN          |
| `Bytes`     | bytes                      | BLOB    | BYTEA            |
| `Timestamp` | aware datetime, UTC, in µs | INTEGER | BIGINT           |
| `Json`      | dict, list, str, ...; None is NULL | TEXT | TEXT        |

Times are integers because both engines then compare and index them exactly, and agree on them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import UserDefinedType

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Text = sa.Text


class Integer(sa.BigInteger):
    """A 64 bit integer."""


class Float(sa.Double[float]):
    """A double."""


class Flag(sa.Boolean):
    """True or false."""


class Bytes(sa.LargeBinary):
    """Bytes."""


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 in UTC. Raises ValueError for a datetime without a zone."""
    if moment.tzinfo is None:
        raise ValueError(f"a datetime without a zone cannot be stored: {moment!r}")
    return (moment - EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    return EPOCH + timedelta(0, 0, value)


class Timestamp(UserDefinedType[datetime]):
    """An aware datetime in UTC."""

    cache_ok = True

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[datetime | None], int | None]:
        def process(value: datetime | None) -> int | None:
            return None if value is None else to_micros(value)

        return process

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[int | None], datetime | None]:
        def process(value: int | None) -> datetime | None:
            return None if value is None else EPOCH + timedelta(0, 0, value)

        return process


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Json(UserDefinedType[Any]):
    """Any JSON value, written compactly. The value read back is new each time and may be changed freely."""

    cache_ok = True

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[Any], str | None]:
        def process(value: Any) -> str | None:
            return None if value is None else _encode(value)

        return process

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[str | None], Any]:
        loads = json.loads

        def process(value: str | None) -> Any:
            return None if value is None else loads(value)

        return process


def _render(kind: type[Any], sqlite: str, postgresql: str) -> None:
    compiles(kind, "sqlite")(lambda type_, compiler, **kw: sqlite)
    compiles(kind, "postgresql")(lambda type_, compiler, **kw: postgresql)


_render(Integer, "INTEGER", "BIGINT")
_render(Float, "REAL", "DOUBLE PRECISION")
_render(Flag, "INTEGER", "BOOLEAN")
_render(Bytes, "BLOB", "BYTEA")
_render(Timestamp, "INTEGER", "BIGINT")
_render(Json, "TEXT", "TEXT")
