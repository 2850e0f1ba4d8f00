"""Large objects on their way out: the segments that a manifest names, one after the other, each read as its reader may read it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from mallee.http.streams import _parsed
from mallee.http.swift_calls import SwiftCalls, Visit, place
from mallee.objects.index.rows import Version
from mallee.objects.rules import conditions, ranges
from mallee.objects.swift import large, paths
from mallee.objects.swift.large import Segment
from mallee.objects.swift.operations import Seen
from mallee.wire import AwsError, Headers
from mallee.wire.times import http_date

log = logging.getLogger("mallee.objects")

PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Large:
    """What a manifest stands for. ``etag`` without quotes."""

    version: Version  # the manifest
    segments: list[Segment]
    size: int
    etag: str
    modified: Any


class Segments:
    """A part of a large object, in pieces: ``http.streams.Stream``. Nested manifests are read when it is their turn."""

    def __init__(
        self, plan: list[tuple[Segment, int, int]], length: int, opened: Callable[[Segment, int, int], Any],
        nested: Callable[[Segment], list[Segment]],
    ) -> None:  # fmt: skip
        self.length = length
        self._opened = opened
        self._nested = nested
        self._stack = [(*each, 0) for each in reversed(plan)]
        self._current: Any = None
        self._ahead: bytes | None = None
        try:
            self._ahead = self._read(PIECE)  # so that a first segment which is not there is refused in the answer's head
        except BaseException:
            self.close()
            raise

    def read(self, most: int = PIECE) -> bytes:
        ahead, self._ahead = self._ahead, None
        return ahead if ahead is not None else self._read(most)

    def _read(self, most: int) -> bytes:
        while True:
            if self._current is None:
                if not self._stack:
                    return b""
                self._next()
                continue
            if isinstance(self._current, bytes):
                piece, self._current = self._current, None
            else:
                piece = self._current.read(most)
            if piece:
                return bytes(piece)
            self._end()

    def _next(self) -> None:
        segment, offset, length, depth = self._stack.pop()
        if not segment.static:
            self._current = self._opened(segment, offset, length)
            return
        if depth >= large.DEPTH:
            raise conflict("Max recursion depth exceeded")
        plan = large.within(self._nested(segment), offset, length)
        self._stack += [(*each, depth + 1) for each in reversed(plan)]

    def _end(self) -> None:
        current, self._current = self._current, None
        if hasattr(current, "close"):
            current.close()

    def close(self) -> None:
        self._stack.clear()
        self._end()


class SwiftLarge(SwiftCalls):
    """All of it in workers' threads."""

    def _large(self, call: Visit, seen: Seen, container: str, key: str, account_id: str | None = None) -> Large:
        version, kept = seen.version, seen.swift
        if large.STATIC in kept:
            whole = self._see(call, container, key, [], whole=True, account_id=account_id)
            if large.STATIC in whole.swift:
                told = whole.swift[large.STATIC]
                return Large(whole.version, large.read(_bytes(whole)), int(told["size"]), str(told["etag"]), whole.version.modified)
            raise conflict("The object was replaced meanwhile.")
        segments, modified = self._dynamic(call, str(kept[large.DYNAMIC]), account_id)
        moments = [version.modified, *modified]
        return Large(version, segments, sum(each.length for each in segments), large.etag_of(segments), max(moments))

    def _dynamic(self, call: Visit, manifest: str, account_id: str | None = None) -> tuple[list[Segment], list[Any]]:
        container, _, prefix = manifest.partition("/")
        self._bucket(call, container, account_id)
        given = {"Bucket": container, "Prefix": prefix, "Limit": large.MOST_DYNAMIC + 1}
        found = self._go(self._own(self._further(call), call, "list_container", given))
        if len(found.entries) > large.MOST_DYNAMIC:
            raise conflict(f"A dynamic large object may have {large.MOST_DYNAMIC} segments.")
        segments = [_segment(container, version) for _, version in found.entries if version is not None]
        return [each for each in segments if each.size], [version.modified for _, version in found.entries]

    def _joined(self, call: Visit, whole: Large, offset: int, length: int, account_id: str | None = None) -> Segments:
        owner = account_id or call.account_id or ""

        def opened(segment: Segment, first: int, count: int) -> Any:
            path = paths.of_object(_quoted(segment.path), owner)
            headers: Headers = [(b"if-match", f'"{segment.etag}"'.encode()), (b"range", f"bytes={first}-{first + count - 1}".encode())]
            try:
                seen = self._see(call, path.container, path.key, headers, whole=True, account_id=account_id)
            except AwsError as error:
                raise _gone(segment, error) from None
            assert seen.output is not None
            if seen.output["ContentLength"] != count:
                raise _gone(segment, None)
            return seen.output["Body"]

        def nested(segment: Segment) -> list[Segment]:
            path = paths.of_object(_quoted(segment.path), owner)
            try:
                seen = self._see(call, path.container, path.key, [], whole=True, account_id=account_id)
            except AwsError as error:
                raise _gone(segment, error) from None
            if seen.swift.get(large.STATIC, {}).get("etag") != segment.etag:
                _close(seen)
                raise _gone(segment, None)
            return large.read(_bytes(seen))

        return Segments(large.within(whole.segments, offset, length), length, opened, nested)

    def _part(self, call: Visit, whole: Large) -> tuple[int, int, bool]:
        """The part that is asked for, and whether it is one; conditions are checked as for other objects."""
        read = self._aim(self._further(call), call, "GET", place(call.path.container, call.path.key), passed(call))
        assert read.found is not None
        given = _parsed(read.found, read.request)
        verdict, _ = conditions.of_read(given, whole.etag, whole.modified)
        if verdict == conditions.NOT_MODIFIED:
            told = ((b"etag", f'"{whole.etag}"'.encode()), (b"last-modified", http_date(whole.modified).encode()))
            raise AwsError("NotModified", "Not Modified", status=304, headers=told)
        if verdict == conditions.FAILED:
            raise AwsError("PreconditionFailed", "A precondition for this request was not met.", status=412)
        wanted = given.get("Range")
        if not conditions.of_range(call.sent.header(b"if-range"), whole.etag, whole.modified):
            wanted = None
        try:
            part = ranges.parse(wanted, whole.size)
        except ranges.Unsatisfiable:
            headers = ((b"content-range", f"bytes */{whole.size}".encode()),)
            raise AwsError("InvalidRange", "The requested range is not satisfiable", status=416, headers=headers) from None
        return (*part, True) if part is not None else (0, whole.size, False)

    def _leaves(
        self, call: Visit, container: str, key: str, depth: int = 0, known: set[tuple[str, str]] | None = None
    ) -> list[tuple[str, str]]:
        """Every object that a static large object is made of, manifests behind what they name, itself last. ``known``: manifests that were gone
        through, however often they are named."""
        known = set() if known is None else known
        if (container, key) in known:
            return []
        known.add((container, key))
        seen = self._see(call, container, key, [], whole=True)
        if large.STATIC not in seen.swift:
            _close(seen)
            if depth == 0:
                raise AwsError("InvalidManifest", "Not an SLO manifest", status=400)
            return [(container, key)]
        if depth > large.DEPTH:
            raise conflict("Max recursion depth exceeded")
        found: list[tuple[str, str]] = []
        for each in large.read(_bytes(seen)):
            path = paths.of_object(_quoted(each.path), "")
            found += self._leaves(call, path.container, path.key, depth + 1, known) if each.static else [(path.container, path.key)]
            if len(found) > large.MOST_DYNAMIC:
                raise conflict(f"More than {large.MOST_DYNAMIC} segments are not removed at once.")
        return list(dict.fromkeys([*found, (container, key)]))

    def _checked(self, call: Visit, asked: list[large.Asked]) -> list[Segment]:
        """The segments of a new static large object. Raises AwsError with all that is wrong with them."""
        found: list[Segment] = []
        wrong: list[list[str]] = []
        seen: dict[str, Seen | AwsError] = {}
        for each in asked:
            path = paths.of_object(_quoted(each.path), "")
            if each.path not in seen:
                try:
                    seen[each.path] = self._see(call, path.container, path.key, [], head=True)
                except AwsError as error:
                    seen[each.path] = error
            there = seen[each.path]
            if isinstance(there, AwsError):
                wrong.append([each.path, "404 Not Found" if there.status == 404 else "403 Forbidden"])
                continue
            version, static = there.version, there.swift.get(large.STATIC)
            segment = large.found(
                each, static["etag"] if static else version.etag, static["size"] if static else version.size, static=bool(static),
                content_type=str(version.attributes.get("headers", {}).get("ContentType", "")), modified=version.modified.isoformat(),
            )  # fmt: skip
            if isinstance(segment, str):
                wrong.append([each.path, segment])
            else:
                found.append(segment)
        if wrong:
            raise AwsError("InvalidManifest", "Errors:\n" + "\n".join(", ".join(each) for each in wrong), status=400)
        return found


def passed(call: Visit) -> Headers:
    """Of a read's headers those that S3 understands in the same way."""
    return [pair for pair in call.sent.headers if pair[0] in _PASSED]


_PASSED: Final = frozenset((b"range", b"if-range", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"))


def _segment(container: str, version: Version) -> Segment:
    static = (version.attributes.get("swift") or {}).get(large.STATIC)
    size, etag = (int(static["size"]), str(static["etag"])) if static else (version.size, version.etag)
    return Segment(f"/{container}/{version.key.decode()}", etag, size, 0, size, bool(static))


def _quoted(path: str) -> str:
    return quote(path, safe="/")


def _bytes(seen: Seen) -> bytes:
    assert seen.output is not None
    body = seen.output["Body"]
    if isinstance(body, bytes):
        return body
    try:
        found: bytes = body.all()
        return found
    finally:
        body.close()


def _close(seen: Seen) -> None:
    close = getattr((seen.output or {}).get("Body"), "close", None)
    if close is not None:
        close()


def conflict(message: str) -> AwsError:
    return AwsError("Conflict", message, status=409)


def _gone(segment: Segment, error: AwsError | None) -> AwsError:
    log.info("a segment of a large object is not as its manifest says: %s", "" if error is None else error.code)
    if error is not None and error.code == "AccessDenied":
        return error
    return conflict("A segment is not there any more, or not as the manifest says.")
