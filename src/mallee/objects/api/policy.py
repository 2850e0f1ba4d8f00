"""Policies of buckets."""

from __future__ import annotations

import dataclasses
from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, policies, public_access, records
from mallee.objects.records import Bucket
from mallee.objects.rules.refusals import denied
from mallee.wire.errors import AwsError
from mallee.wire.output import Answered

ACCESS = {
    "get_bucket_policy": access.bucket("s3:GetBucketPolicy"),
    "get_bucket_policy_status": access.bucket("s3:GetBucketPolicyStatus"),
    "put_bucket_policy": access.bucket("s3:PutBucketPolicy"),
    "delete_bucket_policy": access.bucket("s3:DeleteBucketPolicy"),
}


def get_bucket_policy(call: Call) -> dict[str, Any]:
    return {"Policy": policies.shown(call, _the_policy(buckets.the_bucket(call)))}


def get_bucket_policy_status(call: Call) -> dict[str, Any]:
    return {"PolicyStatus": {"IsPublic": public_access.is_public_policy(_the_policy(buckets.the_bucket(call)))}}


def put_bucket_policy(call: Call) -> Answered:
    """One that would be public is refused where BlockPublicPolicy is set. One that would shut out the caller itself needs
    ConfirmRemoveSelfBucketAccess; a root of the bucket's account is never shut out of the policy. S3's answer is 204, whatever its model says,
    and older clients take no other."""
    found, partition = buckets.changeable(call), call.settings.partition
    own = f"arn:{partition}:s3:::{found.name}"
    text = policies.stored(
        call,
        call.input["Policy"],
        lambda arn: arn == "*" or arn == own or arn.startswith((own + "/", own + "*")),
        lambda arn: arn == "*" or arn.startswith((own + "/", own + "*")),
    )
    if public_access.BLOCK_POLICY in public_access.blocked(call.tx, found) and public_access.is_public_policy(text):
        raise denied()
    if not call.input.get("ConfirmRemoveSelfBucketAccess"):
        after = dataclasses.replace(found, policy=text)
        if not access.may(call, after, "s3:PutBucketPolicy"):
            told = "The new bucket policy would not let you change it again: x-amz-confirm-remove-self-bucket-access confirms that."
            raise AwsError("AccessDenied", told, status=403)
    records.change_bucket(call.tx, found, policy=text)
    return Answered(204)


def delete_bucket_policy(call: Call) -> None:
    records.change_bucket(call.tx, buckets.changeable(call), policy=None)


def _the_policy(found: Bucket) -> str:
    if found.policy is None:
        raise buckets.missing("NoSuchBucketPolicy", "The bucket policy does not exist", found)
    return found.policy
