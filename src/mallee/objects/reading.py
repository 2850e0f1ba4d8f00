"""Looking an object up for a call, and its bytes on their way out.

A version is read from the index in one snapshot and its contents are opened at once, so that an overwrite in between is seen whole or not
at all. ``pins`` keep the contents of a long download from being reclaimed while it goes on.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mallee.identity.call import Call
from mallee.objects import access, encryption, store
from mallee.objects.attributes import ARCHIVED
from mallee.objects.engine.base import Content, ContentMissing, Engine
from mallee.objects.index import locks, versions
from mallee.objects.index.rows import NULL, Version
from mallee.objects.pins import Pins
from mallee.objects.records import Bucket
from mallee.objects.rules import conditions, ranges, restores
from mallee.objects.store import Store
from mallee.wire import times
from mallee.wire.errors import AwsError

INLINE: Final = 256 * 1024
"""Bytes up to which an answer is read where it is made."""
PIECE: Final = 1024 * 1024
_ID = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


# ------------------------------------------------------------------------------------------------------------- versions


def find(objects: Store, bucket: Bucket, key: bytes, version_id: str | None) -> Version | None:
    """None also for what has expired by itself and was not removed yet: as after a delete, a version that has an id is there for whoever
    names it."""
    with objects.index.reading() as tx:
        if version_id is None:
            found = versions.current(tx, bucket.id, key)
        else:
            found = versions.version(tx, bucket.id, key, version_id)
    if found is None or (version_id is not None and found.version_id != NULL):
        return found
    return None if is_expired(found, objects.database.clock.now()) else found


def is_expired(found: Version, now: datetime.datetime) -> bool:
    """By Swift's X-Delete-At. What is locked does not expire while it is."""
    at = None if found.deleted else found.attributes.get("expires_at")
    return at is not None and at <= now.timestamp() and not locks.is_held(found.attributes.get("lock"), now)


def existing(call: Call, bucket: Bucket, key: bytes, version_id: str | None) -> Version:
    """The version that a read means. Raises NoSuchKey, NoSuchVersion, MethodNotAllowed as S3 does, AccessDenied instead of
    NoSuchKey where the caller may not list."""
    if version_id is not None:
        check_id(version_id)
    found = find(store.of(call), bucket, key, version_id)
    if found is None:
        raise missing(call, bucket, version_id)
    if found.deleted:
        raise marked(call, bucket, found, version_id)
    return found


def check_id(version_id: str) -> None:
    if version_id != "null" and (len(version_id) != 32 or not _ID.issuperset(version_id)):
        told = "Version id cannot be the empty string" if not version_id else "Invalid version id specified"
        raise AwsError("InvalidArgument", told, status=400, ArgumentName="versionId", ArgumentValue=version_id)


def missing(call: Call, bucket: Bucket, version_id: str | None, key: str | None = None) -> AwsError:
    """``key``: if it is another than the input's (a copy's source)."""
    refusal = access.missing_key_error(call, bucket, key)
    if refusal.code == "NoSuchKey" and version_id is not None:
        named = call.input.get("Key") if key is None else key
        return AwsError("NoSuchVersion", "The specified version does not exist.", status=404, Key=named, VersionId=version_id)
    return refusal


def marked(call: Call, bucket: Bucket, found: Version, version_id: str | None, key: str | None = None) -> AwsError:
    told = ((b"x-amz-delete-marker", b"true"), (b"x-amz-version-id", found.version_id.encode()))
    if version_id is not None:
        return AwsError(
            "MethodNotAllowed", "The specified method is not allowed against this resource.", status=405, Method=call_method(call),
            ResourceType="DeleteMarker",
            headers=(*told, (b"allow", b"DELETE"), (b"last-modified", times.http_date(found.modified).encode())),
        )  # fmt: skip
    refusal = access.missing_key_error(call, bucket, key)
    if refusal.code == "NoSuchKey":
        refusal.headers = told
    return refusal


def call_method(call: Call) -> str:
    """The request's, for MethodNotAllowed."""
    return next((method for start, method in _METHODS if call.operation.startswith(start)), "GET")


_METHODS: Final = (
    ("Head", "HEAD"), ("Put", "PUT"), ("Copy", "PUT"), ("Upload", "PUT"), ("Delete", "DELETE"), ("Restore", "POST"), ("Select", "POST"),
)  # fmt: skip


def check_conditions(given: Mapping[str, Any], found: Version, prefix: str = "", bucket: Bucket | None = None) -> None:
    """Raises PreconditionFailed, and NotModified (304) for a read. ``prefix``: see ``conditions.of_read``; ``bucket``: to tell the version where
    there are any."""
    verdict, header = conditions.of_read(given, found.etag, found.modified, prefix)
    if verdict == conditions.HOLDS:
        return
    if verdict == conditions.NOT_MODIFIED and not prefix:
        told = [(b"etag", f'"{found.etag}"'.encode()), (b"last-modified", times.http_date(found.modified).encode())]
        if found.version_id != "null" or (bucket is not None and bucket.versioning):
            told.append((b"x-amz-version-id", found.version_id.encode()))
        raise AwsError("NotModified", "Not Modified", status=304, headers=tuple(told))
    name = f"x-amz-copy-source-{header.lower()}" if prefix else header
    raise AwsError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", status=412, Condition=name)


def check_archived(found: Version, now: Any) -> None:
    """An archived object can't be read unless it was restored."""
    if found.storage_class not in ARCHIVED:
        return
    if restores.state(found.attributes.get("restore"), now) != restores.RESTORED:
        raise AwsError(
            "InvalidObjectState", "The operation is not valid for the object's storage class", status=403,
            StorageClass=found.storage_class,
        )  # fmt: skip


# --------------------------------------------------------------------------------------------------------------- ranges


class Window:
    """What part of a version is asked for: ``offset`` and ``length`` in the whole, and what the answer says of it."""

    __slots__ = ("length", "offset", "partial", "parts")

    def __init__(self, offset: int, length: int, partial: bool = False, parts: int | None = None) -> None:
        self.offset = offset
        self.length = length
        self.partial = partial
        self.parts = parts


def window(call: Call, found: Version) -> Window:
    """By Range or PartNumber. Raises InvalidRange, InvalidPartNumber."""
    given = call.input
    header, number = given.get("Range"), given.get("PartNumber")
    if header is not None and not conditions.of_range(call.header(b"if-range"), found.etag, found.modified):
        header = None
    size = found.size
    parts = found.attributes.get("parts")
    if number is not None:
        if header is not None:
            raise AwsError("InvalidRequest", "Cannot specify both Range header and partNumber query parameter", status=400)
        if not 1 <= number <= 10_000:
            told = "Part number must be an integer between 1 and 10000, inclusive"
            raise AwsError("InvalidArgument", told, status=400, ArgumentName="partNumber", ArgumentValue=str(number))
        if number > len(parts or (0,)):
            raise AwsError(
                "InvalidPartNumber", "The requested partnumber is not satisfiable", status=416, PartNumberRequested=number,
                ActualPartCount=len(parts or (0,)),
            )  # fmt: skip
        if parts is None:
            return Window(0, size, True)
        offset = sum(length for length, *_ in parts[: number - 1])
        return Window(offset, parts[number - 1][0], True, len(parts))
    try:
        asked = ranges.parse(header, size)
    except ranges.Unsatisfiable:
        raise AwsError(
            "InvalidRange", "The requested range is not satisfiable", status=416, RangeRequested=header, ActualObjectSize=size,
            headers=((b"content-range", f"bytes */{size}".encode()),),
        ) from None  # fmt: skip
    return Window(0, size) if asked is None else Window(*asked, True)


# ---------------------------------------------------------------------------------------------------------------- bytes


class Outflow:
    """A range of an object, in pieces: ``http.streams.Stream``."""

    def __init__(
        self, engine: Engine, pins: Pins, pieces: Sequence[tuple[str, int]], offset: int, length: int, opener: encryption.Opener | None
    ) -> None:
        self.length = length
        self._engine = engine
        self._pins = pins
        self._opener = opener
        self._left = length
        self._plan: list[tuple[str, int, int, int]] = []  # location, its length, first byte, bytes
        for location, size in pieces:
            if offset >= size:
                offset -= size
                continue
            take = min(size - offset, length)
            if take <= 0:
                break
            self._plan.append((location, size, offset, take))
            offset, length = 0, length - take
        self._plan.reverse()
        self._locations = [location for location, *_ in self._plan]
        pins.add(self._locations)
        self._content: Content | None = None
        self._at = self._end = 0
        self._closed = False
        try:
            self._next()
        except BaseException:
            self.close()
            raise

    def _next(self) -> None:
        if self._content is not None:
            self._content.close()
            self._content = None
        if not self._plan:
            return
        location, size, offset, take = self._plan.pop()
        content = self._engine.open(location)
        self._content = content if self._opener is None else self._opener.opened(content, size)
        self._at, self._end = offset, offset + take

    def read(self, most: int = PIECE) -> bytes:
        """The next piece; b"" at the end."""
        if self._content is None:
            return b""
        if self._at >= self._end:
            self._next()
            return self.read(most)
        take = min(most, self._end - self._at)
        data = self._content.read(self._at, take)
        self._at += take
        self._left -= take
        return data

    def all(self) -> bytes:
        parts = []
        while piece := self.read():
            parts.append(piece)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._content is not None:
            self._content.close()
            self._content = None
        self._pins.drop(self._locations)


def body(objects: Store, found: Version, offset: int, length: int, opener: encryption.Opener | None) -> bytes | Outflow:
    """Raises ContentMissing when the version was removed since it was read from the index: look again."""
    if length == 0:
        return b""
    flow = Outflow(objects.engine, objects.pins, found.content, offset, length, opener)
    if length > INLINE:
        return flow
    try:
        return flow.all()
    finally:
        flow.close()


TRIES: Final = 5


def opened(call: Call, bucket: Bucket, key: bytes, version_id: str | None, answer: Any) -> Any:
    """``answer(version)``, again with a version read anew when its bytes went away meanwhile."""
    for _ in range(TRIES - 1):
        try:
            return answer(existing(call, bucket, key, version_id))
        except ContentMissing:
            continue
    return answer(existing(call, bucket, key, version_id))
