"""Accounts' quotas, and their requests for larger ones, as administrators see them."""

from __future__ import annotations

from typing import Any

from mallee.admin import access, catalogue, listing, records
from mallee.admin.catalogue import Held
from mallee.admin.records import QuotaRequest
from mallee.identity.access import Access
from mallee.identity.call import Call
from mallee.identity.quotas import Quota
from mallee.identity.records import control
from mallee.objects import capacity
from mallee.wire.errors import AwsError


def put_account_quota(call: Call) -> dict[str, Any]:
    account = access.named(call)
    quota = _quota(call)
    value = float(call.input["Value"])
    if not value.is_integer():
        raise AwsError("InvalidParameterException", "A quota's value is a whole number.")
    _put(call, account.id, quota, value)
    return {"Quota": _described(Held(call, account.id), account.id, quota)}


def get_account_quota(call: Call) -> dict[str, Any]:
    account = access.own_or_named(call)
    return {"Quota": _described(Held(call, account.id), account.id, _quota(call))}


def list_account_quotas(call: Call) -> dict[str, Any]:
    account = access.own_or_named(call)
    service = call.input.get("ServiceCode")
    found = [each for each in catalogue.quotas(call) if service in (None, each.service)]
    shown, more = listing.page(call, found, key=lambda each: (each.service, each.name, each.code))
    held = Held(call, account.id)
    return {"Quotas": [_described(held, account.id, each) for each in shown], **more}


def delete_account_quota(call: Call) -> dict[str, Any]:
    account = access.named(call)
    quota = _quota(call)
    key = {"account_id": account.id, "service": quota.service, "code": quota.code}
    if not call.tx.everyone().remove(control.quota_values, key):
        raise AwsError("QuotaValueNotFoundException", f"The account {account.id} has no value of its own for {quota.name}.")
    capacity.forget_after(call.tx)
    return {}


# ----------------------------------------------------------------------------------------------------------------- requests


def list_quota_requests(call: Call) -> dict[str, Any]:
    access.administer(call)
    status, account_id = call.input.get("Status"), call.input.get("AccountId")
    found = [
        each
        for each in records.requests(call.tx.everyone())
        if status in (None, each.status) and account_id in (None, each.account_id)
    ]
    shown, more = listing.page(call, found, key=lambda each: (-each.created_at.timestamp(), each.id))
    return {"Requests": [_request(call, each) for each in shown], **more}


def approve_quota_request(call: Call) -> dict[str, Any]:
    asked = _open_request(call)
    quota = catalogue.find(call, asked.service, asked.code)
    if quota is None:
        raise AwsError("QuotaRequestNotFoundException", "The quota of this request is no longer there.")
    value = float(call.input.get("Value", asked.desired))
    _put(call, asked.account_id, quota, value)
    return _decide(call, asked, records.APPROVED)


def deny_quota_request(call: Call) -> dict[str, Any]:
    return _decide(call, _open_request(call), records.DENIED)


def _open_request(call: Call) -> QuotaRequest:
    access.administer(call)
    found = records.request(call.tx.everyone(), call.input["RequestId"])
    if found is None:
        raise AwsError("QuotaRequestNotFoundException", f"There is no request {call.input['RequestId']}.")
    if found.status != records.PENDING:
        raise AwsError("QuotaRequestDecidedException", f"The request was {found.status.lower()} before.")
    return found


def _decide(call: Call, asked: QuotaRequest, status: str) -> dict[str, Any]:
    tx = call.tx.everyone()
    records.decide(tx, asked, status, call.principal.arn, call.input.get("Reason"))
    now = records.request(tx, asked.id)
    assert now is not None
    return {"Request": _request(call, now)}


# ----------------------------------------------------------------------------------------------------------------- helpers


def _quota(call: Call) -> Quota:
    service, code = call.input["ServiceCode"], call.input["QuotaCode"]
    found = catalogue.find(call, service, code)
    if found is None:
        raise AwsError("QuotaNotFoundException", f"{service} has no quota {code}.")
    return found


def _put(call: Call, account_id: str, quota: Quota, value: float) -> None:
    call.tx.everyone().put(
        control.quota_values, account_id=account_id, service=quota.service, code=quota.code, value=value, set_at=call.now
    )
    capacity.forget_after(call.tx)


def _described(held: Held, account_id: str, quota: Quota) -> dict[str, Any]:
    return {
        "AccountId": account_id,
        "ServiceCode": quota.service,
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": held.value(quota),
        "DefaultValue": catalogue.finite(quota.default),
        "IsDefault": held.own(quota) is None,
        "Used": held.used(quota),
        "LimitKey": quota.limit_key,
        "PolicyLimit": held.stated(quota),
    }


def _request(call: Call, asked: QuotaRequest) -> dict[str, Any]:
    quota = catalogue.find(call, asked.service, asked.code)
    return {
        "RequestId": asked.id,
        "AccountId": asked.account_id,
        "ServiceCode": asked.service,
        "QuotaCode": asked.code,
        "QuotaName": quota.name if quota is not None else None,
        "DesiredValue": asked.desired,
        "CurrentValue": Held(call, asked.account_id).value(quota) if quota is not None else None,
        "Status": asked.status,
        "Requester": asked.requester,
        "CreatedAt": asked.created_at,
        "UpdatedAt": asked.updated_at,
        "DecidedBy": asked.decided_by,
        "Reason": asked.reason,
    }


ACCESS = {
    "put_account_quota": Access(access.ON_ACCOUNT),
    "get_account_quota": Access(access.ON_OWN_ACCOUNT),
    "list_account_quotas": Access(access.ON_OWN_ACCOUNT),
    "delete_account_quota": Access(access.ON_ACCOUNT),
    "list_quota_requests": Access(access.ON_ACCOUNT),
    "approve_quota_request": Access(),
    "deny_quota_request": Access(),
}
