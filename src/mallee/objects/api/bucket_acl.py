"""ACLs of buckets."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, acl, buckets, public_access, records
from mallee.wire.errors import AwsError

ACCESS = {
    "get_bucket_acl": access.bucket("s3:GetBucketAcl", access.READ_ACP),
    "put_bucket_acl": access.bucket("s3:PutBucketAcl", access.WRITE_ACP),
}


def get_bucket_acl(call: Call) -> dict[str, Any]:
    found = buckets.the_bucket(call)
    return acl.described(call.tx, found.grants, found.account_id)


def put_bucket_acl(call: Call) -> None:
    found = buckets.changeable(call)
    if not acl.given_in(call.input):
        raise AwsError("MissingSecurityHeader", "Your request was missing a required header", status=400, MissingHeaderName="x-amz-acl")
    grants = acl.from_request(
        call.tx, call.input, found.account_id, found.account_id, ownership=found.ownership, of_bucket=True
    )  # fmt: skip
    acl.check_block(grants, public_access.BLOCK_ACLS in public_access.blocked(call.tx, found))
    records.change_bucket(call.tx, found, grants=grants)
