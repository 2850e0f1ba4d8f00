"""CopyObject and UploadPartCopy."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call, Later, Outside, prepared_by, reads
from mallee.objects import (
    access,
    attributes,
    capacity,
    checksums,
    copying,
    encryption,
    lookup,
    parts,
    reading,
    receiving,
    replicating,
    store,
    writing,
)
from mallee.objects.index import versions
from mallee.objects.index.rows import Version
from mallee.objects.receiving import Intake, Received
from mallee.objects.records import Bucket
from mallee.objects.rules import ranges
from mallee.store import Tx
from mallee.wire.errors import AwsError

ACCESS = {"copy_object": access.copying(), "upload_part_copy": access.copying(part=True)}

_CHANGES = (
    "ServerSideEncryption", "SSECustomerAlgorithm", "StorageClass", "WebsiteRedirectLocation", "ChecksumAlgorithm", "Tagging",
)  # fmt: skip


def _prepare(call: Call) -> Outside:
    """The source, and what becomes of it; the bytes are copied outside of any transaction."""
    bucket, given = lookup.bucket(call), call.input
    writing.check_writable(bucket)
    key = attributes.key(call)
    writing.check_none_match(given)
    from_bucket, found = copying.found_source(call)
    if found.size > copying.MOST:
        told = f"The specified copy source is larger than the maximum allowable size for a copy source: {copying.MOST}"
        raise AwsError("InvalidRequest", told, status=400)
    _check_itself(given, bucket, key, from_bucket, found)
    capacity.admit(call, bucket, key, found.size)
    made = _attributes(call, bucket, found)
    plan = encryption.plan(call, bucket)
    if plan is not None:
        made["sse"] = plan.sse
    opener = copying.source_opener(call, found)
    objects = store.of(call)
    intake = Intake(
        objects.engine, copying.claims(found.size, given.get("ChecksumAlgorithm"), found), label=writing.label("object", bucket, key),
        encryption=None if plan is None else plan.sealer(),
    )  # fmt: skip
    intake.made = made
    flow = reading.body(objects, found, 0, found.size, opener)
    return Outside(lambda: (from_bucket, found, intake, copying.copied(flow, intake)))


@prepared_by(_prepare)
@reads
def copy_object(call: Call) -> Later:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""
    from_bucket: Bucket
    found: Version
    intake: Intake
    received: Received
    from_bucket, found, intake, received = call.prepared
    bucket, key, given = lookup.bucket(call), attributes.key(call), call.input
    made, now, checksum = intake.made, call.now, received.described()
    kind, owner = attributes.storage_class(given), writing.owner_of(call, bucket)
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
        result = {"ETag": f'"{received.etag}"', "LastModified": stored.modified, **attributes.checksum_members(checksum)}
        return {
            "CopyObjectResult": result,
            **copying.version_member(call, from_bucket, found),
            **encryption.described(made.get("sse")),
            **writing.version_members(bucket, stored),
        }

    return writing.committed(call, intake, received, bucket, work)


def _attributes(call: Call, bucket: Bucket, found: Version) -> dict[str, Any]:
    """The source's headers, metadata and tags, or those of the request."""
    given = call.input
    made = writing.new_attributes(call, bucket)
    directive = given.get("MetadataDirective", "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise AwsError("InvalidArgument", "Unknown metadata directive.", status=400, ArgumentName="x-amz-metadata-directive", ArgumentValue=directive)
    tagging = given.get("TaggingDirective", "COPY")
    if tagging not in ("COPY", "REPLACE"):
        raise AwsError("InvalidArgument", "Unknown tagging directive.", status=400, ArgumentName="x-amz-tagging-directive", ArgumentValue=tagging)
    if directive == "COPY":
        redirect = made["headers"].get("WebsiteRedirectLocation")
        made["headers"] = {name: value for name, value in found.attributes.get("headers", {}).items() if name != "WebsiteRedirectLocation"}
        if redirect is not None:
            made["headers"]["WebsiteRedirectLocation"] = redirect
        made.pop("metadata", None)
        if found.attributes.get("metadata"):
            made["metadata"] = found.attributes["metadata"]
    if tagging == "COPY":
        made.pop("tags", None)
        if found.attributes.get("tags"):
            made["tags"] = found.attributes["tags"]
    return made


def _check_itself(given: dict[str, Any], bucket: Bucket, key: bytes, from_bucket: Bucket, found: Version) -> None:
    """A copy of an object onto itself must change something."""
    if from_bucket.id != bucket.id or found.key != key or not found.is_latest:
        return
    if given.get("MetadataDirective") == "REPLACE" or any(given.get(name) is not None for name in _CHANGES):
        return
    if "sse" in found.attributes and encryption.default_of(bucket) is None:
        return
    told = (
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, "
        "website redirect location or encryption attributes."
    )
    raise AwsError("InvalidRequest", told, status=400)


def _prepare_part(call: Call) -> Outside:
    bucket, given = lookup.bucket(call), call.input
    writing.check_writable(bucket)
    parts.checked_number(given["PartNumber"])
    upload = parts.existing(call, bucket)
    from_bucket, found = copying.found_source(call)
    offset, length = _range(given, found)
    capacity.admit_part(call, bucket, upload, length)
    wanted = upload.attributes["algorithm"]
    claims = receiving.Claims(length, None, wanted or checksums.DEFAULT)
    plan = encryption.again(call, upload.attributes["object"].get("sse"))
    label = writing.label("part", bucket, upload.key, upload=upload.upload_id, part=given["PartNumber"])
    objects = store.of(call)
    intake = Intake(objects.engine, claims, label=label, encryption=None if plan is None else plan.sealer())
    flow = reading.body(objects, found, offset, length, copying.source_opener(call, found))
    return Outside(lambda: (from_bucket, found, upload, intake, copying.copied(flow, intake)))


@prepared_by(_prepare_part)
@reads
def upload_part_copy(call: Call) -> Later:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html"""
    from_bucket, found, upload, intake, received = call.prepared
    result = {"ETag": f'"{received.etag}"', "LastModified": call.now, **attributes.checksum_members(received.described())}
    result.pop("ChecksumType", None)
    told = {
        "CopyPartResult": result,
        **copying.version_member(call, from_bucket, found),
        **encryption.described(upload.attributes["object"].get("sse")),
    }
    return parts.stored(call, lookup.bucket(call), upload, intake, received, told)


def _range(given: dict[str, Any], found: Version) -> tuple[int, int]:
    header = given.get("CopySourceRange")
    if header is None:
        if found.size > copying.MOST:
            told = f"The specified copy source is larger than the maximum allowable size for a copy source: {copying.MOST}"
            raise AwsError("InvalidRequest", told, status=400)
        return 0, found.size
    try:
        asked = ranges.parse_copy(header, found.size)
    except ranges.Unsatisfiable:
        told = f"Range specified is not valid for source object of size: {found.size}"
        raise AwsError("InvalidArgument", told, status=400, ArgumentName="x-amz-copy-source-range", ArgumentValue=header) from None
    if asked is None:
        told = (
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the "
            "first and last bytes to copy"
        )
        raise AwsError("InvalidArgument", told, status=400, ArgumentName="x-amz-copy-source-range", ArgumentValue=header)
    if asked[1] > copying.MOST:
        told = f"The specified copy range is larger than the maximum allowable size for a copy source: {copying.MOST}"
        raise AwsError("InvalidRequest", told, status=400)
    return asked
