"""The condition keys that S3's policies may ask for, by action, each read from the call when one does.

Which action has which is AWS's Service Authorization Reference's; ``tests/objects/access`` compares. Values are the input's own members, so
that a browser's form and a header say the same. Absent, because there is nothing to say: the keys of access points' networks and of TLS's
version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from mallee.identity.access import Values
from mallee.identity.call import Call
from mallee.identity.rules.context import Value

if TYPE_CHECKING:
    from mallee.objects.records import Bucket
    from mallee.objects.target import Target

Reader = Callable[[Call, "Bucket | None", "Target | None"], Value]
Readers = Mapping[str, Reader]


class Keys(Mapping[str, Values | Callable[[], Values]]):
    """The keys of one question, each as a function that reads it."""

    __slots__ = ("_bucket", "_call", "_readers", "_target")

    def __init__(self, call: Call, readers: Readers, bucket: Bucket | None = None, target: Target | None = None) -> None:
        self._call = call
        self._readers = readers
        self._bucket = bucket
        self._target = target

    def __getitem__(self, name: str) -> Callable[[], Any]:
        read, call, bucket, target = self._readers[name], self._call, self._bucket, self._target
        return lambda: read(call, bucket, target)

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    def __contains__(self, name: object) -> bool:
        return name in self._readers


@cache
def of(action: str) -> Readers:
    """The keys of an action, common ones included."""
    found = dict(ACCOUNT)
    for actions, readers in _GROUPS:
        if action in actions:
            found |= readers
    if action.endswith("BucketObjectLockConfiguration"):
        del found["s3:x-amz-content-sha256"]
    return found


# ------------------------------------------------------------------------------------------------------------------ reading


def _member(*path: str) -> Reader:
    """A member of the input, or of a structure in it."""

    def read(call: Call, bucket: Bucket | None, target: Target | None) -> Value:
        place: Any = call.input
        for name in path:
            place = place.get(name) if isinstance(place, Mapping) else None
        return place  # type: ignore[no-any-return]

    return read


def _first(*readers: Reader) -> Reader:
    """The one that has something to say: a header, or a body's member."""

    def read(call: Call, bucket: Bucket | None, target: Target | None) -> Value:
        return next((value for each in readers if (value := each(call, bucket, target)) is not None), None)

    return read


def _auth_type(call: Call, *_: Any) -> Value:
    return None if call.proof is None else call.proof.how


def _version(call: Call, *_: Any) -> Value:
    return None if call.proof is None else call.proof.version


def _payload(call: Call, *_: Any) -> Value:
    proof = call.proof
    if proof is not None and proof.version != "AWS" and not proof.form:
        return proof.payload
    return (call.header(b"x-amz-content-sha256") or b"").decode("latin-1") or None


def _age(call: Call, *_: Any) -> Value:
    """Milliseconds since a version 4 signature was made."""
    at = None if call.proof is None else call.proof.signed_at
    return None if at is None else max(0, int((call.now - at).total_seconds() * 1000))


def _account(call: Call, bucket: Bucket | None, target: Target | None) -> Value:
    return bucket.account_id if bucket is not None else call.account_id or None


def _copy_source(call: Call, *_: Any) -> Value:
    """With a slash before it and without: policies are written either way."""
    from mallee.objects.rules.copy_source import source

    if "CopySource" not in call.input:
        return None
    named = source(call.input["CopySource"])
    return [f"{named.bucket}/{named.key}", f"/{named.bucket}/{named.key}"]


def _existing_tags(call: Call, bucket: Bucket | None, target: Target | None) -> Value:
    return {} if target is None else target.tags


def request_tags(call: Call) -> dict[str, str]:
    """The tags that a request gives to an object: those of its header, or of its body."""
    given = call.input.get("Tagging")
    if call.operation == "CopyObject" and call.input.get("TaggingDirective") != "REPLACE":
        return {}  # the source's are kept, whatever the header says
    if isinstance(given, str):
        return dict(parse_qsl(given, keep_blank_values=True))
    if isinstance(given, Mapping):
        return {tag["Key"]: tag.get("Value", "") for tag in given.get("TagSet") or () if tag.get("Key")}
    return {}


def tags_given(tags: Mapping[str, str]) -> dict[str, Any]:
    """The keys of tags that an object gets which do not stand in the request."""
    return {"s3:RequestObjectTag/": dict(tags), "s3:RequestObjectTagKeys": list(tags) or None}


def _tag_keys(call: Call, *_: Any) -> Value:
    return list(request_tags(call)) or None


def _match_of_one(call: Call, bucket: Bucket | None, target: Target | None) -> Value:
    """Of DeleteObjects, where each key has its own."""
    return None if target is None else target.match


_until = _first(_member("ObjectLockRetainUntilDate"), _member("Retention", "RetainUntilDate"))


def _remaining(call: Call, bucket: Bucket | None, target: Target | None) -> Value:
    """Days until the date that the request sets."""
    until: Any = _until(call, bucket, target)
    return None if until is None else max(0, (until - call.now).days)


# ------------------------------------------------------------------------------------------------------------------- tables

ACCOUNT: Final[Readers] = {
    "s3:authType": _auth_type,
    "s3:signatureAge": _age,
    "s3:signatureversion": _version,
    "s3:x-amz-content-sha256": _payload,
    "s3:ResourceAccount": _account,
}
_LIST: Readers = {
    "s3:prefix": _member("Prefix"),
    "s3:delimiter": _member("Delimiter"),
    "s3:max-keys": _member("MaxKeys"),
}
_ACL: Readers = {
    "s3:x-amz-acl": _member("ACL"),
    "s3:x-amz-grant-full-control": _member("GrantFullControl"),
    "s3:x-amz-grant-read": _member("GrantRead"),
    "s3:x-amz-grant-read-acp": _member("GrantReadACP"),
    "s3:x-amz-grant-write": _member("GrantWrite"),
    "s3:x-amz-grant-write-acp": _member("GrantWriteACP"),
}
_EXISTING: Readers = {"s3:ExistingObjectTag/": _existing_tags}
_REQUEST_TAGS: Readers = {"s3:RequestObjectTag/": lambda call, *_: request_tags(call), "s3:RequestObjectTagKeys": _tag_keys}
_VERSIONED: Readers = {"s3:versionid": _member("VersionId")}
_RETENTION: Readers = {
    "s3:object-lock-mode": _first(_member("ObjectLockMode"), _member("Retention", "Mode")),
    "s3:object-lock-retain-until-date": _until,
    "s3:object-lock-remaining-retention-days": _remaining,
}
_HOLD: Readers = {"s3:object-lock-legal-hold": _first(_member("ObjectLockLegalHoldStatus"), _member("LegalHold", "Status"))}
_MATCH: Readers = {"s3:if-match": _member("IfMatch"), "s3:if-none-match": _member("IfNoneMatch")}
_WRITE: Readers = {
    "s3:x-amz-copy-source": _copy_source,
    "s3:x-amz-metadata-directive": _member("MetadataDirective"),
    "s3:x-amz-server-side-encryption": _member("ServerSideEncryption"),
    "s3:x-amz-server-side-encryption-aws-kms-key-id": _member("SSEKMSKeyId"),
    "s3:x-amz-server-side-encryption-customer-algorithm": _member("SSECustomerAlgorithm"),
    "s3:x-amz-storage-class": _member("StorageClass"),
    "s3:x-amz-website-redirect-location": _member("WebsiteRedirectLocation"),
}
_PARTS = frozenset({"CreateMultipartUpload", "UploadPart", "UploadPartCopy"})
_CREATION: Readers = {"s3:ObjectCreationOperation": lambda call, *_: call.operation not in _PARTS}

_GROUPS: Final = (
    (frozenset({"s3:ListBucket", "s3:ListBucketVersions"}), _LIST),
    (frozenset({"s3:CreateBucket"}), {
        **_ACL, "s3:locationconstraint": _member("CreateBucketConfiguration", "LocationConstraint"),
        "s3:x-amz-object-ownership": _member("ObjectOwnership"),
    }),
    (frozenset({"s3:PutBucketAcl"}), _ACL),
    (frozenset({"s3:PutObjectAcl", "s3:PutObjectVersionAcl"}), {
        **_ACL, **_EXISTING, "s3:x-amz-storage-class": _member("StorageClass"),
    }),
    (frozenset({"s3:PutObject"}), {**_ACL, **_WRITE, **_REQUEST_TAGS, **_RETENTION, **_HOLD, **_MATCH, **_CREATION}),
    (frozenset({"s3:BypassGovernanceRetention"}), {**_ACL, **_WRITE, **_REQUEST_TAGS, **_RETENTION, **_HOLD}),
    (frozenset({"s3:PutObjectTagging", "s3:PutObjectVersionTagging"}), {**_EXISTING, **_REQUEST_TAGS}),
    (frozenset({"s3:PutObjectRetention"}), _RETENTION),
    (frozenset({"s3:PutObjectLegalHold"}), _HOLD),
    (frozenset({"s3:GetObject"}), {**_EXISTING, **_MATCH}),
    (frozenset({"s3:DeleteObject"}), {"s3:if-match": _first(_member("IfMatch"), _match_of_one)}),
    (frozenset({
        "s3:GetObjectVersion", "s3:GetObjectAcl", "s3:GetObjectVersionAcl", "s3:GetObjectTagging", "s3:GetObjectVersionTagging",
        "s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging", "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes",
    }), _EXISTING),
    (frozenset({
        "s3:GetObjectVersion", "s3:GetObjectVersionAcl", "s3:PutObjectVersionAcl", "s3:GetObjectVersionTagging", "s3:PutObjectVersionTagging",
        "s3:DeleteObjectVersionTagging", "s3:DeleteObjectVersion", "s3:GetObjectVersionAttributes",
    }), _VERSIONED),
)  # fmt: skip
