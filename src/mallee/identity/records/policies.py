"""Policies as they are kept: customers' managed policies with their versions, inline policies, and what is attached to whom.

A *holder* is a user, group or role, known by its unique id. AWS's own managed policies are no rows (``identity.managed``):
an attachment names a policy by its ARN, whosever it is. A document is stored as it was given.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Column, Index, and_, bindparam, select

from mallee.identity.records.names import folded, one
from mallee.store import Integer, Text, Timestamp, Tx, read_all, resource_table

policies = resource_table(
    "iam_policies",
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("folded_name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("description", Text),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("default_version", Integer, nullable=False),
    Column("newest_version", Integer, nullable=False),
)
Index("iam_policies_by_name", policies.c.account_id, policies.c.folded_name, unique=True)

policy_versions = resource_table(
    "iam_policy_versions",
    Column("policy_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("document", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

inline_policies = resource_table(
    "iam_inline_policies",
    Column("holder_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("document", Text, nullable=False),
)

attachments = resource_table(
    "iam_attachments",
    Column("holder_id", Text, primary_key=True),
    Column("policy_arn", Text, primary_key=True),
    Column("attached_at", Timestamp, nullable=False),
)
Index("iam_attachments_by_policy", attachments.c.account_id, attachments.c.policy_arn)


@dataclass(frozen=True, slots=True)
class ManagedPolicy:
    id: str
    account_id: str
    name: str
    path: str
    description: str | None
    created_at: datetime.datetime
    updated_at: datetime.datetime
    default_version: int
    newest_version: int

    def arn(self, partition: str) -> str:
        return f"arn:{partition}:iam::{self.account_id}:policy{self.path}{self.name}"


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    policy_id: str
    number: int
    document: str
    created_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class InlinePolicy:
    holder_id: str
    name: str
    document: str


@dataclass(frozen=True, slots=True)
class Attachment:
    holder_id: str
    policy_arn: str
    attached_at: datetime.datetime


_POLICY_BY_NAME = select(policies).where(
    policies.c.account_id == bindparam("account_id"), policies.c.folded_name == bindparam("folded_name")
)
_VERSION = select(policy_versions).where(
    policy_versions.c.policy_id == bindparam("policy_id"), policy_versions.c.number == bindparam("number")
)
_INLINE_OF = (
    select(inline_policies).where(inline_policies.c.holder_id == bindparam("holder_id")).order_by(inline_policies.c.name)
)
_ATTACHED_TO = (
    select(attachments)
    .where(attachments.c.holder_id == bindparam("holder_id"))
    .order_by(attachments.c.attached_at, attachments.c.policy_arn)
)
_IN_FORCE = (
    select(policies, policy_versions.c.document)
    .join(
        policy_versions,
        and_(policy_versions.c.policy_id == policies.c.id, policy_versions.c.number == policies.c.default_version),
    )
    .where(policies.c.account_id == bindparam("account_id"), policies.c.folded_name.in_(bindparam("names", expanding=True)))
)


def documents_in_force(tx: Tx, account_id: str, arns: Collection[str], partition: str) -> dict[str, str]:
    """The default versions' documents of an account's own managed policies, by ARN; one that does not exist is left out."""
    names = sorted({folded(arn.rpartition("/")[2]) for arn in arns})
    if not names:
        return {}
    wanted, found = set(arns), {}
    for row in tx.all(_IN_FORCE, account_id=account_id, names=names):
        arn = f"arn:{partition}:iam::{account_id}:policy{row.path}{row.name}"
        if arn in wanted:
            found[arn] = row.document
    return found


def policy_by_name(tx: Tx, account_id: str, name: str) -> ManagedPolicy | None:
    return one(ManagedPolicy, tx.first(_POLICY_BY_NAME, account_id=account_id, folded_name=folded(name)))


def policy_version(tx: Tx, policy_id: str, number: int) -> PolicyVersion | None:
    return one(PolicyVersion, tx.first(_VERSION, policy_id=policy_id, number=number))


def inline_of(tx: Tx, holder_id: str) -> list[InlinePolicy]:
    return read_all(InlinePolicy, tx.all(_INLINE_OF, holder_id=holder_id))


def attached_to(tx: Tx, holder_id: str) -> list[Attachment]:
    """In the order of their attachment."""
    return read_all(Attachment, tx.all(_ATTACHED_TO, holder_id=holder_id))
