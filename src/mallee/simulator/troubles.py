"""Named faults that a test arms and the simulator runs into.

A fault is armed for one guest or for any, and for a number of times; it strikes at the point its name stands for and
is then used up. Each is something that happens to real nodes, and each must end in the same state as if it had not
happened, or in a failed launch that leaves nothing behind.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

NAMES = {
    "lost-reply": "the cloud does what a call asks, but the answer never arrives, so the node calls again"
    " (`call`: join, desired, report or console; any by default)",
    "slow": "the guest's next action takes `seconds` longer (30 by default)",
    "half-done": "the agent stops amid preparing the guest; the rest of the document waits for its next pass",
    "reboot-midway": "the host reboots amid preparing the guest: every guest loses power, the agent starts anew and joins again",
    "disk-full": "there is no room for the guest's disk: its preparation fails",
    "stale-generation": "after a report the one before it arrives once more, with its older generation and sequence",
    "image-corrupt": "the image that was fetched has another digest: the guest's preparation fails",
    "guest-crash": "the guest's virtual machine ends by itself as soon as it is ready",
}


@dataclass(slots=True)
class Armed:
    name: str
    guest: str | None
    times: int
    parameters: dict[str, Any] = field(default_factory=dict)


class Troubles:
    """What is armed. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[Armed] = []
        self.struck: list[tuple[str, str | None]] = []  # what has happened, in order: name and guest

    def arm(self, name: str, guest: str | None = None, times: int = 1, **parameters: Any) -> None:
        if name not in NAMES:
            raise ValueError(f"There is no fault {name!r}; there are {', '.join(sorted(NAMES))}.")
        with self._lock:
            self._armed.append(Armed(name, guest, times, parameters))

    def disarm(self, name: str | None = None) -> None:
        """Forgets what is armed: of one name, or all."""
        with self._lock:
            self._armed = [armed for armed in self._armed if name is not None and armed.name != name]

    def strike(self, name: str, guest: str | None = None, **where: Any) -> Armed | None:
        """The armed fault that strikes here, once less to come; ``None`` when none does."""
        with self._lock:
            for armed in self._armed:
                if armed.name != name or (armed.guest is not None and armed.guest != guest):
                    continue
                if any(armed.parameters.get(key, value) != value for key, value in where.items()):
                    continue
                armed.times -= 1
                if armed.times <= 0:
                    self._armed.remove(armed)
                self.struck.append((name, guest))
                return armed
        return None

    @property
    def armed(self) -> list[str]:
        with self._lock:
            return [armed.name for armed in self._armed]
