"""Policies that limit an account (Eucalyptus's): administrators write them, the account may read them."""

from __future__ import annotations

from typing import Any

from mallee.admin import access, listing
from mallee.identity import limits
from mallee.identity.access import Access
from mallee.identity.call import Call
from mallee.identity.records import control
from mallee.identity.records.control import AccountPolicy
from mallee.identity.rules.errors import Malformed
from mallee.objects import capacity
from mallee.wire.errors import AwsError

MOST = 10  # of one account


def put_account_policy(call: Call) -> dict[str, Any]:
    account = access.changing(call)
    name, document = call.input["PolicyName"], call.input["PolicyDocument"]
    assert call.tools is not None
    try:
        limits.check_account_policy(document, (each.limit_key for each in call.tools.quotas if each.limit_key))
    except Malformed as malformed:
        raise AwsError("MalformedPolicyDocumentException", malformed.message) from None
    capacity.forget_after(call.tx)
    tx = call.tx.everyone()
    present = {each.name for each in control.policies_of_account(tx, account.id)}
    key = {"account_id": account.id, "name": name}
    if name in present:
        tx.change(control.account_policies, key, document=document, updated_at=call.now)
        return {}
    if len(present) >= MOST:
        raise AwsError("LimitExceededException", f"An account has at most {MOST} policies.")
    tx.insert(control.account_policies, **key, document=document, created_at=call.now, updated_at=call.now)
    return {}


def get_account_policy(call: Call) -> dict[str, Any]:
    account = access.own_or_named(call)
    found = control.policy_of_account(call.tx.everyone(), account.id, call.input["PolicyName"])
    if found is None:
        raise _no_policy(call)
    return {"Policy": _summary(found) | {"PolicyDocument": found.document}}


def list_account_policies(call: Call) -> dict[str, Any]:
    account = access.own_or_named(call)
    found = control.policies_of_account(call.tx.everyone(), account.id)
    shown, more = listing.page(call, found, key=lambda each: each.name)
    return {"Policies": [_summary(each) for each in shown], **more}


def delete_account_policy(call: Call) -> dict[str, Any]:
    account = access.changing(call)
    key = {"account_id": account.id, "name": call.input["PolicyName"]}
    if not call.tx.everyone().remove(control.account_policies, key):
        raise _no_policy(call)
    capacity.forget_after(call.tx)
    return {}


def _no_policy(call: Call) -> AwsError:
    return AwsError("PolicyNotFoundException", f"The account has no policy {call.input['PolicyName']}.")


def _summary(policy: AccountPolicy) -> dict[str, Any]:
    return {
        "AccountId": policy.account_id,
        "PolicyName": policy.name,
        "CreatedAt": policy.created_at,
        "UpdatedAt": policy.updated_at,
    }


ACCESS = {
    "put_account_policy": Access(access.ON_ACCOUNT),
    "get_account_policy": Access(access.ON_OWN_ACCOUNT),
    "list_account_policies": Access(access.ON_OWN_ACCOUNT),
    "delete_account_policy": Access(access.ON_ACCOUNT),
}
