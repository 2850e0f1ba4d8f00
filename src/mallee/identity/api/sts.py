"""STS: who am I?"""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call


def get_caller_identity(call: Call) -> dict[str, Any]:
    principal = call.principal
    return {"UserId": principal.user_id, "Account": principal.account_id, "Arn": principal.arn}
