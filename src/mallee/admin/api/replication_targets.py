"""Other S3 endpoints that buckets may replicate to, and with which key."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urlsplit

from mallee.admin import access, listing
from mallee.identity import records
from mallee.identity.access import Access, On, ResourceType
from mallee.identity.call import Call
from mallee.objects import remotes
from mallee.objects.remotes import Remote
from mallee.wire.errors import AwsError

DEFAULT_REGION = "us-east-1"


def put_replication_target(call: Call) -> dict[str, Any]:
    access.administer(call)
    given = call.input
    account_id = given.get("AccountId") or call.account_id
    if records.account(call.tx, account_id) is None:
        raise access.no_account(account_id)
    endpoint = _endpoint(given["Endpoint"])
    region = given.get("Region") or DEFAULT_REGION
    authority = given.get("CertificateAuthority") or None
    _check_authority(authority)
    remotes.put(
        call.tx, call.vault, given["Name"], account_id, endpoint, region, given["AccessKeyId"], given["SecretAccessKey"], authority
    )
    made = remotes.remote(call.tx, given["Name"])
    assert made is not None
    return {"ReplicationTarget": _described(made)}


def list_replication_targets(call: Call) -> dict[str, Any]:
    access.administer(call)
    shown, more = listing.page(call, remotes.remotes(call.tx), lambda each: each.name)
    return {"ReplicationTargets": [_described(each) for each in shown], **more}


def delete_replication_target(call: Call) -> None:
    access.administer(call)
    if not remotes.remove(call.tx, call.input["Name"]):
        raise AwsError("ReplicationTargetNotFoundException", f"There is no replication target {call.input['Name']}.")


def _check_authority(text: str | None) -> None:
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError):
        raise AwsError("InvalidParameterException", "The certificate authority is not a certificate in PEM.") from None


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username or not url.isascii():
        raise AwsError("InvalidParameterException", "An endpoint is an URL with http or https and a host, and nothing behind its path.")
    where = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{where}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _described(found: Remote) -> dict[str, Any]:
    return {
        "Name": found.name, "Endpoint": found.endpoint, "Region": found.region, "AccessKeyId": found.access_key_id,
        "AccountId": found.account_id, "ChangedAt": found.created_at, "CertificateAuthority": found.authority,
    }  # fmt: skip


_TARGET = ResourceType("replication-target", "arn:{partition}:mallee:::replication-target/{id}")
_ON = On(_TARGET, "Name")

ACCESS = {
    "put_replication_target": Access(_ON),
    "list_replication_targets": Access(),
    "delete_replication_target": Access(_ON),
}
