"""The operations of ``mallee`` and of ``service-quotas``."""

from mallee.admin.api import (
    account_policies,
    account_quotas,
    accounts,
    administrators,
    bucket_usage,
    directory,
    object_store,
    replication_targets,
    service_control_policies,
    service_quotas,
    sign_in,
)

OPERATIONS = {
    "mallee": (
        accounts, administrators, account_quotas, service_control_policies, account_policies, directory, sign_in, replication_targets,
        bucket_usage, object_store,
    ),
    "service-quotas": (service_quotas,),
}
