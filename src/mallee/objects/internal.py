"""Objects of Mallee's own: images' bytes, and whatever other domains keep beside the users' objects.

They are objects like all others, in buckets that belong to the administrator's account and that nobody but Mallee writes to: what serves users' bytes
(disks, mirrors, Ceph, the scrub) serves these. A key is chosen by the domain that keeps something there.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from mallee.objects import checksums, encryption, receiving, records
from mallee.objects.engine.base import ContentMissing
from mallee.objects.index import versions
from mallee.objects.index.rows import New, Version
from mallee.objects.reading import Outflow
from mallee.objects.receiving import Intake
from mallee.objects.records import Bucket
from mallee.objects.store import Store
from mallee.store import Actor, StoreUnavailable, Tx

IMAGES = "mallee-images"


def bucket(objects: Store, name: str) -> Bucket:
    """The bucket of that name, which is made if there is none. Raises LookupError if somebody else has one of that name."""
    with objects.database.reading() as tx:
        found = records.bucket(tx, name)
    if found is None:
        owner = objects.settings.admin_account_id
        actor = Actor(f"arn:{objects.settings.partition}:iam::{owner}:root", owner, "internal")
        objects.database.run(lambda tx: records.add_bucket(tx, name, owner, internal=True), None, actor)
        with objects.database.reading() as tx:
            found = records.bucket(tx, name)
    if found is None or not found.internal:
        raise LookupError(f"The bucket {name}, which Mallee needs, is a user's.")
    return found


def find(objects: Store, name: str, key: str) -> Version | None:
    with objects.database.reading() as tx:
        there = records.bucket(tx, name)
    if there is None:
        return None
    with objects.index.reading() as tx:
        found = versions.current(tx, there.id, key.encode())
    return None if found is None or found.deleted else found


def put_file(objects: Store, name: str, key: str, file: Path) -> Version:
    """The file's bytes as an object; durable when it returns."""
    with file.open("rb") as source:
        return put(objects, name, key, file.stat().st_size, source)


def put(objects: Store, name: str, key: str, size: int, source: BinaryIO) -> Version:
    """So many bytes as an object; durable when it returns."""
    there = bucket(objects, name)
    label = {"kind": "internal", "bucket": there.id, "name": name, "key": checksums.encoded(key.encode())}
    intake = Intake(objects.engine, receiving.Claims(size), label=label)
    try:
        while block := source.read(receiving.BLOCK):
            for job in intake.jobs(block):
                job()
    except BaseException:
        intake.abort()
        raise
    received = intake.finish()

    def work(tx: Tx, locations: list[str] | tuple[str, ...] = ()) -> Version:
        content = tuple((location, size) for location in locations) or received.pieces
        new = New(
            there.id, key.encode(), size, received.etag, there.account_id, content, checksum=received.described()
        )
        return versions.put(tx, there.versioning, new)

    try:
        return objects.index.run(work, [(intake.label, received.data)] if received.data else ())
    except StoreUnavailable:  # whose commit may have happened: left to the sweep
        raise
    except BaseException:
        intake.give_up(received)
        raise


class Reader:
    """An object's bytes in any order, by one thread at a time."""

    def __init__(self, objects: Store, found: Version) -> None:
        self._objects = objects
        self._found = found
        self._opener = encryption.internal_opener(objects.vault, found.attributes.get("sse"))
        self._flow: Outflow | None = None
        self._at = 0
        self.size = found.size

    def read(self, offset: int, length: int) -> bytes:
        """Raises ContentMissing when it was removed meanwhile."""
        length = max(0, min(length, self.size - offset))
        if not length:
            return b""
        if self._flow is None or self._at != offset:
            self.close()
            self._flow = Outflow(
                self._objects.engine, self._objects.pins, self._found.content, offset, self.size - offset, self._opener
            )
            self._at = offset
        data = self._flow.read(length)
        if not data:
            raise ContentMissing(self._found.key)
        self._at += len(data)
        return data

    def close(self) -> None:
        if self._flow is not None:
            self._flow.close()
            self._flow = None


def opened(objects: Store, name: str, key: str) -> Reader | None:
    found = find(objects, name, key)
    return None if found is None else Reader(objects, found)
