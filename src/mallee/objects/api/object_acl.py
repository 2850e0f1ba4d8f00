"""ACLs of objects."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call, Later, reads
from mallee.objects import access, acl, attributes, changing, lookup, public_access, reading
from mallee.objects.index.rows import Version
from mallee.objects.records import ENFORCED, Bucket
from mallee.store import Tx
from mallee.wire.errors import AwsError

ACCESS = {
    "get_object_acl": access.object_("GetObjectAcl", "GetObjectVersionAcl", acl=access.READ_ACP),
    "put_object_acl": access.object_("PutObjectAcl", "PutObjectVersionAcl", acl=access.WRITE_ACP),
}


def get_object_acl(call: Call) -> dict[str, Any]:
    """Where the bucket's owner owns everything, it is told to control everything, whatever a list from before says.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAcl.html"""
    bucket = lookup.bucket(call)
    found = reading.existing(call, bucket, attributes.key(call), call.input.get("VersionId"))
    grants = None if bucket.ownership == ENFORCED else found.attributes.get("acl")
    return acl.described(call.tx, grants, _owner(bucket, found))


@reads
def put_object_acl(call: Call) -> Later:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html"""
    bucket = changing.writable(call)
    if not acl.given_in(call.input):
        raise AwsError("MissingSecurityHeader", "Your request was missing a required header", status=400, MissingHeaderName="x-amz-acl")
    owner = _owner(bucket, changing.existing(call, bucket, attributes.key(call)))
    grants = acl.from_request(call.tx, call.input, owner, bucket.account_id, ownership=bucket.ownership)
    acl.check_block(grants, public_access.BLOCK_ACLS in public_access.blocked(call.tx, bucket))

    def change(tx: Tx, found: Version) -> dict[str, Any] | None:
        if bucket.ownership == ENFORCED:
            return None  # nothing was said but what holds anyway; a list from before stays, in case ACLs are turned on again
        if _owner(bucket, found) != owner:  # somebody else put another object there meanwhile: the list was not made for it
            told = "A conflicting conditional operation is currently in progress against this resource. Please try again."
            raise AwsError("OperationAborted", told, status=409)
        return changing.with_(found, "acl", grants)

    return changing.changed(call, bucket, change, lambda found: {})


def _owner(bucket: Bucket, found: Version) -> str:
    return bucket.account_id if bucket.ownership == ENFORCED else found.owner
