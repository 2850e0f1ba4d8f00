"""A bucket's Block Public Access settings."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, kinds
from mallee.objects import public_access as blocks

ACCESS = {
    "get_public_access_block": access.bucket("s3:GetBucketPublicAccessBlock"),
    "put_public_access_block": access.bucket("s3:PutBucketPublicAccessBlock"),
    "delete_public_access_block": access.bucket("s3:PutBucketPublicAccessBlock"),
}


def get_public_access_block(call: Call) -> dict[str, Any]:
    found = buckets.the_bucket(call)
    document = found.configuration(kinds.PUBLIC_ACCESS_BLOCK)
    if document is None:
        told = "The public access block configuration was not found"
        raise buckets.missing("NoSuchPublicAccessBlockConfiguration", told, found)
    return {"PublicAccessBlockConfiguration": document}


def put_public_access_block(call: Call) -> None:
    """What is not given is off."""
    given = call.input["PublicAccessBlockConfiguration"]
    buckets.put(call, kinds.PUBLIC_ACCESS_BLOCK, {name: bool(given.get(name)) for name in blocks.SETTINGS})


def delete_public_access_block(call: Call) -> None:
    buckets.delete(call, kinds.PUBLIC_ACCESS_BLOCK)
