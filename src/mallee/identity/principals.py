"""Ending a user or group with everything that hangs on it: what a directory's clean deletion does, and no API operation (IAM's
DeleteUser refuses while anything is left).

What the user made (instances, buckets) belongs to the account and stays for its administrator.
"""

from __future__ import annotations

from mallee.identity import grants, keys
from mallee.identity.records import mfa, users, uses
from mallee.identity.records.certificates import signing_certificates
from mallee.identity.records.keys import access_keys, access_keys_of, ssh_public_keys
from mallee.identity.records.passwords import login_profiles, sign_ins
from mallee.identity.records.policies import attachments, inline_policies
from mallee.identity.records.tags import remove_tags
from mallee.store import Tx


def remove_user(tx: Tx, user: users.User) -> None:
    tx.remove_all(users.members, users.members.c.user_id == user.id)
    _forget_holder(tx, user.id)
    uses.forget_holder(tx, user.id)
    for key in access_keys_of(tx, user.account_id, user.id):
        uses.forget_key(tx, key.id)
        tx.remove(access_keys, key.id)
    tx.remove_all(login_profiles, login_profiles.c.user_id == user.id)
    tx.remove(sign_ins, user.id)
    tx.remove_all(signing_certificates, signing_certificates.c.user_id == user.id)
    tx.remove_all(ssh_public_keys, ssh_public_keys.c.user_id == user.id)
    for device in mfa.mfa_devices_of(tx, user.id):
        remove_tags(tx, device.serial)
        mfa.remove_mfa_device(tx, device.serial)
    tx.remove(users.users, user.id)
    keys.forget_after(tx)


def remove_group(tx: Tx, group: users.Group) -> None:
    tx.remove_all(users.members, users.members.c.group_id == group.id)
    _forget_holder(tx, group.id)
    tx.remove(users.groups, group.id)


def _forget_holder(tx: Tx, holder_id: str) -> None:
    tx.remove_all(attachments, attachments.c.holder_id == holder_id)
    tx.remove_all(inline_policies, inline_policies.c.holder_id == holder_id)
    remove_tags(tx, holder_id)
    grants.forget_after(tx, holder_id)
