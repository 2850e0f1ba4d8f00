"""What operations on buckets have in common: the bucket as the database has it, whose it must be, and its configurations.

Reads of configurations are of the database, not of ``lookup``'s memory: what a Put answered is what the next Get tells, in whichever
process.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

from mallee.identity.call import Call
from mallee.objects import lookup, records
from mallee.objects.records import Bucket, Document
from mallee.objects.rules.refusals import denied as denied
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


def missing(code: str, message: str, bucket: Bucket) -> AwsError:
    """That the bucket has no such configuration."""
    return AwsError(code, message, status=404, BucketName=bucket.name)


def put(call: Call, kind: str, document: Document) -> None:
    """Sets a configuration that a bucket has but one of."""
    records.configure(call.tx, changeable(call), kind, plain(document))


def delete(call: Call, kind: str) -> None:
    records.unconfigure(call.tx, changeable(call), kind)


def plain(value: Any) -> Any:
    """A document as it can be kept: moments as ISO strings."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.isoformat() if isinstance(value, datetime.datetime) else value
