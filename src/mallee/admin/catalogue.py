"""The quotas of all domains, as they hold for an account."""

from __future__ import annotations

from mallee.identity import limits
from mallee.identity.call import Call
from mallee.identity.quotas import UNLIMITED, Quota
from mallee.identity.records import control

SERVICES = {
    "ec2": "Amazon Elastic Compute Cloud (Amazon EC2)",
    "iam": "AWS Identity and Access Management (IAM)",
    "s3": "Amazon Simple Storage Service (Amazon S3)",
    "vpc": "Amazon Virtual Private Cloud (Amazon VPC)",
}
"""The services' names, as Service Quotas shows them."""


def quotas(call: Call) -> tuple[Quota, ...]:
    assert call.tools is not None
    return call.tools.quotas


def find(call: Call, service: str, code: str) -> Quota | None:
    return next((each for each in quotas(call) if (each.service, each.code) == (service, code)), None)


class Held:
    """What was set for one account, read once for many quotas."""

    def __init__(self, call: Call, account_id: str) -> None:
        self._tx = call.tx.everyone()
        self._account_id = account_id
        self._values = control.quota_values_of(self._tx, account_id)
        self._policies = [each.document for each in control.policies_of_account(self._tx, account_id)]

    def own(self, quota: Quota) -> float | None:
        """What an administrator gave the account."""
        value = self._values.get((quota.service, quota.code))
        return None if value is None else value.value

    def value(self, quota: Quota) -> float | None:
        """What holds: the own value or the default, None where there is no limit."""
        own = self.own(quota)
        return finite(quota.default) if own is None else own

    def used(self, quota: Quota) -> float | None:
        return None if quota.used is None else quota.used(self._tx, self._account_id)

    def stated(self, quota: Quota) -> float | None:
        """The smallest bound that the account's policies state."""
        if quota.limit_key is None:
            return None
        return min(limits.stated(self._policies, quota.action, quota.limit_key), default=None)


def finite(value: float) -> float | None:
    return None if value == UNLIMITED else value
