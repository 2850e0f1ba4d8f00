"""The journal: every change of every resource, written in the transaction that makes it.

An entry tells what a create, change or remove did to one row: ``before`` and ``after`` hold, for a change, the changed
columns; for a create or remove, the whole row. Values are JSON a person can read (times in ISO 8601, bytes in base64). Secret
columns show only that they have a value. Entries are never changed. Their numbers follow the order of commits, on PostgreSQL
too, so that a reader who has seen number n has seen everything below n.

Replaying the entries from the first on (:func:`replay`) gives the rows as they are now, or as they were at any moment.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from .types import Bytes, Timestamp

REDACTED = "(secret)"
CREATE, CHANGE, REMOVE = "create", "change", "remove"


def readable(column: sa.Column[Any]) -> Callable[[Any], Any] | None:
    """How a value of this column is written in the journal; None where it goes in as it is."""
    if column.info.get("secret"):
        return lambda value: None if value is None else REDACTED
    if isinstance(column.type, Timestamp):
        return lambda value: None if value is None else value.isoformat().replace("+00:00", "Z")
    if isinstance(column.type, Bytes):
        return lambda value: None if value is None else base64.b64encode(value).decode()
    return None


def original(column: sa.Column[Any], value: Any) -> Any:
    """The value of a column from what the journal says of it. A secret stays ``(secret)``."""
    if value is None or column.info.get("secret"):
        return value
    if isinstance(column.type, Timestamp):
        return datetime.fromisoformat(value)
    if isinstance(column.type, Bytes):
        return base64.b64decode(value)
    return value


def resource_id(key: Mapping[str, Any]) -> str:
    """The name of a row in the journal: its primary key, parts joined by ``/``."""
    return "/".join(str(part) for part in key.values())


def replay(entries: Iterable[Any], table: sa.Table, rows: dict[str, dict[str, Any]] | None = None) -> dict[str, dict[str, Any]]:
    """The rows of ``table`` by resource id after ``entries`` (rows of the journal, in order), starting from ``rows``."""
    rows = {} if rows is None else rows
    for entry in entries:
        if entry.kind != table.name:
            continue
        if entry.action == REMOVE:
            rows.pop(entry.resource_id, None)
            continue
        row = rows.setdefault(entry.resource_id, {})
        for name, value in entry.after.items():
            if name in table.c:
                row[name] = original(table.c[name], value)
    return rows
