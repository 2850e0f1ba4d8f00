"""What a completion makes of parts: which are chosen, and the object that they are together. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from mallee.objects import checksums
from mallee.objects.index.rows import Part, Piece, Upload
from mallee.wire.errors import AwsError

LEAST_PART: Final = 5 * 1024 * 1024
MOST_OBJECT: Final = 50 * 1024**4
"""Bytes of an object, since December 2025. https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""


@dataclass(frozen=True, slots=True)
class Chosen:
    """``sizes``: [size, checksum] of each part, for reads by part number."""

    size: int
    etag: str
    checksum: str
    content: tuple[Piece, ...]
    sizes: list[list[Any]]


def chosen(wanted: Sequence[Mapping[str, Any]], there: Sequence[Part], upload: Upload, given: Mapping[str, Any]) -> Chosen:
    """Raises InvalidPartOrder, InvalidPart, EntityTooSmall, BadDigest, InvalidRequest."""
    numbers = [each.get("PartNumber") or 0 for each in wanted]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        told = "The list of parts was not in ascending order. The parts list must be specified in order by part number."
        raise AwsError("InvalidPartOrder", told, status=400, UploadId=upload.upload_id)
    by_number = {part.number: part for part in there}
    found = [_checked(each, by_number.get(number), upload) for each, number in zip(wanted, numbers, strict=True)]
    for part in found[:-1]:
        if part.size < LEAST_PART:
            told = "Your proposed upload is smaller than the minimum allowed size"
            raise AwsError(
                "EntityTooSmall", told, status=400, ProposedSize=part.size, MinSizeAllowed=LEAST_PART, PartNumber=part.number, ETag=part.etag
            )
    size = sum(part.size for part in found)
    if size > MOST_OBJECT:
        raise AwsError("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", status=400)
    said = given.get("MpuObjectSize")
    if said is not None and said != size:
        told = f"The provided 'x-amz-mp-object-size' header value {said} does not match what was computed: {size}"
        raise AwsError("InvalidRequest", told, status=400)
    digests = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in found), usedforsecurity=False)
    return Chosen(
        size,
        f"{digests.hexdigest()}-{len(found)}",
        _checksum(found, upload, given),
        tuple(piece for part in found for piece in part.content),
        [[part.size, part.checksum.rpartition(":")[2]] for part in found],
    )


def _checked(said: Mapping[str, Any], part: Part | None, upload: Upload) -> Part:
    if part is None or (said.get("ETag") or "").strip('"') != part.etag:
        raise _invalid(upload, said)
    algorithm, _, value = part.checksum.split(":", 2)
    for name, member in checksums.MEMBERS.items():
        claimed = said.get(member)
        if claimed is not None and (name != algorithm or claimed != value):
            raise _invalid(upload, said)
    composite = upload.attributes["algorithm"] and upload.attributes["type"] == checksums.COMPOSITE
    if composite and said.get(checksums.MEMBERS[upload.attributes["algorithm"]]) is None:
        name = upload.attributes["algorithm"].lower()
        told = (
            f"The upload was created using a {name} checksum. The complete request must include the checksum for each part. "
            f"It was missing for part {said.get('PartNumber')} in the request."
        )
        raise AwsError("InvalidRequest", told, status=400)
    return part


def _invalid(upload: Upload, said: Mapping[str, Any]) -> AwsError:
    told = (
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not "
        "match the part's entity tag."
    )
    return AwsError("InvalidPart", told, status=400, UploadId=upload.upload_id, PartNumber=said.get("PartNumber"), ETag=said.get("ETag"))


def _checksum(found: Sequence[Part], upload: Upload, given: Mapping[str, Any]) -> str:
    """Of the whole, as ``Version.checksum`` has it; what the client says of it must be so."""
    algorithm, kind = upload.attributes["algorithm"], upload.attributes["type"]
    said = given.get("ChecksumType")
    if said is not None and kind and said != kind:
        told = f"The upload was created using the {kind} checksum mode. The complete request must use the same checksum mode."
        raise AwsError("InvalidRequest", told, status=400)
    if not algorithm:
        algorithm, kind = _of_parts(found)
        if not algorithm:
            return ""
    parts = [(checksums.decoded(algorithm, part.checksum.rpartition(":")[2]) or b"", part.size) for part in found]
    if kind == checksums.FULL_OBJECT:
        value = checksums.full(algorithm, parts)
    else:
        value = checksums.composite(algorithm, [digest for digest, _ in parts])
    for name, member in checksums.MEMBERS.items():
        claimed = given.get(member)
        if claimed is None:
            continue
        if name != algorithm or claimed.partition("-")[0] != value.partition("-")[0]:
            raise AwsError("BadDigest", f"The {name.lower()} you specified did not match the calculated checksum.", status=400)
    return f"{algorithm}:{kind}:{value}"


def _of_parts(found: Sequence[Part]) -> tuple[str, str]:
    """An upload that was begun without an algorithm has what all of its parts have, if they have one that says something of the
    whole."""
    names = {part.checksum.partition(":")[0] for part in found}
    algorithm = names.pop() if len(names) == 1 else ""
    return (algorithm, checksums.FULL_OBJECT) if algorithm and checksums.is_crc(algorithm) else ("", "")
