"""The object store as operators see it: its state, a round trip through it, an audit of it. All of it is done outside of any transaction."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Any

from mallee.admin import access
from mallee.identity import markers
from mallee.identity.access import Access
from mallee.identity.call import Call, Outside, prepared_by, reads
from mallee.objects import auditing, condition, records, store
from mallee.objects.auditing import Piece
from mallee.objects.condition import Condition
from mallee.objects.engine.base import EngineError
from mallee.objects.records import Walk
from mallee.objects.store import Store
from mallee.wire.errors import AwsError

_FREE = frozenset({"NextToken", "MaxResults"})
_PIECE = 1000


def _look(call: Call) -> Outside:
    access.administer(call)
    objects = store.of(call)
    return Outside(lambda: _asked(lambda: condition.condition(objects)))


@prepared_by(_look)
def describe_object_store(call: Call) -> dict[str, Any]:
    found: Condition = call.prepared
    running, last = found.scrub
    told: dict[str, Any] = {
        "Engine": found.engine, "IndexDatabase": found.index, "Copies": found.copies,
        "Objects": found.held.objects, "Bytes": found.held.bytes, "NoncurrentVersions": found.held.noncurrent,
        "NoncurrentBytes": found.held.noncurrent_bytes, "Uploads": found.held.uploads, "UploadBytes": found.held.upload_bytes,
        "Garbage": found.garbage, "GarbageSince": found.garbage_since, "Scrub": _scrub(running), "LastScrub": _scrub(last),
        "Walks": [each for walk in records.walks(call.tx) if (each := _walk(call, walk)) is not None],
        "Faults": [_fault(each) for each in found.faults],
    }  # fmt: skip
    space = found.space
    if space is not None:
        told |= {"Packs": space.packs, "PackBytes": space.pack_bytes, "DeadBytes": space.dead, "Owed": space.owed}
        told["Disks"] = [
            {
                "Path": str(disk.path), "DiskId": disk.id, "TotalBytes": disk.total, "FreeBytes": disk.free,
                "Fault": None if disk.fault is None else _fault(disk.fault),
            }
            for disk in space.disks
        ]  # fmt: skip
    return {"ObjectStore": told}


def _probe(call: Call) -> Outside:
    access.administer(call)
    objects = store.of(call)
    return Outside(lambda: _asked(lambda: condition.probe(objects)))


@prepared_by(_probe)
@reads
def probe_object_store(call: Call) -> dict[str, Any]:
    size, seconds = call.prepared
    return {"Bytes": size, "Seconds": seconds}


def _audit(call: Call) -> Outside:
    access.administer(call)
    objects: Store = store.of(call)
    given = call.input
    at = None
    if given.get("NextToken"):
        try:
            at = markers.unseal(call, given["NextToken"], _FREE)
        except markers.Forged:
            raise AwsError("InvalidParameterException", "The NextToken was not given for this audit.") from None
    every, limit = given.get("Every") or 1, given.get("MaxResults") or _PIECE
    return Outside(lambda: _asked(lambda: auditing.audit(objects, at, every, limit)))


@prepared_by(_audit)
@reads
def audit_object_store(call: Call) -> dict[str, Any]:
    piece: Piece = call.prepared
    told: dict[str, Any] = {"Checked": piece.checked, "Differences": piece.differences}
    if piece.next is not None:
        told["NextToken"] = markers.seal(call, piece.next, _FREE)
    return told


def _asked(work: Any) -> Any:
    try:
        return work()
    except EngineError as problem:
        raise AwsError("ObjectStoreUnavailableException", f"{problem.cause} {problem.remedy}".strip(), status=503) from None
    except LookupError as problem:
        raise AwsError("ObjectStoreUnavailableException", str(problem), status=503) from None


def _scrub(found: Any) -> dict[str, Any] | None:
    if found is None:
        return None
    known = dataclasses.asdict(found)
    counts = ("number", "contents", "mended", "missing", "copied", "orphaned")
    return {
        **{name.capitalize(): known[name] for name in counts if name in known},
        "BeganAt": _moment(found.began), "EndedAt": _moment(found.ended), "VerifiedBytes": found.verified, "Damaged": found.lost,
    }  # fmt: skip


def _moment(seconds: float) -> datetime.datetime | None:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC) if seconds else None


def _walk(call: Call, walk: Walk) -> dict[str, Any] | None:
    bucket = records.bucket_by_id(call.tx, walk.bucket_id)
    if bucket is None:
        return None
    return {
        "Name": walk.name, "BucketName": bucket.name, "BeganAt": walk.began_at, "EndedAt": walk.ended_at,
        "Progress": json.dumps(walk.state, sort_keys=True),
    }  # fmt: skip


def _fault(found: Any) -> dict[str, str]:
    return {"Code": found.name, "Cause": found.cause, "Remedy": found.remedy}


ACCESS = {"describe_object_store": Access(), "probe_object_store": Access(), "audit_object_store": Access()}
