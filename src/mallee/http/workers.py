"""Threads that answer API calls for the event loop.

The standard executor takes two locks, a condition and a chained future for every call; here a call is one queue entry out
and one callback in, and answers that become ready together come back with one wake-up of the loop. ``function`` must not
raise: it answers for its own errors.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any


class Workers:
    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._waiting: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self.busy = 0  # calls that were handed in and whose results have not been handed out
        self._outlets: dict[asyncio.AbstractEventLoop, _Outlet] = {}

    def run(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """``function``'s result, as something that the running loop can await."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        outlet = self._outlets.get(loop) or self._open(loop)
        self.busy += 1
        self._waiting.put((outlet, future, function, arguments))
        return future

    def post(self, function: Callable[[], None]) -> None:
        """Has it done, from any thread, and nobody is told when; for calls that are within one of ``later``."""
        self._waiting.put((None, None, function, ()))

    def later(self, start: Callable[[Callable[..., None]], None]) -> asyncio.Future[Any]:
        """For work that others do: ``start(done)`` begins it, and whoever ends it calls ``done(*result)`` from any thread."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        outlet = self._outlets.get(loop) or self._open(loop)
        self.busy += 1
        start(lambda *result: outlet.put(future, result))
        return future

    def close(self) -> None:
        """Returns when every call that was handed in is done."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _open(self, loop: asyncio.AbstractEventLoop) -> _Outlet:
        for ended in [each for each in self._outlets if each.is_closed()]:
            del self._outlets[ended]
        outlet = self._outlets[loop] = _Outlet(self, loop)
        while len(self._threads) < self._count:
            thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return outlet

    def _work(self) -> None:
        while (entry := self._waiting.get()) is not None:
            outlet, future, function, arguments = entry
            result = function(*arguments)
            if outlet is not None and future is not None:
                outlet.put(future, result)
            del result
            del entry, outlet, future, function, arguments


class _Outlet:
    """Results on their way to one loop."""

    __slots__ = ("_called", "_loop", "_ready", "_workers")

    def __init__(self, workers: Workers, loop: asyncio.AbstractEventLoop) -> None:
        self._workers = workers
        self._loop = loop
        self._ready: deque[tuple[asyncio.Future[Any], Any]] = deque()
        self._called = False

    def put(self, future: asyncio.Future[Any], result: Any) -> None:
        """From a worker's thread. The result is put first and the loop called after it, and ``_deliver`` looks after it
        has taken the call back: whatever the order of the two threads, no result is left behind."""
        self._ready.append((future, result))
        if not self._called:
            self._called = True
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                pass  # the loop has ended, and with it whoever waited

    def _deliver(self) -> None:
        self._called = False
        ready = self._ready
        while ready:
            future, result = ready.popleft()
            self._workers.busy -= 1
            if not future.done():
                future.set_result(result)


_Entry = tuple[_Outlet | None, "asyncio.Future[Any] | None", Callable[..., Any], tuple[Any, ...]]
