"""What the rows of the index are in Python.

A :class:`Version` is one version of a key, or a delete marker. It parses its attributes and its content when they are asked for: most who look for a
version want a few of its columns. Like all rows it is never changed; ``versions.change`` writes.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mallee.store.types import from_micros

Piece = tuple[str, int]
"""A location of the engine, and the plain length of what is there. A content is its pieces, one after the other."""

NULL = "null"
"""The version id of what is put while versioning was never enabled, or is suspended."""

ENABLED, SUSPENDED, NEVER = "Enabled", "Suspended", ""


class BucketClosed(Exception):
    """The bucket is being deleted: it takes nothing any more."""


def new_version_id() -> str:
    """As AWS's: 32 characters that need no quoting in a URL."""
    return secrets.token_urlsafe(24).replace("-", ".")


class Version:
    """``made`` orders the versions of a key, newest greatest. ``since``: when it became noncurrent, None for the latest. A delete marker
    has no content and no attributes."""

    __slots__ = (
        "_attributes",
        "_content",
        "bucket_id",
        "checksum",
        "deleted",
        "etag",
        "is_latest",
        "key",
        "made",
        "modified",
        "owner",
        "since",
        "size",
        "storage_class",
        "version_id",
    )

    def __init__(
        self,
        bucket_id: str,
        key: bytes,
        made: int,
        version_id: str,
        modified: datetime,
        size: int,
        etag: str,
        storage_class: str,
        owner: str,
        checksum: str,
        attributes: str | dict[str, Any] | None,
        content: str | tuple[Piece, ...],
        deleted: bool = False,
        is_latest: bool = True,
        since: datetime | None = None,
    ) -> None:
        self.bucket_id = bucket_id
        self.key = key
        self.made = made
        self.version_id = version_id
        self.modified = modified
        self.size = size
        self.etag = etag
        self.storage_class = storage_class
        self.owner = owner
        self.checksum = checksum
        self._attributes = attributes
        self._content = content
        self.deleted = deleted
        self.is_latest = is_latest
        self.since = since

    @property
    def attributes(self) -> dict[str, Any]:
        """Of this object alone: whoever wants to change them copies them."""
        found = self._attributes
        if isinstance(found, dict):
            return found
        made: dict[str, Any] = json.loads(found) if found else {}
        self._attributes = made
        return made

    @property
    def content(self) -> tuple[Piece, ...]:
        found = self._content
        if isinstance(found, str):
            found = self._content = pieces(found)
        return found

    def _all(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name.lstrip("_")) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._all() == other._all()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        what = "delete marker" if self.deleted else f"{self.size} bytes"
        latest = ", latest" if self.is_latest else ""
        return f"<Version {self.bucket_id}/{self.key!r} {self.version_id} made {self.made}: {what}{latest}>"


def pieces(text: str) -> tuple[Piece, ...]:
    return tuple([(location, length) for location, length in json.loads(text)])


@dataclass(frozen=True, slots=True)
class New:
    """A version that is to be put. ``version_id`` counts where versioning is enabled (a replica brings that of its original, others may draw it
    with :func:`new_version_id` before they write a label); ``modified`` is the transaction's time unless given."""

    bucket_id: str
    key: bytes
    size: int
    etag: str
    owner: str
    content: tuple[Piece, ...]
    storage_class: str = "STANDARD"
    checksum: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    version_id: str | None = None
    modified: datetime | None = None


class Entry:
    """A line of a listing."""

    __slots__ = (
        "checksum",
        "deleted",
        "etag",
        "is_latest",
        "key",
        "modified",
        "owner",
        "size",
        "storage_class",
        "version_id",
    )

    def __init__(
        self,
        key: bytes,
        version_id: str,
        modified: int,
        size: int,
        etag: str,
        storage_class: str,
        owner: str,
        checksum: str,
        deleted: bool = False,
        is_latest: bool = True,
    ) -> None:
        self.key = key
        self.version_id = version_id
        self.modified = from_micros(modified)
        self.size = size
        self.etag = etag
        self.storage_class = storage_class
        self.owner = owner
        self.checksum = checksum
        self.deleted = deleted
        self.is_latest = is_latest

    def __repr__(self) -> str:
        return f"<Entry {self.key!r} {self.version_id}{' deleted' if self.deleted else ''}>"


@dataclass(frozen=True, slots=True)
class Upload:
    bucket_id: str
    key: bytes
    upload_id: str
    created: datetime
    storage_class: str
    owner: str
    initiator: str
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    modified: datetime
    size: int
    etag: str
    checksum: str
    attributes: dict[str, Any]
    content: tuple[Piece, ...]
