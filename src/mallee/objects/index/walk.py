"""A page of a listing, as a walk along keys in the order of their bytes, with what has the delimiter rolled up.

The walk jumps: behind a common prefix it goes on at the prefix's successor, whatever there is under it. It knows no database, but a function
that reads a chunk of rows from a position on, and one that leaps from prefix to prefix within the database. How much is read at once
follows what was of use: where little is rolled up, many rows; where much is, few, or none at all.

AWS: "CommonPrefixes is filtered out from results if it is not lexicographically greater than the StartAfter value", so a page that begins after
a key within a common prefix begins behind that prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Position = tuple[bytes, Any]
"""A key, and what stands before the first row of it that is wanted: None, or that of a row (its second column)."""
Read = Callable[[Position, int], Sequence[Any]]
"""``read(position, limit)``: the rows that follow, in order, at most ``limit``. A row begins with its key and its place within the key."""
Leap = Callable[[bytes, int], Sequence[bytes]]
"""``leap(first, limit)``: the first key from ``first`` on, and if it is rolled up the first key behind its prefix, and so on: at most
``limit``, ending with the first that is not rolled up."""

FEW, FIRST, MANY = 4, 64, 1024
END = b"\xff" * 1025
"""Greater than every key."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """``next``: what to begin after for the next page; None if this is the last."""

    entries: list[T]
    prefixes: list[bytes]
    next: bytes | None
    last: T | None = None
    """The entry that ``next`` is the key of, if it is no prefix."""


def successor(prefix: bytes) -> bytes | None:
    """The least key that is greater than all keys that begin with ``prefix``; None if there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def beginning(prefix: bytes, delimiter: bytes, after: bytes, within: Any = None) -> Position | None:
    """Where a page begins after the key ``after``, or after what has the place ``within`` in that key; None if there can be nothing."""
    if after < prefix or not after:
        return prefix, None
    if not after.startswith(prefix):
        return None
    if delimiter:
        found = after.find(delimiter, len(prefix))
        if found >= 0:
            behind = successor(after[: found + len(delimiter)])
            return None if behind is None else (behind, None)
    return (after + b"\0", None) if within is None else (after, within)


def walk(
    read: Read,
    leap: Leap | None,
    make: Callable[[Any], T],
    *,
    prefix: bytes,
    delimiter: bytes,
    start: Position | None,
    limit: int,
    after_row: Callable[[Any], Position],
) -> Page[T]:
    """One page of at most ``limit`` entries and prefixes together. ``read`` and ``leap`` give nothing beyond the prefix. ``start`` is
    from :func:`beginning`."""
    page = _Page(make, len(prefix), delimiter, max(limit, 0))
    position = start if limit > 0 else None
    chunk = min(limit + 1, FIRST if delimiter else MANY)
    stride = 0
    while position is not None:
        if stride and leap is not None:
            keys = leap(position[0], stride)
            if not keys or not page.take_prefixes(keys):
                break
            if page.rolled is None:  # the last key is an entry: its rows are read
                position, stride, chunk = (keys[-1], None), 0, FEW
                continue
            stride = min(4 * stride, page.room + 1, MANY)
        else:
            rows = read(position, chunk)
            before = page.room
            if not page.take(rows) or len(rows) < chunk:
                break
            used = before - page.room
            if page.rolled is None:
                position = after_row(rows[-1])
            elif 8 * used < len(rows) or len(rows) <= FEW:
                stride = min(FEW, page.room + 1)
            chunk = min(max(4 * used, FEW), page.room + 1, MANY)
        if page.rolled is not None:
            behind = successor(page.rolled)
            position = None if behind is None else (behind, None)
    return page.finished()


class _Page(Generic[T]):
    """What the walk has found so far. ``rolled``: the common prefix that the last key is under."""

    def __init__(self, make: Callable[[Any], T], offset: int, delimiter: bytes, limit: int) -> None:
        self.rolled: bytes | None = None
        self.room = limit
        self._make = make
        self._offset = offset
        self._delimiter = delimiter
        self._entries: list[T] = []
        self._prefixes: list[bytes] = []
        self._next: bytes | None = None
        self._last: T | None = None
        self._truncated = False

    def take(self, rows: Sequence[Any]) -> bool:
        """False when the page is full and there is more."""
        delimiter, offset, make = self._delimiter, self._offset, self._make
        if not delimiter:
            some = rows[: self.room]
            self._entries += [make(row) for row in some]
            self.room -= len(some)
            self._truncated = len(rows) > len(some)
            return not self._truncated
        rolled = self.rolled
        for row in rows:
            key = row[0]
            if rolled is not None and key.startswith(rolled):
                continue
            if not self.room:
                self._truncated = True
                return False
            end = key.find(delimiter, offset)
            if end >= 0:
                rolled = key[: end + len(delimiter)]
                self._prefixes.append(rolled)
            else:
                rolled = None
                self._entries.append(make(row))
            self.room -= 1
        self.rolled = rolled
        return True

    def take_prefixes(self, keys: Sequence[bytes]) -> bool:
        """The same for keys without rows; ``rolled`` is None if the last of them is an entry."""
        for key in keys:
            if self.rolled is not None and key.startswith(self.rolled):
                continue
            if not self.room:
                self._truncated = True
                return False
            end = key.find(self._delimiter, self._offset)
            if end < 0:
                self.rolled = None
                return True
            self.rolled = key[: end + len(self._delimiter)]
            self._prefixes.append(self.rolled)
            self.room -= 1
        return True

    def finished(self) -> Page[T]:
        if not self._truncated:
            return Page(self._entries, self._prefixes, None)
        entry = self._entries[-1] if self._entries else None
        key: bytes = b"" if entry is None else entry.key  # type: ignore[attr-defined]
        if self._prefixes and (entry is None or self._prefixes[-1] > key):
            return Page(self._entries, self._prefixes, self._prefixes[-1])
        return Page(self._entries, self._prefixes, key, entry)
