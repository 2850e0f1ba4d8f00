"""What Swift's API does that no operation of S3 does, as operations like any other: each a function of a call, with what it is checked against.

``call.input`` is made by ``mallee.http.swift``, not by a model: Bucket and Key are as S3 has them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from mallee.identity.call import Call, Later, reads, writes
from mallee.objects import access, attributes, buckets, changing, lookup, policies, reading, removing, store, writing
from mallee.objects import records as main
from mallee.objects.api import objects as api
from mallee.objects.index import listing, scans, usage, versions
from mallee.objects.index.rows import Version
from mallee.objects.records import Bucket
from mallee.objects.swift import large, records
from mallee.store import Tx
from mallee.wire.errors import AwsError

PAGE: Final = 1000
_FEW: Final = 100  # buckets up to which each is asked about by itself

ACCESS = {
    "list_account": access.account("s3:ListAllMyBuckets"),
    "post_account": access.account("s3:PutAccountPublicAccessBlock"),
    "list_container": access.listing("ListBucket"),
    "post_container": access.bucket("s3:PutBucketTagging"),
    "look": access.object_("GetObject", "GetObjectVersion", acl=access.READ),
    "post_object": access.writing(),
    "remove": access.deleting(),
    "mark_expiring": access.writing(),
}


# -------------------------------------------------------------------------------------------------------------- accounts


@dataclass(frozen=True, slots=True)
class Account:
    containers: list[tuple[Bucket, usage.Usage]]  # of the page
    count: int
    objects: int
    bytes: int
    metadata: dict[str, str]
    keys: list[str]


def list_account(call: Call) -> Any:
    """Input: Prefix, Marker, EndMarker, Limit, Reverse."""
    found = [each for each in main.buckets_of(call.tx, call.account_id) if not each.internal]
    index = store.of(call).index
    with index.reading() as tx:
        if len(found) > _FEW:
            every = {each.bucket_id: each for each in usage.all_usage(tx)}
            counted = {each.id: every.get(each.id) or usage.Usage(each.id) for each in found}
        else:
            counted = {each.id: usage.usage(tx, each.id) for each in found}
    given = call.input
    page = sorted(found, key=lambda each: each.name, reverse=bool(given.get("Reverse")))
    page = [each for each in page if _is_within(each.name, given)][: given.get("Limit", 0)]
    document = records.of_account(call.tx, call.account_id)
    return Account(
        [(each, counted[each.id]) for each in page], len(found), sum(each.objects for each in counted.values()),
        sum(each.bytes for each in counted.values()), document.get("metadata", {}), list(document.get("keys", {})),
    )  # fmt: skip


def _is_within(name: str, given: dict[str, Any]) -> bool:
    marker, end = given.get("Marker", ""), given.get("EndMarker", "")
    if given.get("Reverse"):
        inside = (not marker or name < marker) and (not end or name > end)
    else:
        inside = name > marker and (not end or name < end)
    return inside and name.startswith(given.get("Prefix", ""))


@writes
def post_account(call: Call) -> None:
    """Input: Sets, Removes."""
    document = records.of_account(call.tx, call.account_id)
    records.set_for_account(call.tx, call.account_id, _changed(call, document, call.account_id))


def _changed(call: Call, document: dict[str, Any], scope: str) -> dict[str, Any]:
    sets = call.input["Sets"]
    if any(name in records.KEYS for name in sets) and not call.principal.access_key_id:
        raise AwsError("AccessDenied", "Access Denied", status=403)
    made = records.changed(document, sets, call.input["Removes"], call.vault, scope, call.principal.access_key_id)
    metadata = made["metadata"]
    if len(metadata) > records.MOST or sum(len(name) + len(value.encode()) for name, value in metadata.items()) > records.MOST_ALL:
        raise AwsError("MetadataTooLarge", f"There may be {records.MOST} metadata of {records.MOST_ALL} bytes in all.", status=400)
    return made


# ------------------------------------------------------------------------------------------------------------ containers


@dataclass(frozen=True, slots=True)
class Container:
    bucket: Bucket
    policy: str | None  # as its owner may read it
    usage: usage.Usage
    entries: list[tuple[bytes, Version | None]]  # a common prefix where there is no version


def list_container(call: Call) -> Any:
    """Input: Bucket, Prefix, Delimiter, Marker, EndMarker, Limit (0: nothing)."""
    bucket, given = lookup.bucket(call), call.input
    prefix, delimiter = given.get("Prefix", "").encode(), given.get("Delimiter", "").encode()
    after, end = given.get("Marker", "").encode(), given.get("EndMarker", "").encode()
    left = given.get("Limit", 0)
    entries: list[tuple[bytes, Version | None]] = []
    with store.of(call).index.reading() as tx:
        counted = usage.usage(tx, bucket.id)
        while left > 0:
            page = listing.objects(tx, bucket.id, prefix=prefix, delimiter=delimiter, after=after, limit=min(left, PAGE))
            rows = _rows(tx, bucket, page, after)
            kept = [row for row in rows if not end or row[0] < end]
            entries += kept
            left -= len(kept)
            if page.next is None or len(kept) < len(rows):
                break
            after = page.next
    owner = call.account_id == bucket.account_id
    policy = policies.shown(call, bucket.policy) if owner and bucket.policy is not None else None
    return Container(bucket, policy, counted, entries)


def _rows(tx: Tx, bucket: Bucket, page: Any, after: bytes) -> list[tuple[bytes, Version | None]]:
    """With each object's attributes, which a listing of S3's does not need."""
    whole: dict[bytes, Version] = {}
    if not page.prefixes and len(page.entries) > 8:
        whole = {each.key: each for each in scans.scan_current(tx, bucket.id, _before(page.entries[0].key), len(page.entries))}
    rows: list[tuple[bytes, Version | None]] = [(prefix, None) for prefix in page.prefixes]
    for entry in page.entries:
        version = whole.get(entry.key) or versions.current(tx, bucket.id, entry.key)
        if version is not None and not version.deleted:
            rows.append((entry.key, version))
    return sorted(rows, key=lambda row: row[0])


def _before(key: bytes) -> bytes:
    """What a scan begins after that is to begin with this key: behind all that is less, since no key has a byte 0xFF."""
    return key[:-1] + (bytes([key[-1] - 1]) + b"\xff" if key[-1] else b"")


@writes
def post_container(call: Call) -> None:
    """Input: Bucket, Sets, Removes."""
    bucket = buckets.changeable(call)
    main.configure(call.tx, bucket, records.KIND, _changed(call, dict(records.of_bucket(bucket)), bucket.id))


@writes
def mark_expiring(call: Call) -> None:
    """The bucket is one that upkeep looks through for objects which expire."""
    bucket = lookup.fresh(call)
    if bucket.configuration(records.EXPIRING) is None:
        main.configure(call.tx, bucket, records.EXPIRING, {})
        lookup.forget_after(call.tx, bucket.name)


# --------------------------------------------------------------------------------------------------------------- objects


@dataclass(frozen=True, slots=True)
class Seen:
    """``output``: of GetObject or HeadObject; None of a manifest, whose bytes are elsewhere."""

    version: Version
    output: dict[str, Any] | None

    @property
    def swift(self) -> dict[str, Any]:
        found: dict[str, Any] = self.version.attributes.get("swift") or {}
        return found


def look(call: Call) -> Any:
    """GetObject, or HeadObject where the input has Head, with the version that it told. With Whole a manifest is an object like others."""
    bucket, key, given = lookup.bucket(call), attributes.key(call), call.input
    operation: Callable[[Call], dict[str, Any]] = api.head_object if given.get("Head") else api.get_object
    for _ in range(reading.TRIES):
        found = reading.existing(call, bucket, key, None)
        if found.attributes.get("swift") and not given.get("Whole"):
            return Seen(found, None)
        output = operation(call)
        if output["ETag"] == f'"{found.etag}"' and output["LastModified"] == found.modified:
            return Seen(found, output)
        close = getattr(output.get("Body"), "close", None)
        if close is not None:
            close()
    raise AwsError("SlowDown", "The object is being written too often to be read.", status=503)


@reads
def post_object(call: Call) -> Later:
    """New metadata in the place of all that the object has. Input: Bucket, Key, Headers, Metadata, ExpiresAt, Manifest."""
    bucket, given = changing.writable(call), call.input
    size = sum(len(name.encode()) + len(value.encode("utf-8", "replace")) for name, value in given["Metadata"].items())
    if size > attributes.MOST_METADATA:
        raise AwsError("MetadataTooLarge", f"An object's metadata may have {attributes.MOST_METADATA} bytes.", status=400)

    def change(tx: Tx, found: Version) -> dict[str, Any]:
        removing.check_lock(found, call.now, bypass=False)  # what it is called and how long it is there belongs to it
        made = {name: value for name, value in found.attributes.items() if name not in ("headers", "metadata", "expires_at", "swift")}
        made["headers"] = {"ContentType": found.attributes.get("headers", {}).get("ContentType"), **given["Headers"]}
        if given["Metadata"]:
            made["metadata"] = given["Metadata"]
        if given.get("ExpiresAt"):
            made["expires_at"] = given["ExpiresAt"]
        static = (found.attributes.get("swift") or {}).get(large.STATIC)
        if static:
            made["swift"] = {large.STATIC: static}
        elif given.get("Manifest"):
            made["swift"] = {large.DYNAMIC: given["Manifest"]}
        return made

    return changing.changed(call, bucket, change, lambda version: {})


@reads
def remove(call: Call) -> Later:
    """DeleteObject of what is there: Swift's answer tells whether there was such an object."""
    bucket, key = lookup.bucket(call), attributes.key(call)
    writing.check_writable(bucket)

    def work(tx: Tx) -> dict[str, Any]:
        found = versions.current(tx, bucket.id, key)
        if found is None or found.deleted or reading.is_expired(found, call.now):
            raise AwsError("NoSuchKey", "The specified key does not exist.", status=404, Key=call.input["Key"])
        return removing.deleted(tx, bucket, key, None, call.now, call.account_id, False, {})

    return writing.indexed(call, bucket, work)
