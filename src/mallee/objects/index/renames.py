"""A key gets another name, and its bytes stay where they are.

Their labels go on naming the key that they were written for, so where they belong now is written down (``s3_renamed``) for those who start from a
label; the row is forgotten with the content.
"""

from __future__ import annotations

from mallee.store import Tx

from . import locks, versions
from .rows import NEVER, NULL, New, Version
from .tables import RENAMED


def rename(tx: Tx, bucket_id: str, key: bytes, to: bytes) -> Version | None:
    """Gives the null version that is the latest of ``key`` the key ``to``, where it replaces what is there; None if there is none. For buckets
    that never had versions: for others the caller refuses. Raises BucketClosed, VersionLocked."""
    found = versions.current(tx, bucket_id, key)
    if found is None or found.deleted or found.version_id != NULL:
        return None
    if key == to:
        return found
    if locks.is_held(found.attributes.get("lock"), tx.now):
        raise locks.VersionLocked
    versions.lift(tx, found)
    for location, _ in found.content:
        tx.put(RENAMED, location=location, bucket_id=bucket_id, key=to)
    new = New(
        bucket_id,
        to,
        found.size,
        found.etag,
        found.owner,
        found.content,
        found.storage_class,
        found.checksum,
        found.attributes,
        modified=found.modified,
    )
    return versions.put(tx, NEVER, new)
