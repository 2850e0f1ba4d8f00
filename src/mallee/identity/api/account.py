"""The account as a whole: its alias, what it has of everything, and the form of its tokens."""

from __future__ import annotations

import re
from typing import Any

from mallee.identity import iam, quotas
from mallee.identity.access import Access
from mallee.identity.call import Call
from mallee.identity.records import accounts, certificates, keys, mfa, passwords, policies, providers, roles, users
from mallee.identity.records.names import count

ACCESS = {
    "create_account_alias": Access(),
    "delete_account_alias": Access(),
    "list_account_aliases": Access(),
    "get_account_summary": Access(),
    "set_security_token_service_preferences": Access(),
}

_ACCOUNT_ID = re.compile(r"\d{12}", re.ASCII)
_VERSIONS = {"v1Token": 1, "v2Token": 2}


def create_account_alias(call: Call) -> None:
    """An account has one alias: another takes its place."""
    alias = call.input["AccountAlias"]
    if _ACCOUNT_ID.fullmatch(alias):
        raise iam.invalid_input("An account alias must not look like an account ID.")
    with iam.creating("account-alias", alias):
        accounts.set_alias(call.tx, call.account_id, alias)


def delete_account_alias(call: Call) -> None:
    alias = call.input["AccountAlias"]
    found = accounts.account(call.tx, call.account_id)
    if found is None or found.alias != alias:
        raise iam.no_such("account-alias", alias)
    accounts.set_alias(call.tx, call.account_id, None)


def list_account_aliases(call: Call) -> dict[str, Any]:
    found = accounts.account(call.tx, call.account_id)
    aliases = [found.alias] if found is not None and found.alias is not None else []
    return iam.page(call, aliases, str, "AccountAliases")


def set_security_token_service_preferences(call: Call) -> None:
    """All tokens of this cloud are valid everywhere in it; the preference is what GetAccountSummary tells."""
    version = _VERSIONS[call.input["GlobalEndpointTokenVersion"]]
    call.tx.change(accounts.accounts, call.account_id, token_version=version)


_QUOTAS = {
    "UsersQuota": quotas.USERS,
    "GroupsQuota": quotas.GROUPS,
    "RolesQuota": quotas.ROLES,
    "InstanceProfilesQuota": quotas.INSTANCE_PROFILES,
    "PoliciesQuota": quotas.POLICIES,
    "ServerCertificatesQuota": quotas.SERVER_CERTIFICATES,
    "GroupsPerUserQuota": quotas.GROUPS_PER_USER,
    "AccessKeysPerUserQuota": quotas.ACCESS_KEYS_PER_USER,
    "AttachedPoliciesPerUserQuota": quotas.POLICIES_PER_USER,
    "AttachedPoliciesPerGroupQuota": quotas.POLICIES_PER_GROUP,
    "AttachedPoliciesPerRoleQuota": quotas.POLICIES_PER_ROLE,
    "AssumeRolePolicySizeQuota": quotas.TRUST_POLICY_SIZE,
}

# that nobody can have changed
_FIXED = {
    "UserPolicySizeQuota": 2048,
    "GroupPolicySizeQuota": 5120,
    "RolePolicySizeQuota": 10240,
    "PolicySizeQuota": 6144,
    "VersionsPerPolicyQuota": 5,
    "PolicyVersionsInUseQuota": 10000,
    "SigningCertificatesPerUserQuota": 2,
}

_COUNTED = {
    "Users": users.users,
    "Groups": users.groups,
    "Roles": roles.roles,
    "InstanceProfiles": roles.instance_profiles,
    "Policies": policies.policies,
    "PolicyVersionsInUse": policies.policy_versions,
    "ServerCertificates": certificates.server_certificates,
}


def get_account_summary(call: Call) -> dict[str, Any]:
    tx, account_id = call.tx, call.account_id
    found = accounts.account(tx, account_id)
    devices = mfa.mfa_devices_in(tx, account_id)
    summary = {name: int(quotas.effective(tx, account_id, quota)) for name, quota in _QUOTAS.items()} | _FIXED
    summary |= {name: count(tx, table, account_id) for name, table in _COUNTED.items()}
    summary |= {
        "Providers": count(tx, providers.oidc_providers, account_id) + count(tx, providers.saml_providers, account_id),
        "MFADevices": len(devices),
        "MFADevicesInUse": sum(device.holder_id is not None for device in devices),
        "AccountMFAEnabled": int(any(device.holder_id == account_id for device in devices)),
        "AccountAccessKeysPresent": int(bool(keys.root_access_keys(tx, account_id))),
        "AccountPasswordPresent": int(passwords.login_profile(tx, account_id) is not None),
        "AccountSigningCertificatesPresent": int(bool(certificates.signing_certificates_of(tx, account_id, None))),
        "GlobalEndpointTokenVersion": (found and found.token_version) or 1,
    }
    return {"SummaryMap": summary}
