"""From rows to frozen dataclasses.

A query's columns are matched to the dataclass's fields by name, once per class and set of columns; after that a row costs one
call. Columns that are no field are left out; a field without a column must have a default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, TypeVar

T = TypeVar("T")

_makers: dict[tuple[type, tuple[str, ...]], Callable[[Any], Any]] = {}


def read(cls: type[T], row: Any) -> T:
    """The dataclass of one row."""
    columns = row._fields
    maker = _makers.get((cls, columns)) or _maker(cls, columns)
    made: T = maker(row)
    return made


def read_all(cls: type[T], rows: Iterable[Any]) -> list[T]:
    """The dataclasses of the rows of one query."""
    rows = rows if isinstance(rows, list) else list(rows)
    if not rows:
        return []
    columns = rows[0]._fields
    maker = _makers.get((cls, columns)) or _maker(cls, columns)
    return [maker(row) for row in rows]


def _maker(cls: type[Any], columns: tuple[str, ...]) -> Callable[[Any], Any]:
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    wanted = [name for name in columns if name in fields]
    missing = [
        f.name
        for f in fields.values()
        if f.name not in columns and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise TypeError(f"{cls.__name__} needs {', '.join(missing)}, which the query does not select")
    if wanted == list(columns) == list(fields):
        maker: Callable[[Any], Any] = lambda row: cls(*row)  # noqa: E731
    elif len(wanted) == 1:
        only, at = wanted[0], columns.index(wanted[0])
        maker = lambda row: cls(**{only: row[at]})  # noqa: E731
    else:
        pick = itemgetter(*(columns.index(name) for name in wanted))
        maker = lambda row: cls(**dict(zip(wanted, pick(row), strict=True)))  # noqa: E731
    _makers[cls, columns] = maker
    return maker
