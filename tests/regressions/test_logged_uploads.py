"""The log said of every upload that no byte had come in."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, allow, bucket
from tests.http.server import Client, serving


@pytest.mark.parametrize("size", [0, 1000, 3_000_000])
def test_what_came_is_told(sqlite_cloud: TestCloud, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(bucket(sqlite_cloud, public=True), "s3:PutObject")
    told: list[int] = []
    account = sqlite_cloud.cloud.api._account

    def accounting(request: Any, answer: Any, *rest: Any) -> None:
        told.append(answer.received)
        account(request, answer, *rest)

    monkeypatch.setattr(sqlite_cloud.cloud.api, "_account", accounting)
    with serving(sqlite_cloud.cloud.api) as server:
        client = Client(server.port)
        client.send(f"PUT /{NAME}/key HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\nconnection: close\r\n\r\n".encode() + bytes(size))
        assert client.answer()[0] == 200
        client.close()
    assert told == [size]
