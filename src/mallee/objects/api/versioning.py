"""Versioning of buckets: never, Enabled, Suspended. Once it was enabled it is never off again."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, kinds, records
from mallee.objects.rules.refusals import malformed
from mallee.wire.errors import AwsError

ACCESS = {
    "get_bucket_versioning": access.bucket("s3:GetBucketVersioning"),
    "put_bucket_versioning": access.bucket("s3:PutBucketVersioning"),
}


def get_bucket_versioning(call: Call) -> dict[str, Any]:
    return {"Status": buckets.the_bucket(call).versioning or None}


def put_bucket_versioning(call: Call) -> None:
    """MFA delete is not there: who asks for it is refused, and who says that it shall be off is told nothing new."""
    found, wanted = buckets.changeable(call), call.input["VersioningConfiguration"]
    if wanted.get("MFADelete") == "Enabled" or "MFA" in call.input:
        told = "A header or element you provided implies functionality that is not implemented: Mallee does not have MFA delete."
        raise AwsError("NotImplemented", told, status=501)
    status = wanted.get("Status")
    if status is None:
        told = "The Versioning element must be specified"
        raise AwsError("IllegalVersioningConfigurationException", told, status=400) if wanted else malformed()
    if status == records.SUSPENDED and found.object_lock:
        told = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
        raise AwsError("InvalidBucketState", told, status=409)
    if status == records.SUSPENDED and found.configuration(kinds.REPLICATION) is not None:
        told = "A replication configuration is present on this bucket, so you cannot change the versioning state. "
        told += "To change the versioning state, first delete the replication configuration."
        raise AwsError("InvalidBucketState", told, status=409)
    records.change_bucket(call.tx, found, versioning=status)
