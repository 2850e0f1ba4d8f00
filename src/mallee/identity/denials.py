"""What a denied caller is told: each service's error with AWS's sentence, and EC2's encoded message.

A message has nothing that the request didn't have, but for the type of policies that denied: the resource stands in it as the
request named it, whether it exists or not. The whole story (the statements that denied, the condition keys) is in EC2's
encoded message, which only the caller's own account can have decoded (sts:DecodeAuthorizationMessage). It is sealed by the
vault and padded, so that neither its text nor its length tells anything.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Any, Final

from mallee.identity.call import Principal
from mallee.identity.rules.context import Context
from mallee.identity.rules.evaluate import Decision, Match, Question
from mallee.identity.vault import Vault, VaultError
from mallee.wire.errors import AwsError

_STEP: Final = 1024  # bytes; what is sealed is a multiple of it
_MOST: Final = 16_384
_CONDITIONS: Final = 64
_VALUES: Final = 20
_JSON = ("json", "smithy-rpc-v2-cbor")


class Undecodable(Exception):
    """Not a message that was encoded for a principal of this account."""


def error(
    service: str,
    protocol: str,
    principal: Principal,
    action: str,
    shown: str,
    decision: Decision,
    encoded: str,
    *,
    foreign: bool = False,
) -> AwsError:
    """The service's error. ``shown`` is the resource as the request named it, or ``*``, ``foreign`` whether it belongs to another account:
    S3 gives its reasons only to the owner's own."""
    if service == "s3":
        return _s3(principal, action, shown, decision, foreign)
    who = f"User: {principal.arn or 'anonymous'} is not authorized to perform: {action}"
    text = " ".join(part for part in (who, "" if shown == "*" else f"on resource: {shown}", decision.sentence(action)) if part)
    if service == "ec2":
        text = f"You are not authorized to perform this operation. {text}"
        if encoded:
            text += f". Encoded authorization failure message: {encoded}"
        return AwsError("UnauthorizedOperation", text, status=403)
    if protocol in _JSON:
        return AwsError("AccessDeniedException", text, status=400)
    if protocol == "rest-json":
        return AwsError("AccessDeniedException", text, status=403)
    return AwsError("AccessDenied", text, status=403)


def _s3(principal: Principal, action: str, shown: str, decision: Decision, foreign: bool) -> AwsError:
    """As S3 user guide's "Troubleshoot access denied errors" has it; whoever is of another account learns no more than that."""
    text = "Access Denied"
    if principal.account_id and not foreign:
        on = "" if shown == "*" else f'on resource: "{shown}" '
        text = f"User: {principal.arn} is not authorized to perform: {action} {on}{decision.sentence(action)}".rstrip()
    return AwsError("AccessDenied", text, status=403)


def encode(vault: Vault, principal: Principal, question: Question, decision: Decision) -> str:
    """The encoded message of a denied question."""
    text = json.dumps(_told(principal, question, decision), separators=(",", ":")).encode()
    packed = zlib.compress(text, 9)
    whole = len(packed).to_bytes(4, "big") + packed
    sealed = vault.seal_bytes(_name(principal.account_id), whole + bytes(-len(whole) % _STEP))
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def decode(vault: Vault, account_id: str, message: str) -> dict[str, Any]:
    """What an encoded message says, in the form of AWS's DecodedMessage. Raises ``Undecodable``, for other accounts' too."""
    if len(message) > 2 * _MOST or not message.isascii():
        raise Undecodable
    try:
        sealed = base64.b64decode(message + "=" * (-len(message) % 4), altchars=b"-_", validate=True)
        whole = vault.open_bytes(_name(account_id), sealed)
    except (binascii.Error, VaultError):
        raise Undecodable from None
    found: dict[str, Any] = json.loads(zlib.decompress(whole[4 : 4 + int.from_bytes(whole[:4], "big")]))
    return found


def _name(account_id: str) -> str:
    return f"authorization-message/{account_id}"


def _told(principal: Principal, question: Question, decision: Decision) -> dict[str, Any]:
    who = {"id": principal.user_id, "name": principal.user_name or principal.arn.rpartition("/")[2], "arn": principal.arn}
    context = {
        "principal": who,
        "action": question.action,
        "resource": question.resource,
        "conditions": _items(_conditions(question.context)),
    }
    denied = [_statement(match, principal) for match in decision.matched if match.statement.denies]
    return {
        "allowed": decision.allowed,
        "explicitDeny": decision.explicit,
        "matchedStatements": _items(denied),
        "failures": _items([]),
        "context": context,
    }


def _conditions(context: Context) -> list[dict[str, Any]]:
    found = []
    for name in sorted(context.names())[:_CONDITIONS]:
        values = context.get(name) or ()
        found.append({"key": name, "values": _values(value[:256] for value in values[:_VALUES])})
    return found


def _statement(match: Match, principal: Principal) -> dict[str, Any]:
    """A statement that denied, in the elements that it was written with."""
    written = json.loads(match.statement.text)
    conditions = [
        {"key": key, "operator": operator, "values": _values(_strings(values))}
        for operator, keys in (written.get("Condition") or {}).items()
        for key, values in keys.items()
    ]
    actions = "actions" if "Action" in written else "notActions"
    resources = "resources" if "Resource" in written or "NotResource" not in written else "notResources"
    return {
        "statementId": match.sid,
        "effect": "DENY",
        "principals": _values([principal.user_id]),
        "principalGroups": _items([]),
        actions: _values(_strings(written.get("Action", written.get("NotAction")))),
        resources: _values(_strings(written.get("Resource", written.get("NotResource")))),
        "conditions": _items(conditions),
    }


def _strings(value: Any) -> list[str]:
    if value is None:
        return []
    return [each if isinstance(each, str) else json.dumps(each) for each in (value if isinstance(value, list) else [value])]


def _values(values: Any) -> dict[str, Any]:
    return _items([{"value": value} for value in values])


def _items(items: list[Any]) -> dict[str, Any]:
    return {"items": items}
