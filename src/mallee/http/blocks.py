"""A large body read from the socket straight into the blocks that it is handed on in.

The usual way of a body, through the parser and the exchange's buffer, copies each byte four times; at the speed of object uploads that is
as dear as their digests. So while such a body comes, its connection's transport talks to ``Blocks``, which has the kernel write into
one block after the other, and not a byte beyond the body's length; then the connection has its transport back. At most one full block
waits while another is filled: whoever is slower is waited for.

Only for bodies whose length is declared, and without TLS.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mallee.http.protocol import Connection


class Blocks(asyncio.BufferedProtocol):
    """An asynchronous iterator of blocks of ``size`` bytes, the last one shorter. ``first``: what has been read already. It ends early, and
    ``lost`` is true, when the client goes away."""

    def __init__(self, connection: Connection, first: bytes, length: int, size: int) -> None:
        self._connection = connection
        self._left = length  # bytes that have not been read from the socket
        self._rest = length  # bytes that are not in a full block
        self._size = size
        self._ready: deque[bytearray] = deque()
        self._wake = asyncio.Event()
        self._block = bytearray(min(size, length))
        self._filled = 0
        self._over = False
        self.lost = False
        connection.flow.pause_reading()
        connection.transport.set_protocol(self)
        while first:
            piece = first[: len(self._block) - self._filled]
            self._block[self._filled : self._filled + len(piece)] = piece
            first = first[len(piece) :]
            self._took(len(piece))
        if not self._over:
            connection.flow.resume_reading()

    # the transport's side

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._block)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._connection.took(nbytes)
        self._took(nbytes)

    def _took(self, count: int) -> None:
        self._filled += count
        self._left -= count
        if self._filled < len(self._block):
            return
        self._ready.append(self._block)
        self._rest -= len(self._block)
        self._filled = 0
        self._wake.set()
        if self._left == 0:
            self._block = bytearray()
            self._end()
            return
        self._block = bytearray(min(self._size, self._rest))
        if len(self._ready) > 1:
            self._connection.flow.pause_reading()

    def _end(self) -> None:
        """The body is whole: what follows is the connection's."""
        self._over = True
        connection = self._connection
        connection.flow.pause_reading()
        connection.transport.set_protocol(connection)
        connection.body_read()
        connection.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._wake.set()
        self._connection.connection_lost(exc)

    def eof_received(self) -> Any:
        return self._connection.eof_received()

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    # the reader's side

    def __aiter__(self) -> Blocks:
        return self

    async def __anext__(self) -> bytearray:
        while not self._ready:
            if self.lost or self._over:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        block = self._ready.popleft()
        if not self._over and not self.lost:
            self._connection.flow.resume_reading()
        return block

    def abandon(self) -> None:
        """Nobody wants the rest: the connection cannot go on."""
        if not self._over:
            self._connection.transport.set_protocol(self._connection)
            self._over = True
