"""S3's requests: bodies and answers that do not fit into memory.

What differs from other services: the signature is believed before the body has come, so that a refusal goes out before ``100 Continue``;
operations whose input streams take the body in block by block (``objects.receiving``), hashed and written by threads beside the one
that reads; an answer may be a stream that is read ahead by one block; and an answer may wait for a commit that many calls share
(``Later``), which holds no thread.

Without a worker's thread goes what is known to be quick, as in ``app``. A stream that fails in its middle has its connection cut: the client
sees that it is short.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol

from mallee.http import errors
from mallee.http.blocks import Blocks
from mallee.http.cors import Cors
from mallee.http.dispatch import Answer, Dispatcher, Source
from mallee.http.feeding import Feed
from mallee.http.protocol import Exchange
from mallee.http.share import Share
from mallee.http.workers import Workers
from mallee.identity.authenticate import Proof
from mallee.identity.call import Call, Later, Outside
from mallee.identity.signature import sigv4
from mallee.identity.signature.chunks import FORMS, Decoder
from mallee.identity.signature.refusals import Refused
from mallee.objects import receiving
from mallee.objects.engine.base import ContentDamaged, EngineError, NoRoom
from mallee.registry import Handler
from mallee.store import StoreUnavailable
from mallee.wire import AwsError, Headers, Request, Route

log = logging.getLogger("mallee.objects")

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

QUICK = 0.0015  # seconds
DOCUMENT = 8 * 1024 * 1024  # bytes of a body that is no object
DRAINED = 16 * 1024 * 1024  # a refused body up to this size is read and thrown away, so that the client sees the refusal
NEEDS_DIGEST = frozenset(
    (
        "DeleteObjects", "PutBucketCors", "PutBucketLifecycle", "PutBucketLifecycleConfiguration", "PutObjectLegalHold",
        "PutObjectLockConfiguration", "PutObjectRetention",
    )
)  # fmt: skip
"""Operations that S3 does not do without a digest of their document."""


class Gone(Exception):
    """The client went away."""


class Stream(Protocol):
    """An answer's body in pieces, of at most so many bytes where it can choose. ``read`` blocks and is called in threads, one at a time; it
    returns b"" at the end. ``close`` is called once, whatever happens."""

    length: int

    def read(self, most: int, /) -> bytes: ...

    def close(self) -> None: ...


class Begun:
    """A request whose caller is known and allowed."""

    __slots__ = ("answer", "begin", "decoder", "finish", "found", "handler", "intake", "parsed", "proof", "request", "request_id", "source")

    def __init__(self, request: Request, request_id: str, source: Source, answer: Answer) -> None:
        self.request = request
        self.request_id = request_id
        self.source = source
        self.answer = answer
        self.found: Route | None = None
        self.handler: Handler | None = None
        self.proof: Proof | None = None
        self.parsed: dict[str, Any] = {}
        self.intake: receiving.Intake | None = None
        self.decoder: Decoder | None = None


class Incoming:
    """A request's body on its way in. ``over``: all of it was taken; who asks for more gets nothing. ``cut``: the
    rest of it cannot be taken any more, and the connection cannot go on."""

    __slots__ = ("_receive", "cut", "exchange", "over")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.exchange = getattr(receive, "__self__", None)
        self.over = False
        self.cut = False

    async def __call__(self) -> dict[str, Any]:
        if self.over:  # the server's own would wait for the client to go
            return {"type": "http.request", "body": b"", "more_body": False}
        message = await self._receive()
        self.over = not message.get("more_body", False)
        return message


class Streams:
    begun: type[Begun] = Begun

    def __init__(self, dispatcher: Dispatcher, workers: Workers, bodies: Workers, at_once: bool) -> None:
        """``workers`` do calls, ``bodies`` blocks of bodies."""
        self._dispatcher = dispatcher
        self._workers = workers
        self._bodies = bodies
        self._at_once = at_once
        self._usual: dict[str, float] = {}
        self._cors = Cors(dispatcher)
        self._incoming, self._outgoing = Share(), Share()

    async def serve(self, request: Request, request_id: str, source: Source, receive: Receive, send: Send) -> Answer | None:
        """Everything from a head to the end of the answer; None when the client went away before it could be answered."""
        began = time.perf_counter()
        call = self.begun(request, request_id, source, Answer(0, [], b"", service="s3"))
        incoming = Incoming(receive)
        try:
            try:
                await self._perform(call, incoming)
            except Gone:
                raise
            except Exception as problem:
                if call.intake is not None:
                    call.intake.abort()
                self._refuse(call, problem)
                if not incoming.over and (incoming.cut or not await drain(incoming, request)):
                    call.answer.headers.append((b"connection", b"close"))
        except BaseException as problem:
            if call.intake is not None:
                call.intake.abort()
            if isinstance(problem, Gone):
                return None
            raise
        if request.header(b"origin") is not None:
            told, _, _ = await self._workers.run(_told, self._let_in, request)
            call.answer.headers += told or ()
        call.answer.seconds = time.perf_counter() - began
        await self._send(call, send)
        return call.answer

    def _let_in(self, request: Request) -> Headers:
        """What the answer says to the origin that the request names."""
        return self._cors.told(request)

    async def _perform(self, call: Begun, receive: Incoming) -> None:
        call.found = self._dispatcher.router.route(call.request)
        call.answer.service, call.answer.operation = call.found.service.name, call.found.operation.name
        handler = self._dispatcher.handler(call.found)
        if handler is not None and handler.admit is not None:
            await self._do(call.answer.operation, self._begin, call)
            received = await self._take(call, receive)
            output = await self._do(call.answer.operation + " ", self._act, call, received)
        else:
            body = await _document(receive, call.request)
            output = await self._do(call.answer.operation, self._whole, call, body)
        self._respond(call, await self.done(call, output))

    async def done(self, call: Begun, output: Any) -> Any:
        """The output of an operation that is not done when its function returns."""
        if isinstance(output, Outside):
            prepared, problem, _ = await self._bodies.run(_told, output.work)
            if problem is not None:
                raise problem
            output = await self._do(call.answer.operation + " ", self._go_on, call, prepared)
        if isinstance(output, Later):
            output, problem = await self._workers.later(output.start)
            if problem is not None:
                raise problem
        return output

    async def _do(self, kind: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """In this thread, if that is known to be quick; else in a worker's."""
        call: Begun = arguments[0]
        writes = call.handler is not None and call.handler.writes
        quick = self._at_once and not writes and self._usual.get(kind, 1.0) < QUICK
        began = time.perf_counter()
        if quick:
            result = function(*arguments)
        else:
            result, problem, seconds = await self._workers.run(_told, function, *arguments)
            if problem is not None:
                raise problem
            began = time.perf_counter() - seconds
        if call.handler is not None and not call.handler.writes:
            seconds = time.perf_counter() - began
            self._usual[kind] = 0.8 * self._usual.get(kind, seconds) + 0.2 * seconds
        return result

    # ----------------------------------------------------------------------------------------------------------- the call

    def _begin(self, call: Begun) -> None:
        """Up to the body: who asks, what, and whether they may."""
        found = call.found
        assert found is not None
        request = call.request
        self._known(call, found)
        length, decoder = _framing(request, call.proof)
        call.decoder = decoder
        call.parsed = _parsed(found, request)
        payload = None if call.proof is None else call.proof.payload
        sha256 = None if payload is None or payload == sigv4.UNSIGNED or payload in FORMS else payload
        given = receiving.declared(request.header, [name for name, _ in request.headers], length, sha256)
        assert call.handler is not None and call.handler.admit is not None
        admit = call.handler.admit
        call.intake = self._dispatcher.look(
            call.answer, lambda tx: admit(self._asked(call, tx, given))
        )

    def _known(self, call: Begun, found: Route) -> None:
        call.proof = self._dispatcher.proof(call.request, found)
        principal = call.proof.principal
        call.answer.account_id, call.answer.arn = principal.account_id, principal.arn
        call.answer.principal = principal
        call.handler = self._dispatcher.handler(found)
        if call.handler is None:
            raise found.unsupported()
        call.answer.wrote = call.handler.writes

    def _asked(self, call: Begun, tx: Any, prepared: Any) -> Call:
        assert call.found is not None and call.handler is not None and call.proof is not None
        return self._dispatcher.asked(
            call.found, call.handler, call.parsed, call.proof.principal, tx, call.request, call.request_id, call.source, prepared,
            proof=call.proof,
        )  # fmt: skip

    def _act(self, call: Begun, received: receiving.Received) -> Any:
        """When the body is here."""
        handler = call.handler
        assert handler is not None
        try:
            return self._dispatcher.transact(
                handler, call.answer, call.request_id,
                lambda tx: handler.function(self._made(call, tx, (call.intake, received))),
            )  # fmt: skip
        except BaseException:
            assert call.intake is not None
            call.intake.give_up(received)
            raise

    def _made(self, call: Begun, tx: Any, prepared: Any) -> Call:
        """Without asking the policies once more: a body that was allowed to come may be answered for."""
        assert call.found is not None and call.handler is not None and call.proof is not None
        return self._dispatcher.made(
            call.found, call.parsed, call.proof.principal, tx, call.request, call.request_id, call.source, prepared, proof=call.proof
        )

    def _whole(self, call: Begun, body: bytes) -> Any:
        """A call whose input is a document, or nothing."""
        found, request = call.found, call.request
        assert found is not None
        self._known(call, found)
        handler, proof = call.handler, call.proof
        assert handler is not None and proof is not None
        if proof.payload in FORMS:
            body = _unframed(request, proof, body)
        else:
            self._dispatcher.check_body(proof, body)
        if body or handler.operation in NEEDS_DIGEST:
            given = receiving.declared(request.header, [name for name, _ in request.headers], len(body))
            if handler.operation in NEEDS_DIGEST and given.md5 is None and not given.algorithms:
                raise AwsError("InvalidRequest", "Missing required header for this request: Content-MD5", status=400)
            if handler.operation != "CompleteMultipartUpload":  # whose checksum is that of the object
                receiving.check(given, body)
        request.body = body
        call.parsed = _parsed(found, request)
        prepare = handler.prepare
        if prepare is not None:
            return self._dispatcher.look(call.answer, lambda tx: prepare(self._asked(call, tx, None)))
        return self._dispatcher.perform(
            handler, call.answer, call.request_id, lambda tx, prepared=None: self._asked(call, tx, prepared), call.parsed
        )

    def _go_on(self, call: Begun, prepared: Any) -> Any:
        """When what needed no transaction is done: the call was allowed before it."""
        handler = call.handler
        assert handler is not None
        return self._dispatcher.transact(
            handler, call.answer, call.request_id, lambda tx: handler.function(self._made(call, tx, prepared))
        )

    def _respond(self, call: Begun, output: Any) -> None:
        found, answer = call.found, call.answer
        assert found is not None
        answer.status, answer.headers, answer.body = found.respond(output, call.request_id)

    def _refuse(self, call: Begun, problem: Exception) -> None:
        error = self._error(call, problem)
        call.answer = self._dispatcher.refusal(call.request, error, call.request_id, call.found, call.answer)

    def _error(self, call: Begun, problem: Exception) -> AwsError:
        """What the client is told of a problem, which is logged where it is ours."""
        if isinstance(problem, AwsError):
            return problem
        if isinstance(problem, Refused):
            return self._dispatcher.refused(problem)
        if isinstance(problem, StoreUnavailable | EngineError | ContentDamaged):
            log.error("objects unavailable: %s", problem, extra={"request_id": call.request_id})
            full = isinstance(problem, NoRoom) or (isinstance(problem, StoreUnavailable) and problem.fault == "disk-full")
            return errors.no_room() if full else errors.unavailable("s3", "")
        self._dispatcher.faults += 1
        answer = call.answer
        log.error("%s:%s failed", answer.service, answer.operation, exc_info=problem, extra={"request_id": call.request_id})
        return errors.internal("s3", "")

    # ------------------------------------------------------------------------------------------------------------ bodies

    async def _take(self, call: Begun, receive: Incoming) -> receiving.Received:
        with self._incoming as size:
            received = await self._take_in(call, receive, size)
        call.answer.received = received.size
        return received

    async def _take_in(self, call: Begun, receive: Incoming, size: int) -> receiving.Received:
        intake, decoder = call.intake, call.decoder
        assert intake is not None
        if intake.small and decoder is None:
            body = await _all(receive)
            intake.jobs(body)
            return intake.finish()
        blocks = None
        if decoder is None and intake.claims.length is not None and isinstance(receive.exchange, Exchange):
            blocks = receive.exchange.blocks(intake.claims.length, size)
        if blocks is not None:
            receive.cut = True
            return await self._take_blocks(intake, blocks, receive)
        feed = Feed(self._bodies, intake)
        block = bytearray()
        more = True
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                more = message.get("more_body", False)
                data = message.get("body", b"")
                if decoder is not None:
                    for piece in decoder.feed(data):
                        block += piece
                    if not more:
                        decoder.finish()
                else:
                    block += data
                while len(block) >= size or (block and not more):
                    piece = bytes(memoryview(block)[:size])
                    del block[:size]
                    await feed.put(piece)
        except BaseException:
            await _settled(feed)
            raise
        await feed.end()
        trailers = decoder.trailers if decoder is not None else None
        if intake.small:
            return intake.finish(trailers)
        return await self._finished(intake, trailers)

    async def _take_blocks(self, intake: receiving.Intake, blocks: Blocks, incoming: Incoming) -> receiving.Received:
        feed = Feed(self._bodies, intake)
        try:
            async for block in blocks:
                await feed.put(block)
            if blocks.lost:
                raise Gone
            incoming.over = True
        except BaseException:
            blocks.abandon()
            await _settled(feed)
            raise
        await feed.end()
        return await self._finished(intake, None)

    async def _finished(self, intake: receiving.Intake, trailers: Any) -> receiving.Received:
        received: receiving.Received
        received, problem, _ = await self._bodies.run(_told, intake.finish, trailers)
        if problem is not None:
            raise problem
        return received

    # ------------------------------------------------------------------------------------------------------------ answers

    async def _send(self, call: Begun, send: Send) -> None:
        answer = call.answer
        body = answer.body
        if isinstance(body, bytes):
            # HEAD tells the length of what it leaves out; 204 tells none, and 304 none but that of its 200 (RFC 9110, 8.6).
            if answer.status not in (204, 304) and not any(name == b"content-length" for name, _ in answer.headers):
                answer.headers.append((b"content-length", b"%d" % len(body)))
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": body})
            return
        answer.body = b""
        with self._outgoing as size:
            answer.sent = await self._stream(call, body if hasattr(body, "read") else _Iterated(body), size, send)

    async def _stream(self, call: Begun, stream: Stream, size: int, send: Send) -> int:
        """How many bytes went out. For a client that is slow nothing is read ahead, and for one that is gone nothing at all."""
        answer, exchange = call.answer, getattr(send, "__self__", None)
        sent = 0
        ahead: Any = self._bodies.run(_told, stream.read, size)
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            while not getattr(exchange, "disconnected", False):
                (piece, problem, _), ahead = await (ahead or self._bodies.run(_told, stream.read, size)), None
                if problem is not None:
                    raise problem
                if not piece:
                    await send({"type": "http.response.body", "body": b""})
                    break
                if not isinstance(exchange, Exchange) or not exchange.flow.write_paused:
                    ahead = self._bodies.run(_told, stream.read, size)
                sent += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except Exception as problem:
            log.error("an answer was cut off after %d bytes: %s", sent, problem, extra={"request_id": call.request_id})
            await send({"type": "mallee.response.cut"})
        finally:
            if ahead is not None:
                await ahead
            stream.close()
        return sent


class _Iterated:
    """An iterator of pieces as a stream."""

    length = -1

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = iter(pieces)

    def read(self, most: int) -> bytes:
        return next(self._pieces, b"")

    def close(self) -> None:
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


def _told(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None, float]:
    """For workers, whose functions must not raise."""
    began = time.perf_counter()
    try:
        return function(*arguments), None, time.perf_counter() - began
    except Exception as problem:
        return None, problem, time.perf_counter() - began


async def _settled(feed: Feed) -> None:
    """Nothing of a body that is given up is under way any more."""
    with suppress(Exception):
        await feed.end()


async def _all(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _document(receive: Receive, request: Request) -> bytes:
    length = content_length(request)
    if length is not None and length > DOCUMENT:
        raise receiving.too_large(length, DOCUMENT)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size > DOCUMENT:
            raise receiving.too_large(size, DOCUMENT)
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def drain(receive: Receive, request: Request) -> bool:
    """Whether all of a refused body could be read, so that the connection can go on."""
    length = content_length(request)
    if request.header(b"expect") is not None or (length or 0) > DRAINED:
        return length == 0
    left = DRAINED
    while left > 0:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        left -= len(message.get("body", b""))
        if not message.get("more_body"):
            return True
    return False


def content_length(request: Request) -> int | None:
    text = request.header(b"content-length")
    return int(text) if text is not None and text.isdigit() and len(text) < 20 else None


_KEYS = frozenset(("Bucket", "Key", "Prefix", "Delimiter", "Marker", "KeyMarker", "StartAfter"))


def _parsed(found: Route, request: Request) -> dict[str, Any]:
    """The input. A NUL, which only a path or a query can bring, has its place in keys alone; nothing else could keep it."""
    given = found.parse(request)
    if b"%00" in request.raw_query:
        for name, value in given.items():
            text = value if isinstance(value, str) else "".join((*value, *value.values())) if name == "Metadata" else ""
            if "\0" in text and name not in _KEYS:
                raise AwsError("InvalidArgument", f"Invalid value for {name}", status=400, ArgumentName=name)
    return given


def _framing(request: Request, proof: Proof | None) -> tuple[int | None, Decoder | None]:
    """How long the body is, and what takes it out of its chunks."""
    length = content_length(request)
    payload = request.header(b"x-amz-content-sha256") or b""
    form = payload.decode("latin-1")
    if form not in FORMS:
        if length is None:
            if request.header(b"transfer-encoding") is not None:
                implied = "A header you provided implies functionality that is not implemented"
                raise AwsError("NotImplemented", implied, status=501, Header="Transfer-Encoding")
            raise AwsError("MissingContentLength", "You must provide the Content-Length HTTP header.", status=411)
        return length, None
    text = request.header(b"x-amz-decoded-content-length")
    if text is None or not text.isdigit() or len(text) > 16:
        raise AwsError("MissingContentLength", "You must provide the Content-Length HTTP header.", status=411)
    claim = getattr(proof, "claim", None)
    key = getattr(proof, "key", b"")
    announced = tuple(
        name for each in (request.header(b"x-amz-trailer") or b"").decode("latin-1").lower().split(",") if (name := each.strip())
    )
    return int(text), Decoder(form, claim, key, int(text), announced)


def _unframed(request: Request, proof: Proof, body: bytes) -> bytes:
    """A document that came in chunks."""
    _, decoder = _framing(request, proof)
    assert decoder is not None
    pieces = decoder.feed(body)
    decoder.finish()
    return b"".join(pieces)
