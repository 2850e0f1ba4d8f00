"""The tables of accounts, users, groups, roles, keys and policies, one module per resource, and what may be asked of them.

What the rest of the cloud asks most often can be had from the package itself.
"""

from mallee.identity.records import (
    accounts,
    assertions,
    attempts,
    certificates,
    control,
    directories,
    keys,
    mfa,
    passwords,
    policies,
    providers,
    reports,
    roles,
    sign_in,
    tags,
    users,
    uses,
)
from mallee.identity.records.accounts import Account, account, account_by_alias, add_account, all_accounts
from mallee.identity.records.keys import (
    ACTIVE,
    INACTIVE,
    AccessKey,
    access_key,
    access_keys,
    access_keys_of,
    add_access_key,
    root_access_keys,
)
from mallee.identity.records.names import Taken
from mallee.identity.records.users import User, add_user, user, user_by_name

__all__ = [
    "ACTIVE",
    "INACTIVE",
    "AccessKey",
    "Account",
    "Taken",
    "User",
    "access_key",
    "access_keys",
    "access_keys_of",
    "account",
    "account_by_alias",
    "accounts",
    "add_access_key",
    "add_account",
    "add_user",
    "all_accounts",
    "assertions",
    "attempts",
    "certificates",
    "control",
    "directories",
    "keys",
    "mfa",
    "passwords",
    "policies",
    "providers",
    "reports",
    "roles",
    "root_access_keys",
    "sign_in",
    "tags",
    "user",
    "user_by_name",
    "users",
    "uses",
]
