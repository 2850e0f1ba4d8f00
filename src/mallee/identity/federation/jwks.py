"""The keys of OpenID Connect issuers, remembered for a while and fetched again when a token names one that is not there.

A fetch waits for somebody else's server while the caller of the API waits for us; so it is done by threads of its own, few calls
may wait at a time, and an account whose issuers fail has its next fetches refused for longer and longer: one account's slow
provider is not another's trouble. Keys that are known cost nothing of this.
"""

from __future__ import annotations

import concurrent.futures
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mallee.identity.federation import fetching
from mallee.identity.federation.fetching import Policy, Unreachable, Unusable

log = logging.getLogger("mallee.identity")

FRESH: Final = 300.0  # seconds that keys are used without asking
STALE: Final = 3600.0  # seconds that they may be used when the issuer cannot be asked
AGAIN: Final = 30.0  # seconds between two fetches of one issuer, whatever keys tokens name
MOST_ISSUERS: Final = 1000
MOST_KEYS: Final = 100
LONGEST_PAUSE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Issuer:
    """``account_id``: whose provider it is. ``url`` as in the token's ``iss``."""

    account_id: str
    url: str
    policy: Policy


@dataclass(slots=True)
class Known:
    keys: tuple[Mapping[str, Any], ...]
    at: float
    tried_at: float


@dataclass(slots=True)
class Issuers:
    """What a process knows of all issuers. ``waiting``: how many calls may wait for fetches at a time."""

    waiting: int = 1
    get: Callable[[str, Policy], bytes] = fetching.get
    monotonic: Callable[[], float] = time.monotonic
    _known: OrderedDict[Issuer, Known] = field(default_factory=OrderedDict)
    _pauses: dict[str, tuple[float, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _seats: threading.Semaphore | None = None
    _pool: concurrent.futures.ThreadPoolExecutor | None = None

    def keys(self, issuer: Issuer, kid: str | None) -> tuple[Mapping[str, Any], ...]:
        """The issuer's keys, with the one called ``kid`` among them if it has such a key. Raises ``Unreachable`` or
        ``Unusable``."""
        now = self.monotonic()
        with self._lock:
            known = self._known.get(issuer)
            if known is not None:
                self._known.move_to_end(issuer)
                enough = now - known.at < FRESH and (kid is None or any(key.get("kid") == kid for key in known.keys))
                if enough or (now - known.tried_at < AGAIN and now - known.at < STALE):
                    return known.keys
                known.tried_at = now
        try:
            found = self._fetched(issuer, now)
        except (Unreachable, Unusable) as problem:
            if known is not None and now - known.at < STALE:
                log.warning("the keys of %s are used as they were: %s", issuer.url, problem)
                return known.keys
            log.warning("the keys of %s cannot be had: %s", issuer.url, problem)
            raise
        with self._lock:
            self._known[issuer] = Known(found, now, now)
            while len(self._known) > MOST_ISSUERS:
                self._known.popitem(last=False)
        return found

    def _fetched(self, issuer: Issuer, now: float) -> tuple[Mapping[str, Any], ...]:
        with self._lock:
            if self._seats is None:
                self._seats = threading.Semaphore(self.waiting)
            if self._pool is None:
                self._pool = concurrent.futures.ThreadPoolExecutor(max(2, 2 * self.waiting), "issuers")
            seats, pool = self._seats, self._pool
            until, failures = self._pauses.get(issuer.account_id, (0.0, 0))
        if now < until:
            raise Unreachable("the account's issuers failed a moment ago")
        if not seats.acquire(blocking=False):
            raise Unreachable("too many fetches are under way")
        try:
            found = pool.submit(_keys_of, issuer, self.get).result(timeout=2 * fetching.SECONDS)
        except (Unreachable, Unusable, concurrent.futures.TimeoutError) as problem:
            with self._lock:
                if len(self._pauses) >= MOST_ISSUERS:
                    self._pauses.clear()
                self._pauses[issuer.account_id] = (self.monotonic() + min(2.0 ** (failures + 1), LONGEST_PAUSE), failures + 1)
            if isinstance(problem, concurrent.futures.TimeoutError):
                raise Unreachable("it took too long") from None
            raise
        finally:
            seats.release()
        with self._lock:
            self._pauses.pop(issuer.account_id, None)
        return found


def _keys_of(issuer: Issuer, get: Callable[[str, Policy], bytes]) -> tuple[Mapping[str, Any], ...]:
    """By the issuer's discovery document, which must be about the issuer."""
    discovery = _document(get(f"{issuer.url.rstrip('/')}/.well-known/openid-configuration", issuer.policy))
    if discovery.get("issuer") != issuer.url:
        raise Unusable("the discovery document is another issuer's")
    where = discovery.get("jwks_uri")
    if not isinstance(where, str) or len(where) > 2048 or not where.isascii() or not where.isprintable() or " " in where:
        raise Unusable("the discovery document has no jwks_uri")
    keys = _document(get(where, issuer.policy)).get("keys")
    if not isinstance(keys, list) or len(keys) > MOST_KEYS:
        raise Unusable("the key set has no keys, or too many")
    return tuple(key for key in keys if isinstance(key, dict))


def _document(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Unusable("the document is not JSON") from None
    if not isinstance(found, dict):
        raise Unusable("the document is no JSON object")
    return found
