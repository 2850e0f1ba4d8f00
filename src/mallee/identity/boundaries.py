"""Permissions boundaries: a managed policy, AWS's or the account's own, that says how far a user or role can reach at most."""

from __future__ import annotations

import re

from mallee.identity import iam, managed
from mallee.identity.call import Call
from mallee.identity.records import policies
from mallee.wire.errors import AwsError

_POLICY = re.compile(r"arn:(?P<partition>aws[a-z-]*):iam::(?P<owner>\d{12}|aws):policy/(?:.+/)?(?P<name>[^/]+)", re.ASCII)


def the_boundary(call: Call) -> str | None:
    """The ARN that the request gives as ``PermissionsBoundary``, of a policy that exists and may be one."""
    arn: str | None = call.input.get("PermissionsBoundary")
    if arn is None:
        return None
    parts = _POLICY.fullmatch(arn)
    if parts is None:
        raise iam.invalid_input(f"ARN {arn} is not valid.")
    if not _is_there(call, arn, parts["owner"], parts["name"]) or parts["partition"] != call.settings.partition:
        raise iam.no_such("boundary", arn)
    if parts["owner"] == managed.OWNER and arn.startswith(f"arn:{parts['partition']}:iam::{managed.OWNER}:policy/aws-service-role/"):
        raise AwsError("PolicyNotAttachable", "Cannot attach a Service Role Policy to a customer role.", status=400)
    return arn


def _is_there(call: Call, arn: str, owner: str, name: str) -> bool:
    if owner == managed.OWNER:
        return managed.describe(arn) is not None
    if owner != call.account_id:
        return False
    found = policies.policy_by_name(call.tx, owner, name)
    return found is not None and found.arn(call.settings.partition) == arn
