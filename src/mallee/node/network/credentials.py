"""The credentials of guests' roles, kept for the metadata service: asked of the cloud when a guest first wants them, renewed
long before they end, and served on while the cloud is away. They are in memory only, and end with the agent.

A set belongs to one guest, one version of the metadata service, and the profile and role that the document gives the guest:
with another profile or role it is not handed out any more. Who waits for a set is called back; nothing here blocks.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from mallee.fabric.document import Credentials, Guest
from mallee.fabric.transport import CredentialsMissing, FabricError

log = logging.getLogger(__name__)

RENEWED_AFTER = 3600.0  # seconds from when on a set is renewed, while it is handed out
SPARE = 1200.0  # seconds that a set handed out shall be good for: clients renew theirs a quarter of an hour before it ends
KEPT_REFUSAL = 30.0  # seconds for which the cloud's refusal is repeated
RETRY = 10.0  # seconds until a renewal that failed is tried again
PAUSE = 1.0  # the same while there are none: a guest that asks all the time does not make the node do so
LOOK_EVERY = 30.0
THREADS = 2

Fetch = Callable[[str, str], Credentials]  # guest, delivery
Done = Callable[[Credentials | None], None]
Key = tuple[str, str]


@dataclass(slots=True)
class _Set:
    owner: tuple[str, str | None]  # profile and role
    found: Credentials | None = field(default=None, repr=False)
    fetched_at: float = 0.0
    ends_at: float = 0.0
    wanted: bool = False  # a guest asked since it was fetched
    not_before: float = 0.0  # of the next attempt
    waiting: list[Done] | None = None  # an attempt is under way

    @property
    def good(self) -> bool:
        return self.found is not None and self.found.code == "Success"


class RoleCredentials:
    def __init__(self, fetch: Fetch | None, now: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._now = now
        self._sets: dict[Key, _Set] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="credentials")
        self._looked = 0.0

    def ask(self, guest: Guest, delivery: str, done: Done) -> None:
        """Calls ``done`` at once with what is there, or from another thread with what the cloud answers; with None when the
        guest has no credentials, or none can be had now."""
        if self._fetch is None:
            done(None)
            return
        key = (guest.id, delivery)
        with self._lock:
            held = self._held(guest, key)
            now = self._now()
            held.wanted = True
            ready = held.found if self._is_ready(held, now) else None
            answered = ready is not None or (held.found is None and now < held.not_before)
            if not answered:
                self._begin(key, held, done)
            elif held.good and now - held.fetched_at > RENEWED_AFTER and now >= held.not_before:
                self._begin(key, held, None)
        if answered:
            done(ready)

    def facts(self, guest_id: str) -> list[dict[str, object]]:
        """What is kept for a guest, without anything secret, for doctor."""
        with self._lock:
            return [
                {"role": held.owner[1], "delivery": key[1], "code": held.found.code, "ends": held.found.expires_at}
                for key, held in self._sets.items()
                if key[0] == guest_id and held.found is not None
            ]

    def _held(self, guest: Guest, key: Key) -> _Set:
        held = self._sets.get(key)
        if held is None or held.owner != owner(guest):
            held = self._sets[key] = _Set(owner(guest))
        return held

    def _is_ready(self, held: _Set, now: float) -> bool:
        if held.found is None:
            return False
        if not held.good:
            return now - held.fetched_at < KEPT_REFUSAL
        if held.ends_at - now > SPARE:
            return True
        return held.ends_at > now and now < held.not_before  # the cloud was away a moment ago

    def _begin(self, key: Key, held: _Set, done: Done | None) -> None:
        begun = held.waiting is not None
        if held.waiting is None:
            held.waiting = []
        if done is not None:
            held.waiting.append(done)
        if not begun:
            self._threads.submit(self._get, key, held)

    def _get(self, key: Key, held: _Set) -> None:
        assert self._fetch is not None
        found: Credentials | None = None
        missing = False
        try:
            found = self._fetch(*key)
        except CredentialsMissing:
            missing = True
        except FabricError as error:
            log.warning("credentials of %s: %s", key[0], error)
        except Exception:
            log.exception("credentials of %s", key[0])
        with self._lock:
            now = self._now()
            waiting, held.waiting = held.waiting or [], None
            if found is not None:
                held.found, held.fetched_at, held.ends_at = found, now, _seconds(found.expires_at)
                held.wanted, held.not_before = bool(waiting), 0.0
            else:
                held.found = None if missing else held.found
                held.not_before = now + (RETRY if held.found is not None else PAUSE)
            answer = held.found if held.found is not None and (not held.good or held.ends_at > now) else None
        for done in waiting:
            try:
                done(answer)
            except Exception:
                log.exception("an answer to %s failed", key[0])

    def tick(self) -> None:
        """Renews in time what guests ask for: one that asked a while ago finds good ones even when the cloud has gone away
        since. To be called often."""
        now = self._now()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        with self._lock:
            for key, held in self._sets.items():
                old = now - held.fetched_at > RENEWED_AFTER
                if held.good and held.wanted and old and now >= held.not_before:
                    self._begin(key, held, None)

    def keep(self, guests: dict[str, Guest]) -> None:
        """Forgets what belongs to guests, profiles or roles that the document no longer has."""
        with self._lock:
            for key in list(self._sets):
                guest = guests.get(key[0])
                if guest is None or owner(guest) != self._sets[key].owner:
                    del self._sets[key]

    def stop(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def owner(guest: Guest) -> tuple[str, str | None]:
    return guest.metadata.profile_id, guest.metadata.role


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp() if time else 0.0


def shown(found: Credentials) -> bytes:
    """As EC2 shows them."""
    if found.code != "Success":
        told = {"Code": found.code, "Message": found.message, "LastUpdated": found.updated_at}
    else:
        told = {
            "Code": found.code,
            "LastUpdated": found.updated_at,
            "Type": "AWS-HMAC",
            "AccessKeyId": found.access_key_id,
            "SecretAccessKey": found.secret_access_key,
            "Token": found.token,
            "Expiration": found.expires_at,
        }
    return written(told)


def written(told: dict[str, str]) -> bytes:
    return json.dumps(told, indent=2, separators=(",", " : ")).encode()
