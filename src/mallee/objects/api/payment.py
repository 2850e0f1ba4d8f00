"""Who pays for requests, and transfer acceleration: settings that this cloud keeps and tells as AWS does. Nobody is billed here, and all
requests go the same way; that a requester pays is still asked of requests."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, kinds
from mallee.objects.rules.refusals import bad_request, malformed

ACCESS = {
    "get_bucket_request_payment": access.bucket("s3:GetBucketRequestPayment"),
    "put_bucket_request_payment": access.bucket("s3:PutBucketRequestPayment"),
    "get_bucket_accelerate_configuration": access.bucket("s3:GetAccelerateConfiguration"),
    "put_bucket_accelerate_configuration": access.bucket("s3:PutAccelerateConfiguration"),
}


def get_bucket_request_payment(call: Call) -> dict[str, Any]:
    return buckets.the_bucket(call).configuration(kinds.REQUEST_PAYMENT) or {"Payer": "BucketOwner"}


def put_bucket_request_payment(call: Call) -> None:
    buckets.put(call, kinds.REQUEST_PAYMENT, call.input["RequestPaymentConfiguration"])


def get_bucket_accelerate_configuration(call: Call) -> dict[str, Any]:
    """Nothing until it is set."""
    return buckets.the_bucket(call).configuration(kinds.ACCELERATE) or {}


def put_bucket_accelerate_configuration(call: Call) -> None:
    wanted = call.input["AccelerateConfiguration"]
    if "." in call.input["Bucket"]:
        raise bad_request("S3 Transfer Acceleration is not supported for buckets with periods (.) in their names")
    if "Status" not in wanted:
        raise malformed()
    buckets.put(call, kinds.ACCELERATE, wanted)
