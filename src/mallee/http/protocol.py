"""HTTP/1.1 on one connection: uvicorn's protocol, with limits on everything that a client decides.

The size and number of headers, the time a head may take, the pace of a body, the time between requests, the time an
answer may wait to be read, how many requests may be piped ahead, how many connections there are at all. None of these
costs a timer per request: a connection notes until when it may stay as it is, and one sweep per half second, which runs
only while there are connections, closes those that are overdue.

Trailing headers of a chunked body are dropped: they come after the signature's headers and must not be mistaken for
them.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from mallee.fabric.origin import Origin
from mallee.http.blocks import Blocks


@dataclass(frozen=True, slots=True)
class Limits:
    connections: int = 1000
    head_bytes: int = 64 * 1024
    headers: int = 100
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    body_rate: int = 16 * 1024  # bytes a second that keep a body alive beyond body_seconds
    keep_alive_seconds: float = 75.0
    leave_seconds: float = 10.0  # that the rest of a refused body may come in, before the connection is cut
    write_seconds: float = 60.0
    piped: int = 32
    sweep_seconds: float = 0.5


class State(ServerState):
    """What the connections of one listener share."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self.refused = 0  # connections that found no place
        self.overdue = 0  # connections that were closed for being slow
        self.sweeping = False
        self._dated = 0
        self.renew_date()

    def renew_date(self) -> None:
        now = int(time.time())
        if now != self._dated:
            self._dated = now
            self.default_headers = [(b"date", formatdate(now, usegmt=True).encode()), (b"server", b"Mallee")]

    def sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in list(self.connections):
            if isinstance(connection, Connection) and connection.is_overdue(now):
                self.overdue += 1
                connection.drop()
        self.sweeping = bool(self.connections)
        if self.sweeping:
            loop.call_later(self.limits.sweep_seconds, self.sweep, loop)


_HEAD, _BODY, _WHOLE, _IDLE = range(4)
_LEFT = 0  # in the place of a refusal: the last answer was given
_FRAMING = (b"content-length", b"transfer-encoding")
_ADDRESS = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
VPC = "mallee.vpc"  # in the scope of a request that came from within a VPC: which


class Connection(HttpToolsProtocol):
    def __init__(
        self,
        config: Config,
        server_state: State,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        origin: Origin | None = None,
    ) -> None:
        """``origin``: the guest's end of a connection that a node passes on."""
        super().__init__(config=config, server_state=server_state, app_state=app_state, _loop=_loop)
        self.state = server_state
        self.limits = server_state.limits
        self.origin = origin
        self._phase = _HEAD
        self._until: float | None = None
        self._write_until: float | None = None
        self._head_bytes = 0
        self._body_bytes = 0
        self._body_began = 0.0
        self._refusal: int | None = None
        self._answering: RequestResponseCycle | None = None  # the exchange whose answer is the next
        self._framing = b""  # headers that tell the end of a request's body which the parser left to another protocol
        self._priming = False  # whether a new parser is being told of a head that is known

    # ------------------------------------------------------------------------------------------------------- connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self.limits.connections:
            self.state.refused += 1
            transport.write(_refusal(503))
            transport.close()
            self.transport = transport
            self._refusal = 503
            return
        super().connection_made(transport)
        if self.origin is not None:
            self.client = (self.origin.address, self.origin.port)
        self._until = self.loop.time() + self.limits.header_seconds
        if not self.state.sweeping:
            self.state.sweeping = True
            self.loop.call_later(self.limits.sweep_seconds, self.state.sweep, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.flow is not None:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        self._parse(data)
        if self._phase == _HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes:
                self._refusal = 431
        if self._refusal and not self.transport.is_closing():
            if self._may_refuse():
                self.transport.write(_refusal(self._refusal))
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        if self._refusal is None:
            self._refusal = 400

    def shutdown(self) -> None:
        if self.flow is not None:
            super().shutdown()

    def is_overdue(self, now: float) -> bool:
        if self._write_until is not None:
            return now > self._write_until
        if self._until is None or now <= self._until:
            return False
        if self._phase == _BODY and self.flow.read_paused:  # it is us who are slow
            self._until = now + self.limits.body_seconds
            return False
        return True

    def drop(self) -> None:
        """A client in the middle of a request is told; one that does not read, or says nothing, is not."""
        if self._write_until is not None or self.transport.is_closing():
            self.transport.abort()
            return
        talking = (self._phase == _HEAD and self._head_bytes) or self._phase == _BODY
        if talking and self._may_refuse():
            self.transport.write(_refusal(408))
        self._refusal = 408
        self.transport.close()

    def _may_refuse(self) -> bool:
        """Whether a refusal would be taken for the answer to what it refuses: no answer to an earlier request is owed or under way."""
        answering = self._answering
        if answering is None or answering.response_complete:
            return True
        return answering is self.cycle and self._phase == _BODY and not answering.response_started

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_until = self.loop.time() + self.limits.write_seconds

    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_until = None

    def leave(self, whole: bool) -> None:
        """The last answer is written. Of a body that is still on its way the rest is read away for a while: a client that writes on would
        be told of a closed connection by a reset, and might never see its answer. ``whole``: there is no such rest."""
        if whole or self.transport.is_closing():
            self.transport.close()
            return
        self._refusal = _LEFT
        self._phase = _IDLE
        self._until = self.loop.time() + self.limits.leave_seconds
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    # ----------------------------------------------------------------------------------------------------------- parser

    def _parse(self, data: bytes) -> None:
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    return
                except httptools.HttpParserUpgrade as asked:
                    data = data[asked.args[0] :]
                    self._decline()
        except httptools.HttpParserError:
            self.send_400_response("")

    def _decline(self) -> None:
        """A client that would rather speak something else (h2c) is answered in HTTP/1.1. The parser took the request's end for that of
        HTTP; where a body follows, another one reads it."""
        framing = self._framing
        if framing:
            self._framing = b""
            self._priming = True
            self.parser = httptools.HttpRequestParser(self)
            self.parser.feed_data(b"PUT / HTTP/1.1\r\n%s\r\n" % framing)
            self._priming = False

    def on_message_begin(self) -> None:
        if self._priming:
            return
        super().on_message_begin()
        if self.origin is not None:
            self.scope[VPC] = self.origin.vpc_id  # type: ignore[literal-required]
        self._phase = _HEAD
        self._head_bytes = 0
        self._until = self.loop.time() + self.limits.header_seconds

    def on_url(self, url: bytes) -> None:
        if self._priming:
            return
        self._head_bytes += len(url)
        if self._head_bytes > self.limits.head_bytes:
            self._refusal = 431
        elif self._refusal is None:
            self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase != _HEAD:
            return  # a trailer
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > self.limits.head_bytes or len(self.headers) >= self.limits.headers:
            self._refusal = 431
        elif self._refusal is None:
            name, value = name.lower(), value.rstrip(b" \t")  # the parser leaves the white space behind a value, which is none of it (RFC 9110, 5.5)
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._priming:
            return
        self._phase = _BODY
        self._body_bytes = 0
        self._body_began = self.loop.time()
        self._until = self._body_began + self.limits.body_seconds
        if len(self.pipeline) >= self.limits.piped:
            self._refusal = 429
        if self._refusal is None and (not self.url.startswith(b"/") or sum(name == b"host" for name, _ in self.headers) > 1):
            self._check_target()
        if self.parser.should_upgrade():
            self._framing = b"".join(b"%s: %s\r\n" % pair for pair in self.headers if pair[0] in _FRAMING)
        if self._refusal is None:
            self.state.renew_date()
            super().on_headers_complete()

    def _check_target(self) -> None:
        """A request that goes to one place by its target and to another by its header, or to two, is none: whoever stands before us may
        have seen the other. The whole address as the target is the path in it."""
        hosts = {value.strip().lower() for name, value in self.headers if name == b"host"}
        match = _ADDRESS.match(self.url)
        if match is not None:
            hosts.add(match[1].lower())
            rest = self.url[match.end() :]
            self.url = rest if rest.startswith(b"/") else b"/" + rest
        elif not self.url.startswith(b"/"):
            self._refusal = 400
        if len(hosts) > 1 or sum(name == b"host" for name, _ in self.headers) > 1:
            self._refusal = 400

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.__class__ = Exchange
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        if self._refusal is not None:
            return
        self.took(len(body))
        super().on_body(body)

    def took(self, count: int) -> None:
        """So many further bytes of the body have come."""
        self._body_bytes += count
        self._until = self._body_began + self.limits.body_seconds + self._body_bytes / self.limits.body_rate

    def body_read(self) -> None:
        """The body was read past the parser, which begins anew."""
        self.parser = httptools.HttpRequestParser(self)
        self.on_message_complete()

    def on_message_complete(self) -> None:
        if self._refusal is not None or self._framing:
            return
        self._phase = _WHOLE
        self._until = None
        super().on_message_complete()
        if self.cycle.response_complete:
            self._rest()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # the sweep sees to it
        if self._phase == _WHOLE and not self.pipeline:
            self._rest()

    def _rest(self) -> None:
        self._phase = _IDLE
        self._until = self.loop.time() + self.limits.keep_alive_seconds


_APART = 32 * 1024
"""Bytes of a body from which on it is not copied to stand behind its head."""


class Exchange(RequestResponseCycle):
    """uvicorn's exchange of one request and one answer, with a writer that sends the head together with the first piece
    of the body: one system call instead of two for all that is not streamed."""

    _head: bytes = b""

    def blocks(self, length: int, size: int) -> Blocks | None:
        """The body in blocks; None if it can't be read so."""
        connection = self.on_response.__self__  # type: ignore[attr-defined]
        if not self.more_body or self.disconnected or self.transport.get_extra_info("sslcontext") is not None:
            return None
        if self.waiting_for_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        first = bytes(self.body)
        self.body = bytearray()
        return Blocks(connection, first, length, size)

    async def send(self, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.body" and self.response_started and not self.response_complete:
            self._send_body(message.get("body", b""), message.get("more_body", False))
        elif kind == "http.response.start" and not self.response_started:
            self._start(message["status"], message.get("headers", ()))
        elif kind == "mallee.response.cut":  # it cannot be finished, and the client must not think that it was
            self.keep_alive = False
            self.response_complete = True
            self.message_event.set()
            self.transport.abort()
        else:
            raise RuntimeError(f"the application sent {kind} out of turn")

    def _start(self, status: int, headers: Any) -> None:
        self.response_started = True
        self.waiting_for_100_continue = False
        self.chunked_encoding = False
        length: int | None = None
        parts = [STATUS_LINE[status]]
        for name, value in (*self.default_headers, *headers):
            if b"\n" in value or b"\r" in value or b"\n" in name or b"\r" in name:
                raise RuntimeError(f"the header {name!r} of an answer contains a line break")
            if name == b"content-length":
                length = int(value)
            elif name == b"connection" and value == b"close":
                self.keep_alive = False
                continue
            parts += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        if length is None and self.scope["method"] != "HEAD" and status not in (204, 304):
            self.chunked_encoding = True
            parts.append(b"transfer-encoding: chunked\r\n")
        parts.append(b"\r\n")
        self._head = b"".join(parts)
        self.expected_content_length = length or 0

    def _send_body(self, body: bytes, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            body = b""
        elif self.chunked_encoding:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("the answer is longer than its content-length")
        if len(body) > _APART and self._head:
            self.transport.writelines((self._head, body))
        elif self._head or body:
            self.transport.write(self._head + body if self._head else body)
        self._head = b""
        if not more:
            if self.expected_content_length:
                raise RuntimeError("the answer is shorter than its content-length")
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.on_response.__self__.leave(not self.more_body)  # type: ignore[attr-defined]
            self.on_response()


_PHRASES = {
    400: b"Bad Request",
    408: b"Request Timeout",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


def _refusal(status: int) -> bytes:
    phrase = _PHRASES[status]
    return (
        b"HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s\n"
        % (status, phrase, len(phrase) + 1, phrase)
    )  # fmt: skip
