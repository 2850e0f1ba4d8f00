"""Listings: objects (version 1 and 2), and versions.

A page costs what it shows, whatever is rolled up under a delimiter (``index.listing``). Tokens are keys in base64: they say where to go on, and
hold when the place has been removed meanwhile.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, attributes, lookup, pages, reading, store
from mallee.objects.index import listing, versions
from mallee.objects.index.rows import Entry
from mallee.objects.index.walk import Page
from mallee.objects.rules import restores
from mallee.wire.errors import AwsError
from mallee.wire.output import Among

ACCESS = {
    "list_objects": access.listing("ListBucket"),
    "list_objects_v2": access.listing("ListBucket"),
    "list_object_versions": access.listing("ListBucketVersions"),
}


def list_objects(call: Call) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html"""
    bucket, given = lookup.bucket(call), call.input
    encode = pages.encoding(given)
    limit = pages.most(given.get("MaxKeys"), "max-keys")
    marker = given.get("Marker", "")
    delimiter = given.get("Delimiter") or ""
    page = _page(call, bucket.id, delimiter, marker.encode(), limit)
    told = {
        "Name": bucket.name, "Prefix": encode(given.get("Prefix", "")), "Marker": encode(marker), "MaxKeys": limit,
        "IsTruncated": page.next is not None, "Contents": _contents(call, bucket.id, page.entries, encode, owners=True),
        "CommonPrefixes": pages.prefixes(page.prefixes, encode), "EncodingType": given.get("EncodingType"),
    }  # fmt: skip
    if delimiter:
        told["Delimiter"] = encode(delimiter)
        if page.next is not None:
            told["NextMarker"] = encode(page.next.decode("utf-8", "surrogateescape"))
    return told


def list_objects_v2(call: Call) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html"""
    bucket, given = lookup.bucket(call), call.input
    encode = pages.encoding(given)
    limit = pages.most(given.get("MaxKeys"), "max-keys")
    token, start = given.get("ContinuationToken"), given.get("StartAfter", "")
    after = start.encode() if token is None else _from_token(token)
    delimiter = given.get("Delimiter") or ""
    page = _page(call, bucket.id, delimiter, after, limit)
    told = {
        "Name": bucket.name, "Prefix": encode(given.get("Prefix", "")), "MaxKeys": limit, "IsTruncated": page.next is not None,
        "Contents": _contents(call, bucket.id, page.entries, encode, owners=bool(given.get("FetchOwner"))),
        "CommonPrefixes": pages.prefixes(page.prefixes, encode), "EncodingType": given.get("EncodingType"),
        "KeyCount": len(page.entries) + len(page.prefixes), "ContinuationToken": token,
    }  # fmt: skip
    if start:
        told["StartAfter"] = encode(start)
    if delimiter:
        told["Delimiter"] = encode(delimiter)
    if page.next is not None:
        told["NextContinuationToken"] = _token(page.next)
    return told


def list_object_versions(call: Call) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html"""
    bucket, given = lookup.bucket(call), call.input
    encode = pages.encoding(given)
    limit = pages.most(given.get("MaxKeys"), "max-keys")
    key_marker, version_marker = given.get("KeyMarker", ""), given.get("VersionIdMarker")
    if version_marker is not None and not key_marker:
        told = "A version-id marker cannot be specified without a key marker."
        raise AwsError("InvalidArgument", told, status=400, ArgumentName="version-id-marker", ArgumentValue=version_marker)
    if version_marker:
        reading.check_id(version_marker)
    delimiter = given.get("Delimiter") or ""
    with store.of(call).index.reading() as tx:
        page = listing.versions(
            tx, bucket.id, prefix=given.get("Prefix", "").encode(), delimiter=delimiter.encode(), key_marker=key_marker.encode(),
            version_marker=version_marker or "", limit=limit,
        )  # fmt: skip
    owner, restored = pages.Owners(call), _restored(call, bucket.id, page.entries)
    found, markers = Among(), Among()
    for place, entry in enumerate(page.entries):
        one = {
            "Key": encode(pages.text(entry.key)), "VersionId": entry.version_id, "IsLatest": entry.is_latest, "LastModified": entry.modified,
            "Owner": owner(entry.owner),
        }  # fmt: skip
        if entry.deleted:
            markers.put(place, one)
        else:
            one |= {"ETag": f'"{entry.etag}"', "Size": entry.size, "StorageClass": entry.storage_class, **_checksum(entry)}
            found.put(place, one | restored.get((entry.key, entry.version_id), {}))
    answer = {
        "Name": bucket.name, "Prefix": encode(given.get("Prefix", "")), "KeyMarker": encode(key_marker),
        "VersionIdMarker": version_marker or "", "MaxKeys": limit, "IsTruncated": page.next is not None, "Versions": found,
        "DeleteMarkers": markers, "CommonPrefixes": pages.prefixes(page.prefixes, encode), "EncodingType": given.get("EncodingType"),
    }  # fmt: skip
    if delimiter:
        answer["Delimiter"] = encode(delimiter)
    if page.next is not None:
        answer["NextKeyMarker"] = encode(pages.text(page.next))
        answer["NextVersionIdMarker"] = page.last.version_id if page.last is not None else None
    return answer


def _page(call: Call, bucket_id: str, delimiter: str, after: bytes, limit: int) -> Page[Entry]:
    with store.of(call).index.reading() as tx:
        return listing.objects(
            tx, bucket_id, prefix=call.input.get("Prefix", "").encode(), delimiter=delimiter.encode(), after=after, limit=limit
        )


def _contents(
    call: Call, bucket_id: str, entries: list[Entry], encode: Callable[[str], str], owners: bool
) -> list[dict[str, Any]]:  # fmt: skip
    owner, restored = pages.Owners(call), _restored(call, bucket_id, entries)
    found = []
    for entry in entries:
        one = {
            "Key": encode(pages.text(entry.key)), "LastModified": entry.modified, "ETag": f'"{entry.etag}"', "Size": entry.size,
            "StorageClass": entry.storage_class, **_checksum(entry),
        }  # fmt: skip
        if owners:
            one["Owner"] = owner(entry.owner)
        found.append(one | restored.get((entry.key, entry.version_id), {}))
    return found


def _restored(call: Call, bucket_id: str, entries: list[Entry]) -> dict[tuple[bytes, str], dict[str, Any]]:
    """``RestoreStatus`` of the archived ones, where it is asked for; those that were not restored have none."""
    found: dict[tuple[bytes, str], dict[str, Any]] = {}
    archived = [each for each in entries if each.storage_class in attributes.ARCHIVED]
    if not archived or "RestoreStatus" not in call.input.get("OptionalObjectAttributes", ()):
        return found
    with store.of(call).index.reading() as tx:
        for each in archived:
            version = versions.version(tx, bucket_id, each.key, each.version_id)
            restore = None if version is None else version.attributes.get("restore")
            match restores.state(restore, call.now):
                case restores.ONGOING:
                    status: dict[str, Any] = {"IsRestoreInProgress": True}
                case restores.RESTORED:
                    status = {"IsRestoreInProgress": False, "RestoreExpiryDate": restores.until(restore or {})}
                case _:
                    continue
            found[each.key, each.version_id] = {"RestoreStatus": status}
    return found


def _checksum(entry: Entry) -> dict[str, Any]:
    if not entry.checksum:
        return {}
    algorithm, kind, _ = entry.checksum.split(":", 2)
    return {"ChecksumAlgorithm": [algorithm], "ChecksumType": kind}


def _token(key: bytes) -> str:
    return base64.urlsafe_b64encode(b"1" + key).decode("ascii")


def _from_token(token: str) -> bytes:
    try:
        found = base64.urlsafe_b64decode(token.encode("ascii"))
    except (binascii.Error, ValueError):
        found = b""
    if found[:1] != b"1" or len(found) > attributes.MOST_KEY + 1:
        told = "The continuation token provided is incorrect"
        raise AwsError("InvalidArgument", told, status=400, ArgumentName="continuation-token", ArgumentValue=token)
    return found[1:]
