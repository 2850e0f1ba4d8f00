"""The keyring: access keys as signatures need them, kept in memory for a few seconds.

A key's secret, owner and derived signing keys are remembered together, so that to forget one is to forget all. What
this process changes is forgotten at the commit; what another process changes is seen after ``seconds`` at the latest. A
key that is not known is asked for anew each time: one that was just made elsewhere works at once.

A temporary key comes with its token and is remembered by it. A key that is not there, is inactive, or whose owner is gone is
answered like any other, with a secret that nobody knows: whoever checks its signature does the same work, and refuses it
afterwards (``Credential.principal`` is None).
"""

from __future__ import annotations

import datetime
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

from mallee.identity import records, sessions
from mallee.identity.call import Principal
from mallee.identity.records import accounts, names, tags
from mallee.identity.signature import sigv4
from mallee.identity.vault import Vault
from mallee.store import Database, Tx

_DERIVED = 16  # signing keys remembered per access key: a few services on two days
_NOBODY = "AKIA" + "A" * 16


@dataclass(slots=True)
class Credential:
    """``secret`` is in the clear: a credential is never logged, stored or shown. ``principal`` is None for a key that
    opens nothing. ``expired``: of a session that is over. ``fresh``: it was not remembered but looked up just now."""

    principal: Principal | None
    secret: str = field(repr=False)
    until: float
    fresh: bool = True
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

    def expired(self, now: datetime.datetime) -> bool:
        session = self.principal.session if self.principal is not None else None
        return session is not None and session.expires_at <= now


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
        self._known: dict[str | tuple[str, str], Credential] = {}
        self._lock = threading.Lock()
        self._changes = 0
        self._decoy = records.AccessKey(
            _NOBODY, "", _NOBODY, vault.seal(_NOBODY, names.secret()), records.INACTIVE, datetime.datetime.now(datetime.UTC)
        )
        _rings.add(self)

    def now(self) -> datetime.datetime:
        """By the clock that sessions are issued by."""
        return self._database.clock.now()

    def find(self, access_key_id: str, token: str | None = None, *, anew: bool = False) -> Credential:
        """The credential of a key, with the token that came with it. ``anew``: what is remembered is not asked."""
        name = access_key_id if token is None else (access_key_id, token)
        known = self._known.get(name)
        if known is not None and known.until > self._monotonic() and not anew:
            known.fresh = False
            return known
        changes = self._changes
        found = self._fetch(access_key_id) if token is None else self._open(access_key_id, token)
        with self._lock:
            if found.principal is None:
                self._known.pop(name, None)
            elif changes == self._changes:  # else a change was committed while this was being read
                if len(self._known) >= self._size:
                    self._known.clear()
                self._known[name] = found
        return found

    def forget(self, access_key_id: str | None = None) -> None:
        with self._lock:
            self._changes += 1
            if access_key_id is None:
                self._known.clear()
            else:
                self._known.pop(access_key_id, None)

    def _fetch(self, access_key_id: str) -> Credential:
        """A permanent key's. All keys take the same way, those that open nothing too."""
        until = self._monotonic() + self._seconds
        with self._database.reading() as tx:
            key = records.access_key(tx, access_key_id) or self._decoy
            principal = _principal(tx, key, self._partition)
        secret = self._vault.open(key.id, key.secret)
        return Credential(principal if key.status == records.ACTIVE else None, secret, until)

    def _open(self, access_key_id: str, token: str) -> Credential:
        until = self._monotonic() + self._seconds
        try:
            opened = sessions.open_(self._vault, token)
        except sessions.BadToken:
            opened = None
        if opened is None or opened.access_key_id != access_key_id:
            return Credential(None, self._vault.open(_NOBODY, self._decoy.secret), until)
        with self._database.reading() as tx:
            principal = sessions.principal(tx, opened, self._partition)
        return Credential(principal, opened.secret, until)


def _principal(tx: Tx, key: records.AccessKey, partition: str) -> Principal | None:
    account_id = key.account_id
    account = records.account(tx, account_id)
    root = f"arn:{partition}:iam::{account_id}:root"
    if key.user_id is None:
        made = Principal(account_id, root, account_id, "root", None, key.id)
    else:
        user = records.user(tx, key.user_id)
        own = tags.tags_of(tx, key.user_id)
        if user is None:
            return None
        arn = user.arn(partition)
        made = Principal(account_id, arn, user.id, "user", user.name, key.id, user.id, arn, tags=own)
    return made if account is not None and account.status == accounts.OPEN else None


_rings: weakref.WeakSet[Keyring] = weakref.WeakSet()


def forget_after(tx: Tx, access_key_id: str | None = None) -> None:
    """Every keyring of this process forgets the key (or all keys and sessions) once ``tx`` has committed. To be called by
    whatever changes or removes a key, or its owner: name, path, tags, the account's state."""

    def forget() -> None:
        for ring in list(_rings):
            ring.forget(access_key_id)

    tx.after_commit(forget)
