"""The same work on several disks, beside each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


def each(pool: Executor, items: Sequence[T], work: Callable[[T], None]) -> list[tuple[T, OSError]]:
    """Does it to all, one of them in this thread, and waits for all; who failed, and how. What is no OSError is raised, once all are through."""
    if not items:
        return []
    running = [(item, pool.submit(_attempt, work, item)) for item in items[1:]]
    try:
        first = _attempt(work, items[0])
    finally:
        others = [(item, future.exception() or future.result()) for item, future in running]
    failed: list[tuple[T, OSError]] = [(items[0], first)] if first else []
    for item, error in others:
        if isinstance(error, OSError):
            failed.append((item, error))
        elif error is not None:
            raise error
    return failed


def _attempt(work: Callable[[T], None], item: T) -> OSError | None:
    try:
        work(item)
    except OSError as error:
        return error
    return None
