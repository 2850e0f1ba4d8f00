"""IAM's and STS's operations."""

from mallee.identity.api import (
    access_keys,
    account,
    assume_role,
    attachments,
    authorization_details,
    groups,
    inline_policies,
    instance_profiles,
    login_profiles,
    managed_policies,
    mfa_devices,
    oidc_providers,
    password_policy,
    roles,
    saml_providers,
    server_certificates,
    service_credentials,
    service_linked_roles,
    signing_certificates,
    simulation,
    ssh_public_keys,
    sts,
    users,
)

OPERATIONS = {
    "iam": (
        access_keys,
        account,
        attachments,
        authorization_details,
        groups,
        inline_policies,
        instance_profiles,
        login_profiles,
        managed_policies,
        mfa_devices,
        oidc_providers,
        password_policy,
        roles,
        saml_providers,
        server_certificates,
        service_credentials,
        service_linked_roles,
        signing_certificates,
        simulation,
        ssh_public_keys,
        users,
    ),
    "sts": (
        assume_role,
        sts,
    ),
}  # fmt: skip

NOTES = {
    "iam": {
        "create_service_linked_role": "the role's policy is attached if it is one of AWS's that are had here",
        "delete_service_linked_role": "done, or refused, when it is answered",
        "set_security_token_service_preferences": "GetAccountSummary tells it; tokens are valid everywhere in the cloud anyway",
    },
}
