"""What speaks for and against a principal: its policies, its groups', its boundary, its session's, and those above its account.

They are read from the tables and remembered for a few seconds per holder, beside the database that they came from. What this
process changes is forgotten at the commit (``forget_after``); what another process changes is seen after ``SECONDS`` at
the latest. Nothing is remembered that was read before the last change was committed, or by a transaction that had
itself changed something.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

from mallee.store import Tx

SECONDS: Final = 5.0
SIZE: Final = 10_000


@dataclass(slots=True)
class Entry:
    """``sessions``: the same cut down by policies that the holder's sessions bring, by their access keys."""

    until: float
    grants: Any
    sessions: dict[str, Any] = field(default_factory=dict)


class Memory:
    """The grants that this process remembers of one database, by holder; of an account's root by the account."""

    def __init__(self, seconds: float = SECONDS, size: int = SIZE) -> None:
        self.known: dict[str, Entry] = {}
        self.seconds = seconds
        self._size = size
        self._changed = 0.0
        self._lock = threading.Lock()

    def find(self, key: str) -> Entry | None:
        entry = self.known.get(key)
        return entry if entry is not None and entry.until > time.monotonic() else None

    def keep(self, tx: Tx, key: str, entry: Entry) -> None:
        with self._lock:
            if tx.changed or tx.began <= self._changed:
                return
            if len(self.known) >= self._size:
                self.known.clear()
            self.known[key] = entry

    def forget(self, holder_id: str | None) -> None:
        with self._lock:
            self._changed = time.monotonic()
            if holder_id is not None and holder_id.startswith(("AIDA", "AROA")):
                self.known.pop(holder_id, None)
            else:  # a group or a managed policy: whoever has it, and that is not known here
                self.known.clear()


def memory(tx: Tx) -> Memory:
    found = tx.memory.get(Memory)
    return found if found is not None else tx.memory.setdefault(Memory, Memory())


def forget_after(tx: Tx, holder_id: str | None = None) -> None:
    """Once ``tx`` has committed, what this process remembers of the holder (of all, if None) is read anew. To be called by
    whatever changes policies, attachments, memberships or boundaries, or removes a holder."""
    remembered = memory(tx)
    tx.after_commit(lambda: remembered.forget(holder_id))
