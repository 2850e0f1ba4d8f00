"""What operations on buckets have in common: the bucket as the database has it, whose it must be, and its configurations.

Reads of configurations are of the database, not of ``lookup``'s memory: what a Put answered is what the next Get tells, in whichever
process.
"""

from __future__ import annotations

import re

from mallee.identity.call import Call
from mallee.objects import lookup, records
from mallee.objects.records import Bucket, Document
from mallee.wire.errors import AwsError

_ACCOUNT = re.compile(r"\d{12}", re.ASCII)


def the_bucket(call: Call) -> Bucket:
    """The bucket that the input names, as it is now. Raises NoSuchBucket, and AccessDenied if it is another's than expected."""
    found = lookup.fresh(call)
    expect_owner(call, found)
    return found


def changeable(call: Call) -> Bucket:
    """The same, for whoever changes it: Mallee's own buckets are not configured by anybody, and whatever is remembered of it is
    forgotten at the commit."""
    found = the_bucket(call)
    if found.internal:
        raise denied()
    lookup.forget_after(call.tx, found.name)
    return found


def expect_owner(call: Call, bucket: Bucket, member: str = "ExpectedBucketOwner") -> None:
    expected = call.input.get(member)
    if expected is None or expected == bucket.account_id:
        return
    if not _ACCOUNT.fullmatch(expected):
        told = "The value of the expected bucket owner parameter must be an AWS Account ID"
        raise AwsError("InvalidBucketOwnerAWSAccountID", told, status=400)
    raise denied()


def denied() -> AwsError:
    return AwsError("AccessDenied", "Access Denied", status=403)


def invalid(message: str, name: str = "", value: str | None = None) -> AwsError:
    """InvalidArgument, with the argument that it is about."""
    fields = {"ArgumentName": name, "ArgumentValue": value} if name else {}
    return AwsError("InvalidArgument", message, status=400, **{key: each for key, each in fields.items() if each is not None})


def malformed(message: str = "") -> AwsError:
    told = message or "The XML you provided was not well-formed or did not validate against our published schema"
    return AwsError("MalformedXML", told, status=400)


def bad_request(message: str) -> AwsError:
    return AwsError("InvalidRequest", message, status=400)


def missing(code: str, message: str, bucket: Bucket) -> AwsError:
    """That the bucket has no such configuration."""
    return AwsError(code, message, status=404, BucketName=bucket.name)


def put(call: Call, kind: str, document: Document) -> None:
    """Sets a configuration that a bucket has but one of."""
    records.configure(call.tx, changeable(call), kind, document)


def delete(call: Call, kind: str) -> None:
    records.unconfigure(call.tx, changeable(call), kind)
