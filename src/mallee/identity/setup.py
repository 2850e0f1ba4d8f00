"""Making accounts and keys: what the set-up of a cloud and its administrator do, outside any API call.

An account is made together with what every domain gives a new account (a default VPC, …): those functions are handed in,
because identity lies below the domains.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mallee.identity import keys, records
from mallee.identity.tools import AccountHook
from mallee.identity.vault import Vault, VaultError
from mallee.settings import Settings
from mallee.settings import account_id as new_account_id
from mallee.store import Actor, Database, Tx


@dataclass(frozen=True, slots=True)
class Credentials:
    account_id: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def create_account(
    tx: Tx,
    settings: Settings,
    *,
    alias: str | None = None,
    name: str = "",
    account_id: str | None = None,
    hooks: Iterable[AccountHook] = (),
) -> records.Account:
    """A new account with everything that the domains give it. ``tx`` must not be scoped to another account."""
    account_id = account_id or _free_id(tx)
    made = records.add_account(tx, account_id, alias, name or alias or account_id)
    for hook in hooks:
        hook(tx, account_id, settings)
    return made


def _free_id(tx: Tx) -> str:
    while True:
        account_id = new_account_id()
        if records.account(tx, account_id) is None:
            return account_id


def create_access_key(tx: Tx, vault: Vault, account_id: str, user_id: str | None = None) -> Credentials:
    """A key for the user, or for the account's root when ``user_id`` is None."""
    access_key_id, secret = records.add_access_key(tx, vault, account_id, user_id)
    keys.forget_after(tx, access_key_id)
    return Credentials(account_id, access_key_id, secret)


def bootstrap(database: Database, vault: Vault, settings: Settings, hooks: Iterable[AccountHook] = ()) -> Credentials:
    """The administrator's account and a key of its root, made the first time and found again afterwards.

    Raises ``VaultError`` when the master key is not the one that sealed the administrator's secret."""
    account_id = settings.admin_account_id
    if not account_id:
        raise ValueError("settings.admin_account_id must be chosen before the administrator's account is made")
    actor = Actor(arn=f"arn:{settings.partition}:iam::{account_id}:root", account_id=account_id, request_id="setup")
    with database.transaction(account_id=None, actor=actor) as tx:
        if records.account(tx, account_id) is None:
            create_account(tx, settings, alias=settings.admin_alias, account_id=account_id, hooks=hooks)
        for key in records.root_access_keys(tx, account_id):
            if key.status == records.ACTIVE:
                return Credentials(account_id, key.id, vault.open(key.id, key.secret))
        return create_access_key(tx, vault, account_id)


def new_cloud(tx: Tx, settings: Settings) -> None:
    """At every start: accounts that an older release made beside this one get their canonical ids."""
    records.accounts.fill_canonical_ids(tx)


__all__ = ["AccountHook", "Credentials", "VaultError", "bootstrap", "create_access_key", "create_account", "new_cloud"]
