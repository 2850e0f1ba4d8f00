"""The condition keys that every call has: AWS's global ones, each present when AWS says that it is.

Nothing is worked out before a policy asks for a key of the call at all, and what costs something (tags of the request) not
before that key is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mallee.identity.call import Call, Principal, Session
from mallee.identity.rules.context import Context, Value, fold

Values = dict[str, Value | Callable[[], Value]]

_TYPES = {
    "root": "Account",
    "user": "User",
    "assumed-role": "AssumedRole",
    "federated-user": "FederatedUser",
    "anonymous": "Anonymous",
}


class CallContext(Context):
    """The keys of one call, beneath those of each question about it."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call

    def _own(self) -> Values:
        if self._values is None:
            self._values = {fold(name): value for name, value in _of_call(self._call).items()}
        return self._values


def of(call: Call) -> Context:
    """The call's keys, the same object each time."""
    if call.context is None:
        call.context = CallContext(call)
    return call.context


def _of_call(call: Call) -> Values:
    principal = call.principal
    values: Values = {
        "aws:CurrentTime": call.now,
        "aws:EpochTime": int(call.now.timestamp()),
        "aws:SecureTransport": call.secure,
        **_of_source(call),
        "aws:UserAgent": call.user_agent or None,
        "aws:Referer": (call.header(b"referer") or b"").decode("latin-1") or None,
        "aws:RequestedRegion": call.region,
        "aws:ViaAWSService": False,
        "aws:PrincipalType": _TYPES.get(principal.kind),
        "aws:userid": principal.user_id,
    }
    if principal.account_id:
        values |= _of_principal(principal)
    if principal.session is not None:
        values |= _of_session(principal.session, call)
    return values


def _of_source(call: Call) -> Values:
    """As through a VPC endpoint, a request from within a VPC has that VPC and its address there, and no ``aws:SourceIp``: the
    same address is in many VPCs."""
    if call.source_vpc:
        return {"aws:SourceVpc": call.source_vpc, "aws:VpcSourceIp": call.source_ip}
    return {"aws:SourceIp": call.source_ip or None}


def _of_principal(principal: Principal) -> Values:
    """Of somebody with an account: an anonymous caller has none of these."""
    return {
        "aws:PrincipalArn": principal.issuer_arn if principal.kind == "assumed-role" else principal.arn,
        "aws:PrincipalAccount": principal.account_id,
        "aws:PrincipalIsAWSService": False,
        "aws:PrincipalTag/": principal.tags,
        "aws:username": principal.user_name,
    }


def _of_session(session: Session, call: Call) -> Values:
    """Of temporary credentials: with the keys of a user or root themselves, none of these is present."""
    values: Values = dict(session.keys)
    values["aws:TokenIssueTime"] = session.issued_at
    values["aws:MultiFactorAuthPresent"] = session.mfa_at is not None
    if session.mfa_at is not None:
        values["aws:MultiFactorAuthAge"] = max(0, int((call.now - session.mfa_at).total_seconds()))
    values["aws:SourceIdentity"] = session.source_identity
    values["aws:FederatedProvider"] = session.provider
    return values


# ---------------------------------------------------------------------------------------------------------- tags in requests


def request_tags(call: Call, resource: str) -> Mapping[str, str]:
    """The tags that the request puts on a resource. EC2's operations say for which type of what they make; elsewhere they
    are the request's."""
    given = call.input
    if call.service == "ec2" and "TagSpecifications" in given:
        if not resource.endswith("/*"):
            return {}
        made = resource.rpartition(":")[2].partition("/")[0]
        found: dict[str, str] = {}
        for specification in given["TagSpecifications"]:
            if specification.get("ResourceType") == made:
                found |= _pairs(specification.get("Tags"))
        return found
    return _pairs(given.get("Tags") or given.get("tags"))


def tag_keys(call: Call, resource: str) -> list[str] | None:
    """``aws:TagKeys``: the keys that the request puts on the resource, or takes off."""
    named = call.input.get("TagKeys") or call.input.get("tagKeys")
    return list(named) if named else list(request_tags(call, resource)) or None


def _pairs(tags: Any) -> dict[str, str]:
    """Tags in any of the forms that AWS's services have for them."""
    if not tags:
        return {}
    if isinstance(tags, Mapping):
        return {str(key): str(value) for key, value in tags.items()}
    found = {}
    for tag in tags:
        key = tag.get("Key") or tag.get("key") or tag.get("TagKey")
        if key:
            found[key] = tag.get("Value") or tag.get("value") or tag.get("TagValue") or ""
    return found


def of_question(call: Call, resource: str) -> Values:
    """The keys that a question has from its resource and the request's tags."""
    return {
        "aws:RequestTag/": lambda: request_tags(call, resource),
        "aws:TagKeys": lambda: tag_keys(call, resource),
    }
