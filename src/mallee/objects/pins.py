"""Which contents are being read: what is pinned is not reclaimed, so that a long download outlives the object's removal."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable


class Pins:
    """Locations that somebody is reading in this process."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, locations: Iterable[str]) -> None:
        with self._lock:
            self._counts.update(locations)

    def drop(self, locations: Iterable[str]) -> None:
        with self._lock:
            for location in locations:
                self._counts[location] -= 1
                if self._counts[location] <= 0:
                    del self._counts[location]

    def __contains__(self, location: object) -> bool:
        return location in self._counts
