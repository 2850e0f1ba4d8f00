"""Listeners: an ASGI application on a port, with or without TLS, until it is told to stop.

Stopping loses nothing that was answered: the port is closed first, connections at rest are closed, those with a request
get their answer and are closed after it, and only what is not done after the grace ends is cut off.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from uvicorn.config import Config

from mallee.fabric import origin
from mallee.fabric.sockets import private_listener
from mallee.http.protocol import Connection, Limits, State

BACKLOG = 1024
HANDSHAKE = 10.0  # seconds for TLS to be agreed on
GRACE = 12.0  # seconds that requests under way have when it ends; the supervisor waits for 20 in all, then kills
ORIGIN = 5.0  # seconds for a node to say where a connection comes from

logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it warns of every client that does not speak HTTP


class PortTaken(Exception):
    """The address cannot be listened on. The text is a sentence for the operator."""


class Listener:
    def __init__(
        self,
        name: str,
        app: Callable[..., Any],
        listening: socket.socket,
        limits: Limits | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self.state = State(limits or Limits())
        self._socket = listening
        self._context = context
        self._config = Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
        )
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @property
    def connections(self) -> int:
        return len(self.state.connections)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._config.load()

        def connection() -> Connection:
            return Connection(self._config, self.state, {}, loop)

        handshake = HANDSHAKE if self._context is not None else None
        self._server = await loop.create_server(
            connection, sock=self._socket, ssl=self._context, backlog=BACKLOG, ssl_handshake_timeout=handshake
        )

    async def stop(self, seconds: float = GRACE) -> None:
        """Returns when every request that had begun was answered, or after ``seconds``."""
        if self._server is None:
            self._socket.close()
            return
        self._server.close()
        await self._drain(seconds)

    async def _drain(self, seconds: float) -> None:
        for connection in list(self.state.connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (self.state.tasks or self.state.connections) and loop.time() < until:
            await asyncio.sleep(0.01)
        for task in list(self.state.tasks):
            task.cancel()
        for connection in list(self.state.connections):
            connection.transport.abort()


class NodesListener(Listener):
    """On a unix socket that only nodes open: they pass on the connections of guests, after a header that says from which VPC
    and address each comes (``fabric/origin.py``)."""

    def __init__(
        self,
        name: str,
        app: Callable[..., Any],
        path: Path,
        limits: Limits | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(name, app, listen_to_nodes(path), limits, context)
        self._path = path
        self._accepting: asyncio.Task[None] | None = None
        self._greeting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._config.load()
        self._accepting = asyncio.create_task(self._accept())

    async def stop(self, seconds: float = GRACE) -> None:
        for task in (self._accepting, *self._greeting):
            if task is not None:
                task.cancel()
        self._socket.close()
        self._path.unlink(missing_ok=True)
        await self._drain(seconds)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._socket)
            except OSError:  # no descriptor is left: some will be
                await asyncio.sleep(0.1)
                continue
            accepted.setblocking(False)
            if len(self._greeting) >= self.state.limits.connections:
                accepted.close()
                continue
            task = asyncio.create_task(self._greet(accepted))
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    async def _greet(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(ORIGIN):
                head = await _exactly(accepted, origin.HEAD)
                come = origin.decode(await _exactly(accepted, origin.remaining(head)))
            handshake = HANDSHAKE if self._context is not None else None
            await loop.connect_accepted_socket(
                lambda: Connection(self._config, self.state, {}, loop, come),
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=handshake,
            )
        except BaseException as error:
            accepted.close()
            if not isinstance(error, OSError | TimeoutError | origin.BadOrigin | EOFError):
                raise


async def _exactly(accepted: socket.socket, count: int) -> bytes:
    """So many bytes and none beyond: what follows is for whoever takes over."""
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < count:
        piece = await loop.sock_recv(accepted, count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def listen_to_nodes(path: Path) -> socket.socket:
    """A socket that only its owner and root can open; one that a former process left is replaced."""
    listening = private_listener(path, BACKLOG)
    listening.setblocking(False)
    return listening


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A bound socket. Raises ``PortTaken`` in one sentence that names the ``setting``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and host == "::":
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as reason:
        listening.close()
        raise PortTaken(
            f"Port {port} on {host} cannot be listened on ({reason.strerror}): choose another with the setting {setting}."
        ) from None
    return listening


async def metrics_app(text: Callable[[], str], scope: dict[str, Any], receive: Any, send: Any) -> None:
    """``GET /metrics``, for a listener of its own that only this host reaches."""
    if scope["type"] != "http":
        raise RuntimeError(f"only HTTP is spoken here, not {scope['type']}")
    if scope["path"] == "/metrics" and scope["method"] in ("GET", "HEAD"):
        body = (await asyncio.get_running_loop().run_in_executor(None, text)).encode()
        status, kind = 200, b"text/plain; version=0.0.4; charset=utf-8"
    else:
        status, kind, body = 404, b"text/plain", b"Only GET /metrics is here.\n"
    head = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
