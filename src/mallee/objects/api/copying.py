"""CopyObject."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call, Later, Outside, prepared_by, reads
from mallee.objects import access, attributes, copying, encryption, lookup, reading, store, writing
from mallee.objects.index import versions
from mallee.objects.index.rows import Version
from mallee.objects.receiving import Intake, Received
from mallee.objects.records import Bucket
from mallee.store import Tx
from mallee.wire.errors import AwsError

ACCESS = {"copy_object": access.copying()}

_CHANGES = (
    "MetadataDirective", "TaggingDirective", "ServerSideEncryption", "SSECustomerAlgorithm", "StorageClass", "WebsiteRedirectLocation",
    "ChecksumAlgorithm",
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

    def work(tx: Tx, content: Any) -> dict[str, Any]:
        writing.check_write_conditions(call, given, tx, bucket, key)
        new = writing.new_version(
            call, bucket, key, size=received.size, etag=received.etag, checksum=checksum, content=content, made=made, now=now,
            storage_class=kind, owner=owner,
        )  # fmt: skip
        stored = versions.put(tx, bucket.versioning, new)
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
    if any(given.get(name) is not None and given[name] != "COPY" for name in _CHANGES) or given.get("Metadata"):
        if given.get("MetadataDirective", "COPY") == "REPLACE" or any(given.get(name) is not None for name in _CHANGES[2:]):
            return
    if "sse" in found.attributes and encryption.default_of(bucket) is None:
        return
    told = (
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, "
        "website redirect location or encryption attributes."
    )
    raise AwsError("InvalidRequest", told, status=400)

