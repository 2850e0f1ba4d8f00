"""An upload that came fast kept a thread for each of its stages until its end; two of them kept all, and nobody else was served."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

from mallee.http.feeding import Feed
from mallee.http.workers import Workers
from mallee.objects.receiving import Intake


class Endless:
    """An intake whose client is always ahead: whenever a block is done, the next is there."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.first = threading.Event()

    def jobs(self, block: bytes) -> list[Any]:
        return [lambda: (self.first.wait(10), self.order.append(block.decode()))]


def test_others_have_their_turn_between_two_blocks() -> None:
    workers = Workers(1, "test")
    intake = Endless()

    async def work() -> None:
        feed = Feed(workers, cast(Intake, intake))
        await feed.put(b"1")
        await feed.put(b"2")
        other = workers.run(lambda: intake.order.append("other"))
        intake.first.set()
        await other
        await feed.end()

    asyncio.run(work())
    workers.close()
    assert intake.order.index("other") < intake.order.index("2")
