"""Multipart uploads: begin, parts, complete, abort, and what lists them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mallee.identity.call import Call, Later, reads, receives
from mallee.objects import (
    access,
    attributes,
    capacity,
    checksums,
    completing,
    encryption,
    lookup,
    pages,
    parts,
    receiving,
    replicating,
    store,
    writing,
)
from mallee.objects.index import uploads, versions
from mallee.objects.index.rows import New, Part, Upload
from mallee.objects.receiving import Intake, Received
from mallee.objects.records import Bucket
from mallee.store import Tx
from mallee.wire.errors import AwsError

ACCESS = {
    "create_multipart_upload": access.writing(),
    "upload_part": access.writing(),
    "complete_multipart_upload": access.writing(),
    "abort_multipart_upload": access.upload("AbortMultipartUpload"),
    "list_parts": access.upload("ListMultipartUploadParts"),
    "list_multipart_uploads": access.listing("ListBucketMultipartUploads"),
}


@reads
def create_multipart_upload(call: Call) -> Later:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html"""
    bucket, key, given = lookup.bucket(call), attributes.key(call), call.input
    writing.check_writable(bucket)
    made = writing.new_attributes(call, bucket)
    algorithm, kind = _checksum_of_upload(given)
    plan = encryption.plan(call, bucket)
    if plan is not None:
        made["sse"] = plan.sse
    kept = {"object": made, "algorithm": algorithm, "type": kind}
    storage_class, owner, initiator = attributes.storage_class(given), writing.owner_of(call, bucket), _initiator(call)

    def work(tx: Tx) -> dict[str, Any]:
        upload = uploads.create(
            tx, bucket.id, key, owner=owner, initiator=initiator, storage_class=storage_class, attributes=kept
        )
        told = {"Bucket": bucket.name, "Key": given["Key"], "UploadId": upload.upload_id, **encryption.described(made.get("sse"))}
        if algorithm:
            told |= {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
        return told

    return writing.indexed(call, bucket, work)


def _initiator(call: Call) -> str:
    """Whoever begins it: account and name, as listings tell it."""
    return f"{call.account_id} {call.principal.arn}"


def _checksum_of_upload(given: dict[str, Any]) -> tuple[str, str]:
    algorithm, kind = given.get("ChecksumAlgorithm") or "", given.get("ChecksumType") or ""
    if not algorithm:
        if kind:
            raise AwsError("InvalidRequest", "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.", status=400)
        return "", ""
    if algorithm not in checksums.ALGORITHMS:
        raise AwsError("InvalidRequest", f"Mallee does not have the checksum algorithm {algorithm}.", status=400)
    kind = kind or checksums.default_type(algorithm)
    if kind == checksums.FULL_OBJECT and not checksums.is_crc(algorithm):
        told = f"The FULL_OBJECT checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        raise AwsError("InvalidRequest", told, status=400)
    if kind == checksums.COMPOSITE and algorithm == "CRC64NVME":
        told = "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm."
        raise AwsError("InvalidRequest", told, status=400)
    return algorithm, kind


# ---------------------------------------------------------------------------------------------------------------- parts


def _admit(call: Call) -> Intake:
    bucket, given, declared = lookup.bucket(call), call.input, call.prepared
    writing.check_writable(bucket)
    number = parts.checked_number(given["PartNumber"])
    upload = parts.existing(call, bucket)
    algorithm = upload.attributes["algorithm"]
    claims = receiving.claims(declared, algorithm or checksums.DEFAULT)
    parts.check_algorithm(upload, claims.algorithm, bool(declared.algorithms))
    capacity.admit_part(call, bucket, upload, claims.length)
    plan = encryption.again(call, upload.attributes["object"].get("sse"))
    label = writing.label("part", bucket, upload.key, upload=upload.upload_id, part=number)
    sealer = None if plan is None else plan.sealer()
    intake = Intake(store.of(call).engine, claims, label=label, sha256=declared.sha256, encryption=sealer)
    intake.made = {"upload": upload}
    return intake


@receives(_admit)
@reads
def upload_part(call: Call) -> Later:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html"""
    intake: Intake
    received: Received
    intake, received = call.prepared
    upload: Upload = intake.made["upload"]
    told = {
        "ETag": f'"{received.etag}"',
        checksums.MEMBERS[received.algorithm]: checksums.encoded(received.checksum),
        **encryption.described(upload.attributes["object"].get("sse")),
    }
    return parts.stored(call, lookup.bucket(call), upload, intake, received, told)


# ---------------------------------------------------------------------------------------------------------------- ends


@reads
def complete_multipart_upload(call: Call) -> Later:
    """A completion that is repeated, because its answer was lost, is answered the same for a day.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html"""
    bucket, key, given = lookup.bucket(call), attributes.key(call), call.input
    writing.check_writable(bucket)
    writing.check_none_match(given)
    wanted = (given.get("MultipartUpload") or {}).get("Parts") or []
    if not wanted or any(each.get("PartNumber") is None or each.get("ETag") is None for each in wanted):
        told = "The XML you provided was not well-formed or did not validate against our published schema"
        raise AwsError("MalformedXML", told, status=400)
    upload_id = given["UploadId"]
    location = _location(call, bucket, given["Key"])
    room = capacity.of(call, bucket)

    def work(tx: Tx) -> dict[str, Any]:
        upload = uploads.get(tx, bucket.id, key, upload_id)
        if upload is None:
            before = uploads.completed(tx, bucket.id, key, upload_id)
            if before is None or before["numbers"] != [each["PartNumber"] for each in wanted]:
                raise parts.no_such_upload(upload_id)
            return _answered(call, bucket, before, location)
        writing.check_write_conditions(call, given, tx, bucket, key)
        there = uploads.parts(tx, upload_id)
        chosen = completing.chosen(wanted, there, upload, given)
        if room is not None:
            room.require_version(tx, bucket, key, chosen.size, sum(part.size for part in there))
        made = dict(upload.attributes["object"])
        made["parts"] = chosen.sizes
        replicated = replicating.planned(bucket, key, chosen.size, made)
        new = New(
            bucket_id=bucket.id, key=key, modified=upload.created, size=chosen.size, etag=chosen.etag, storage_class=upload.storage_class,
            owner=upload.owner, checksum=chosen.checksum, content=chosen.content, attributes=made,
        )  # fmt: skip
        stored = versions.put(tx, bucket.versioning, new)
        replicating.note(tx, stored, replicated)
        numbers = [each["PartNumber"] for each in wanted]
        result = {
            "numbers": numbers, "etag": chosen.etag, "checksum": chosen.checksum,
            "version": stored.version_id if bucket.versioning else None, "sse": made.get("sse"),
        }  # fmt: skip
        uploads.complete(tx, upload, numbers, result)
        return _answered(call, bucket, result, location)

    return writing.indexed(call, bucket, work)


def _answered(call: Call, bucket: Bucket, result: dict[str, Any], location: str) -> dict[str, Any]:
    told = {"Location": location, "Bucket": bucket.name, "Key": call.input["Key"], "ETag": f'"{result["etag"]}"'}
    told |= attributes.checksum_members(result["checksum"])
    sealed = encryption.described(result["sse"])
    told |= {name: value for name, value in sealed.items() if not name.startswith("SSECustomer")}  # as the model has it
    return told | ({"VersionId": result["version"]} if result["version"] else {})


def _location(call: Call, bucket: Bucket, key: str) -> str:
    host = (call.header(b"host") or b"").decode("latin-1")
    return f"{'https' if call.secure else 'http'}://{host}/{bucket.name}/{quote(key)}"


@reads
def abort_multipart_upload(call: Call) -> Later:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html"""
    bucket = lookup.bucket(call)
    upload = parts.existing(call, bucket)
    asked = call.input.get("IfMatchInitiatedTime")
    if asked is not None and asked != upload.created.replace(microsecond=0):
        raise writing.failed("x-amz-if-match-initiated-time")

    def work(tx: Tx) -> dict[str, Any]:
        if not uploads.abort(tx, upload):
            raise parts.no_such_upload(upload.upload_id)
        return {}

    return writing.indexed(call, bucket, work)


# ------------------------------------------------------------------------------------------------------------- listings


def list_parts(call: Call) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html"""
    bucket, given = lookup.bucket(call), call.input
    upload = parts.existing(call, bucket)
    limit = pages.most(given.get("MaxParts"), "max-parts")
    marker = int(given.get("PartNumberMarker") or 0)
    with store.of(call).index.reading() as tx:
        found = uploads.parts(tx, upload.upload_id, marker, limit + 1)
    shown = found[:limit]
    told = {
        "Bucket": bucket.name, "Key": given["Key"], "UploadId": upload.upload_id, "PartNumberMarker": marker, "MaxParts": limit,
        "NextPartNumberMarker": shown[-1].number if shown else 0, "IsTruncated": len(found) > limit, "Parts": [_part(each) for each in shown],
        "StorageClass": upload.storage_class, "Owner": pages.Owners(call)(upload.owner), "Initiator": _described_initiator(call, upload),
    }  # fmt: skip
    if upload.attributes["algorithm"]:
        told |= {"ChecksumAlgorithm": upload.attributes["algorithm"], "ChecksumType": upload.attributes["type"]}
    return told


def _part(part: Part) -> dict[str, Any]:
    told = {"PartNumber": part.number, "LastModified": part.modified, "ETag": f'"{part.etag}"', "Size": part.size}
    found = attributes.checksum_members(part.checksum)
    found.pop("ChecksumType", None)
    return told | found


def _described_initiator(call: Call, upload: Upload) -> dict[str, str]:
    account_id, _, arn = upload.initiator.partition(" ")
    if not arn or arn.endswith(":root"):
        return pages.Owners(call)(account_id)
    return {"ID": arn, "DisplayName": arn.rpartition("/")[2]}


def list_multipart_uploads(call: Call) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html"""
    bucket, given = lookup.bucket(call), call.input
    encode = pages.encoding(given)
    limit = pages.most(given.get("MaxUploads"), "max-uploads")
    delimiter, prefix, key_marker = given.get("Delimiter") or "", given.get("Prefix", ""), given.get("KeyMarker", "")
    upload_marker = given.get("UploadIdMarker") if key_marker else None
    with store.of(call).index.reading() as tx:
        page = uploads.find(
            tx, bucket.id, prefix=prefix.encode(), delimiter=delimiter.encode(), key_marker=key_marker.encode(),
            upload_marker=upload_marker or "", limit=limit,
        )  # fmt: skip
    owner = pages.Owners(call)
    found = []
    for upload in page.entries:
        one = {
            "UploadId": upload.upload_id, "Key": encode(pages.text(upload.key)), "Initiated": upload.created, "StorageClass": upload.storage_class,
            "Owner": owner(upload.owner), "Initiator": _described_initiator(call, upload),
        }  # fmt: skip
        if upload.attributes["algorithm"]:
            one |= {"ChecksumAlgorithm": upload.attributes["algorithm"], "ChecksumType": upload.attributes["type"]}
        found.append(one)
    told = {
        "Bucket": bucket.name, "KeyMarker": encode(key_marker), "UploadIdMarker": upload_marker or "", "MaxUploads": limit,
        "IsTruncated": page.next is not None, "Uploads": found, "Prefix": encode(prefix), "EncodingType": given.get("EncodingType"),
        "CommonPrefixes": pages.prefixes(page.prefixes, encode),
        "NextKeyMarker": "", "NextUploadIdMarker": "",
    }  # fmt: skip
    if delimiter:
        told["Delimiter"] = encode(delimiter)
    if page.next is not None:
        told["NextKeyMarker"] = encode(pages.text(page.next))
        told["NextUploadIdMarker"] = page.last.upload_id if page.last is not None else ""
    return told
