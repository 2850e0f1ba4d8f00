"""What a user still has that would outlive it: DeleteUser refuses until it is gone."""

from __future__ import annotations

from mallee.identity.records.certificates import signing_certificates_of
from mallee.identity.records.keys import access_keys_of, ssh_public_keys_of
from mallee.identity.records.mfa import count_mfa_devices_of
from mallee.identity.records.passwords import login_profile
from mallee.store import Tx


def credentials_of(tx: Tx, account_id: str, user_id: str) -> str | None:
    """The first kind that is in the way, as DeleteConflict names it (``iam.conflict("delete access keys first")``)."""
    if login_profile(tx, user_id) is not None:
        return "delete login profile first"
    if access_keys_of(tx, account_id, user_id):
        return "delete access keys first"
    if count_mfa_devices_of(tx, user_id):
        return "delete MFA device first"
    if signing_certificates_of(tx, account_id, user_id):
        return "delete signing certificates first"
    if ssh_public_keys_of(tx, user_id):
        return "delete SSH public keys first"
    return None
