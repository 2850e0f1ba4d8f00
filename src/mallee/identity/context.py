"""The condition keys that every call has: AWS's global ones, each present when AWS says that it is.

Nothing is worked out before a policy asks for a key of the call at all, and what costs something (tags of the request) not
before that key is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mallee.identity.access import Check
from mallee.identity.call import Call, Principal, Session
from mallee.identity.rules.context import Context, Value, fold, texts

Values = dict[str, Value | Callable[[], Value]]

_TYPES = {
    "root": "Account",
    "user": "User",
    "assumed-role": "AssumedRole",
    "federated-user": "FederatedUser",
    "anonymous": "Anonymous",
}


def _of_session(read: Callable[[Session], Value]) -> Callable[[Call], Value]:
    """Temporary credentials have it; a user's or root's own keys do not."""

    def value(call: Call) -> Value:
        session = call.principal.session
        return None if session is None else read(session)

    return value


def _of_account(read: Callable[[Principal], Value]) -> Callable[[Call], Value]:
    """Whoever has an account has it; an anonymous caller does not."""
    return lambda call: read(call.principal) if call.principal.account_id else None


def _principal_arn(principal: Principal) -> str:
    return principal.issuer_arn if principal.kind == "assumed-role" else principal.arn


def _header(call: Call, name: bytes) -> str | None:
    return (call.header(name) or b"").decode("latin-1") or None


def _since_mfa(call: Call) -> Value:
    session = call.principal.session
    if session is None or session.mfa_at is None:
        return None
    return max(0, int((call.now - session.mfa_at).total_seconds()))


# As through a VPC endpoint, a request from within a VPC has that VPC and its address there, and no aws:SourceIp: the same
# address is in many VPCs.
_SPELLED: dict[str, Callable[[Call], Value]] = {
    "aws:CurrentTime": lambda call: call.now,
    "aws:EpochTime": lambda call: int(call.now.timestamp()),
    "aws:SecureTransport": lambda call: call.secure,
    "aws:SourceIp": lambda call: None if call.source_vpc else call.source_ip or None,
    "aws:SourceVpc": lambda call: call.source_vpc or None,
    "aws:VpcSourceIp": lambda call: call.source_ip if call.source_vpc else None,
    "aws:UserAgent": lambda call: _header(call, b"user-agent"),
    "aws:Referer": lambda call: _header(call, b"referer"),
    "aws:RequestedRegion": lambda call: call.region,
    "aws:ViaAWSService": lambda call: False,
    "aws:PrincipalType": lambda call: _TYPES.get(call.principal.kind),
    "aws:userid": lambda call: call.principal.user_id,
    "aws:PrincipalArn": _of_account(_principal_arn),
    "aws:PrincipalAccount": _of_account(lambda principal: principal.account_id),
    "aws:PrincipalIsAWSService": _of_account(lambda principal: False),
    "aws:username": _of_account(lambda principal: principal.user_name),
    "aws:TokenIssueTime": _of_session(lambda session: session.issued_at),
    "aws:MultiFactorAuthPresent": _of_session(lambda session: session.mfa_at is not None),
    "aws:MultiFactorAuthAge": _since_mfa,
    "aws:SourceIdentity": _of_session(lambda session: session.source_identity),
    "aws:FederatedProvider": _of_session(lambda session: session.provider),
    "ec2:Region": lambda call: call.region if call.service == "ec2" else None,
}
_KEYS = {fold(name): read for name, read in _SPELLED.items()}
_SPELLING = {fold(name): name for name in _SPELLED}
_PRINCIPAL_TAGS = fold("aws:PrincipalTag/")


def reader(key: str) -> Callable[[Call], Any]:
    """What reads from a call the value of a key that is at hand: something that can be compared."""
    read = _KEYS.get(fold(key))
    return read if read is not None else lambda call: CallContext(call).look(key)


class CallContext(Context):
    """The keys of one call. The call does not hold it, or neither would go before the collector comes by."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call

    def names(self) -> frozenset[str]:
        return super().names() | {name for name in _KEYS if self.get(name) is not None}

    def _own(self) -> Values:
        if self._values is None:
            self._values = self._apart()
        return self._values

    def _apart(self) -> Values:
        """What is not the same set of keys for everybody: tags, and keys of the session's own. Names in small letters."""
        principal = self._call.principal
        session = principal.session
        values: Values = {} if session is None else {fold(name): given for name, given in session.keys.items()}
        values[_PRINCIPAL_TAGS] = principal.tags
        return values

    def _resolve(self, key: str) -> tuple[tuple[str, ...] | None, bool]:
        read = _SPELLED.get(key) or _KEYS.get(fold(key))
        return super()._resolve(key) if read is None else texts(read(self._call))


class QuestionContext(CallContext):
    """The keys of one question about a call: the call's, those of the check and its resource, and the request's tags."""

    __slots__ = ("_asked",)

    def __init__(self, call: Call, asked: Check) -> None:
        super().__init__(call)
        self._asked = asked

    def _resolve(self, key: str) -> tuple[tuple[str, ...] | None, bool]:
        """What the check says of one of the call's keys stands before what the call says: the MFA code in AssumeRole's
        request."""
        name = key if key in _SPELLED else _SPELLING.get(fold(key))
        if name is not None and name in self._asked.keys:
            return Context._resolve(self, key)
        return super()._resolve(key)

    def _apart(self) -> Values:
        call, asked = self._call, self._asked
        resource = asked.resource
        values = super()._apart()
        values |= {fold(name): value for name, value in asked.keys.items()}
        values["aws:resourceaccount"] = asked.owner or call.account_id or None
        values["aws:requesttag/"] = lambda: request_tags(call, resource)
        values["aws:tagkeys"] = lambda: tag_keys(call, resource)
        if asked.tags is not None:
            service = asked.action.partition(":")[0]
            values["aws:resourcetag/"] = values[f"{service}:resourcetag/"] = asked.tags
        return values


def of(call: Call) -> Context:
    """The call's own keys, for questions that know more beside them."""
    return CallContext(call)


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
