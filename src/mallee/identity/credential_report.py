"""The credential report: one line of CSV for the root and each user of an account, in AWS's columns and words."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterable, Sequence
from typing import TypeVar

from mallee.identity import passwords as password_rules
from mallee.identity.records import accounts, mfa, passwords, reports, users, uses
from mallee.identity.records.certificates import SigningCertificate
from mallee.identity.records.keys import ACTIVE, AccessKey
from mallee.identity.records.uses import KeyUse
from mallee.store import Tx

COLUMNS = (
    "user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed",
    "password_next_rotation", "mfa_active", "access_key_1_active", "access_key_1_last_rotated", "access_key_1_last_used_date",
    "access_key_1_last_used_region", "access_key_1_last_used_service", "access_key_2_active", "access_key_2_last_rotated",
    "access_key_2_last_used_date", "access_key_2_last_used_region", "access_key_2_last_used_service", "cert_1_active",
    "cert_1_last_rotated", "cert_2_active", "cert_2_last_rotated",
)  # fmt: skip

ROOT = "<root_account>"

_NONE, _UNKNOWN, _UNSUPPORTED = "N/A", "no_information", "not_supported"

Owned = TypeVar("Owned", AccessKey, SigningCertificate)


def build(tx: Tx, account_id: str, partition: str) -> str:
    """The root first, then the users by name; lines end in a newline, but the last."""
    account = accounts.account(tx, account_id)
    assert account is not None
    everybody = users.users_in(tx, account_id)
    keys = _by_owner(reports.access_keys_in(tx, account_id))
    certificates = _by_owner(reports.signing_certificates_in(tx, account_id))
    used = uses.key_uses_of(tx, [key.id for owned in keys.values() for key in owned])
    devices = {device.holder_id for device in mfa.mfa_devices_in(tx, account_id)}
    profiles = {profile.user_id: profile for profile in passwords.login_profiles_in(tx, account_id)}
    signed_in = passwords.passwords_last_used(tx, [account_id, *(user.id for user in everybody)])
    policy = passwords.password_policy(tx, account_id)

    def credentials(holder_id: str, owner: str | None) -> list[str]:
        mine = _two(keys.get(owner, []))
        return [
            _flag(holder_id in devices),
            *(text for key in mine for text in _key(key, used)),
            *(text for each in _two(certificates.get(owner, [])) for text in _certificate(each)),
        ]

    def password(user: users.User) -> list[str]:
        profile = profiles.get(user.id)
        if profile is None:
            return ["false", _NONE, _NONE, _NONE]
        last = signed_in.get(user.id)
        end = password_rules.expires_at(policy, profile)
        return ["true", _time(last) if last else _UNKNOWN, _time(profile.changed_at), _time(end) if end else _NONE]

    root_used = signed_in.get(account_id)
    rows = [
        [
            ROOT, f"arn:{partition}:iam::{account_id}:root", _time(account.created_at), _UNSUPPORTED,
            _time(root_used) if root_used else _UNKNOWN, _UNSUPPORTED, _UNSUPPORTED, *credentials(account_id, None),
        ]
    ]  # fmt: skip
    rows += [
        [user.name, user.arn(partition), _time(user.created_at), *password(user), *credentials(user.id, user.id)]
        for user in everybody
    ]
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([COLUMNS, *rows])
    return written.getvalue().removesuffix("\n")


def _key(key: AccessKey | None, used: dict[str, KeyUse]) -> tuple[str, ...]:
    if key is None:
        return "false", _NONE, _NONE, _NONE, _NONE
    last = used.get(key.id)
    use = (_NONE, _NONE, _NONE) if last is None else (_time(last.used_at), last.region, last.service)
    return _flag(key.status == ACTIVE), _time(key.created_at), *use


def _certificate(certificate: SigningCertificate | None) -> tuple[str, str]:
    if certificate is None:
        return "false", _NONE
    return _flag(certificate.status == ACTIVE), _time(certificate.uploaded_at)


def _by_owner(found: Iterable[Owned]) -> dict[str | None, list[Owned]]:
    owned: dict[str | None, list[Owned]] = {}
    for each in found:
        owned.setdefault(each.user_id, []).append(each)
    return owned


def _two(found: Sequence[Owned]) -> list[Owned | None]:
    shown: list[Owned | None] = list(found[:2])
    return shown + [None] * (2 - len(shown))


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _time(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
