"""Tags of buckets."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, kinds
from mallee.objects.rules import tags
from mallee.wire.output import Answered

ACCESS = {
    "get_bucket_tagging": access.bucket("s3:GetBucketTagging"),
    "put_bucket_tagging": access.bucket("s3:PutBucketTagging"),
    "delete_bucket_tagging": access.bucket("s3:PutBucketTagging"),
}


def get_bucket_tagging(call: Call) -> dict[str, Any]:
    found = buckets.the_bucket(call)
    document = found.configuration(kinds.TAGGING)
    if document is None:
        raise buckets.missing("NoSuchTagSet", "The TagSet does not exist", found)
    return document


def put_bucket_tagging(call: Call) -> Answered:
    """Replaces all of them. None at all is as if they were deleted. S3's answer is 204, whatever its model says."""
    wanted = tags.from_set(call.input["Tagging"]["TagSet"], tags.MOST_OF_BUCKET)
    if wanted:
        buckets.put(call, kinds.TAGGING, {"TagSet": tags.to_set(wanted)})
    else:
        buckets.delete(call, kinds.TAGGING)
    return Answered(204)


def delete_bucket_tagging(call: Call) -> None:
    buckets.delete(call, kinds.TAGGING)
