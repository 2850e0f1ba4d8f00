"""Listings done the slow way: look at everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Item = tuple[str, Any]


def items(rows: Iterable[Any], prefix: bytes, delimiter: bytes, shown: Callable[[Any], bool], marker: bytes) -> list[Item]:
    """All that a listing without end would show: ("entry", row) and ("prefix", bytes), in order. ``shown`` says whether a row comes after the
    marker."""
    found: list[Item] = []
    for row in rows:
        key = row[0]
        if not key.startswith(prefix):
            continue
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        if end < 0:
            if shown(row):
                found.append(("entry", row))
            continue
        common = ("prefix", key[: end + len(delimiter)])
        if common[1] > marker and common not in found:
            found.append(common)
    return found


def page(found: list[Item], limit: int) -> tuple[list[Any], list[bytes], bytes | None]:
    some = found[: max(limit, 0)]
    entries = [what for kind, what in some if kind == "entry"]
    prefixes = [what for kind, what in some if kind == "prefix"]
    if limit <= 0 or len(found) <= limit:
        return entries, prefixes, None
    kind, last = some[-1]
    return entries, prefixes, last if kind == "prefix" else last[0]
