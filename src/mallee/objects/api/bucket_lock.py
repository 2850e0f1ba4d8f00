"""Object Lock of buckets: that it is on, for good, and the retention that new objects get."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, kinds, records
from mallee.objects.rules.refusals import invalid, malformed
from mallee.wire.errors import AwsError

ACCESS = {
    "get_object_lock_configuration": access.bucket("s3:GetBucketObjectLockConfiguration"),
    "put_object_lock_configuration": access.bucket("s3:PutBucketObjectLockConfiguration"),
}

_MOST_DAYS, _MOST_YEARS = 36_500, 100


def get_object_lock_configuration(call: Call) -> dict[str, Any]:
    found = buckets.the_bucket(call)
    if not found.object_lock:
        told = "Object Lock configuration does not exist for this bucket"
        raise buckets.missing("ObjectLockConfigurationNotFoundError", told, found)
    return {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", **(found.configuration(kinds.OBJECT_LOCK) or {})}}


def put_object_lock_configuration(call: Call) -> None:
    """It is turned on for a bucket whose versions are kept, and is never off again; without a rule, new objects get no retention."""
    found, given = buckets.changeable(call), call.input.get("ObjectLockConfiguration")
    if given is None or given.get("ObjectLockEnabled") != "Enabled":
        raise malformed()
    if found.versioning != records.ENABLED:
        told = "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
        raise AwsError("InvalidBucketState", told, status=409)
    if "Rule" in given:
        _check(given["Rule"].get("DefaultRetention"))
    if not found.object_lock:
        records.change_bucket(call.tx, found, object_lock=True)
    records.configure(call.tx, found, kinds.OBJECT_LOCK, given)


def _check(retention: dict[str, Any] | None) -> None:
    if retention is None or "Mode" not in retention or ("Days" in retention) is ("Years" in retention):
        raise malformed()
    if "DefaultEventHold" in retention:
        told = "A header or element you provided implies functionality that is not implemented: Mallee does not have event holds."
        raise AwsError("NotImplemented", told, status=501)
    name, most = ("Days", _MOST_DAYS) if "Days" in retention else ("Years", _MOST_YEARS)
    if retention[name] <= 0:
        raise invalid("Default retention period must be a positive integer value")
    if retention[name] > most:
        raise invalid("Default retention period too large")
