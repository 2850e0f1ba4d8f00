"""Whether there is room for what is about to be written: quotas of accounts in bytes and objects, of buckets, and Limit statements.

Most accounts have none, and then a write asks two dictionaries. Where there is one, it is asked twice: before the body comes, by what the client says
of its length, so that nobody sends gigabytes to be refused; and in the commit itself, in the transaction that adds to the counters, so that two
writes cannot share the last place. What an account holds is counted where the bytes are: for the owner of the bucket, whoever writes. A write
that takes no more than what it replaces is never refused, so that a quota below what is there takes nothing away.

The refusal is RGW's, 403 QuotaExceeded: clients take it for final, where they would send a 503 or 507 again and again.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mallee.identity import grants, limits
from mallee.identity.call import Call
from mallee.identity.quotas import UNLIMITED, Quota, own_documents
from mallee.identity.records import control
from mallee.objects import kinds, quotas, store
from mallee.objects.index import uploads, usage, versions
from mallee.objects.index.rows import Upload
from mallee.objects.records import Bucket
from mallee.store import Tx
from mallee.wire.errors import AwsError

SECONDS = 5.0
SIZE = 10_000
_PER_BUCKET = (quotas.BUCKET_SIZE, quotas.BUCKET_OBJECTS)
_PER_ACCOUNT = (quotas.SIZE, quotas.OBJECTS)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of bytes and of objects: in one bucket, and in all that are counted together."""

    bucket: tuple[float, float]
    total: tuple[float, float]

    @property
    def bounds(self) -> bool:
        return min(*self.bucket, *self.total) < UNLIMITED


class Memory:
    """What holds for accounts and for users, remembered for a few seconds; None where nothing does. What this process changes is
    forgotten at the commit (``forget_after``)."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[float, Bounds | None]] = {}
        self._changed = 0.0
        self._lock = threading.Lock()

    def keep(self, tx: Tx, name: str, found: Bounds | None) -> None:
        with self._lock:
            if tx.changed or tx.began <= self._changed:
                return
            if len(self.known) >= SIZE:
                self.known.clear()
            self.known[name] = (tx.began + SECONDS, found)

    def forget(self) -> None:
        with self._lock:
            self._changed = time.monotonic()
            self.known.clear()


def memory(tx: Tx) -> Memory:
    found: Memory | None = tx.memory.get(Memory)
    return found or tx.memory.setdefault(Memory, Memory())


def forget_after(tx: Tx) -> None:
    """To be called by whatever changes quotas of accounts or policies that limit."""
    remembered = memory(tx)
    tx.after_commit(remembered.forget)


@dataclass(frozen=True, slots=True)
class Scope:
    """Buckets that are counted together, and what they may hold; ``whose`` says so to the client."""

    whose: str
    buckets: tuple[str, ...]
    bytes: float
    objects: float


@dataclass(frozen=True, slots=True)
class Room:
    """What limits the writes to one bucket. ``telling``: the client may know what there is, for it is the owner's."""

    name: str
    scopes: tuple[Scope, ...]
    telling: bool = False

    def require(self, tx: Tx, size: int, objects: int = 0) -> None:
        """Returns if so much more may come; ``tx`` is the index's. Raises QuotaExceeded."""
        if size <= 0 and objects <= 0:
            return
        for scope in self.scopes:
            held, there = quotas.held(usage.total(tx, scope.buckets))
            if size > 0 and held + size > scope.bytes:
                raise self._exceeded(f"{scope.whose} may hold {int(scope.bytes)} bytes and holds {held}")
            if objects > 0 and there + objects > scope.objects:
                raise self._exceeded(f"{scope.whose} may hold {int(scope.objects)} objects and holds {there}")

    def require_version(self, tx: Tx, bucket: Bucket, key: bytes, size: int, given_up: int = 0) -> None:
        """For a new version of that size, in the place of what it replaces and of ``given_up`` bytes besides."""
        replaced = None if bucket.versioning == "Enabled" else versions.version(tx, bucket.id, key, "null")
        if replaced is None:
            self.require(tx, size - given_up, 1)
        else:
            self.require(tx, size - given_up - replaced.size)

    def require_part(self, tx: Tx, upload: Upload, number: int, size: int) -> None:
        replaced = uploads.part(tx, upload.upload_id, number)
        self.require(tx, size - (replaced.size if replaced is not None else 0))

    def _exceeded(self, why: str) -> AwsError:
        told = f"The quota is exceeded: {why}." if self.telling else "The quota of the bucket or of its owner is exceeded."
        return AwsError("QuotaExceeded", told, status=403, BucketName=self.name)


def admit(call: Call, bucket: Bucket, key: bytes, size: int | None) -> None:
    """Before a body of that length comes (None: nobody knows) that is to be a version. Raises QuotaExceeded."""
    room = of(call, bucket)
    if room is not None and size is not None:
        with store.of(call).index.reading() as tx:
            room.require_version(tx, bucket, key, size)


def admit_part(call: Call, bucket: Bucket, upload: Upload, size: int | None) -> None:
    """The same for a part."""
    room = of(call, bucket)
    if room is not None and size is not None:
        with store.of(call).index.reading() as tx:
            room.require_part(tx, upload, call.input["PartNumber"], size)


# ----------------------------------------------------------------------------------------------------------- what holds


def of(call: Call, bucket: Bucket) -> Room | None:
    """What limits the call's writes to the bucket; None, almost always, if nothing does."""
    user = None if call.principal.kind != "user" else _of_user(call)
    return _room(call.tx, bucket, user, call.principal.arn, call.account_id == bucket.account_id)


def of_bucket(tx: Tx, bucket: Bucket) -> Room | None:
    """The same for what Mallee writes by itself: replicas."""
    return _room(tx, bucket, None, "", True)


def _room(tx: Tx, bucket: Bucket, user: Bounds | None, arn: str, telling: bool) -> Room | None:
    own = bucket.configuration(kinds.QUOTA)
    account = _of_account(tx, bucket.account_id)
    if own is None and account is None and user is None:
        return None
    given = own or {}
    sizes, numbers = [given.get("Bytes", math.inf)], [given.get("Objects", math.inf)]
    scopes = []
    for bounds, made_by in ((account, ""), (user, arn)):
        if bounds is None:
            continue
        sizes.append(bounds.bucket[0])
        numbers.append(bounds.bucket[1])
        if min(bounds.total) < UNLIMITED:
            ids = quotas.buckets_made_by(tx, bucket.account_id, arn) if made_by else quotas.buckets_of(tx, bucket.account_id)
            whose = "all that you created" if made_by else "the account that owns the bucket"
            if not made_by or bucket.id in ids:
                scopes.append(Scope(whose, ids, *bounds.total))
    if min(*sizes, *numbers) < UNLIMITED:
        scopes.insert(0, Scope("the bucket", (bucket.id,), min(sizes), min(numbers)))
    return Room(bucket.name, tuple(scopes), telling) if scopes else None


def _remembered(tx: Tx, name: str) -> tuple[float, Bounds | None] | None:
    """Unless policies, or who administers, have changed since."""
    entry = memory(tx).known.get(name)
    if entry is None or tx.changed or entry[0] <= time.monotonic() or entry[0] <= grants.memory(tx).changed + SECONDS:
        return None
    return entry


def _of_account(tx: Tx, account_id: str) -> Bounds | None:
    entry = _remembered(tx, account_id)
    if entry is not None:
        return entry[1]
    everyone = tx.everyone()
    values = {code: value.value for (service, code), value in control.quota_values_of(everyone, account_id).items() if service == "s3"}
    documents = [each.document for each in control.policies_of_account(everyone, account_id)]
    if documents and control.is_administrator(everyone, account_id):
        documents = []
    found = _bounds(values, documents)
    memory(tx).keep(tx, account_id, found)
    return found


def _of_user(call: Call) -> Bounds | None:
    holder = call.principal.holder_id
    entry = _remembered(call.tx, holder)
    if entry is not None:
        return entry[1]
    documents = own_documents(call)
    if documents and control.is_administrator(call.tx, call.account_id):
        documents = []
    found = _bounds({}, documents)
    memory(call.tx).keep(call.tx, holder, found)
    return found


def _bounds(values: dict[str, float], documents: Iterable[str]) -> Bounds | None:
    texts = list(documents)

    def least(quota: Quota) -> float:
        stated: list[float] = []
        if quota.limit_key is not None and texts:
            stated = limits.stated(texts, quota.action, quota.limit_key)
        found = min([values.get(quota.code, quota.default), *stated])
        return found * quotas.MIB if quota.unit == "Megabytes" else found

    bucket: Any = tuple(map(least, _PER_BUCKET))
    total: Any = tuple(map(least, _PER_ACCOUNT))
    made = Bounds(bucket, total)
    return made if made.bounds else None
