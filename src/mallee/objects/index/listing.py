"""Listings: pages of keys, in the order of their bytes, with what has the delimiter rolled up.

A page is a walk along the primary key that jumps: behind a common prefix it goes on at the prefix's successor, whatever there is under it. How
much is read at once follows what was of use: where little is rolled up, a chunk of rows; where much is, a few. The walk itself (:func:`walk`)
knows no database: it takes a function that reads rows of a range.

AWS: "CommonPrefixes is filtered out from results if it is not lexicographically greater than the StartAfter value", so a page that begins after
a key within a common prefix begins behind that prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import bindparam, select

from mallee.store import Bytes, Integer, Text, Tx

from .rows import Entry
from .tables import CURRENT
from .versions import raw

T = TypeVar("T")

Rows = Sequence[Any]
Read = Callable[[bytes, int], Rows]
"""``read(first, limit)``: the first rows from the key ``first`` on, in order, at most ``limit``; a row's first column is its key."""

FEW, MANY = 4, 1024


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """``next``: what to begin after for the next page; None if this is the last."""

    entries: list[T]
    prefixes: list[bytes]
    next: bytes | None


def successor(prefix: bytes) -> bytes | None:
    """The least key that is greater than all keys that begin with ``prefix``; None if there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def beginning(prefix: bytes, delimiter: bytes, after: bytes) -> bytes | None:
    """The first key that a page may show; None if there can be none."""
    if after < prefix:
        return prefix
    if not after.startswith(prefix):
        return None
    if delimiter:
        found = after.find(delimiter, len(prefix))
        if found >= 0:
            return successor(after[: found + len(delimiter)])
    return after + b"\0"


def walk(read: Read, make: Callable[[Any], T], *, prefix: bytes, delimiter: bytes, after: bytes, limit: int) -> Page[T]:
    """One page of ``limit`` entries and prefixes together. ``read`` gives no row beyond the prefix."""
    entries: list[T] = []
    prefixes: list[bytes] = []
    if limit <= 0:
        return Page(entries, prefixes, None)
    position = beginning(prefix, delimiter, after)
    offset, room, chunk = len(prefix), limit, min(limit + 1, MANY)
    last = b""
    while position is not None:
        rows = read(position, chunk)
        before, rolled = room, None
        for row in rows:
            key = row[0]
            if rolled is not None and key.startswith(rolled):
                continue
            if not room:
                return Page(entries, prefixes, last)
            end = key.find(delimiter, offset) if delimiter else -1
            if end >= 0:
                last = rolled = key[: end + len(delimiter)]
                prefixes.append(rolled)
            else:
                rolled = None
                last = key
                entries.append(make(row))
            room -= 1
        if len(rows) < chunk:
            break
        position = successor(rolled) if rolled is not None else rows[-1][0] + b"\0"
        chunk = _next_chunk(len(rows), before - room, room)
    return Page(entries, prefixes, None)


def _next_chunk(read: int, used: int, room: int) -> int:
    """As many rows as were of use among those of the last chunk, and then some."""
    return min(max(FEW, 2 * used if used * 2 > read else used + 1), room + 1, MANY)


_COLUMNS = ("key", "version_id", "modified", "size", "etag", "storage_class", "owner", "checksum")
_RANGE = (
    select(*raw(CURRENT, *_COLUMNS))
    .where(CURRENT.c.bucket_id == bindparam("bucket_id", type_=Text()), CURRENT.c.key >= bindparam("first", type_=Bytes()))
    .order_by(CURRENT.c.key)
    .limit(bindparam("limit", type_=Integer()))
)
_RANGE_TO = _RANGE.where(CURRENT.c.key < bindparam("end", type_=Bytes()))


def _entry(row: Any) -> Entry:
    return Entry(*row)


def objects(
    tx: Tx, bucket_id: str, *, prefix: bytes = b"", delimiter: bytes = b"", after: bytes = b"", limit: int = 1000
) -> Page[Entry]:
    """The latest versions that are no delete markers."""
    end = successor(prefix)

    def read(first: bytes, many: int) -> Rows:
        if end is None:
            return tx.tuples(_RANGE, bucket_id=bucket_id, first=first, limit=many)
        return tx.tuples(_RANGE_TO, bucket_id=bucket_id, first=first, end=end, limit=many)

    return walk(read, _entry, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
