"""Replication: what stands in the index as a task becomes a replica, or a word on why not.

A task is done in the transaction of the index that writes its replicas, says so of the original, and removes it: so a crash loses nothing and repeats
nothing within this cloud; what goes to another endpoint may come there twice. What fails for the moment is tried again later and later for a day;
what can't be done by these rules and rights is FAILED at once, as with AWS.
"""

from __future__ import annotations

import base64
import datetime
import logging
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from mallee.durable import reconciler
from mallee.objects import kinds, records, remote_replicas, remotes, replicas, replicating, store
from mallee.objects.engine.base import ContentMissing, EngineError
from mallee.objects.index import scans, tasks, versions
from mallee.objects.index.rows import BucketClosed, Version
from mallee.objects.index.tasks import Task
from mallee.objects.records import Bucket
from mallee.objects.remote_calls import RemoteError
from mallee.objects.replicas import Refused, Replica
from mallee.objects.rules import replication as rules
from mallee.objects.store import Store
from mallee.objects.upkeep import walking
from mallee.store import Clock, Database, StoreUnavailable, Tx

log = logging.getLogger("mallee.objects")

NAME = "replication-existing"
TOGETHER = 64
"""Tasks whose commits may be one."""
FIRST, LONGEST = 5.0, 3600.0
PATIENCE = datetime.timedelta(days=1)
_MOST_BYTES = 8 * 1024 * 1024
LARGE = 64 * 1024 * 1024
"""Bytes of an object that is copied aside, so that nothing else waits for it."""
AT_ONCE = 4
"""Calls to other endpoints."""
ASIDE = 2
"""That are copied so at a time."""
HELD = datetime.timedelta(seconds=60)


@reconciler("objects-replication", every=5, on=(replicating.HERE,))
def replicate(database: Database, clock: Clock) -> None:
    """Does what is due; when its time is over it asks for another turn."""
    objects = store.at(database)
    aside = Aside.of(objects, clock)
    until = time.monotonic() + walking.SECONDS
    while True:
        with objects.index.reading() as tx:
            due = tasks.due(tx, replicating.HERE, TOGETHER)
        if not due:
            return
        if time.monotonic() >= until:
            database.nudge(replicating.HERE)
            return
        aside.take([task for task in due if task.detail["size"] > LARGE])
        _do(objects, clock, [task for task in due if task.detail["size"] <= LARGE], until)


@reconciler("objects-replication-remote", every=5, on=(replicating.REMOTE,))
def replicate_to_remotes(database: Database, clock: Clock) -> None:
    """The same for other endpoints, several calls at a time."""
    objects = store.at(database)
    until = time.monotonic() + walking.SECONDS
    with ThreadPoolExecutor(AT_ONCE, "objects-remote") as pool:
        while True:
            with objects.index.reading() as tx:
                due = tasks.due(tx, replicating.REMOTE, 4 * AT_ONCE)
            if not due:
                return
            if time.monotonic() >= until:
                database.nudge(replicating.REMOTE)
                return
            _do(objects, clock, due, math.inf, pool)


def _do(objects: Store, clock: Clock, due: list[Task], until: float, pool: ThreadPoolExecutor | None = None) -> None:
    """Where several processes may be at it (on PostgreSQL), each takes what no other has begun with."""
    if objects.index.database.kind == "sqlite":
        _Batch(objects, clock).do(due, until, pool)
        return
    held = clock.now() + HELD
    mine = objects.index.run(lambda tx: [task for task in due if tasks.claim(tx, task, held)])
    begun = _Batch(objects, clock).do(mine, until, pool)
    if begun < len(mine):
        objects.index.run(lambda tx: _release(tx, mine[begun:], held))


def _release(tx: Tx, some: list[Task], held: datetime.datetime) -> None:
    for task in some:
        tasks.release(tx, task, held)


@reconciler("objects-replication-existing", every=60, on=(replicating.HERE,))
def replicate_existing(database: Database, clock: Clock) -> None:
    """Goes through buckets with rules for what was there before them."""
    objects = store.at(database)
    until = time.monotonic() + walking.SECONDS
    with database.reading() as tx:
        buckets = records.buckets_with(tx, kinds.REPLICATION)
    for bucket in buckets:
        if rules.has_existing(bucket.configuration(kinds.REPLICATION)):
            walk = _Existing(objects, bucket)
            walking.go_on(database, clock, NAME, bucket, kinds.REPLICATION, walk.piece, until, time.monotonic)


class Aside:
    """Threads of this process that copy large objects. What they are at stands in the tasks, as everything does: when the process ends in
    between, another begins it anew once it is due."""

    def __init__(self, objects: Store, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._at: dict[int, threading.Thread] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, objects: Store, clock: Clock) -> Aside:
        memory = objects.database.engine.memory
        found: Aside | None = memory.get(cls)
        return found or memory.setdefault(cls, cls(objects, clock))

    def take(self, due: list[Task]) -> None:
        """Begins with as many as may be, and has none of them come up again at once."""
        until = self._clock.now() + HELD
        for task in due:
            claimed = self._objects.index.run(lambda tx, task=task: tasks.claim(tx, task, until))
            with self._lock:
                if not claimed or task.id in self._at or len(self._at) >= ASIDE:
                    continue
                thread = threading.Thread(target=self._do, args=(task,), name="objects-replication", daemon=True)
                self._at[task.id] = thread
            thread.start()

    def _do(self, task: Task) -> None:
        try:
            _Batch(self._objects, self._clock).do([task], math.inf)
        except Exception:
            log.warning("the replication of a large object ended, and is begun again", exc_info=True)
        finally:
            with self._lock:
                del self._at[task.id]
            self._objects.database.nudge(replicating.HERE)

    def join(self) -> None:
        with self._lock:
            threads = list(self._at.values())
        for thread in threads:
            thread.join()


class _Existing:
    """``older`` once the latest versions have been seen; ``key`` and ``made`` of the last; ``found``, how many."""

    def __init__(self, objects: Store, bucket: Bucket) -> None:
        self._objects = objects
        self._bucket = bucket

    def piece(self, state: dict[str, Any]) -> dict[str, Any] | None:
        after = base64.b64decode(state["key"]) if "key" in state else None
        older = bool(state.get("older"))
        with self._objects.index.reading() as tx:
            if older:
                place = None if after is None else _place(self._bucket.id, after, state["made"])
                found = scans.scan_noncurrent(tx, self._bucket.id, place, walking.PIECE)
            else:
                found = scans.scan_current(tx, self._bucket.id, after, walking.PIECE)
        try:
            count = self._objects.index.run(lambda tx: sum(replicating.existing(tx, self._bucket, each) for each in found))
        except BucketClosed:
            return None
        total = state.get("found", 0) + count
        if len(found) == walking.PIECE:
            last = found[-1]
            return {**state, "key": base64.b64encode(last.key).decode("ascii"), "made": last.made, "found": total}
        return None if older else {"older": True, "found": total}


def _place(bucket_id: str, key: bytes, made: int) -> Version:
    return Version(bucket_id, key, made, "", datetime.datetime.now(datetime.UTC), 0, "", "", "", "", None, ())


@dataclass(slots=True)
class _Work:
    """One task: what came of each of its destinations."""

    task: Task
    found: Version | None = None
    replicas: list[tuple[dict[str, Any], Replica]] = field(default_factory=list)
    later: list[dict[str, Any]] = field(default_factory=list)
    failed: bool = False
    told: dict[str, str] = field(default_factory=dict)

    @property
    def contents(self) -> list[Any]:
        return [each for _, replica in self.replicas for each in replica.contents]


class _Gone(Exception):
    """Somebody else has done it."""


class _Batch:
    """Tasks of different keys: their bytes are copied one after the other, their commits are one."""

    def __init__(self, objects: Store, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._left = threading.Semaphore(0)
        self._bytes = 0
        self._problems: list[tuple[Task, BaseException]] = []

    def do(self, due: list[Task], until: float, pool: ThreadPoolExecutor | None = None) -> int:
        """How many it has begun with, which are done, too."""
        begun = 0
        for prepared in map(self._prepared, due) if pool is None else pool.map(self._prepared, due):
            self._begin(prepared)
            begun += 1
            if self._bytes > _MOST_BYTES or time.monotonic() >= until:
                break
        for _ in range(begun):
            self._left.acquire()
        for task, problem in self._problems:
            if isinstance(problem, StoreUnavailable):
                raise problem
            log.error("a replication is put off", exc_info=problem)
            self._objects.index.run(lambda tx, task=task: self._put_off(tx, task, task.detail))
        return begun

    # ------------------------------------------------------------------------------------------------------ the bytes

    def _prepared(self, task: Task) -> _Work:
        work = _Work(task, failed=bool(task.detail.get("failed")), told=dict(task.detail.get("told", {})))
        objects = self._objects
        with objects.index.reading() as tx:
            work.found = versions.version(tx, task.bucket_id, task.key, task.version_id)
        with objects.database.reading() as tx:
            source = records.bucket_by_id(tx, task.bucket_id)
        if work.found is None or source is None:
            return work  # it is not there any more
        for destination in task.detail["to"]:
            try:
                replica = self._made(work, source, work.found, destination)
            except Refused as reason:
                log.info("%s/%s is not replicated: %s", source.name, task.version_id, reason)
                work.failed = True
            except ContentMissing:  # the version has gone, or has other contents, since it was looked up
                work.later.append(destination)
            except Exception as problem:
                if not isinstance(problem, EngineError | RemoteError):
                    log.exception("a replication failed")
                else:
                    log.warning("replication to %s is put off: %s", destination["Bucket"], problem)
                work.later.append(destination)
            else:
                if replica is not None:
                    work.replicas.append((destination, replica))
                    self._bytes += sum(len(data) for _, data in replica.contents)
        return work

    def _made(self, work: _Work, source: Bucket, found: Version, destination: dict[str, Any]) -> Replica | None:
        objects, task = self._objects, work.task
        what = task.detail["what"]
        remote = remotes.named_in(destination["Bucket"]) is not None
        with objects.database.reading() as tx:
            actor = replicas.Actor.of(tx, task.detail["role"], source, objects.settings.partition)
            target = None if remote else replicas.target_of(tx, source, destination)
        if target is None:
            work.told |= remote_replicas.sent(objects, actor, source, found, what, destination)
            return None
        return replicas.made(objects, actor, source, found, what, target, destination, self._clock.now())

    # ------------------------------------------------------------------------------------------------------ the commit

    def _begin(self, work: _Work) -> None:
        now = self._clock.now()

        def write(tx: Tx, locations: list[str] | tuple[str, ...] = ()) -> None:
            self._write(tx, work, list(locations), now)

        def done(result: Any, error: BaseException | None) -> None:
            try:
                if error is not None and not isinstance(
                    error, StoreUnavailable
                ):  # whose commit may have happened: left to the sweep
                    for _, replica in work.replicas:
                        replica.give_up()
                if error is not None and not isinstance(error, _Gone):
                    self._problems.append((work.task, error))
            finally:
                self._left.release()

        self._objects.index.submit(write, work.contents, done)

    def _put_off(self, tx: Tx, task: Task, detail: dict[str, Any]) -> None:
        wait = min(LONGEST, FIRST * 2 ** min(task.tries, 20))
        tasks.put_off(tx, task, self._clock.now() + datetime.timedelta(seconds=wait), detail)

    def _write(self, tx: Tx, work: _Work, locations: list[str], now: datetime.datetime) -> None:
        task = work.task
        if not tasks.is_there(tx, task):
            raise _Gone
        failed, later = work.failed, work.later
        for _, replica in work.replicas:
            count = len(replica.contents)
            mine, locations = locations[:count], locations[count:]
            try:
                replica.put(tx, mine)
            except BucketClosed:
                failed = True
        if later and now - task.at < PATIENCE:
            self._put_off(tx, task, {**task.detail, "to": later, "failed": failed, "told": work.told})
            return
        _say(tx, work, failed or bool(later))
        tasks.done(tx, task)


_FAILED: Final = "replication_failed"
"""Attribute of an original one of whose destinations has failed while others are still to come."""


def _say(tx: Tx, work: _Work, failed: bool) -> None:
    """Of the original; how it went, unless more is to be done about it."""
    task = work.task
    found = versions.version(tx, task.bucket_id, task.key, task.version_id)
    if found is None or found.deleted:
        return
    kept = dict(found.attributes)
    remote_replicas.keep(kept, work.told)
    if not tasks.is_last(tx, task, replicating.KINDS):
        if failed:
            kept[_FAILED] = True
        versions.change(tx, found, attributes=kept)
        return
    failed = bool(kept.pop(_FAILED, False)) or failed
    replica = kept.pop("replica", False)
    kept["replication"] = rules.FAILED if failed else rules.REPLICA if replica else rules.COMPLETED
    if failed and replica:
        kept["replica"] = True
    versions.change(tx, found, attributes=kept)
