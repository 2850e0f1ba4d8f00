"""X.509 certificates by which users' signed requests could be known: kept and shown, two per user. No service of this cloud takes
such signatures."""

from __future__ import annotations

from typing import Any

from mallee.identity import certificates, iam
from mallee.identity.access import Access, On
from mallee.identity.call import Call, prepared_by
from mallee.identity.records import certificates as records
from mallee.identity.records.keys import ACTIVE, INACTIVE
from mallee.identity.records.names import unique
from mallee.identity.records.users import User
from mallee.identity.resources import USER
from mallee.wire.errors import AwsError

MOST = 2

_OWNER = On(USER, "UserName", default=iam.own_name)

ACCESS = {
    "upload_signing_certificate": Access(_OWNER),
    "list_signing_certificates": Access(_OWNER),
    "update_signing_certificate": Access(_OWNER),
    "delete_signing_certificate": Access(_OWNER),
}


def _read(call: Call) -> certificates.Certificate:
    iam.the_owner(call, call.input.get("UserName"))
    try:
        return certificates.certificate(call.input["CertificateBody"], call.now)
    except certificates.Expired as expired:
        raise AwsError("InvalidCertificate", str(expired), status=400) from None
    except certificates.Bad as bad:
        raise AwsError("MalformedCertificate", str(bad), status=400) from None


@prepared_by(_read)
def upload_signing_certificate(call: Call) -> dict[str, Any]:
    owner = iam.the_owner(call, call.input.get("UserName"))
    if len(records.signing_certificates_of(call.tx, call.account_id, _id(owner))) >= MOST:
        raise iam.limit("SigningCertificatesPerUser", MOST)
    made = records.SigningCertificate(
        unique("", 32), call.account_id, _id(owner), call.input["CertificateBody"], call.prepared.digest, ACTIVE, call.now
    )
    free = call.tx.insert_if_free(
        records.signing_certificates, id=made.id, user_id=made.user_id, body=made.body, digest=made.digest,
        status=made.status, uploaded_at=made.uploaded_at,
    )  # fmt: skip
    if not free:
        raise AwsError("DuplicateCertificate", "The certificate is associated with an IAM user already.", status=409)
    return {"Certificate": _described(made, owner)}


def list_signing_certificates(call: Call) -> dict[str, Any]:
    owner = iam.the_owner(call, call.input.get("UserName"))
    found = records.signing_certificates_of(call.tx, call.account_id, _id(owner))
    return iam.page(call, found, lambda each: each.id, "Certificates", lambda each: _described(each, owner))


def update_signing_certificate(call: Call) -> None:
    found = _the_certificate(call)
    status = call.input["Status"]
    if status not in (ACTIVE, INACTIVE):
        raise iam.invalid_input(f"The status of a signing certificate cannot be set to {status}.")
    call.tx.change(records.signing_certificates, found.id, status=status)


def delete_signing_certificate(call: Call) -> None:
    call.tx.remove(records.signing_certificates, _the_certificate(call).id)


def _the_certificate(call: Call) -> records.SigningCertificate:
    owner = iam.the_owner(call, call.input.get("UserName"))
    wanted = call.input["CertificateId"]
    for found in records.signing_certificates_of(call.tx, call.account_id, _id(owner)):
        if found.id == wanted:
            return found
    raise iam.no_such("signing-certificate", wanted)


def _described(found: records.SigningCertificate, owner: User | None) -> dict[str, Any]:
    return {
        "UserName": None if owner is None else owner.name,
        "CertificateId": found.id,
        "CertificateBody": found.body,
        "Status": found.status,
        "UploadDate": found.uploaded_at,
    }


def _id(owner: User | None) -> str | None:
    return None if owner is None else owner.id
