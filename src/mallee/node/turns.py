"""Threads that give each key its turn: never two at a time for one key, never a wake-up lost.

A key that is woken while its turn runs gets another one after it. ``later`` wakes a key by time; the soonest time
counts, since a turn names the next one anew. This is all the concurrency that keeping guests needs: the work of a
turn looks at the world anew and is ordinary straight-line code.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)


class Turns:
    def __init__(self, work: Callable[[str], None], threads: int, name: str) -> None:
        self._work = work
        self._changes = threading.Condition()
        self._waiting: deque[str] = deque()
        self._queued: set[str] = set()
        self._running: set[str] = set()
        self._due: list[tuple[float, str]] = []
        self._soonest: dict[str, float] = {}
        self._stopped = False
        self._threads = [threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(threads)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 10.0) -> None:
        """No new turns; those that run are waited for."""
        with self._changes:
            self._stopped = True
            self._changes.notify_all()
        limit = time.monotonic() + seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, limit - time.monotonic()))

    def wake(self, *keys: str) -> None:
        with self._changes:
            for key in keys:
                if key not in self._queued:
                    self._queued.add(key)
                    self._waiting.append(key)
            self._changes.notify(len(keys))

    def later(self, key: str, seconds: float) -> None:
        with self._changes:
            due = time.monotonic() + seconds
            if due < self._soonest.get(key, due + 1):
                self._soonest[key] = due
                heapq.heappush(self._due, (due, key))
                self._changes.notify()

    def idle(self) -> bool:
        with self._changes:
            return not self._queued and not self._running

    def _next(self) -> str | None:
        with self._changes:
            while not self._stopped:
                now = time.monotonic()
                while self._due and self._due[0][0] <= now:
                    due, key = heapq.heappop(self._due)
                    if self._soonest.get(key) != due:
                        continue
                    del self._soonest[key]
                    if key not in self._queued:
                        self._queued.add(key)
                        self._waiting.append(key)
                        self._changes.notify()
                for _ in range(len(self._waiting)):
                    key = self._waiting.popleft()
                    if key in self._running:
                        self._waiting.append(key)
                        continue
                    self._queued.discard(key)
                    self._running.add(key)
                    return key
                self._changes.wait(self._due[0][0] - now if self._due else None)
            return None

    def _run(self) -> None:
        while (key := self._next()) is not None:
            try:
                self._work(key)
            except Exception:
                log.exception("the turn of %s", key)
            finally:
                with self._changes:
                    self._running.discard(key)
                    if key in self._queued:
                        self._changes.notify()
