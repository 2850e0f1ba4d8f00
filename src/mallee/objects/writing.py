"""New versions: what a received body, a copy or a completed upload becomes, in one commit of the index.

The commit's answer is the call's (``Later``): nothing is told before it is durable. Bytes that were received and became nothing are given up at
once; those of a crash, and of a commit of which nobody knows whether it happened, are swept.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Mapping
from typing import Any

from mallee.identity.call import Call, Later
from mallee.objects import acl, attributes, public_access, replicating, store
from mallee.objects.engine.base import Label
from mallee.objects.index import versions
from mallee.objects.index.locks import VersionLocked
from mallee.objects.index.rows import BucketClosed, New, Piece, Version
from mallee.objects.lookup import no_such_bucket
from mallee.objects.receiving import Intake, Received
from mallee.objects.records import Bucket
from mallee.objects.rules import conditions, replication
from mallee.store import StoreUnavailable, Tx
from mallee.wire.errors import AwsError

Work = Callable[[Tx, tuple[Piece, ...]], Any]


def label(kind: str, bucket: Bucket, key: bytes, call: Call | None = None, **more: Any) -> Label:
    """What stands beside the bytes, for whoever recovers them by hand."""
    return {"kind": kind, "bucket": bucket.id, "name": bucket.name, "key": base64.b64encode(key).decode("ascii"), **more}


def owner_of(call: Call, bucket: Bucket) -> str:
    """Whose the new object is."""
    return acl.owner_of_new(bucket, call.account_id, call.input.get("ACL"))


def new_attributes(call: Call, bucket: Bucket) -> dict[str, Any]:
    """Headers, metadata, tags, ACL and lock of the request."""
    made = attributes.headers(call)
    if replicating.is_replica(call):
        made["replication"] = replication.REPLICA
    tags = attributes.tagging(call.input)
    if tags:
        made["tags"] = tags
    held = attributes.lock(call, bucket)
    if held:
        made["lock"] = held
    if acl.given_in(call.input):
        grants = acl.from_request(call.tx, call.input, owner_of(call, bucket), bucket.account_id, ownership=bucket.ownership)
        acl.check_block(grants, public_access.BLOCK_ACLS in public_access.blocked(call.tx, bucket))
        if grants is not None:
            made["acl"] = grants
    return made


def check_writable(bucket: Bucket) -> None:
    if bucket.internal:
        raise AwsError("AccessDenied", "Access Denied", status=403)


def check_write_conditions(call: Call, given: Mapping[str, Any], tx: Tx, bucket: Bucket, key: bytes) -> None:
    """If-Match and If-None-Match of a write, decided in the commit itself.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html"""
    match, none_match = given.get("IfMatch"), given.get("IfNoneMatch")
    if match is None and none_match is None:
        return
    found = versions.current(tx, bucket.id, key)
    there = found is not None and not found.deleted
    if none_match is not None and there:
        raise failed("If-None-Match")
    if match is not None:
        if found is None or not there:
            raise AwsError("NoSuchKey", "The specified key does not exist.", status=404, Key=key.decode())
        if not conditions.matches(match, found.etag):
            raise failed("If-Match")


def failed(header: str) -> AwsError:
    return AwsError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", status=412, Condition=header)


def check_none_match(given: Mapping[str, Any]) -> None:
    """Of a write it can only be a star."""
    header = given.get("IfNoneMatch")
    if header is not None and header.strip() != "*":
        implied = "A header you provided implies functionality that is not implemented"
        raise AwsError("NotImplemented", implied, status=501, Header="If-None-Match")
    if header is not None and given.get("IfMatch") is not None:
        implied = "A header you provided implies functionality that is not implemented"
        raise AwsError("NotImplemented", implied, status=501, Header="If-Match")


def committed(call: Call, intake: Intake, received: Received, bucket: Bucket, work: Work) -> Later:
    """``work(tx, pieces)`` with the received bytes, in one commit with others'."""
    objects = store.of(call)
    data = received.data
    contents = [(intake.label, data)] if data else []
    size = received.size

    def with_pieces(tx: Tx, locations: tuple[str, ...] | list[str] = ()) -> Any:
        if intake.label["bucket"] != bucket.id:  # another of the name, of which nobody was asked
            raise BucketClosed(intake.label["bucket"])
        return work(tx, tuple((location, size) for location in locations) if contents else received.pieces)

    def start(done: Callable[[Any, BaseException | None], None]) -> None:
        def ended(result: Any, error: BaseException | None) -> None:
            if error is not None and received.pieces and not isinstance(error, StoreUnavailable):
                intake.give_up(received)  # else the commit may have happened: left to the sweep
            done(result, named(error, bucket))

        objects.index.submit(with_pieces, contents, ended)

    return Later(start)


def indexed(call: Call, bucket: Bucket, work: Callable[[Tx], Any]) -> Later:
    """``work(tx)`` in the index, in one commit with others'."""
    objects = store.of(call)

    def start(done: Callable[[Any, BaseException | None], None]) -> None:
        objects.index.submit(work, (), lambda result, error: done(result, named(error, bucket)))

    return Later(start)


def named(error: BaseException | None, bucket: Bucket) -> BaseException | None:
    if isinstance(error, VersionLocked):
        return locked()
    return no_such_bucket(bucket.name) if isinstance(error, BucketClosed) else error


def locked() -> AwsError:
    return AwsError("AccessDenied", "Access Denied because object protected by object lock.", status=403)


def new_version(
    call: Call, bucket: Bucket, key: bytes, *, size: int, etag: str, checksum: str, content: tuple[Piece, ...], made: dict[str, Any],
    now: datetime.datetime, storage_class: str, owner: str,
) -> New:  # fmt: skip
    return New(
        bucket_id=bucket.id, key=key, modified=now, size=size, etag=etag, storage_class=storage_class, owner=owner, checksum=checksum,
        content=content, attributes=made,
    )  # fmt: skip


def version_members(bucket: Bucket, stored: Version) -> dict[str, Any]:
    """What the answer to a write says of the version."""
    return {"VersionId": stored.version_id} if bucket.versioning else {}

