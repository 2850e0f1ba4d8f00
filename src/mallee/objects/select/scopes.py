"""What names mean: columns of a CSV record, or members of a JSON value.

A row of CSV is a list of strings, a row of JSON any value. A path may begin with the table's alias, or with S3Object.
Unquoted names do not mind case; one that then has two meanings is AmbiguousFieldName ("Case sensitivity of header and
attribute names").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from mallee.objects.select.errors import fail
from mallee.objects.select.syntax import EveryElement, EveryMember, Index, Name, Path, Step
from mallee.objects.select.values import MISSING

MAX_COLUMN = 1 << 20
_POSITION = re.compile(r"_([0-9]{1,9})")
_TABLE = Name("S3Object")


class Scope(Protocol):
    def path(self, path: Path) -> Callable[[Any], Any]: ...

    def column(self, path: Path) -> int | None:
        """The column of a CSV record that the path is, if it is one."""

    def members(self, path: Path | None) -> Callable[[Any], list[tuple[str, Any]]]:
        """What ``*`` or ``path.*`` stands for in a row."""


def _local(path: Path, alias: Name | None) -> tuple[Step, ...] | None:
    """The path within the row; None when it begins with no table."""
    if alias is not None and (alias.matches(path.root.text) if not path.root.quoted else alias.text == path.root.text):
        return path.steps
    if not path.root.quoted and _TABLE.matches(path.root.text) and (path.steps or alias is None):
        return path.steps
    return None


def _plain(path: Path) -> Path:
    if any(isinstance(step, EveryElement | EveryMember) for step in path.steps):
        fail("ParseInvalidContextForWildcardInSelectList")
    return path


class CsvScope:
    """With a header names are columns; ``header`` is None without. While ``unread``, any name may be a column."""

    def __init__(self, alias: Name | None, header: Sequence[str] | None = None, unread: bool = False) -> None:
        self._alias = alias
        self._header = header
        self._unread = unread
        self.used = 0
        """As many columns of a record must be split off."""
        self.whole = False
        """Or all of them, for ``*``."""
        self.entire = False
        """Or all of them, as one value."""

    def _find(self, name: Name) -> int | None:
        if self._unread:
            return 0
        found = [at for at, header in enumerate(self._header or ()) if name.matches(header)]
        if len(found) > 1:
            fail("AmbiguousFieldName", f"{name.text!r}")
        return found[0] if found else None

    def column(self, path: Path) -> int | None:
        steps = _local(_plain(path), self._alias)
        if steps is None:
            steps = (path.root, *path.steps)
            if len(steps) > 1:
                fail("EvaluatorBindingDoesNotExist", f"{path.root.text!r} is not the table.")
        if not steps:
            if self._unread or (at := self._find(path.root)) is None:
                return None
            return self._use(at)
        name = steps[0]
        if len(steps) > 1 or not isinstance(name, Name):
            fail("InvalidKeyPath", "A column of a CSV file has no parts.")
        return self._use(self._index(name))

    def _index(self, name: Name) -> int:
        position = _POSITION.fullmatch(name.text)
        if position and not 1 <= int(position[1]) <= MAX_COLUMN:
            fail("InvalidColumnIndex", f"{name.text}")
        found = self._find(name)
        if found is not None and not (self._unread and position):
            return found
        if position is None:
            fail("MissingHeaders", f"{name.text!r}")
        return int(position[1]) - 1

    def _use(self, at: int) -> int:
        self.used = max(self.used, at + 1)
        return at

    def path(self, path: Path) -> Callable[[Any], Any]:
        at = self.column(path)
        if at is None:
            members = self.members(None)
            self.entire = True
            return lambda row: dict(members(row))
        index = at

        def value(row: Any) -> Any:
            try:
                return row[index]
            except IndexError:
                return MISSING

        return value

    def members(self, path: Path | None) -> Callable[[Any], list[tuple[str, Any]]]:
        if path is not None and _local(path, self._alias) != ():
            fail("EvaluatorBindingDoesNotExist", f"{path.root.text!r} is not the table.")
        self.whole = True
        names = list(self._header or ())

        def pairs(row: Any) -> list[tuple[str, Any]]:
            if len(names) < len(row):
                names.extend(f"_{at + 1}" for at in range(len(names), len(row)))
            return list(zip(names, row, strict=False))

        return pairs


class JsonScope:
    """Without an alias, its own or the name that the path in FROM ends in, the row is ``_1``."""

    def __init__(self, alias: Name | None) -> None:
        self._alias = alias

    def column(self, path: Path) -> None:
        return None

    def path(self, path: Path) -> Callable[[Any], Any]:
        steps = _local(_plain(path), self._alias)
        if steps is None and self._alias is None and path.root.text == "_1":
            steps = path.steps
        if steps is None:
            steps = (path.root, *path.steps)
        getters = [_getter(step) for step in steps]
        if not getters:
            return lambda row: row
        if len(getters) == 1:
            return getters[0]

        def value(row: Any) -> Any:
            for get in getters:
                row = get(row)
            return row

        return value

    def members(self, path: Path | None) -> Callable[[Any], list[tuple[str, Any]]]:
        inner = self.path(path) if path is not None else lambda row: row

        def pairs(row: Any) -> list[tuple[str, Any]]:
            value = inner(row)
            if type(value) is dict:
                return list(value.items())
            return [] if value is MISSING else [("_1", value)]

        return pairs


def _getter(step: Step) -> Callable[[Any], Any]:
    if isinstance(step, Index):
        at = step.at

        def element(value: Any) -> Any:
            return value[at] if type(value) is list and at < len(value) else MISSING

        return element
    if not isinstance(step, Name):
        fail("ParseInvalidContextForWildcardInSelectList")
    text = step.text
    if step.quoted:
        return lambda value: value.get(text, MISSING) if type(value) is dict else MISSING
    lower, length = text.lower(), len(text)

    def member(value: Any) -> Any:
        if type(value) is not dict:
            return MISSING
        found = [key for key in value if len(key) == length and key.lower() == lower]
        if not found:
            return MISSING
        if len(found) > 1:
            fail("AmbiguousFieldName", f"{text!r}")
        return value[found[0]]

    return member


def rows(source: tuple[Step, ...]) -> Callable[[Any], Iterator[Any]] | None:
    """The rows that FROM S3Object[*].path makes of one value; None when it is the row itself.

    A wildcard makes at least one row: where nothing matches, MISSING.
    """
    if not source:
        return None
    steps = [step if isinstance(step, EveryElement | EveryMember) else _getter(step) for step in source]

    def expanded(value: Any) -> Iterator[Any]:
        found = [value]
        for step in steps:
            if callable(step):
                found = [step(item) for item in found]
            else:
                found = [inner for item in found for inner in _every(step, item)]
        return iter(found)

    return expanded


def _every(step: EveryElement | EveryMember, value: Any) -> list[Any]:
    if isinstance(step, EveryElement):
        return value or [MISSING] if type(value) is list else [MISSING]
    return list(value.values()) or [MISSING] if type(value) is dict else [MISSING]
