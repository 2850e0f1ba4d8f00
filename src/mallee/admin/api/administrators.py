"""Which accounts administer the cloud."""

from __future__ import annotations

from typing import Any

from mallee.admin import access, listing
from mallee.identity import grants
from mallee.identity.access import Access
from mallee.identity.call import Call
from mallee.identity.records import control
from mallee.identity.records.control import Administrator
from mallee.wire.errors import AwsError


def grant_administration(call: Call) -> dict[str, Any]:
    """Granting it again changes nothing."""
    account = access.named(call)
    if not control.is_administrator(call.tx, account.id):
        call.tx.insert(
            control.administrators, account_id=account.id, granted_at=call.now, granted_by=call.principal.arn, permanent=False
        )
        grants.forget_after(call.tx)
    found = control.administrator(call.tx, account.id)
    assert found is not None
    return {"Administrator": _administrator(found)}


def revoke_administration(call: Call) -> dict[str, Any]:
    account = access.named(call)
    if access.is_permanent(call, account.id):
        raise AwsError("ConstraintViolationException", "The account that set the cloud up always administers it.")
    if call.tx.remove(control.administrators, account.id):
        grants.forget_after(call.tx)
    return {}


def list_administrators(call: Call) -> dict[str, Any]:
    access.administer(call)
    shown, more = listing.page(call, control.all_administrators(call.tx), key=lambda each: each.account_id)
    return {"Administrators": [_administrator(each) for each in shown], **more}


def _administrator(each: Administrator) -> dict[str, Any]:
    return {
        "AccountId": each.account_id,
        "GrantedAt": each.granted_at,
        "GrantedBy": each.granted_by,
        "Permanent": each.permanent,
    }


ACCESS = {
    "grant_administration": Access(access.ON_ACCOUNT),
    "revoke_administration": Access(access.ON_ACCOUNT),
    "list_administrators": Access(),
}
