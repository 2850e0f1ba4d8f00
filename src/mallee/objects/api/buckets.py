"""CreateBucket, ListBuckets, HeadBucket, GetBucketLocation, DeleteBucket."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from mallee.identity import quotas
from mallee.identity.call import Call, Outside, prepared_by
from mallee.objects import access, acl, buckets, kinds, lookup, points, public_access, records, store
from mallee.objects.index import buckets as index
from mallee.objects.quotas import BUCKETS
from mallee.objects.records import Bucket
from mallee.objects.rules import locations, names, tags
from mallee.objects.rules.refusals import denied, invalid
from mallee.wire.errors import AwsError

ACCESS = {
    "create_bucket": access.creating(),
    "list_buckets": access.account("s3:ListAllMyBuckets"),
    "head_bucket": access.heading(),
    "get_bucket_location": access.bucket("s3:GetBucketLocation"),
    "delete_bucket": access.bucket("s3:DeleteBucket"),
}

_PAGE = 10_000


def create_bucket(call: Call) -> dict[str, Any]:
    """A new bucket has what AWS's have since April 2023, unless the cloud's settings say otherwise: its owner owns what is in it, and
    nothing of it is public. Repeating it is an error everywhere but in us-east-1, where only the ACL is set anew."""
    given, name = call.input, call.input["Bucket"]
    wanted = given.get("CreateBucketConfiguration") or {}
    _check_name(call, name)
    if "Location" in wanted or "Bucket" in wanted:
        told = "A header or element you provided implies functionality that is not implemented: Mallee does not have directory buckets."
        raise AwsError("NotImplemented", told, status=501)
    locations.check(wanted.get("LocationConstraint"), call.region, call.settings.signing_regions)
    tagged = tags.from_set(wanted.get("Tags", ()), tags.MOST_OF_BUCKET)
    ownership = given.get("ObjectOwnership", call.settings.objects_ownership)
    blocks = call.settings.objects_block_public_access
    grants = _grants(call, ownership, blocks)
    found = records.bucket(call.tx, name)
    if found is not None:
        return _again(call, found, grants)
    if points.resolve(call.tx, name) is not None:  # whose host this would take
        raise _taken(name)
    quotas.require(call, BUCKETS, error=_too_many)
    locked = bool(given.get("ObjectLockEnabledForBucket"))
    made = records.add_bucket(
        call.tx,
        name,
        call.account_id,
        object_lock=locked,
        versioning=records.ENABLED if locked else records.NEVER,
        ownership=ownership,
        grants=grants,
    )
    if made is None:
        raise _taken(name)
    if blocks:
        records.configure(call.tx, made, kinds.PUBLIC_ACCESS_BLOCK, dict.fromkeys(public_access.SETTINGS, True))
    if tagged:
        records.configure(call.tx, made, kinds.TAGGING, {"TagSet": tags.to_set(tagged)})
    lookup.forget_after(call.tx, name)
    return {"Location": f"/{name}"}


def _grants(call: Call, ownership: str, blocks: bool) -> list[list[str]] | None:
    """The new bucket's ACL, in the words that CreateBucket has for those that it cannot have."""
    try:
        grants = acl.from_request(
            call.tx, call.input, call.account_id, call.account_id, ownership=ownership, of_bucket=True
        )  # fmt: skip
    except AwsError as refusal:
        if refusal.code != "AccessControlListNotSupported":
            raise
        if call.input.get("ACL") == "private":
            return None  # refused of buckets that are there, and not of new ones
        told = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
        raise AwsError("InvalidBucketAclWithObjectOwnership", told, status=400, BucketName=call.input["Bucket"]) from None
    if acl.is_public(grants) and (blocks or public_access.BLOCK_ACLS in public_access.of_account(call.tx, call.account_id)):
        told = "Bucket cannot have public ACLs set with BlockPublicAccess enabled"
        raise AwsError("InvalidBucketAclWithBlockPublicAccessError", told, status=400, BucketName=call.input["Bucket"])
    return grants


def _check_name(call: Call, name: str) -> None:
    """Names of the form ``<prefix>-<account>-<region>-an`` are for that account alone, and only where it says so."""
    regional = call.input.get("BucketNamespace") == "account-regional"
    ours = names.is_regional(name, call.account_id, call.region)
    if not names.is_bucket(name) or (regional and not ours) or (not regional and names.looks_regional(name)):
        raise AwsError("InvalidBucketName", "The specified bucket is not valid.", status=400, BucketName=name)


def _again(call: Call, found: Bucket, grants: list[list[str]] | None) -> dict[str, Any]:
    if found.account_id != call.account_id or found.internal:
        raise _taken(found.name)
    if call.region != locations.CLASSIC:
        told = "Your previous request to create the named bucket succeeded and you already own it."
        raise AwsError("BucketAlreadyOwnedByYou", told, status=409, BucketName=found.name)
    if found.ownership != records.ENFORCED:
        records.change_bucket(call.tx, found, grants=grants)
        lookup.forget_after(call.tx, found.name)
    return {"Location": f"/{found.name}"}


def _taken(name: str) -> AwsError:
    told = (
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
        "Please select a different name and try again."
    )
    return AwsError("BucketAlreadyExists", told, status=409, BucketName=name)


def _too_many(limit: int) -> AwsError:
    return AwsError("TooManyBuckets", "You have attempted to create more buckets than allowed", status=400)


def list_buckets(call: Call) -> dict[str, Any]:
    """The account's own, by name. Where each is stands there once anything narrows the list, as with AWS."""
    given = call.input
    prefix, after = given.get("Prefix", ""), _from_token(given.get("ContinuationToken"))
    most = given.get("MaxBuckets", _PAGE if "ContinuationToken" in given else None)
    if most is not None and not 1 <= most <= _PAGE:
        raise invalid("Argument max-buckets must be an integer between 1 and 10000", "max-buckets", str(most))
    here = given.get("BucketRegion", call.region) in (call.region, *call.settings.signing_regions)
    found = [
        each
        for each in (records.buckets_of(call.tx, call.account_id) if here else [])
        if not each.internal and each.name.startswith(prefix) and each.name > after
    ]
    page = found if most is None else found[:most]
    narrowed = any(name in given for name in ("MaxBuckets", "ContinuationToken", "Prefix", "BucketRegion"))
    return {
        "Buckets": [
            {"Name": each.name, "CreationDate": each.created_at, "BucketRegion": call.region if narrowed else None} for each in page
        ],
        "Owner": acl.owner(call.tx, call.account_id),
        "Prefix": given.get("Prefix"),
        "ContinuationToken": _token(page[-1].name) if len(page) < len(found) else None,
    }


def _token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode("ascii")


def _from_token(token: str | None) -> str:
    if token is None:
        return ""
    try:
        return base64.b64decode(token.encode(), b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise invalid("The continuation token provided is incorrect", "continuation-token") from None


def head_bucket(call: Call) -> dict[str, Any]:
    found = lookup.bucket(call)
    buckets.expect_owner(call, found)
    return {"BucketRegion": call.region, "AccessPointAlias": found.access_point is not None}


def get_bucket_location(call: Call) -> dict[str, Any]:
    buckets.the_bucket(call)
    return {"LocationConstraint": locations.told(call.region)}


def _closed(call: Call) -> Outside:
    """The index closes the bucket first, if it is empty: nothing comes into it between here and the removal of its row, and whoever
    repeats a removal that was cut off in between finds it closed and goes on."""
    found = buckets.the_bucket(call)
    if found.internal:
        raise denied()
    if points.has_any(call.tx, found):
        told = "The bucket you tried to delete has access points attached. Delete your access points and try again."
        raise AwsError("BucketHasAccessPointsAttached", told, status=400, BucketName=found.name)
    kept = store.of(call).index
    return Outside(lambda: found.id if kept.run(lambda tx: index.close(tx, found.id)) else None)


@prepared_by(_closed)
def delete_bucket(call: Call) -> None:
    found = buckets.the_bucket(call)
    if call.prepared is None:
        raise AwsError("BucketNotEmpty", "The bucket you tried to delete is not empty", status=409, BucketName=found.name)
    if found.id != call.prepared:  # meanwhile somebody else removed it and made it anew
        raise lookup.no_such_bucket(found.name)
    records.remove_bucket(call.tx, found)
    lookup.forget_after(call.tx, found.name)
