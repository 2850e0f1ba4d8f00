"""Server certificates with their private keys, for what terminates TLS. A key goes into the vault and never comes out of the
API. Certificates are parsed and checked against their keys and chains before the transaction that writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mallee.identity import certificates, iam, quotas
from mallee.identity.access import Access, Check, On
from mallee.identity.call import Call, prepared_by
from mallee.identity.records import certificates as records
from mallee.identity.records.names import folded, unique
from mallee.identity.records.tags import remove_tags
from mallee.identity.resources import NEW_SERVER_CERTIFICATE, SERVER_CERTIFICATE
from mallee.wire.errors import AwsError

_IT = On(SERVER_CERTIFICATE, "ServerCertificateName")


def _renamed(call: Call) -> Iterable[Check]:
    """Whoever renames a certificate must be allowed to for the old name and the new one."""
    found = records.server_certificate_by_name(call.tx, call.account_id, call.input["ServerCertificateName"])
    path = call.input.get("NewPath") or (found.path if found is not None else "/")
    name = call.input.get("NewServerCertificateName") or call.input["ServerCertificateName"]
    yield Check("iam:UpdateServerCertificate", call.arn(f"server-certificate{path}{name}"))


ACCESS = {
    "upload_server_certificate": Access(On(NEW_SERVER_CERTIFICATE)),
    "get_server_certificate": Access(_IT),
    "list_server_certificates": Access(),
    "update_server_certificate": Access(_IT, find=_renamed),
    "delete_server_certificate": Access(_IT),
    "tag_server_certificate": Access(_IT),
    "untag_server_certificate": Access(_IT),
    "list_server_certificate_tags": Access(_IT),
}


def _read(call: Call) -> certificates.Certificate:
    given = call.input
    try:
        return certificates.server_certificate(
            given["CertificateBody"], given["PrivateKey"], given.get("CertificateChain"), call.now
        )
    except certificates.Mismatch as mismatch:
        raise AwsError("KeyPairMismatch", str(mismatch), status=400) from None
    except certificates.Bad as bad:
        raise AwsError("MalformedCertificate", str(bad), status=400) from None


@prepared_by(_read)
def upload_server_certificate(call: Call) -> dict[str, Any]:
    name = call.input["ServerCertificateName"]
    tags = iam.read_tags(call.input.get("Tags"))
    if records.server_certificate_by_name(call.tx, call.account_id, name) is not None:
        raise iam.exists("server-certificate", name)
    quotas.require(
        call, quotas.SERVER_CERTIFICATES, error=lambda most: iam.limit("ServerCertificatesPerAccount", most)
    )  # fmt: skip
    id = unique("ASCA")
    with iam.creating("server-certificate", name):
        call.tx.insert(
            records.server_certificates,
            id=id,
            name=name,
            folded_name=folded(name),
            path=call.input.get("Path") or "/",
            body=call.input["CertificateBody"].strip(),
            chain=(call.input.get("CertificateChain") or "").strip() or None,
            secret=call.vault.seal(id, call.input["PrivateKey"]),
            uploaded_at=call.now,
            expires_at=call.prepared.not_after,
        )
    iam.tag(call, id, "ServerCertificate", tags)
    made = _the_certificate(call)
    return {"ServerCertificateMetadata": _metadata(call, made), "Tags": iam.tags_or_none(call, id)}


def get_server_certificate(call: Call) -> dict[str, Any]:
    found = _the_certificate(call)
    return {
        "ServerCertificate": {
            "ServerCertificateMetadata": _metadata(call, found),
            "CertificateBody": found.body,
            "CertificateChain": found.chain,
            "Tags": iam.tags_or_none(call, found.id),
        }
    }


def list_server_certificates(call: Call) -> dict[str, Any]:
    prefix = call.input.get("PathPrefix") or "/"
    found = [each for each in records.server_certificates_in(call.tx, call.account_id) if each.path.startswith(prefix)]
    return iam.page(
        call, found, lambda each: each.name.lower(), "ServerCertificateMetadataList", lambda each: _metadata(call, each)
    )


def update_server_certificate(call: Call) -> None:
    """The certificate keeps its id, and thereby its tags and its users; its ARN follows name and path."""
    found = _the_certificate(call)
    name = call.input.get("NewServerCertificateName") or found.name
    other = records.server_certificate_by_name(call.tx, call.account_id, name)
    if other is not None and other.id != found.id:
        raise iam.exists("server-certificate", name)
    path = call.input.get("NewPath") or found.path
    with iam.creating("server-certificate", name):
        call.tx.change(records.server_certificates, found.id, name=name, folded_name=folded(name), path=path)


def delete_server_certificate(call: Call) -> None:
    found = _the_certificate(call)
    user = records.user_of(call.tx, found)
    if user is not None:
        told = f"Certificate: {found.id} is currently in use by {user}. Please remove it first before deleting it from IAM."
        raise AwsError("DeleteConflict", told, status=409)
    remove_tags(call.tx, found.id)
    call.tx.remove(records.server_certificates, found.id)


def tag_server_certificate(call: Call) -> None:
    iam.tag(call, _the_certificate(call).id, "ServerCertificate", iam.read_tags(call.input["Tags"]))


def untag_server_certificate(call: Call) -> None:
    iam.untag(call, _the_certificate(call).id, call.input["TagKeys"])


def list_server_certificate_tags(call: Call) -> dict[str, Any]:
    return iam.list_tags(call, _the_certificate(call).id)


def _the_certificate(call: Call) -> records.ServerCertificate:
    name = call.input["ServerCertificateName"]
    found = records.server_certificate_by_name(call.tx, call.account_id, name)
    if found is None:
        raise iam.no_such("server-certificate", name)
    return found


def _metadata(call: Call, found: records.ServerCertificate) -> dict[str, Any]:
    return {
        "Path": found.path,
        "ServerCertificateName": found.name,
        "ServerCertificateId": found.id,
        "Arn": found.arn(call.settings.partition),
        "UploadDate": found.uploaded_at,
        "Expiration": found.expires_at,
    }
