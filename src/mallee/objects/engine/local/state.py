"""What the engine remembers from one run to the next: where sweep and scrub are, and which copies are owed.

None of it is needed to find or to trust a content. It lies on every disk that works, the youngest is believed, and nothing of it is synced
on its own: what a power cut takes is only work that is done again, or a copy that the scrub finds missing by itself.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from . import calls
from .disks import Disks

log = logging.getLogger("mallee.objects")

_OWED = "state/owed"


class State:
    def __init__(self, disks: Disks, clock: Callable[[], float]) -> None:
        self._disks = disks
        self._clock = clock
        self._guard = threading.Lock()
        self._owed: dict[str, None] = dict.fromkeys(_read_owed(disks))

    def read(self, name: str) -> dict[str, Any]:
        best: dict[str, Any] = {}
        for disk in self._disks.healthy():
            try:
                found = json.loads(disk.read_file(f"state/{name}.json") or b"{}")
            except (OSError, ValueError):
                continue
            if isinstance(found, dict) and found.get("saved", 0) > best.get("saved", 0):
                best = found
        return best

    def write(self, name: str, content: dict[str, Any]) -> None:
        data = json.dumps({**content, "saved": self._clock()}).encode()
        for disk in self._disks.healthy():
            try:
                disk.write_file(f"state/{name}.json", data, durable=False)
            except OSError as error:
                log.warning("The state of the object store could not be written to %s: %s", disk.path, error)

    # -- copies that are owed ---------------------------------------------------------------------------------------------------

    def owe(self, location: str) -> None:
        """This content (or pack, ``p/<pack>``) has fewer copies than it should."""
        with self._guard:
            if location in self._owed:
                return
            self._owed[location] = None
            for disk in self._disks.healthy():
                try:
                    file = disk.open(_OWED, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                    calls.append(file.fd, f"{location}\n".encode())
                except OSError as error:
                    log.warning("A copy that is owed could not be written down on %s: %s", disk.path, error)

    def owed(self) -> list[str]:
        with self._guard:
            return list(self._owed)

    def paid(self, locations: Iterable[str]) -> None:
        with self._guard:
            for location in locations:
                self._owed.pop(location, None)
            data = "".join(f"{location}\n" for location in self._owed).encode()
            for disk in self._disks.healthy():
                try:
                    disk.write_file(_OWED, data, durable=False)
                except OSError as error:
                    log.warning("The copies that are owed could not be written down on %s: %s", disk.path, error)


def _read_owed(disks: Disks) -> list[str]:
    found: list[str] = []
    for disk in disks.healthy():
        try:
            found += (disk.read_file(_OWED) or b"").decode("ascii", "replace").splitlines()
        except OSError:
            continue
    return found
