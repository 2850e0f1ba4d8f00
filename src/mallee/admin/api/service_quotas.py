"""AWS's Service Quotas: an account sees its quotas and asks for more. An administrator of the cloud decides (``mallee``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mallee.admin import catalogue, listing, records
from mallee.admin.catalogue import SERVICES, Held
from mallee.admin.records import QuotaRequest, quota_tags
from mallee.identity.access import Access, On, ResourceType
from mallee.identity.call import Call
from mallee.identity.quotas import UNLIMITED, Quota
from mallee.wire.errors import AwsError

FORGED = "InvalidPaginationTokenException"
MOST_OPEN = 20  # requests of one account
MOST_TAGS = 50
_TAG = re.compile(r"[\w \-.:/=+@]*")


def list_services(call: Call) -> dict[str, Any]:
    found = sorted({each.service for each in catalogue.quotas(call)})
    shown, more = listing.page(call, found, key=lambda each: each, forged=FORGED)
    return {"Services": [{"ServiceCode": each, "ServiceName": SERVICES[each]} for each in shown], **more}


def list_service_quotas(call: Call) -> dict[str, Any]:
    """A quota without a default is here once an administrator gave the account a value."""
    held, code = Held(call, call.account_id), call.input.get("QuotaCode")
    found = [each for each in _of_service(call) if held.value(each) is not None and code in (None, each.code)]
    if call.input.get("QuotaAppliedAtLevel") == "RESOURCE":  # all values are of whole accounts
        found = []
    shown, more = listing.page(call, found, key=_order, forged=FORGED)
    return {"Quotas": [_quota(call, each, held) for each in shown], **more}


def get_service_quota(call: Call) -> dict[str, Any]:
    quota, held = _named(call), Held(call, call.account_id)
    if call.input.get("ContextId") or held.value(quota) is None:
        raise _nothing()
    return {"Quota": _quota(call, quota, held)}


def list_aws_default_service_quotas(call: Call) -> dict[str, Any]:
    found = [each for each in _of_service(call) if each.default != UNLIMITED]
    shown, more = listing.page(call, found, key=_order, forged=FORGED)
    return {"Quotas": [_quota(call, each) for each in shown], **more}


def get_aws_default_service_quota(call: Call) -> dict[str, Any]:
    quota = _named(call)
    if quota.default == UNLIMITED:
        raise _nothing()
    return {"Quota": _quota(call, quota)}


def request_service_quota_increase(call: Call) -> dict[str, Any]:
    quota, desired = _named(call), float(call.input["DesiredValue"])
    if call.input.get("ContextId"):
        raise _nothing()
    if not quota.adjustable:
        raise AwsError("IllegalArgumentException", f"The quota {quota.name} is not adjustable.")
    current = Held(call, call.account_id).value(quota)
    if current is None or desired <= current:
        raise AwsError("IllegalArgumentException", "You must provide a quota value greater than the current quota value.")
    if not desired.is_integer():
        raise AwsError("IllegalArgumentException", "You must provide a whole number as the quota value.")
    if records.has_open_request(call.tx, call.account_id, quota.service, quota.code):
        raise AwsError("ResourceAlreadyExistsException", "Only one open service quota increase request is allowed per quota.")
    if sum(each.status == records.PENDING for each in records.requests(call.tx)) >= MOST_OPEN:
        raise AwsError("QuotaExceededException", f"An account has at most {MOST_OPEN} open requests.")
    made = records.add_request(call.tx, call.account_id, quota.service, quota.code, desired, call.principal.arn)
    return {"RequestedQuota": _request(call, made)}


def get_requested_service_quota_change(call: Call) -> dict[str, Any]:
    found = records.request(call.tx, call.input["RequestId"])
    if found is None:
        raise _nothing()
    return {"RequestedQuota": _request(call, found)}


def list_requested_service_quota_change_history(call: Call) -> dict[str, Any]:
    service = call.input.get("ServiceCode")
    if service is not None and service not in SERVICES:
        raise _nothing()
    return _history(call, [each for each in records.requests(call.tx) if service in (None, each.service)])


def list_requested_service_quota_change_history_by_quota(call: Call) -> dict[str, Any]:
    quota = _named(call)
    return _history(
        call, [each for each in records.requests(call.tx) if (each.service, each.code) == (quota.service, quota.code)]
    )


def list_tags_for_resource(call: Call) -> dict[str, Any]:
    quota = _by_arn(call)
    return {"Tags": _tag_list(records.tags_of(call.tx, call.account_id, quota.service, quota.code))}


def tag_resource(call: Call) -> dict[str, Any]:
    quota = _by_arn(call)
    wanted = {each["Key"]: each["Value"] for each in call.input["Tags"]}
    for key, value in wanted.items():
        if not _TAG.fullmatch(key) or not _TAG.fullmatch(value) or not key.strip() or key.lower().startswith("aws:"):
            raise AwsError("IllegalArgumentException", f"The tag {key[:128]} has characters that tags cannot have.")
    present = records.tags_of(call.tx, call.account_id, quota.service, quota.code)
    if len(present | wanted) > MOST_TAGS:
        raise AwsError("TooManyTagsException", f"A quota has at most {MOST_TAGS} tags.")
    for key, value in wanted.items():
        call.tx.put(quota_tags, account_id=call.account_id, service=quota.service, code=quota.code, key=key, value=value)
    return {}


def untag_resource(call: Call) -> dict[str, Any]:
    quota = _by_arn(call)
    for key in dict.fromkeys(call.input["TagKeys"]):
        call.tx.remove(quota_tags, {"account_id": call.account_id, "service": quota.service, "code": quota.code, "key": key})
    return {}


# ----------------------------------------------------------------------------------------------------------------- helpers


def _order(quota: Quota) -> tuple[str, str]:
    return quota.name, quota.code


def _of_service(call: Call) -> list[Quota]:
    found = [each for each in catalogue.quotas(call) if each.service == call.input["ServiceCode"]]
    if not found:
        raise _nothing()
    return found


def _named(call: Call) -> Quota:
    found = catalogue.find(call, call.input["ServiceCode"], call.input["QuotaCode"])
    if found is None:
        raise _nothing()
    return found


def _nothing() -> AwsError:
    return AwsError("NoSuchResourceException", "The request failed because the specified service or quota does not exist.")


def _by_arn(call: Call) -> Quota:
    """The quota of the caller's account that an ARN names; any other is exactly as absent as one that never was."""
    given = call.input["ResourceARN"]
    for quota in catalogue.quotas(call):
        if given == _arn(call, quota, call.account_id):
            return quota
    raise _nothing()


def _arn(call: Call, quota: Quota, account_id: str) -> str:
    region = "" if quota.is_global else call.region
    return f"arn:{call.settings.partition}:servicequotas:{region}:{account_id}:{quota.service}/{quota.code}"


def _quota(call: Call, quota: Quota, held: Held | None = None) -> dict[str, Any]:
    """As it holds for the caller's account, or, without ``held``, by default."""
    return {
        "ServiceCode": quota.service,
        "ServiceName": SERVICES[quota.service],
        "QuotaArn": _arn(call, quota, call.account_id if held is not None else ""),
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": quota.default if held is None else held.value(quota),
        "Unit": quota.unit,
        "Adjustable": quota.adjustable,
        "GlobalQuota": quota.is_global,
        "QuotaAppliedAtLevel": "ACCOUNT",
        "Description": quota.description,
    }


def _history(call: Call, found: list[QuotaRequest]) -> dict[str, Any]:
    status = call.input.get("Status")
    if call.input.get("QuotaRequestedAtLevel") == "RESOURCE":
        found = []
    shown, more = listing.page(
        call,
        [each for each in found if status in (None, each.status)],
        key=lambda each: (-each.created_at.timestamp(), each.id),
        forged=FORGED,
    )
    return {"RequestedQuotas": [_request(call, each) for each in shown], **more}


def _request(call: Call, asked: QuotaRequest) -> dict[str, Any]:
    quota = catalogue.find(call, asked.service, asked.code)
    described: dict[str, Any] = {
        "Id": asked.id,
        "ServiceCode": asked.service,
        "ServiceName": SERVICES.get(asked.service, asked.service),
        "QuotaCode": asked.code,
        "DesiredValue": asked.desired,
        "Status": asked.status,
        "Created": asked.created_at,
        "LastUpdated": asked.updated_at,
        "Requester": asked.requester,
        "QuotaRequestedAtLevel": "ACCOUNT",
    }
    if quota is not None:
        described |= {
            "QuotaName": quota.name,
            "QuotaArn": _arn(call, quota, call.account_id),
            "GlobalQuota": quota.is_global,
            "Unit": quota.unit,
        }
    return described


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _quota_arn(call: Call, identifier: str, thing: Any) -> str:
    quota = catalogue.find(call, call.input.get("ServiceCode", ""), identifier)
    if quota is not None:
        return _arn(call, quota, call.account_id)
    return call.arn(f"{call.input.get('ServiceCode', '*')}/{identifier}", "servicequotas")


QUOTA = ResourceType("quota", _quota_arn)

ACCESS = {
    "list_services": Access(),
    "list_service_quotas": Access(),
    "get_service_quota": Access(),
    "list_aws_default_service_quotas": Access(),
    "get_aws_default_service_quota": Access(),
    "request_service_quota_increase": Access(
        On(QUOTA, "QuotaCode"), keys={"servicequotas:service": lambda call: call.input["ServiceCode"]}
    ),
    "get_requested_service_quota_change": Access(),
    "list_requested_service_quota_change_history": Access(),
    "list_requested_service_quota_change_history_by_quota": Access(),
    "list_tags_for_resource": Access(),
    "tag_resource": Access(),
    "untag_resource": Access(),
}
