"""Guests' connections, passed on by nodes: the source is what the node says, and nothing that the guest says."""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mallee.fabric import origin
from mallee.fabric.origin import Origin
from mallee.http import tls
from mallee.http.protocol import VPC, Limits
from mallee.http.server import NodesListener
from tests.http.server import Client, wait_for

GUEST = Origin("vpc-0123456789abcdef0", "172.31.0.5", 40123)
HEADER = origin.encode(GUEST, "169.254.169.252", 80)
ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def whence(scope: dict[str, Any], receive: Any, send: Any) -> None:
    text = f"{scope.get(VPC)} {scope['client']} {scope['scheme']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


class Door:
    def __init__(self, path: Path, context: ssl.SSLContext | None = None, loop: Any = None) -> None:
        self.path = path
        self.loop = loop or asyncio.new_event_loop()
        self.listener = NodesListener(
            "vpc", whence, path, Limits(header_seconds=0.5, sweep_seconds=0.05, connections=20), context
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        wait_for(lambda: self.listener._accepting is not None)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.listener.start())
        self.loop.run_forever()

    def connect(self) -> Client:
        made = Client.__new__(Client)
        made.socket = socket.socket(socket.AF_UNIX)
        made.socket.settimeout(5)
        made.socket.connect(str(self.path))
        made._read = b""
        return made

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.listener.stop(1), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)


def _loops() -> list[Any]:
    import uvloop

    return [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture(params=_loops(), ids=["asyncio", "uvloop"])
def door(tmp_path: Path, request: Any) -> Iterator[Door]:
    made = Door(tmp_path / "run" / "vpc.sock", loop=request.param())
    yield made
    made.stop()
    assert not made.path.exists()


def test_a_request_has_the_source_that_the_node_says(door: Door) -> None:
    client = door.connect()
    client.send(HEADER + ASK)
    expected = f"{GUEST.vpc_id} ('172.31.0.5', 40123) http".encode()
    assert client.answer()[2] == expected
    client.send(ASK)  # all requests of the connection
    assert client.answer()[2] == expected
    slow = door.connect()
    for byte in HEADER:
        slow.send(bytes([byte]))
    slow.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.9.9.9\r\nForwarded: for=10.9.9.9\r\n\r\n")
    assert slow.answer()[2] == expected


def test_a_second_header_is_the_guests_and_no_request(door: Door) -> None:
    client = door.connect()
    client.send(HEADER + origin.encode(Origin("vpc-0fffffffffffffff0", "10.0.0.1", 1), "169.254.169.252", 80) + ASK)
    assert client.answer()[0] == 400


def test_without_the_header_nothing_is_answered(door: Door) -> None:
    for data in (ASK, b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + ASK, b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", b"\x00" * 300):
        client = door.connect()
        client.send(data)
        assert client.is_closed(2)


def test_only_the_clouds_user_and_root_can_open_it(door: Door) -> None:
    assert stat.S_IMODE(door.path.stat().st_mode) == 0o600


def test_tls_begins_after_the_header(tmp_path: Path) -> None:
    tls.issue(tmp_path / "tls", ["*.local-1.mallee.internal", tls.IN_VPCS])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls/cert.pem", tmp_path / "tls/key.pem")
    for loop in _loops():
        door = Door(tmp_path / "vpc-tls.sock", context, loop())
        try:
            trusting = ssl.create_default_context(cafile=str(tmp_path / "tls/ca.pem"))
            for name in ("ec2.local-1.mallee.internal", tls.IN_VPCS):
                client = door.connect()
                client.send(HEADER)
                client.socket = trusting.wrap_socket(client.socket, server_hostname=name)
                client.send(ASK)
                assert client.answer()[2] == f"{GUEST.vpc_id} ('172.31.0.5', 40123) https".encode()
        finally:
            door.stop()
