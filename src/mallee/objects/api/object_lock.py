"""Retention and legal hold of versions.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

from __future__ import annotations

import datetime
from typing import Any

from mallee.identity.call import Call, Later, reads
from mallee.objects import access, attributes, changing, lookup, reading, removing, replicas
from mallee.objects.index.rows import Version
from mallee.objects.records import Bucket
from mallee.objects.rules.refusals import invalid, malformed
from mallee.store import Tx
from mallee.wire.errors import AwsError

ACCESS = {
    "get_object_retention": access.object_("GetObjectRetention"),
    "put_object_retention": access.object_("PutObjectRetention"),
    "get_object_legal_hold": access.object_("GetObjectLegalHold"),
    "put_object_legal_hold": access.object_("PutObjectLegalHold"),
}

GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"


def get_object_retention(call: Call) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectRetention.html"""
    held = _held(call)
    if not held.get("mode"):
        raise _none()
    return {"Retention": {"Mode": held["mode"], "RetainUntilDate": datetime.datetime.fromisoformat(held["until"])}}


@reads
def put_object_retention(call: Call) -> Later:
    """An empty retention takes it away. https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectRetention.html"""
    bucket = _locking(call)
    wanted = call.input.get("Retention")
    if wanted is None:
        raise malformed()
    _check(wanted, call.now)
    mode, until = wanted.get("Mode"), wanted.get("RetainUntilDate")
    bypass = bool(call.input.get("BypassGovernanceRetention"))  # that it may was asked with the call

    def change(tx: Tx, found: Version) -> dict[str, Any]:
        held = found.attributes.get("lock") or {}
        _check_change(held, mode, until, call.now, bypass)
        kept = {"hold": held["hold"]} if held.get("hold") else {}
        new = {"mode": mode, "until": until.isoformat()} if until is not None else {}
        return changing.with_(found, "lock", new | kept)

    return changing.changed(call, bucket, change, lambda found: {})


def get_object_legal_hold(call: Call) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLegalHold.html"""
    held = _held(call)
    if not held.get("hold"):
        raise _none()
    return {"LegalHold": {"Status": held["hold"]}}


@reads
def put_object_legal_hold(call: Call) -> Later:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLegalHold.html"""
    bucket = _locking(call)
    status = (call.input.get("LegalHold") or {}).get("Status")
    if status not in ("ON", "OFF"):
        raise malformed()

    def change(tx: Tx, found: Version) -> dict[str, Any]:
        made = changing.with_(found, "lock", {**(found.attributes.get("lock") or {}), "hold": status})
        made.pop(replicas.BROUGHT, None)
        return made

    return changing.changed(call, bucket, change, lambda found: {})


def _check(wanted: dict[str, Any], now: datetime.datetime) -> None:
    if "EventHold" in wanted or "EventHoldDuration" in wanted:
        told = "A header or element you provided implies functionality that is not implemented: Mallee does not have event holds."
        raise AwsError("NotImplemented", told, status=501)
    mode, until = wanted.get("Mode"), wanted.get("RetainUntilDate")
    if (mode is None) != (until is None) or (mode is not None and mode not in (GOVERNANCE, COMPLIANCE)):
        raise malformed()
    if until is not None and until <= now:
        raise invalid("The retain until date must be in the future!", "RetainUntilDate", until.isoformat())


def _check_change(held: dict[str, Any], mode: str | None, until: datetime.datetime | None, now: datetime.datetime, bypass: bool) -> None:
    """A retention that still runs may only grow, in its mode; in governance mode, whoever may bypass it does as it likes."""
    if not held.get("mode"):
        return
    runs_until = datetime.datetime.fromisoformat(held["until"])
    if runs_until <= now or (held["mode"] == GOVERNANCE and bypass):
        return
    if mode != held["mode"] or until is None or until < runs_until:
        raise removing.locked()


def _locking(call: Call) -> Bucket:
    bucket = changing.writable(call)
    _check_bucket(bucket)
    return bucket


def _check_bucket(bucket: Bucket) -> None:
    if not bucket.object_lock:
        raise AwsError("InvalidRequest", "Bucket is missing Object Lock Configuration", status=400)


def _held(call: Call) -> dict[str, Any]:
    bucket = lookup.bucket(call)
    _check_bucket(bucket)
    found = reading.existing(call, bucket, attributes.key(call), call.input.get("VersionId"))
    held: dict[str, Any] = found.attributes.get("lock") or {}
    return held


def _none() -> AwsError:
    return AwsError("NoSuchObjectLockConfiguration", "The specified object does not have a ObjectLock configuration", status=404)
