"""OpenStack Swift's API: the door that its clients come by, with accounts and containers, and how its answers look.

Paths that begin with ``/v1/AUTH_`` are Swift's (no bucket has a name of two letters), and those by which its clients sign in
(``swift_auth``). ``/info`` is S3's if there is a bucket of that name. A host that names a bucket is S3's whatever the path, and so is a request
that AWS's signature came with.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from mallee.http import swift_auth
from mallee.http.dispatch import Answer
from mallee.http.streams import Begun, Incoming, _document, _told, drain
from mallee.http.swift_calls import Visit, denied, place
from mallee.http.swift_objects import SwiftObjects, check_url, refuse_unknown
from mallee.identity.records import users
from mallee.objects import attributes, lookup, receiving
from mallee.objects.rules import names
from mallee.objects.swift import acl, large, listings, paths, records
from mallee.objects.swift.operations import Account, Container
from mallee.store import Tx
from mallee.wire import AwsError, Headers, Request
from mallee.wire.dialects import S3
from mallee.wire.message import header_value
from mallee.wire.times import http_date
from mallee.wire.xmlout import escaped

_INFO: Final = b"/info"
_HTML: Final = (b"content-type", b"text/html; charset=UTF-8")
_LEVELS: Final = ("account", "container", "object")
_ALLOW: Final = {
    "account": b"DELETE, GET, HEAD, OPTIONS, POST", "container": b"DELETE, GET, HEAD, OPTIONS, POST, PUT",
    "object": b"COPY, DELETE, GET, HEAD, OPTIONS, POST, PUT",
}  # fmt: skip
_TEXTS: Final = {
    401: "This server could not verify that you are authorized to access the document you requested.",
    403: "Access was denied to this resource.", 404: "The resource could not be found.",
    405: "The method is not allowed for this resource.", 411: "Content-Length header required.",
    413: "The body of your request was too large for this server.", 416: "The Range requested is not available.",
    422: "Unable to process the contained instructions", 500: "The server has either erred or is incapable of performing the requested operation.",
    503: "The server is currently unavailable. Please try again at a later time.",
}  # fmt: skip
_STATUS: Final = {"BadDigest": 422, "EntityTooLarge": 413, "IncompleteBody": 400, "QuotaExceeded": 413}
_HEADERS: Final = (b"content-range", b"etag", b"last-modified", b"allow", b"retry-after")


def is_path(request: Request) -> bool:
    """Whether a request is Swift's if its host names no bucket."""
    if (request.header(b"authorization") or b"").startswith(b"AWS") or b"X-Amz-" in request.raw_query:
        return False
    return request.raw_path.startswith(paths.START.encode()) or swift_auth.is_path(request) or _is_info(request)


def _is_info(request: Request) -> bool:
    return request.raw_path == _INFO and request.method in ("GET", "HEAD") and request.header(b"authorization") is None and not request.raw_query


class Swift(SwiftObjects):
    async def is_named(self, request: Request) -> bool:
        """Whether a request is Swift's, its host taken into account, and whether there is a bucket ``info``."""
        if not is_path(request):
            return False
        try:
            if self._dispatcher.router.s3_path(request) != request.raw_path.decode("latin-1"):
                return False
        except AwsError:
            return False
        if not _is_info(request) or request.header(b"x-auth-token") is not None:
            return True
        found, problem, _ = await self._workers.run(_told, self._dispatcher.look, Answer(0, [], b""), lambda tx: lookup.named(tx, "info"))
        return found is None and problem is None

    async def _perform(self, call: Begun, receive: Incoming) -> None:
        assert isinstance(call, Visit)
        call.sent = request = call.request
        call.signed, call.query = None, {}
        call.answer.service, call.answer.operation = "swift", "Swift"
        if not request.raw_path.startswith(paths.START.encode()):
            await self._sign_in(call, receive)
            return
        if request.method == "OPTIONS":
            await self._options(call, receive)
            return
        call.path = paths.parse(request.raw_path)
        level = _LEVELS[bool(call.path.container) + bool(call.path.key)]
        known = request.method in ("GET", "HEAD", "PUT", "POST", "DELETE", "COPY")
        operation = call.answer.operation = f"{request.method.title()}{level.title()}" if known else "Swift"
        await self._do("swift", self._identify, call)
        if call.signed is not None:
            check_url(call)
        if "bulk-delete" in call.query and request.method in ("POST", "DELETE"):
            await self.bulk_delete(call, receive)
            return
        if "extract-archive" in call.query:
            raise AwsError("NotImplemented", "Archives are not taken apart here.", status=501)
        done: Callable[[Visit, Incoming], Awaitable[None]] | None = getattr(self, f"{request.method.lower()}_{level}", None) if known else None
        if done is None:
            raise AwsError("MethodNotAllowed", _TEXTS[405], status=405, headers=((b"allow", _ALLOW[level]),))
        try:
            await done(call, receive)
        finally:
            call.answer.operation = operation  # not that of S3 which it was done by
        if not receive.over and not await drain(receive, request):
            call.answer.headers.append((b"connection", b"close"))

    async def _options(self, call: Visit, receive: Incoming) -> None:
        call.path = paths.parse(call.sent.raw_path)
        level = _LEVELS[bool(call.path.container) + bool(call.path.key)]
        if call.sent.header(b"origin") is not None:
            path = place(call.path.container, call.path.key) if call.path.container else "/"
            call.answer = await self._workers.run(self._cors.preflight, call.sent, call.request_id, path)
        else:
            self.answered(call, 200, [(b"allow", _ALLOW[level])], b"")
        if not await drain(receive, call.sent):
            call.answer.headers.append((b"connection", b"close"))

    def _let_in(self, request: Request) -> Headers:
        if request.method == "OPTIONS" or not request.raw_path.startswith(paths.START.encode()):
            return []
        try:
            path = paths.parse(request.raw_path)
        except AwsError:
            return []
        return self._cors.told(request, f"/{path.container}/{path.key}") if path.container else []

    async def _sign_in(self, call: Visit, receive: Incoming) -> None:
        body = await _document(receive, call.sent)
        if _is_info(call.sent):
            call.answer.operation = "Info"
            self.answered(call, 200, [(b"content-type", b"application/json; charset=UTF-8")], json.dumps(INFO).encode())
            return
        call.answer.operation = "SignIn"
        told = await self._do("swift sign in", lambda given: self.gate.answer(given, given.sent, given.source, body), call)
        self.answered(call, *told)

    # ------------------------------------------------------------------------------------------------------------- accounts

    async def get_account(self, call: Visit, receive: Incoming) -> None:
        await _document(receive, call.sent)
        query = call.query
        if query.get("delimiter"):
            raise AwsError("NotImplemented", "Containers are not rolled up under a delimiter.", status=501)
        kind = listings.form(query, call.header(b"accept"))
        given = {
            "Limit": 0 if call.is_head else listings.limit(query.get("limit")), "Prefix": query.get("prefix", ""),
            "Marker": query.get("marker", ""), "EndMarker": query.get("end_marker", ""),
            "Reverse": query.get("reverse", "").lower() in ("true", "1", "yes", "on", "t", "y"),
        }  # fmt: skip
        found: Account = await self._run(self._own(call, call, "list_account", given))
        headers: Headers = [
            (b"x-account-container-count", b"%d" % found.count), (b"x-account-object-count", b"%d" % found.objects),
            (b"x-account-bytes-used", b"%d" % found.bytes), (b"accept-ranges", b"bytes"),
            *_meta(b"x-account-meta-", found.metadata),
        ]  # fmt: skip
        rows = [
            {"name": each.name, "count": used.objects, "bytes": used.bytes, "last_modified": listings.moment(each.created_at)}
            for each, used in found.containers
        ]
        self._listed(call, kind, headers, listings.written(kind, "account", f"AUTH_{call.account_id}", "container", rows))

    head_account = get_account

    async def post_account(self, call: Visit, receive: Incoming) -> None:
        await _document(receive, call.sent)
        refuse_unknown(call)
        sets, removes = _changes(call, "account")
        await self._run(self._own(call, call, "post_account", {"Sets": sets, "Removes": removes}))
        self.answered(call, 204, [_HTML], b"")

    def _listed(self, call: Visit, kind: str, headers: Headers, body: bytes) -> None:
        headers = [*headers, (b"content-type", f"{kind}; charset=utf-8".encode())]
        if call.is_head:
            self.answered(call, 204, headers, b"")
        else:
            self.answered(call, 200 if body else 204, headers, body)

    # ----------------------------------------------------------------------------------------------------------- containers

    async def get_container(self, call: Visit, receive: Incoming) -> None:
        await _document(receive, call.sent)
        query = call.query
        kind = listings.form(query, call.header(b"accept"))
        if query.get("reverse", "").lower() in ("true", "1", "yes", "on", "t", "y") and not call.is_head:
            raise AwsError("NotImplemented", "Objects are listed forward only.", status=501)
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        path = query.get("path")
        if path is not None:
            prefix, delimiter = f"{path.rstrip('/')}/" if path else "", "/"
        given = {
            "Bucket": call.path.container, "Limit": 0 if call.is_head else listings.limit(query.get("limit")), "Prefix": prefix,
            "Delimiter": delimiter, "Marker": query.get("marker", ""), "EndMarker": query.get("end_marker", ""),
        }  # fmt: skip
        found: Container = await self._run(self._own(call, call, "list_container", given))
        rows = [_row(key, version) for key, version in found.entries if version is not None or path is None]
        if path:
            rows = [row for row in rows if row.get("name") != prefix]
        self._listed(call, kind, self._told_container(call, found), listings.written(kind, "container", call.path.container, "object", rows))

    head_container = get_container

    def _told_container(self, call: Visit, found: Container) -> Headers:
        headers: Headers = [
            (b"x-container-object-count", b"%d" % found.usage.objects), (b"x-container-bytes-used", b"%d" % found.usage.bytes),
            (b"x-timestamp", f"{found.bucket.created_at.timestamp():.5f}".encode()),
            (b"last-modified", _date(found.bucket.created_at)), (b"accept-ranges", b"bytes"), (b"x-storage-policy", b"default"),
            *_meta(b"x-container-meta-", records.of_bucket(found.bucket).get("metadata", {})),
        ]  # fmt: skip
        for kind, name in _LISTS.items():
            text = acl.told(found.policy, kind)
            if text:
                headers.append((name, header_value(text)))
        return headers

    async def put_container(self, call: Visit, receive: Incoming) -> None:
        await _document(receive, call.sent)
        refuse_unknown(call)
        if call.answer.principal.account_id != call.account_id:
            raise denied()
        if not names.is_bucket(call.path.container):
            told = (
                "A container is a bucket here, and is called like one: 3 to 63 small letters, digits, dots and hyphens, beginning and ending with a "
                "letter or a digit."
            )
            raise AwsError("InvalidBucketName", told, status=400)
        if call.header(b"x-storage-policy") not in ("", "default"):
            raise AwsError("InvalidArgument", "There is one storage policy, default.", status=400)
        changes = _changes(call, "container")
        there = self._is_there(call)
        status = 202
        if not await self._workers.run(there):
            status = 201
            try:
                await self._run(self._aim(call, call, "PUT", place(call.path.container), []))
            except AwsError as error:
                if error.code != "BucketAlreadyOwnedByYou":
                    raise
                status = 202
        else:
            await self._run(self._aim(self._further(call), call, "HEAD", place(call.path.container), []))
        if any(changes) or self._lists(call):
            await self._change_container(call, *changes)
        self.answered(call, status, [_HTML], b"")

    def _lists(self, call: Visit) -> dict[str, str]:
        """The access control lists that the request sets; an empty one is removed."""
        wanted = {kind: call.header(name) for kind, name in _LISTS.items() if call.sent.header(name) is not None}
        return wanted | {kind: "" for kind, name in _LISTS.items() if call.sent.header(b"x-remove-" + name[2:]) is not None}

    def _is_there(self, call: Visit) -> Callable[[], bool]:
        def look() -> bool:
            try:
                self._bucket(call, call.path.container)
            except AwsError:
                return False
            return True

        return look

    async def post_container(self, call: Visit, receive: Incoming) -> None:
        await _document(receive, call.sent)
        refuse_unknown(call)
        await self._change_container(call, *_changes(call, "container"))
        self.answered(call, 204, [_HTML], b"")

    async def _change_container(self, call: Visit, sets: dict[str, str], removes: set[str]) -> None:
        container = call.path.container
        wanted = self._lists(call)
        if sets or removes or not wanted:  # whoever changes nothing is asked whether he may all the same
            given = {"Bucket": container, "Sets": sets, "Removes": removes}
            await self._run(self._own(self._further(call), call, "post_container", given))
        if wanted:
            await self._do("swift acl", self._set_lists, call, wanted)

    def _set_lists(self, call: Visit, wanted: dict[str, str]) -> None:
        """As what they are here: the bucket's policy, put by PutBucketPolicy."""
        container = call.path.container
        path = f"{place(container)}?policy"
        partition = self._dispatcher.settings.partition

        def account(name: str) -> str | None:
            found = self._dispatcher.look(call.answer, lambda tx: swift_auth.account_of(tx, name))
            return None if found is None else found.id

        def user(account_id: str, name: str) -> str | None:
            def find(tx: Tx) -> str | None:
                found = users.user_by_name(tx.everyone(), account_id, name)
                return None if found is None else found.arn(partition)

            return self._dispatcher.look(call.answer, find)

        made = {kind: acl.statements(kind, text, container, partition, account, user) for kind, text in wanted.items()}
        try:
            policy = self._go(self._aim(self._further(call), call, "GET", path, []))["Policy"]
        except AwsError as error:
            if error.code != "NoSuchBucketPolicy":
                raise
            policy = None
        for kind, each in made.items():
            policy = acl.merged(policy, kind, each)
        changed = self._aim(self._further(call), call, "DELETE" if policy is None else "PUT", path, [])
        try:
            self._whole(changed, b"" if policy is None else policy.encode())
        except AwsError as error:
            if error.code == "AccessDenied" and ".r:*" in wanted.get(acl.READ, ""):
                told = "The container may not be opened to everybody: S3's Block Public Access prevents it, or its policy is not yours to change."
                raise AwsError("Forbidden", told, status=403) from None
            raise

    async def delete_container(self, call: Visit, receive: Incoming) -> None:
        await _document(receive, call.sent)
        await self._run(self._aim(call, call, "DELETE", place(call.path.container), []))
        self.answered(call, 204, [_HTML], b"")

    # -------------------------------------------------------------------------------------------------------------- answers

    def answered(self, call: Visit, status: int, headers: Headers, body: Any) -> None:
        call.answer.status = status
        call.answer.headers = [*headers, *_traced(call)]
        call.answer.body = body

    def status(self, call: Visit, error: AwsError) -> tuple[int, str]:
        """Of an error, and the words for it."""
        found = _STATUS.get(error.code) or error.status or S3.status(error.code) or 400
        if error.code == "AccessDenied" and found == 403 and not call.answer.principal.account_id:
            found = 401
        try:
            return found, HTTPStatus(found).phrase
        except ValueError:
            return 400, HTTPStatus.BAD_REQUEST.phrase

    def _refuse(self, call: Begun, problem: Exception) -> None:
        assert isinstance(call, Visit)
        error = self._error(call, problem)
        status, reason = self.status(call, error)
        if not hasattr(call, "sent"):
            call.sent = call.request
        told = _TEXTS.get(status) if status not in (403, 422) or error.code in ("AccessDenied", "BadDigest") else error.message
        told = told if told is not None else error.message
        headers: Headers = [pair for pair in error.headers if pair[0] in _HEADERS]
        keystone = swift_auth.failed(call.sent, status, reason, error.message if status in (400, 501) else told)
        if status == 304:
            body = b""
        elif keystone is not None:
            more, body = keystone
            headers += more
        else:
            body = f"<html><h1>{escaped(reason)}</h1><p>{escaped(told)}</p></html>".encode("utf-8", "replace")
            headers.append(_HTML)
        if status == 401:
            headers.append((b"www-authenticate", b'Swift realm="mallee"'))
        answer = call.answer
        answer.code = error.code
        if call.sent.method == "HEAD" and status != 304:
            headers.append((b"content-length", b"%d" % len(body)))
            body = b""
        self.answered(call, status, headers, body)


_LISTS: Final = {acl.READ: b"x-container-read", acl.WRITE: b"x-container-write"}

INFO: Final[dict[str, Any]] = {
    "swift": {
        "version": "2.30.0", "max_file_size": receiving.MOST, "max_object_name_length": attributes.MOST_KEY, "max_container_name_length": 63,
        "max_meta_name_length": records.MOST_NAME, "max_meta_value_length": records.MOST_VALUE, "max_meta_count": records.MOST,
        "max_meta_overall_size": attributes.MOST_METADATA, "container_listing_limit": listings.MOST, "account_listing_limit": listings.MOST,
        "policies": [{"name": "default", "default": True, "aliases": "default"}], "strict_cors_mode": True,
    },
    "bulk_delete": {"max_deletes_per_request": 10_000, "max_failed_deletes": 10_000},
    "slo": {
        "max_manifest_segments": large.MOST_SEGMENTS, "max_manifest_size": 8 * 1024 * 1024, "min_segment_size": 1, "yield_frequency": 0,
        "allow_async_delete": False,
    },
    "dlo": {"max_segments": large.MOST_DYNAMIC},
    "tempurl": {
        "methods": ["GET", "HEAD", "PUT", "POST", "DELETE"], "allowed_digests": ["sha1", "sha256", "sha512"], "incoming_remove_headers": [],
        "incoming_allow_headers": [], "outgoing_remove_headers": [], "outgoing_allow_headers": [],
    },
    "tempauth": {"account_acls": False},
}  # fmt: skip


def _traced(call: Visit) -> Headers:
    trace = f"tx{call.request_id.replace('-', '')}".encode()
    return [(b"x-trans-id", trace), (b"x-openstack-request-id", trace)]


def _changes(call: Visit, kind: str) -> tuple[dict[str, str], set[str]]:
    """The metadata that a request sets and removes; an empty value removes. Raises AwsError."""
    start, remove = f"x-{kind}-meta-".encode(), f"x-remove-{kind}-meta-".encode()
    sets: dict[str, str] = {}
    removes: set[str] = set()
    for name, raw in call.sent.headers:
        if name.startswith(remove):
            removes.add(name[len(remove) :].decode("latin-1"))
        elif name.startswith(start):
            named, value = name[len(start) :].decode("latin-1"), raw.decode("utf-8", "replace").strip()
            if len(named) > records.MOST_NAME or len(value.encode()) > records.MOST_VALUE or not named or "\0" in value:
                raise AwsError("InvalidArgument", f"Metadata name or value too long: {named[:64]}", status=400)
            if value:
                sets[named] = value
            else:
                removes.add(named)
    return sets, removes - set(sets)


def _meta(start: bytes, metadata: dict[str, str]) -> Headers:
    return [(start + header_value(name), header_value(value)) for name, value in metadata.items()]


def _date(at: Any) -> bytes:
    return str(http_date(at)).encode()


def _row(key: bytes, version: Any) -> dict[str, Any]:
    name = key.decode("utf-8", "replace")
    if version is None:
        return {"subdir": name}
    static = (version.attributes.get("swift") or {}).get(large.STATIC)
    return {
        "name": name, "hash": static["etag"] if static else version.etag, "bytes": int(static["size"]) if static else version.size,
        "content_type": (version.attributes.get("headers") or {}).get("ContentType") or "application/octet-stream",
        "last_modified": listings.moment(version.modified),
    }  # fmt: skip
