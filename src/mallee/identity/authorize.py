"""May the caller do this? The one function that every call passes after its signature and before its handler.

The root of an account may do everything in it. A user may do nothing yet but ask who it is: there is no policy to allow
more, and what no policy allows is denied. Accounts are kept apart below, by the store: no principal sees another
account's rows, whatever is allowed here.
"""

from __future__ import annotations

from mallee.identity.call import Call
from mallee.wire.errors import AwsError

ALWAYS_ALLOWED = frozenset({("sts", "GetCallerIdentity")})

_PREFIXES = {"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing"}


def authorize(call: Call) -> None:
    """Returns when the call is allowed; raises the service's own error when it is not."""
    if call.principal.is_root or (call.service, call.operation) in ALWAYS_ALLOWED:
        return
    raise denied(call)


def denied(call: Call) -> AwsError:
    action = f"{_PREFIXES.get(call.service, call.service)}:{call.operation}"
    why = f"User: {call.principal.arn} is not authorized to perform: {action}"
    because = f"because no identity-based policy allows the {action} action"
    if call.service == "ec2":
        text = f"You are not authorized to perform this operation. {why} {because}"
        return AwsError("UnauthorizedOperation", text, status=403)
    if call.protocol in ("json", "smithy-rpc-v2-cbor"):
        return AwsError("AccessDeniedException", f"{why} {because}", status=400)
    if call.protocol == "rest-json":
        return AwsError("AccessDeniedException", f"{why} {because}", status=403)
    return AwsError("AccessDenied", f"{why} {because}", status=403)
