"""A client that was slow when the cloud was to end was waited for until the supervisor killed the cloud: nothing else ended in order."""

from __future__ import annotations

import time
from collections.abc import Callable

from mallee.cli import supervisor
from mallee.http import server
from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, allow, bucket
from tests.http.server import Client, serving


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_cloud_gives_up_first() -> None:
    assert server.GRACE + 5 < supervisor.PATIENCE


def test_a_slow_upload_is_cut_and_nothing_remains(sqlite_cloud: TestCloud) -> None:
    allow(bucket(sqlite_cloud, public=True), "s3:PutObject")
    with serving(sqlite_cloud.cloud.api) as running:
        client = Client(running.port)
        client.send(f"PUT /{NAME}/key HTTP/1.1\r\nhost: x\r\ncontent-length: 3000000\r\n\r\n".encode() + bytes(1_500_000))
        folder = sqlite_cloud.settings.cloud / "objects" / "t"
        _until(lambda: any(folder.iterdir()))
        running.stopping(0.2).result(10)
        _until(lambda: not any(folder.iterdir()))
        client.close()
