"""Which contents are referred to, asked by the engine, which knows of a content only its location and its label.

A label says for which key a content was written. What was written for a key is referred to by a version of that key, by a part of an
upload to it, or, after a rename, by a version of the key that ``s3_renamed`` tells. A label that says nothing of the kind belongs to
somebody else: such a content is taken for live.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam, select

from mallee.objects.engine.base import Label
from mallee.store import Bytes, Integer, Json, Text, Tx

from .rows import Piece, pieces
from .tables import CURRENT, NONCURRENT, PARTS, RENAMED, UPLOADS
from .versions import raw

_BUCKET, _KEY = bindparam("bucket_id", type_=Text()), bindparam("key", type_=Bytes())
_CURRENT = select(CURRENT.c.made, *raw(CURRENT, "content")).where(CURRENT.c.bucket_id == _BUCKET, CURRENT.c.key == _KEY)
_NONCURRENT = (
    select(NONCURRENT.c.rank, *raw(NONCURRENT, "content"))
    .where(NONCURRENT.c.bucket_id == _BUCKET, NONCURRENT.c.key == _KEY)
    .order_by(NONCURRENT.c.rank)
)
_PARTS = (
    select(PARTS.c.upload_id, PARTS.c.number, *raw(PARTS, "content"))
    .join(UPLOADS, UPLOADS.c.upload_id == PARTS.c.upload_id)
    .where(UPLOADS.c.bucket_id == _BUCKET, UPLOADS.c.key == _KEY)
)
_RENAMED = select(RENAMED.c.bucket_id, RENAMED.c.key).where(RENAMED.c.location == bindparam("location", type_=Text()))
_RENAME = sa.update(RENAMED).where(RENAMED.c.location == bindparam("old")).values(location=bindparam("new", type_=Text()))

_OF = (bindparam("of_bucket", type_=Text()), bindparam("of_key", type_=Bytes()), bindparam("of_place", type_=Integer()))
_CONTENT = bindparam("new_content", type_=Json())
_WRITE_CURRENT = sa.update(CURRENT).where(CURRENT.c.bucket_id == _OF[0], CURRENT.c.key == _OF[1]).values(content=_CONTENT)
_WRITE_NONCURRENT = (
    sa.update(NONCURRENT)
    .where(NONCURRENT.c.bucket_id == _OF[0], NONCURRENT.c.key == _OF[1], NONCURRENT.c.rank == _OF[2])
    .values(content=_CONTENT)
)
_WRITE_PART = (
    sa.update(PARTS)
    .where(PARTS.c.upload_id == bindparam("of_upload", type_=Text()), PARTS.c.number == _OF[2])
    .values(content=_CONTENT)
)

Place = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class _Holder:
    """A row that refers to contents, and how it is written."""

    content: tuple[Piece, ...]
    statement: Any
    where: dict[str, Any]


def is_live(tx: Tx, contents: Sequence[tuple[str, Label]]) -> list[bool]:
    """For engine.base.IsLive: whether a row refers to each of these (location, label)."""
    known: dict[Place, set[str]] = {}

    def held(place: Place) -> set[str]:
        found = known.get(place)
        if found is None:
            found = known[place] = {location for holder in _holders(tx, place) for location, _ in holder.content}
        return found

    return [_lives(tx, held, location, label) for location, label in contents]


def _lives(tx: Tx, held: Any, location: str, label: Label) -> bool:
    place = _place(label)
    if place is None or location in held(place):
        return True
    elsewhere = _renamed(tx, location)
    return elsewhere is not None and location in held(elsewhere)


def moved(tx: Tx, contents: Sequence[tuple[str, str, Label]]) -> list[bool]:
    """For engine.base.Moved: what refers to the old location of each (old, new, label) refers to the new one from now on; whether
    there was something."""
    return [_move(tx, old, new, label) for old, new, label in contents]


def _move(tx: Tx, old: str, new: str, label: Label) -> bool:
    place = _place(label)
    if place is None:
        return False
    if _swing(tx, place, old, new):
        return True
    elsewhere = _renamed(tx, old)
    if elsewhere is None or not _swing(tx, elsewhere, old, new):
        return False
    tx.execute_each(_RENAME, [{"old": old, "new": new}])
    return True


def _swing(tx: Tx, place: Place, old: str, new: str) -> bool:
    found = False
    for holder in _holders(tx, place):
        if any(location == old for location, _ in holder.content):
            content = [(new if location == old else location, length) for location, length in holder.content]
            found |= tx.execute_each(holder.statement, [{**holder.where, "new_content": content}]) > 0
    return found


def _place(label: Label) -> Place | None:
    try:
        return str(label["bucket"]), base64.b64decode(label["key"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None


def _renamed(tx: Tx, location: str) -> Place | None:
    found = tx.tuples(_RENAMED, location=location)
    return (found[0][0], found[0][1]) if found else None


def _holders(tx: Tx, place: Place) -> Iterator[_Holder]:
    """All rows of a key that have contents."""
    bucket_id, key = place
    at = {"of_bucket": bucket_id, "of_key": key}
    for _, content in tx.tuples(_CURRENT, bucket_id=bucket_id, key=key):
        yield _Holder(pieces(content), _WRITE_CURRENT, at)
    for rank, content in tx.tuples(_NONCURRENT, bucket_id=bucket_id, key=key):
        yield _Holder(pieces(content), _WRITE_NONCURRENT, {**at, "of_place": rank})
    for upload_id, number, content in tx.tuples(_PARTS, bucket_id=bucket_id, key=key):
        yield _Holder(pieces(content), _WRITE_PART, {"of_upload": upload_id, "of_place": number})
