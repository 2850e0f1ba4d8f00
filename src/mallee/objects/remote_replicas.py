"""Replicas at another endpoint: what a version becomes there by S3's own calls.

Version ids and times are the other side's own; the version id that it gave is kept, so that tags can follow. The request bears a header
that says what it is, which another Mallee takes from whoever may ``s3:ReplicateObject``: there the replica goes no further.
"""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, urlencode

from mallee.objects import encryption, receiving, remote_calls, remotes
from mallee.objects.index.rows import Version
from mallee.objects.reading import Outflow
from mallee.objects.records import Bucket
from mallee.objects.remote_calls import Endpoint, RemoteError
from mallee.objects.replicas import Actor, Refused
from mallee.objects.replicating import REPLICA_HEADER
from mallee.objects.rules import replication as rules
from mallee.objects.store import Store
from mallee.wire.errors import AwsError

_HEADERS: Final = {
    "CacheControl": "cache-control", "ContentDisposition": "content-disposition", "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language", "ContentType": "content-type", "Expires": "expires",
    "WebsiteRedirectLocation": "x-amz-website-redirect-location",
}  # fmt: skip
_AWAY: Final = "mallee.objects.remotes.away"
PAUSE: Final = 30.0
"""Seconds that nothing is sent to an endpoint that did not answer."""
_KEPT: Final = "remotes"
"""Attribute of an original: the version ids that other endpoints gave its replicas, by the ARN of the bucket."""


def sent(objects: Store, actor: Actor, source: Bucket, found: Version, what: str, destination: dict[str, Any]) -> dict[str, str]:
    """The version's replica is there when this returns; what is to be kept of it. Raises Refused, RemoteError, EngineError, ContentMissing."""
    endpoint, bucket = _endpoint(objects, source, destination["Bucket"])
    away: dict[str, float] = objects.database.engine.memory.setdefault(_AWAY, {})
    if away.get(endpoint.url, 0.0) > time.monotonic():
        raise RemoteError(f"{endpoint.url} was away a moment ago")
    try:
        if found.deleted:
            remote_calls.call(endpoint, "DELETE", bucket, found.key, None, {REPLICA_HEADER: found.version_id})
            return {}
        actor.check("s3:GetObjectVersionForReplication", source, found.key)
        tags = found.attributes.get("tags") if actor.may("s3:GetObjectVersionTagging", source, found.key) else None
        if what == rules.CHANGE:
            _tag(endpoint, bucket, found, destination, tags or {})
            return {}
        version_id = _put(objects, endpoint, bucket, found, destination, tags or {})
        return {destination["Bucket"]: version_id} if version_id else {}
    except RemoteError as problem:
        if problem.lasting:
            raise Refused(str(problem)) from None
        if problem.away:
            away[endpoint.url] = time.monotonic() + PAUSE
        raise


def keep(attributes: dict[str, Any], told: dict[str, str]) -> None:
    if told:
        attributes[_KEPT] = {**attributes.get(_KEPT, {}), **told}


def _endpoint(objects: Store, source: Bucket, arn: str) -> tuple[Endpoint, str]:
    named = remotes.named_in(arn)
    assert named is not None
    with objects.database.reading() as tx:
        found = remotes.remote(tx, named[0])
    if found is None or found.account_id != source.account_id:
        raise Refused(f"there is no replication target {named[0]} for the account {source.account_id}")
    return Endpoint(found.endpoint, found.region, found.access_key_id, found.secret_access_key(objects.vault), found.authority), named[1]


def _tag(endpoint: Endpoint, bucket: str, found: Version, destination: dict[str, Any], tags: dict[str, str]) -> None:
    version_id = found.attributes.get(_KEPT, {}).get(destination["Bucket"])
    if version_id is None and not found.is_latest:
        raise Refused("the endpoint keeps no versions: a version that is not the latest cannot be changed there")
    query = {"tagging": ""} | ({"versionId": version_id} if version_id else {})
    remote_calls.call(endpoint, "PUT", bucket, found.key, query, {"content-type": "application/xml"}, remote_calls.tagging(tags))


def _headers(found: Version, destination: dict[str, Any], tags: dict[str, str]) -> dict[str, str]:
    made = {_HEADERS[name]: value for name, value in found.attributes.get("headers", {}).items() if name in _HEADERS}
    made |= {f"x-amz-meta-{name}": value for name, value in (found.attributes.get("metadata") or {}).items()}
    if tags:
        made["x-amz-tagging"] = urlencode(tags, quote_via=quote)
    kind = destination.get("StorageClass") or found.storage_class
    if kind != "STANDARD":
        made["x-amz-storage-class"] = kind
    sse = found.attributes.get("sse")
    if sse is not None:
        made["x-amz-server-side-encryption"] = sse["form"]
    return made | {REPLICA_HEADER: found.version_id}


def _put(
    objects: Store, endpoint: Endpoint, bucket: str, found: Version, destination: dict[str, Any], tags: dict[str, str]
) -> str:
    """The version id that it has there, if any."""
    try:
        opener = encryption.internal_opener(objects.vault, found.attributes.get("sse"))
    except AwsError as problem:
        raise Refused(problem.message) from None
    headers = _headers(found, destination, tags)
    parts = [size for size, *_ in found.attributes.get("parts") or ()]
    if not parts and found.size > receiving.MOST:
        parts = [size for _, size in found.content]

    def flow(offset: int, size: int) -> Iterator[bytes]:
        opened = Outflow(objects.engine, objects.pins, found.content, offset, size, opener)
        try:
            while block := opened.read():
                yield block
        finally:
            opened.close()

    if not parts:
        if len(found.etag) == 32:
            headers["content-md5"] = base64.b64encode(bytes.fromhex(found.etag)).decode("ascii")
        body: bytes | Iterator[bytes] = flow(0, found.size) if found.size else b""
        told = remote_calls.call(endpoint, "PUT", bucket, found.key, None, headers, body, found.size)
        return told.headers.get("x-amz-version-id", "")
    upload_id = remote_calls.begin(endpoint, bucket, found.key, headers)
    try:
        etags, offset = [], 0
        for number, size in enumerate(parts, 1):
            etags.append(remote_calls.put_part(endpoint, bucket, found.key, upload_id, number, flow(offset, size), size))
            offset += size
        told = remote_calls.complete(endpoint, bucket, found.key, upload_id, etags)
    except BaseException:
        with contextlib.suppress(RemoteError):
            remote_calls.abort(endpoint, bucket, found.key, upload_id)
        raise
    return told.headers.get("x-amz-version-id", "")
