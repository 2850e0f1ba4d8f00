"""Inventories of buckets: what lists are made (``upkeep.inventory``), of which versions, and where they go."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, kinds
from mallee.objects.listed import Listed
from mallee.objects.rules.inventory import SUPPORTED
from mallee.objects.rules.refusals import invalid, malformed
from mallee.wire.errors import AwsError

ACCESS = {
    "get_bucket_inventory_configuration": access.bucket("s3:GetInventoryConfiguration"),
    "list_bucket_inventory_configurations": access.bucket("s3:GetInventoryConfiguration"),
    "put_bucket_inventory_configuration": access.bucket("s3:PutInventoryConfiguration"),
    "delete_bucket_inventory_configuration": access.bucket("s3:PutInventoryConfiguration"),
}


def _check(call: Call, given: dict[str, Any]) -> None:
    wanted = given["Destination"]["S3BucketDestination"]
    if not wanted["Bucket"].startswith(f"arn:{call.settings.partition}:s3:::"):
        raise invalid("Invalid bucket ARN.", "Bucket", wanted["Bucket"])
    if wanted["Format"] != "CSV":
        raise _not_there(f"inventories in {wanted['Format']}")
    for name in given.get("OptionalFields", ()):
        if name not in SUPPORTED:
            raise _not_there(f"the field {name}")
    encryption = wanted.get("Encryption")
    if encryption is not None and len(encryption) != 1:
        raise malformed()


def _not_there(what: str) -> AwsError:
    told = f"A header or element you provided implies functionality that is not implemented: Mallee does not have {what}."
    return AwsError("NotImplemented", told, status=501)


_ALL = Listed(kinds.INVENTORY, "InventoryConfiguration", "InventoryConfigurationList", _check)


def get_bucket_inventory_configuration(call: Call) -> dict[str, Any]:
    return _ALL.get(call)


def list_bucket_inventory_configurations(call: Call) -> dict[str, Any]:
    return _ALL.list(call)


def put_bucket_inventory_configuration(call: Call) -> None:
    _ALL.put(call)


def delete_bucket_inventory_configuration(call: Call) -> None:
    _ALL.delete(call)
