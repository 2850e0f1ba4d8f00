"""IAM's and STS's operations."""

from mallee.identity.api import (
    access_keys,
    groups,
    instance_profiles,
    login_profiles,
    mfa_devices,
    oidc_providers,
    password_policy,
    roles,
    saml_providers,
    server_certificates,
    service_credentials,
    signing_certificates,
    ssh_public_keys,
    sts,
    users,
)

OPERATIONS = {
    "iam": (
        access_keys,
        groups,
        instance_profiles,
        login_profiles,
        mfa_devices,
        oidc_providers,
        password_policy,
        roles,
        saml_providers,
        server_certificates,
        service_credentials,
        signing_certificates,
        ssh_public_keys,
        users,
    ),
    "sts": (
        sts,
    ),
}  # fmt: skip
