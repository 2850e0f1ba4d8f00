"""What an object has besides its bytes: headers, metadata, tags, lock, storage class, and how a request's input says them.

``Version.attributes`` is a plain dict that is stored as JSON; what is not set is absent. Here it is made from the input of PutObject,
CreateMultipartUpload and CopyObject, and told again in the answers to GetObject and HeadObject.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from mallee.identity.call import Call
from mallee.objects import checksums, kinds
from mallee.objects.records import Bucket
from mallee.objects.rules import lifecycle, tags
from mallee.wire import times
from mallee.wire.errors import AwsError

Attributes = dict[str, Any]

HEADERS: Final = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Expires", "WebsiteRedirectLocation")
DEFAULT_TYPE: Final = "binary/octet-stream"
STANDARD: Final = "STANDARD"
CLASSES: Final = frozenset(
    ("STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR")
)
ARCHIVED: Final = frozenset(("GLACIER", "DEEP_ARCHIVE"))
MOST_METADATA: Final = 2048
MOST_KEY: Final = 1024

_CHUNKED = re.compile(r"\s*aws-chunked\s*", re.IGNORECASE)


def key(call: Call) -> bytes:
    """The object's key. Raises KeyTooLongError."""
    return checked_key(call.input["Key"])


def checked_key(text: str) -> bytes:
    name = text.encode("utf-8", "strict")
    if len(name) > MOST_KEY:
        raise AwsError("KeyTooLongError", "Your key is too long", status=400, Size=len(name), MaxSizeAllowed=MOST_KEY)
    return name


def storage_class(given: Mapping[str, Any]) -> str:
    wanted: str = given.get("StorageClass") or STANDARD
    if wanted not in CLASSES:
        raise AwsError("InvalidStorageClass", "The storage class you specified is not valid", status=400)
    return wanted


def headers(call: Call) -> Attributes:
    """The headers and the metadata that the request gives to the object."""
    given = call.input
    found: Attributes = {name: given[name] for name in HEADERS if given.get(name) is not None}
    encoding = found.get("ContentEncoding")
    if encoding is not None and "aws-chunked" in encoding.lower():  # how the body came, which is not the object's; all else stays as it was sent
        kept = ",".join(part.strip() for part in encoding.split(",") if not _CHUNKED.fullmatch(part))
        found["ContentEncoding"] = kept
        if not kept:
            del found["ContentEncoding"]
    found.setdefault("ContentType", DEFAULT_TYPE)
    if not found["ContentType"]:
        found["ContentType"] = DEFAULT_TYPE
    redirect = found.get("WebsiteRedirectLocation")
    if redirect is not None and not redirect.startswith(("/", "http://", "https://")):
        told = "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."
        raise AwsError("InvalidRedirectLocation", told, status=400)
    metadata = given.get("Metadata") or {}
    size = sum(len(name.encode()) + len(value.encode("utf-8", "replace")) for name, value in metadata.items())
    if size > MOST_METADATA:
        raise AwsError(
            "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size", status=400, Size=size,
            MaxSizeAllowed=MOST_METADATA,
        )  # fmt: skip
    made: Attributes = {"headers": found}
    if metadata:
        made["metadata"] = dict(metadata)
    return made


def tagging(given: Mapping[str, Any]) -> dict[str, str]:
    """The tags of ``x-amz-tagging``."""
    text = given.get("Tagging")
    return tags.from_header(text) if isinstance(text, str) and text else {}


def lock(call: Call, bucket: Bucket) -> dict[str, Any] | None:
    """Retention and legal hold: the request's, or the bucket's default."""
    given = call.input
    mode, until, hold = given.get("ObjectLockMode"), given.get("ObjectLockRetainUntilDate"), given.get("ObjectLockLegalHoldStatus")
    if (mode is not None or until is not None or hold is not None) and not bucket.object_lock:
        raise AwsError("InvalidRequest", "Bucket is missing Object Lock Configuration", status=400)
    if (mode is None) != (until is None):
        told = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
        name = "mode" if mode is None else "retain-until-date"
        raise AwsError("InvalidArgument", told, status=400, ArgumentName=f"x-amz-object-lock-{name}")
    if not bucket.object_lock:
        return None
    found: dict[str, Any] = {}
    if mode is not None and until is not None:
        if mode not in ("GOVERNANCE", "COMPLIANCE"):
            raise AwsError("InvalidArgument", "Unknown wormMode directive.", status=400, ArgumentName="x-amz-object-lock-mode", ArgumentValue=mode)
        if until <= call.now:
            told = "The retain until date must be in the future!"
            raise AwsError("InvalidArgument", told, status=400, ArgumentName="x-amz-object-lock-retain-until-date")
        found |= {"mode": mode, "until": until.isoformat()}
    else:
        found |= default_retention(bucket, call.now) or {}
    if hold is not None:
        if hold not in ("ON", "OFF"):
            told = "Legal Hold must be either of 'ON' or 'OFF'"
            raise AwsError("InvalidArgument", told, status=400, ArgumentName="x-amz-object-lock-legal-hold", ArgumentValue=hold)
        found["hold"] = hold
    return found or None


def default_retention(bucket: Bucket, now: datetime.datetime) -> dict[str, Any] | None:
    """What the bucket's object lock configuration gives to an object that brings nothing."""
    configuration = bucket.configuration("object-lock") or {}
    default = (configuration.get("Rule") or {}).get("DefaultRetention")
    if not default:
        return None
    if default.get("Days"):
        until = now + datetime.timedelta(days=int(default["Days"]))
    else:
        until = now + datetime.timedelta(days=365 * int(default["Years"]))
    return {"mode": default["Mode"], "until": until.isoformat()}


# ------------------------------------------------------------------------------------------------------------ in the answers


def described(attributes: Attributes) -> dict[str, Any]:
    """Members of GetObject's and HeadObject's output."""
    found: dict[str, Any] = dict(attributes.get("headers", ()))
    metadata = attributes.get("metadata")
    if metadata:
        found["Metadata"] = metadata
    held = attributes.get("lock")
    if held:
        if held.get("mode"):
            found["ObjectLockMode"] = held["mode"]
            found["ObjectLockRetainUntilDate"] = datetime.datetime.fromisoformat(held["until"])
        if held.get("hold"):
            found["ObjectLockLegalHoldStatus"] = held["hold"]
    status = attributes.get("replication")
    if status:
        found["ReplicationStatus"] = status
    return found


def expiration(bucket: Bucket, key: bytes, size: int, attributes: Attributes, modified: datetime.datetime) -> dict[str, str]:
    """``x-amz-expiration``: when the latest version will expire, if the bucket's lifecycle says so."""
    document = bucket.configuration(kinds.LIFECYCLE)
    if document is None:
        return {}
    thing = lifecycle.Thing(key.decode("utf-8", "replace"), size, attributes.get("tags") or {}, modified, STANDARD)
    applying = [rule for rule in lifecycle.enabled(document["Rules"]) if lifecycle.covers(rule, thing)]
    due = lifecycle.expiration(applying, thing)
    return {} if due is None else {"Expiration": f'expiry-date="{times.http_date(due[0])}", rule-id="{quote(due[1])}"'}


def checksum_members(checksum: str) -> dict[str, str]:
    """``Version.checksum`` as members of an answer: the value and its type."""
    if not checksum:
        return {}
    algorithm, kind, value = checksum.split(":", 2)
    return {checksums.MEMBERS[algorithm]: value, "ChecksumType": kind}
