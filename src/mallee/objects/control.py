"""What the operations of S3 Control have in common: they name an account, which must be the caller's."""

from __future__ import annotations

from collections.abc import Iterable

from mallee.identity.access import Access, Check
from mallee.identity.call import Call
from mallee.objects import condition_keys, points
from mallee.objects.condition_keys import Keys
from mallee.objects.points import AccessPoint
from mallee.objects.rules.refusals import denied
from mallee.wire.errors import AwsError


def on_account(action: str) -> Access:
    """On the account as a whole."""

    def find(call: Call) -> Iterable[Check]:
        yield Check(action, "*", Keys(call, condition_keys.of(action)))

    return Access(find=find, action=action)


def on_point(action: str) -> Access:
    """On the access point that the input names, which need not be there."""

    def find(call: Call) -> Iterable[Check]:
        resource = f"arn:{call.settings.partition}:s3:{call.region}:{call.account_id}:accesspoint/{call.input['Name']}"
        yield Check(action, resource, Keys(call, condition_keys.of(action)))

    return Access(find=find, action=action)


def own_account(call: Call) -> str:
    if call.input["AccountId"] != call.account_id:
        raise denied()
    return call.account_id


def the_point(call: Call) -> AccessPoint:
    found = points.access_point(call.tx, own_account(call), call.input["Name"])
    if found is None:
        told = "The specified accesspoint does not exist"
        raise AwsError("NoSuchAccessPoint", told, status=404, AccessPointName=call.input["Name"])
    return found
