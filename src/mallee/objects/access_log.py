"""Requests that are yet to be written into the access logs of their buckets: in memory, within bounds, until ``upkeep.logs`` delivers them.

Delivery is best effort, in AWS's own words: what a process that dies had not delivered is lost, and so is what comes when the memory is
full. A request to a bucket without a log costs a look at what is remembered of the bucket. Of buckets that are not remembered (a request
that was refused at once) it is found out later.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from mallee.objects import kinds, lookup
from mallee.objects.rules.access_log import Entry
from mallee.store import Database

MOST: Final = 32 * 1024 * 1024
"""Bytes that requests to buckets with a log may take; one takes about one KiB."""
MOST_UNKNOWN: Final = 2_000


class AccessLog:
    """``lost``: requests that found no room."""

    def __init__(self) -> None:
        self.lost = 0
        self._bytes = 0
        self._waiting: deque[tuple[str, Entry, bool]] = deque()
        self._unknown: deque[tuple[str, Entry, bool]] = deque(maxlen=MOST_UNKNOWN)
        self._lock = threading.Lock()

    def add(self, bucket: str, entry: Entry, *, known: bool, copied: bool = False) -> None:
        if not known:
            self._unknown.append((bucket, entry, copied))
        elif self._bytes < MOST:
            self._bytes += _size(entry)
            self._waiting.append((bucket, entry, copied))
        else:
            self.lost += 1

    def take(self) -> dict[str, list[tuple[Entry, bool]]]:
        """All that waits, by bucket, in the order in which it came."""
        found: dict[str, list[tuple[Entry, bool]]] = {}
        with self._lock:
            for queue in (self._waiting, self._unknown):
                for _ in range(len(queue)):
                    bucket, entry, copied = queue.popleft()
                    found.setdefault(bucket, []).append((entry, copied))
            self._bytes = 0
        return found

    def give_back(self, bucket: str, entries: list[tuple[Entry, bool]]) -> None:
        """They could not be delivered now."""
        for entry, copied in entries:
            self.add(bucket, entry, known=True, copied=copied)


def _size(entry: Entry) -> int:
    return 800 + len(entry.key) + len(entry.target) + len(entry.referer) + len(entry.agent) + len(entry.host)


class Watch:
    """What the edge asks of each request: whether its bucket has a log."""

    def __init__(self, database: Database) -> None:
        self._memory = database.engine.memory
        self.now = database.clock.now
        self.log = of(database)

    def has_log(self, bucket: str) -> bool | None:
        """None: not known without asking the database."""
        remembered: lookup.Memory | None = self._memory.get(lookup.Memory)
        entry = None if remembered is None else remembered.known.get(bucket)
        return None if entry is None else kinds.LOGGING in entry[1].configurations


def of(database: Database) -> AccessLog:
    """The one of this process."""
    memory = database.engine.memory
    found: AccessLog | None = memory.get(AccessLog)
    return found or memory.setdefault(AccessLog, AccessLog())
