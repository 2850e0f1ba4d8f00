"""Objects that expire by themselves (Swift's X-Delete-At): nobody reads them after their time, and here they are removed.

Every bucket that ever had one is gone through once a day, like lifecycles.
"""

from __future__ import annotations

import base64
import time
from typing import Any

from mallee.durable import reconciler
from mallee.objects import reading, records, removing, store
from mallee.objects.index import scans, versions
from mallee.objects.index.rows import BucketClosed, Version
from mallee.objects.records import Bucket
from mallee.objects.swift.records import EXPIRING
from mallee.objects.upkeep import walking
from mallee.store import Clock, Database, Tx
from mallee.wire.errors import AwsError

NAME = "expiring"


@reconciler("objects-expiring", every=60)
def remove_expired(database: Database, clock: Clock) -> None:
    """Goes on with the walks of all buckets that have such objects."""
    until = time.monotonic() + walking.SECONDS
    with database.reading() as tx:
        buckets = records.buckets_with(tx, EXPIRING)
    for bucket in buckets:
        walking.go_on(database, clock, NAME, bucket, EXPIRING, _Walk(database, bucket, clock).piece, until, time.monotonic)


class _Walk:
    def __init__(self, database: Database, bucket: Bucket, clock: Clock) -> None:
        self._index = store.at(database).index
        self._bucket = bucket
        self._clock = clock

    def piece(self, state: dict[str, Any]) -> dict[str, Any] | None:
        after = base64.b64decode(state["key"]) if "key" in state else None
        with self._index.reading() as tx:
            found = scans.scan_current(tx, self._bucket.id, after, walking.PIECE)
        now = self._clock.now()
        due = [version for version in found if reading.is_expired(version, now)]
        removed = state.get("removed", 0)
        if due:
            try:
                removed += self._index.run(lambda tx: sum(self._remove(tx, version) for version in due))
            except BucketClosed:
                return None
        if len(found) < walking.PIECE:
            return None
        return {"key": base64.b64encode(found[-1].key).decode("ascii"), "removed": removed}

    def _remove(self, tx: Tx, version: Version) -> bool:
        there = versions.current(tx, version.bucket_id, version.key)
        if there is None or there.deleted or not reading.is_expired(there, self._clock.now()):
            return False
        if not self._bucket.versioning:
            try:
                removing.check_lock(there, self._clock.now(), bypass=False)
            except AwsError:
                return False
        versions.delete(tx, self._bucket.versioning, version.bucket_id, version.key, self._bucket.account_id)
        return True
