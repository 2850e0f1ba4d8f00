"""Principals in the policies of roles and resources: unique ids in the place of the names of users and roles.

A policy trusts a user or a role, not a name. When it is saved, the ARN of each becomes the unique id, so that whoever is
given the same name later is not trusted, and a new name or path keeps the trust. When it is shown, ids of users and roles
that are there become their ARNs; of those that are gone the id is all that is left.

A principal that is not there cannot be trusted: AWS refuses the policy, and so does this.
"""

from __future__ import annotations

import re

from mallee.identity.records import accounts, roles, users
from mallee.identity.rules import pins, principals
from mallee.identity.rules.policy import Kind, Malformed, compile_policy
from mallee.store import Tx
from mallee.wire.errors import AwsError

_ARN = re.compile(r"arn:(?P<partition>aws[a-z-]*):(?P<service>iam|sts)::(?P<account>\d{12}):(?P<rest>.+)", re.ASCII)
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_ID = re.compile(r"(?:AIDA|AROA)[A-Z0-9]{12,}", re.ASCII)
_HAS_ID = re.compile(r'"(?:AIDA|AROA)[A-Z0-9]{12,}"', re.ASCII)


def stored(tx: Tx, partition: str, text: str, kind: Kind = Kind.TRUST) -> str:
    """The policy as it is kept. Raises MalformedPolicyDocument."""
    try:
        compile_policy(text, kind)
        return pins.replaced(text, lambda value: _kept(tx, partition, value))
    except Malformed as reason:
        raise AwsError("MalformedPolicyDocument", reason.message, status=400) from None


def shown(tx: Tx, partition: str, text: str) -> str:
    """The policy as it is told, from what is kept."""
    return pins.replaced(text, lambda value: _named(tx, partition, value)) if _HAS_ID.search(text) else text


def _kept(tx: Tx, partition: str, value: str) -> str | None:
    """The principal's other name, if it is kept by one."""
    if value == "*":
        return None
    found = _found(tx.everyone(), partition, value)
    if found is None:
        raise principals.invalid("AWS", value)
    return None if found == value else found


def _found(tx: Tx, partition: str, value: str) -> str | None:
    """What stands for the principal from now on; None when there is no such principal."""
    if "\0" in value:  # which PostgreSQL cannot even be asked for
        return None
    if _ID.fullmatch(value):
        return value if _holder(tx, value) is not None else None
    if _ACCOUNT.fullmatch(value):
        return f"arn:{partition}:iam::{value}:root" if accounts.account(tx, value) is not None else None
    parts = _ARN.fullmatch(value)
    if parts is None or parts["partition"] != partition or accounts.account(tx, parts["account"]) is None:
        return None
    kind, _, path = parts["rest"].partition("/")
    name = path.rpartition("/")[2]
    holder: users.User | roles.Role | None = None
    match parts["service"], kind:
        case "iam", "root" if not path:
            return value
        case "iam", "user":
            holder = users.user_by_name(tx, parts["account"], name)
        case "iam", "role":
            holder = roles.role_by_name(tx, parts["account"], name)
        case "sts", "assumed-role":
            role = roles.role_by_name(tx, parts["account"], path.partition("/")[0])
            return value if role is not None and role.name == path.partition("/")[0] else None
        case "sts", "federated-user":
            return value
    return holder.id if holder is not None and holder.arn(partition) == value else None


def _named(tx: Tx, partition: str, value: str) -> str | None:
    holder = _holder(tx.everyone(), value) if _ID.fullmatch(value) else None
    return None if holder is None else holder.arn(partition)


def _holder(tx: Tx, unique_id: str) -> users.User | roles.Role | None:
    return users.user(tx, unique_id) if unique_id.startswith("AIDA") else roles.role(tx, unique_id)
