"""RestoreObject: an archived object becomes readable for some days.

Here an archived object lies on the same disks as any other, and only S3's rules keep it from being read. A restore takes
``objects_restore_seconds``, whatever its tier.
"""

from __future__ import annotations

from typing import Any, Final

from mallee.identity.call import Call, Later, reads
from mallee.objects import access, changing
from mallee.objects.attributes import ARCHIVED
from mallee.objects.index.rows import Version
from mallee.objects.rules import restores
from mallee.objects.rules.refusals import invalid, malformed
from mallee.store import Tx
from mallee.wire.errors import AwsError
from mallee.wire.output import Answered

ACCESS = {"restore_object": access.object_("RestoreObject")}

_TIERS: Final = ("Bulk", "Standard", "Expedited")  # the slowest first


@reads
def restore_object(call: Call) -> Later:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html"""
    bucket = changing.writable(call)
    request = call.input.get("RestoreRequest")
    if request is None:
        raise malformed()
    days, tier = _checked(request)
    seconds, accepted = call.settings.objects_restore_seconds, 202

    def change(tx: Tx, found: Version) -> dict[str, Any]:
        nonlocal accepted
        accepted = 202
        if found.storage_class not in ARCHIVED:
            told = "Restore is not allowed for the object's current storage class"
            raise AwsError("InvalidObjectState", told, status=403, StorageClass=found.storage_class)
        if tier == "Expedited" and found.storage_class == "DEEP_ARCHIVE":
            raise invalid("Retrieval option is not supported by this storage class", "Tier", tier)
        restore = found.attributes.get("restore")
        match restores.state(restore, call.now):
            case restores.ONGOING:
                if _TIERS.index(tier) <= _TIERS.index((restore or {}).get("tier", "Expedited")):
                    raise AwsError("RestoreAlreadyInProgress", "Object restore is already in progress", status=409)
                new = {**(restore or {}), "tier": tier}  # a faster tier may be asked for while it goes on
            case restores.RESTORED:
                accepted = 200
                new = restores.prolonged(restore or {}, call.now, days)
            case _:
                new = {**restores.begun(call.now, days, seconds), "tier": tier}
        return changing.with_(found, "restore", new)

    return changing.changed(call, bucket, change, lambda found: Answered(accepted))


def _checked(request: dict[str, Any]) -> tuple[int, str]:
    """Days and tier."""
    if request.get("Type") is not None or "SelectParameters" in request or "OutputLocation" in request:
        told = "A header or element you provided implies functionality that is not implemented: Mallee does not have restores of type SELECT."
        raise AwsError("NotImplemented", told, status=501)
    tier = (request.get("GlacierJobParameters") or {}).get("Tier") or request.get("Tier") or "Standard"
    if tier not in _TIERS:
        raise malformed()
    days = request.get("Days")
    if days is None:
        raise malformed()
    if days < 1:
        raise invalid("restoration days should be at least 1", "Days", days)
    return days, tier
