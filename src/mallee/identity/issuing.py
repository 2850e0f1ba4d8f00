"""What STS's operations that issue credentials have in common: session policies, session tags, durations, roles by their ARN,
and the credentials themselves.

Nobody learns from a refusal whether a role exists: what depends on the role is looked at after its trust policy allowed the
caller, and until then a role that is not there is denied in the same words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mallee.identity import managed, mfa, sessions
from mallee.identity.call import Call, Session
from mallee.identity.records import accounts, policies, roles
from mallee.identity.rules.context import fold
from mallee.identity.rules.policy import Kind, Malformed, compile_policy
from mallee.store import Tx
from mallee.wire.errors import AwsError

HOUR: Final = 3600
MOST_ARNS: Final = 10
MOST_PLAIN: Final = 2048
MOST_TAGS: Final = 50

_ROLE = re.compile(r"arn:(?P<partition>[a-z-]+):iam::(?P<account>\d{12}):role(?P<path>/(?:.*/)?)(?P<name>[^/]+)", re.ASCII)
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_TAG_TEXT = re.compile(r"[^\x00-\x1f\x7f]*")


def invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message, status=400)


def denied(call: Call, action: str, resource: str) -> AwsError:
    """Without a reason: it would tell whether the role exists."""
    who = call.principal.arn or "anonymous"
    return AwsError(
        "AccessDenied", f"User: {who} is not authorized to perform: {action} on resource: {resource}", status=403
    )


# ------------------------------------------------------------------------------------------------------------------- roles


def role_at(tx: Tx, partition: str, arn: str) -> roles.Role | None:
    """The role of an open account that bears exactly this ARN."""
    parts = _ROLE.fullmatch(arn)
    if parts is None or parts["partition"] != partition:
        return None
    account_id = parts["account"]
    account = accounts.account(tx, account_id)
    if account is None or account.status != accounts.OPEN:
        return None
    role = roles.role_by_name(tx.of(account_id), account_id, parts["name"])
    return role if role is not None and role.arn(partition) == arn else None


def is_session_name(text: str) -> bool:
    return _SESSION_NAME.fullmatch(text) is not None


def duration(call: Call, role: roles.Role, *, chained: bool = False) -> int:
    """The seconds that a session of the role lasts."""
    seconds: int | None = call.input.get("DurationSeconds")
    if seconds is None:
        return HOUR
    if seconds > role.max_session_seconds:
        raise invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    if chained and seconds > HOUR:
        raise invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
    return seconds


def with_mfa(call: Call, holder_id: str | None) -> bool:
    """Whether the request brings the code of an MFA device of the holder's; raises when it does not hold."""
    serial, code = call.input.get("SerialNumber"), call.input.get("TokenCode")
    if serial is None and code is None:
        return False
    if serial is None or code is None:
        told = "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."
        raise AwsError("AccessDenied", told, status=403)
    mfa.check(call.tx, call.vault, holder_id or "", serial, code)
    return True


# -------------------------------------------------------------------------------------------------------- session policies


@dataclass(frozen=True, slots=True)
class Narrowing:
    """The session policies of a request: documents, and managed policies by their ARNs."""

    documents: tuple[str, ...] = ()
    arns: tuple[str, ...] = ()


def narrowing(call: Call) -> Narrowing:
    """The request's, checked as far as the request itself goes."""
    text: str | None = call.input.get("Policy")
    arns = tuple(each["arn"] for each in call.input.get("PolicyArns") or () if each.get("arn"))
    if len(arns) > MOST_ARNS:
        raise invalid(f"The number of managed policy ARNs exceeds the limit of {MOST_ARNS}.")
    plain = len(text or "") + sum(map(len, arns))
    if plain > MOST_PLAIN:
        told = "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less"
        raise invalid(f"{told} than or equal to {MOST_PLAIN}")
    if text is not None:
        try:
            compile_policy(text, Kind.SESSION)
        except Malformed as reason:
            raise AwsError("MalformedPolicyDocument", str(reason), status=400) from None
    return Narrowing((text,) if text is not None else (), arns)


def check_arns(tx: Tx, partition: str, account_id: str, arns: Iterable[str]) -> None:
    """Managed session policies must be AWS's, or of the account that the session is in."""
    asked = list(arns)
    theirs = [arn for arn in asked if managed.describe(arn) is None or not arn.startswith(f"arn:{partition}:")]
    found = policies.documents_in_force(tx.of(account_id), account_id, theirs, partition)
    for arn in theirs:
        if arn not in found:
            raise invalid(f"The policy {arn} does not exist or cannot be used as a session policy.")


# ------------------------------------------------------------------------------------------------------------ session tags


@dataclass(frozen=True, slots=True)
class Tags:
    """``asked``: those that come with the request; ``inherited``: those that the caller's session hands on. ``transitive``: the
    keys that the new session will hand on."""

    asked: Mapping[str, str] = field(default_factory=dict)
    inherited: Mapping[str, str] = field(default_factory=dict)
    transitive: tuple[str, ...] = ()

    @property
    def all(self) -> dict[str, str]:
        return {**self.inherited, **self.asked}


def tags(call: Call) -> Tags:
    """Of a request with ``Tags`` and ``TransitiveTagKeys``, by whomever."""
    asked = checked_tags((each["Key"], each["Value"]) for each in call.input.get("Tags") or ())
    return with_transitive(asked, call.input.get("TransitiveTagKeys") or (), inherited(call.principal.session))


def checked_tags(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    seen = set()
    for key, value in given:
        if fold(key).startswith("aws:"):
            raise invalid("Tag keys beginning with 'aws:' are reserved for system use.")
        if not 1 <= len(key) <= 128 or len(value) > 256 or not _TAG_TEXT.fullmatch(key) or not _TAG_TEXT.fullmatch(value):
            raise invalid("A session tag has a key of 1 to 128 characters and a value of at most 256.")
        if fold(key) in seen:
            raise invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        seen.add(fold(key))
        found[key] = value
    if len(found) > MOST_TAGS:
        raise invalid(f"The number of session tags exceeds the limit of {MOST_TAGS}.")
    return found


def with_transitive(asked: Mapping[str, str], transitive: Sequence[str], handed: Mapping[str, str]) -> Tags:
    keys = {fold(key): key for key in asked}
    for key in transitive:
        if fold(key) not in keys:
            raise invalid("The specified transitive tag key must be included in the requested tags.")
    for key in handed:
        if fold(key) in keys:
            raise invalid("One of the specified session tag keys is the key of a tag that is inherited from the calling session.")
    own = dict.fromkeys(keys[fold(key)] for key in transitive)
    return Tags(asked, handed, (*handed, *own))


def inherited(session: Session | None) -> dict[str, str]:
    """What a session hands on: the transitive ones of its tags."""
    if session is None:
        return {}
    return {key: session.tags[key] for key in session.transitive if key in session.tags}


# ------------------------------------------------------------------------------------------------------------- credentials


def issue(call: Call, session: Session) -> dict[str, Any]:
    """The members ``Credentials``, ``PackedPolicySize`` and what goes with them."""
    percent = sessions.packed_percent(session)
    if percent > 100:
        raise too_large(percent)
    issued = sessions.issue(call.vault, session, least_symbols=call.input.get("MinimumSessionTokenSize") or 0)
    used = -(-100 * len(issued.token) // sessions.MOST_SYMBOLS)
    if used > 100:
        raise too_large(used)
    told: dict[str, Any] = {
        "Credentials": issued.described(),
        "SessionTokenSize": len(issued.token),
        "SessionTokenUtilization": used,
    }
    return told | {"PackedPolicySize": percent} if percent else told


def too_large(percent: int) -> AwsError:
    text = f"Packed policy consumes {percent}% of allotted space, please use smaller policy."
    return AwsError("PackedPolicyTooLarge", text, status=400)


def assumed(call: Call, role: roles.Role, session: Session) -> dict[str, Any]:
    """What AssumeRole and its siblings answer."""
    told = issue(call, session)
    told["AssumedRoleUser"] = {
        "AssumedRoleId": f"{role.id}:{session.name}",
        "Arn": sessions.role_session_arn(call.settings.partition, role, session.name),
    }
    if session.source_identity is not None:
        told["SourceIdentity"] = session.source_identity
    return told
