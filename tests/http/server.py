"""A real listener on the loopback, in a thread of its own, and a client that says exactly what a test wants to say."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mallee.http.protocol import Limits
from mallee.http.server import Listener, listen


class Server:
    def __init__(self, app: Callable[..., Any], limits: Limits | None = None, context: ssl.SSLContext | None = None) -> None:
        self.loop = asyncio.new_event_loop()
        self.listener = Listener("test", app, listen("127.0.0.1", 0, "port"), limits, context)
        self.port = self.listener.port
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.listener.start())
        self._ready.set()
        self.loop.run_forever()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(5)

    def stop(self, seconds: float = 5.0) -> None:
        if self._thread.is_alive():
            self.stopping(seconds).result(seconds + 5)
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(5)

    def stopping(self, seconds: float = 5.0) -> Any:
        return asyncio.run_coroutine_threadsafe(self.listener.stop(seconds), self.loop)

    def connect(self) -> Client:
        return Client(self.port)


class Client:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._read = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer, which must have a content-length."""
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", "0"))
        while len(self._read) < length:
            self._more()
        body, self._read = self._read[:length], self._read[length:]
        return int(lines[0].split()[1]), headers, body

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        self._read += data

    def is_closed(self, seconds: float) -> bool:
        """Whether the server closes the connection within so many seconds."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        self.socket.close()


@contextmanager
def serving(app: Callable[..., Any], limits: Limits | None = None, **options: Any) -> Iterator[Server]:
    server = Server(app, limits, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop(0.2)


def wait_for(condition: Callable[[], object], seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.01)


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers with method, target, headers and body as it got them."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    names = b",".join(name for name, _ in scope["headers"])
    text = b"|".join([scope["method"].encode(), scope["raw_path"], scope["query_string"], names, body])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})
