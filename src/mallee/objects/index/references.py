"""All rows that refer to contents, table by table along their keys, whatever bucket they are of: for audits.

A place is where a walk is: the number of the table and the key of the row that it stands on. It can be written down as JSON.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import bindparam, select

from mallee.store import Bytes, Integer, Text, Tx

from .rows import Piece
from .tables import CURRENT, NONCURRENT, PARTS

Place = list[Any]
FIRST: Final[Place] = [0]
_TABLES = (CURRENT, NONCURRENT, PARTS)
_LEAST: Any = {Text: "", Bytes: b"", Integer: -(2**63)}


@dataclass(frozen=True, slots=True)
class Reference:
    place: Place
    content: tuple[Piece, ...]


def _statements(table: sa.Table) -> tuple[sa.Select[Any], sa.Select[Any]]:
    keys = list(table.primary_key.columns)
    binds = [bindparam(f"k{number}", type_=key.type) for number, key in enumerate(keys)]
    chosen = select(*keys, table.c.content)
    behind = chosen.where(sa.tuple_(*keys) > sa.tuple_(*binds), keys[0] >= binds[0]).order_by(*keys)
    one = chosen.where(*(key == bind for key, bind in zip(keys, binds, strict=True)))
    return behind.limit(bindparam("limit", type_=Integer())), one


_BEHIND, _ONE = zip(*map(_statements, _TABLES), strict=True)


def behind(tx: Tx, place: Place, limit: int) -> tuple[list[Reference], Place | None]:
    """The next rows, and where to go on; None at the end."""
    number, *written = place
    columns = list(_TABLES[number].primary_key.columns)
    keys = [_read(each) for each in written] or [_LEAST[type(column.type)] for column in columns]
    rows = tx.all(_BEHIND[number], **{f"k{at}": key for at, key in enumerate(keys)}, limit=limit)
    found = [Reference([number, *map(_written, row[:-1])], _pieces(row[-1])) for row in rows]
    if len(rows) == limit:
        return found, found[-1].place
    return found, [number + 1] if number + 1 < len(_TABLES) else None


def refers(tx: Tx, place: Place, location: str) -> bool:
    """Whether the row still does."""
    number, *keys = place
    row = tx.first(_ONE[number], **{f"k{at}": _read(key) for at, key in enumerate(keys)})
    return row is not None and any(each == location for each, _ in _pieces(row[-1]))


def named(place: Place) -> str:
    """For people."""
    number, *keys = place
    words = [_read(key) for key in keys]
    told = [each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in words]
    return f"{_TABLES[number].name} {'/'.join(told)}"


def _pieces(content: Any) -> tuple[Piece, ...]:
    return tuple((location, length) for location, length in content)


def _written(key: Any) -> Any:
    return {"b": base64.b64encode(key).decode("ascii")} if isinstance(key, bytes) else key


def _read(key: Any) -> Any:
    return base64.b64decode(key["b"]) if isinstance(key, dict) else key
