"""Objects: put, get, head."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call, Later, reads, receives
from mallee.objects import access, attributes, capacity, encryption, lookup, reading, receiving, replicating, store, writing
from mallee.objects.index import versions
from mallee.objects.index.rows import Version
from mallee.objects.receiving import Intake, Received
from mallee.objects.records import Bucket
from mallee.objects.rules import restores
from mallee.store import Tx
from mallee.wire import times
from mallee.wire.errors import AwsError
from mallee.wire.output import Answered

ACCESS = {
    "put_object": access.writing(),
    "get_object": access.object_("GetObject", "GetObjectVersion", acl=access.READ),
    "head_object": access.object_("GetObject", "GetObjectVersion", acl=access.READ),
}


def _admit(call: Call) -> Intake:
    """Everything about a PUT that can be refused before its body comes."""
    bucket = lookup.bucket(call)
    given, declared = call.input, call.prepared
    writing.check_writable(bucket)
    key = attributes.key(call)
    writing.check_none_match(given)
    if given.get("WriteOffsetBytes") is not None:
        implied = "A header you provided implies functionality that is not implemented"
        raise AwsError("NotImplemented", implied, status=501, Header="x-amz-write-offset-bytes")
    attributes.storage_class(given)
    made = writing.new_attributes(call, bucket)
    if made.get("lock") and declared.md5 is None and not declared.algorithms and _asks_lock(given):
        told = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
        raise AwsError("InvalidRequest", told, status=400)
    plan = encryption.plan(call, bucket)
    claims = receiving.claims(declared)
    capacity.admit(call, bucket, key, claims.length)
    if plan is not None:
        made["sse"] = plan.sse
    intake = Intake(
        store.of(call).engine, claims, label=writing.label("object", bucket, key), sha256=declared.sha256,
        encryption=None if plan is None else plan.sealer(),
    )  # fmt: skip
    intake.made = made
    return intake


def _asks_lock(given: dict[str, Any]) -> bool:
    return any(given.get(name) is not None for name in ("ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus"))


@receives(_admit)
@reads
def put_object(call: Call) -> Later:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html"""
    intake: Intake
    received: Received
    intake, received = call.prepared
    bucket, key, given = lookup.bucket(call), attributes.key(call), call.input
    made, checksum = intake.made, received.described()
    owner, kind, now = writing.owner_of(call, bucket), attributes.storage_class(given), call.now
    replicated = replicating.planned(bucket, key, received.size, made)
    room = capacity.of(call, bucket)

    def work(tx: Tx, content: Any) -> dict[str, Any]:
        writing.check_write_conditions(call, given, tx, bucket, key)
        if room is not None:
            room.require_version(tx, bucket, key, received.size)
        new = writing.new_version(
            call, bucket, key, size=received.size, etag=received.etag, checksum=checksum, content=content, made=made, now=now,
            storage_class=kind, owner=owner,
        )  # fmt: skip
        stored = versions.put(tx, bucket.versioning, new)
        replicating.note(tx, stored, replicated)
        return {
            "ETag": f'"{received.etag}"',
            **attributes.checksum_members(checksum),
            **encryption.described(made.get("sse")),
            **attributes.expiration(bucket, key, received.size, made, now),
            **writing.version_members(bucket, stored),
        }

    return writing.committed(call, intake, received, bucket, work)


def get_object(call: Call) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"""
    bucket, key = lookup.bucket(call), attributes.key(call)
    version_id = call.input.get("VersionId")
    _check_overrides(call)
    objects = store.of(call)

    def answer(found: Version) -> dict[str, Any]:
        window = _looked_at(call, bucket, found)
        opener = encryption.opener(call, found.attributes.get("sse"))
        told = _told(call, bucket, found, window)
        told["Body"] = reading.body(objects, found, window.offset, window.length, opener)
        return told

    told: dict[str, Any] = reading.opened(call, bucket, key, version_id, answer)
    return told


def head_object(call: Call) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html"""
    bucket, key = lookup.bucket(call), attributes.key(call)
    _check_overrides(call)
    found = reading.existing(call, bucket, key, call.input.get("VersionId"))
    reading.check_conditions(call.input, found, bucket=bucket)
    window = reading.window(call, found)
    encryption.opener(call, found.attributes.get("sse"))
    return _told(call, bucket, found, window)


def _looked_at(call: Call, bucket: Bucket, found: Version) -> reading.Window:
    reading.check_conditions(call.input, found, bucket=bucket)
    reading.check_archived(found, call.now)
    return reading.window(call, found)


_ENCRYPTION = b"x-amz-server-side-encryption"
_OVERRIDES = {
    "ResponseCacheControl": "CacheControl",
    "ResponseContentDisposition": "ContentDisposition",
    "ResponseContentEncoding": "ContentEncoding",
    "ResponseContentLanguage": "ContentLanguage",
    "ResponseContentType": "ContentType",
    "ResponseExpires": "Expires",
}


def _check_overrides(call: Call) -> None:
    if call.header(_ENCRYPTION) is not None:  # which is for writes
        told = "x-amz-server-side-encryption header is not supported for this operation."
        raise AwsError("InvalidArgument", told, status=400, ArgumentName=_ENCRYPTION.decode())
    if call.principal.kind == "anonymous" and any(call.input.get(name) is not None for name in _OVERRIDES):
        told = "Request specific response headers cannot be used for anonymous GET requests."
        raise AwsError("InvalidRequest", told, status=400)


def _told(call: Call, bucket: Bucket, found: Version, window: reading.Window) -> dict[str, Any]:
    given, kept = call.input, found.attributes
    told = attributes.described(kept)
    for override, name in _OVERRIDES.items():
        value = given.get(override)
        if value is not None:
            told[name] = value if isinstance(value, str) else times.http_date(value)
    told |= {"AcceptRanges": "bytes", "LastModified": found.modified, "ContentLength": window.length, "ETag": f'"{found.etag}"'}
    if window.partial:
        told["ContentRange"] = f"bytes {window.offset}-{window.offset + window.length - 1}/{found.size}" if window.length else None
    if window.parts is not None:
        told["PartsCount"] = window.parts
    if bucket.versioning:
        told["VersionId"] = found.version_id
    if found.storage_class != attributes.STANDARD:
        told["StorageClass"] = found.storage_class
    if kept.get("tags"):
        told["TagCount"] = len(kept["tags"])
    _withhold(call, bucket, told)
    if found.is_latest:
        told |= attributes.expiration(bucket, found.key, found.size, kept, found.modified)
    if kept.get("restore"):
        told["Restore"] = restores.told(kept["restore"], call.now)
    if given.get("ChecksumMode") == "ENABLED" and not given.get("Range"):
        told |= _checksum(found, given.get("PartNumber"))
    told |= encryption.described(kept.get("sse"))
    return Answered(206, told) if told.get("ContentRange") else told


_SECRETS = (
    ("GetObjectTagging", "GetObjectVersionTagging", ("TagCount",)),
    ("GetObjectRetention", "GetObjectRetention", ("ObjectLockMode", "ObjectLockRetainUntilDate")),
    ("GetObjectLegalHold", "GetObjectLegalHold", ("ObjectLockLegalHoldStatus",)),
)


def _withhold(call: Call, bucket: Bucket, told: dict[str, Any]) -> None:
    """What is told only to whoever may ask for it, too."""
    version_id = call.input.get("VersionId")
    for latest, version, members in _SECRETS:
        action = latest if version_id is None else version
        if members[0] in told and not access.may_object(call, bucket, call.input["Key"], action, version_id):
            for name in members:
                del told[name]


def _checksum(found: Version, number: int | None) -> dict[str, str]:
    parts = found.attributes.get("parts")
    if number is None or parts is None or not found.checksum:
        return attributes.checksum_members(found.checksum)
    algorithm, kind, _ = found.checksum.split(":", 2)
    value = parts[number - 1][1] if len(parts[number - 1]) > 1 else ""
    return attributes.checksum_members(f"{algorithm}:{kind}:{value}") if value else {}

