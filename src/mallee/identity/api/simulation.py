"""SimulateCustomPolicy, SimulatePrincipalPolicy, and the condition keys that policies ask for.

The simulated caller's own keys (its ARN, account, name, tags) and the time are given, as in a real call; what else a policy
asks for and ContextEntries do not give is told in MissingContextValues."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mallee.identity import grants, iam, simulation
from mallee.identity.access import Access, On
from mallee.identity.call import Call, Principal
from mallee.identity.exclusions import without
from mallee.identity.records import tags
from mallee.identity.records.roles import Role
from mallee.identity.records.users import Group, User
from mallee.identity.resources import HOLDER, holder_by_arn
from mallee.identity.rules import conditions
from mallee.identity.rules.context import Context, Value
from mallee.identity.rules.evaluate import Grants, Source
from mallee.identity.rules.policy import Kind, Malformed, Policy, compile_policy, context_keys
from mallee.identity.rules.principals import Caller, Other
from mallee.identity.simulation import EVERYTHING, SCENARIOS, Scenario

_SOURCE = On(HOLDER, "PolicySourceArn")

ACCESS = {
    "simulate_custom_policy": Access(),
    "simulate_principal_policy": Access(_SOURCE),
    "get_context_keys_for_custom_policy": Access(),
    "get_context_keys_for_principal_policy": Access(_SOURCE),
}

_HOLDER_ARN = re.compile(
    r"arn:aws[a-z-]*:iam::(?P<account>\d{12}):(?P<kind>user|group|role)/(?:[!-~]*/)?(?P<name>[\w+=,.@-]+)", re.ASCII
)
_OWNER = re.compile(r"(?:arn:aws[a-z-]*:iam::)?(\d{12})(?::root)?", re.ASCII)
_ACTION = re.compile(r"[A-Za-z0-9-]+:[A-Za-z0-9]+", re.ASCII)
_PAGE_WORK, _MOST_WORK = 200_000, 500_000
"""Statements that are looked at for one page, and for one action: seconds' worth. A page is shorter where there are many."""
_SESSION = "simulation"

Holder = User | Group | Role


def simulate_custom_policy(call: Call) -> dict[str, Any]:
    given = call.input
    levels = tuple(
        _sources(level.get("ServiceControlPolicyInputList"), f"OrderedOrganizationPolicyInputList.{number}", Kind.SCP)
        for number, level in enumerate(given.get("OrderedOrganizationPolicyInputList") or (), 1)
    )
    asked = Grants(_sources(given["PolicyInputList"], "PolicyInputList"), _boundary(call), None, levels)
    if "ResourcePolicy" in given and "CallerArn" not in given:
        raise iam.invalid_input("CallerArn must be specified when a resource policy is provided.")
    return _simulate(call, asked, given.get("CallerArn"))


def simulate_principal_policy(call: Call) -> dict[str, Any]:
    given, holder = call.input, _the_holder(call)
    asked = without(call, holder, _grants_of(call, holder), given.get("PolicyExclusionList") or ())
    boundary = _boundary(call)
    asked = replace(
        asked,
        identity=asked.identity + _sources(given.get("PolicyInputList"), "PolicyInputList"),
        boundary=asked.boundary if boundary is None else boundary,
    )
    return _simulate(call, asked, given.get("CallerArn") or holder.arn(call.settings.partition), holder)


def get_context_keys_for_custom_policy(call: Call) -> dict[str, Any]:
    return _context_keys(_sources(call.input["PolicyInputList"], "PolicyInputList"))


def get_context_keys_for_principal_policy(call: Call) -> dict[str, Any]:
    asked = _grants_of(call, _the_holder(call))
    return _context_keys(asked.identity + (asked.boundary or ()) + _sources(call.input.get("PolicyInputList"), "PolicyInputList"))


def _context_keys(sources: tuple[Source, ...]) -> dict[str, Any]:
    names: dict[str, str] = {}
    for name in sorted({key for source in sources for key in context_keys(source.policy)}):
        names.setdefault(name.lower(), name)
    return {"ContextKeyNames": sorted(names.values())}


def _simulate(call: Call, asked: Grants, caller_arn: str | None, holder: Holder | None = None) -> dict[str, Any]:
    given = call.input
    caller, facts = _caller(call, caller_arn, holder)
    resources = tuple(dict.fromkeys(given.get("ResourceArns") or (EVERYTHING,)))
    for resource in resources:
        if resource != EVERYTHING and (not resource.startswith("arn:") or resource.count(":") < 5):
            raise iam.invalid_input(f"Invalid resource ARN: {resource}")
    scenario = Scenario(
        caller, asked, Context(_entries(call), facts), resources, _resource_policy(given.get("ResourcePolicy")), _owner(call)
    )
    _check_complete(given.get("ResourceHandlingOption"), resources)
    actions = list(dict.fromkeys(given["ActionNames"]))
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise iam.invalid_input(
                f"Invalid action name: {action}. It must be a service's prefix, a colon and an operation's name."
            )
    work = _work(scenario)
    if work > _MOST_WORK:
        raise iam.invalid_input("The simulation is too large: simulate fewer resources or policies at a time.")
    window = iam.window(call)
    window = replace(window, size=min(window.size, max(1, _PAGE_WORK // work)))
    places = range(0 if window.after is None else window.after + 1, len(actions))[: window.reach]
    return window.answer(
        "EvaluationResults", places, lambda place: place, lambda place: simulation.result(actions[place], scenario)
    )


def _work(scenario: Scenario) -> int:
    """How many statements one action may have to be compared with."""
    asked = scenario.grants
    sources = [*asked.identity, *(asked.boundary or ()), *(source for level in asked.scps for source in level)]
    statements = sum(len(source.policy.statements) for source in sources)
    if scenario.resource_policy is not None:
        statements += len(scenario.resource_policy.statements)
    return len(scenario.resources) * (statements + 1)


# ------------------------------------------------------------------------------------------------------------------- whose


def _the_holder(call: Call) -> Holder:
    arn = call.input["PolicySourceArn"]
    parts = _HOLDER_ARN.fullmatch(arn)
    if parts is None:
        raise iam.invalid_input(f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
    found = holder_by_arn(call, arn)
    if found is None:
        raise iam.no_such(parts["kind"], parts["name"])
    return found


def _grants_of(call: Call, holder: Holder) -> Grants:
    """Those by which the holder's real calls are decided."""
    if isinstance(holder, Group):
        return grants.of_group(call.tx, holder, call.settings.partition)
    return grants.of(call.tx, _principal(call, holder))


def _principal(call: Call, holder: User | Role) -> Principal:
    arn = holder.arn(call.settings.partition)
    own = tags.tags_of(call.tx, holder.id)
    if isinstance(holder, User):
        return Principal(holder.account_id, arn, holder.id, "user", holder.name, "", holder.id, arn, tags=own)
    user_id = f"{holder.id}:{_SESSION}"
    return Principal(holder.account_id, _session_arn(arn), user_id, "assumed-role", None, "", holder.id, arn, tags=own)


def _session_arn(role_arn: str) -> str:
    """Policies name a role or one of its sessions, and only sessions call."""
    partition, _, _, account_id, name = role_arn.split(":", 5)[1:]
    return f"arn:{partition}:sts::{account_id}:assumed-role/{name.rpartition('/')[2]}/{_SESSION}"


def _caller(call: Call, arn: str | None, source: Holder | None) -> tuple[Caller, Context]:
    """Who the simulated call comes from, and the keys that follow from it. Of anybody but the source of the policies, whom the
    call was allowed to ask about, nothing is told but what the ARN says: not even whether there is somebody."""
    facts: dict[str, Value | Callable[[], Value]] = {"aws:CurrentTime": call.now, "aws:EpochTime": int(call.now.timestamp())}
    if arn is None:
        return Other("user", "", call.account_id), Context(facts)
    parts = _HOLDER_ARN.fullmatch(arn)
    if parts is None:
        raise iam.invalid_input(f"Invalid caller ARN: {arn}. It must be that of an IAM user, group or role.")
    facts |= {"aws:PrincipalArn": arn, "aws:PrincipalAccount": parts["account"], "aws:PrincipalIsAWSService": False}
    if parts["kind"] != "group":
        facts["aws:PrincipalType"] = "User" if parts["kind"] == "user" else "AssumedRole"
    if parts["kind"] == "user":
        facts["aws:username"] = parts["name"]
    if source is None or isinstance(source, Group) or source.arn(call.settings.partition) != arn:
        if parts["kind"] == "role":
            return Other("assumed-role", _session_arn(arn), parts["account"], issuer_arn=arn), Context(facts)
        return Other("user", arn, parts["account"], issuer_arn=arn), Context(facts)
    principal = _principal(call, source)
    facts["aws:PrincipalTag/"] = principal.tags
    if isinstance(source, User):
        facts["aws:userid"] = source.id
    return principal, Context(facts)


def _owner(call: Call) -> str:
    given = call.input.get("ResourceOwner")
    if given is None:
        return ""
    parts = _OWNER.fullmatch(given)
    if parts is None:
        raise iam.invalid_input(f"Invalid resource owner: {given}. It must be an account's ID or ARN.")
    return parts[1]


# -------------------------------------------------------------------------------------------------------------------- what


def _compiled(text: str, kind: Kind, name: str) -> Policy:
    try:
        return compile_policy(text, kind)
    except Malformed as problem:
        raise iam.invalid_input(f"The policy {name} is not valid: {problem.message}") from None


def _sources(texts: list[str] | None, name: str, kind: Kind = Kind.IDENTITY) -> tuple[Source, ...]:
    named = ((f"{name}.{number}", text) for number, text in enumerate(texts or (), 1))
    return tuple(Source(_compiled(text, kind, shown), shown, "none") for shown, text in named)


def _boundary(call: Call) -> tuple[Source, ...] | None:
    texts = call.input.get("PermissionsBoundaryPolicyInputList")
    if texts and len(texts) > 1:
        raise iam.invalid_input("Only one permissions boundary policy can be provided.")
    return _sources(texts, "PermissionsBoundaryPolicyInputList", Kind.BOUNDARY) if texts else None


def _resource_policy(text: str | None) -> Policy | None:
    """A resource's policy, or a role's: those have no Resource."""
    if text is None:
        return None
    try:
        return compile_policy(text, Kind.TRUST)
    except Malformed:
        return _compiled(text, Kind.RESOURCE, "ResourcePolicy")


def _check_complete(option: str | None, resources: tuple[str, ...]) -> None:
    if option is None:
        return
    if option not in SCENARIOS:
        raise iam.invalid_input(f"Invalid resource handling option: {option}")
    types = {resource.split(":", 5)[5].partition("/")[0] for resource in resources if resource != EVERYTHING}
    missing = [kind for kind in SCENARIOS[option] if kind not in types]
    if missing:
        raise iam.invalid_input(f"The resource handling option {option} requires resources of these types: {', '.join(missing)}")


_READS: dict[str, Callable[[str], bool]] = {
    "string": lambda value: True,
    "numeric": lambda value: conditions.number(value) is not None,
    "boolean": lambda value: value.lower() in ("true", "false"),
    "ip": lambda value: conditions.network(value) is not None,
    "binary": conditions.is_binary,
    "date": lambda value: conditions.moment(value) is not None,
}


def _entries(call: Call) -> dict[str, Value | Callable[[], Value]]:
    found: dict[str, Value | Callable[[], Value]] = {}
    for entry in call.input.get("ContextEntries") or ():
        name, values = entry.get("ContextKeyName"), entry.get("ContextKeyValues") or []
        kind = entry.get("ContextKeyType", "string")
        if not name:
            raise iam.invalid_input("A context entry must have a ContextKeyName.")
        single = not kind.endswith("List")
        if single and len(values) > 1:
            raise iam.invalid_input(f"The context key {name} of type {kind} must have a single value.")
        wrong = next((value for value in values if not _READS[kind.removesuffix("List")](value)), None)
        if wrong is not None:
            raise iam.invalid_input(f"The value {wrong} of the context key {name} is not of type {kind}.")
        found[name] = (values[0] if values else None) if single else tuple(values)
    return found
