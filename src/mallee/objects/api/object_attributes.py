"""GetObjectAttributes: what HeadObject and ListParts tell, in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mallee.identity.call import Call
from mallee.objects import access, attributes, changing, checksums, encryption, lookup, reading
from mallee.objects.index.rows import Version
from mallee.objects.rules.refusals import invalid
from mallee.wire import times

ACCESS = {
    "get_object_attributes": access.object_(
        "GetObjectAttributes", "GetObjectVersionAttributes", acl=access.READ, also=("GetObject", "GetObjectVersion")
    ),
}

MOST_PARTS: Final = 1000
_NAMES: Final = frozenset(("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"))


def get_object_attributes(call: Call) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html"""
    bucket, given = lookup.bucket(call), call.input
    wanted = frozenset(given["ObjectAttributes"])
    for name in given["ObjectAttributes"] or ("",):
        if name not in _NAMES:
            raise invalid("Invalid attribute name specified.", "x-amz-object-attributes", name)
    found = reading.existing(call, bucket, attributes.key(call), given.get("VersionId"))
    reading.check_conditions(_conditions(call), found, bucket=bucket)
    encryption.opener(call, found.attributes.get("sse"))
    told: dict[str, Any] = {"LastModified": found.modified, **changing.version_members(bucket, found)}
    if "ETag" in wanted:
        told["ETag"] = found.etag  # without the quotes that it has as a header
    if "Checksum" in wanted and found.checksum:
        algorithm, kind, value = found.checksum.split(":", 2)
        told["Checksum"] = {checksums.MEMBERS[algorithm]: value.partition("-")[0], "ChecksumType": kind}
    if "ObjectParts" in wanted and found.attributes.get("parts"):
        told["ObjectParts"] = _parts(given, found)
    if "StorageClass" in wanted:
        told["StorageClass"] = found.storage_class
    if "ObjectSize" in wanted:
        told["ObjectSize"] = found.size
    return told


def _parts(given: Mapping[str, Any], found: Version) -> dict[str, Any]:
    """Of an object that was uploaded in parts; how many there were is all that is told where they have no checksums."""
    parts = found.attributes["parts"]
    most, marker = given.get("MaxParts", MOST_PARTS), given.get("PartNumberMarker", 0)
    if most < 0:
        raise invalid("Argument max-parts must be an integer between 0 and 2147483647", "x-amz-max-parts", most)
    if marker < 0:
        told = "Argument part-number-marker must be an integer between 0 and 2147483647"
        raise invalid(told, "x-amz-part-number-marker", marker)
    algorithm = found.checksum.partition(":")[0]
    if not any(len(part) > 1 and part[1] for part in parts):
        return {"TotalPartsCount": len(parts)}
    most = min(most, MOST_PARTS)
    page = [
        {"PartNumber": number, "Size": part[0]} | ({checksums.MEMBERS[algorithm]: part[1]} if part[1] else {})
        for number, part in enumerate(parts[marker : marker + most], marker + 1)
    ]
    return {
        "TotalPartsCount": len(parts), "PartNumberMarker": marker, "NextPartNumberMarker": page[-1]["PartNumber"] if page else marker,
        "MaxParts": most, "IsTruncated": marker + len(page) < len(parts), "Parts": page,
    }  # fmt: skip


_HEADERS: Final = {"IfMatch": b"if-match", "IfNoneMatch": b"if-none-match"}
_TIMES: Final = {"IfModifiedSince": b"if-modified-since", "IfUnmodifiedSince": b"if-unmodified-since"}


def _conditions(call: Call) -> dict[str, Any]:
    """The conditions of GetObject are this operation's too, though the model does not have them."""
    found: dict[str, Any] = {}
    for name, header in _HEADERS.items():
        if (text := call.header(header)) is not None:
            found[name] = text.decode("latin-1")
    for name, header in _TIMES.items():
        if (text := call.header(header)) is not None:
            try:
                found[name] = times.from_text(text.decode("latin-1"), "rfc822")
            except ValueError:
                continue  # a date that is none counts for nothing (RFC 9110, 13.1.3)
    return found
