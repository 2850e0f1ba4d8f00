"""A cloud in this process, and requests that go through its dispatcher: server time alone, without sockets and clients."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mallee.http.dispatch import Source
from mallee.store import Database, schema
from mallee.wire import Request
from tests.cloud.harness import ENDPOINT, Account, TestCloud

from .load import Target


@contextmanager
def local_cloud(folder: Path) -> Iterator[TestCloud]:
    """With the real clock, on SQLite."""
    database = Database(f"sqlite:///{folder}/cloud.db")
    schema.load()
    schema.create(database)
    made = TestCloud(folder / "home", database, database.clock)
    yield made
    made.close()
    database.close()


def caller(account: Account, **parameters: str) -> Callable[[], None]:
    """Asks EC2 the same thing each time, signed once; every answer must be a 200."""
    cloud = account.cloud
    keys = account.credentials
    target = Target(ENDPOINT, keys.access_key_id, keys.secret_access_key, cloud.settings.region)
    head, body = target.request(**parameters).split(b"\r\n\r\n", 1)
    lines = [line.partition(b": ") for line in head.split(b"\r\n")[1:]]
    headers = [(name.lower(), value) for name, _, value in lines]
    answer, source = cloud.cloud.dispatcher.answer, Source("192.0.2.1")

    def ask() -> None:
        request = Request("POST", b"/", b"", list(headers))
        request.body = body
        told = answer(request, "00000000-0000-4000-8000-000000000000", source)
        assert told.status == 200, told.body

    return ask


def least(works: list[Callable[[], object]], rounds: int = 40, times: int = 50) -> list[float]:
    """Processor seconds per call of each, in the quietest of its rounds; the rounds take turns."""
    found = [float("inf")] * len(works)
    for work in works:
        for _ in range(times):
            work()
    for _ in range(rounds):
        for number, work in enumerate(works):
            began = time.process_time()
            for _ in range(times):
                work()
            found[number] = min(found[number], (time.process_time() - began) / times)
    return found
