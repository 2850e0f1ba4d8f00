"""docs/access-matrix.md: which operations AWS's usual policies allow, found by the policies and the engine that decide calls.

One row per operation, one column per policy. A test compares the page with what is found anew, so that a declaration or
a decision that changes shows as a changed line of text. The questions are those about somebody's own account, before
anything is known of the resources.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from mallee.identity import managed
from mallee.identity.access import Access, check_on
from mallee.identity.call import Call, Principal
from mallee.identity.rules.context import Context, fold
from mallee.identity.rules.evaluate import Grants, Question, Source, decide
from mallee.identity.rules.policy import Kind, compile_policy
from mallee.identity.tools import Tools
from mallee.settings import Settings
from mallee.wire import services

COLUMNS: Final = {
    "AdministratorAccess": "Admin",
    "PowerUserAccess": "Power",
    "ReadOnlyAccess": "Read",
    "ViewOnlyAccess": "View",
    "SecurityAudit": "Audit",
    "SystemAdministrator": "SysAdm",
    "NetworkAdministrator": "NetAdm",
    "AmazonEC2FullAccess": "EC2",
    "AmazonEC2ReadOnlyAccess": "EC2 read",
    "AmazonVPCFullAccess": "VPC",
    "AmazonVPCReadOnlyAccess": "VPC read",
    "IAMFullAccess": "IAM",
    "IAMReadOnlyAccess": "IAM read",
    "IAMUserChangePassword": "password",
}
"""Names of AWS's managed policies, and what their columns are called."""

YES, SOME, NO, NEVER = "yes", "some", "·", "never"

_ACCOUNT = "123456789012"
_ARN = f"arn:aws:iam::{_ACCOUNT}:user/somebody"
_ROOT = Principal(_ACCOUNT, f"arn:aws:iam::{_ACCOUNT}:root", _ACCOUNT, "root")
_SOMEBODY = Principal(_ACCOUNT, _ARN, "AIDA1", "user", "somebody", "AKIA1", "AIDA1", _ARN)


class Operation(Protocol):
    """What of a handler is shown."""

    @property
    def service(self) -> str: ...
    @property
    def operation(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def access(self) -> Access: ...


@dataclass(frozen=True, slots=True)
class Caller:
    principal: Principal
    grants: Grants


@dataclass(frozen=True, slots=True)
class Asked:
    """The resources that somebody is asked about who calls the operation."""

    operation: Operation
    resources: tuple[str, ...]


def page(operations: Iterable[Operation], tools: Tools) -> str:
    rows = [_asked(each, tools) for each in operations]
    callers = {"root": Caller(_ROOT, Grants()), "nobody": Caller(_SOMEBODY, Grants())}
    callers |= {short: Caller(_SOMEBODY, _grants(name)) for name, short in COLUMNS.items()}
    lines = list(_HEAD)
    lines += [f"| {short} | [{name}](https://docs.aws.amazon.com/aws-managed-policy/latest/reference/{name}.html) |"
              for name, short in COLUMNS.items()]  # fmt: skip
    for service in sorted({row.operation.service for row in rows}):
        names = ["operation", "checked against", *callers]
        lines += ["", f"## {service}", "", f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
        for row in rows:
            if row.operation.service == service:
                cells = [_cell(row, caller) for caller in callers.values()]
                lines.append(f"| {row.operation.operation} | {_against(row.operation)} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


_HEAD = (
    "# Who may do what",
    "",
    "Generated from the registry, the policies and the engine by `python -m mallee.registry --access`; a test fails when it is",
    "stale. How a call is decided: [access.md](access.md).",
    "",
    "*checked against*: the types of resources that policies are asked about, `*` where AWS has none; *open*: the operation itself",
    "decides; *what it finds*: it asks about more, such as iam:PassRole, or about what only it can tell. *root* is an account's",
    "root, *nobody* a user without policies, the others are users with one policy of AWS's each:",
    "",
    f"* `{YES}`: allowed",
    f"* `{SOME}`: a statement of the policy allows it for certain resources or under certain conditions",
    f"* `{NEVER}`: denied explicitly",
    f"* `{NO}`: not allowed",
    "",
    "| column | policy |",
    "|---|---|",
)


def _against(operation: Operation) -> str:
    access = operation.access
    if access.open:
        return "open"
    types = list(dict.fromkeys(on.type.name for on in access.on)) or ([] if access.find else ["`*`"])
    if access.action:
        types.append(f"as {access.action}")
    if access.find is not None:
        types.append("what it finds")
    return ", ".join(types)


def _asked(operation: Operation, tools: Tools) -> Asked:
    """With ``x`` for every identifier; the caller's own name where a request may leave it out."""
    settings = Settings(home=Path("/"), admin_account_id=_ACCOUNT)
    shape = services.get(operation.service).operation(operation.operation).input
    given = dict.fromkeys(shape.required if shape is not None else (), "x")
    call = Call(operation.service, operation.operation, given, _SOMEBODY, _NoTx(), "", settings, tools=tools)  # type: ignore[arg-type]
    found = []
    for on in operation.access.on:
        identifier = "*" if on.member is None else "somebody" if on.default is not None else "x"
        found.append(check_on(call, operation.action, replace(on.type, load=None), identifier).resource)
    return Asked(operation, tuple(found) or ("*",))


class _NoTx:
    now = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


def _cell(row: Asked, caller: Caller) -> str:
    if row.operation.access.open:
        return "open"
    told = set(_decisions(row, caller))
    return next(each for each in (NEVER, NO, SOME, YES) if each in told)


def _decisions(row: Asked, caller: Caller) -> Iterator[str]:
    action, grants = row.operation.action, caller.grants
    for resource in row.resources:
        context = Context({"aws:username": "somebody", "aws:userid": "AIDA1", "aws:PrincipalAccount": _ACCOUNT})
        decision = decide(Question(action, resource, context, caller.principal), grants)
        if decision.allowed:
            yield YES
        elif decision.explicit:
            yield NEVER
        else:
            held = (each for source in grants.identity for each in source.policy.about(fold(action)))
            yield SOME if any(not each.denies for each in held) else NO


def _grants(name: str) -> Grants:
    policy = next(each for each in managed.all() if each.name == name)
    text = managed.document(policy.arn("aws"))
    assert text is not None
    return Grants((Source(compile_policy(text, Kind.IDENTITY), name, "aws-managed"),))
