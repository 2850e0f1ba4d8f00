"""A fabric server in a thread of its own, on a socket in a temporary directory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mallee.nodes.server import FabricServer
from mallee.nodes.session import Session


class Serving:
    """Starts and stops the server as often as a test wants, at one path."""

    def __init__(self, session: Session, path: Path) -> None:
        self.session = session
        self.path = path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: FabricServer | None = None

    def start(self) -> None:
        self._server = FabricServer(self.session, self.path)
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(10)

    def stop(self) -> None:
        if self._server is not None:
            asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(10)
            self._server = None

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@contextmanager
def serving(session: Session, path: Path) -> Iterator[Serving]:
    server = Serving(session, path)
    server.start()
    try:
        yield server
    finally:
        server.close()
