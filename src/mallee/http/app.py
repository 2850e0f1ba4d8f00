"""The ASGI application of the API: bytes in, bytes out, and everything between them in a worker thread.

The event loop's part is small: it gives the request an id, reads the body within the limit of the service that the
signature names, hands the whole to ``Dispatcher.answer`` in a thread, sends the answer and counts it. Only what is known
to be quicker than the way to a thread and back is answered on the spot. A body that is
larger than its limit is refused before it is read, and before a client that waits for ``100 Continue`` sends it.

``GET /health`` (ready: the database answers) and ``GET /health/live`` (the process answers) need no signature; a signed
request to the same path is S3's, and so is one whose host names a bucket.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from mallee.http import access_log, errors, swift
from mallee.http.dispatch import Answer, Dispatcher, Source
from mallee.http.doors import Doors
from mallee.http.log import LineLog, stamp
from mallee.http.metrics import Metrics
from mallee.http.protocol import VPC
from mallee.http.workers import Workers
from mallee.objects.access_log import Watch
from mallee.wire import Request

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Health = Callable[[], dict[str, Any]]
"""What is known of the process's state; ``{"status": "ok", …}`` when it is ready. May block; called in a thread."""

MIB = 1024 * 1024
BODY_LIMIT = 2 * MIB
BODY_LIMITS = {"s3": 8 * MIB, "sqs": 4 * MIB, "cloudformation": 4 * MIB}
DRAINED = 16 * MIB  # a refused body up to this size is read and thrown away, so that the client sees the refusal

_SCOPE = re.compile(rb"/([a-z0-9-]{1,40})/aws4_request")
_SCOPE_QUERY = re.compile(rb"(?:/|%2[Ff])([a-z0-9-]{1,40})(?:/|%2[Ff])aws4_request")
QUICK = 0.0015  # seconds
BODY_THREADS = 4  # that hash, read and write blocks of bodies
_FLUSH = 0.25


class Api:
    def __init__(
        self,
        dispatcher: Dispatcher,
        health: Health,
        metrics: Metrics,
        lines: LineLog | None = None,
        threads: int = 4,
        at_once: bool = False,
        watch: Watch | None = None,
    ) -> None:
        """``at_once``: calls may be answered in the loop's own thread, because the database is in this process. ``watch`` is told of
        requests to buckets that have an access log."""
        self._dispatcher = dispatcher
        self._health = health
        self._metrics = metrics
        self._lines = lines
        self._workers = Workers(threads, "api")
        self._bodies = Workers(BODY_THREADS, "bodies")
        self._doors = Doors(dispatcher, self._workers, self._bodies, at_once)
        self._flush_due = False
        self._at_once = at_once
        self._watch = watch
        self._usual: dict[bytes, float] = {}  # seconds that reads of a kind take; only what worked once is in it

    def close(self) -> None:
        self._workers.close()
        self._bodies.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP is spoken here, not {scope['type']}")
        if scope["path"].startswith("/health") and await self._is_health(scope, send):
            return
        began = time.perf_counter()
        self._metrics.in_flight += 1
        try:
            await self._call(scope, receive, send, began)
        finally:
            self._metrics.in_flight -= 1

    async def _call(self, scope: Scope, receive: Receive, send: Send, began: float) -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        request = Request(scope["method"], scope["raw_path"], scope["query_string"], headers)
        request_id = new_request_id()
        if is_s3(request) or self._doors.is_website(request) or swift.is_path(request):
            await self._stream(scope, request, request_id, receive, send, began)
            return
        length = request.header(b"content-length")
        promised = int(length) if length is not None and length.isdigit() else None
        service = None
        if promised is None or promised > BODY_LIMIT:
            service = _service(request)
        body = await _read(receive, promised, BODY_LIMITS.get(service or "", BODY_LIMIT))
        if body is None:
            return
        client = scope.get("client")
        if isinstance(body, bytes):
            request.body = body
            source = Source(client[0] if client else "", scope.get("scheme") == "https", scope.get(VPC, ""))
            answer = await self._answer(request, request_id, source)
        else:
            answer = self._dispatcher.refusal(request, errors.too_large(service), request_id)
            if not body.drained:
                answer.headers.append((b"connection", b"close"))
        # HEAD tells the length of what it leaves out; 204 tells none, and 304 none but that of its 200 (RFC 9110, 8.6).
        if answer.status not in (204, 304) and not any(name == b"content-length" for name, _ in answer.headers):
            answer.headers.append((b"content-length", b"%d" % len(answer.body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})
        self._account(request, answer, request_id, client, time.perf_counter() - began)

    async def _stream(self, scope: Scope, request: Request, request_id: str, receive: Receive, send: Send, began: float) -> None:
        client = scope.get("client")
        source = Source(client[0] if client else "", scope.get("scheme") == "https", scope.get(VPC, ""))
        answer = await self._doors.serve(request, request_id, source, receive, send)
        if answer is None:
            return
        seconds = time.perf_counter() - began
        self._account(request, answer, request_id, client, seconds)
        if self._watch is not None and answer.service == "s3":
            path, website = self._doors.path(request)
            access_log.note(self._watch, path, website, request, answer, request_id, client, seconds)

    async def _answer(self, request: Request, request_id: str, source: Source) -> Answer:
        """In a worker's thread; unless no worker is busy and the request is of a kind of reads that are so quick that the
        way to a thread and back would be a good part of it: then at once, in this thread."""
        kind = _kind(request) if self._at_once else None
        if kind is not None and not self._workers.busy and self._usual.get(kind, 1.0) < QUICK:
            answer = self._dispatcher.answer(request, request_id, source)
        else:
            answer = await self._workers.run(self._dispatcher.answer, request, request_id, source)
        if kind is not None and not answer.wrote and (answer.status == 200 or kind in self._usual):
            self._usual[kind] = 0.8 * self._usual.get(kind, answer.seconds) + 0.2 * answer.seconds
        return answer

    def _account(self, request: Request, answer: Answer, request_id: str, client: Any, seconds: float) -> None:
        self._metrics.count(answer.service, answer.operation, answer.status, answer.code, seconds)
        if self._lines is None:
            return
        self._lines.put(_line(request, answer, request_id, client, seconds))
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_later(_FLUSH, self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._lines is not None:
            self._lines.flush()

    async def _is_health(self, scope: Scope, send: Send) -> bool:
        """Answers a health question; a signed request, or any other path, is none."""
        if scope["method"] not in ("GET", "HEAD") or scope["path"] not in ("/health", "/health/live"):
            return False
        if b"X-Amz-" in scope["query_string"] or any(name == b"authorization" for name, _ in scope["headers"]):
            return False
        if self._doors.names_bucket(Request("GET", scope["raw_path"], b"", scope["headers"])):
            return False
        found: dict[str, Any] = {"status": "ok"}
        if scope["path"] == "/health":
            found = await self._workers.run(self._health)
        body = json.dumps(found).encode()
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        status = 200 if found["status"] == "ok" else 503
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})
        return True


_quoted = functools.lru_cache(4096)(json.dumps)  # agents, accounts and operations are few


def _line(request: Request, answer: Answer, request_id: str, client: Any, seconds: float) -> str:
    """The request's line of the log, written by hand: a third of what an encoder takes."""
    parts = [
        f'{{"at":"{stamp()}","request_id":"{request_id}","ip":"{client[0] if client else ""}",'
        f'"service":"{answer.service}","operation":"{answer.operation}","status":{answer.status},'
        f'"ms":{seconds * 1000:.2f},"in":{answer.received or len(request.body)},"out":{answer.sent or len(answer.body)}'
    ]
    if answer.code:
        parts.append(f'"code":{_quoted(answer.code)}')
    if answer.arn:
        parts.append(f'"arn":{_quoted(answer.arn)}')
    if answer.operation == "" or request.raw_path != b"/":
        parts.append(f'"method":{_quoted(request.method)},"path":{json.dumps(request.raw_path[:512].decode("latin-1"))}')
    agent = request.header(b"user-agent")
    if agent:
        parts.append(f'"agent":{_quoted(agent[:200].decode("latin-1"))}')
    return ",".join(parts) + "}"


class TooLarge:
    """A body that was refused. ``drained``: all of it was read, the connection can go on."""

    __slots__ = ("drained",)

    def __init__(self, drained: bool) -> None:
        self.drained = drained


_pool: list[str] = []


def _randomness() -> str:
    """32 random hexadecimal digits, of which many are asked of the system at once: one call of it takes 20 µs on a virtual machine."""
    try:
        return _pool.pop()
    except IndexError:
        digits = os.urandom(4096).hex()
        _pool.extend(digits[at : at + 32] for at in range(32, len(digits), 32))
        return digits[:32]


def new_request_id() -> str:
    """A random UUID, version 4, in its usual form."""
    digits = _randomness()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _kind(request: Request) -> bytes | None:
    """What tells calls of one kind from others without reading them: the form's action, or the target."""
    body = request.body
    if body.startswith(b"Action="):
        end = body.find(b"&", 7, 100)
        return body[7:end] if end > 0 else None
    return request.header(b"x-amz-target")


def is_s3(request: Request) -> bool:
    """Whether a request is S3's, as far as its head tells: by the signature's scope, by version 2's signature, or, unsigned, because it
    names a path or a bucket and nothing that another service is asked by."""
    authorization = request.header(b"authorization")
    query = request.raw_query
    if authorization is not None:
        if authorization.startswith(b"AWS "):
            return True
        match = _SCOPE.search(authorization[:1024])
        return match is not None and match[1] in _S3_SCOPES
    if b"X-Amz-Credential" in query:
        match = _SCOPE_QUERY.search(query)
        return match is not None and match[1] in _S3_SCOPES
    if b"Action=" in query or request.header(b"x-amz-target") is not None or request.header(b"smithy-protocol") is not None:
        return False
    if request.raw_path == b"/":
        return request.method in ("GET", "HEAD", "OPTIONS") or not request.is_form
    return True


_S3_SCOPES = (b"s3", b"s3express")


def _service(request: Request) -> str | None:
    """The service that the signature names; not to be believed yet."""
    match = None
    authorization = request.header(b"authorization")
    if authorization is not None:
        match = _SCOPE.search(authorization[:1024])
    elif b"X-Amz-Credential" in request.raw_query:
        match = _SCOPE_QUERY.search(request.raw_query)
    return match[1].decode() if match else None


async def _read(receive: Receive, length: int | None, limit: int) -> bytes | TooLarge | None:
    """The whole body; None when the client went away."""
    if length is not None and length > limit:
        return await _drain(receive, length) if length <= DRAINED else TooLarge(drained=False)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        if part:
            size += len(part)
            if size > limit:
                return TooLarge(drained=not message.get("more_body"))
            parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _drain(receive: Receive, length: int) -> TooLarge | None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        length -= len(message.get("body", b""))
        if not message.get("more_body"):
            return TooLarge(drained=True)
