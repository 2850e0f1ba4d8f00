"""EC2's ``Filters`` parameter: which of these items does the caller want to see?

A domain declares a table from filter name to a function of the item; the function returns a value, several values,
or None. Names are joined by AND, the values of a name by OR. Values compare as text and with case: ``*`` stands for
any characters, ``?`` for exactly one, a backslash takes the next character literally. ``tag:KEY`` and ``tag-key``
work for every item whose tags are given. An unknown name is refused before anything is read, because a filter that
is silently ignored shows too much.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from mallee.wire.errors import AwsError

Item = TypeVar("Item")
Table = Mapping[str, Callable[[Any], Any]]
Tags = Sequence[Mapping[str, str]]  # [{"Key": ..., "Value": ...}]

MAXIMUM_VALUES = 200


def apply(
    given: Sequence[Mapping[str, Any]] | None,
    table: Table,
    items: Iterable[Item],
    tags_of: Callable[[Item], Tags] | None = None,
) -> list[Item]:
    """The items that pass all filters, in their order. ``tags_of`` gives an item's tags as EC2 lists them."""
    if not given:
        return list(items)
    accepts = compiled(given, table, tags_of)
    return [item for item in items if accepts(item)]


def compiled(
    given: Sequence[Mapping[str, Any]] | None, table: Table, tags_of: Callable[[Item], Tags] | None = None
) -> Callable[[Item], bool]:
    """One predicate for a ``Filters`` parameter; raises for what AWS refuses."""
    tests = [_test(each, table, tags_of) for each in given or ()]
    if len(tests) == 1:
        return tests[0]
    return lambda item: all(test(item) for test in tests)


def names_tags(given: Sequence[Mapping[str, Any]] | None) -> bool:
    """Whether any filter looks at tags, so that a caller may read them only when needed."""
    return any((each.get("Name") or "").startswith("tag") for each in given or ())


def exact(given: Sequence[Mapping[str, Any]] | None, name: str) -> list[str] | None:
    """The values asked of filter ``name`` when none has a wildcard (a query may use them to narrow its rows), else
    None."""
    for each in given or ():
        values = each.get("Values") or []
        if each.get("Name") == name and values and not any(_SPECIAL.search(value) for value in values):
            return list(values)
    return None


def _test(each: Mapping[str, Any], table: Table, tags_of: Callable[[Item], Tags] | None) -> Callable[[Item], bool]:
    name = each.get("Name")
    if not name:
        raise AwsError("InvalidParameterValue", "The filter 'null' is invalid")
    values = each.get("Values") or []
    if len(values) > MAXIMUM_VALUES:
        raise AwsError(
            "FilterLimitExceeded",
            f"The maximum number of filter values specified on a single call is {MAXIMUM_VALUES}",
        )
    matches = matcher(values)
    if tags_of is not None:
        of_tags = _tag_test(name, matches, tags_of)
        if of_tags is not None:
            return of_tags
    read = table.get(name)
    if read is None:
        raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return lambda item: _any(matches, read(item))


def _tag_test(name: str, matches: Callable[[str], bool], tags_of: Callable[[Item], Tags]) -> Callable[[Item], bool] | None:
    if name.startswith("tag:"):
        key = name[4:]
        return lambda item: any(tag["Key"] == key and matches(tag["Value"]) for tag in tags_of(item))
    if name == "tag-key":
        return lambda item: any(matches(tag["Key"]) for tag in tags_of(item))
    if name == "tag-value":
        return lambda item: any(matches(tag["Value"]) for tag in tags_of(item))
    return None


def _any(matches: Callable[[str], bool], value: Any) -> bool:
    if value is None:
        return False
    if type(value) is str:
        return matches(value)
    if isinstance(value, list | tuple | set | frozenset):
        return any(_any(matches, each) for each in value)
    return matches(text(value))


def text(value: Any) -> str:
    """A value as filters see it: ``true``, ``2026-01-02T03:04:05.000Z``, ``8``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"
    return str(value)


_SPECIAL = re.compile(r"[*?\\]")


def matcher(values: Iterable[str]) -> Callable[[str], bool]:
    """Whether a text equals one of the values, wildcards honoured."""
    plain: set[str] = set()
    patterns: list[str] = []
    for value in values:
        if _SPECIAL.search(value):
            patterns.append(_pattern(value))
        else:
            plain.add(value)
    if not patterns:
        return plain.__contains__
    regex = re.compile("|".join(patterns), re.DOTALL)
    return lambda candidate: candidate in plain or regex.fullmatch(candidate) is not None


def _pattern(value: str) -> str:
    """A regular expression without catastrophic backtracking: runs of stars are one star, each run is atomic up to its
    literal."""
    parts: list[str] = []
    position = 0
    while position < len(value):
        character = value[position]
        if character == "\\" and position + 1 < len(value):
            position += 1
            parts.append(re.escape(value[position]))
        elif character == "*":
            if not parts or parts[-1] != ".*":
                parts.append(".*")
        elif character == "?":
            parts.append(".")
        else:
            parts.append(re.escape(character))
        position += 1
    return _linear(parts)


def _linear(parts: list[str]) -> str:
    """Joins the parts so that matching is linear in practice: between two stars the first place that fits is the right
    one, so each middle piece is sought in an atomic group and never tried again."""
    pieces: list[list[str]] = [[]]
    for part in parts:
        if part == ".*":
            pieces.append([])
        else:
            pieces[-1].append(part)
    joined = ["".join(piece) for piece in pieces]
    if len(joined) == 1:
        return joined[0]
    middle = "".join(f"(?>.*?{piece})" for piece in joined[1:-1] if piece)
    return f"{joined[0]}{middle}.*{joined[-1]}"
