"""Policies as they are kept: customers' managed policies with their versions, inline policies, and what is attached to whom.

A *holder* is a user, group or role, known by its unique id. AWS's own managed policies are no rows (``identity.managed``):
an attachment names a policy by its ARN, whosever it is. A document is stored as it was given.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Column, Index, and_, bindparam, func, select

from mallee.identity.records.names import Taken, folded, listing, one, part, unique
from mallee.identity.records.roles import roles
from mallee.identity.records.tags import remove_tags
from mallee.identity.records.users import users
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
_VERSIONS_OF = (
    select(policy_versions)
    .where(policy_versions.c.policy_id == bindparam("policy_id"))
    .order_by(policy_versions.c.number.desc())
)
_POLICIES = listing(policies)
_INLINE = select(inline_policies).where(
    inline_policies.c.holder_id == bindparam("holder_id"), inline_policies.c.name == bindparam("name")
)
_HOLDERS_OF = (
    select(attachments.c.holder_id)
    .where(attachments.c.account_id == bindparam("account_id"), attachments.c.policy_arn == bindparam("policy_arn"))
    .order_by(attachments.c.holder_id)
)
_ATTACHMENT_COUNTS = (
    select(attachments.c.policy_arn, func.count().label("n"))
    .where(attachments.c.account_id == bindparam("account_id"))
    .group_by(attachments.c.policy_arn)
)
_BOUNDED_BY = tuple(
    select(table.c.id).where(table.c.account_id == bindparam("account_id"), table.c.boundary_arn == bindparam("policy_arn"))
    for table in (users, roles)
)
_BOUNDARY_COUNTS = tuple(
    select(table.c.boundary_arn, func.count().label("n"))
    .where(table.c.account_id == bindparam("account_id"), table.c.boundary_arn.is_not(None))
    .group_by(table.c.boundary_arn)
    for table in (users, roles)
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


def policies_in(tx: Tx, account_id: str, prefix: str = "", after: str = "", most: int = 1_000_000) -> list[ManagedPolicy]:
    """The account's own policies whose path begins with ``prefix``, by name; at most so many, from after the folded name."""
    return read_all(ManagedPolicy, tx.all(_POLICIES, **part(account_id, prefix, after, most)))


def policy_version(tx: Tx, policy_id: str, number: int) -> PolicyVersion | None:
    return one(PolicyVersion, tx.first(_VERSION, policy_id=policy_id, number=number))


def versions_of(tx: Tx, policy_id: str) -> list[PolicyVersion]:
    """The newest first."""
    return read_all(PolicyVersion, tx.all(_VERSIONS_OF, policy_id=policy_id))


def inline_policy(tx: Tx, holder_id: str, name: str) -> InlinePolicy | None:
    return one(InlinePolicy, tx.first(_INLINE, holder_id=holder_id, name=name))


def inline_of(tx: Tx, holder_id: str) -> list[InlinePolicy]:
    return read_all(InlinePolicy, tx.all(_INLINE_OF, holder_id=holder_id))


def attached_to(tx: Tx, holder_id: str) -> list[Attachment]:
    """In the order of their attachment."""
    return read_all(Attachment, tx.all(_ATTACHED_TO, holder_id=holder_id))


def holders_of(tx: Tx, account_id: str, policy_arn: str) -> list[str]:
    """Whom the policy is attached to in the account."""
    return [row.holder_id for row in tx.all(_HOLDERS_OF, account_id=account_id, policy_arn=policy_arn)]


def bounded_by(tx: Tx, account_id: str, policy_arn: str) -> list[str]:
    """The users and roles of the account that the policy is the boundary of."""
    return [row.id for query in _BOUNDED_BY for row in tx.all(query, account_id=account_id, policy_arn=policy_arn)]


def attachment_counts(tx: Tx, account_id: str) -> dict[str, int]:
    """To how many users, groups and roles of the account each policy is attached that is attached at all, by ARN."""
    return {row.policy_arn: row.n for row in tx.all(_ATTACHMENT_COUNTS, account_id=account_id)}


def boundary_counts(tx: Tx, account_id: str) -> dict[str, int]:
    """Of how many users and roles of the account each policy is the boundary, by ARN."""
    found: dict[str, int] = {}
    for query in _BOUNDARY_COUNTS:
        for row in tx.all(query, account_id=account_id):
            found[row.boundary_arn] = found.get(row.boundary_arn, 0) + row.n
    return found


# ---------------------------------------------------------------------------------------------------------------- changes


def add_policy(
    tx: Tx, account_id: str, name: str, document: str, *, path: str = "/", description: str | None = None
) -> ManagedPolicy:
    """With ``document`` as its first version, which is the default."""
    if policy_by_name(tx, account_id, name) is not None:
        raise Taken(f"there is a policy {name} already")
    made = ManagedPolicy(unique("ANPA"), account_id, name, path, description, tx.now, tx.now, 1, 1)
    tx.insert(
        policies, id=made.id, account_id=account_id, name=name, folded_name=folded(name), path=path, description=description,
        created_at=tx.now, updated_at=tx.now, default_version=1, newest_version=1,
    )  # fmt: skip
    tx.insert(policy_versions, account_id=account_id, policy_id=made.id, number=1, document=document, created_at=tx.now)
    return made


def add_version(tx: Tx, policy: ManagedPolicy, document: str, *, default: bool) -> PolicyVersion:
    """The next version. The number of a version that was deleted is not given again. The policy's row is written first: of two
    that add a version at once, the later finds it changed and is done again."""
    made = PolicyVersion(policy.id, policy.newest_version + 1, document, tx.now)
    chosen = made.number if default else policy.default_version
    tx.change(policies, policy.id, newest_version=made.number, default_version=chosen, updated_at=tx.now)
    tx.insert(
        policy_versions, account_id=policy.account_id, policy_id=policy.id, number=made.number, document=document,
        created_at=tx.now,
    )  # fmt: skip
    return made


def set_default_version(tx: Tx, policy: ManagedPolicy, number: int) -> None:
    tx.change(policies, policy.id, default_version=number)


def remove_version(tx: Tx, policy: ManagedPolicy, number: int) -> bool:
    return tx.remove(policy_versions, {"policy_id": policy.id, "number": number})


def remove_policy(tx: Tx, policy: ManagedPolicy) -> None:
    tx.remove_all(policy_versions, policy_versions.c.policy_id == policy.id)
    tx.remove(policies, policy.id)
    remove_tags(tx, policy.id)


def put_inline(tx: Tx, account_id: str, holder_id: str, name: str, document: str) -> None:
    tx.put(inline_policies, account_id=account_id, holder_id=holder_id, name=name, document=document)


def remove_inline(tx: Tx, holder_id: str, name: str) -> bool:
    return tx.remove(inline_policies, {"holder_id": holder_id, "name": name})


def attach(tx: Tx, account_id: str, holder_id: str, policy_arn: str) -> bool:
    """Whether it was not attached yet."""
    return tx.insert_if_free(
        attachments, account_id=account_id, holder_id=holder_id, policy_arn=policy_arn, attached_at=tx.now
    )


def detach(tx: Tx, holder_id: str, policy_arn: str) -> bool:
    return tx.remove(attachments, {"holder_id": holder_id, "policy_arn": policy_arn})
