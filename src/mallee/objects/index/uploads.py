"""Multipart uploads that are under way, their parts, and what was answered to those that were completed a short while ago.

An upload's id begins with the time, so that the uploads of one key stand in the order in which they were begun, which is AWS's. A completion is
one work of the caller's: it reads the parts, puts the version, and then calls :func:`complete`, so that of two that run at once one finds the upload
and the other finds it gone. To that other, and to a client that asks again because it did not hear the answer, :func:`completed` tells the answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam, select

from mallee.store import Bytes, Integer, Text, Timestamp, Tx
from mallee.store.types import to_micros

from . import garbage, usage
from .buckets import require_open
from .listing import leaper, leaps
from .rows import Part, Piece, Upload
from .tables import CLOSED, COMPLETED, PARTS, UPLOADS, behind
from .walk import END, Page, Position, beginning, successor, walk

REMEMBERED = timedelta(days=1)
"""How long a completion is answered again."""
MANY_PARTS = 10_000

_BUCKET, _KEY, _UPLOAD = (
    bindparam("bucket_id", type_=Text()),
    bindparam("key", type_=Bytes()),
    bindparam("upload_id", type_=Text()),
)
_COLUMNS = (UPLOADS.c.key, UPLOADS.c.upload_id, UPLOADS.c.bucket_id, *list(UPLOADS.c)[3:])
_GET = select(*_COLUMNS).where(UPLOADS.c.bucket_id == _BUCKET, UPLOADS.c.key == _KEY, UPLOADS.c.upload_id == _UPLOAD)
_RANGE = (
    select(*_COLUMNS)
    .where(
        UPLOADS.c.bucket_id == _BUCKET,
        *behind((UPLOADS.c.key, UPLOADS.c.upload_id), (bindparam("first", type_=Bytes()), bindparam("after", type_=Text()))),
        UPLOADS.c.key < bindparam("end", type_=Bytes()),
    )
    .order_by(UPLOADS.c.key, UPLOADS.c.upload_id)
    .limit(bindparam("limit", type_=Integer()))
)
_LEAP = leaps(UPLOADS)
_REMOVE = sa.delete(UPLOADS).where(
    UPLOADS.c.bucket_id == bindparam("of_bucket"),
    UPLOADS.c.key == bindparam("of_key", type_=Bytes()),
    UPLOADS.c.upload_id == bindparam("of_upload"),
)
_OF_CLOSED = (
    select(*_COLUMNS)
    .where(UPLOADS.c.bucket_id.in_(select(CLOSED.c.bucket_id)))
    .order_by(UPLOADS.c.bucket_id, UPLOADS.c.key, UPLOADS.c.upload_id)
    .limit(bindparam("limit", type_=Integer()))
)
_PART_COLUMNS = list(PARTS.c)[1:]
_PART = select(*_PART_COLUMNS).where(PARTS.c.upload_id == _UPLOAD, PARTS.c.number == bindparam("number", type_=Integer()))
_PARTS = (
    select(*_PART_COLUMNS)
    .where(PARTS.c.upload_id == _UPLOAD, PARTS.c.number > bindparam("after", type_=Integer()))
    .order_by(PARTS.c.number)
    .limit(bindparam("limit", type_=Integer()))
)
_REMOVE_PARTS = sa.delete(PARTS).where(PARTS.c.upload_id == bindparam("of_upload"))
_COMPLETED = select(COMPLETED.c.bucket_id, COMPLETED.c.key, COMPLETED.c.result).where(COMPLETED.c.upload_id == _UPLOAD)
_FORGET = sa.delete(COMPLETED).where(COMPLETED.c.at < bindparam("before", type_=Timestamp()))


def new_upload_id(now: datetime) -> str:
    """Nobody can guess it, and it sorts by time."""
    return f"{to_micros(now):014x}{secrets.token_hex(25)}"


def create(
    tx: Tx, bucket_id: str, key: bytes, *, owner: str, initiator: str, storage_class: str, attributes: dict[str, Any]
) -> Upload:
    """Raises BucketClosed."""
    require_open(tx, bucket_id)
    made = Upload(bucket_id, key, new_upload_id(tx.now), tx.now, storage_class, owner, initiator, attributes)
    tx.insert(
        UPLOADS,
        bucket_id=bucket_id,
        key=key,
        upload_id=made.upload_id,
        created=made.created,
        storage_class=storage_class,
        owner=owner,
        initiator=initiator,
        attributes=attributes or None,
    )
    usage.add(tx, bucket_id, uploads=1)
    return made


def get(tx: Tx, bucket_id: str, key: bytes, upload_id: str) -> Upload | None:
    """None: there never was one, or it is completed or aborted."""
    row = tx.first(_GET, bucket_id=bucket_id, key=key, upload_id=upload_id)
    return None if row is None else _upload(row)


def _upload(row: Any) -> Upload:
    key, upload_id, bucket_id, created, storage_class, owner, initiator, attributes = row
    return Upload(bucket_id, key, upload_id, created, storage_class, owner, initiator, attributes or {})


def find(
    tx: Tx,
    bucket_id: str,
    *,
    prefix: bytes = b"",
    delimiter: bytes = b"",
    key_marker: bytes = b"",
    upload_marker: str = "",
    limit: int = 1000,
) -> Page[Upload]:
    """Uploads under way, by key and beginning. ``upload_marker`` counts only with a ``key_marker``. The next page begins after ``page.next`` and,
    if ``page.last`` is one, that upload."""
    end = successor(prefix) or END

    def read(position: Position, many: int) -> Sequence[Any]:
        first, after = position
        return tx.all(_RANGE, bucket_id=bucket_id, first=first, after=after or "", end=end, limit=many)

    return walk(
        read,
        leaper(tx, (_LEAP,), bucket_id, prefix, delimiter),
        _upload,
        prefix=prefix,
        delimiter=delimiter,
        start=beginning(prefix, delimiter, key_marker, upload_marker or None),
        limit=limit,
        after_row=itemgetter(0, 1),
    )


def put_part(
    tx: Tx,
    upload: Upload,
    number: int,
    *,
    size: int,
    etag: str,
    content: tuple[Piece, ...],
    checksum: str = "",
    attributes: dict[str, Any] | None = None,
) -> Part | None:
    """Adds or replaces a part. None: the upload is there no more; then the caller raises, and what it wrote is given back."""
    require_open(tx, upload.bucket_id)
    if tx.first(_GET, bucket_id=upload.bucket_id, key=upload.key, upload_id=upload.upload_id) is None:
        return None
    before = part(tx, upload.upload_id, number)
    made = Part(number, tx.now, size, etag, checksum, attributes or {}, content)
    values = {
        "modified": made.modified,
        "size": size,
        "etag": etag,
        "checksum": checksum,
        "attributes": attributes or None,
        "content": content,
    }
    if before is None:
        tx.insert(PARTS, upload_id=upload.upload_id, number=number, **values)
        usage.add(tx, upload.bucket_id, upload_bytes=size)
    else:
        tx.change(PARTS, {"upload_id": upload.upload_id, "number": number}, **values)
        garbage.let_go(tx, before.content)
        usage.add(tx, upload.bucket_id, upload_bytes=size - before.size)
    return made


def part(tx: Tx, upload_id: str, number: int) -> Part | None:
    row = tx.first(_PART, upload_id=upload_id, number=number)
    return None if row is None else _part(row)


def parts(tx: Tx, upload_id: str, after: int = 0, limit: int = MANY_PARTS) -> list[Part]:
    """Those with a number greater than ``after``, in order."""
    return [_part(row) for row in tx.all(_PARTS, upload_id=upload_id, after=after, limit=limit)]


def _part(row: Any) -> Part:
    number, modified, size, etag, checksum, attributes, content = row
    pieces = tuple([(location, length) for location, length in content])
    return Part(number, modified, size, etag, checksum, attributes or {}, pieces)


def complete(tx: Tx, upload: Upload, chosen: Collection[int], result: dict[str, Any]) -> bool:
    """Ends an upload whose ``chosen`` parts a version has taken over in this transaction; the others become garbage. ``result`` is what
    :func:`completed` tells for a while. False: it is there no more."""
    if not _end(tx, upload, set(chosen)):
        return False
    tx.insert(COMPLETED, upload_id=upload.upload_id, bucket_id=upload.bucket_id, key=upload.key, at=tx.now, result=result)
    return True


def completed(tx: Tx, bucket_id: str, key: bytes, upload_id: str) -> dict[str, Any] | None:
    """What was given to :func:`complete` for this upload of this key, if that was less than a day ago."""
    row = tx.first(_COMPLETED, upload_id=upload_id)
    if row is None or row.bucket_id != bucket_id or row.key != key:
        return None
    result: dict[str, Any] = row.result
    return result


def abort(tx: Tx, upload: Upload) -> bool:
    """Ends an upload; all its parts become garbage. False: it is there no more."""
    return _end(tx, upload, set())


def _end(tx: Tx, upload: Upload, kept: set[int]) -> bool:
    key = {"of_bucket": upload.bucket_id, "of_key": upload.key, "of_upload": upload.upload_id}
    if not tx.execute_each(_REMOVE, [key]):
        return False
    size = 0
    for each in parts(tx, upload.upload_id):
        size += each.size
        if each.number not in kept:
            garbage.let_go(tx, each.content)
    tx.execute_each(_REMOVE_PARTS, [{"of_upload": upload.upload_id}])
    usage.add(tx, upload.bucket_id, uploads=-1, upload_bytes=-size)
    return True


def purge(tx: Tx, limit: int = 10) -> int:
    """Upkeep: forgets completions that are old, and aborts uploads of closed buckets, at most ``limit``; how many those were."""
    tx.execute_each(_FORGET, [{"before": tx.now - REMEMBERED}])
    aborted = sum(abort(tx, _upload(row)) for row in tx.all(_OF_CLOSED, limit=limit))
    if not aborted:
        usage.forget_closed(tx)
    return aborted
