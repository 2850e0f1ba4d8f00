"""What was used when: collected in memory by every call, written by a small transaction every few seconds and at the stop.

A call notes its key and its action in two dictionaries and goes on. A process that is killed loses the stamps of its last
``SECONDS`` and nothing else (``identity.records.uses``). What the database refuses to take is kept for the next time.
"""

from __future__ import annotations

import datetime
import logging
import threading
from typing import Final

from mallee.identity.call import Principal
from mallee.identity.records import uses
from mallee.store import Database, StoreError

log = logging.getLogger("mallee.identity")

SECONDS: Final = 15.0
MOST: Final = 50_000
"""Keys, and actions of users and roles, that are remembered between two writes; what is used beyond is not noted."""


class Usage:
    def __init__(self, database: Database, region: str, seconds: float = SECONDS) -> None:
        self._database = database
        self._region = region
        self._seconds = seconds
        self._keys: dict[str, tuple[datetime.datetime, str]] = {}
        self._actions: dict[tuple[str, str, str], datetime.datetime] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, principal: Principal, service: str, operation: str, now: datetime.datetime) -> None:
        """``service``: the prefix of its actions."""
        key = principal.access_key_id
        if key and principal.session is None and len(self._keys) < MOST:
            self._keys[key] = (now, service)
        if principal.holder_id and len(self._actions) < MOST:
            self._actions[principal.holder_id, service, operation] = now

    def start(self) -> None:
        self._thread = threading.Thread(target=self._live, name="usage", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; what was noted is written."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self.write()

    def _live(self) -> None:
        while not self._stopping.wait(self._seconds):
            self.write()

    def write(self) -> None:
        """Writes what was noted since the last time."""
        keys, self._keys = self._keys, {}
        actions, self._actions = self._actions, {}
        if not keys and not actions:
            return
        of_keys = [uses.KeyUse(key, at, service, self._region) for key, (at, service) in list(keys.items())]
        of_services = [
            uses.ServiceUse(holder, service, action, at, self._region)
            for (holder, service, action), at in list(actions.items())  # a call may still hold the dictionary
        ]
        try:
            self._database.run(lambda tx: uses.note(tx, of_keys, of_services), durable=False)
        except StoreError as problem:
            log.warning("when keys and roles were last used could not be written, and is tried again: %s", problem)
            self._keys = keys | self._keys
            self._actions = actions | self._actions
