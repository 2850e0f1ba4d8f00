"""Whether a bucket's tags decide who may do what with it (attribute-based access control)."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, kinds
from mallee.objects.rules.refusals import malformed

ACCESS = {
    "get_bucket_abac": access.bucket("s3:GetBucketAbac"),
    "put_bucket_abac": access.bucket("s3:PutBucketAbac"),
}


def get_bucket_abac(call: Call) -> dict[str, Any]:
    return {"AbacStatus": buckets.the_bucket(call).configuration(kinds.ABAC) or {"Status": "Disabled"}}


def put_bucket_abac(call: Call) -> None:
    wanted = call.input["AbacStatus"]
    if "Status" not in wanted:
        raise malformed()
    buckets.put(call, kinds.ABAC, wanted)
