"""What the account's password policy grants its users by itself: to change their own passwords, and to see the policy."""

from __future__ import annotations

from mallee.identity import authorize
from mallee.identity.access import Check
from mallee.identity.call import Call
from mallee.identity.records.passwords import password_policy


def check_may(call: Call, action: str, resource: str) -> None:
    """Raises the denial unless the caller's policies allow the action, or the account's password policy grants it (with
    AllowUsersToChangePassword) and nothing denies it explicitly."""
    check = Check(action, resource)
    policy = password_policy(call.tx, call.account_id)
    granted = policy is not None and policy.users_may_change and call.principal.kind == "user"
    if granted and not authorize.allowed(call, check).explicit:
        return
    authorize.check(call, check)
