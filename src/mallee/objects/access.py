"""Who may do what in S3: what its operations are checked against, as the ``ACCESS`` of their modules says it.

    ACCESS = {
        "get_bucket_cors": access.bucket("GetBucketCORS"),
        "list_objects_v2": access.listing("ListBucket", acl=READ),
        "get_object": access.object_("GetObject", "GetObjectVersion", acl=READ),
        "put_object": access.writing(),
        "copy_object": access.copying(),
        "delete_object": access.deleting(),
        "list_buckets": access.account("ListAllMyBuckets"),
    }

Buckets are global: anybody may name any, and that one exists is no secret (NoSuchBucket, 404); what is in it is. A call is decided in
the order of AWS's "How Amazon S3 authorizes a request":

1. A Deny anywhere denies: in the caller's policies, and in the bucket's.
2. To callers of the account that owns the thing its own policies are enough, or the bucket's policy.
3. Others need both: their own account's policies, and the owner's consent, which is the bucket's policy or an ACL. Nobody (ANONYMOUS)
   needs the owner's consent alone.
4. What belongs to another account than the bucket (objects of other writers, where ACLs are on) is let out by its own owner and its own
   ACL; the bucket's policy may deny it and not allow it. To remove it, and what is not in an ACL's power, stays the bucket's owner's.
5. Block Public Access withholds what ACLs grant to everybody, and from all other accounts a bucket whose policy is public.
6. Who comes by an access point must be let through by it, too (``points``).
7. Where the bucket's owner owns everything (BucketOwnerEnforced) ACLs count for nothing.

Most calls are of the account whose bucket it is, the bucket has no policy, and the caller may do it to everything: those are let through
without a question. What only the object can tell (its tags, its owner, its ACL) is read from the index when a policy or step 4 asks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from mallee.identity import authorize
from mallee.identity.access import Access, Check, On, ResourceType, Values
from mallee.identity.call import Call
from mallee.identity.records import accounts
from mallee.identity.resources import passing
from mallee.objects import acl as acls
from mallee.objects import buckets, condition_keys, kinds, lookup, points, public_access, replicating
from mallee.objects.condition_keys import Keys
from mallee.objects.points import AccessPoint
from mallee.objects.records import ENFORCED, Bucket
from mallee.objects.rules.copy_source import Source, renamed, source
from mallee.objects.rules.refusals import denied
from mallee.objects.target import NOBODYS, Target
from mallee.wire.errors import AwsError

READ, WRITE, READ_ACP, WRITE_ACP = acls.READ, acls.WRITE, acls.READ_ACP, acls.WRITE_ACP

BUCKET: Final = ResourceType("bucket", "arn:{partition}:s3:::{id}")
OBJECT: Final = ResourceType("object", lambda call, key, thing: call.arn(f"{call.input['Bucket']}/{key}", "s3"))

_ON_BUCKET = On(BUCKET, "Bucket")
_ON_OBJECT = On(OBJECT, "Key")
_INTERNAL = ("s3:Get", "s3:List")  # what the owner of one of Mallee's own buckets may do with it

_BY_ACL: Final = {
    "s3:ListBucket": READ, "s3:ListBucketVersions": READ, "s3:ListBucketMultipartUploads": READ, "s3:GetBucketAcl": READ_ACP,
    "s3:PutBucketAcl": WRITE_ACP, "s3:GetObject": READ, "s3:GetObjectVersion": READ, "s3:GetObjectTorrent": READ,
    "s3:GetObjectAcl": READ_ACP, "s3:GetObjectVersionAcl": READ_ACP, "s3:PutObjectAcl": WRITE_ACP, "s3:PutObjectVersionAcl": WRITE_ACP,
}  # fmt: skip
"""The permission of an ACL that stands for an action (S3 user guide, "Mapping of ACL permissions and access policy permissions")."""

_OWN_POLICY = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})
"""A bucket's policy cannot shut its owner's root out of these, and nobody of another account may do them, whatever it says."""


def account(action: str) -> Access:
    """What is asked of the account as a whole: ListAllMyBuckets."""
    name = _name(action)

    def find(call: Call) -> Iterable[Check]:
        yield Check(name, "*", Keys(call, condition_keys.ACCOUNT))

    return Access(find=find, action=name, actions=lambda call: (name,), plain=_signed)


def creating() -> Access:
    """CreateBucket, with what its headers ask for besides."""

    def actions(call: Call) -> tuple[str, ...]:
        given, found = call.input, ["s3:CreateBucket"]
        if given.get("ACL", "private") != "private" or any(name.startswith("Grant") for name in given):
            found.append("s3:PutBucketAcl")
        if given.get("ObjectLockEnabledForBucket"):
            found += ["s3:PutBucketVersioning", "s3:PutBucketObjectLockConfiguration"]
        if "ObjectOwnership" in given:
            found.append("s3:PutBucketOwnershipControls")
        if (given.get("CreateBucketConfiguration") or {}).get("Tags"):
            found.append("s3:PutBucketTagging")
        return tuple(found)

    def find(call: Call) -> Iterable[Check]:
        resource = call.arn(call.input["Bucket"], "s3")
        for name in actions(call):
            yield Check(name, resource, Keys(call, condition_keys.of(name)))

    return Access(_ON_BUCKET, find=find, action="s3:CreateBucket", actions=actions, plain=_signed)


def bucket(action: str, acl: str | None = None, *, passes: Callable[[Call], str | None] | None = None) -> Access:
    """On the bucket that the input names. ``acl``: the permission of the bucket's ACL that allows it to other accounts, if it is not the
    action's usual one; ``passes``: the ARN of a role that the request hands to S3, which is asked about too."""
    name = _name(action)
    acl = acl or _BY_ACL.get(name)

    def find(call: Call) -> Iterator[Check]:
        found = the_bucket(call)
        yield on_bucket(call, found, name, acl)
        if name in _OWN_POLICY and call.account_id != found.account_id:
            raise AwsError("MethodNotAllowed", "The specified method is not allowed against this resource.", status=405)
        role = None if passes is None else passes(call)
        if role is not None:
            yield passing(call, role.rpartition("/")[2], "s3.amazonaws.com")

    asked = (name,) if passes is None else (name, "iam:PassRole")
    return Access(_ON_BUCKET, find=find, action=name, actions=lambda call: asked, plain=_is_plain)


def listing(action: str, acl: str | None = None) -> Access:
    """ListBucket, ListBucketVersions, ListBucketMultipartUploads."""
    return bucket(action, acl)


def heading() -> Access:
    """HeadBucket: also who is refused is told where the bucket is, as clients ask it for just that."""
    name = "s3:ListBucket"

    def find(call: Call) -> Iterator[Check]:
        found = lookup.bucket(call)
        try:
            buckets.expect_owner(call, found)
            asked = on_bucket(call, found, name, READ)
            authorize.check(call, asked)
        except AwsError as refusal:
            refusal.headers += ((b"x-amz-bucket-region", call.region.encode()),)
            raise
        yield asked

    return Access(_ON_BUCKET, find=find, action=name, actions=lambda call: (name,), plain=_is_plain)


def object_(action: str, version_action: str | None = None, acl: str | None = None, *, also: tuple[str, ...] = ()) -> Access:
    """On the object that the input names; ``version_action`` is asked instead where it names a version. ``acl``: the permission of the
    object's own ACL that allows it, if it is not the action's usual one: then the object's owner decides, not the bucket's. ``also``:
    pairs of further actions, of the latest and of a version (GetObjectAttributes is a GetObject, too)."""
    plain_names = (_name(action), *(_name(each) for each in also[::2]))
    version_names = (_name(version_action or action), *(_name(each) for each in also[1::2]))
    acl = acl or _BY_ACL.get(plain_names[0])

    def actions(call: Call) -> tuple[str, ...]:
        return version_names if "VersionId" in call.input else plain_names

    def find(call: Call) -> Iterator[Check]:
        found, given = the_bucket(call), call.input
        target = Target(call, found, given["Key"], given.get("VersionId"))
        for name in actions(call):
            yield on_object(call, target, name, acl)
        if given.get("BypassGovernanceRetention"):
            yield on_object(call, target, _BYPASS)

    plain = _is_plain if acl is None else _is_plain_object
    return Access(_ON_OBJECT, find=find, action=plain_names[0], actions=_bypassing(actions), plain=plain)


def upload(action: str) -> Access:
    """ListMultipartUploadParts and AbortMultipartUpload: whoever began the upload may, from another account as well."""
    name = _name(action)

    def find(call: Call) -> Iterable[Check]:
        target = Target(call, the_bucket(call), call.input["Key"])
        yield _asked(
            call, target.bucket, name, target.resource, target=target, granted=lambda: target.is_uploader(call.input["UploadId"])
        )

    return Access(_ON_OBJECT, find=find, action=name, actions=lambda call: (name,), plain=_is_plain)


def writing(action: str = "PutObject") -> Access:
    """PutObject, CreateMultipartUpload, UploadPart, CompleteMultipartUpload: into the bucket, with what the headers ask for besides."""
    name = _name(action)

    def actions(call: Call) -> tuple[str, ...]:
        return (name, *_asked_by_headers(call.input), *_asked_of_replica(call, "s3:ReplicateObject"))

    def find(call: Call) -> Iterator[Check]:
        target = Target(call, the_bucket(call), call.input["Key"])
        for each in (name, *_asked_by_headers(call.input)):
            yield put(call, target, each)
        for each in _asked_of_replica(call, "s3:ReplicateObject"):
            yield on_object(call, target, each)

    return Access(_ON_OBJECT, find=find, action=name, actions=actions, plain=_is_plain)


def copying(*, part: bool = False) -> Access:
    """CopyObject and (``part``) UploadPartCopy: GetObject on the source, PutObject on what becomes of it."""

    def actions(call: Call) -> tuple[str, ...]:
        given = call.input
        read = _GET_VERSION if "?versionId=" in given["CopySource"] else _GET
        if part:
            return ("s3:PutObject", read)
        tags = (
            ()
            if given.get("TaggingDirective") == "REPLACE"
            else ("s3:GetObjectTagging", "s3:GetObjectVersionTagging", _PUT_TAGGING)
        )
        return ("s3:PutObject", read, *tags, *_asked_by_headers(given))

    def find(call: Call) -> Iterator[Check]:
        given = call.input
        target = Target(call, the_bucket(call), given["Key"])
        yield put(call, target, "s3:PutObject")
        copied = the_source(call)
        yield on_object(call, copied, _GET if copied.version_id is None else _GET_VERSION, READ)
        for each in _asked_by_headers(given):
            yield put(call, target, each)
        if not part and given.get("TaggingDirective") != "REPLACE" and copied.tags:
            yield on_object(call, copied, "s3:GetObjectTagging" if copied.version_id is None else "s3:GetObjectVersionTagging")
            asked = put(call, target, _PUT_TAGGING)
            yield dataclasses.replace(asked, keys={**asked.keys, **condition_keys.tags_given(copied.tags)})

    def plain(call: Call) -> bool:
        if not _is_plain(call):
            return False
        found = lookup.named(call.tx, _source(call).bucket)
        return found is not None and _nobody_else(call, found, "ExpectedSourceBucketOwner") and found.ownership == ENFORCED

    return Access(_ON_OBJECT, find=find, action="s3:PutObject", actions=actions, plain=plain)


def renaming() -> Access:
    """RenameObject: it reads and removes the one and writes the other, both in one bucket."""
    names = ("s3:PutObject", _GET, "s3:DeleteObject")

    def find(call: Call) -> Iterator[Check]:
        found = the_bucket(call)
        yield put(call, Target(call, found, call.input["Key"]), "s3:PutObject")
        old = Target(call, found, renamed(call.input["RenameSource"], found.name).key)
        yield on_object(call, old, _GET, READ)
        yield remove(call, old, "s3:DeleteObject")

    return Access(_ON_OBJECT, find=find, action="s3:PutObject", actions=lambda call: names, plain=_is_plain_object)


def deleting() -> Access:
    """DeleteObject."""

    def actions(call: Call) -> tuple[str, ...]:
        name = "s3:DeleteObjectVersion" if "VersionId" in call.input else "s3:DeleteObject"
        found = (name, *_asked_of_replica(call, "s3:ReplicateDelete"))
        return (*found, _GET) if _compares(call.input.get("IfMatch")) else found

    def find(call: Call) -> Iterator[Check]:
        given = call.input
        target = Target(call, the_bucket(call), given["Key"], given.get("VersionId"))
        yield from removals(call, target, given.get("IfMatch"))
        for each in _asked_of_replica(call, "s3:ReplicateDelete"):
            yield on_object(call, target, each)

    return Access(_ON_OBJECT, find=find, action="s3:DeleteObject", actions=_bypassing(actions), plain=_is_plain)


def _asked_of_replica(call: Call, action: str) -> tuple[str, ...]:
    """What another cloud's replication needs besides (``replicating``)."""
    return (action,) if replicating.is_replica(call) else ()


def several() -> Access:
    """DeleteObjects: anybody may call it, and each key of it is asked about by itself (``refusals``)."""
    return Access(find=lambda call: (), action="s3:DeleteObject", actions=lambda call: (), plain=lambda call: True)


_GET, _GET_VERSION, _PUT_TAGGING, _BYPASS = (
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:PutObjectTagging",
    "s3:BypassGovernanceRetention",
)


def _name(action: str) -> str:
    return action if ":" in action else f"s3:{action}"


def _bypassing(actions: Callable[[Call], tuple[str, ...]]) -> Callable[[Call], tuple[str, ...]]:
    def more(call: Call) -> tuple[str, ...]:
        return (*actions(call), _BYPASS) if call.input.get("BypassGovernanceRetention") else actions(call)

    return more


def _asked_by_headers(given: dict[str, Any]) -> list[str]:
    """The actions that a request to write needs for what its headers set on the new object."""
    found = []
    if "ACL" in given or any(name.startswith("Grant") for name in given):
        found.append("s3:PutObjectAcl")
    if given.get("Tagging"):
        found.append(_PUT_TAGGING)
    if "ObjectLockMode" in given or "ObjectLockRetainUntilDate" in given:
        found.append("s3:PutObjectRetention")
    if "ObjectLockLegalHoldStatus" in given:
        found.append("s3:PutObjectLegalHold")
    return found


# ------------------------------------------------------------------------------------------------------------- what is certain


def _signed(call: Call) -> bool:
    return bool(call.account_id)


def _is_plain(call: Call) -> bool:
    """Whether the bucket is the caller's account's, and nothing but that account's policies speaks about it."""
    found = lookup.named(call.tx, call.input["Bucket"])
    return found is not None and _nobody_else(call, found, "ExpectedBucketOwner")


def _is_plain_object(call: Call) -> bool:
    """And all objects in it are the bucket's owner's."""
    found = lookup.named(call.tx, call.input["Bucket"])
    return found is not None and found.ownership == ENFORCED and _nobody_else(call, found, "ExpectedBucketOwner")


def _nobody_else(call: Call, found: Bucket, expected: str) -> bool:
    return (
        found.account_id == call.principal.account_id
        and found.policy is None
        and found.access_point is None
        and not found.internal
        and (expected not in call.input or call.input[expected] == found.account_id)
    )


# ------------------------------------------------------------------------------------------------------------------- questions


def the_bucket(call: Call, member: str = "Bucket") -> Bucket:
    """The bucket that the input names, if it is whose it is expected to be."""
    found = lookup.bucket(call, member)
    buckets.expect_owner(call, found)
    return found


def the_source(call: Call) -> Target:
    """What a request copies from."""
    named = _source(call)
    found = lookup.existing(call.tx, named.bucket)
    buckets.expect_owner(call, found, "ExpectedSourceBucketOwner")
    return Target(call, found, named.key, named.version_id)


def _source(call: Call) -> Source:
    return source(call.input["CopySource"])


def on_bucket(call: Call, found: Bucket, action: str, acl: str | None = None) -> Check:
    granted = None if acl is None else _granted_by_bucket(call, found, acl)
    return _asked(call, found, action, call.arn(found.name, "s3"), granted=granted)


def on_object(call: Call, target: Target, action: str, acl: str | None = None) -> Check:
    """The action on an object. With ``acl`` the object's owner decides, who is another than the bucket's only where ACLs are on."""
    found = target.bucket
    if acl is None or found.ownership == ENFORCED:
        return _asked(call, found, action, target.resource, target=target)
    permission = acl

    def granted() -> bool:
        if target.version is None or target.version.deleted:  # there is nothing to read: whoever may list learns that
            return may(call, found, "s3:ListBucket", READ)
        return _lists(call, found, target.version.attributes.get("acl"), permission)

    return _asked(call, found, action, target.resource, target=target, owner=target.owner, granted=granted)


def put(call: Call, target: Target, action: str) -> Check:
    """What makes a new object: the bucket's ACL lets other accounts in (WRITE)."""
    granted = _granted_by_bucket(call, target.bucket, WRITE)
    return _asked(call, target.bucket, action, target.resource, target=target, granted=granted)


def removals(call: Call, target: Target, match: str | None = None) -> Iterator[Check]:
    """``match``: the ETag that it must have, which it takes a reader to compare."""
    yield remove(call, target, "s3:DeleteObject" if target.version_id is None else "s3:DeleteObjectVersion")
    if _compares(match):
        yield on_object(call, target, _GET, READ)
    if call.input.get("BypassGovernanceRetention"):
        yield on_object(call, target, _BYPASS)


def _compares(match: str | None) -> bool:
    return match is not None and match.strip() != "*"


def remove(call: Call, target: Target, action: str) -> Check:
    """The bucket's ACL lets others remove what is their own (WRITE)."""
    listed = _granted_by_bucket(call, target.bucket, WRITE)
    granted = None if listed is None else lambda: target.owner == (call.account_id or NOBODYS) and listed()
    return _asked(call, target.bucket, action, target.resource, target=target, granted=granted)


def _asked(
    call: Call,
    found: Bucket,
    action: str,
    resource: str,
    *,
    target: Target | None = None,
    owner: str = "",
    granted: acls.Granted | None = None,
) -> Check:
    caller = call.principal
    owner = owner or found.account_id
    foreign, policy, speaks = caller.account_id != found.account_id, found.policy, owner == found.account_id
    if found.internal and (foreign or not action.startswith(_INTERNAL)):
        raise denied()
    if foreign and not _pays(call, found):
        raise denied()
    if policy is not None:
        if caller.kind == "root" and not foreign and action in _OWN_POLICY:
            policy = None
        elif (
            foreign and public_access.RESTRICT in public_access.blocked(call.tx, found) and public_access.is_public_policy(policy)
        ):
            speaks, granted = False, None
            owner = found.account_id
    keys: Mapping[str, Values | Callable[[], Values]] = Keys(call, condition_keys.of(action), found, target)
    if found.access_point is not None:
        keys = {**keys, **points.keys(call, found.access_point)}
        _let_in(call, found.access_point, found, action, keys, target)
    return Check(
        action,
        resource,
        keys,
        policy=policy,
        owner="" if owner == caller.account_id else owner,
        granted=granted,
        speaks=speaks,
        canonical_id="" if policy is None else _canonical_id(call),
    )


def _let_in(
    call: Call,
    point: AccessPoint,
    found: Bucket,
    action: str,
    keys: Mapping[str, Values | Callable[[], Values]],
    target: Target | None,
) -> None:
    """Raises unless the access point lets the request through: then it is the bucket's turn."""
    if point.vpc_id is not None and call.source_vpc != point.vpc_id:
        raise denied()
    foreign, policy = call.account_id != point.account_id, point.policy
    if foreign and policy is not None and public_access.RESTRICT in public_access.blocked(call.tx, found):
        policy = None if public_access.is_public_policy(policy) else policy
    resource = point.arn(call) if target is None else f"{point.arn(call)}/object/{target.key}"
    owner = point.account_id if foreign else ""
    canonical_id = "" if policy is None else _canonical_id(call)
    authorize.check(call, Check(action, resource, keys, policy=policy, owner=owner, canonical_id=canonical_id))


def _pays(call: Call, found: Bucket) -> bool:
    """Whether a caller of another account takes the costs upon itself where the bucket's owner leaves them to others. Nobody cannot.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/RequesterPaysBuckets.html"""
    payment = found.configuration(kinds.REQUEST_PAYMENT)
    if payment is None or payment.get("Payer") != "Requester":
        return True
    return bool(call.account_id) and (call.header(b"x-amz-request-payer") or b"").lower() == b"requester"


def _granted_by_bucket(call: Call, found: Bucket, permission: str) -> acls.Granted | None:
    if found.ownership == ENFORCED or found.grants is None:
        return None
    return lambda: _lists(call, found, found.grants, permission)


def _lists(call: Call, found: Bucket, grants: acls.Grants | None, permission: str) -> bool:
    if grants is None:
        return False
    ignored = acls.is_public(grants) and public_access.IGNORE_ACLS in public_access.blocked(call.tx, found)
    signed = bool(call.account_id)
    return acls.allows(grants, permission, _canonical_id(call), signed, ignore_public=ignored)


def _canonical_id(call: Call) -> str:
    """Empty for nobody."""
    return accounts.canonical_id(call.tx, call.account_id) if call.account_id else ""


# ------------------------------------------------------------------------------------------------------------- for the handlers


def may(call: Call, found: Bucket, action: str, acl: str | None = None) -> bool:
    """Whether the caller may do that to the bucket, besides what it does."""
    return authorize.allowed(call, on_bucket(call, found, _name(action), acl)).allowed


def may_object(call: Call, found: Bucket, key: str, action: str, version_id: str | None = None, acl: str | None = None) -> bool:
    return authorize.allowed(call, on_object(call, Target(call, found, key, version_id), _name(action), acl)).allowed


def missing_key_error(call: Call, found: Bucket, key: str | None = None) -> AwsError:
    """For a key that is not there: only who may list the bucket learns that."""
    if not may(call, found, "s3:ListBucket", READ):
        return denied()
    return AwsError("NoSuchKey", "The specified key does not exist.", status=404, Key=call.input["Key"] if key is None else key)


def refusals(call: Call, found: Bucket) -> Callable[[str, str | None, str | None], AwsError | None]:
    """For DeleteObjects: what says of each key, version and ETag to be compared why the caller may not remove it, or None."""
    asked = (
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        _GET,
        *((_BYPASS,) if call.input.get("BypassGovernanceRetention") else ()),
    )
    plain = _nobody_else(call, found, "ExpectedBucketOwner") and found.ownership == ENFORCED
    if plain and all(authorize.certain(call, action) for action in asked):
        return lambda key, version_id, match: None

    def refusal(key: str, version_id: str | None, match: str | None) -> AwsError | None:
        try:
            for each in removals(call, Target(call, found, key, version_id, match), match):
                authorize.check(call, each)
        except AwsError as error:
            return error
        return None

    return refusal


def bypasses(call: Call, found: Bucket, key: str, version_id: str | None = None) -> bool:
    """Whether the request asks to overrule a retention in governance mode, and may."""
    if not call.input.get("BypassGovernanceRetention"):
        return False
    return may_object(call, found, key, _BYPASS, version_id)
