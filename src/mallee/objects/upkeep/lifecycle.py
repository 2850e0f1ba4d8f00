"""Lifecycles: every bucket that has one is gone through once a day, after midnight in UTC, and when its rules have changed.

A piece reads a thousand versions, decides (``rules.lifecycle``), and does what is due in commits of the index; each change is made only if the
version is still as it was. What a lock protects stays. First the latest versions, then the others, then uploads.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

from mallee.durable import reconciler
from mallee.objects import kinds, records, removing, store
from mallee.objects.index import scans, uploads, versions
from mallee.objects.index.rows import BucketClosed, Version
from mallee.objects.records import Bucket
from mallee.objects.rules import lifecycle as rules
from mallee.objects.store import Store
from mallee.objects.upkeep import walking
from mallee.store import Clock, Database, Tx
from mallee.wire.errors import AwsError

NAME = "lifecycle"


@reconciler("objects-lifecycle", every=60, on=("lifecycle",))
def expire_objects(database: Database, clock: Clock) -> None:
    """Goes on with the lifecycles of all buckets."""
    objects = store.at(database)
    until = time.monotonic() + walking.SECONDS
    with database.reading() as tx:
        buckets = records.buckets_with(tx, kinds.LIFECYCLE)
    for bucket in buckets:
        walk = Walk(objects, bucket, clock)
        walking.go_on(database, clock, NAME, bucket, kinds.LIFECYCLE, walk.piece, until, time.monotonic)


class Walk:
    """One bucket's. The state: ``stage``, ``key`` and ``made`` of the last version, ``upload``, and counts of what was done."""

    def __init__(self, objects: Store, bucket: Bucket, clock: Clock) -> None:
        document = bucket.configuration(kinds.LIFECYCLE) or {}
        self._objects = objects
        self._bucket = bucket
        self._clock = clock
        self._rules = rules.enabled(document.get("Rules") or ())
        self._varies = document.get("TransitionDefaultMinimumObjectSize") == "varies_by_storage_class"
        self._stages: dict[str, Callable[[dict[str, Any]], bool]] = {
            "current": self._current,
            "noncurrent": self._noncurrent,
            "uploads": self._uploads,
        }

    def piece(self, state: dict[str, Any]) -> dict[str, Any] | None:
        order = list(self._stages)
        stage = state.setdefault("stage", order[0])
        if self._stages[stage](state):
            return state
        following = order[order.index(stage) + 1 :]
        if not following:
            return None
        kept = {name: value for name, value in state.items() if name in ("expired", "transitioned", "aborted")}
        return kept | {"stage": following[0]}

    # --------------------------------------------------------------------------------------------------- latest versions

    def _current(self, state: dict[str, Any]) -> bool:
        with self._objects.index.reading() as tx:
            found = scans.scan_current(tx, self._bucket.id, _key(state), walking.PIECE)
        now = self._clock.now()
        due = []
        for version in found:
            action = rules.of_current(self._rules, thing(version), now, self._varies)
            if action is not None:
                due.append((version, action))
        self._do(state, due, self._expire_current)
        if found:
            state["key"] = base64.b64encode(found[-1].key).decode("ascii")
        return len(found) == walking.PIECE

    def _expire_current(self, tx: Tx, version: Version) -> bool:
        now = versions.current(tx, version.bucket_id, version.key)
        if now is None or now.deleted or (now.made, now.version_id) != (version.made, version.version_id):
            return False
        if not self._bucket.versioning and _is_locked(now, self._clock):
            return False
        versions.delete(tx, self._bucket.versioning, version.bucket_id, version.key, self._bucket.account_id)
        return True

    # ----------------------------------------------------------------------------------------------------- older versions

    def _noncurrent(self, state: dict[str, Any]) -> bool:
        after = _key(state)
        since = Version(self._bucket.id, after, state["made"], "", self._clock.now(), 0, "", "", "", "", None, ()) if after is not None else None
        with self._objects.index.reading() as tx:
            found = scans.scan_noncurrent(tx, self._bucket.id, since, walking.PIECE)
            now = self._clock.now()
            due = []
            newer = int(state.get("newer", 0)) if after is not None else 0
            last = after
            for version in found:
                newer = newer if version.key == last else 0
                last = version.key
                action = self._of_noncurrent(tx, version, newer, now)
                if action is not None:
                    due.append((version, action))
                if version.since is not None:
                    newer += 1
        self._do(state, due, self._expire_version)
        if found:
            state |= {"key": base64.b64encode(found[-1].key).decode("ascii"), "made": found[-1].made, "newer": newer}
        return len(found) == walking.PIECE

    def _of_noncurrent(self, tx: Tx, version: Version, newer: int, now: Any) -> rules.Action | None:
        if version.since is not None:
            return rules.of_noncurrent(self._rules, thing(version), version.since, newer, now, self._varies)
        older = scans.scan_noncurrent(tx, self._bucket.id, version, 1)
        alone = not older or older[0].key != version.key
        key = version.key.decode("utf-8", "replace")
        return rules.removes_marker(self._rules, key, version.modified, now) if alone else None

    def _expire_version(self, tx: Tx, version: Version) -> bool:
        there = versions.version(tx, version.bucket_id, version.key, version.version_id)
        if there is None or (there.is_latest and not there.deleted) or _is_locked(there, self._clock):
            return False
        versions.delete_version(tx, version.bucket_id, version.key, version.version_id)
        return True

    # -------------------------------------------------------------------------------------------------------------- uploads

    def _uploads(self, state: dict[str, Any]) -> bool:
        index = self._objects.index
        key = _key(state) or b""
        with index.reading() as tx:
            page = uploads.find(tx, self._bucket.id, key_marker=key, upload_marker=state.get("upload", ""), limit=walking.PIECE)
        now = self._clock.now()
        for upload in page.entries:
            if rules.aborts(self._rules, upload.key.decode("utf-8", "replace"), upload.created, now) is not None:
                done = index.run(lambda tx, upload=upload: uploads.abort(tx, upload))
                state["aborted"] = state.get("aborted", 0) + bool(done)
        if page.next is None:
            return False
        state["key"] = base64.b64encode(page.next).decode("ascii")
        state["upload"] = page.entries[-1].upload_id
        return True

    # --------------------------------------------------------------------------------------------------------------- acts

    def _do(self, state: dict[str, Any], due: list[tuple[Version, rules.Action]], expire: Callable[[Tx, Version], bool]) -> None:
        """All of a piece in one commit."""
        if not due:
            return

        def work(tx: Tx) -> tuple[int, int]:
            expired = moved = 0
            for version, action in due:
                if action.kind == rules.EXPIRE:
                    expired += expire(tx, version)
                else:
                    moved += versions.change(tx, version, storage_class=action.storage_class) is not None
            return expired, moved

        try:
            expired, moved = self._objects.index.run(work)
        except BucketClosed:
            return
        state["expired"] = state.get("expired", 0) + expired
        state["transitioned"] = state.get("transitioned", 0) + moved


def thing(version: Version) -> rules.Thing:
    return rules.Thing(
        version.key.decode("utf-8", "replace"), version.size, version.attributes.get("tags") or {}, version.modified, version.storage_class
    )


def _is_locked(version: Version, clock: Clock) -> bool:
    try:
        removing.check_lock(version, clock.now(), bypass=False)
    except AwsError:
        return True
    return False


def _key(state: dict[str, Any]) -> bytes | None:
    return base64.b64decode(state["key"]) if "key" in state else None
