"""When objects of the class INTELLIGENT_TIERING go to its archive tiers: settings that are kept and told."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, kinds
from mallee.objects.listed import Listed
from mallee.objects.rules import filters
from mallee.objects.rules.refusals import invalid, malformed

ACCESS = {
    "get_bucket_intelligent_tiering_configuration": access.bucket("s3:GetIntelligentTieringConfiguration"),
    "list_bucket_intelligent_tiering_configurations": access.bucket("s3:GetIntelligentTieringConfiguration"),
    "put_bucket_intelligent_tiering_configuration": access.bucket("s3:PutIntelligentTieringConfiguration"),
    "delete_bucket_intelligent_tiering_configuration": access.bucket("s3:PutIntelligentTieringConfiguration"),
}


_LEAST = {"ARCHIVE_ACCESS": 90, "DEEP_ARCHIVE_ACCESS": 180}
_MOST = 730


def _check(call: Call, given: dict[str, Any]) -> None:
    filters.check(given.get("Filter"), may_be_empty=True)
    tiers = {each["AccessTier"]: each["Days"] for each in given["Tierings"]}
    if not tiers or len(tiers) != len(given["Tierings"]):
        raise malformed()
    for tier, days in tiers.items():
        if not _LEAST[tier] <= days <= _MOST:
            told = f"'Days' in the Tiering for AccessTier '{tier}' must be between {_LEAST[tier]} and {_MOST}"
            raise invalid(told, "Days", days)
    if tiers.get("ARCHIVE_ACCESS", 0) >= tiers.get("DEEP_ARCHIVE_ACCESS", _MOST + 1):
        told = "'Days' in the Tiering for AccessTier 'DEEP_ARCHIVE_ACCESS' must be greater than for AccessTier 'ARCHIVE_ACCESS'"
        raise invalid(told, "Days", tiers["DEEP_ARCHIVE_ACCESS"])


_ALL = Listed(kinds.INTELLIGENT_TIERING, "IntelligentTieringConfiguration", "IntelligentTieringConfigurationList", _check)


def get_bucket_intelligent_tiering_configuration(call: Call) -> dict[str, Any]:
    return _ALL.get(call)


def list_bucket_intelligent_tiering_configurations(call: Call) -> dict[str, Any]:
    return _ALL.list(call)


def put_bucket_intelligent_tiering_configuration(call: Call) -> None:
    _ALL.put(call)


def delete_bucket_intelligent_tiering_configuration(call: Call) -> None:
    _ALL.delete(call)
