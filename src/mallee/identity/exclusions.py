"""PolicyExclusionList: what a simulation would say if some of the policies were not there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from mallee.identity import iam
from mallee.identity.call import Call
from mallee.identity.records import policies, users
from mallee.identity.records.roles import Role
from mallee.identity.records.users import Group, User
from mallee.identity.rules.evaluate import Grants, Source

_INLINE = frozenset(("user", "group", "role"))
_POLICY_ARN = re.compile(r"arn:aws[a-z-]*:iam::(?:\d{12}|aws):policy/[!-~]+", re.ASCII)

Test = Callable[[Source], bool]
_Key = tuple[str, str]  # kind and name of a source


def without(call: Call, holder: User | Group | Role, grants: Grants, excluded: Iterable[Mapping[str, Any]]) -> Grants:
    """``grants`` of the holder less what is excluded. What matches nothing is none of anybody's business."""
    tests: list[Test] = []
    for each in excluded:
        if len([name for name in ("PolicyType", "PolicyArn", "InlinePolicyIdentifier") if name in each]) != 1:
            raise iam.invalid_input(
                "A policy identifier must have exactly one of PolicyType, PolicyArn or InlinePolicyIdentifier."
            )
        if each.get("PolicyType") == "scp":
            grants = replace(grants, scps=())
        elif each.get("PolicyType") == "permission-boundary":
            grants = replace(grants, boundary=None)
        elif "PolicyType" in each:
            tests.append(_by_type(each["PolicyType"]))
        elif "PolicyArn" in each:
            tests.append(_by_arn(call, holder, each["PolicyArn"]))
        else:
            tests.append(_by_place(call, holder, each["InlinePolicyIdentifier"]))
    if not tests:
        return grants
    kept = tuple(source for source in grants.identity if not any(test(source) for test in tests))
    return replace(grants, identity=kept)


def _by_type(kind: str) -> Test:
    return lambda source: source.kind in _INLINE if kind == "inline" else source.kind == kind


def _by_arn(call: Call, holder: User | Group | Role, pattern: str) -> Test:
    if not _POLICY_ARN.fullmatch(pattern):
        raise iam.invalid_input(f"ARN {pattern} is not valid.")
    matches = _pattern(pattern)
    chosen: set[_Key] = set()
    for _, holder_id, _ in _holders(call, holder):
        for each in policies.attached_to(call.tx, holder_id):
            if matches(each.policy_arn):
                kind = "aws-managed" if "::aws:policy/" in each.policy_arn else "user-managed"
                chosen.add((kind, each.policy_arn.rpartition("/")[2]))
    return lambda source: (source.kind, source.name) in chosen


def _by_place(call: Call, holder: User | Group | Role, identifier: Mapping[str, str]) -> Test:
    kind, name = identifier["AttachmentType"], identifier["PolicyName"]
    matches = _pattern(identifier["AttachmentName"])
    chosen: set[tuple[str, str, str]] = set()
    for word, holder_id, holder_name in _holders(call, holder):
        found = policies.inline_policy(call.tx, holder_id, name) if word == kind and matches(holder_name) else None
        if found is not None:
            chosen.add((kind, f"{kind}_{holder_name}_{name}", found.document))
    return lambda source: (source.kind, source.name, source.policy.text) in chosen


def _holders(call: Call, holder: User | Group | Role) -> list[tuple[str, str, str]]:
    """Whose policies the holder has: kind, id and name; a user's and its groups'."""
    if isinstance(holder, Role):
        return [("role", holder.id, holder.name)]
    if isinstance(holder, Group):
        return [("group", holder.id, holder.name)]
    return [
        ("user", holder.id, holder.name),
        *(("group", group.id, group.name) for group in users.groups_of(call.tx, holder.id)),
    ]


def _pattern(text: str) -> Callable[[str], bool]:
    """At most one ``*``, and any number of ``?``; in an ARN, only behind ``policy/``."""
    head = text.partition(":policy/")[0] if text.startswith("arn:") else ""
    if text.count("*") > 1 or "*" in head or "?" in head:
        raise iam.invalid_input(f"The policy identifier {text} has wildcards where none may be.")
    parts = ("." if each == "?" else ".*" if each == "*" else re.escape(each) for each in text)
    compiled = re.compile("".join(parts), re.DOTALL)
    return lambda value: compiled.fullmatch(value) is not None
