"""Replication configurations of buckets."""

from __future__ import annotations

import re
from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, kinds, lookup, records, remotes
from mallee.objects.records import Bucket
from mallee.objects.rules import replication_checks
from mallee.objects.rules.refusals import bad_request, invalid

_ROLE = re.compile(r"arn:(?P<partition>[a-z-]+):iam::(?P<account>\d{12}):role/[\w+=,.@/-]{1,600}", re.ASCII)


def _role(call: Call) -> str | None:
    given = call.input.get("ReplicationConfiguration") or {}
    found = given.get("Role")
    return found if found and _ROLE.fullmatch(found) else None


ACCESS = {
    "get_bucket_replication": access.bucket("s3:GetReplicationConfiguration"),
    "put_bucket_replication": access.bucket("s3:PutReplicationConfiguration", passes=_role),
    "delete_bucket_replication": access.bucket("s3:PutReplicationConfiguration"),
}


def get_bucket_replication(call: Call) -> dict[str, Any]:
    found = buckets.the_bucket(call)
    document = found.configuration(kinds.REPLICATION)
    if document is None:
        told = "The replication configuration was not found"
        raise buckets.missing("ReplicationConfigurationNotFoundError", told, found)
    return {"ReplicationConfiguration": document}


def put_bucket_replication(call: Call) -> None:
    """Both buckets keep their versions; the role is one of the caller's account."""
    found, given = buckets.changeable(call), call.input["ReplicationConfiguration"]
    if found.versioning != records.ENABLED:
        raise bad_request("Versioning must be 'Enabled' on the bucket to apply a replication configuration")
    role = _ROLE.fullmatch(given["Role"])
    ours = role is not None and role["partition"] == call.settings.partition and role["account"] == call.account_id
    if not ours or call.account_id != found.account_id:  # a role of the bucket's account can be passed by that account alone
        raise invalid("Invalid role ARN", "Role", given["Role"])
    rules = replication_checks.checked(given["Rules"])
    for wanted in {rule["Destination"]["Bucket"] for rule in rules}:
        _check_destination(call, found, wanted, [rule["Destination"] for rule in rules if rule["Destination"]["Bucket"] == wanted])
    records.configure(call.tx, found, kinds.REPLICATION, {"Role": given["Role"], "Rules": rules})


def delete_bucket_replication(call: Call) -> None:
    buckets.delete(call, kinds.REPLICATION)


def _check_destination(call: Call, found: Bucket, arn: str, destinations: list[dict[str, Any]]) -> None:
    remote = remotes.named_in(arn)
    if remote is not None:
        _check_remote(call, found, remote[0], destinations)
        return
    prefix, _, name = arn.rpartition(":")
    if prefix != f"arn:{call.settings.partition}:s3::" or not name or "/" in name:
        raise invalid("Invalid bucket ARN.", "Bucket", arn)
    other = lookup.named(call.tx, name)
    if other is None or other.internal:
        raise bad_request("Destination bucket must exist.")
    if other.id == found.id:
        raise bad_request("Destination bucket cannot be the same as the source bucket.")
    if other.versioning != records.ENABLED:
        raise bad_request("Destination bucket must have versioning enabled.")
    if any(each.get("Account", other.account_id) != other.account_id for each in destinations):
        raise bad_request("Destination bucket must be owned by the account that is specified.")


_OF_THIS_CLOUD = ("Account", "AccessControlTranslation", "EncryptionConfiguration", "ReplicationTime", "Metrics")


def _check_remote(call: Call, found: Bucket, name: str, destinations: list[dict[str, Any]]) -> None:
    """Another endpoint, which the administrator has registered for the account; whether its bucket is there, the first replica tells."""
    remote = remotes.remote(call.tx, name)
    if remote is None or remote.account_id != found.account_id:
        raise bad_request(f"There is no replication target {name} for this account.")
    for each in destinations:
        given = next((member for member in _OF_THIS_CLOUD if member in each), None)
        if given is not None:
            raise bad_request(f"{given} cannot be specified for a bucket at another endpoint.")
