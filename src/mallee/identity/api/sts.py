"""STS: who am I, whose key is this, and temporary credentials for users themselves."""

from __future__ import annotations

import json
from typing import Any

from mallee.identity import denials, issuing, records, sessions
from mallee.identity.access import Access, Check
from mallee.identity.call import Call, Session, reads, writes
from mallee.wire.errors import AwsError

_HALF_A_DAY = 12 * issuing.HOUR


def _federated_user(call: Call) -> list[Check]:
    """The federated user that is to be made; with tags, the permission to tag it."""
    arn = call.arn(f"federated-user/{call.input['Name']}", "sts")
    actions = ["sts:GetFederationToken"] + (["sts:TagSession"] if call.input.get("Tags") else [])
    return [Check(action, arn) for action in actions]


ACCESS = {
    "get_caller_identity": Access(open=True),
    "get_access_key_info": Access(),
    "get_session_token": Access(open=True),
    "get_federation_token": Access(find=_federated_user),
    "decode_authorization_message": Access(),
}


def get_caller_identity(call: Call) -> dict[str, Any]:
    """Allowed to everybody, whatever policies say."""
    principal = call.principal
    return {"UserId": principal.user_id, "Account": principal.account_id, "Arn": principal.arn}


def get_access_key_info(call: Call) -> dict[str, Any]:
    """The account of any key, as AWS tells it to everybody. A temporary key's id says it itself."""
    access_key_id = call.input["AccessKeyId"]
    account_id = sessions.account_of_key(access_key_id)
    if account_id is not None and records.account(call.tx.everyone(), account_id) is not None:
        return {"Account": account_id}
    key = records.access_key(call.tx.everyone(), access_key_id)
    if key is None:
        raise AwsError("ValidationError", "The specified value for parameter AccessKeyId is invalid.", status=400)
    return {"Account": key.account_id}


@writes
def get_session_token(call: Call) -> dict[str, Any]:
    """The caller's own rights for a while, with MFA if a code is given. A root's last an hour at most."""
    caller, given = call.principal, call.input
    holder_id = caller.account_id if caller.kind == "root" else caller.holder_id
    with_mfa = issuing.with_mfa(call, holder_id)
    longest = issuing.HOUR if caller.kind == "root" else None
    seconds = given.get("DurationSeconds") or _HALF_A_DAY
    ends = sessions.ends(call.now, seconds if longest is None else min(seconds, longest))
    session = Session(
        sessions.SESSION, caller.account_id, holder_id, "", call.now, ends, mfa_at=call.now if with_mfa else None
    )
    return issuing.issue(call, session)


def get_federation_token(call: Call) -> dict[str, Any]:
    """A federated user: what the caller may do and the policies that come with the request allow, no more. Without such policies
    that is nothing but what resources' own policies grant."""
    caller, given = call.principal, call.input
    narrowing, tagged = issuing.narrowing(call), issuing.tags(call)
    issuing.check_arns(call.tx, call.settings.partition, call.account_id, narrowing.arns)
    root = caller.kind == "root"
    seconds = given.get("DurationSeconds") or _HALF_A_DAY
    session = Session(
        sessions.FEDERATED_USER, caller.account_id, caller.account_id if root else caller.holder_id, given["Name"], call.now,
        sessions.ends(call.now, min(seconds, issuing.HOUR) if root else seconds), narrowing.documents, narrowing.arns,
        tagged.asked,
    )  # fmt: skip
    told = issuing.issue(call, session)
    told["FederatedUser"] = {
        "FederatedUserId": f"{caller.account_id}:{session.name}",
        "Arn": sessions.federated_arn(call.settings.partition, session),
    }
    return told


@reads
def decode_authorization_message(call: Call) -> dict[str, Any]:
    """What a denial of this account's own said in full."""
    try:
        found = denials.decode(call.vault, call.account_id, call.input["EncodedMessage"])
    except denials.Undecodable:
        raise AwsError(
            "InvalidAuthorizationMessageException", "Message is not valid, or was not encoded for this account.", status=400
        ) from None
    return {"DecodedMessage": json.dumps(found, separators=(",", ":"))}
