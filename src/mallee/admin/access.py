"""Who may administer, and whom.

A policy of the caller's own account is asked first, like for every operation. Here is decided what no policy can: that the
account administers the cloud, or asks about itself. Of an account that it may not see, a caller never learns whether it
exists. The account that set the cloud up is changed by itself alone, so that no administrator can take the cloud from it.
"""

from __future__ import annotations

from typing import Any

from mallee.identity import records
from mallee.identity.access import On, ResourceType
from mallee.identity.call import Call
from mallee.identity.records import Account, control
from mallee.wire.errors import AwsError


def account_arn(call: Call, identifier: str, thing: Any = None) -> str:
    return f"arn:{call.settings.partition}:mallee:::account/{identifier}"


def _policy_arn(call: Call, identifier: str, thing: Any) -> str:
    return f"arn:{call.settings.partition}:mallee:::service-control-policy/{identifier}"


def _target_arn(call: Call, identifier: str, thing: Any) -> str:
    return f"arn:{call.settings.partition}:mallee:::{'root' if identifier == control.ROOT else f'account/{identifier}'}"


ACCOUNT = ResourceType("account", account_arn)
POLICY = ResourceType("service-control-policy", _policy_arn)
TARGET = ResourceType("account", _target_arn)

ON_ACCOUNT = On(ACCOUNT, "AccountId")
ON_OWN_ACCOUNT = On(ACCOUNT, "AccountId", default=lambda call: [call.account_id])


def administers(call: Call) -> bool:
    return control.is_administrator(call.tx, call.account_id)


def administer(call: Call) -> None:
    """Returns when the caller's account administers the cloud."""
    if not administers(call):
        raise _denied(call, f"the account {call.account_id} does not administer this cloud")


def named(call: Call) -> Account:
    """The account that an administrator names."""
    administer(call)
    return _existing(call, call.input["AccountId"])


def changing(call: Call) -> Account:
    """The account that an administrator is about to change."""
    account = named(call)
    own_or_common(call, account.id)
    return account


def own_or_common(call: Call, account_id: str) -> None:
    """The account that set the cloud up is left to itself."""
    if account_id != call.account_id and is_permanent(call, account_id):
        raise _denied(call, "the account that set the cloud up is changed only by itself")


def is_permanent(call: Call, account_id: str) -> bool:
    known = control.administrator(call.tx, account_id)
    return known is not None and known.permanent


def own_or_named(call: Call) -> Account:
    """The caller's own account, or the one that an administrator names."""
    account_id = call.input.get("AccountId") or call.account_id
    if account_id != call.account_id:
        administer(call)
    return _existing(call, account_id)


def _existing(call: Call, account_id: str) -> Account:
    found = records.account(call.tx, account_id)
    if found is None:
        raise no_account(account_id)
    return found


def no_account(named: str) -> AwsError:
    return AwsError("AccountNotFoundException", f"There is no account {named}.")


def _denied(call: Call, why: str) -> AwsError:
    text = f"User: {call.principal.arn} is not authorized to perform: mallee:{call.operation} because {why}"
    return AwsError("AccessDeniedException", text)
