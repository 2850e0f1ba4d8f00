"""Uploads through a real listener: aborted, slow, lying ones leave nothing; refusals come before bodies."""

from __future__ import annotations

import base64
import gc
import hashlib
import socket
import zlib
from pathlib import Path
from typing import Any

import pytest

from mallee.http.protocol import Limits
from mallee.http.streams import Begun
from mallee.objects.receiving import Intake
from tests.cloud import forms
from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, allow, bucket
from tests.http.server import Client, Server, serving, wait_for

MIB = 1024 * 1024
CHUNKED = "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\nx-amz-decoded-content-length: {}\r\nx-amz-trailer: x-amz-checksum-crc32\r\n"


def opened(cloud: TestCloud) -> Any:
    s3 = bucket(cloud, public=True)
    allow(s3, "s3:PutObject", "s3:GetObject", on="/in/*")
    return s3


def put(length: int, key: str = "in/key", more: str = "") -> bytes:
    return f"PUT /{NAME}/{key} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{more}\r\n".encode()


def post(length: int) -> bytes:
    kind = f"multipart/form-data; boundary={forms.BOUNDARY.decode()}"
    return f"POST /{NAME} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n".encode()


GET = f"GET /{NAME}/in/key HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def stored(cloud: TestCloud) -> dict[str, int]:
    """What the engine's disks hold."""
    found = {}
    for folder in cloud.settings.objects_disks:
        for file in Path(folder).rglob("*"):
            if file.is_file():
                found[str(file.relative_to(folder))] = file.stat().st_size
    return found


def nothing_is_left(cloud: TestCloud, server: Server, before: dict[str, int]) -> None:
    wait_for(lambda: server.listener.connections == 0 and not server.listener.state.tasks)
    wait_for(lambda: stored(cloud) == before)
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Begun | Intake)]
    assert cloud.cloud.dispatcher.faults == 0


def cut(client: Client) -> None:
    """As if the client's machine had gone."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


@pytest.mark.parametrize("sent", [0, 10, 500_000, 3 * MIB])
@pytest.mark.parametrize("kind", ["put", "small", "chunked", "form"])
def test_aborted_uploads(sqlite_cloud: TestCloud, kind: str, sent: int) -> None:
    s3 = opened(sqlite_cloud)
    if kind == "put":
        said = put(10 * MIB) + b"x" * sent
    elif kind == "small":
        said = put(100_000) + b"x" * min(sent, 99_999)
    elif kind == "chunked":
        said = put(10 * MIB, more=CHUNKED.format(9 * MIB)) + b"400000\r\n" + b"x" * sent
    else:
        body = forms.encoded({"key": "in/key"}, b"x" * sent, after=b"")[:-40]
        said = post(10 * MIB) + body
    with serving(sqlite_cloud.cloud.api) as server:
        before = stored(sqlite_cloud)
        for abruptly in (False, True):
            client = server.connect()
            client.send(said)
            wait_for(lambda: server.listener.state.tasks)
            if sent > MIB and kind != "small":
                wait_for(lambda: stored(sqlite_cloud) != before)
            (cut if abruptly else Client.close)(client)
            nothing_is_left(sqlite_cloud, server, before)
    assert "Contents" not in s3.list_objects_v2(Bucket=NAME)


def test_a_slow_upload_is_ended(sqlite_cloud: TestCloud) -> None:
    opened(sqlite_cloud)
    limits = Limits(body_seconds=0.5, body_rate=100 * MIB, sweep_seconds=0.1, leave_seconds=0.2)
    with serving(sqlite_cloud.cloud.api, limits) as server:
        before = stored(sqlite_cloud)
        client = server.connect()
        client.send(put(10 * MIB) + b"x" * (2 * MIB))
        assert client.answer()[0] == 408
        client.close()
        nothing_is_left(sqlite_cloud, server, before)


def test_a_stop_in_the_middle(sqlite_cloud: TestCloud) -> None:
    opened(sqlite_cloud)
    before = stored(sqlite_cloud)
    with serving(sqlite_cloud.cloud.api) as server:
        client = server.connect()
        client.send(put(10 * MIB) + b"x" * (2 * MIB))
        wait_for(lambda: stored(sqlite_cloud) != before)
    wait_for(lambda: stored(sqlite_cloud) == before)


def test_refusals_come_before_bodies(sqlite_cloud: TestCloud) -> None:
    opened(sqlite_cloud)
    with serving(sqlite_cloud.cloud.api) as server:
        before = stored(sqlite_cloud)
        client = server.connect()
        client.send(put(5, "out", "expect: 100-continue\r\n"))
        status, headers, body = client.answer()
        assert status == 403 and headers["connection"] == "close" and b"<Code>AccessDenied</Code>" in body
        assert client.is_closed(3)
        client = server.connect()
        client.send(put(5, more="expect: 100-continue\r\n"))
        assert client.answer()[0] == 100
        client.send(b"hello")
        assert client.answer()[0] == 200
        for size in (5, 200_000, 5 * MIB):  # read away: the connection goes on
            client.send(put(size, "out") + b"x" * size + GET)
            assert client.answer()[0] == 403
            assert client.answer()[2] == b"hello"
        client.send(put(50 * MIB, "out"))
        for _ in range(50):
            client.send(b"x" * MIB)
        status, headers, _ = client.answer()
        assert status == 403 and headers["connection"] == "close"
        client.close()
        wait_for(lambda: not server.listener.state.tasks)
        assert stored(sqlite_cloud).keys() >= before.keys()


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (put(10, more=CHUNKED.format(5)), b"5\r\nhello\r\n", 400),  # it ends early
        (put(25, more=CHUNKED.format(4)), b"5\r\nhello\r\n0\r\n" + b"x" * 12, 400),
        (put(14, more=CHUNKED.format(10)), b"5\r\nhello\r\n0\r\n\r\n"[:14], 400),
        (put(15, more=CHUNKED.format(9 * 10**15)), b"5\r\nhello\r\n0\r\n\r\n", 400),
        (put(15, more=CHUNKED.format(-5)), b"5\r\nhello\r\n0\r\n\r\n", 411),
        (put(6 * 1024**3), b"", 400),
        (put(30, more=CHUNKED.format(5)), b"f" * 30, 400),
    ],
)
def test_lengths_that_lie(sqlite_cloud: TestCloud, head: bytes, body: bytes, status: int) -> None:
    opened(sqlite_cloud)
    with serving(sqlite_cloud.cloud.api) as server:
        before = stored(sqlite_cloud)
        client = server.connect()
        client.send(head + body + (GET if body else b""))
        assert client.answer()[0] == status
        if body:
            assert client.answer()[0] == 403  # the piped request, of a key that is not there
        client.close()
        nothing_is_left(sqlite_cloud, server, before)


def test_large_bodies_in_any_way(sqlite_cloud: TestCloud) -> None:
    content = hashlib.shake_128(b"x").digest(3 * MIB + 17)
    s3 = opened(sqlite_cloud)
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (content[:1_000_000], content[1_000_000:])) + b"0\r\n"
    crc = base64.b64encode(zlib.crc32(content).to_bytes(4, "big"))
    chunked += b"x-amz-checksum-crc32:%s\r\n\r\n" % crc
    form = forms.encoded({"key": "in/key"}, content)
    with serving(sqlite_cloud.cloud.api) as server:
        client = server.connect()
        for said, status in (
            (put(len(content)) + content, 200),
            (put(len(chunked), more=CHUNKED.format(len(content))) + chunked, 200),
            (post(len(form)) + form, 204),
        ):
            client.send(said + GET)
            assert client.answer()[0] == status
            assert client.answer()[2] == content
            s3.delete_object(Bucket=NAME, Key="in/key")
        client.close()
