"""Blocks of a body on their way through the stages of their intake: each stage takes the blocks in order, and no stage waits for another.

What one stage does with a block (the MD5) takes as long as what the other does (digest, encryption, disk), so two processors are busy as long
as neither has to wait; some blocks may be between them. A stage's jobs are done by whichever thread of the pool is free, one at a time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from mallee.http.workers import Workers
from mallee.objects.receiving import Block, Intake

MOST: Final = 3
"""Blocks of one body that may be in its stages."""

Done = Callable[..., None]


class Stage:
    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._queue: deque[tuple[Callable[[], None], Done]] = deque()
        self._lock = threading.Lock()
        self._busy = False

    def put(self, job: Callable[[], None], done: Done) -> None:
        """``done(None, problem, seconds)`` is called from the thread that did the job."""
        with self._lock:
            self._queue.append((job, done))
            if self._busy:
                return
            self._busy = True
        self._workers.post(self._work)

    def _work(self) -> None:
        """One job; then it is the turn of whatever else waits for a thread, however fast this body comes."""
        with self._lock:
            job, done = self._queue.popleft()
        began, problem = time.perf_counter(), None
        try:
            job()
        except Exception as error:
            problem = error
        del job
        with self._lock:
            more = self._busy = bool(self._queue)
        if more:
            self._workers.post(self._work)
        done(None, problem, time.perf_counter() - began)


class Feed:
    def __init__(self, workers: Workers, intake: Intake) -> None:
        self._workers = workers
        self._intake = intake
        self._stages: list[Stage] = []
        self._pending: deque[list[Any]] = deque()

    async def put(self, block: Block) -> None:
        """Returns when there is room for another. Raises what a stage raised."""
        jobs = self._intake.jobs(block)
        while len(self._stages) < len(jobs):
            self._stages.append(Stage(self._workers))
        started = [
            self._workers.later(lambda done, job=job, stage=stage: stage.put(job, done))  # type: ignore[misc]
            for job, stage in zip(jobs, self._stages, strict=False)
        ]
        if started:
            self._pending.append(started)
        while len(self._pending) >= MOST:
            await _ended(self._pending.popleft())

    async def end(self) -> None:
        """All that was put has been through. Raises the first problem, when nothing is under way any more."""
        problem: Exception | None = None
        while self._pending:
            try:
                await _ended(self._pending.popleft())
            except Exception as error:
                problem = problem or error
        if problem is not None:
            raise problem


async def _ended(jobs: list[Any]) -> None:
    """All of a block's jobs end before the first error is raised."""
    first: Exception | None = None
    for each in jobs:
        _, problem, _ = await each
        first = first or problem
    if first is not None:
        raise first
