"""The API over a database with one account, and a domain of three operations that do as a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mallee.http.app import Api
from mallee.http.dispatch import Dispatcher
from mallee.http.log import LineLog
from mallee.http.metrics import Metrics
from mallee.identity import records
from mallee.identity.access import Access
from mallee.identity.call import Call
from mallee.identity.tools import Tools
from mallee.identity.usage import Usage
from mallee.registry import Handler, Registry
from mallee.wire import Request
from tests.identity.conftest import Identity


class Edge:
    """``does[name]`` is what the operation does; operations of EC2 are put there by name."""

    def __init__(self, home: Path) -> None:
        self.identity = Identity(home)
        self.registry = Registry(("mallee.identity",))
        self.metrics = Metrics()
        self.lines = LineLog(home / "cloud.log", 1024 * 1024, 2)
        identity = self.identity
        self.dispatcher = Dispatcher(
            self.registry,
            identity.database,
            identity.authenticator,
            identity.settings,
            Tools(identity.vault),
            Usage(identity.database, identity.settings.region),
        )
        self.health: dict[str, Any] = {"status": "ok"}
        self.api = Api(self.dispatcher, lambda: self.health, self.metrics, self.lines, threads=2, at_once=True)

    def put(self, service: str, operation: str, function: Any, *, writes: bool = False, dry: bool = False) -> None:
        self.registry._handlers[service, operation] = Handler(service, operation, function, writes, dry, Access(), service)

    def send(self, request: Request, client: str = "192.0.2.1") -> tuple[int, dict[str, str], bytes]:
        """The request through the ASGI application; its body in two pieces."""
        body = request.body
        pieces = [
            {"type": "http.request", "body": body[: len(body) // 2], "more_body": True},
            {"type": "http.request", "body": body[len(body) // 2 :], "more_body": False},
        ]
        return self.feed(request, pieces, client)

    def feed(self, request: Request, pieces: list[dict[str, Any]], client: str = "") -> tuple[int, dict[str, str], bytes]:
        scope = {
            "type": "http", "method": request.method, "path": request.raw_path.decode("latin-1"),
            "raw_path": request.raw_path, "query_string": request.raw_query, "headers": request.headers,
            "client": (client, 1) if client else None,
        }  # fmt: skip
        queue, sent = list(pieces), []

        async def receive() -> dict[str, Any]:
            return queue.pop(0) if queue else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self.api(scope, receive, send))
        self.left = len(queue)
        if not sent:
            return 0, {}, b""
        headers = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, b"".join(each["body"] for each in sent[1:])


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    made = Edge(tmp_path)
    yield made
    made.api.close()
    made.lines.close()
    made.identity.database.close()


def writing(call: Call) -> dict[str, Any]:
    """An operation that writes a row and says which."""
    user = records.add_user(call.tx, call.account_id, call.input.get("KeyName", "somebody"))
    return {"KeyName": user.name}
