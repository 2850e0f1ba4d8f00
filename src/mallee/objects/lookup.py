"""Buckets by name, as calls need them: remembered for a few seconds beside the database that they came from.

What this process changes is forgotten at the commit (``forget_after``); what another process changes is seen after ``SECONDS`` at the
latest, as long as AWS's own buckets take to change everywhere. That a bucket was deleted is the index's to know (``index`` closes it), so
that nothing is ever put into a bucket that is only remembered.
"""

from __future__ import annotations

import dataclasses
import threading
import time

from mallee.identity.call import Call
from mallee.objects import points, records
from mallee.objects.records import Bucket
from mallee.objects.rules import names
from mallee.store import Tx
from mallee.wire.errors import AwsError

SECONDS = 5.0
SIZE = 10_000


class Memory:
    def __init__(self) -> None:
        self.known: dict[str, tuple[float, Bucket]] = {}
        self._changed = 0.0
        self._lock = threading.Lock()

    def keep(self, tx: Tx, found: Bucket) -> None:
        with self._lock:
            if tx.changed or tx.began <= self._changed:
                return
            if len(self.known) >= SIZE:
                self.known.clear()
            self.known[found.name] = (time.monotonic() + SECONDS, found)

    def forget(self, name: str) -> None:
        with self._lock:
            self._changed = time.monotonic()
            self.known.pop(name, None)


def memory(tx: Tx) -> Memory:
    found: Memory | None = tx.memory.get(Memory)
    return found or tx.memory.setdefault(Memory, Memory())


def forget_after(tx: Tx, name: str) -> None:
    """To be called by whatever changes a bucket or its configurations: read anew once ``tx`` has committed."""
    remembered = memory(tx)
    tx.after_commit(lambda: remembered.forget(name))


def named(tx: Tx, name: str) -> Bucket | None:
    """The bucket of that name, whosever it is, or the one behind an access point that is named in its place. ``tx`` may be bound to any
    account. In a transaction that has changed something, as it is now."""
    found = _named(tx, name)
    return resolve(tx, name) if found is None else found


def resolve(tx: Tx, name: str) -> Bucket | None:
    """The bucket behind an access point (``points.resolve``), as reached by it."""
    point = points.resolve(tx, name)
    found = None if point is None else _named(tx, point.bucket)
    if point is None or found is None or found.id != point.bucket_id:
        return None
    return dataclasses.replace(found, access_point=point)


def _named(tx: Tx, name: str) -> Bucket | None:
    remembered = memory(tx)
    entry = remembered.known.get(name)
    if entry is not None and entry[0] > time.monotonic() and not tx.changed:
        return entry[1]
    found = records.bucket(tx, name)
    if found is not None:
        remembered.keep(tx, found)
    return found


def bucket(call: Call, member: str = "Bucket") -> Bucket:
    """The bucket that the input names. Raises NoSuchBucket."""
    return existing(call.tx, call.input[member])


def fresh(call: Call, member: str = "Bucket") -> Bucket:
    """The same, as the database has it now: for whoever changes it. Where that is another than the one that is remembered, of which the
    policies were asked, the call is not done. Raises NoSuchBucket, OperationAborted."""
    name = call.input[member]
    found = records.bucket(call.tx, name)
    if found is None:
        raise no_such_bucket(name)
    remembered = memory(call.tx)
    entry = remembered.known.get(name)
    if entry is not None and entry[1].id != found.id:
        remembered.forget(name)
        told = "A conflicting conditional operation is currently in progress against this resource. Please try again."
        raise AwsError("OperationAborted", told, status=409)
    return found


def existing(tx: Tx, name: str) -> Bucket:
    found = named(tx, name)
    if found is None:
        raise no_such_bucket(name)
    return found


def no_such_bucket(name: str) -> AwsError:
    if not names.could_be(name) and not name.startswith("arn:"):
        return AwsError("InvalidBucketName", "The specified bucket is not valid.", status=400, BucketName=name)
    return AwsError("NoSuchBucket", "The specified bucket does not exist", status=404, BucketName=name)
