"""RenameObject: an object gets another key, at once and without moving a byte.

AWS has it in directory buckets, whose objects have no versions. Here it is in every bucket that never had versioning; elsewhere there is no answer
to what becomes of the versions, and it is refused.
"""

from __future__ import annotations

import datetime
from typing import Any, Final

from mallee.identity.call import Call, Later, reads
from mallee.objects import access, attributes, changing, writing
from mallee.objects.index import renames, tokens, versions
from mallee.objects.index.rows import Version
from mallee.objects.rules import conditions, copy_source
from mallee.objects.rules.refusals import bad_request, invalid
from mallee.store import Tx
from mallee.wire.errors import AwsError

ACCESS = {"rename_object": access.renaming()}

_PARAMETERS: Final = tuple(
    f"{side}{name}" for side in ("Destination", "Source") for name in ("IfMatch", "IfNoneMatch", "IfModifiedSince", "IfUnmodifiedSince")
)


@reads
def rename_object(call: Call) -> Later:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html"""
    bucket, given, key = changing.writable(call), call.input, attributes.key(call)
    if bucket.versioning or bucket.object_lock:
        raise bad_request("Objects can be renamed only in a bucket whose versioning was never enabled.")
    named = copy_source.renamed(given["RenameSource"], bucket.name)
    if named.version_id is not None:
        raise invalid("A version cannot be renamed.", "x-amz-rename-source", given["RenameSource"])
    old = attributes.checked_key(named.key)
    if given.get("DestinationIfNoneMatch", "*").strip() != "*":
        implied = "A header you provided implies functionality that is not implemented"
        raise AwsError("NotImplemented", implied, status=501, Header="If-None-Match")
    token = _token(call, bucket.id)
    asked = {"from": named.key, "to": given["Key"], **{each: _plain(given[each]) for each in _PARAMETERS if each in given}}
    missing = access.missing_key_error(call, bucket, named.key)

    def work(tx: Tx) -> dict[str, Any]:
        before = None if token is None else tokens.told(tx, token)
        if before is not None:
            if before != asked:
                told = "Parameters on this idempotent request are inconsistent with parameters used in previous request(s)."
                raise AwsError("IdempotencyParameterMismatch", told, status=400)
            return {}
        found = versions.current(tx, bucket.id, old)
        if found is None or found.deleted:
            raise missing
        _check_source(given, found)
        _check_destination(given, versions.current(tx, bucket.id, key))
        if renames.rename(tx, bucket.id, old, key) is None:
            raise bad_request("Objects can be renamed only in a bucket whose versioning was never enabled.")
        if token is not None:
            tokens.remember(tx, token, bucket.id, key, asked)
        return {}

    return writing.indexed(call, bucket, work)


def _token(call: Call, bucket_id: str) -> str | None:
    text = call.input.get("ClientToken")
    if text is None:
        return None
    if not 1 <= len(text) <= 64 or not all(33 <= ord(each) <= 126 for each in text):
        raise invalid("A client token has 1 to 64 characters of ASCII, without spaces.", "x-amz-client-token", text)
    return tokens.name("rename", call.account_id, bucket_id, text)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.datetime) else value


def _check_source(given: dict[str, Any], found: Version) -> None:
    verdict, header = conditions.of_read(given, found.etag, found.modified, "Source")
    if verdict != conditions.HOLDS:
        raise writing.failed(f"x-amz-rename-source-{header.lower()}")


def _check_destination(given: dict[str, Any], found: Version | None) -> None:
    if found is None or found.deleted:
        for name, header in (("DestinationIfMatch", "If-Match"), ("DestinationIfModifiedSince", "If-Modified-Since")):
            if given.get(name) is not None:
                raise writing.failed(header)
        return
    verdict, header = conditions.of_read(given, found.etag, found.modified, "Destination")
    if verdict != conditions.HOLDS:
        raise writing.failed(header)
