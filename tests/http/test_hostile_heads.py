"""Heads by which a request could be taken for another, or for two; and refusals of bodies that are still on their way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mallee.http.protocol import Limits
from tests.http.server import echo, serving, wait_for

GET = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nhello",
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nhello",
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        b"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\rX-B: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET x HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(said: bytes) -> None:
    with serving(echo) as server:
        client = server.connect()
        client.send(said + GET)
        status, headers, _ = client.answer()
        assert status == 400 and headers["connection"] == "close"
        with pytest.raises((EOFError, OSError)):
            client.answer()


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (b"http://x/a/b?c=d", b"GET|/a/b|c=d|"), (b"HTTP://X/", b"GET|/||"), (b"http://x", b"GET|/||"), (b"https://x?a", b"GET|/|a|"),
        (b"//x/y", b"GET|//x/y||"), (b"/http://y/", b"GET|/http://y/||"), (b"/?http://y", b"GET|/|http://y|"),
    ],
)  # fmt: skip
def test_targets(target: bytes, found: bytes) -> None:
    with serving(echo) as server:
        client = server.connect()
        client.send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target)
        status, _, body = client.answer()
        assert status == 200 and body == found + b"host|"


@pytest.mark.parametrize("framing", [b"content-length: 5\r\n\r\nhello", b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"])
def test_who_would_rather_speak_http_2_is_answered(framing: bytes) -> None:
    asks = b"Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    whole = b"GET /a HTTP/1.1\r\n" + asks + b"\r\n" + b"PUT /b HTTP/1.1\r\n" + asks + framing + GET
    for cut in (len(whole), 7, 150, 330, len(whole) - len(GET) - 3):
        with serving(echo) as server:
            client = server.connect()
            client.send(whole[:cut])
            client.send(whole[cut:])
            assert client.answer()[2].startswith(b"GET|/a|")
            body = client.answer()[2]
            assert body.startswith(b"PUT|/b|") and body.endswith(b"|hello")
            assert client.answer()[2].startswith(b"GET|/next|")


async def refuse(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"2"), (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": b"no"})


def test_a_refusal_reaches_a_client_that_is_still_writing() -> None:
    with serving(refuse) as server:
        client = server.connect()
        client.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(50):
            client.send(b"x" * 1_000_000)
        status, _, body = client.answer()
        assert (status, body) == (403, b"no")
        assert client.is_closed(3)
        client.close()
        wait_for(lambda: server.listener.connections == 0)


def test_but_not_for_ever() -> None:
    with serving(refuse, Limits(leave_seconds=0.3, sweep_seconds=0.1)) as server:
        client = server.connect()
        client.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\nx")
        assert client.answer()[0] == 403
        wait_for(lambda: server.listener.connections == 0)
        client.close()


@pytest.mark.parametrize("nonsense", [b"\x00\x00\r\n\r\n", b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"])
def test_no_refusal_stands_within_an_answer(nonsense: bytes) -> None:
    """What comes after a request whose answer is on its way is not answered in its middle, nor in its place."""
    async def slowly(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["raw_path"] == b"/waiting":
            await asyncio.sleep(0.3)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await asyncio.sleep(0.3)
        await send({"type": "http.response.body", "body": b"def"})

    for path in (b"/", b"/waiting"):
        with serving(slowly) as server:
            client = server.connect()
            client.send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
            if path == b"/":
                while b"abc" not in client._read:
                    client._more()
            client.send(nonsense)
            with pytest.raises((EOFError, OSError)):
                while True:
                    client._more()
            assert b"400" not in client._read
