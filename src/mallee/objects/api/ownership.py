"""Object ownership: whether ACLs mean anything in a bucket, and whose the objects of others are."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, records
from mallee.objects.rules.refusals import malformed
from mallee.wire.errors import AwsError

ACCESS = {
    "get_bucket_ownership_controls": access.bucket("s3:GetBucketOwnershipControls"),
    "put_bucket_ownership_controls": access.bucket("s3:PutBucketOwnershipControls"),
    "delete_bucket_ownership_controls": access.bucket("s3:PutBucketOwnershipControls"),
}

_GONE = ""
"""The ownership of a bucket whose controls were deleted: it is judged as ObjectWriter, as before there were such controls."""


def get_bucket_ownership_controls(call: Call) -> dict[str, Any]:
    found = buckets.the_bucket(call)
    if found.ownership == _GONE:
        raise buckets.missing("OwnershipControlsNotFoundError", "The bucket ownership controls were not found", found)
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": found.ownership}]}}


def put_bucket_ownership_controls(call: Call) -> None:
    found, rules = buckets.changeable(call), call.input["OwnershipControls"]["Rules"]
    if len(rules) != 1:
        raise malformed()
    wanted = rules[0]["ObjectOwnership"]
    if wanted == records.ENFORCED and found.grants is not None:
        told = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
        raise AwsError("InvalidBucketAclWithObjectOwnership", told, status=400, BucketName=found.name)
    records.change_bucket(call.tx, found, ownership=wanted)


def delete_bucket_ownership_controls(call: Call) -> None:
    records.change_bucket(call.tx, buckets.changeable(call), ownership=_GONE)
