"""What an inventory says of a version, and where its files are. Pure.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html, storage-inventory-location.html, objectacl.html
"""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote_from_bytes

from mallee.objects.index.rows import Version

Document = Mapping[str, Any]

_ALWAYS: Final = ("Bucket", "Key")
_OF_ALL: Final = ("VersionId", "IsLatest", "IsDeleteMarker")
_OPTIONAL: Final = (
    "Size", "LastModifiedDate", "ETag", "StorageClass", "IsMultipartUploaded", "ReplicationStatus", "EncryptionStatus",
    "ObjectLockRetainUntilDate", "ObjectLockMode", "ObjectLockLegalHoldStatus", "IntelligentTieringAccessTier", "BucketKeyStatus",
    "ChecksumAlgorithm", "ObjectAccessControlList", "ObjectOwner",
)  # fmt: skip
"""In the order of the manifest's schema."""
SUPPORTED: Final = frozenset(_OPTIONAL)

_ENCRYPTION: Final = {"AES256": "SSE-S3", "aws:kms": "SSE-KMS", "customer": "SSE-C"}
_GROUPS: Final = "http://acs.amazonaws.com/groups/"


def has_all(document: Document) -> bool:
    """Whether older versions and delete markers are in it."""
    return document.get("IncludedObjectVersions") == "All"


def schema(document: Document) -> list[str]:
    wanted = set(document.get("OptionalFields") or ())
    return [*_ALWAYS, *(_OF_ALL if has_all(document) else ()), *(name for name in _OPTIONAL if name in wanted)]


def is_due(document: Document, began: datetime.datetime | None, now: datetime.datetime) -> bool:
    """The first at once, then every day, or every Sunday, from midnight in UTC on."""
    if began is None:
        return True
    since = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if document["Schedule"]["Frequency"] == "Weekly":
        since -= datetime.timedelta(days=(since.weekday() + 1) % 7)
    return began < since


def row(fields: Sequence[str], bucket: str, found: Version, canonical: Callable[[str], str]) -> str:
    """A line. ``canonical``: the id of an account."""
    return ",".join(f'"{value}"' for value in [_READERS[name](bucket, found, canonical) for name in fields])


def _date(moment: datetime.datetime | None) -> str:
    return "" if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def _yes(what: bool) -> str:
    return "true" if what else "false"


def _encryption(found: Version) -> str:
    return _ENCRYPTION[found.attributes["sse"]["form"]] if "sse" in found.attributes else "NOT-SSE"


def _until(found: Version) -> str:
    until = (found.attributes.get("lock") or {}).get("until")
    return "" if until is None else _date(datetime.datetime.fromisoformat(until).astimezone(datetime.UTC))


def _acl(found: Version, canonical: Callable[[str], str]) -> str:
    owner = canonical(found.owner)
    grants = [_grant(who, permission) for who, permission in found.attributes.get("acl") or [[owner, "FULL_CONTROL"]]]
    text = json.dumps({"version": "2022-11-10", "status": "AVAILABLE", "grants": grants}, separators=(",", ":"))
    return base64.b64encode(text.encode()).decode("ascii")


def _grant(who: str, permission: str) -> dict[str, str]:
    if len(who) == 64:
        return {"canonicalId": who, "type": "CanonicalUser", "permission": permission}
    return {"uri": f"{_GROUPS}{'s3' if who == 'LogDelivery' else 'global'}/{who}", "type": "Group", "permission": permission}


Reader = Callable[[str, Version, Callable[[str], str]], str]


def _of_object(read: Callable[[Version], str]) -> Reader:
    """What a delete marker does not have."""
    return lambda bucket, found, canonical: "" if found.deleted else read(found)


_READERS: Final[dict[str, Reader]] = {
    "Bucket": lambda bucket, found, canonical: bucket,
    "Key": lambda bucket, found, canonical: quote_from_bytes(found.key, safe="/-_.~"),
    "VersionId": lambda bucket, found, canonical: "" if found.version_id == "null" else found.version_id,
    "IsLatest": lambda bucket, found, canonical: _yes(found.is_latest),
    "IsDeleteMarker": lambda bucket, found, canonical: _yes(found.deleted),
    "Size": _of_object(lambda found: str(found.size)),
    "LastModifiedDate": lambda bucket, found, canonical: _date(found.modified),
    "ETag": _of_object(lambda found: found.etag),
    "StorageClass": _of_object(lambda found: found.storage_class),
    "IsMultipartUploaded": _of_object(lambda found: _yes("parts" in found.attributes)),
    "ReplicationStatus": _of_object(lambda found: found.attributes.get("replication", "")),
    "EncryptionStatus": _of_object(_encryption),
    "ObjectLockRetainUntilDate": _of_object(_until),
    "ObjectLockMode": _of_object(lambda found: (found.attributes.get("lock") or {}).get("mode", "")),
    "ObjectLockLegalHoldStatus": _of_object(lambda found: (found.attributes.get("lock") or {}).get("hold", "")),
    "IntelligentTieringAccessTier": _of_object(lambda found: "FREQUENT" if found.storage_class == "INTELLIGENT_TIERING" else ""),
    "BucketKeyStatus": _of_object(lambda found: "ENABLED" if (found.attributes.get("sse") or {}).get("bucket_key") else "DISABLED"),
    "ChecksumAlgorithm": _of_object(lambda found: found.checksum.partition(":")[0]),
    "ObjectAccessControlList": lambda bucket, found, canonical: "" if found.deleted else _acl(found, canonical),
    "ObjectOwner": lambda bucket, found, canonical: canonical(found.owner),
}


# ----------------------------------------------------------------------------------------------------------------- files


def folder(document: Document, bucket: str) -> str:
    prefix = (document["Destination"]["S3BucketDestination"].get("Prefix") or "").rstrip("/")
    return f"{prefix}/{bucket}/{document['Id']}" if prefix else f"{bucket}/{document['Id']}"


def manifest(document: Document, bucket: str, began: datetime.datetime, files: Sequence[Mapping[str, Any]]) -> bytes:
    """``files``: ``key``, ``size`` and ``MD5checksum`` of each."""
    made = {
        "sourceBucket": bucket,
        "destinationBucket": document["Destination"]["S3BucketDestination"]["Bucket"],
        "version": "2016-11-30",
        "creationTimestamp": str(int(began.timestamp() * 1000)),
        "fileFormat": "CSV",
        "fileSchema": ", ".join(schema(document)),
        "files": list(files),
    }
    return json.dumps(made, indent=2).encode()


def first_before(prefix: bytes) -> bytes | None:
    """Behind which key a walk begins that looks for a prefix; no key is longer than 1024 bytes. None: at the beginning."""
    if not prefix or prefix[-1] == 0:
        return None
    return prefix[:-1] + bytes((prefix[-1] - 1,)) + b"\xff" * 1024
