"""The operations of ``mallee`` and of ``service-quotas``."""

from mallee.admin.api import (
    account_policies,
    account_quotas,
    accounts,
    administrators,
    directory,
    replication_targets,
    service_control_policies,
    service_quotas,
    sign_in,
)

OPERATIONS = {
    "mallee": (accounts, administrators, account_quotas, service_control_policies, account_policies, directory, sign_in, replication_targets),
    "service-quotas": (service_quotas,),
}
