"""The keyring: access keys as signatures need them, kept in memory for a few seconds.

A key's secret, owner and derived signing keys are remembered together, so that to forget one is to forget all. What
this process changes is forgotten at the commit; what another process changes is seen after ``seconds`` at the latest. A
key that is not known is asked for anew each time: one that was just made elsewhere works at once.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

from mallee.identity import records
from mallee.identity.call import Principal
from mallee.identity.signature import sigv4
from mallee.identity.vault import Vault
from mallee.store import Database, Tx

_DERIVED = 16  # signing keys remembered per access key: a few services on two days


@dataclass(slots=True)
class Credential:
    """``secret`` is in the clear: a credential is never logged, stored or shown."""

    principal: Principal
    secret: str = field(repr=False)
    until: float
    derived: dict[tuple[str, str, str], bytes] = field(default_factory=dict, repr=False)

    def signing_key(self, day: str, region: str, service: str) -> bytes:
        scope = (day, region, service)
        key = self.derived.get(scope)
        if key is None:
            key = sigv4.signing_key(self.secret, day, region, service)
            if len(self.derived) >= _DERIVED:
                self.derived.clear()
            self.derived[scope] = key
        return key


class Keyring:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        partition: str,
        *,
        seconds: float = 5.0,
        size: int = 10_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._vault = vault
        self._partition = partition
        self._seconds = seconds
        self._size = size
        self._monotonic = monotonic
        self._known: dict[str, Credential] = {}
        self._lock = threading.Lock()
        self._changes = 0
        _rings.add(self)

    def find(self, access_key_id: str) -> Credential | None:
        """The credential of an active key, or None."""
        known = self._known.get(access_key_id)
        if known is not None and known.until > self._monotonic():
            return known
        changes = self._changes
        found = self._fetch(access_key_id)
        with self._lock:
            if found is None:
                self._known.pop(access_key_id, None)
            elif changes == self._changes:  # else a change was committed while this was being read
                if len(self._known) >= self._size:
                    self._known.clear()
                self._known[access_key_id] = found
        return found

    def forget(self, access_key_id: str | None = None) -> None:
        with self._lock:
            self._changes += 1
            if access_key_id is None:
                self._known.clear()
            else:
                self._known.pop(access_key_id, None)

    def _fetch(self, access_key_id: str) -> Credential | None:
        until = self._monotonic() + self._seconds
        with self._database.reading() as tx:
            key = records.access_key(tx, access_key_id)
            if key is None or key.status != records.ACTIVE:
                return None
            principal = _principal(tx, key, self._partition)
        if principal is None:
            return None
        return Credential(principal, self._vault.open(key.id, key.secret), until)


def _principal(tx: Tx, key: records.AccessKey, partition: str) -> Principal | None:
    account_id = key.account_id
    if key.user_id is None:
        return Principal(account_id, f"arn:{partition}:iam::{account_id}:root", account_id, "root", None, key.id)
    user = records.user(tx, key.user_id)
    if user is None:
        return None
    return Principal(account_id, user.arn(partition), user.id, "user", user.name, key.id)


_rings: weakref.WeakSet[Keyring] = weakref.WeakSet()


def forget_after(tx: Tx, access_key_id: str | None = None) -> None:
    """Every keyring of this process forgets the key (or all keys) once ``tx`` has committed. To be called by whatever
    changes or removes a key or its owner."""

    def forget() -> None:
        for ring in list(_rings):
            ring.forget(access_key_id)

    tx.after_commit(forget)
