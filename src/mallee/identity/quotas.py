"""Quotas: how much of each thing an account may have, what counts against it, and the one question that handlers ask.

A quota is declared once, in ``QUOTAS`` of its domain's ``quotas.py``, under AWS's own code and name where AWS has it. What is
used is counted from rows, in the transaction that adds one: there is no counter that could drift, and since all writers are
serializable, two that each find the last place free do not both commit (one of them is done again, and finds it taken).

What holds is the smallest of: the value that an administrator gave the account, or the default; and the ``Effect: Limit``
statements (Eucalyptus's) of the account's policies and of the caller's own. A user's own Limit counts what that user
made, as the journal knows; an account's counts the whole account. Groups' policies do not limit, as in Eucalyptus, and
accounts that administer the cloud are exempt from Limit statements, not from quotas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam, func, select

from mallee.identity import limits
from mallee.identity.call import Call
from mallee.identity.records import certificates, control, policies, providers, roles, users
from mallee.store import Tx
from mallee.store.tables import journal
from mallee.wire.errors import AwsError

Used = Callable[[Tx, str], float]
"""How much of something an account has: (transaction, account id). It sees the account whatever the transaction is bound to."""

UNLIMITED = math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Quota:
    """``service`` and ``code`` are Service Quotas' (``vpc``, ``L-E79EC296``). ``default``: UNLIMITED where only an administrator
    or a policy sets one. ``used`` is None where the quota is per thing (rules of one group): the handler counts. ``limit_key``
    is the condition key of Limit statements, ``action`` what such a statement must name (``ec2:RunInstances``)."""

    service: str
    code: str
    name: str
    default: float
    used: Used | None = None
    limit_key: str | None = None
    action: str = ""
    unit: str = "None"
    adjustable: bool = True
    is_global: bool = False
    description: str = ""

    def __str__(self) -> str:
        return f"{self.service}/{self.code}"


class Rows:
    """Counts an account's rows of an owned table that meet ``conditions``, or adds up ``of`` over them; ``weigh`` says what a
    value of ``of`` counts for (an instance's type: its processors). ``made_by`` counts only what one principal made."""

    def __init__(
        self,
        table: sa.Table,
        *conditions: sa.ColumnElement[bool],
        of: sa.ColumnElement[Any] | None = None,
        weigh: Callable[[Any], float] | None = None,
    ) -> None:
        self._weigh = weigh
        (key,) = table.primary_key.columns
        if of is None:
            chosen: Any = select(func.count())
        elif weigh is None:
            chosen = select(func.coalesce(func.sum(of), 0))
        else:
            chosen = select(of, func.count()).group_by(of)
        own = [table.c.account_id == bindparam("account_id"), *conditions]
        self._all = chosen.select_from(table).where(*own)
        made = sa.and_(journal.c.resource_id == key, journal.c.kind == table.name, journal.c.action == "create")
        self._made = chosen.select_from(table.join(journal, made)).where(*own).where(journal.c.actor == bindparam("actor"))

    def __call__(self, tx: Tx, account_id: str) -> float:
        return self._sum(tx.everyone().all(self._all, account_id=account_id))

    def made_by(self, tx: Tx, account_id: str, arn: str) -> float:
        return self._sum(tx.everyone().all(self._made, account_id=account_id, actor=arn))

    def _sum(self, rows: Iterable[Any]) -> float:
        if self._weigh is None:
            return sum(int(row[0]) for row in rows)
        return sum(self._weigh(row[0]) * int(row[1]) for row in rows)


class Standing:
    """Where the caller stands with quotas: what limits it, read once for all questions of one call."""

    def __init__(self, call: Call) -> None:
        self._call = call
        tx, account_id = call.tx, call.account_id
        self._values = control.quota_values_of(tx, account_id)
        self._of_account = [each.document for each in control.policies_of_account(tx, account_id)]
        self._of_user = own_documents(call)
        if (self._of_account or self._of_user) and control.is_administrator(tx, account_id):
            self._of_account = self._of_user = []

    def blocked_by(self, quota: Quota, more: float = 1, *, used: float | None = None) -> float | None:
        """The limit that keeps the account from having ``more`` of it, or None when nothing does."""
        exceeded = [limit for limit, used in self._room(quota, used) if used + more > limit]
        return min(exceeded) if exceeded else None

    def left(self, quota: Quota) -> tuple[float, float]:
        """How much more the caller may have, never less than 0, and the limit that says so; ``UNLIMITED`` when nothing does."""
        room = [(max(0.0, limit - used), limit) for limit, used in self._room(quota, None)]
        return min(room, default=(UNLIMITED, UNLIMITED))

    def _room(self, quota: Quota, used: float | None) -> list[tuple[float, float]]:
        """Every limit that holds, with what counts against it."""
        value = self._values.get((quota.service, quota.code))
        limit = quota.default if value is None else value.value
        by_user: list[float] = []
        if quota.limit_key is not None:
            limit = min([limit, *limits.stated(self._of_account, quota.action, quota.limit_key)])
            by_user = limits.stated(self._of_user, quota.action, quota.limit_key)
        found = []
        if limit < UNLIMITED:
            found.append((limit, self._used(quota, used)))
        if by_user:
            found.append((min(by_user), self._used_by_caller(quota, used)))
        return found

    def _used(self, quota: Quota, used: float | None) -> float:
        if used is not None:
            return used
        assert quota.used is not None, f"{quota} is per thing: say how much is used"
        return quota.used(self._call.tx, self._call.account_id)

    def _used_by_caller(self, quota: Quota, used: float | None) -> float:
        if used is None and isinstance(quota.used, Rows):
            return quota.used.made_by(self._call.tx, self._call.account_id, self._call.principal.arn)
        return self._used(quota, used)


Refusal = AwsError | Callable[[int], AwsError]
"""The error that the service answers, or how it is made from the limit that is in the way."""


def require(call: Call, quota: Quota, more: float = 1, *, error: Refusal, used: float | None = None) -> None:
    """Returns when the caller's account may have ``more`` of it (0: what it has now); raises ``error`` when not. ``used`` is
    what there is already of a quota per thing. To be called in the transaction that adds them."""
    limit = Standing(call).blocked_by(quota, more, used=used)
    if limit is not None:
        raise error if isinstance(error, AwsError) else error(int(limit))


def effective(tx: Tx, account_id: str, quota: Quota) -> float:
    """What the account's quota is, without regard to Limit statements."""
    value = control.quota_value(tx.everyone(), account_id, quota.service, quota.code)
    return quota.default if value is None else value


def own_documents(call: Call) -> list[str]:
    """The calling user's policies, without its groups'."""
    if call.principal.kind != "user":
        return []
    tx, holder = call.tx, call.principal.holder_id or call.principal.user_id
    found = [each.document for each in policies.inline_of(tx, holder)]
    for attached in policies.attached_to(tx, holder):  # AWS's own policies limit nothing, so they are not looked at
        policy = policies.policy_by_name(tx, call.account_id, attached.policy_arn.rpartition("/")[2])
        version = None
        if policy is not None and policy.arn(call.settings.partition) == attached.policy_arn:
            version = policies.policy_version(tx, policy.id, policy.default_version)
        if version is not None:
            found.append(version.document)
    return found


# ------------------------------------------------------------------------------------------------------------------ IAM's own

IAM = "iam"


def _iam(code: str, name: str, default: float, description: str, **more: Any) -> Quota:
    return Quota(IAM, code, name, default, is_global=True, description=description, **more)


USERS = _iam(
    "L-F55AF5E4", "Users per account", 5000, "The maximum number of IAM users that you can create in this account.",
    used=Rows(users.users), limit_key="iam:quota-usernumber", action="iam:CreateUser",
)  # fmt: skip
GROUPS = _iam(
    "L-F4A5425F", "Groups per account", 300, "The maximum number of IAM groups that you can create in this account.",
    used=Rows(users.groups), limit_key="iam:quota-groupnumber", action="iam:CreateGroup",
)  # fmt: skip
ROLES = _iam(
    "L-FE177D64", "Roles per account", 1000, "The maximum number of IAM roles that you can create in this account.",
    used=Rows(roles.roles), limit_key="iam:quota-rolenumber", action="iam:CreateRole",
)  # fmt: skip
INSTANCE_PROFILES = _iam(
    "L-6E65F664", "Instance profiles per account", 1000,
    "The maximum number of instance profiles that you can create in this account.",
    used=Rows(roles.instance_profiles), limit_key="iam:quota-instanceprofilenumber", action="iam:CreateInstanceProfile",
)  # fmt: skip
POLICIES = _iam(
    "L-E95E4862", "Customer managed policies per account", 1500,
    "The maximum number of customer managed policies that you can create in this account.", used=Rows(policies.policies),
)  # fmt: skip
SERVER_CERTIFICATES = _iam(
    "L-BF35879D", "Server certificates per account", 20,
    "The maximum number of server certificates that you can store in this account.",
    used=Rows(certificates.server_certificates), limit_key="iam:quota-servercertificatenumber",
    action="iam:UploadServerCertificate",
)  # fmt: skip
OIDC_PROVIDERS = _iam(
    "L-858F3967", "OpenId connect providers per account", 100,
    "The maximum number of OpenID Connect identity providers that you can create in this account.",
    used=Rows(providers.oidc_providers),
)  # fmt: skip
SAML_PROVIDERS = _iam(
    "L-DB618D39", "SAML providers per account", 100,
    "The maximum number of SAML identity providers that you can create in this account.",
    used=Rows(providers.saml_providers),
)  # fmt: skip
POLICIES_PER_ROLE = _iam(
    "L-0DA4ABF3", "Managed policies per role", 10, "The maximum number of managed policies that you can attach to one role."
)
POLICIES_PER_USER = _iam(
    "L-4019AD8B", "Managed policies per user", 10, "The maximum number of managed policies that you can attach to one user."
)
POLICIES_PER_GROUP = _iam(
    "L-384571C4", "Managed policies per group", 10, "The maximum number of managed policies that you can attach to one group."
)
GROUPS_PER_USER = _iam(
    "L-7A1621EC", "IAM groups per user", 10, "The maximum number of groups that one user can be in.", adjustable=False
)
ACCESS_KEYS_PER_USER = _iam(
    "L-8758042E", "Access keys per user", 2, "The maximum number of access keys that one user can have.", adjustable=False
)
TRUST_POLICY_SIZE = _iam(
    "L-C07B4B0D", "Role trust policy length", 2048, "The maximum number of characters in a role's trust policy."
)

QUOTAS = (
    USERS, GROUPS, ROLES, INSTANCE_PROFILES, POLICIES, SERVER_CERTIFICATES, OIDC_PROVIDERS, SAML_PROVIDERS, POLICIES_PER_ROLE,
    POLICIES_PER_USER, POLICIES_PER_GROUP, GROUPS_PER_USER, ACCESS_KEYS_PER_USER, TRUST_POLICY_SIZE,
)  # fmt: skip
