"""Changing what hangs on one version (its tags, ACL, lock, restore), whose bytes stay as they are.

The version is looked up in the call's snapshot, so that a refusal costs no commit, and again in the commit itself, where the change is made of what
the version has then: of two changes at once the later one wins whole, and neither loses what the other did beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mallee.identity.call import Call, Later
from mallee.objects import attributes, lookup, reading, replicating, store, writing
from mallee.objects.index import versions
from mallee.objects.index.rows import Version
from mallee.objects.records import Bucket
from mallee.store import Tx
from mallee.wire import times
from mallee.wire.errors import AwsError

Change = Callable[[Tx, Version], dict[str, Any] | None]
"""The version's new attributes, None if they stay; raises AwsError."""


def existing(call: Call, bucket: Bucket, key: bytes) -> Version:
    """The version that a change means. A delete marker has nothing that could be changed: MethodNotAllowed, named or not."""
    version_id = call.input.get("VersionId")
    if version_id is not None:
        reading.check_id(version_id)
    found = reading.find(store.of(call), bucket, key, version_id)
    if found is None:
        raise reading.missing(call, bucket, version_id)
    if found.deleted:
        raise marked(call, found)
    return found


def changed(call: Call, bucket: Bucket, change: Change, answer: Callable[[Version], dict[str, Any]]) -> Later:
    """``answer`` is told the version as it was."""
    key, version_id = attributes.key(call), call.input.get("VersionId")
    existing(call, bucket, key)

    def work(tx: Tx) -> dict[str, Any]:
        if version_id is None:
            found = versions.current(tx, bucket.id, key)
        else:
            found = versions.version(tx, bucket.id, key, version_id)
        if found is None:
            raise _gone(call, version_id)
        if found.deleted:
            raise marked(call, found)
        made = change(tx, found)
        if made is not None:
            versions.change(tx, found, attributes=replicating.changed(tx, bucket, found, made))
        return answer(found)

    return writing.indexed(call, bucket, work)


def _gone(call: Call, version_id: str | None) -> AwsError:
    """It was there when the call began."""
    key = call.input["Key"]
    if version_id is None:
        return AwsError("NoSuchKey", "The specified key does not exist.", status=404, Key=key)
    return AwsError("NoSuchVersion", "The specified version does not exist.", status=404, Key=key, VersionId=version_id)


def with_(found: Version, name: str, value: Any) -> dict[str, Any]:
    """The version's attributes with one of them set, or without it where there is nothing to set. An empty list is set: an ACL without
    grants is not the one that an object has without an ACL."""
    made = {each: kept for each, kept in found.attributes.items() if each != name}
    if value or isinstance(value, list):
        made[name] = value
    return made


def marked(call: Call, found: Version) -> AwsError:
    told = ((b"x-amz-delete-marker", b"true"), (b"x-amz-version-id", found.version_id.encode()), (b"allow", b"DELETE"))
    return AwsError(
        "MethodNotAllowed", "The specified method is not allowed against this resource.", status=405, Method=reading.call_method(call),
        ResourceType="DeleteMarker", headers=(*told, (b"last-modified", times.http_date(found.modified).encode())),
    )  # fmt: skip


def writable(call: Call) -> Bucket:
    bucket = lookup.bucket(call)
    writing.check_writable(bucket)
    return bucket


def version_members(bucket: Bucket, found: Version) -> dict[str, Any]:
    return {"VersionId": found.version_id} if bucket.versioning else {}
