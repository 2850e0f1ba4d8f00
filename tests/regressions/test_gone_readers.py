"""A download whose client had gone was read from the disk to its end."""

from __future__ import annotations

import threading

import pytest

from mallee.objects.reading import Outflow
from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, allow, bucket
from tests.http.server import Client, serving

SIZE = 64 * 1024 * 1024


def test_nothing_is_read_for_who_is_gone(sqlite_cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = bucket(sqlite_cloud, public=True)
    allow(s3, "s3:GetObject")
    s3.put_object(Bucket=NAME, Key="key", Body=bytes(SIZE))
    read, closed = [], threading.Event()
    own_read, own_close = Outflow.read, Outflow.close

    def reading(self: Outflow, most: int = 0) -> bytes:
        data = own_read(self, most)
        read.append(len(data))
        return data

    def closing(self: Outflow) -> None:
        own_close(self)
        closed.set()

    monkeypatch.setattr(Outflow, "read", reading)
    monkeypatch.setattr(Outflow, "close", closing)
    with serving(sqlite_cloud.cloud.api) as server:
        client = Client(server.port)
        client.send(f"GET /{NAME}/key HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert client.socket.recv(1000).startswith(b"HTTP/1.1 200 ")
        client.close()
        assert closed.wait(20)
        assert sum(read) < SIZE
    assert sqlite_cloud.cloud.objects.pins._counts == {}
