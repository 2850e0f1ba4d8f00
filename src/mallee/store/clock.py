"""The one source of time in the control plane.

Everything that stores or compares a time asks a :class:`Clock` (transactions offer it as ``tx.now``), never the system. Tests
give a :class:`ManualClock`, which stands still until it is moved. Times are always aware, in UTC, in whole microseconds.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class Clock:
    """The system's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock(Clock):
    """A clock for tests: it shows the same instant until :meth:`advance` or :meth:`set` moves it."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2024, 1, 1, 12, 0, tzinfo=UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> datetime:
        """Moves the clock on by ``seconds`` and returns the new time."""
        with self._lock:
            self._now += timedelta(seconds=seconds)
            return self._now

    def set(self, moment: datetime) -> None:
        if moment.tzinfo is None:
            raise ValueError("the clock shows aware times only")
        self._now = moment.astimezone(UTC)
