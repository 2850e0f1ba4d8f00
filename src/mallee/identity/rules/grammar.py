"""The grammar of policies: what is well-formed for each kind, and AWS's sentence for what is not.

The order of the checks is AWS's: a document with several errors gets the sentence of the first check that fails, over all
of its statements. IAM's own documents (identity, boundary, session) are answered in one set of sentences, those of
resources and roles in another, as AWS does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from mallee.identity.rules import conditions, principals, scanner
from mallee.identity.rules.conditions import Scalar
from mallee.identity.rules.context import fold
from mallee.identity.rules.errors import SYNTAX, Malformed
from mallee.identity.rules.principals import Principals


class Kind(StrEnum):
    IDENTITY = "identity"
    BOUNDARY = "boundary"
    SESSION = "session"
    RESOURCE = "resource"
    TRUST = "trust"
    SCP = "scp"
    ENDPOINT = "endpoint"


OLD, CURRENT, LIMITS = "2008-10-17", "2012-10-17", "2011-04-01"

OWN = frozenset((Kind.IDENTITY, Kind.BOUNDARY, Kind.SESSION, Kind.SCP))
"""Kinds of policies that speak of one holder, so that they name no principal."""
_CURRENT_ONLY = frozenset((Kind.IDENTITY, Kind.BOUNDARY))
_LIMITABLE = frozenset((Kind.IDENTITY, Kind.BOUNDARY))

_TOP = frozenset(("Version", "Id", "Statement"))
_ELEMENTS = frozenset(
    ("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
)
_SID = re.compile(r"[0-9A-Za-z]*", re.ASCII)
_VENDOR = re.compile(r"[a-zA-Z0-9.-]+", re.ASCII)
_ACTION_NAME = re.compile(r"[a-zA-Z0-9*?_./-]+", re.ASCII)
_KEY = re.compile(r"[^\s:][^:]*:.*[^\s]", re.DOTALL)
_TRUST_ACTIONS = frozenset(
    fold("sts:" + name)
    for name in ("AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "TagSession", "SetSourceIdentity", "SetContext")
)
_IAM_PATHS = (
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
)
_NEWER_IAM_PATHS = ("role-template/",)
"""Taken, too, though the sentence does not tell of them."""
_PARTITION = re.compile(r"aws(?:-[a-z]+)*|\*|aws[a-z-]*\*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Clause:
    """One statement, checked but not compiled. ``actions`` are in small letters. ``span``: where it stands in the text."""

    sid: str
    effect: str  # Allow | Deny | Limit
    actions: tuple[str, ...]
    not_action: bool
    resources: tuple[str, ...]
    not_resource: bool
    principals: Principals | None
    not_principal: bool
    conditions: tuple[tuple[str, str, tuple[Scalar, ...]], ...]  # operator, key, values
    span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Document:
    version: str
    id: str
    clauses: tuple[Clause, ...]


def read(text: str, kind: Kind) -> Document:
    """The text as a checked document. Raises Malformed."""
    reader = scanner.Scanner(text)
    try:
        document = reader.document()
    except scanner.NotJson:
        raise Malformed("This policy contains invalid Json" if kind is Kind.TRUST else SYNTAX) from None
    if not isinstance(document, Mapping) or not document.keys() <= _TOP:
        raise Malformed(SYNTAX)
    version, name = document.get("Version", OLD), document.get("Id", "")
    if not isinstance(version, str) or not isinstance(name, str):
        raise Malformed(SYNTAX)
    statements = _statements(document, kind)
    limiting = kind in _LIMITABLE and any(each.get("Effect") == "Limit" for each in statements)
    for statement in statements:
        _shape(statement, kind, limiting)
    _version(version, "Version" in document, kind, limiting)
    _legacy(statements, kind, limiting)
    _sids(statements, kind)
    for statement in statements:
        _parts(statement, kind)
    clauses = tuple(_clause(statement, kind, reader.spans[id(statement)]) for statement in statements)
    return Document(version, name, clauses)


Statement = Mapping[str, object]


def _statements(document: Mapping[str, object], kind: Kind) -> list[Statement]:
    found = document.get("Statement")
    several: list[object] = found if isinstance(found, list) else [found]
    if not several and kind not in OWN:
        raise Malformed("Could not parse the policy: Statement is empty!")
    statements = [each for each in several if isinstance(each, Mapping)]
    if not statements or len(statements) != len(several):
        raise Malformed(SYNTAX)
    return statements


def _shape(statement: Statement, kind: Kind, limiting: bool) -> None:
    """Which elements there are, and of which types."""
    if not statement.keys() <= _ELEMENTS:
        raise Malformed(SYNTAX)
    for name in ("Action", "Resource", "Principal"):
        if name in statement and "Not" + name in statement:
            raise Malformed(SYNTAX)
    effect = statement.get("Effect")
    if effect is None and kind not in OWN:
        raise Malformed("Missing required field Effect")
    if not isinstance(effect, str):
        raise Malformed(SYNTAX)
    if fold(effect) not in ("allow", "deny") and not (limiting and effect == "Limit"):
        raise Malformed(SYNTAX if kind in OWN else f"Invalid effect: {effect}")
    if not isinstance(statement.get("Sid", ""), str):
        raise Malformed(SYNTAX)
    for name in ("Action", "NotAction", "Resource", "NotResource"):
        if name in statement:
            principals.strings(statement[name])
    for operator, _, _ in _conditions(statement):
        if not conditions.exists(operator):
            raise Malformed(SYNTAX if kind in OWN else f"Invalid Condition type : {operator}")


def _conditions(statement: Statement) -> Iterable[tuple[str, str, tuple[Scalar, ...]]]:
    block = statement.get("Condition", {})
    if not isinstance(block, Mapping):
        raise Malformed(SYNTAX)
    for operator, keys in block.items():
        if not isinstance(keys, Mapping):
            raise Malformed(SYNTAX)
        for key, value in keys.items():
            values = tuple(value) if isinstance(value, list) else (value,)
            if not all(isinstance(each, str | bool | int | Decimal) for each in values):
                raise Malformed(SYNTAX)
            yield operator, key, values


def _version(version: str, given: bool, kind: Kind, limiting: bool) -> None:
    if version not in (OLD, CURRENT) and not (version == LIMITS and kind in _LIMITABLE):
        raise Malformed("The policy must contain a valid version string" if kind is Kind.TRUST else SYNTAX)
    if version == LIMITS or (limiting and not given):
        return
    if kind in _CURRENT_ONLY and version != CURRENT:
        raise Malformed("Policy document must be version 2012-10-17 or greater.")


def _legacy(statements: list[Statement], kind: Kind, limiting: bool) -> None:
    """What AWS's older parser refuses, which looks at values: the exact spelling of Effect, dates, incomplete ARNs."""
    for statement in statements:
        effect = statement["Effect"]
        if effect not in ("Allow", "Deny") and not (limiting and effect == "Limit"):
            raise Malformed("The policy failed legacy parsing" if kind in OWN else f"Invalid effect: {effect}")
        for operator, _, values in _conditions(statement):
            base = conditions.split(operator)[1]
            if base.startswith("Date") and any(conditions.moment(conditions.text(each)) is None for each in values):
                raise Malformed("The policy failed legacy parsing")
            if base.endswith("IpAddress") and any(conditions.network(conditions.text(each)) is None for each in values):
                raise Malformed("The policy failed legacy parsing")
        for resource in _texts(statement, "Resource"):
            fields = resource.split(":")
            if 2 < len(fields) < 6 and fields[0] == "arn" and "" in fields[2:]:
                raise Malformed("The policy failed legacy parsing")


def _sids(statements: list[Statement], kind: Kind) -> None:
    seen: set[object] = set()
    for statement in statements:
        sid = statement.get("Sid", "")
        if sid and sid in seen:
            raise Malformed(
                "Statement IDs (SID) in a single policy must be unique."
                if kind in OWN
                else "The Statement Ids in the policy are not unique"
            )
        seen.add(sid)
        if kind in OWN and not _SID.fullmatch(str(sid)):
            raise Malformed(
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
            )


def _texts(statement: Statement, name: str) -> tuple[str, ...]:
    """The values of an element or of its negation."""
    element = statement.get(name, statement.get("Not" + name))
    return () if element is None else principals.strings(element)


def _parts(statement: Statement, kind: Kind) -> None:
    """That each part is there, or is not, as the kind wants it, and that its values are well-formed."""
    if not _texts(statement, "Action"):
        raise Malformed("Policy statement must contain actions." if kind in OWN else "Missing required field Action")
    if kind is Kind.TRUST:
        if "Resource" in statement:
            raise Malformed("Has prohibited field Resource")
        if "NotResource" in statement:
            raise Malformed("AssumeRole policy must not contain resources.")
    elif not _texts(statement, "Resource"):
        raise Malformed("Policy statement must contain resources." if kind in OWN else "Missing required field Resource")
    for resource in _texts(statement, "Resource"):
        check_resource(resource)
    for action in _texts(statement, "Action"):
        _check_action(action)
        if kind is Kind.TRUST and not _is_trust_action(action):
            raise Malformed("AssumeRole policy may only specify STS AssumeRole actions.")
    for _, key, _ in _conditions(statement):
        if not _KEY.fullmatch(key):
            raise Malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
    named = "Principal" in statement or "NotPrincipal" in statement
    if kind in OWN and named:
        raise Malformed("Policy document should not specify a principal.")
    if kind not in OWN and not named:
        raise Malformed("Missing required field Principal")
    if kind is Kind.TRUST and "NotPrincipal" in statement and statement["Effect"] == "Allow":
        raise Malformed("Allow with NotPrincipal is not allowed.")


def _is_trust_action(action: str) -> bool:
    folded = fold(action)
    return folded in _TRUST_ACTIONS or folded in ("sts:*", "sts:assumerole*", "sts:assumerolewith*")


def _check_action(action: str) -> None:
    if action == "*":
        return
    vendor, colon, name = action.partition(":")
    if not colon:
        raise Malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
    if ":" in name:
        raise Malformed("Actions/Condition can contain only one colon.")
    if not _VENDOR.fullmatch(vendor) and not (vendor == "*" and name == "*"):
        raise Malformed(f"Vendor {vendor} is not valid")
    if not _ACTION_NAME.fullmatch(name):
        raise Malformed(SYNTAX)


def check_resource(resource: str) -> None:
    """Raises Malformed for what is neither ``*`` nor an ARN that a policy may name."""
    if resource == "*":
        return
    fields = resource.split(":", 5)
    if len(fields) < 2 or fields[0] != "arn":
        raise Malformed(f'Resource {resource} must be in ARN format or "*".')
    partition = fields[1]
    if not _PARTITION.fullmatch(partition):
        raise Malformed(f'Partition "{partition}" is not valid for resource "{complete(resource)}".')
    vendor = fields[2] if len(fields) > 2 else ""
    if not vendor or "*" in vendor or "?" in vendor:
        raise Malformed("Resource vendor must be fully qualified and cannot contain regexes.")
    region = fields[3] if len(fields) > 3 else "*"
    if vendor == "iam" and region not in ("", "*"):
        raise Malformed(f"IAM resource {resource} cannot contain region information.")
    if vendor == "iam" and len(fields) == 6:
        path = fields[5]
        if not path.startswith(_IAM_PATHS + _NEWER_IAM_PATHS) and path not in ("*", "root") and not path.startswith("${"):
            paths = ", ".join(_IAM_PATHS)
            raise Malformed(f'IAM resource path must either be "*", root, or start with {paths}.')
    if "${" in ":".join(fields[:4]):
        raise Malformed(SYNTAX)


def complete(resource: str) -> str:
    """An ARN with fewer than six fields, with ``*`` in the place of each that it lacks."""
    fields = resource.split(":", 5)
    return resource if len(fields) == 6 or fields[0] != "arn" else ":".join(fields + ["*"] * (6 - len(fields)))


def _clause(statement: Statement, kind: Kind, span: tuple[int, int]) -> Clause:
    element = statement.get("Principal", statement.get("NotPrincipal"))
    return Clause(
        sid=str(statement.get("Sid", "")),
        effect=str(statement["Effect"]),
        actions=tuple(fold(action) for action in _texts(statement, "Action")),
        not_action="NotAction" in statement,
        resources=("*",) if kind is Kind.TRUST else tuple(complete(each) for each in _texts(statement, "Resource")),
        not_resource="NotResource" in statement,
        principals=None if element is None else principals.read(element),
        not_principal="NotPrincipal" in statement,
        conditions=tuple(_conditions(statement)),
        span=span,
    )
