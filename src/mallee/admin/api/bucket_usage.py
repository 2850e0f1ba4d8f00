"""What buckets hold and may hold, and what they held day by day."""

from __future__ import annotations

import datetime
from typing import Any

from mallee.admin import access, listing
from mallee.identity import markers
from mallee.identity.access import Access, On, ResourceType
from mallee.identity.call import Call
from mallee.objects import kinds, lookup, records, store, usage_records
from mallee.objects.index import usage
from mallee.objects.index.usage import Usage
from mallee.objects.records import Bucket
from mallee.objects.usage_records import Record
from mallee.wire.errors import AwsError

DEFAULT_DAYS = 31
_FREE = frozenset({"NextToken", "MaxResults"})


def describe_bucket_usage(call: Call) -> dict[str, Any]:
    account_id = _account(call)
    name = call.input.get("BucketName")
    if name is not None:
        found = records.bucket(call.tx, name)
        if found is None or account_id not in (None, found.account_id):
            raise _no_bucket(name)
        with store.of(call).index.reading() as tx:
            return {"Buckets": [_described(found, usage.usage(tx, found.id))]}
    known = records.all_buckets(call.tx) if account_id is None else records.buckets_of(call.tx, account_id)
    shown, more = listing.page(call, known, key=lambda each: each.name)
    with store.of(call).index.reading() as tx:
        counted = {each.bucket_id: each for each in usage.of_many(tx, [each.id for each in shown])}
    whole = [records.bucket(call.tx, each.name) or each for each in shown]
    return {"Buckets": [_described(each, counted.get(each.id, Usage(each.id))) for each in whole], **more}


def put_bucket_quota(call: Call) -> dict[str, Any]:
    access.administer(call)
    document = {name: call.input[name] for name in ("Bytes", "Objects") if call.input.get(name) is not None}
    if not document:
        raise AwsError("InvalidParameterException", "Give a limit of bytes, of objects, or both.")
    found = _bucket(call)
    if found.internal:
        raise AwsError("InvalidParameterException", f"{found.name} is Mallee's own: it has no quota.")
    records.configure(call.tx, found, kinds.QUOTA, document)
    lookup.forget_after(call.tx, found.name)
    with store.of(call).index.reading() as tx:
        return {"Bucket": _described(_bucket(call), usage.usage(tx, found.id))}


def delete_bucket_quota(call: Call) -> None:
    access.administer(call)
    found = _bucket(call)
    if not records.unconfigure(call.tx, found, kinds.QUOTA):
        raise AwsError("QuotaValueNotFoundException", f"The bucket {found.name} has no quota of its own.")
    lookup.forget_after(call.tx, found.name)


def list_bucket_usage_records(call: Call) -> dict[str, Any]:
    account_id = _account(call)
    given = call.input
    until = _day(given, "Until") or call.now.date()
    since = _day(given, "Since") or until - datetime.timedelta(days=DEFAULT_DAYS - 1)
    after = ("", "")
    if given.get("NextToken"):
        try:
            day, bucket_id = markers.unseal(call, given["NextToken"], _FREE)
        except markers.Forged:
            raise AwsError("InvalidParameterException", "The NextToken was not given for this list.") from None
        after = (day, bucket_id)
    size = given.get("MaxResults") or listing.DEFAULT
    found = usage_records.records(
        call.tx, since.isoformat(), until.isoformat(), account_id=account_id, bucket=given.get("BucketName"), after=after, limit=size + 1
    )
    shown = found[:size]
    told: dict[str, Any] = {"Records": [_record(each) for each in shown]}
    if len(found) > size:
        told["NextToken"] = markers.seal(call, [shown[-1].day, shown[-1].bucket_id], _FREE)
    return told


# ----------------------------------------------------------------------------------------------------------------- helpers


def _account(call: Call) -> str | None:
    """The account that is asked about; None: all, for an administrator."""
    if call.input.get("AccountId") is not None:
        return access.own_or_named(call).id
    return None if access.administers(call) else call.account_id


def _bucket(call: Call) -> Bucket:
    found = records.bucket(call.tx, call.input["BucketName"])
    if found is None:
        raise _no_bucket(call.input["BucketName"])
    return found


def _no_bucket(name: str) -> AwsError:
    return AwsError("BucketNotFoundException", f"There is no bucket {name}.")


def _day(given: dict[str, Any], member: str) -> datetime.date | None:
    text = given.get(member)
    try:
        return None if text is None else datetime.date.fromisoformat(text)
    except ValueError:
        raise AwsError("InvalidParameterException", f"{text} is no day: write it as 2026-11-28.") from None


def _described(bucket: Bucket, found: Usage) -> dict[str, Any]:
    quota = bucket.configuration(kinds.QUOTA) or {}
    return {
        "BucketName": bucket.name, "AccountId": bucket.account_id, "CreatedAt": bucket.created_at, "Internal": bucket.internal,
        **_counts(found), "QuotaBytes": quota.get("Bytes"), "QuotaObjects": quota.get("Objects"),
    }  # fmt: skip


def _counts(found: Usage | Record) -> dict[str, int]:
    return {
        "Objects": found.objects, "Bytes": found.bytes, "NoncurrentVersions": found.noncurrent, "NoncurrentBytes": found.noncurrent_bytes,
        "Uploads": found.uploads, "UploadBytes": found.upload_bytes,
    }  # fmt: skip


def _record(found: Record) -> dict[str, Any]:
    return {
        "Day": found.day, "BucketName": found.bucket, "BucketId": found.bucket_id, "AccountId": found.account_id,
        "SampledAt": found.sampled_at, **_counts(found), "PeakBytes": found.peak_bytes, "ByteHours": found.byte_hours,
    }  # fmt: skip


_BUCKET = On(ResourceType("bucket", "arn:{partition}:mallee:::bucket/{id}"), "BucketName")

ACCESS = {
    "describe_bucket_usage": Access(access.ON_OWN_ACCOUNT),
    "put_bucket_quota": Access(_BUCKET),
    "delete_bucket_quota": Access(_BUCKET),
    "list_bucket_usage_records": Access(access.ON_OWN_ACCOUNT),
}
