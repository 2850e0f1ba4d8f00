"""Access control lists: who is granted what on a bucket or an object, beside policies.

A list is kept as pairs ``[grantee, permission]``; the grantee is an account's canonical id or the last word of a group's URI
(``AllUsers``). An absent list (None) is the owner's full control and nothing else. Owners are remembered as accounts, not in the list:
what a list grants its own owner changes nothing, since an owner is judged by its own policies.

Of AWS's pages "Access control list (ACL) overview" and those of PutObjectAcl and PutBucketAcl. Grants by e-mail address are refused,
as AWS has refused them since October 2025.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from mallee.identity.records import accounts
from mallee.objects.records import ENFORCED, PREFERRED, Bucket
from mallee.store import Tx
from mallee.wire.errors import AwsError

READ, WRITE, READ_ACP, WRITE_ACP, FULL_CONTROL = "READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"
PERMISSIONS: Final = (FULL_CONTROL, READ, WRITE, READ_ACP, WRITE_ACP)
ALL_USERS, AUTHENTICATED, LOG_DELIVERY = "AllUsers", "AuthenticatedUsers", "LogDelivery"
PUBLIC: Final = frozenset({ALL_USERS, AUTHENTICATED})
MOST: Final = 100
"""Grants of one list."""

_GROUPS: Final = {
    ALL_USERS: "http://acs.amazonaws.com/groups/global/AllUsers",
    AUTHENTICATED: "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
    LOG_DELIVERY: "http://acs.amazonaws.com/groups/s3/LogDelivery",
}
_BY_URI: Final = {uri: name for name, uri in _GROUPS.items()}

EXEC_READ: Final = "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c"
"""The canonical id that ``aws-exec-read`` names: AWS's own, which reads bundles of images. Here it belongs to nobody."""

Grant = Sequence[str]
Grants = Sequence[Grant]

_HEADERS: Final = {
    "GrantFullControl": ("x-amz-grant-full-control", FULL_CONTROL),
    "GrantRead": ("x-amz-grant-read", READ),
    "GrantReadACP": ("x-amz-grant-read-acp", READ_ACP),
    "GrantWrite": ("x-amz-grant-write", WRITE),
    "GrantWriteACP": ("x-amz-grant-write-acp", WRITE_ACP),
}
_PAIR = re.compile(r'\s*(id|uri|emailAddress)\s*=\s*(?:"([^"]*)"|([^",\s]*))\s*', re.IGNORECASE)
_CANONICAL = re.compile(r"[0-9a-f]{64}", re.ASCII)
_OWNERS: Final = frozenset({"bucket-owner-full-control", "private"})
_CANNED: Final = frozenset({
    "private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read",
    "bucket-owner-full-control", "log-delivery-write",
})  # fmt: skip


# --------------------------------------------------------------------------------------------------------------- deciding


def allows(grants: Grants | None, permission: str, canonical_id: str, signed: bool, *, ignore_public: bool = False) -> bool:
    """Whether a list lets somebody in who is not the owner. ``canonical_id`` is the caller's account's, empty for whoever has not
    ``signed``; with ``ignore_public`` the groups of everybody count for nothing (Block Public Access)."""
    for grantee, granted in grants or ():
        if granted != permission and granted != FULL_CONTROL:
            continue
        if grantee in PUBLIC:
            if not ignore_public and (grantee == ALL_USERS or signed):
                return True
        elif canonical_id and grantee == canonical_id:
            return True
    return False


def is_public(grants: Grants | None) -> bool:
    """As Block Public Access understands it: any permission for all users, or for all who have an account."""
    return any(grantee in PUBLIC for grantee, _ in grants or ())


def owner_of_new(bucket: Bucket, writer: str, canned: str | None) -> str:
    """The account that an object belongs to which ``writer`` (an account, or nobody's) puts into a bucket."""
    theirs = bucket.ownership == ENFORCED or (bucket.ownership == PREFERRED and canned == "bucket-owner-full-control")
    return bucket.account_id if theirs else writer


# ------------------------------------------------------------------------------------------------------------ from requests


def given_in(given: Mapping[str, Any]) -> bool:
    """Whether an input bears an ACL in any form."""
    return "ACL" in given or "AccessControlPolicy" in given or any(name in given for name in _HEADERS)


def from_request(
    tx: Tx, given: Mapping[str, Any], owner: str, bucket_owner: str, *, ownership: str, of_bucket: bool = False
) -> list[list[str]] | None:
    """The list that an input asks for: a canned one, the grants of headers, or a body's. None when it asks for nothing or for the
    owner's full control alone. ``owner`` and ``bucket_owner`` are accounts; ``of_bucket``: it is a bucket's list.

    Under ``BucketOwnerEnforced`` nothing can be granted: that the bucket's owner controls everything may be said, everything else raises
    AccessControlListNotSupported. (AWS refuses ``private``, too, which says no more than that, and which older clients always say.)"""
    canned, body = given.get("ACL"), given.get("AccessControlPolicy")
    headers = [name for name in _HEADERS if name in given]
    if canned is not None and canned not in _CANNED:
        raise _invalid("", "x-amz-acl", canned)
    if canned is not None and headers:
        raise AwsError("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed", status=400)
    if body is not None and (canned is not None or headers):
        raise AwsError("UnexpectedContent", "This request does not support content", status=400)
    owner_id = accounts.canonical_id(tx, owner)
    bucket_owner_id = accounts.canonical_id(tx, bucket_owner)
    if canned is not None:
        found = _canned(canned, owner_id, bucket_owner_id, of_bucket)
    elif headers:
        found = [[who, _HEADERS[name][1]] for name in headers for who in _from_header(tx, _HEADERS[name][0], str(given[name]))]
    elif body is not None:
        found = _from_body(tx, body, owner_id)
    else:
        return None
    if len(found) > MOST:
        raise AwsError("MalformedACLError", _MALFORMED, status=400)
    if ownership == ENFORCED:
        if canned not in _OWNERS and (canned is not None or found != [[bucket_owner_id, FULL_CONTROL]]):
            raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs", status=400)
        return None
    return None if found == [[owner_id, FULL_CONTROL]] else found


def check_block(grants: Grants | None, blocked: bool) -> None:
    """Refuses a public list where BlockPublicAcls is set."""
    if blocked and is_public(grants):
        raise AwsError("AccessDenied", "Access Denied", status=403)


def _canned(name: str, owner_id: str, bucket_owner_id: str, of_bucket: bool) -> list[list[str]]:
    """AWS's canned lists; those that are about the bucket's owner say nothing on a bucket itself."""
    more: list[list[str]] = []
    match name:
        case "public-read":
            more = [[ALL_USERS, READ]]
        case "public-read-write":
            more = [[ALL_USERS, READ], [ALL_USERS, WRITE]]
        case "authenticated-read":
            more = [[AUTHENTICATED, READ]]
        case "aws-exec-read":
            more = [[EXEC_READ, READ]]
        case "log-delivery-write" if of_bucket:
            more = [[LOG_DELIVERY, WRITE], [LOG_DELIVERY, READ_ACP]]
        case "bucket-owner-read" if not of_bucket and bucket_owner_id != owner_id:
            more = [[bucket_owner_id, READ]]
        case "bucket-owner-full-control" if not of_bucket and bucket_owner_id != owner_id:
            more = [[bucket_owner_id, FULL_CONTROL]]
    return [[owner_id, FULL_CONTROL], *more]


def _from_header(tx: Tx, name: str, text: str) -> Iterable[str]:
    """``id="…", uri="…"``: whom a header grants its permission."""
    at, found = 0, []
    while True:
        pair = _PAIR.match(text, at)
        if pair is None:
            raise _invalid("Argument format not recognized", name, text)
        value = pair[2] if pair[2] is not None else pair[3]
        found.append(_grantee(tx, pair[1].lower(), value, name))
        at = pair.end()
        if at == len(text):
            return found
        if text[at] != "," or len(found) > MOST:
            raise _invalid("Argument format not recognized", name, text)
        at += 1


def _grantee(tx: Tx, kind: str, value: str, name: str) -> str:
    if kind == "emailaddress":
        raise _by_email(value)
    if kind == "uri":
        if value not in _BY_URI:
            raise _invalid("Invalid group uri", "uri" if name.startswith("x-amz") else name, value)
        return _BY_URI[value]
    if value != EXEC_READ and (not _CANONICAL.fullmatch(value) or accounts.account_by_canonical_id(tx, value) is None):
        raise _invalid("Invalid id", "id" if name.startswith("x-amz") else name, value)
    return value


def _from_body(tx: Tx, body: Mapping[str, Any], owner_id: str) -> list[list[str]]:
    owner = body.get("Owner")
    if owner is None or not owner.get("ID"):
        raise AwsError("MalformedACLError", _MALFORMED, status=400)
    if owner["ID"] != owner_id:
        known = _CANONICAL.fullmatch(owner["ID"]) and accounts.account_by_canonical_id(tx, owner["ID"]) is not None
        if not known:
            raise _invalid("Invalid id", "CanonicalUser/ID", owner["ID"])
        raise AwsError("AccessDenied", "Access Denied", status=403)  # nobody gives away what it owns
    grants = body.get("Grants") or []
    if len(grants) > MOST:
        raise AwsError("MalformedACLError", _MALFORMED, status=400)
    found = []
    for grant in grants:
        grantee, permission = grant.get("Grantee"), grant.get("Permission")
        if grantee is None or permission not in PERMISSIONS:
            raise AwsError("MalformedACLError", _MALFORMED, status=400)
        found.append([_of_body(tx, grantee), permission])
    return found


def _of_body(tx: Tx, grantee: Mapping[str, Any]) -> str:
    match grantee.get("Type"):
        case "CanonicalUser" if grantee.get("ID"):
            return _grantee(tx, "id", grantee["ID"], "CanonicalUser/ID")
        case "Group" if grantee.get("URI"):
            return _grantee(tx, "uri", grantee["URI"], "Group/URI")
        case "AmazonCustomerByEmail" if grantee.get("EmailAddress"):
            raise _by_email(grantee["EmailAddress"])
    raise AwsError("MalformedACLError", _MALFORMED, status=400)


_MALFORMED = "The XML you provided was not well-formed or did not validate against our published schema"


def _by_email(address: str) -> AwsError:
    """No account here has an address that it could be found by."""
    text = "The e-mail address you provided does not match any account on record."
    return AwsError("UnresolvableGrantByEmailAddress", text, status=400, EmailAddress=address)


def _invalid(message: str, name: str, value: str) -> AwsError:
    return AwsError("InvalidArgument", message, status=400, ArgumentName=name, ArgumentValue=value)


# ---------------------------------------------------------------------------------------------------------------- telling


def owner(tx: Tx, account_id: str) -> dict[str, str]:
    """An account as ``Owner`` and ``Initiator`` members name it."""
    found = accounts.account(tx.everyone(), account_id) if account_id else None
    if found is None:
        return {"ID": accounts.canonical_id(tx, account_id)}
    return {"ID": found.canonical_id, "DisplayName": found.display_name}


def described(tx: Tx, grants: Grants | None, account_id: str) -> dict[str, Any]:
    """A list as the model has it: ``Owner`` and ``Grants``."""
    whose = owner(tx, account_id)
    shown = grants if grants is not None else [[whose["ID"], FULL_CONTROL]]
    return {"Owner": whose, "Grants": [{"Grantee": _told(tx, who, whose), "Permission": granted} for who, granted in shown]}


def _told(tx: Tx, grantee: str, whose: Mapping[str, str]) -> dict[str, str]:
    if grantee in _GROUPS:
        return {"Type": "Group", "URI": _GROUPS[grantee]}
    if grantee == whose["ID"]:
        return {"Type": "CanonicalUser", **whose}
    found = accounts.account_by_canonical_id(tx, grantee)
    named = {} if found is None else {"DisplayName": found.display_name}
    return {"Type": "CanonicalUser", "ID": grantee, **named}


Granted = Callable[[], bool]
