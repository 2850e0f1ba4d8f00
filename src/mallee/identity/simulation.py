"""What would be decided: the simulator of policies. It asks the very engine that decides calls (``rules.evaluate``), about a
caller, grants and condition keys that are given.

As AWS has it since 2026: one result per action, which is the most restrictive of those of all resources, with each resource's
own beside it. Service control policies take part in decisions, but neither their statements nor their keys are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mallee.identity.managed import reference
from mallee.identity.rules.context import Context
from mallee.identity.rules.evaluate import (
    BOUNDARY,
    IDENTITY,
    RESOURCE,
    SCP,
    TRUST,
    Decision,
    Grants,
    Match,
    Question,
    explain,
)
from mallee.identity.rules.policy import Policy
from mallee.identity.rules.principals import Caller

EVERYTHING = "*"

_DECISIONS = ("allowed", "implicitDeny", "explicitDeny")
"""From the least to the most restrictive."""

_TYPES = {
    IDENTITY: "IAM Policy",
    BOUNDARY: "Permissions Boundary Policy",
    RESOURCE: "Resource Policy",
    TRUST: "Resource Policy",
}
"""What EvalDecisionDetails calls the types of policies."""

SCENARIOS = {
    "EC2-Classic-InstanceStore": ("instance", "image", "security-group"),
    "EC2-Classic-EBS": ("instance", "image", "security-group", "volume"),
    "EC2-VPC-InstanceStore": ("instance", "image", "security-group", "network-interface"),
    "EC2-VPC-InstanceStore-Subnet": ("instance", "image", "security-group", "network-interface", "subnet"),
    "EC2-VPC-EBS": ("instance", "image", "security-group", "network-interface", "volume"),
    "EC2-VPC-EBS-Subnet": ("instance", "image", "security-group", "network-interface", "subnet", "volume"),
}
"""ResourceHandlingOption: the types of resources that a scenario is not complete without."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """``owner``: the account of resources whose ARN names none, ``resource_policy`` that of each of the resources."""

    caller: Caller
    grants: Grants
    keys: Context
    resources: tuple[str, ...] = (EVERYTHING,)
    resource_policy: Policy | None = None
    owner: str = ""

    def owner_of(self, resource: str) -> str:
        """Matters only beside the resource's policy: without it, what another account says is not known."""
        if self.resource_policy is None:
            return ""
        fields = resource.split(":", 5)
        return (fields[4] if len(fields) == 6 else "") or self.owner or self.caller.account_id


@dataclass(frozen=True, slots=True)
class _Found:
    """One action on one resource. ``missing``: keys that are asked for and not given, but by service control policies."""

    resource: str
    decision: Decision
    missing: frozenset[str]
    foreign: bool

    @property
    def word(self) -> str:
        return "allowed" if self.decision.allowed else "explicitDeny" if self.decision.explicit else "implicitDeny"

    @property
    def statements(self) -> list[Match]:
        return [match for match in self.decision.matched if match.layer != SCP]

    @property
    def details(self) -> dict[str, str]:
        """What each type of policies says alone, of calls from one account to another's resource."""
        layers = self.decision.layers
        if not self.foreign or layers.get(SCP, "allowed") != "allowed":
            return {}
        return {_TYPES[layer]: word for layer, word in layers.items() if layer in _TYPES}


def result(action: str, scenario: Scenario) -> dict[str, Any]:
    """An EvaluationResult."""
    found = [_ask(action, resource, scenario) for resource in scenario.resources]
    specific = scenario.resources != (EVERYTHING,)
    answer: dict[str, Any] = {
        "EvalActionName": action,
        "EvalResourceName": reference.template(action) if specific else EVERYTHING,
        "EvalDecision": max((each.word for each in found), key=_DECISIONS.index),
    }
    deciding = [each for each in found if each.word == answer["EvalDecision"]]
    answer["MatchedStatements"] = _statements(match for each in deciding for match in each.statements)
    answer["MissingContextValues"] = sorted({key for each in found for key in each.missing})
    if scenario.grants.scps:
        answer["OrganizationsDecisionDetail"] = {"AllowedByOrganizations": _all_allow(found, SCP)}
    if scenario.grants.boundary is not None:
        answer["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": _all_allow(found, BOUNDARY)}
    if specific:
        answer["EvalDecisionDetails"] = _most_restrictive([each.details for each in found])
        answer["ResourceSpecificResults"] = [_of_resource(each, scenario) for each in found]
    return answer


def _ask(action: str, resource: str, scenario: Scenario) -> _Found:
    owner, caller = scenario.owner_of(resource), scenario.caller
    question = Question(
        action, resource, scenario.keys, caller, scenario.resource_policy, owner, resource_policy_name="ResourcePolicy"
    )
    decision = explain(question, scenario.grants)
    shown = explain(question, replace(scenario.grants, scps=())) if scenario.grants.scps else decision
    return _Found(resource, decision, shown.missing, bool(owner) and owner != caller.account_id)


def _of_resource(found: _Found, scenario: Scenario) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "EvalResourceName": found.resource,
        "EvalResourceDecision": found.word,
        "MatchedStatements": _statements(found.statements),
        "MissingContextValues": sorted(found.missing),
    }
    if found.foreign:
        answer["EvalDecisionDetails"] = found.details
    if scenario.grants.boundary is not None:
        answer["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": _all_allow([found], BOUNDARY)}
    return answer


def _statements(matches: Iterable[Match]) -> list[dict[str, Any]]:
    return [
        {
            "SourcePolicyId": match.source.name,
            "SourcePolicyType": match.source.kind,
            "StartPosition": {"Line": match.start[0], "Column": match.start[1]},
            "EndPosition": {"Line": match.end[0], "Column": match.end[1]},
        }
        for match in dict.fromkeys(matches)
    ]


def _all_allow(found: Sequence[_Found], layer: str) -> bool:
    return all(each.decision.layers.get(layer) == "allowed" for each in found)


def _most_restrictive(details: Sequence[Mapping[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in details:
        for name, word in each.items():
            found[name] = max(found.get(name, word), word, key=_DECISIONS.index)
    return found
