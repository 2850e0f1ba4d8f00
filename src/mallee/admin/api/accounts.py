"""Accounts: made, named, closed and opened again; access keys brought in, sessions made void."""

from __future__ import annotations

import re
from typing import Any

from mallee.admin import access, listing
from mallee.ec2 import tokens
from mallee.identity import grants, keys, records, setup
from mallee.identity.access import Access
from mallee.identity.call import Call, writes
from mallee.identity.quotas import ACCESS_KEYS_PER_USER
from mallee.identity.records import Account, Taken, control
from mallee.identity.records.accounts import CLOSED, OPEN, accounts, set_alias
from mallee.store import Constraint
from mallee.wire.errors import AwsError

_KEY_ID = re.compile(r"[A-Za-z0-9_]{16,128}")
_SECRET = re.compile(r"[!-~]{16,128}")


def create_account(call: Call) -> dict[str, Any]:
    access.administer(call)
    given = call.input
    token = given.get("ClientToken")
    saved = _remembered(call, token)
    if saved is not None:
        return _made_before(call, saved)
    alias = given.get("Alias")
    _check_alias(alias)
    tx = call.tx.everyone()
    try:
        made = setup.create_account(
            tx,
            call.settings,
            alias=alias,
            name=given["Name"],
            account_id=given.get("AccountId"),
            hooks=_tools(call).account_hooks,
        )
    except Taken as taken:
        raise _exists(taken) from None
    answer: dict[str, Any] = {"Account": _account(call, made)}
    saved = {"account": made.id, "key": None, "for": call.principal.user_id}
    if given.get("CreateAccessKey"):
        pair = setup.create_access_key(tx, call.vault, made.id)
        saved["key"] = pair.access_key_id
        answer["AccessKey"] = _key(made.id, None, pair.access_key_id, call.now) | {"SecretAccessKey": pair.secret_access_key}
    tokens.remember(call, token, saved)
    return answer


def describe_account(call: Call) -> dict[str, Any]:
    alias = call.input.get("Alias")
    if alias is None:
        return {"Account": _account(call, access.own_or_named(call))}
    if call.input.get("AccountId"):
        raise AwsError("InvalidParameterException", "Name the account by its id or by its alias, not by both.")
    own = records.account(call.tx, call.account_id)
    if own is not None and own.alias == alias:
        return {"Account": _account(call, own)}
    access.administer(call)
    found = records.account_by_alias(call.tx, alias)
    if found is None:
        raise access.no_account(alias)
    return {"Account": _account(call, found)}


def list_accounts(call: Call) -> dict[str, Any]:
    access.administer(call)
    status = call.input.get("Status")
    found = [each for each in records.all_accounts(call.tx) if status in (None, each.status)]
    shown, more = listing.page(call, found, key=lambda each: each.id)
    administrators = {each.account_id for each in control.all_administrators(call.tx)}
    return {"Accounts": [_described(call, each, each.id in administrators) for each in shown], **more}


def update_account(call: Call) -> dict[str, Any]:
    account = access.changing(call)
    name, alias = call.input.get("Name"), call.input.get("Alias")
    if name is not None:
        call.tx.change(accounts, account.id, name=name)
    if alias is not None and alias != (account.alias or ""):
        _check_alias(alias or None)
        if alias and records.account_by_alias(call.tx, alias) is not None:
            raise _exists(f"the alias {alias} is another account's")
        try:
            set_alias(call.tx, account.id, alias or None)
        except Constraint as broken:
            if broken.kind != "unique":
                raise
            raise _exists(f"the alias {alias} is another account's") from None
    return _as_it_is_now(call, account.id)


def close_account(call: Call) -> dict[str, Any]:
    """At once: every key and every session of the account is refused from the commit on. What the account has is left alone."""
    account = access.named(call)
    if access.is_permanent(call, account.id):
        raise AwsError("ConstraintViolationException", "The account that set the cloud up cannot be closed.")
    if account.status == OPEN:
        call.tx.change(accounts, account.id, closed_at=call.now, not_before=call.now)
        _changed(call)
    return _as_it_is_now(call, account.id)


def reopen_account(call: Call) -> dict[str, Any]:
    account = access.named(call)
    if account.status == CLOSED:
        call.tx.change(accounts, account.id, closed_at=None)
        _changed(call)
    return _as_it_is_now(call, account.id)


@writes
def revoke_sessions(call: Call) -> dict[str, Any]:
    account = access.own_or_named(call)
    access.own_or_common(call, account.id)
    call.tx.change(accounts, account.id, not_before=call.now)
    _changed(call)
    return _as_it_is_now(call, account.id)


def import_access_key(call: Call) -> dict[str, Any]:
    """A pair that exists elsewhere becomes a key here. Its secret is sealed like any other and never told again."""
    account = access.changing(call)
    key_id, secret, name = call.input["AccessKeyId"], call.input["SecretAccessKey"], call.input.get("UserName")
    if not _KEY_ID.fullmatch(key_id) or key_id.upper().startswith("ASIA"):
        raise AwsError(
            "InvalidParameterException",
            "An access key's id has 16 to 128 letters, digits or underscores and does not begin with ASIA, as temporary ones do.",
        )
    if not _SECRET.fullmatch(secret):
        raise AwsError("InvalidParameterException", "A secret access key has 16 to 128 printable characters without spaces.")
    tx = call.tx.everyone()
    user = None
    if name is not None:
        user = records.user_by_name(tx, account.id, name)
        if user is None:
            raise AwsError("UserNotFoundException", f"The account {account.id} has no user {name}.")
    user_id = user.id if user is not None else None
    known = "There is an access key with this id already."
    if records.access_key(tx, key_id) is not None:
        raise AwsError("AccessKeyAlreadyExistsException", known)
    most = int(ACCESS_KEYS_PER_USER.default)
    if len(records.access_keys_of(tx, account.id, user_id)) >= most:
        raise AwsError("LimitExceededException", f"Nobody has more than {most} access keys.")
    try:
        records.add_access_key(tx, call.vault, account.id, user_id, (key_id, secret))
    except (Taken, Constraint):
        raise AwsError("AccessKeyAlreadyExistsException", known) from None
    keys.forget_after(call.tx, key_id)
    return {"AccessKey": _key(account.id, user.name if user is not None else None, key_id, call.now)}


# ----------------------------------------------------------------------------------------------------------------- helpers


def _tools(call: Call) -> Any:
    assert call.tools is not None
    return call.tools


def _remembered(call: Call, token: str | None) -> Any:
    try:
        return tokens.remembered(call, token)
    except AwsError as error:
        if error.code != "IdempotentParameterMismatch":
            raise
        raise AwsError("IdempotentParameterMismatchException", "The client token was used with other parameters.") from None


def _made_before(call: Call, saved: dict[str, Any]) -> dict[str, Any]:
    """The answer to a repeated request: the account as it is now, and the key if it is still there. Its secret is told again only
    to whom it was told before: a token is no password."""
    answer = _as_it_is_now(call, saved["account"])
    mine = saved["key"] and saved.get("for") == call.principal.user_id
    key = records.access_key(call.tx.everyone(), saved["key"]) if mine else None
    if key is not None:
        secret = call.vault.open(key.id, key.secret)
        answer["AccessKey"] = _key(key.account_id, None, key.id, key.created_at) | {"SecretAccessKey": secret}
    return answer


def _check_alias(alias: str | None) -> None:
    if alias is not None and re.fullmatch(r"[0-9]{12}", alias):
        raise AwsError("InvalidParameterException", "An alias of twelve digits could be taken for an account's id.")
    if alias is not None and len(alias) < 3:
        raise AwsError("InvalidParameterException", "An alias has 3 to 63 letters, digits and single hyphens.")


def _exists(why: object) -> AwsError:
    text = str(why)
    return AwsError("AccountAlreadyExistsException", f"{text[:1].upper()}{text[1:]}.")


def _changed(call: Call) -> None:
    """What this process remembers of the account's keys and grants is read anew."""
    keys.forget_after(call.tx)
    grants.forget_after(call.tx)


def _as_it_is_now(call: Call, account_id: str) -> dict[str, Any]:
    account = records.account(call.tx, account_id)
    assert account is not None
    return {"Account": _account(call, account)}


def _account(call: Call, account: Account) -> dict[str, Any]:
    return _described(call, account, control.is_administrator(call.tx, account.id))


def _described(call: Call, account: Account, administers: bool) -> dict[str, Any]:
    return {
        "AccountId": account.id,
        "Arn": access.account_arn(call, account.id),
        "Name": account.name,
        "Alias": account.alias,
        "CanonicalId": account.canonical_id,
        "DisplayName": account.display_name,
        "Status": account.status,
        "CreatedAt": account.created_at,
        "ClosedAt": account.closed_at,
        "SessionsNotBefore": account.not_before,
        "IsAdministrator": administers,
    }


def _key(account_id: str, user_name: str | None, key_id: str, made: Any) -> dict[str, Any]:
    return {"AccountId": account_id, "UserName": user_name, "AccessKeyId": key_id, "CreatedAt": made}


ACCESS = {
    "create_account": Access(),
    "describe_account": Access(access.ON_OWN_ACCOUNT),
    "list_accounts": Access(),
    "update_account": Access(access.ON_ACCOUNT),
    "close_account": Access(access.ON_ACCOUNT),
    "reopen_account": Access(access.ON_ACCOUNT),
    "revoke_sessions": Access(access.ON_OWN_ACCOUNT),
    "import_access_key": Access(access.ON_ACCOUNT),
}
