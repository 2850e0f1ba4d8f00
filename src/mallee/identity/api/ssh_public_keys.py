"""Public SSH keys of users: RSA of at least 2048 bits, five per user, kept and shown."""

from __future__ import annotations

from typing import Any

from mallee.identity import certificates, iam
from mallee.identity.access import Access, On
from mallee.identity.call import Call
from mallee.identity.records import keys as records
from mallee.identity.records.names import unique
from mallee.identity.records.users import User
from mallee.identity.resources import USER
from mallee.wire.errors import AwsError

MOST = 5

_OWNER = On(USER, "UserName", default=iam.own_name)

ACCESS = {
    "upload_ssh_public_key": Access(_OWNER),
    "get_ssh_public_key": Access(_OWNER),
    "list_ssh_public_keys": Access(_OWNER),
    "update_ssh_public_key": Access(_OWNER),
    "delete_ssh_public_key": Access(_OWNER),
}


def upload_ssh_public_key(call: Call) -> dict[str, Any]:
    user = iam.the_user(call, call.input["UserName"])
    body = call.input["SSHPublicKeyBody"]
    try:
        read = certificates.ssh_public_key(body)
    except certificates.Unrecognized as unknown:
        raise _unrecognized(str(unknown)) from None
    except certificates.Bad as bad:
        raise AwsError("InvalidPublicKey", str(bad), status=400) from None
    there = records.ssh_public_keys_of(call.tx, user.id)
    if any(key.line == read.line for key in there):
        raise AwsError("DuplicateSSHPublicKey", "The SSH public key is associated with the user already.", status=400)
    if len(there) >= MOST:
        raise iam.limit("SSHPublicKeysPerUser", MOST)
    made = records.SshPublicKey(
        unique("APKA"), call.account_id, user.id, body, read.line, read.fingerprint, records.ACTIVE, call.now
    )
    call.tx.insert(
        records.ssh_public_keys, id=made.id, user_id=user.id, body=body, line=made.line, fingerprint=made.fingerprint,
        status=made.status, uploaded_at=made.uploaded_at,
    )  # fmt: skip
    return {"SSHPublicKey": _described(made, user, made.body)}


def get_ssh_public_key(call: Call) -> dict[str, Any]:
    user, key = _the_key(call)
    encoding = call.input["Encoding"]
    if encoding == "SSH":
        return {"SSHPublicKey": _described(key, user, key.line)}
    if encoding == "PEM":
        return {"SSHPublicKey": _described(key, user, certificates.ssh_key_as_pem(key.line))}
    raise _unrecognized(f"The public key encoding {encoding[:64]} is unsupported or unrecognized.")


def list_ssh_public_keys(call: Call) -> dict[str, Any]:
    user = iam.the_user(call, call.input.get("UserName"))
    found = records.ssh_public_keys_of(call.tx, user.id)
    return iam.page(call, found, lambda key: key.id, "SSHPublicKeys", lambda key: _listed(key, user))


def update_ssh_public_key(call: Call) -> None:
    _, key = _the_key(call)
    status = call.input["Status"]
    if status not in (records.ACTIVE, records.INACTIVE):
        raise iam.invalid_input(f"The status of an SSH public key cannot be set to {status}.")
    call.tx.change(records.ssh_public_keys, key.id, status=status)


def delete_ssh_public_key(call: Call) -> None:
    _, key = _the_key(call)
    call.tx.remove(records.ssh_public_keys, key.id)


def _the_key(call: Call) -> tuple[User, records.SshPublicKey]:
    user = iam.the_user(call, call.input["UserName"])
    key = records.ssh_public_key(call.tx, call.account_id, call.input["SSHPublicKeyId"])
    if key is None or key.user_id != user.id:
        raise iam.no_such("ssh-public-key", call.input["SSHPublicKeyId"])
    return user, key


def _listed(key: records.SshPublicKey, user: User) -> dict[str, Any]:
    return {"UserName": user.name, "SSHPublicKeyId": key.id, "Status": key.status, "UploadDate": key.uploaded_at}


def _described(key: records.SshPublicKey, user: User, body: str) -> dict[str, Any]:
    return _listed(key, user) | {"Fingerprint": key.fingerprint, "SSHPublicKeyBody": body}


def _unrecognized(message: str) -> AwsError:
    return AwsError("UnrecognizedPublicKeyEncoding", message, status=400)
