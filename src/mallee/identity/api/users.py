"""IAM users."""

from __future__ import annotations

from typing import Any

from mallee.identity import records
from mallee.identity.call import Call
from mallee.wire.errors import AwsError


def get_user(call: Call) -> dict[str, Any]:
    """The named user; without a name the caller itself, which for an account's root has neither name nor path."""
    name = call.input.get("UserName")
    if name is None and call.principal.is_root:
        account = records.account(call.tx, call.account_id)
        if account is None:
            raise AwsError("NoSuchEntity", f"The account {call.account_id} cannot be found.")
        return {"User": {"UserId": account.id, "Arn": call.principal.arn, "CreateDate": account.created_at}}
    name = name or call.principal.user_name or ""
    user = records.user_by_name(call.tx, call.account_id, name)
    if user is None:
        raise AwsError("NoSuchEntity", f"The user with name {name} cannot be found.")
    return {
        "User": {
            "Path": user.path,
            "UserName": user.name,
            "UserId": user.id,
            "Arn": user.arn(call.settings.partition),
            "CreateDate": user.created_at,
        }
    }
