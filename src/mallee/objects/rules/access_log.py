"""A line of a server access log, and the names of the objects that lines are delivered in. Pure.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html, ServerLogs.html
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_from_bytes

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_RESOURCES: Final = {
    "CreateBucket": "BUCKET", "DeleteBucket": "BUCKET", "HeadBucket": "BUCKET", "ListObjects": "BUCKET", "ListObjectsV2": "BUCKET",
    "ListObjectVersions": "BUCKETVERSIONS", "ListMultipartUploads": "UPLOADS", "CreateMultipartUpload": "UPLOADS",
    "CompleteMultipartUpload": "UPLOAD", "AbortMultipartUpload": "UPLOAD", "ListParts": "UPLOAD", "UploadPart": "PART",
    "DeleteObjects": "MULTI_OBJECT_DELETE", "RestoreObject": "RESTORE", "GetObjectAttributes": "OBJECT_ATTRIBUTES",
    "SelectObjectContent": "SELECT",
}  # fmt: skip
_ENDINGS: Final = (
    ("BucketPolicyStatus", "POLICY_STATUS"), ("BucketPolicy", "BUCKETPOLICY"), ("Versioning", "VERSIONING"),
    ("Logging", "LOGGING_STATUS"), ("Location", "LOCATION"), ("Acl", "ACL"), ("Cors", "CORS"), ("Website", "WEBSITE"),
    ("Lifecycle", "LIFECYCLE"), ("LifecycleConfiguration", "LIFECYCLE"), ("Notification", "NOTIFICATION"),
    ("NotificationConfiguration", "NOTIFICATION"), ("Replication", "REPLICATION"), ("ObjectTagging", "OBJECT_TAGGING"),
    ("Tagging", "TAGGING"), ("RequestPayment", "REQUEST_PAYMENT"), ("Encryption", "ENCRYPTION"),
    ("PublicAccessBlock", "PUBLIC_ACCESS_BLOCK"), ("OwnershipControls", "OWNERSHIP_CONTROLS"), ("InventoryConfiguration", "INVENTORY"),
    ("InventoryConfigurations", "INVENTORY"), ("AnalyticsConfiguration", "ANALYTICS"), ("AnalyticsConfigurations", "ANALYTICS"),
    ("MetricsConfiguration", "METRICS"), ("MetricsConfigurations", "METRICS"), ("TieringConfiguration", "INTELLIGENT_TIERING"),
    ("TieringConfigurations", "INTELLIGENT_TIERING"), ("AccelerateConfiguration", "ACCELERATE"),
    ("ObjectLockConfiguration", "OBJECT_LOCK_CONFIGURATION"), ("Retention", "OBJECT_LOCK_RETENTION"),
    ("LegalHold", "OBJECT_LOCK_LEGALHOLD"),
)  # fmt: skip
_UNSAFE = re.compile(r'[\x00-\x20"\x7f-\xff]')
_QUOTED = re.compile(r'[\x00-\x1f"\x7f]')
_COPIES: Final = {"CopyObject": "OBJECT", "UploadPartCopy": "PART"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One request, as texts that came from outside: nothing of them has been trusted yet. ``requester``: the ARN; ``root``: the account, if
    its root asked. ``operation``: boto3's name, or "" where it was not found out."""

    at: datetime.datetime
    address: str
    requester: str
    root: str
    request_id: str
    operation: str
    method: str
    website: bool
    key: bytes
    target: str
    status: int
    code: str
    sent: int
    size: int | None
    milliseconds: int
    turnaround: int
    referer: str
    agent: str
    version_id: str
    signature: str
    authentication: str
    host: str


def operation_of(operation: str, method: str, website: bool, key: bytes, copied: bool = False) -> str:
    """``copied``: of the record that the copied object's bucket gets."""
    if operation in _COPIES:
        return f"REST.COPY.{_COPIES[operation]}{'_GET' if copied else ''}"
    resource = _RESOURCES.get(operation) or next((name for ending, name in _ENDINGS if operation.endswith(ending)), None)
    if resource is None:
        resource = "PREFLIGHT" if method == "OPTIONS" else "OBJECT" if key else "BUCKET"
    return f"{'WEBSITE' if website else 'REST'}.{method}.{resource}"


def line(entry: Entry, owner: str, bucket: str, requester: str, copied: bool = False) -> str:
    """``owner``, ``requester``: canonical ids, where there are such."""
    operation = operation_of(entry.operation, entry.method, entry.website, entry.key, copied)
    size = "-" if entry.size is None else str(entry.size)
    fields = (
        owner, bucket, stamp(entry.at), entry.address or "-", _bare(requester), entry.request_id, operation,
        quote_from_bytes(entry.key, safe="/-_.~") or "-", _between(f"{entry.method} {entry.target} HTTP/1.1"), str(entry.status),
        _bare(entry.code), str(entry.sent or "-"), size, str(entry.milliseconds), str(entry.turnaround), _between(entry.referer or "-"),
        _between(entry.agent or "-"), _bare(entry.version_id), entry.request_id, entry.signature or "-", "-", entry.authentication or "-",
        _bare(entry.host), "-", "-", "-",
    )  # fmt: skip
    return " ".join(fields)


def stamp(at: datetime.datetime) -> str:
    """In English, whatever the process's language is."""
    return f"[{at.day:02}/{_MONTHS[at.month - 1]}/{at.year:04}:{at.hour:02}:{at.minute:02}:{at.second:02} +0000]"


def _bare(text: str) -> str:
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", text) or "-"


def _between(text: str) -> str:
    """Between quotes, which nothing within can end."""
    return '"' + _QUOTED.sub(lambda found: f"%{ord(found[0]):02X}", text) + '"'


def object_key(
    prefix: str, format: Mapping[str, Any] | None, at: datetime.datetime, unique: str, account_id: str, region: str, bucket: str
) -> str:
    """``at``: when it is delivered, or a moment of the day that it is about (``is_by_event``)."""
    partitioned = (format or {}).get("PartitionedPrefix")
    if partitioned is None:
        return f"{prefix}{at:%Y-%m-%d-%H-%M-%S}-{unique}"
    moment = f"{at:%Y-%m-%d}-00-00-00" if is_by_event(format) else f"{at:%Y-%m-%d-%H-%M-%S}"
    return f"{prefix}{account_id}/{region}/{bucket}/{at:%Y/%m/%d}/{moment}-{unique}"


def is_by_event(format: Mapping[str, Any] | None) -> bool:
    """Whether requests of different days go into different objects."""
    return ((format or {}).get("PartitionedPrefix") or {}).get("PartitionDateSource") == "EventTime"
