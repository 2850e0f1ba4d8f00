"""Access points: further names of buckets, each with a policy of its own."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from mallee.identity import quotas
from mallee.identity.call import Call
from mallee.objects import lookup, points, policies, public_access, records
from mallee.objects.control import on_account, on_point, own_account, the_point
from mallee.objects.points import ACCESS_POINTS, AccessPoint
from mallee.objects.quotas import POINTS
from mallee.objects.rules import names
from mallee.objects.rules.refusals import bad_request, denied, invalid
from mallee.wire.errors import AwsError

ACCESS = {
    "create_access_point": on_point("s3:CreateAccessPoint"),
    "get_access_point": on_account("s3:GetAccessPoint"),
    "list_access_points": on_account("s3:ListAccessPoints"),
    "delete_access_point": on_point("s3:DeleteAccessPoint"),
    "get_access_point_policy": on_point("s3:GetAccessPointPolicy"),
    "get_access_point_policy_status": on_point("s3:GetAccessPointPolicyStatus"),
    "put_access_point_policy": on_point("s3:PutAccessPointPolicy"),
    "delete_access_point_policy": on_point("s3:DeleteAccessPointPolicy"),
}

_PAGE = 1000


def create_access_point(call: Call) -> dict[str, Any]:
    """Its public access block is on unless the request says otherwise. A bucket of another account is named with that account."""
    given, account_id = call.input, own_account(call)
    name = given["Name"]
    if not names.is_access_point(name):
        raise bad_request("Your Amazon S3 AccessPoint name is invalid")
    if "Scope" in given or given.get("Tags"):
        told = "A header or element you provided implies functionality that is not implemented: Mallee's access points have no scope and no tags."
        raise AwsError("NotImplemented", told, status=501)
    found = lookup.named(call.tx, given["Bucket"])
    if found is None or found.access_point is not None or found.internal:
        raise bad_request("Amazon S3 AccessPoint can only be created for existing bucket")
    if found.account_id != given.get("BucketAccountId", account_id):
        raise denied()
    if records.bucket(call.tx, points.host(name, account_id)) is not None:  # it would be asked in the access point's place
        raise bad_request("Your Amazon S3 AccessPoint name is invalid")
    quotas.require(call, POINTS, error=_too_many)
    if points.access_point(call.tx, account_id, name) is not None:
        told = "Your previous request to create the named accesspoint succeeded and you already own it."
        raise AwsError("AccessPointAlreadyOwnedByYou", told, status=409)
    blocks = given.get("PublicAccessBlockConfiguration")
    alias = points.new_alias(name)
    call.tx.insert(
        ACCESS_POINTS,
        alias=alias,
        name=name,
        account_id=account_id,
        bucket=found.name,
        bucket_id=found.id,
        bucket_account_id=found.account_id,
        created_at=call.now,
        vpc_id=(given.get("VpcConfiguration") or {}).get("VpcId"),
        blocks={each: True if blocks is None else bool(blocks.get(each)) for each in public_access.SETTINGS},
        policy=None,
    )
    return {"AccessPointArn": the_point(call).arn(call), "Alias": alias}


def _too_many(limit: int) -> AwsError:
    return AwsError("TooManyAccessPoints", "You have attempted to create more access points than allowed", status=400)


def get_access_point(call: Call) -> dict[str, Any]:
    found = the_point(call)
    return _listed(call, found) | {"PublicAccessBlockConfiguration": dict(found.blocks), "CreationDate": found.created_at}


def list_access_points(call: Call) -> dict[str, Any]:
    account_id, given = own_account(call), call.input
    most = given.get("MaxResults") or _PAGE
    after = "" if "NextToken" not in given else _from_token(given["NextToken"])
    wanted = given.get("Bucket")
    if wanted is not None and not names.could_be(wanted):
        raise lookup.no_such_bucket(wanted)
    found = points.access_points(call.tx, account_id, wanted, after, most + 1)
    page = found[:most]
    token = base64.urlsafe_b64encode(page[-1].name.encode()).decode("ascii") if len(found) > most else None
    return {"AccessPointList": [_listed(call, each) for each in page], "NextToken": token}


def _listed(call: Call, found: AccessPoint) -> dict[str, Any]:
    return {
        "Name": found.name,
        "NetworkOrigin": found.origin,
        "VpcConfiguration": None if found.vpc_id is None else {"VpcId": found.vpc_id},
        "Bucket": found.bucket,
        "AccessPointArn": found.arn(call),
        "Alias": found.alias,
        "BucketAccountId": found.bucket_account_id,
    }


def _from_token(token: str) -> str:
    try:
        after = base64.b64decode(token.encode(), b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        after = ""
    if not names.is_access_point(after):
        raise invalid("The continuation token provided is incorrect", "nextToken", token)
    return after


def delete_access_point(call: Call) -> None:
    call.tx.remove(ACCESS_POINTS, the_point(call).alias)


def get_access_point_policy(call: Call) -> dict[str, Any]:
    return {"Policy": policies.shown(call, _the_policy(the_point(call)))}


def get_access_point_policy_status(call: Call) -> dict[str, Any]:
    return {"PolicyStatus": {"IsPublic": public_access.is_public_policy(_the_policy(the_point(call)))}}


def put_access_point_policy(call: Call) -> None:
    """It speaks of the access point and of ``object/…`` below it; one that would be public is refused where BlockPublicPolicy is set."""
    found = the_point(call)
    own = found.arn(call)
    text = policies.stored(
        call,
        call.input["Policy"],
        lambda arn: arn == "*" or arn in (own, f"{own}/*") or arn.startswith(f"{own}/object/"),
        lambda arn: arn != own,
    )
    bucket = lookup.resolve(call.tx, found.alias)
    blocked = found.blocks.get(public_access.BLOCK_POLICY) if bucket is None else public_access.BLOCK_POLICY in public_access.blocked(call.tx, bucket)
    if blocked and public_access.is_public_policy(text):
        raise denied()
    call.tx.change(ACCESS_POINTS, found.alias, policy=text)


def delete_access_point_policy(call: Call) -> None:
    call.tx.change(ACCESS_POINTS, the_point(call).alias, policy=None)


def _the_policy(found: AccessPoint) -> str:
    if found.policy is None:
        told = "The specified accesspoint policy does not exist"
        raise AwsError("NoSuchAccessPointPolicy", told, status=404, AccessPointName=found.name)
    return found.policy
