"""The account's rules for its users' passwords. Without any, AWS's default holds (``identity.passwords``)."""

from __future__ import annotations

from typing import Any

from mallee.identity import iam
from mallee.identity.access import Access
from mallee.identity.call import Call
from mallee.identity.own_password import check_may
from mallee.identity.records import passwords as records

ACCESS = {
    "get_account_password_policy": Access(open=True),  # a policy that lets users change their passwords lets them see it
    "update_account_password_policy": Access(),
    "delete_account_password_policy": Access(),
}

_ASKED = {
    "MinimumPasswordLength": ("minimum_length", 6),
    "RequireSymbols": ("symbols", False),
    "RequireNumbers": ("numbers", False),
    "RequireUppercaseCharacters": ("uppercase", False),
    "RequireLowercaseCharacters": ("lowercase", False),
    "AllowUsersToChangePassword": ("users_may_change", False),
    "MaxPasswordAge": ("maximum_days", 0),
    "PasswordReusePrevention": ("remembered", 0),
    "HardExpiry": ("hard_expiry", False),
}


def get_account_password_policy(call: Call) -> dict[str, Any]:
    check_may(call, "iam:GetAccountPasswordPolicy", "*")
    found = records.password_policy(call.tx, call.account_id)
    if found is None:
        raise iam.no_such("password-policy", call.account_id)
    shown = {member: getattr(found, field) for member, (field, _) in _ASKED.items()}
    return {
        "PasswordPolicy": shown
        | {
            "ExpirePasswords": found.maximum_days > 0,
            "MaxPasswordAge": found.maximum_days or None,
            "PasswordReusePrevention": found.remembered or None,
        }
    }


def update_account_password_policy(call: Call) -> None:
    """What is not given goes back to its default."""
    values = {field: call.input.get(member, default) for member, (field, default) in _ASKED.items()}
    call.tx.put(records.password_policies, account_id=call.account_id, **values)


def delete_account_password_policy(call: Call) -> None:
    if not call.tx.remove(records.password_policies, call.account_id):
        raise iam.no_such("password-policy", call.account_id)
