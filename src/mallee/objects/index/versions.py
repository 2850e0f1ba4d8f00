"""The versions of a key: what the latest is, what a put replaces, what a delete leaves.

As AWS has it ("How S3 Versioning works", "Working with objects in a versioning-suspended bucket"): where versioning was never enabled a key has
one version, whose id is ``null``; a put replaces it, a delete removes it. Enabled: each put adds a version, a delete adds a delete marker. Suspended:
a put replaces the null version wherever it stands among the others, a delete replaces it by a null delete marker; all others stay. Whatever
the state, a delete of one version removes that version, and the next newest becomes the latest.

The state that a caller brings may be some seconds old. So where versions with ids are found although it says "never", it is taken for suspended:
nothing that has an id is lost by a put or delete that names none.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam, select, type_coerce

from mallee.store import Bytes, Flag, Integer, Text, Timestamp, Tx
from mallee.store.types import from_micros, to_micros

from . import garbage, locks, usage
from .rows import ENABLED, NEVER, NULL, BucketClosed, New, Piece, Version, new_version_id
from .tables import CLOSED, CURRENT, NONCURRENT

_MADE = "mallee.objects.index.made"
_BUCKET, _KEY = bindparam("bucket_id", type_=Text()), bindparam("key", type_=Bytes())
_VERSION_ID = bindparam("version_id", type_=Text())

REST = ("version_id", "modified", "size", "etag", "storage_class", "owner", "checksum", "attributes", "content")
"""The columns that both tables have, beside their keys."""
_RAW: dict[str, Any] = {"modified": Integer(), "attributes": Text(), "content": Text()}


def raw(table: sa.Table, *names: str) -> list[Any]:
    """Columns as the driver gives them: times in µs, JSON as text."""
    return [type_coerce(table.c[n], _RAW[n]).label(n) if n in _RAW else table.c[n] for n in names]


_AT = (CURRENT.c.bucket_id == _BUCKET, CURRENT.c.key == _KEY)
_BEFORE = (NONCURRENT.c.bucket_id == _BUCKET, NONCURRENT.c.key == _KEY)
_SINCE = type_coerce(NONCURRENT.c.since, Integer()).label("since")
_FLAG = sa.cast(NONCURRENT.c.deleted, sa.Integer).label("deleted")

_CURRENT = select(CURRENT.c.made, *raw(CURRENT, *REST)).where(*_AT)
OLDER = select(NONCURRENT.c.rank, *raw(NONCURRENT, *REST), _FLAG, _SINCE)
_MARKER = OLDER.where(*_BEFORE, NONCURRENT.c.since.is_(None)).order_by(NONCURRENT.c.rank).limit(1)
_BY_ID = OLDER.where(*_BEFORE, NONCURRENT.c.version_id == _VERSION_ID)
_NEWEST_RANK = select(sa.func.min(NONCURRENT.c.rank)).where(*_BEFORE).scalar_subquery()
_STANDING = select(
    select(CLOSED.c.bucket_id).where(CLOSED.c.bucket_id == _BUCKET).scalar_subquery().label("closed"),
    *[column.label(f"latest_{column.name}") for column in raw(CURRENT, "made", "version_id", "size", "content", "attributes")],
    NONCURRENT.c.rank,
    NONCURRENT.c.version_id,
).select_from(
    select(sa.literal(1, Integer()).label("one"))
    .subquery()
    .outerjoin(CURRENT, sa.and_(*_AT))
    .outerjoin(NONCURRENT, sa.and_(CURRENT.c.made.is_(None), *_BEFORE, NONCURRENT.c.rank == _NEWEST_RANK))
)
"""Whether the bucket is closed, what the latest version of a key is, or which delete marker stands there, in one look."""
_NEWEST = (
    select(NONCURRENT.c.rank, NONCURRENT.c.version_id, _FLAG, NONCURRENT.c.size)
    .where(*_BEFORE)
    .order_by(NONCURRENT.c.rank)
    .limit(1)
)

_HERE = (CURRENT.c.bucket_id == bindparam("of_bucket", type_=Text()), CURRENT.c.key == bindparam("of_key", type_=Bytes()))
_THERE = (
    NONCURRENT.c.bucket_id == bindparam("of_bucket", type_=Text()),
    NONCURRENT.c.key == bindparam("of_key", type_=Bytes()),
    NONCURRENT.c.rank == bindparam("of_rank", type_=Integer()),
)
_INSERT = sa.insert(CURRENT)
_REPLACE = sa.update(CURRENT).where(*_HERE).values({n: bindparam(f"new_{n}", type_=CURRENT.c[n].type) for n in ("made", *REST)})
_REMOVE = sa.delete(CURRENT).where(*_HERE)
_INSERT_OLDER = sa.insert(NONCURRENT)
_REMOVE_OLDER = sa.delete(NONCURRENT).where(*_THERE)
_SUPERSEDE = sa.update(NONCURRENT).where(*_THERE).values(since=bindparam("new_since", type_=Timestamp()))
_DEMOTE = sa.insert(NONCURRENT).from_select(
    ["bucket_id", "key", "rank", "since", "deleted", *REST],
    select(
        CURRENT.c.bucket_id,
        CURRENT.c.key,
        -CURRENT.c.made,
        bindparam("new_since", type_=Timestamp()),
        bindparam("new_deleted", type_=Flag()),
        *[CURRENT.c[name] for name in REST],
    ).where(*_HERE),
)
_PROMOTE = sa.insert(CURRENT).from_select(
    ["bucket_id", "key", "made", *REST],
    select(NONCURRENT.c.bucket_id, NONCURRENT.c.key, -NONCURRENT.c.rank, *[NONCURRENT.c[name] for name in REST]).where(*_THERE),
)


def current(tx: Tx, bucket_id: str, key: bytes) -> Version | None:
    """The latest version, which may be a delete marker; None if the key has none at all."""
    found = tx.tuples(_CURRENT, bucket_id=bucket_id, key=key)
    if found:
        made, version_id, modified, *rest = found[0]
        return Version(bucket_id, key, made, version_id, from_micros(modified), *rest)
    older = tx.tuples(_MARKER, bucket_id=bucket_id, key=key)
    return from_older(bucket_id, key, older[0]) if older else None


def version(tx: Tx, bucket_id: str, key: bytes, version_id: str) -> Version | None:
    """The version or delete marker of this id ("null" is one, too)."""
    found = tx.tuples(_CURRENT, bucket_id=bucket_id, key=key)
    if found and found[0][1] == version_id:
        made, version_id, modified, *rest = found[0]
        return Version(bucket_id, key, made, version_id, from_micros(modified), *rest)
    older = tx.tuples(_BY_ID, bucket_id=bucket_id, key=key, version_id=version_id)
    return from_older(bucket_id, key, older[0]) if older else None


_MADE_BY_ID = select(CURRENT.c.made).where(*_AT, CURRENT.c.version_id == _VERSION_ID)
_RANK_BY_ID = select(NONCURRENT.c.rank).where(*_BEFORE, NONCURRENT.c.version_id == _VERSION_ID)


def place(tx: Tx, bucket_id: str, key: bytes, version_id: str) -> int | None:
    """Where the version stands among those of its key, by the order of ``s3_noncurrent.rank``; None if there is none."""
    made = tx.value(_MADE_BY_ID, bucket_id=bucket_id, key=key, version_id=version_id)
    if made is not None:
        return -int(made)
    rank = tx.value(_RANK_BY_ID, bucket_id=bucket_id, key=key, version_id=version_id)
    return None if rank is None else int(rank)


def from_older(bucket_id: str, key: bytes, row: Any) -> Version:
    rank, version_id, modified, *rest, deleted, since = row
    found = Version(bucket_id, key, -rank, version_id, from_micros(modified), *rest)
    found.deleted, found.is_latest = bool(deleted), since is None
    found.since = None if since is None else from_micros(since)
    return found


def put(tx: Tx, versioning: str, new: New, *, made: int | None = None) -> Version:
    """Makes ``new`` the latest version of its key. Contents that nothing refers to any more become garbage. ``made``: a replica's, later than
    what is there (``placing``). Raises BucketClosed, VersionLocked."""
    bucket_id, key = new.bucket_id, new.key
    standing = _stand(tx, bucket_id, key)
    if standing.closed:
        raise BucketClosed(bucket_id)
    latest = standing.latest
    version_id = (new.version_id or new_version_id()) if versioning == ENABLED else NULL
    if versioning == ENABLED and new.version_id is not None:
        again = version(tx, bucket_id, key, version_id)
        if again is not None:
            return _replace(tx, again, new)
    replaced = _displace(tx, bucket_id, key, standing, version_id)
    made = _moment(tx, replaced.newest) if made is None else made
    modified = new.modified or tx.now
    values = {
        "version_id": version_id,
        "modified": modified,
        "size": new.size,
        "etag": new.etag,
        "storage_class": new.storage_class,
        "owner": new.owner,
        "checksum": new.checksum,
        "attributes": new.attributes or None,
        "content": new.content,
    }
    if latest is not None:
        more = {f"new_{name}": value for name, value in values.items()}
        tx.execute_each(_REPLACE, [{"of_bucket": bucket_id, "of_key": key, "new_made": made, **more}])
        usage.add(tx, bucket_id, 0, new.size - latest[2], replaced.noncurrent, replaced.noncurrent_bytes)
    else:
        tx.execute_each(_INSERT, [{"bucket_id": bucket_id, "key": key, "made": made, **values}])
        usage.add(tx, bucket_id, 1, new.size, replaced.noncurrent, replaced.noncurrent_bytes)
    return Version(
        bucket_id,
        key,
        made,
        version_id,
        modified,
        new.size,
        new.etag,
        new.storage_class,
        new.owner,
        new.checksum,
        new.attributes,
        new.content,
    )


class _Standing(NamedTuple):
    """How a key stands before a change."""

    closed: bool
    latest: tuple[int, str, int, str, str | None] | None
    """``made``, id, size, content and attributes of the latest version, unless that is a delete marker."""
    marker: tuple[int, str] | None
    """``rank`` and id of the delete marker that is the latest."""


def _stand(tx: Tx, bucket_id: str, key: bytes) -> _Standing:
    closed, made, version_id, size, content, kept, rank, marker_id = tx.tuples(_STANDING, bucket_id=bucket_id, key=key)[0]
    latest = None if made is None else (made, version_id, size, content, kept)
    return _Standing(closed is not None, latest, None if rank is None else (rank, marker_id))


class _Displaced:
    """What a new version has done to those before it: the newest of all, and the change of what is noncurrent."""

    __slots__ = ("newest", "noncurrent", "noncurrent_bytes")

    def __init__(self, newest: int, noncurrent: int = 0, noncurrent_bytes: int = 0) -> None:
        self.newest = newest
        self.noncurrent = noncurrent
        self.noncurrent_bytes = noncurrent_bytes


def _displace(tx: Tx, bucket_id: str, key: bytes, standing: _Standing, version_id: str) -> _Displaced:
    """Makes room for a new latest version of this id. The row of the latest stays where it is, to be written over or removed: here its
    content is let go of, or copied to the older ones."""
    if standing.latest is not None:
        made, latest_id, size, content, kept = standing.latest
        if latest_id == NULL == version_id:
            locks.require_free(kept, tx.now)
            garbage.let_go(tx, content)
            return _Displaced(made)
        done = _Displaced(made, 1, size)
        if version_id == NULL:
            _drop_null(tx, bucket_id, key, done)
        here = {"of_bucket": bucket_id, "of_key": key}
        tx.execute_each(_DEMOTE, [{**here, "new_since": tx.now, "new_deleted": False}])
        return done
    if standing.marker is None:
        return _Displaced(0)
    rank, marker_id = standing.marker
    done = _Displaced(-rank)
    if version_id == NULL:
        _drop_null(tx, bucket_id, key, done)
    if not marker_id == NULL == version_id:
        there = {"of_bucket": bucket_id, "of_key": key, "of_rank": rank}
        tx.execute_each(_SUPERSEDE, [{**there, "new_since": tx.now}])
    return done


def _drop_null(tx: Tx, bucket_id: str, key: bytes, done: _Displaced) -> None:
    """Removes the null version, if there is one among the older ones."""
    found = tx.tuples(_BY_ID, bucket_id=bucket_id, key=key, version_id=NULL)
    if found:
        null = from_older(bucket_id, key, found[0])
        if locks.is_held(null.attributes.get("lock"), tx.now):
            raise locks.VersionLocked
        tx.execute_each(_REMOVE_OLDER, [{"of_bucket": bucket_id, "of_key": key, "of_rank": -null.made}])
        garbage.let_go(tx, null.content)
        done.noncurrent -= 1
        done.noncurrent_bytes -= null.size


def _moment(tx: Tx, newest: int) -> int:
    """The next ``made`` of a key: after its newest, and after all that this process has made, whatever the clock says."""
    memory = tx.memory
    made: int = max(to_micros(tx.now), newest + 1, memory.get(_MADE, 0) + 1)
    memory[_MADE] = made
    return made


def delete(
    tx: Tx,
    versioning: str,
    bucket_id: str,
    key: bytes,
    owner: str,
    *,
    version_id: str | None = None,
    modified: datetime | None = None,
    made: int | None = None,
) -> Version | None:
    """A delete that names no version: the delete marker that it made, or None where versioning was never enabled and the null version
    is gone. ``version_id``, ``modified``, ``made``: a replica's. Raises BucketClosed where it would make a marker."""
    standing = _stand(tx, bucket_id, key)
    latest = standing.latest
    if versioning == NEVER:
        if latest is None:
            return None  # nothing to hide: a marker that is the latest stays
        if latest[1] == NULL:
            locks.require_free(latest[4], tx.now)
            _remove_latest(tx, bucket_id, key, latest)
            return None
    if standing.closed:
        raise BucketClosed(bucket_id)
    marker_id = (version_id or new_version_id()) if versioning == ENABLED else NULL
    if version_id is not None and versioning == ENABLED:
        again = version(tx, bucket_id, key, version_id)
        if again is not None:
            return again
    displaced = _displace(tx, bucket_id, key, standing, marker_id)
    if latest is not None:
        tx.execute_each(_REMOVE, [{"of_bucket": bucket_id, "of_key": key}])
        usage.add(tx, bucket_id, -1, -latest[2])
    usage.add(tx, bucket_id, 0, 0, displaced.noncurrent + 1, displaced.noncurrent_bytes)
    made = _moment(tx, displaced.newest) if made is None else made
    moment = modified or tx.now
    row = {
        "bucket_id": bucket_id,
        "key": key,
        "rank": -made,
        "since": None,
        "deleted": True,
        "version_id": marker_id,
        "modified": moment,
        "size": 0,
        "etag": "",
        "storage_class": "",
        "owner": owner,
        "checksum": "",
        "attributes": None,
        "content": (),
    }
    tx.execute_each(_INSERT_OLDER, [row])
    return Version(bucket_id, key, made, marker_id, moment, 0, "", "", owner, "", None, (), True)


def _remove_latest(tx: Tx, bucket_id: str, key: bytes, latest: Any) -> None:
    """Removes the latest version's row; the newest of the older ones, if there are any, takes its place."""
    tx.execute_each(_REMOVE, [{"of_bucket": bucket_id, "of_key": key}])
    garbage.let_go(tx, latest[3])
    usage.add(tx, bucket_id, -1, -latest[2])
    _promote(tx, bucket_id, key)


def _promote(tx: Tx, bucket_id: str, key: bytes) -> None:
    newest = tx.tuples(_NEWEST, bucket_id=bucket_id, key=key)
    if not newest:
        return
    rank, _, deleted, size = newest[0]
    there = {"of_bucket": bucket_id, "of_key": key, "of_rank": rank}
    if deleted:
        tx.execute_each(_SUPERSEDE, [{**there, "new_since": None}])
    else:
        tx.execute_each(_PROMOTE, [there])
        tx.execute_each(_REMOVE_OLDER, [there])
        usage.add(tx, bucket_id, 1, size, -1, -size)


def delete_version(tx: Tx, bucket_id: str, key: bytes, version_id: str) -> Version | None:
    """Removes one version or delete marker for ever; what it was. The next newest becomes the latest."""
    gone = version(tx, bucket_id, key, version_id)
    if gone is None:
        return None
    if gone.is_latest and not gone.deleted:
        _remove_latest(tx, bucket_id, key, (gone.made, version_id, gone.size, gone.content))
        return gone
    tx.execute_each(_REMOVE_OLDER, [{"of_bucket": bucket_id, "of_key": key, "of_rank": -gone.made}])
    garbage.let_go(tx, gone.content)
    usage.add(tx, bucket_id, 0, 0, -1, -gone.size)
    if gone.is_latest:
        _promote(tx, bucket_id, key)
    return gone


_CHANGES = ("modified", "size", "etag", "storage_class", "owner", "checksum", "attributes", "content")
_CHANGE = sa.update(CURRENT).where(*_HERE).values({n: bindparam(f"new_{n}", type_=CURRENT.c[n].type) for n in _CHANGES})
_CHANGE_OLDER = (
    sa.update(NONCURRENT).where(*_THERE).values({n: bindparam(f"new_{n}", type_=NONCURRENT.c[n].type) for n in _CHANGES})
)


def change(
    tx: Tx,
    version: Version,
    *,
    attributes: dict[str, Any] | None = None,
    storage_class: str | None = None,
    content: tuple[Piece, ...] | None = None,
    size: int | None = None,
    etag: str | None = None,
    checksum: str | None = None,
    owner: str | None = None,
    modified: datetime | None = None,
) -> Version | None:
    """Gives one version other values, whether or not it is the latest by now; what it is then. None: it is no longer there as it was.
    Pieces that ``content`` no longer has become garbage. What is not named stays as the row has it, not as ``version`` had it."""
    there = _again(tx, version)
    if there is None or there.deleted:
        return None
    given = {
        "attributes": attributes,
        "storage_class": storage_class,
        "content": content,
        "size": size,
        "etag": etag,
        "checksum": checksum,
        "owner": owner,
        "modified": modified,
    }
    values = {name: getattr(there, name) if given[name] is None else given[name] for name in _CHANGES}
    if content is not None:
        kept = {location for location, _ in content}
        garbage.let_go(tx, [piece for piece in there.content if piece[0] not in kept])
    return _write(tx, there, values)


def _replace(tx: Tx, there: Version, new: New) -> Version:
    """A replica that comes once more."""
    values = {name: getattr(new, name) for name in _CHANGES} | {"modified": new.modified or there.modified}
    kept = {location for location, _ in new.content}
    garbage.let_go(tx, [piece for piece in there.content if piece[0] not in kept])
    return _write(tx, there, values)


def _write(tx: Tx, there: Version, values: dict[str, Any]) -> Version:
    row = {"of_bucket": there.bucket_id, "of_key": there.key, **{f"new_{name}": value for name, value in values.items()}}
    row["new_attributes"] = row["new_attributes"] or None
    more = values["size"] - there.size
    if there.is_latest:
        tx.execute_each(_CHANGE, [row])
        usage.add(tx, there.bucket_id, 0, more)
    else:
        tx.execute_each(_CHANGE_OLDER, [{**row, "of_rank": -there.made}])
        usage.add(tx, there.bucket_id, 0, 0, 0, more)
    return Version(
        there.bucket_id,
        there.key,
        there.made,
        there.version_id,
        **values,
        deleted=False,
        is_latest=there.is_latest,
        since=there.since,
    )


def _again(tx: Tx, known: Version) -> Version | None:
    found = version(tx, known.bucket_id, known.key, known.version_id)
    return found if found is not None and found.made == known.made else None


def lift(tx: Tx, latest: Version) -> None:
    """Removes the row of a latest version that has no others of its key, and keeps its contents: somebody else refers to them."""
    tx.execute_each(_REMOVE, [{"of_bucket": latest.bucket_id, "of_key": latest.key}])
    usage.add(tx, latest.bucket_id, -1, -latest.size)
