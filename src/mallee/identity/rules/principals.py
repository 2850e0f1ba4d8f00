"""Principal and NotPrincipal: whom a resource's or a role's policy speaks to.

How a statement names the caller decides what else must allow (AWS's "Policy evaluation logic"): named itself, it needs
nothing more in its own account; named by the role or the user behind its session, it stays within boundary and session
policies; named by its account, the account's own policies must allow it too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from mallee.identity.rules.errors import SYNTAX, Malformed


class Caller(Protocol):
    """What the rules read of a principal; ``mallee.identity.call.Principal`` is one. ``holder_id`` is the unique id of the user
    or role whose policies count.

    ``kind``: root, user, assumed-role, federated-user, anonymous; or service and federated, whose ``arn`` is the service's
    name (``ec2.amazonaws.com``) and the provider's ARN or name."""

    @property
    def account_id(self) -> str: ...
    @property
    def arn(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def issuer_arn(self) -> str: ...
    @property
    def holder_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Other:
    """A caller that is no principal of an account: a service, or somebody whom an identity provider vouches for."""

    kind: str
    arn: str
    account_id: str = ""
    user_id: str = ""
    issuer_arn: str = ""
    holder_id: str = ""


def service(name: str) -> Other:
    return Other("service", name)


def federated(provider: str) -> Other:
    """``provider``: the ARN of an OIDC or SAML provider, or a well-known name such as ``accounts.google.com``."""
    return Other("federated", provider)


class Named(IntEnum):
    """How a policy names a caller, from not at all to by itself."""

    NOT = 0
    BY_ACCOUNT = 1
    BY_ISSUER = 2
    ITSELF = 3


TYPES = ("AWS", "Service", "Federated", "CanonicalUser")
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_PRINCIPAL_ARN = re.compile(
    r"arn:aws[a-z-]*:(?:iam::(\d{12}):(?:root|user/.+|role/.+|saml-provider/.+|oidc-provider/.+)"
    r"|sts::\d{12}:(?:assumed-role/[^/]+/[^/]+|federated-user/.+|self))",
    re.ASCII | re.DOTALL,
)
_UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,124}", re.ASCII)
_ROOT = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):root", re.ASCII)
_SERVICE = re.compile(r"[a-z0-9][a-z0-9._-]*\.(?:amazonaws\.com(?:\.cn)?|amazon\.com|aws\.internal|internal)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Principals:
    """The callers that one element lists. Accounts are numbers, however they were written."""

    everyone: bool
    accounts: frozenset[str]
    names: frozenset[str]  # ARNs of users, roles and sessions, and unique ids
    services: frozenset[str]
    federated: frozenset[str]
    canonical: frozenset[str]

    def names_caller(self, caller: Caller, canonical_id: str = "") -> Named:
        if self.everyone:
            return Named.ITSELF
        if caller.kind == "service":
            return Named.ITSELF if caller.arn in self.services else Named.NOT
        if caller.kind == "federated":
            return Named.ITSELF if caller.arn in self.federated else Named.NOT
        if not caller.account_id:
            return Named.NOT
        if self.names and (caller.arn in self.names or caller.user_id in self.names):
            return Named.ITSELF
        if self.names and caller.kind != "root" and (caller.issuer_arn in self.names or caller.holder_id in self.names):
            return Named.BY_ISSUER
        if caller.account_id in self.accounts or (canonical_id and canonical_id in self.canonical):
            return Named.ITSELF if caller.kind == "root" else Named.BY_ACCOUNT
        return Named.NOT

    def spares(self, caller: Caller, canonical_id: str = "") -> bool:
        """Whether a NotPrincipal with this list leaves the caller out. AWS asks for every layer of it: the account, the
        role behind a session, and the session or user itself must all be listed."""
        if self.everyone:
            return True
        if caller.kind in ("service", "federated"):
            return self.names_caller(caller) is Named.ITSELF
        if not caller.account_id:
            return False
        if caller.account_id not in self.accounts and not (canonical_id and canonical_id in self.canonical):
            return False
        if caller.kind == "root":
            return True
        itself = caller.arn in self.names or caller.user_id in self.names
        if caller.kind != "assumed-role":
            return itself
        return itself and (caller.issuer_arn in self.names or caller.holder_id in self.names)


def read(element: object) -> Principals:
    """The value of a Principal or NotPrincipal element. Raises Malformed."""
    if element == "*":
        return Principals(True, *[frozenset[str]()] * 5)
    if not isinstance(element, Mapping) or not element:
        raise Malformed(SYNTAX)
    everyone = False
    found: dict[str, set[str]] = {kind: set() for kind in (*TYPES, "account")}
    for kind, value in element.items():
        if kind not in TYPES:
            raise Malformed(SYNTAX)
        for each in strings(value):
            if kind == "AWS" and each == "*":
                everyone = True
            elif kind == "AWS":
                account = _account(each)
                found["account" if account else "AWS"].add(account or each)
                if not account and not is_principal(each):
                    raise invalid(kind, each)
            elif "*" in each or not each or (kind == "Service" and not _SERVICE.fullmatch(each)):
                raise invalid(kind, each)
            else:
                found[kind].add(each)
    lists = (found["account"], found["AWS"], found["Service"], found["Federated"], found["CanonicalUser"])
    return Principals(everyone, *(frozenset(each) for each in lists))


def strings(value: object) -> tuple[str, ...]:
    """A string or a list of strings, as a tuple. Raises Malformed."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise Malformed(SYNTAX)


def invalid(kind: str, value: str) -> Malformed:
    """AWS's answer to a principal that is none, or that does not exist (which only the account's rows can tell)."""
    return Malformed(f'Invalid principal in policy: "{kind.upper()}":"{value}"')


def is_principal(value: str) -> bool:
    return "*" not in value and "?" not in value and bool(_PRINCIPAL_ARN.fullmatch(value) or _UNIQUE_ID.fullmatch(value))


def _account(value: str) -> str:
    if _ACCOUNT.fullmatch(value):
        return value
    root = _ROOT.fullmatch(value)
    return root.group(1) if root else ""


def listed(each: Iterable[Principals]) -> frozenset[tuple[str, str]]:
    """All that the elements name, as (type, value): for checks that a user or role exists."""
    found: set[tuple[str, str]] = set()
    for one in each:
        found.update(("AWS", name) for name in (*one.accounts, *one.names))
        found.update(("Service", name) for name in one.services)
        found.update(("Federated", name) for name in one.federated)
        found.update(("CanonicalUser", name) for name in one.canonical)
        if one.everyone:
            found.add(("AWS", "*"))
    return frozenset(found)
