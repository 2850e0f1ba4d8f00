"""A body that was found wrong when all of it had come: the refusal waited for more of it, which never came."""

from __future__ import annotations

import socket

from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, allow, bucket
from tests.http.server import Client, serving


def test_the_refusal_comes_and_the_connection_goes_on(sqlite_cloud: TestCloud) -> None:
    allow(bucket(sqlite_cloud, public=True), "s3:PutObject", "s3:GetObject")
    with serving(sqlite_cloud.cloud.api) as server:
        client = Client(server.port)
        for size in (5, 300_000, 3_000_000):
            head = f"PUT /{NAME}/key HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\ncontent-md5: 1B2M2Y8AsgTpgAmY7PhCfg==\r\n\r\n"
            client.send(head.encode() + b"x" * size)
            status, headers, body = client.answer()
            assert status == 400 and b"<Code>BadDigest</Code>" in body
            assert "connection" not in headers
        client.socket.shutdown(socket.SHUT_WR)
        client.close()
