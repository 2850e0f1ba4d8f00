"""Copies within the store: a range of a version becomes a new content, read and written by one thread, block by block.

The bytes are read decrypted and verified, and encrypted anew as the destination wants it. What a copy of 5 GiB costs is said in docs/limits.md.
"""

from __future__ import annotations

from typing import Any, Final

from mallee.identity.call import Call
from mallee.objects import attributes, checksums, encryption, lookup, reading, receiving, store
from mallee.objects.index.rows import Version
from mallee.objects.records import Bucket
from mallee.objects.rules.copy_source import source
from mallee.wire.errors import AwsError

MOST: Final = 5 * 1024**3


def found_source(call: Call) -> tuple[Bucket, Version]:
    """What the call copies from, as its conditions want it. Raises NoSuchKey, PreconditionFailed, InvalidObjectState, …"""
    named = source(call.input["CopySource"])
    bucket = lookup.existing(call.tx, named.bucket)
    key = attributes.checked_key(named.key)
    if named.version_id is not None:
        reading.check_id(named.version_id)
    found = reading.find(store.of(call), bucket, key, named.version_id)
    if found is None:
        raise reading.missing(call, bucket, named.version_id, named.key)
    if found.deleted:
        if named.version_id is None:
            raise reading.marked(call, bucket, found, None, named.key)
        told = "The source of a copy request may not specifically refer to a delete marker by version id."
        raise AwsError("InvalidRequest", told, status=400)
    reading.check_conditions(call.input, found, "CopySource")
    reading.check_archived(found, call.now)
    return bucket, found


def source_opener(call: Call, found: Version) -> encryption.Opener | None:
    return encryption.opener(call, found.attributes.get("sse"), "CopySource")


def copied(
    flow: reading.Outflow | bytes, intake: receiving.Intake
) -> receiving.Received:
    """All of it, received. Closes the flow, and leaves nothing when it fails."""
    try:
        if isinstance(flow, bytes):
            for job in intake.jobs(flow) if flow else ():
                job()
        else:
            while block := flow.read(receiving.BLOCK):
                for job in intake.jobs(block):
                    job()
        return intake.finish()
    except BaseException:
        intake.abort()
        raise
    finally:
        if not isinstance(flow, bytes):
            flow.close()


def claims(size: int, algorithm: str | None, found: Version) -> receiving.Claims:
    """The copy's checksum: the algorithm that is asked for, the source's, or the default."""
    if algorithm is None:
        algorithm = found.checksum.partition(":")[0] or checksums.DEFAULT
    return receiving.Claims(size, None, algorithm)


def version_member(call: Call, bucket: Bucket, found: Version) -> dict[str, Any]:
    return {"CopySourceVersionId": found.version_id} if bucket.versioning else {}
