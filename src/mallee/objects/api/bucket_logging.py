"""Server access logging of buckets: into which bucket the log goes."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, kinds, lookup, records
from mallee.objects.log_delivery import lets_in
from mallee.objects.rules.refusals import malformed
from mallee.wire.errors import AwsError

ACCESS = {
    "get_bucket_logging": access.bucket("s3:GetBucketLogging"),
    "put_bucket_logging": access.bucket("s3:PutBucketLogging"),
}


def get_bucket_logging(call: Call) -> dict[str, Any]:
    return buckets.the_bucket(call).configuration(kinds.LOGGING) or {}


def put_bucket_logging(call: Call) -> None:
    """Without LoggingEnabled it is turned off. The target is a bucket of the same account which lets the log in: by its ACL or its policy;
    where ACLs count for nothing the policy may come later, as with AWS."""
    found, wanted = buckets.changeable(call), call.input["BucketLoggingStatus"].get("LoggingEnabled")
    if wanted is None:
        records.unconfigure(call.tx, found, kinds.LOGGING)
        return
    target = lookup.named(call.tx, wanted["TargetBucket"])
    if target is None or target.internal:
        raise _not_a_target("The target bucket for logging does not exist", wanted)
    if target.account_id != found.account_id:
        raise _not_a_target("The owner for the bucket to be logged and the target bucket must be the same.", wanted)
    if len(wanted.get("TargetObjectKeyFormat", {"SimplePrefix": {}})) != 1:
        raise malformed()
    if target.ownership == records.ENFORCED:
        if wanted.get("TargetGrants"):
            raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs", status=400)
    elif not lets_in(call.settings.partition, target, f"{wanted['TargetPrefix']}log", found):
        told = "You must give the log-delivery group WRITE and READ_ACP permissions to the target bucket"
        raise _not_a_target(told, wanted)
    records.configure(call.tx, found, kinds.LOGGING, {"LoggingEnabled": wanted})


def _not_a_target(message: str, wanted: dict[str, Any]) -> AwsError:
    return AwsError("InvalidTargetBucketForLogging", message, status=400, TargetBucket=wanted["TargetBucket"])
