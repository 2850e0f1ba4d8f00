"""What a client may do to a connection: slow heads, slow bodies, floods of headers, requests and connections."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from mallee.http.protocol import Limits
from tests.http.server import Server, echo, serving, wait_for

QUICK = Limits(header_seconds=0.3, body_seconds=0.3, keep_alive_seconds=0.4, write_seconds=0.4, sweep_seconds=0.05)
GET = b"GET /a%20b?x=%31 HTTP/1.1\r\nHost: x\r\n\r\n"


def test_the_target_arrives_undecoded_and_connections_stay() -> None:
    with serving(echo) as server:
        client = server.connect()
        for _ in range(3):
            client.send(GET)
            status, headers, body = client.answer()
            assert (status, body) == (200, b"GET|/a%20b|x=%31|host|")
            assert headers["server"] == "Mallee" and headers["date"].endswith("GMT")


def test_pipelined_requests_are_answered_in_order() -> None:
    with serving(echo) as server:
        client = server.connect()
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(20)))
        assert [client.answer()[2] for _ in range(20)] == [b"GET|/%d||host|" % number for number in range(20)]


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost"])
def test_a_head_that_does_not_come(said: bytes) -> None:
    with serving(echo, QUICK) as server:
        client = server.connect()
        client.send(said)
        assert client.is_closed(3)
        wait_for(lambda: not server.listener.connections)
        assert server.listener.state.overdue == 1


def test_a_head_that_comes_byte_by_byte() -> None:
    """Each byte is in time, the head is not."""
    with serving(echo, QUICK) as server:
        client = server.connect()
        began = time.monotonic()
        with pytest.raises(OSError):
            for byte in GET * 20:
                client.send(bytes([byte]))
                time.sleep(0.02)
        assert time.monotonic() - began < 3


def test_many_slow_heads_do_not_keep_a_quick_one_waiting() -> None:
    with serving(echo, QUICK) as server:
        slow = [server.connect() for _ in range(100)]
        for each in slow:
            each.send(b"GET / HTTP/1.1\r\nX-")
        quick = server.connect()
        quick.send(GET)
        assert quick.answer()[0] == 200
        assert all(each.is_closed(3) for each in slow)


def test_a_body_that_does_not_come() -> None:
    with serving(echo, QUICK) as server:
        client = server.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert client.answer()[0] == 408
        assert client.is_closed(3)


def test_a_body_that_trickles() -> None:
    with serving(echo, QUICK) as server:
        client = server.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(OSError):
            for _ in range(200):
                client.send(b"1\r\na\r\n")
                time.sleep(0.02)


def test_a_slow_body_that_keeps_the_pace_is_taken() -> None:
    with serving(echo, Limits(body_seconds=0.2, body_rate=1000, sweep_seconds=0.05)) as server:
        client = server.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n")
        for _ in range(10):
            client.send(b"a" * 200)
            time.sleep(0.05)
        assert client.answer()[0] == 200


def test_a_connection_at_rest_is_closed() -> None:
    with serving(echo, QUICK) as server:
        client = server.connect()
        client.send(GET)
        assert client.answer()[0] == 200
        assert not client.is_closed(0.2)
        assert client.is_closed(3)


def test_an_answer_that_nobody_reads() -> None:
    async def large(scope: dict[str, Any], receive: Any, send: Any) -> None:
        size = 64 * 1024 * 1024
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        for _ in range(64):
            await send({"type": "http.response.body", "body": bytes(1024 * 1024), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    with serving(large, QUICK) as server:
        client = server.connect()
        client.send(GET)
        wait_for(lambda: server.listener.connections == 1)
        wait_for(lambda: server.listener.connections == 0)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nX-A: " + b"b" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"b" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"b" * 1000) for n in range(90)) + b"\r\n",
    ],
)
def test_floods_of_headers(head: bytes) -> None:
    with serving(echo) as server:
        client = server.connect()
        client.send(head)
        assert client.answer()[0] == 431
        assert client.is_closed(3)


def test_an_endless_head_is_bounded() -> None:
    with serving(echo) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\n")
        sent = 0
        with pytest.raises(OSError):
            while sent < 10_000_000:
                client.send(b"X-Header-%d: value\r\n" % sent)
                sent += 20
        assert sent < 5_000_000


def test_a_flood_of_pipelined_requests() -> None:
    with serving(echo, Limits(piped=4)) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
        assert client.is_closed(3)
        wait_for(lambda: server.listener.connections == 0)


def test_too_many_connections() -> None:
    with serving(echo, Limits(connections=3)) as server:
        kept = [server.connect() for _ in range(3)]
        wait_for(lambda: server.listener.connections == 3)
        one_more = server.connect()
        assert one_more.answer()[0] == 503 and one_more.is_closed(3)
        kept[0].close()
        wait_for(lambda: server.listener.connections == 2)
        again = server.connect()
        again.send(GET)
        assert again.answer()[0] == 200


@pytest.mark.parametrize(
    "said",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA b: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_not_http(said: bytes) -> None:
    with serving(echo, QUICK) as server:
        client = server.connect()
        client.send(said)
        assert client.answer()[0] in (400, 408)
        assert client.is_closed(3)
        other = server.connect()
        other.send(GET)
        assert other.answer()[0] == 200


def test_trailing_headers_are_no_headers() -> None:
    with serving(echo) as server:
        client = server.connect()
        client.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Amz-Target: forged\r\n\r\n"
        )
        _, _, body = client.answer()
        assert body == b"POST|/||host,transfer-encoding|a"


def test_continue_is_said_only_when_the_body_is_wanted() -> None:
    async def refuse(scope: dict[str, Any], receive: Any, send: Any) -> None:
        head = [(b"content-length", b"0"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 403, "headers": head})
        await send({"type": "http.response.body", "body": b""})

    asks = b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    with serving(refuse) as server:
        client = server.connect()
        client.send(asks)
        assert client.answer()[0] == 403
    with serving(echo) as server:
        client = server.connect()
        client.send(asks)
        assert client.answer()[0] == 100
        client.send(b"abc")
        assert client.answer()[2].endswith(b"|abc")


# ---------------------------------------------------------------------------------------------------------------- stop


def slow(seconds: float) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.sleep(seconds)
        await echo(scope, receive, send)

    return app


def test_a_stop_answers_what_had_begun() -> None:
    server = Server(slow(0.4))
    server.start()
    resting, busy = server.connect(), server.connect()
    resting.send(GET)
    assert resting.answer()[0] == 200
    busy.send(GET)
    wait_for(lambda: server.listener.state.tasks)
    stopping = server.stopping()
    assert resting.is_closed(0.3)
    status, headers, _ = busy.answer()
    assert (status, headers["connection"]) == (200, "close")
    stopping.result(5)
    with pytest.raises(OSError):
        server.connect()
    server.loop.call_soon_threadsafe(server.loop.stop)


def test_a_stop_does_not_wait_for_ever() -> None:
    server = Server(slow(60))
    server.start()
    client = server.connect()
    client.send(GET)
    wait_for(lambda: server.listener.state.tasks)
    began = time.monotonic()
    server.stop(0.2)
    assert time.monotonic() - began < 3 and client.is_closed(1)
