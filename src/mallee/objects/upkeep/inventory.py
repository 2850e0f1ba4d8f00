"""Inventories: lists of what a bucket has, as objects in another bucket, every day or every Sunday.

A list is made of files, one of each turn of the reconciler, and its manifest comes last. Where it is stands in the walk's row; a file that
a crash made twice has the same name.
"""

from __future__ import annotations

import base64
import datetime
import gzip
import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from mallee.durable import reconciler
from mallee.identity.records import accounts
from mallee.identity.rules.principals import service
from mallee.objects import delivering, encryption, kinds, lookup, records, store
from mallee.objects.index import scans
from mallee.objects.index.rows import BucketClosed, Version
from mallee.objects.records import Bucket, Walk
from mallee.objects.rules import inventory as rules
from mallee.objects.store import Store
from mallee.objects.upkeep import walking
from mallee.store import Clock, Database, Tx

log = logging.getLogger("mallee.objects")

NAME: Final = "inventory/"
SERVICE: Final = service("s3.amazonaws.com")
MOST_ROWS: Final = 200_000
"""Of one file."""


@reconciler("objects-inventory", every=60, on=("inventory",))
def make_inventories(database: Database, clock: Clock) -> None:
    """Goes on with the inventories of all buckets."""
    objects = store.at(database)
    until = time.monotonic() + walking.SECONDS
    with database.reading() as tx:
        buckets = records.buckets_with(tx, kinds.INVENTORY)
    for bucket in buckets:
        for document in bucket.configurations[kinds.INVENTORY].values():
            if document["IsEnabled"] and time.monotonic() < until:
                try:
                    _go_on(objects, clock, bucket, document, until)
                except BucketClosed:
                    log.info("the bucket that the inventory of %s goes to is being deleted", bucket.name)


def _go_on(objects: Store, clock: Clock, bucket: Bucket, document: dict[str, Any], until: float) -> None:
    """Another configuration under the same Id begins anew."""
    name, of = NAME + document["Id"], hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]
    with objects.database.reading() as tx:
        walk = records.walk(tx, name, bucket.id)
    if walk is not None and walk.state.get("of") != of:
        walk = None
    if walk is None or walk.ended_at is not None:
        if not rules.is_due(document, None if walk is None else walk.began_at, clock.now()):
            return
        walk = Walk(name, bucket.id, clock.now(), None, {"of": of, "stage": "current", "files": []})
    while walk.ended_at is None:
        one = _Inventory(objects, bucket, document, walk)
        target = one.target()
        if target is None:  # nobody lets it in: the next one is tried when it is due
            state: dict[str, Any] | None = None
        else:
            state = one.file(target, until)
        walk = replace(walk, ended_at=clock.now()) if state is None else replace(walk, state=state)
        objects.database.run(partial(_keep, walk), durable=False)
        if time.monotonic() >= until:
            return


def _keep(walk: Walk, tx: Tx) -> None:
    records.keep_walk(tx, walk)


class _Inventory:
    """One list of one bucket. The walk's state: ``stage`` (current, older), ``key`` and ``made`` of the last version, ``files``."""

    def __init__(self, objects: Store, bucket: Bucket, document: dict[str, Any], walk: Walk) -> None:
        self._objects = objects
        self._bucket = bucket
        self._document = document
        self._walk = walk
        self._fields = rules.schema(document)
        self._prefix = ((document.get("Filter") or {}).get("Prefix") or "").encode()
        self._to = document["Destination"]["S3BucketDestination"]
        self._folder = rules.folder(document, bucket.name)

    def target(self) -> Bucket | None:
        """None if it is not there, or doesn't let the list in."""
        with self._objects.database.reading() as tx:
            found = lookup.named(tx, self._to["Bucket"].rpartition(":")[2])
        if found is None or found.internal or found.account_id != self._to.get("AccountId", found.account_id):
            return None
        partition = self._objects.settings.partition
        lets_in = delivering.lets_in(partition, SERVICE, found, f"{self._folder}/data/file.csv.gz", self._bucket)
        if not lets_in:
            log.info("the bucket %s does not let the inventory of %s in", found.name, self._bucket.name)
        return found if lets_in else None

    def file(self, target: Bucket, until: float) -> dict[str, Any] | None:
        """Writes the next file; the state after it, None when that was the last, and the manifest is written, too."""
        state = dict(self._walk.state)
        rows: list[str] = []
        over = False
        with self._objects.database.reading() as main:
            canonical = partial(accounts.canonical_id, main)
            while not over and len(rows) < MOST_ROWS and (not rows or time.monotonic() < until):
                over = not self._stage(state, rows, canonical)
        if rows or (over and not state["files"]):
            state["files"] = [*state["files"], self._put_file(target, rows, len(state["files"]))]
        if over:
            self._put_manifest(target, state["files"])
        return None if over else state

    def _stage(self, state: dict[str, Any], rows: list[str], canonical: Callable[[str], str]) -> bool:
        """One piece of the walk; False if there is nothing behind it."""
        after = base64.b64decode(state["key"]) if "key" in state else rules.first_before(self._prefix)
        with self._objects.index.reading() as tx:
            if state["stage"] == "current":
                found = scans.scan_current(tx, self._bucket.id, after, walking.PIECE)
            else:
                place = None if after is None else _place(self._bucket.id, after, state.get("made", -(2**62)))
                found = scans.scan_noncurrent(tx, self._bucket.id, place, walking.PIECE)
        wanted = [each for each in found if each.key.startswith(self._prefix)]
        rows += [rules.row(self._fields, self._bucket.name, each, canonical) for each in wanted]
        if len(found) == walking.PIECE and (wanted or found[-1].key < self._prefix):
            state["key"], state["made"] = base64.b64encode(found[-1].key).decode("ascii"), found[-1].made
            return True
        if state["stage"] == "current" and rules.has_all(self._document):
            state["stage"] = "older"
            state.pop("key", None)
            state.pop("made", None)
            return True
        return False

    # ------------------------------------------------------------------------------------------------------------ files

    def _put_file(self, target: Bucket, rows: list[str], number: int) -> dict[str, Any]:
        began = self._walk.began_at
        unique = hashlib.sha256(f"{self._bucket.id}/{self._document['Id']}/{began.isoformat()}/{number}".encode()).hexdigest()[:32]
        name = f"{unique[:8]}-{unique[8:12]}-{unique[12:16]}-{unique[16:20]}-{unique[20:]}"
        data = gzip.compress("".join(f"{each}\n" for each in rows).encode(), 6, mtime=int(began.timestamp()))
        key = f"{self._folder}/data/{name}.csv.gz"
        self._put(target, key, data, "application/octet-stream")
        return {"key": key, "size": len(data), "MD5checksum": hashlib.md5(data, usedforsecurity=False).hexdigest()}

    def _put_manifest(self, target: Bucket, files: list[dict[str, Any]]) -> None:
        began = self._walk.began_at.astimezone(datetime.UTC)
        text = rules.manifest(self._document, self._bucket.name, began, files)
        folder = f"{self._folder}/{began:%Y-%m-%dT%H-%MZ}"
        links = "\n".join(f"s3://{target.name}/{each['key']}" for each in files)
        self._put(target, f"{self._folder}/hive/dt={began:%Y-%m-%d-%H-%M}/symlink.txt", links.encode(), "text/plain")
        self._put(target, f"{folder}/manifest.json", text, "application/json")
        checksum = hashlib.md5(text, usedforsecurity=False).hexdigest()
        self._put(target, f"{folder}/manifest.checksum", checksum.encode(), "application/octet-stream")

    def _put(self, target: Bucket, key: str, data: bytes, content_type: str) -> None:
        wanted = self._to.get("Encryption") or {}
        plan = None
        if "SSES3" in wanted:
            plan = encryption.managed(self._objects.vault, encryption.AES256)
        elif "SSEKMS" in wanted:
            plan = encryption.managed(self._objects.vault, encryption.KMS, wanted["SSEKMS"]["KeyId"])
        delivering.put(self._objects, target, key, data, content_type, plan=plan)


def _place(bucket_id: str, key: bytes, made: int) -> Version:
    return Version(bucket_id, key, made, "", datetime.datetime.now(datetime.UTC), 0, "", "", "", "", None, ())
