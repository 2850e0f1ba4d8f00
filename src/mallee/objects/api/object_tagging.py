"""Tags of objects."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call, Later, reads
from mallee.objects import access, attributes, changing, lookup, reading
from mallee.objects.index.rows import Version
from mallee.objects.records import Bucket
from mallee.objects.rules import tags

ACCESS = {
    "get_object_tagging": access.object_("GetObjectTagging", "GetObjectVersionTagging"),
    "put_object_tagging": access.object_("PutObjectTagging", "PutObjectVersionTagging"),
    "delete_object_tagging": access.object_("DeleteObjectTagging", "DeleteObjectVersionTagging"),
}


def get_object_tagging(call: Call) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTagging.html"""
    bucket = lookup.bucket(call)
    found = reading.existing(call, bucket, attributes.key(call), call.input.get("VersionId"))
    return {"TagSet": tags.to_set(found.attributes.get("tags") or {}), **changing.version_members(bucket, found)}


@reads
def put_object_tagging(call: Call) -> Later:
    """Replaces all of them. https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html"""
    bucket = changing.writable(call)
    return _set(call, bucket, tags.from_set(call.input["Tagging"]["TagSet"]))


@reads
def delete_object_tagging(call: Call) -> Later:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjectTagging.html"""
    return _set(call, changing.writable(call), {})


def _set(call: Call, bucket: Bucket, wanted: dict[str, str]) -> Later:
    def answer(found: Version) -> dict[str, Any]:
        return changing.version_members(bucket, found)

    return changing.changed(call, bucket, lambda tx, found: changing.with_(found, "tags", wanted), answer)
