"""Large objects: manifests that name the segments which an object is made of.

A static one's content is its list of segments, checked when it is put; a dynamic one's is whatever its container has under a prefix when it is
read. Both are plain objects to S3. Here is what needs no store: reading and checking lists, sizes, ETags, and which bytes of which segments a
range means. https://docs.openstack.org/swift/latest/overview_large_objects.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mallee.objects.rules import ranges
from mallee.wire.errors import AwsError

MOST_SEGMENTS: Final = 1000
MOST_DYNAMIC: Final = 10_000
DEPTH: Final = 10
STATIC, DYNAMIC = "slo", "manifest"
"""Members of ``attributes["swift"]``: ``{"slo": {"size", "etag"}}`` and ``{"manifest": "container/prefix"}``."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A segment as the client names it: ``etag`` and ``size`` as it expects them, None if it does not care."""

    path: str  # /container/object
    etag: str | None
    size: int | None
    range: str | None


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that is there. ``offset`` and ``length``: what of it counts; ``size``: of all of it."""

    path: str
    etag: str
    size: int
    offset: int
    length: int
    static: bool = False  # it is a static large object itself
    content_type: str = ""
    modified: str = ""


def asked(body: bytes) -> list[Asked]:
    """What a PUT with ``multipart-manifest=put`` brings. Raises AwsError."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _bad("Manifest must be valid JSON.") from None
    if not isinstance(document, list) or not document:
        raise _bad("Manifest must be a non-empty list.")
    if len(document) > MOST_SEGMENTS:
        raise AwsError("EntityTooLarge", f"Number of object segments must be <= {MOST_SEGMENTS}", status=413)
    return [_asked(number, each) for number, each in enumerate(document)]


def _asked(number: int, each: Any) -> Asked:
    if not isinstance(each, dict):
        raise _bad(f"Index {number}: not a JSON object")
    if "data" in each:
        raise _bad(f"Index {number}: segments of inline data are not supported")
    for name in each:
        if name not in ("path", "etag", "size_bytes", "range"):
            raise _bad(f"Index {number}: extraneous key {json.dumps(name)}")
    path, etag, size, wanted = (each.get(name) for name in ("path", "etag", "size_bytes", "range"))
    if not isinstance(path, str) or path.lstrip("/").count("/") < 1 or "\0" in path or not _is_text(path):
        raise _bad(f"Index {number}: path does not refer to an object. Path must be of the form /container/object.")
    if etag is not None and not isinstance(etag, str):
        raise _bad(f"Index {number}: etag must be a string")
    if isinstance(size, str) and size.isascii() and size.isdigit() and len(size) < 20:
        size = int(size)
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise _bad(f"Index {number}: invalid size_bytes")
    if size == 0:
        raise _bad(f"Index {number}: too small; each segment must be at least 1 byte.")
    if wanted is not None and (not isinstance(wanted, str) or wanted.count("-") != 1):
        raise _bad(f"Index {number}: invalid range")
    return Asked("/" + path.lstrip("/"), None if etag is None else etag.strip('"').lower(), size, wanted or None)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def found(each: Asked, etag: str, size: int, *, static: bool, content_type: str, modified: str) -> Segment | str:
    """The segment, as it is there; or what is wrong with it."""
    if each.etag is not None and each.etag != etag:
        return "Etag Mismatch"
    if each.size is not None and each.size != size:
        return "Size Mismatch"
    if size == 0:
        return "Too Small; each segment must be at least 1 byte."
    offset, length = 0, size
    if each.range is not None:
        try:
            part = ranges.parse(f"bytes={each.range}", size)
        except ranges.Unsatisfiable:
            part = None
        if part is None:
            return "Unsatisfiable Range"
        offset, length = part
    return Segment(each.path, etag, size, offset, length, static, content_type, modified)


def etag_of(segments: Iterable[Segment]) -> str:
    """Of the whole: the MD5 of what its segments' ETags and ranges are."""
    text = "".join(
        each.etag if each.length == each.size else f"{each.etag}:{each.offset}-{each.offset + each.length - 1};" for each in segments
    )
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def stored(segments: Iterable[Segment]) -> bytes:
    """The manifest's content."""
    return json.dumps([_member(each) for each in segments]).encode()


def _member(each: Segment) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": each.path, "hash": each.etag, "bytes": each.size, "content_type": each.content_type, "last_modified": each.modified,
    }  # fmt: skip
    if each.length != each.size:
        made["range"] = f"{each.offset}-{each.offset + each.length - 1}"
    if each.static:
        made["sub_slo"] = True
    return made


def read(content: bytes) -> list[Segment]:
    """A stored manifest. Raises AwsError for what is none: S3 may have changed nothing of it, but who knows."""
    try:
        made = []
        for each in json.loads(content):
            first, _, last = str(each.get("range") or f"0-{int(each['bytes']) - 1}").partition("-")
            made.append(
                Segment(
                    str(each["name"]), str(each["hash"]), int(each["bytes"]), int(first), int(last) - int(first) + 1,
                    bool(each.get("sub_slo")), str(each.get("content_type", "")), str(each.get("last_modified", "")),
                )
            )  # fmt: skip
        return made
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise AwsError("Conflict", "The manifest cannot be read.", status=409) from None


def raw(content: bytes) -> bytes:
    """A stored manifest in the form in which one is put (``format=raw``)."""
    rows = []
    for each in read(content):
        row: dict[str, Any] = {"path": each.path, "etag": each.etag, "size_bytes": each.size}
        if each.length != each.size:
            row["range"] = f"{each.offset}-{each.offset + each.length - 1}"
        rows.append(row)
    return json.dumps(rows).encode()


def within(segments: Sequence[Segment], offset: int, length: int) -> list[tuple[Segment, int, int]]:
    """Which bytes of which segments (first byte, count) a part of the whole is."""
    plan = []
    for each in segments:
        if length <= 0:
            break
        if offset >= each.length:
            offset -= each.length
            continue
        take = min(each.length - offset, length)
        plan.append((each, each.offset + offset, take))
        offset, length = 0, length - take
    return plan


def _bad(message: str) -> AwsError:
    return AwsError("InvalidManifest", message, status=400)
