"""Deleting objects: one, one version, or a thousand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mallee.identity.call import Call, Later, reads
from mallee.objects import access, attributes, lookup, reading, removing, replicating, writing
from mallee.store import Tx
from mallee.wire.errors import AwsError

MOST: Final = 1000

ACCESS = {
    "delete_object": access.deleting(),
    "delete_objects": access.several(),
}


@reads
def delete_object(call: Call) -> Later:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html"""
    bucket, key, given = lookup.bucket(call), attributes.key(call), call.input
    writing.check_writable(bucket)
    version_id = given.get("VersionId")
    if version_id is not None:
        reading.check_id(version_id)
    bypass = bool(given.get("BypassGovernanceRetention"))  # that it may was asked with the call

    replica = replicating.is_replica(call)

    def work(tx: Tx) -> dict[str, Any]:
        return removing.deleted(tx, bucket, key, version_id, call.now, call.account_id, bypass, given, replica=replica)

    return writing.indexed(call, bucket, work)


@reads
def delete_objects(call: Call) -> Later:
    """Each key is allowed or not, and found or not, by itself.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"""
    bucket, given = access.the_bucket(call), call.input
    writing.check_writable(bucket)
    bypass = bool(given.get("BypassGovernanceRetention"))
    refused = access.refusals(call, bucket)
    wanted = given["Delete"].get("Objects") or []
    if not wanted or len(wanted) > MOST:
        told = "The XML you provided was not well-formed or did not validate against our published schema"
        raise AwsError("MalformedXML", told, status=400)
    plans = [_planned(refused, each) for each in wanted]

    def work(tx: Tx) -> dict[str, Any]:
        done: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for each, key, refusal in plans:
            named = {"Key": each["Key"]} | ({"VersionId": each["VersionId"]} if each.get("VersionId") else {})
            if refusal is None:
                try:
                    moment, size = each.get("LastModifiedTime"), each.get("Size")
                    conditions = {"IfMatch": each.get("ETag"), "IfMatchLastModifiedTime": moment, "IfMatchSize": size}
                    told = removing.deleted(tx, bucket, key, each.get("VersionId"), call.now, call.account_id, bypass, conditions)
                except AwsError as problem:
                    refusal = problem
                else:
                    one = dict(named)
                    if told.get("DeleteMarker"):
                        one |= {"DeleteMarker": True, "DeleteMarkerVersionId": told.get("VersionId")}
                    done.append(one)
            if refusal is not None:
                errors.append(named | {"Code": refusal.code, "Message": refusal.message})
        return {"Errors": errors} if given["Delete"].get("Quiet") else {"Deleted": done, "Errors": errors}

    return writing.indexed(call, bucket, work)


Refused = Callable[[str, str | None, str | None], AwsError | None]


def _planned(refused: Refused, each: dict[str, Any]) -> tuple[dict[str, Any], bytes, AwsError | None]:
    try:
        key = attributes.checked_key(each["Key"])
        if each.get("VersionId"):
            reading.check_id(each["VersionId"])
    except AwsError as refusal:
        return each, b"", refusal
    return each, key, refused(each["Key"], each.get("VersionId") or None, each.get("ETag"))
