"""STS: AssumeRole.

The role's trust policy must allow the caller, and so must the caller's own policies where the trust policy names its account and
not the caller itself, or where the role is another account's. The same is asked for each tag (``sts:TagSession``) and for a
source identity (``sts:SetSourceIdentity``), inherited ones included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mallee.identity import authorize, grants, issuing, sessions
from mallee.identity.access import Access, Check, Values
from mallee.identity.call import Call, Session, writes
from mallee.identity.records import roles, tags
from mallee.identity.rules.policy import Kind
from mallee.wire.errors import AwsError

ACCESS = {"assume_role": Access(open=True)}


@writes
def assume_role(call: Call) -> dict[str, Any]:
    caller, given = call.principal, call.input
    if caller.kind == "root":
        raise AwsError("AccessDenied", "Roles may not be assumed by root accounts.", status=403)
    if given.get("ProvidedContexts"):
        raise issuing.invalid("This region has no context providers: ProvidedContexts cannot be given.")
    narrowing, tagged = issuing.narrowing(call), issuing.tags(call)
    source = _source_identity(call)
    with_mfa = issuing.with_mfa(call, caller.holder_id if caller.kind == "user" else None)
    arn = given["RoleArn"]
    role = issuing.role_at(call.tx, call.settings.partition, arn)
    if role is None:
        raise issuing.denied(call, "sts:AssumeRole", arn)
    keys = _keys(call, role, tagged, source, with_mfa)
    for action in _actions(tagged, source):
        _check(call, action, role, arn, keys)
    issuing.check_arns(call.tx, call.settings.partition, role.account_id, narrowing.arns)
    seconds = issuing.duration(call, role, chained=caller.kind == "assumed-role")
    session = Session(
        sessions.ASSUMED_ROLE, role.account_id, role.id, given["RoleSessionName"], call.now, sessions.ends(call.now, seconds),
        narrowing.documents, narrowing.arns, tagged.all, tagged.transitive, source, chained=caller.kind == "assumed-role",
    )  # fmt: skip
    return issuing.assumed(call, role, session)


def _actions(tagged: issuing.Tags, source: str | None) -> Iterator[str]:
    yield "sts:AssumeRole"
    if tagged.all:
        yield "sts:TagSession"
    if source is not None:
        yield "sts:SetSourceIdentity"


def _source_identity(call: Call) -> str | None:
    """The request's, or the one that the caller's session already has, which nothing changes any more."""
    asked: str | None = call.input.get("SourceIdentity")
    had = call.principal.session.source_identity if call.principal.session is not None else None
    if had is not None and asked is not None and asked != had:
        raise AwsError(
            "AccessDenied", "The source identity of the calling session is set and cannot be changed.", status=403
        )
    return had or asked


def _keys(
    call: Call, role: roles.Role, tagged: issuing.Tags, source: str | None, with_mfa: bool
) -> dict[str, Values | Callable[[], Values | Mapping[str, str]]]:
    given = call.input
    keys: dict[str, Any] = {
        "sts:ExternalId": given.get("ExternalId"),
        "sts:RoleSessionName": given["RoleSessionName"],
        "sts:SourceIdentity": source,
        "sts:TransitiveTagKeys": tagged.transitive or None,
        "iam:ResourceTag/": lambda: tags.tags_of(call.tx.of(role.account_id), role.id),
        "aws:ResourceTag/": lambda: tags.tags_of(call.tx.of(role.account_id), role.id),
    }
    if with_mfa:
        keys |= {"aws:MultiFactorAuthPresent": True, "aws:MultiFactorAuthAge": 0}
    return keys


def _check(call: Call, action: str, role: roles.Role, arn: str, keys: Mapping[str, Any]) -> None:
    trust = grants.compiled(role.trust_policy, Kind.TRUST, arn)
    asked = Check(action, arn, keys, policy=trust, owner=role.account_id)
    if not authorize.allowed(call, asked).allowed:
        raise issuing.denied(call, action, arn)
