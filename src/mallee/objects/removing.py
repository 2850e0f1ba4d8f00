"""Removing a version in a transaction of the index: conditions, locks, and what S3 answers to it."""

from __future__ import annotations

import datetime
from typing import Any

from mallee.objects import replicating, writing
from mallee.objects.index import locks, versions
from mallee.objects.index.rows import Version
from mallee.objects.records import Bucket
from mallee.objects.rules import conditions
from mallee.store import Tx
from mallee.wire.errors import AwsError


def deleted(
    tx: Tx, bucket: Bucket, key: bytes, version_id: str | None, now: datetime.datetime, owner: str, bypass: bool, given: dict[str, Any],
    *, replica: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """One delete in a transaction of the index: what S3 answers to it. Raises PreconditionFailed, NoSuchKey, AccessDenied (a lock).
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html"""
    if any(given.get(name) is not None for name in ("IfMatch", "IfMatchLastModifiedTime", "IfMatchSize")):
        _check_conditions(tx, bucket, key, version_id, given)
    if version_id is None:
        marker = versions.delete(tx, bucket.versioning, bucket.id, key, owner)
        if not replica:
            replicating.marked(tx, bucket, marker)
        return {} if marker is None else {"DeleteMarker": True, "VersionId": marker.version_id}
    found = versions.version(tx, bucket.id, key, version_id)
    if found is not None:
        check_lock(found, now, bypass)
        versions.delete_version(tx, bucket.id, key, version_id)
    told: dict[str, Any] = {"VersionId": version_id}
    if found is not None and found.deleted:
        told["DeleteMarker"] = True
    return told


def _check_conditions(tx: Tx, bucket: Bucket, key: bytes, version_id: str | None, given: dict[str, Any]) -> None:
    found = versions.current(tx, bucket.id, key) if version_id is None else versions.version(tx, bucket.id, key, version_id)
    match = given.get("IfMatch")
    if found is None or found.deleted:
        if match is None:
            return  # what is not there has no time and no size that could be others
        if match.strip() == "*":
            raise writing.failed("If-Match")
        raise AwsError("NoSuchKey", "The specified key does not exist.", status=404, Key=key.decode())
    if match is not None and not conditions.matches(match, found.etag):
        raise writing.failed("If-Match")
    moment, size = given.get("IfMatchLastModifiedTime"), given.get("IfMatchSize")
    if moment is not None and moment.replace(microsecond=0) != found.modified.replace(microsecond=0):
        raise writing.failed("x-amz-if-match-last-modified-time")
    if size is not None and size != found.size:
        raise writing.failed("x-amz-if-match-size")


def check_lock(found: Version, now: datetime.datetime, bypass: bool) -> None:
    """A version under legal hold or retention stays. https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html"""
    if not found.deleted and locks.is_held(found.attributes.get("lock"), now, bypass=bypass):
        raise writing.locked()


locked = writing.locked
