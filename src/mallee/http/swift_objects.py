"""Swift's objects: put, get, post, copy, delete, and large ones."""

from __future__ import annotations

import asyncio
import json
import mimetypes
from typing import Any, Final
from urllib.parse import quote, unquote

from mallee.http.streams import Begun, Incoming, _document, _parsed, _told, content_length
from mallee.http.swift_calls import Visit, place
from mallee.http.swift_large import SwiftLarge, _bytes, passed
from mallee.objects import copying, lookup
from mallee.objects.receiving import Declared, Received
from mallee.objects.swift import large, listings, paths, records, temp_urls
from mallee.objects.swift.operations import Seen
from mallee.objects.swift.paths import Path
from mallee.wire import AwsError, Headers
from mallee.wire.message import header_value
from mallee.wire.times import http_date

META: Final = b"x-object-meta-"
MOST_DELETES: Final = 10_000
AT_ONCE: Final = 16
_KEPT: Final = {
    b"cache-control": "CacheControl", b"content-disposition": "ContentDisposition", b"content-encoding": "ContentEncoding",
    b"content-language": "ContentLanguage", b"expires": "Expires",
}  # fmt: skip
_MD5: Final = 32


class SwiftObjects(SwiftLarge):
    """What it answers by, the class below adds (``swift.Swift``)."""

    def answered(self, call: Visit, status: int, headers: Headers, body: Any) -> None:
        raise NotImplementedError

    def status(self, call: Visit, error: AwsError) -> tuple[int, str]:
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------------------------ get

    async def get_object(self, call: Visit, receive: Incoming) -> None:
        await self._do("swift look", self._get, call)

    head_object = get_object

    def _get(self, call: Visit) -> None:
        path, wanted = call.path, call.query.get("multipart-manifest") == "get"
        seen = self._see(call, path.container, path.key, passed(call), head=call.is_head)
        if seen.output is None:
            if wanted and large.STATIC in seen.swift:
                self._told_manifest(call)
                return
            if wanted:
                seen = self._see(call, path.container, path.key, passed(call), head=call.is_head, whole=True)
            else:
                self._told_large(call, seen)
                return
        output = seen.output
        assert output is not None
        headers = self._headers(call, seen)
        headers += [(b"etag", seen.version.etag.encode()), (b"last-modified", http_date(seen.version.modified).encode())]
        headers.append((b"content-length", b"%d" % output["ContentLength"]))
        if output.get("ContentRange"):
            headers.append((b"content-range", output["ContentRange"].encode()))
        self.answered(call, getattr(output, "status", 200), headers, b"" if call.is_head else output["Body"])

    def _told_large(self, call: Visit, seen: Seen) -> None:
        whole = self._large(call, seen, call.path.container, call.path.key)
        offset, length, partial = self._part(call, whole)
        headers = self._headers(call, seen)
        headers += [(b"etag", f'"{whole.etag}"'.encode()), (b"last-modified", http_date(whole.modified).encode())]
        headers.append((b"content-length", b"%d" % length))
        if partial:
            headers.append((b"content-range", f"bytes {offset}-{offset + length - 1}/{whole.size}".encode()))
        body: Any = b""
        if length and not call.is_head:
            body = self._joined(call, whole, offset, length)
        self.answered(call, 206 if partial else 200, headers, body)

    def _told_manifest(self, call: Visit) -> None:
        """The list of a static large object's segments."""
        path = call.path
        seen = self._see(call, path.container, path.key, [], whole=True)
        body = _bytes(seen)
        if call.query.get("format") == "raw":
            body = large.raw(body)
        headers = [pair for pair in self._headers(call, seen) if pair[0] not in (b"content-type", b"accept-ranges")]
        headers += [
            (b"content-type", b"application/json; charset=utf-8"), (b"etag", seen.version.etag.encode()),
            (b"last-modified", http_date(seen.version.modified).encode()), (b"content-length", b"%d" % len(body)),
        ]  # fmt: skip
        self.answered(call, 200, headers, b"" if call.is_head else body)

    def _headers(self, call: Visit, seen: Seen) -> Headers:
        """What the object has besides its bytes."""
        version = seen.version
        kept, given = version.attributes, version.attributes.get("headers", {})
        found: Headers = [(b"content-type", header_value(given.get("ContentType") or "application/octet-stream")), (b"accept-ranges", b"bytes")]
        found += [(name, header_value(str(given[member]))) for name, member in _KEPT.items() if given.get(member)]
        found += [(META + header_value(name).lower(), header_value(value)) for name, value in kept.get("metadata", {}).items()]
        found.append((b"x-timestamp", f"{version.modified.timestamp():.5f}".encode()))
        if kept.get("expires_at"):
            found.append((b"x-delete-at", b"%d" % int(kept["expires_at"])))
        if large.STATIC in seen.swift:
            found.append((b"x-static-large-object", b"True"))
            found.append((b"x-manifest-etag", version.etag.encode()))
        elif large.DYNAMIC in seen.swift:
            found.append((b"x-object-manifest", quote(seen.swift[large.DYNAMIC], safe="/").encode()))
        if call.signed is not None:
            found = [pair for pair in found if pair[0] != b"content-disposition"]
            found.append((b"content-disposition", header_value(temp_urls.disposition(call.signed, call.path.key))))
        return found

    # ------------------------------------------------------------------------------------------------------------------ put

    async def put_object(self, call: Visit, receive: Incoming) -> None:
        refuse_unknown(call)
        if call.header(b"x-copy-from"):
            await self._copy(call, receive, _source(call), call.path)
            return
        if call.query.get("multipart-manifest") == "put":
            await self._put_manifest(call, receive)
            return
        length = content_length(call.sent)
        if length is None and call.sent.header(b"transfer-encoding") is None:
            raise AwsError("MissingContentLength", "Missing Content-Length header.", status=411)
        made: dict[str, Any] = {}
        manifest = call.header(b"x-object-manifest")
        if manifest:
            named = paths.of_object(quote(_unquoted(manifest), safe="/"), "")
            made["swift"] = {large.DYNAMIC: f"{named.container}/{named.key}"}
        await self._do("swift admit", self._admit, call, call.path, _written(call), length, _etag(call), made)
        received = await self._take(call, receive)
        await self._commit(call, received)
        self.answered(call, 201, [(b"etag", received.etag.encode()), *self._put_headers(call)], b"")

    def _put_headers(self, call: Visit) -> Headers:
        return [(b"last-modified", http_date(call.now).encode()), (b"content-type", b"text/html; charset=UTF-8")]

    def _admit(
        self, call: Visit, path: Path, headers: Headers, length: int | None, md5: bytes | None, made: dict[str, Any], *,
        expires: int | None = None, account_id: str | None = None,
    ) -> None:  # fmt: skip
        """PutObject up to its body. ``made``: what the object has that S3 does not know."""
        self._bucket(call, path.container, account_id)
        moment = _expires(call)
        if moment is not None or expires is not None:
            made["expires_at"] = moment if moment is not None else expires
        self._aim(call, call, "PUT", place(path.container, path.key), headers)
        assert call.found is not None
        self._known(call, call.found)
        handler = call.handler
        assert handler is not None and handler.admit is not None
        admit = handler.admit
        call.parsed = _parsed(call.found, call.request)
        call.intake = self._dispatcher.look(call.answer, lambda tx: admit(self._asked(call, tx, Declared(length, md5))))
        assert call.intake is not None
        call.intake.made.update(made)
        if "expires_at" in made:
            self._mark(call, path)

    def _mark(self, call: Visit, path: Path) -> None:
        bucket = self._dispatcher.look(call.answer, lambda tx: lookup.named(tx, path.container))
        if bucket is not None and bucket.configuration(records.EXPIRING) is None:
            self._go(self._own(self._further(call), call, "mark_expiring", {"Bucket": path.container, "Key": path.key}))

    async def _commit(self, call: Visit, received: Received) -> Any:
        return await self.done(call, await self._do("swift put", self._act, call, received))

    async def _filled(self, call: Visit, content: bytes) -> Received:
        """A body that is here."""
        intake = call.intake
        assert intake is not None
        received: Received
        received, problem, _ = await self._bodies.run(_told, copying.copied, content, intake)
        if problem is not None:
            raise problem
        return received

    async def _put_manifest(self, call: Visit, receive: Incoming) -> None:
        asked = large.asked(await _document(receive, call.sent))
        segments = await self._do("swift manifest", self._checked, call, asked)
        etag, size = large.etag_of(segments), sum(each.length for each in segments)
        given = _etag(call)
        if given is not None and given.hex() != etag:
            raise AwsError("BadDigest", "Etag mismatch", status=422)
        content = large.stored(segments)
        made = {"swift": {large.STATIC: {"size": size, "etag": etag}}}
        await self._do("swift admit", self._admit, call, call.path, _written(call), len(content), None, made)
        received = await self._filled(call, content)
        await self._commit(call, received)
        self.answered(call, 201, [(b"etag", f'"{etag}"'.encode()), *self._put_headers(call)], b"")

    # ----------------------------------------------------------------------------------------------------------------- copy

    async def copy_object(self, call: Visit, receive: Incoming) -> None:
        destination = call.header(b"destination")
        if not destination:
            raise AwsError("PreconditionFailed", "Destination header required", status=412)
        refuse_unknown(call)
        target = paths.of_object(quote(_unquoted(destination), safe="/"), call.path.account)
        await self._copy(call, receive, call.path, target)

    async def _copy(self, call: Visit, receive: Incoming, source: Path, target: Path) -> None:
        await _nothing(call, receive)
        for name in (b"destination-account", b"x-copy-from-account"):
            if call.header(name) and call.header(name).removeprefix("AUTH_") not in (call.account_id, call.path.account):
                raise AwsError("NotImplemented", "Objects are copied within an account; S3's CopyObject can do more.", status=501)
        result, problem, _ = await self._bodies.run(_told, self._copied, call, source, target)
        if problem is not None:
            raise problem
        seen, received = result
        await self._commit(call, received)
        copied = quote(f"{source.container}/{source.key}", safe="/").encode()
        self.answered(call, 201, [
            (b"etag", received.etag.encode()), (b"x-copied-from", copied), (b"x-copied-from-account", f"AUTH_{call.account_id}".encode()),
            (b"x-copied-from-last-modified", http_date(seen.version.modified).encode()), *self._put_headers(call),
        ], b"")  # fmt: skip

    def _copied(self, call: Visit, source: Path, target: Path) -> tuple[Seen, Received]:
        """The source's bytes, received; of a manifest's whole those of its segments, unless the manifest itself is wanted."""
        raw = call.query.get("multipart-manifest") == "get"
        conditions: Headers = []  # of COPY they are about the source, of PUT about what is put
        if call.sent.method == "COPY":
            conditions = [pair for pair in passed(call) if pair[0] not in (b"range", b"if-range")]
        seen = self._see(call, source.container, source.key, conditions, whole=raw)
        made: dict[str, Any] = {}
        if seen.output is None:
            whole = self._large(call, seen, source.container, source.key)
            size = whole.size
            flow: Any = self._joined(call, whole, 0, size) if size else b""
        else:
            flow, size = seen.output["Body"], seen.output["ContentLength"]
            if seen.swift:
                made["swift"] = seen.swift
        try:
            fresh = call.header(b"x-fresh-metadata").lower() in ("true", "1", "yes", "on", "t", "y")
            headers = _written(call, None if fresh else seen, source.key)
            self._admit(call, target, headers, size, None, made, expires=None if fresh else seen.version.attributes.get("expires_at"))
        except BaseException:
            if hasattr(flow, "close"):
                flow.close()
            raise
        assert call.intake is not None
        return seen, copying.copied(flow, call.intake)

    # ----------------------------------------------------------------------------------------------------- post and delete

    async def post_object(self, call: Visit, receive: Incoming) -> None:
        await _nothing(call, receive)
        refuse_unknown(call)
        await self._run(await self._do("swift post", self._posted, call))
        self.answered(call, 202, [(b"content-type", b"text/html; charset=UTF-8")], b"")

    def _posted(self, call: Visit) -> Begun:
        path = call.path
        headers = {member: call.header(name) for name, member in _KEPT.items() if call.header(name)}
        if call.header(b"content-type"):
            headers["ContentType"] = call.header(b"content-type")
        metadata = {
            name[len(META) :].decode("latin-1"): value.decode("utf-8", "replace")
            for name, value in call.sent.headers
            if name.startswith(META) and name != META and value
        }
        manifest = call.header(b"x-object-manifest")
        if manifest:
            named = paths.of_object(quote(_unquoted(manifest), safe="/"), "")
            manifest = f"{named.container}/{named.key}"
        given = {
            "Bucket": path.container, "Key": path.key, "Headers": headers, "Metadata": metadata, "ExpiresAt": _expires(call),
            "Manifest": manifest,
        }  # fmt: skip
        if given["ExpiresAt"]:
            self._mark(call, path)
        return self._own(call, call, "post_object", given)

    async def delete_object(self, call: Visit, receive: Incoming) -> None:
        await _nothing(call, receive)
        if call.query.get("multipart-manifest") == "delete":
            leaves = await self._do("swift leaves", self._leaves, call, call.path.container, call.path.key)
            await self.removed(call, [Path(call.path.account, *each) for each in leaves])
            return
        await self._run(self._own(call, call, "remove", {"Bucket": call.path.container, "Key": call.path.key}))
        self.answered(call, 204, [(b"content-type", b"text/html; charset=UTF-8")], b"")

    async def bulk_delete(self, call: Visit, receive: Incoming) -> None:
        """A path per line, encoded for URLs."""
        body = await _document(receive, call.sent)
        lines = [line.strip() for line in body.split(b"\n") if line.strip()]
        if len(lines) > MOST_DELETES:
            raise AwsError("EntityTooLarge", f"Maximum Bulk Deletes: {MOST_DELETES} per request", status=413)
        await self.removed(call, [_line(line, call.path.account) for line in lines])

    async def removed(self, call: Visit, wanted: list[Path | str]) -> None:
        """Removes them all and tells what became of each. A string is what could not be understood."""
        deleted = missing = 0
        errors: list[list[str]] = []
        for at in range(0, len(wanted), AT_ONCE):
            some = wanted[at : at + AT_ONCE]
            for path, error in zip(some, await asyncio.gather(*(self._remove(call, each) for each in some)), strict=True):
                if error is None:
                    deleted += 1
                elif error.status == 404:
                    missing += 1
                else:
                    named = path if isinstance(path, str) else f"/{path.container}/{path.key}".rstrip("/")
                    status, reason = self.status(call, error)
                    errors.append([quote(named, safe="/"), f"{status} {reason}"])
        verdict = "400 Bad Request" if errors else "200 OK" if deleted or missing else "400 Bad Request"
        note = "" if deleted or missing or errors else "Invalid bulk delete."
        told = {
            "Number Deleted": deleted, "Number Not Found": missing, "Response Status": verdict, "Response Body": note, "Errors": errors,
        }  # fmt: skip
        kind = listings.form({}, call.header(b"accept") or listings.TEXT)
        if kind == listings.JSON:
            body = json.dumps(told).encode()
        else:
            kind = listings.TEXT
            lines = [f"{name}: {value}" for name, value in told.items() if name != "Errors"]
            body = "\n".join([*lines, "Errors:", *(", ".join(each) for each in errors)]).encode()
        self.answered(call, 200, [(b"content-type", kind.encode())], body)

    async def _remove(self, call: Visit, path: Path | str) -> AwsError | None:
        try:
            if isinstance(path, str):
                return AwsError("InvalidRequest", "Invalid path", status=400)
            await self._do("swift bucket", self._bucket, call, path.container)
            made = self._further(call)
            if path.key:
                self._own(made, call, "remove", {"Bucket": path.container, "Key": path.key})
            else:
                self._aim(made, call, "DELETE", place(path.container), [])
            await self._run(made)
        except AwsError as error:
            return error
        return None


def _written(call: Visit, source: Seen | None = None, name: str = "") -> Headers:
    """The headers of the PutObject that the request stands for. ``source``: what a copy brings along where the request says nothing."""
    kept = {} if source is None else source.version.attributes
    given = kept.get("headers", {})
    kind = call.header(b"content-type") if source is None or call.sent.method == "COPY" or call.header(b"content-type") else ""
    guessed = call.header(b"x-detect-content-type").lower() in ("true", "1", "yes", "on", "t", "y")
    if not kind or guessed:
        kind = (given.get("ContentType") if not guessed else None) or mimetypes.guess_type(call.path.key)[0] or "application/octet-stream"
    found: Headers = [(b"content-type", header_value(kind))]
    for header, member in _KEPT.items():
        value = call.header(header) or given.get(member)
        if value:
            found.append((header, header_value(str(value))))
    metadata = {name.encode(): header_value(value) for name, value in kept.get("metadata", {}).items()}
    for name_, value_ in call.sent.headers:
        if name_.startswith(META) and name_ != META:
            metadata.pop(name_[len(META) :], None)
            if value_:
                metadata[name_[len(META) :]] = value_
    found += [(b"x-amz-meta-" + name_, value_) for name_, value_ in metadata.items()]
    none_match = call.sent.header(b"if-none-match")
    if none_match is not None and call.sent.method == "PUT":
        found.append((b"if-none-match", none_match))
    return found


def _etag(call: Visit) -> bytes | None:
    """What the client says the MD5 is. A value that is none cannot match."""
    text = call.header(b"etag").strip('"').lower()
    if not text:
        return None
    try:
        found = bytes.fromhex(text) if len(text) == _MD5 else b""
    except ValueError:
        found = b""
    if len(found) * 2 != _MD5:
        raise AwsError("BadDigest", "The ETag is not the MD5 of the object.", status=422)
    return found


def _expires(call: Visit) -> int | None:
    at, after = call.header(b"x-delete-at"), call.header(b"x-delete-after")
    if not at and not after:
        return None
    text = after or at
    if not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise AwsError("InvalidArgument", f"Non-integer X-Delete-{'After' if after else 'At'}", status=400)
    moment = int(text) + (int(call.now.timestamp()) if after else 0)
    if moment <= call.now.timestamp():
        raise AwsError("InvalidArgument", f"X-Delete-{'After' if after else 'At'} in past", status=400)
    return moment


def _source(call: Visit) -> Path:
    return paths.of_object(quote(_unquoted(call.header(b"x-copy-from")), safe="/"), call.path.account)


def _unquoted(text: str) -> str:
    found = unquote(text, errors="replace")
    if "\0" in found:
        raise AwsError("InvalidURI", "Invalid UTF8 or contains NULL", status=412)
    return found


def _line(line: bytes, account: str) -> Path | str:
    text = line.decode("latin-1").strip("/") if line.startswith(b"/") else line.decode("latin-1")
    try:
        found = paths.parse(f"{paths.START}{quote(account, safe='')}/{text}".encode("latin-1"))
    except AwsError:
        return line.decode("latin-1")[:1024]
    return found if found.container else line.decode("latin-1")[:1024]


def check_url(call: Visit) -> None:
    """A temporary URL is for the object that it names, and for nothing that this one could be made to stand for. Raises AwsError."""
    whole = any(name in call.query for name in ("bulk-delete", "extract-archive")) or call.query.get("multipart-manifest", "get") != "get"
    if whole or any(call.sent.header(name) is not None for name in temp_urls.NOT_BY_URL):
        raise AwsError("InvalidRequest", "A temporary URL is for one plain object.", status=400)


async def _nothing(call: Visit, receive: Incoming) -> None:
    """Requests whose body means nothing may have one all the same."""
    await _document(receive, call.sent)


def refuse_unknown(call: Visit) -> None:
    """What would change the meaning of a request, and is not there, is refused."""
    for name, told in _UNKNOWN.items():
        if call.sent.header(name) is not None:
            raise AwsError("NotImplemented", told, status=501)


_UNKNOWN: Final = {
    b"x-symlink-target": "Mallee does not have symbolic links.",
    b"x-open-expired": "What has expired is not shown any more.",
    b"x-versions-location": "Versions are kept as S3 keeps them: PutBucketVersioning switches them on.",
    b"x-history-location": "Versions are kept as S3 keeps them: PutBucketVersioning switches them on.",
    b"x-versions-enabled": "Versions are kept as S3 keeps them: PutBucketVersioning switches them on.",
    b"x-container-sync-to": "Containers are not synchronised.",
    b"x-container-sync-key": "Containers are not synchronised.",
    b"x-container-meta-quota-bytes": "Containers have no quotas.",
    b"x-container-meta-quota-count": "Containers have no quotas.",
    b"x-account-meta-quota-bytes": "Accounts have no quotas of their own for Swift.",
    b"x-container-meta-web-index": "Websites are configured by S3: PutBucketWebsite.",
    b"x-container-meta-web-error": "Websites are configured by S3: PutBucketWebsite.",
    b"x-container-meta-web-listings": "Websites are configured by S3: PutBucketWebsite.",
    b"x-container-meta-access-control-allow-origin": "Other origins are let in by S3's PutBucketCors.",
}
