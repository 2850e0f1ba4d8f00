"""May this principal do this? AWS's policy evaluation logic, whole, over compiled policies.

1. A Deny that applies, in any policy, denies.
2. Service control policies: every level must allow. They bind an account's root too, and nobody of another account.
3. The resource's own policy. From another account it must allow, and so must all that follows. In the same account it is
   enough, where it names the caller itself; where it names the role or user behind a session, boundary and session policies
   must allow too; where it names the account, it only permits what the account's policies allow. A role's trust policy must
   allow in any case. To another account an ACL's grant is the same as such an Allow.
4. Identity-based policies, then the permissions boundary, then session policies: each must allow. A root needs no policy.
5. The policy of the VPC endpoint by which the request came must allow.

Services, federated identities and anonymous callers have no policies of their own: only the resource's speaks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mallee.identity.rules.context import Context, fold, is_at_hand
from mallee.identity.rules.policy import Kind, Policy, Position, Statement
from mallee.identity.rules.principals import Caller, Named

SCP, RESOURCE, TRUST, IDENTITY, BOUNDARY, SESSION, ENDPOINT = (
    "service control policy",
    "resource-based policy",
    "role trust policy",
    "identity-based policy",
    "permissions boundary",
    "session policy",
    "VPC endpoint policy",
)
"""The types of policies, in AWS's words."""

_ARTICLES = {IDENTITY: "an", TRUST: "the"}
_NO_IDENTITY = frozenset(("anonymous", "service", "federated"))
_REMEMBERED = 1024
_LONGEST = 2048  # characters of a resource whose answer is remembered: requests may name anything
_MOST_KEYS = 8
_NOTHING = Context()


@dataclass(frozen=True, slots=True)
class Source:
    """A policy and where it comes from. ``kind``: user, group, role, aws-managed, user-managed, resource or none, and
    ``name``, as SimulatePrincipalPolicy shows them."""

    policy: Policy
    name: str
    kind: str


class _Plan:
    """What the policies of one holder have to say on one action. ``asked``: the keys that the answer depends on, if all of them
    cost nothing to look up: then answers are kept by their values, and by the resource unless all statements are about
    every resource (``everywhere``). ``by_call`` is for whoever knows a shorter way from a call to these values."""

    __slots__ = ("allows", "answers", "asked", "by_call", "denies", "everywhere", "levels")

    def __init__(self, grants: Grants, action: str) -> None:
        statements = {
            IDENTITY: _about(grants.identity, action),
            BOUNDARY: _about(grants.boundary or (), action),
            SESSION: _about(grants.session or (), action),
        }
        levels = [_about(level, action) for level in grants.scps]
        everything = [(SCP, each) for level in levels for each in level]
        everything += [(layer, each) for layer, found in statements.items() for each in found]
        self.denies = tuple((layer, each) for layer, each in everything if each[1].denies)
        self.levels = tuple(tuple(each for each in level if not each[1].denies) for level in levels)
        self.allows = {layer: tuple(each for each in found if not each[1].denies) for layer, found in statements.items()}
        self.everywhere = all(statement.everywhere for _, (_, statement) in everything)
        keys = sorted({key for _, (_, statement) in everything for key in statement.keys})
        cheap = len(keys) <= _MOST_KEYS and all(is_at_hand(key) for key in keys)
        self.asked: tuple[str, ...] | None = tuple(keys) if cheap else None
        self.answers: dict[tuple[Any, ...], Decision] = {}
        self.by_call: Any = None

    def keep(self, key: tuple[Any, ...], decision: Decision) -> Decision:
        if len(self.answers) >= _REMEMBERED:
            self.answers.clear()
        self.answers[key] = decision
        return decision


@dataclass(frozen=True, slots=True)
class Grants:
    """Everything that speaks for or against one principal; built once and kept, since it remembers which statements are about
    which action."""

    identity: tuple[Source, ...] = ()
    boundary: tuple[Source, ...] | None = None  # None: there is no boundary
    session: tuple[Source, ...] | None = None  # None: the session has no policies, or there is no session
    scps: tuple[tuple[Source, ...], ...] = ()  # one tuple per level; every level must allow
    _plans: dict[str, _Plan] = field(default_factory=dict, init=False, repr=False, compare=False)

    def plan(self, action: str) -> _Plan:
        found = self._plans.get(action)
        if found is None:
            if len(self._plans) >= _REMEMBERED:
                self._plans.clear()
            found = self._plans[action] = _Plan(self, fold(action))
        return found


@dataclass(slots=True)
class Question:
    """``resource``: an ARN, or ``*`` for an action without resource-level permissions. ``resource_owner``: the account that
    the resource belongs to; the caller's own when empty. ``endpoint``: the policy of the VPC endpoint that was used."""

    action: str
    resource: str
    context: Context
    principal: Caller
    resource_policy: Policy | None = None
    resource_owner: str = ""
    endpoint: Policy | None = None
    canonical_id: str = ""  # of the caller's account, where the service knows such
    resource_policy_name: str = "resource"
    granted: Callable[[], bool] | None = None  # whether the resource's owner lets the caller in without a policy: an ACL
    speaks: bool = True  # False: what the resource's policy allows counts for nothing, what it denies does


@dataclass(frozen=True, slots=True)
class Match:
    """A statement that decided, and the type of policies that it did so in."""

    source: Source
    statement: Statement
    layer: str

    @property
    def index(self) -> int:
        return self.statement.index

    @property
    def sid(self) -> str:
        return self.statement.sid

    @property
    def start(self) -> Position:
        """Where it begins in the policy's text: line and column, from 1."""
        return self.statement.start

    @property
    def end(self) -> Position:
        """Where it ends: the place after its closing brace."""
        return self.statement.end


@dataclass(frozen=True, slots=True)
class Decision:
    """``layer``: the type of policy that denied; empty when allowed. ``matched``: the statements that decided: the Deny, or
    those that allow. ``layers`` and ``missing`` are ``explain``'s: what each type of policies says alone (allowed, explicitDeny,
    implicitDeny), and the condition keys that statements (of the account's own side) ask for and the request lacks."""

    allowed: bool
    explicit: bool = False
    layer: str = ""
    matched: tuple[Match, ...] = ()
    missing: frozenset[str] = frozenset()
    layers: Mapping[str, str] = field(default_factory=dict)

    @property
    def why(self) -> str:
        if self.allowed:
            return "allowed"
        return f"explicit deny in {self.layer}" if self.explicit else f"no {self.layer} allows"

    def sentence(self, action: str) -> str:
        """The end of AWS's message on a denied access; empty when it is not."""
        if self.allowed:
            return ""
        if self.explicit:
            return f"with an explicit deny in {_ARTICLES.get(self.layer, 'a')} {self.layer}"
        return f"because no {self.layer} allows the {action} action"


_Held = tuple[Source, Statement]


def _about(sources: Iterable[Source], action: str) -> tuple[_Held, ...]:
    return tuple((source, statement) for source in sources for statement in source.policy.about(action))


def decide(question: Question, grants: Grants) -> Decision:
    """The answer, found by as few looks as possible: ``matched`` has one deciding statement per type of policies."""
    plan, principal = grants.plan(question.action), question.principal
    owner = question.resource_owner
    if (
        plan.asked is None
        or question.resource_policy is not None
        or question.endpoint is not None
        or (owner and owner != principal.account_id)
        or not _has_policies(principal)
        or len(question.resource) > _LONGEST
    ):
        return _Asked(question, grants, plan).decision()
    look = question.context.look
    key = ("*" if plan.everywhere else question.resource, *[look(each) for each in plan.asked])
    return plan.answers.get(key) or plan.keep(key, _Asked(question, grants, plan).decision())


def settled(action: str, principal: Caller, grants: Grants, context: Context = _NOTHING) -> Decision | None:
    """The answer that holds for every resource of the principal's own account that has no policy of its own, whatever further
    keys a question about it has; None when it depends on them. Never of a root, which no policy of its own can speak for."""
    plan = grants.plan(action)
    if plan.asked is None or not plan.everywhere or not _has_policies(principal) or (plan.asked and context is _NOTHING):
        return None
    return decide(Question(action, "*", context, principal), grants)


def _has_policies(principal: Caller) -> bool:
    """Whether the answer is its policies', and so the same for all who have these grants."""
    return principal.kind != "root" and principal.kind not in _NO_IDENTITY


def explain(question: Question, grants: Grants) -> Decision:
    """The same answer with all that led to it: every statement that matched, every type of policies, every missing key."""
    return _Explained(question, grants, grants.plan(question.action)).decision()


class _Asked:
    """One question under way."""

    def __init__(self, question: Question, grants: Grants, plan: _Plan) -> None:
        self.question = question
        self.grants = grants
        self.plan = plan
        self.matched: list[Match] = []
        policy = question.resource_policy
        self.resource_layer = TRUST if policy is not None and policy.kind is Kind.TRUST else RESOURCE
        self.resource = () if policy is None else self._of(policy, question.resource_policy_name, "resource")
        if not question.speaks:
            self.resource = tuple(each for each in self.resource if each[1].denies)
        self.endpoint = () if question.endpoint is None else self._of(question.endpoint, "endpoint", "none")

    def _of(self, policy: Policy, name: str, kind: str) -> tuple[_Held, ...]:
        return _about((Source(policy, name, kind),), fold(self.question.action))

    def decision(self) -> Decision:
        denied = self.denied()
        if denied is not None:
            return Decision(False, True, denied.layer, (denied,))
        refused = self.refused()
        return Decision(False, False, refused) if refused else Decision(True, matched=tuple(self.matched))

    def denied(self) -> Match | None:
        """The first Deny that applies."""
        question = self.question
        resource, context = question.resource, question.context
        own = self.plan.denies if question.principal.kind not in _NO_IDENTITY else ()
        for layer, (source, statement) in own:
            if statement.applies(resource, context):
                return Match(source, statement, layer)
        for layer, held in ((self.resource_layer, self.resource), (ENDPOINT, self.endpoint)):
            for source, statement in held:
                if statement.denies and self._named(statement) and statement.applies(resource, context):
                    return Match(source, statement, layer)
        return None

    def refused(self) -> str:
        """The type of policies that ought to allow and does not; empty when everything that must allow does."""
        question, principal = self.question, self.question.principal
        named = self.by_resource()
        if principal.kind in _NO_IDENTITY:
            return self.resource_layer if named is Named.NOT and not self.is_granted() else self.by_endpoint()
        for level in self.plan.levels:
            if not self.allows(SCP, level):
                return SCP
        foreign = bool(question.resource_owner) and question.resource_owner != principal.account_id
        if named is Named.NOT and (foreign or self.resource_layer is TRUST) and not (foreign and self.is_granted()):
            return self.resource_layer
        if foreign or named is not Named.ITSELF:
            by_itself = named is Named.BY_ISSUER and not foreign
            if not by_itself and principal.kind != "root" and not self.allows(IDENTITY, self.plan.allows[IDENTITY]):
                return IDENTITY
            if self.grants.boundary is not None and not self.allows(BOUNDARY, self.plan.allows[BOUNDARY]):
                return BOUNDARY
            if self.grants.session is not None and not self.allows(SESSION, self.plan.allows[SESSION]):
                return SESSION
        return self.by_endpoint()

    def by_resource(self) -> Named:
        """The most direct way in which the resource's policy allows it."""
        best = Named.NOT
        for source, statement in self.resource:
            if statement.denies:
                continue
            named = self._named(statement)
            if named > best and statement.applies(self.question.resource, self.question.context):
                self.matched.append(Match(source, statement, self.resource_layer))
                best = named
        return best

    def is_granted(self) -> bool:
        """Whether the owner's ACL stands for an Allow of the resource's policy: to other accounts and to strangers only, and never
        in the place of what their own accounts must allow."""
        return self.question.granted is not None and self.question.granted()

    def by_endpoint(self) -> str:
        if self.question.endpoint is None:
            return ""
        held = tuple(each for each in self.endpoint if not each[1].denies and self._named(each[1]))
        return "" if self.allows(ENDPOINT, held) else ENDPOINT

    def allows(self, layer: str, held: Iterable[_Held]) -> bool:
        resource, context = self.question.resource, self.question.context
        for source, statement in held:
            if statement.applies(resource, context):
                self.matched.append(Match(source, statement, layer))
                return True
        return False

    def _named(self, statement: Statement) -> Named:
        return statement.names(self.question.principal, self.question.canonical_id)


class _Explained(_Asked):
    """The same, looking at everything."""

    def decision(self) -> Decision:
        layers = self.layers()
        missing = self.missing()
        denied = self.all_denied()
        if denied:
            return Decision(False, True, denied[0].layer, denied, missing, layers)
        refused = self.refused()
        matched = () if refused else tuple(dict.fromkeys(self.matched))
        return Decision(not refused, False, refused, matched, missing, layers)

    def held(self) -> dict[str, list[_Held]]:
        """Every statement that may have a say, by type of policies."""
        found: dict[str, list[_Held]] = {}
        if self.question.principal.kind not in _NO_IDENTITY:
            if self.grants.scps:
                found[SCP] = [each for level in self.plan.levels for each in level]
            found[IDENTITY] = []
            if self.grants.boundary is not None:
                found[BOUNDARY] = []
            if self.grants.session is not None:
                found[SESSION] = []
            for layer, each in self.plan.denies:
                found[layer].append(each)
            for layer, allowing in self.plan.allows.items():
                if layer in found:
                    found[layer] += allowing
        if self.question.resource_policy is not None:
            found[self.resource_layer] = [each for each in self.resource if self._named(each[1])]
        if self.question.endpoint is not None:
            found[ENDPOINT] = [each for each in self.endpoint if self._named(each[1])]
        return found

    def layers(self) -> dict[str, str]:
        return {layer: self._verdict(layer, held) for layer, held in self.held().items()}

    def _verdict(self, layer: str, held: list[_Held]) -> str:
        applying = [each for each in held if each[1].applies(self.question.resource, self.question.context)]
        if any(statement.denies for _, statement in applying):
            return "explicitDeny"
        if layer is SCP:
            allowed = all(any(each in applying for each in level) for level in self.plan.levels)
        else:
            allowed = bool(applying) or (layer is IDENTITY and self.question.principal.kind == "root")
        return "allowed" if allowed else "implicitDeny"

    def missing(self) -> frozenset[str]:
        context, resource = self.question.context, self.question.resource
        asked: set[str] = set()
        for layer, held in self.held().items():
            for _, statement in held if layer is not SCP else ():
                absent = {key for key in statement.keys if context.get(key) is None}
                if absent and (statement.covers(resource, context) or statement.has_variables):
                    asked |= absent
        return frozenset(asked)

    def all_denied(self) -> tuple[Match, ...]:
        """Every Deny that applies, that which ``decide`` finds first."""
        first = self.denied()
        if first is None:
            return ()
        found = [first]
        for layer, held in self.held().items():
            for source, statement in held:
                if statement.denies and statement.applies(self.question.resource, self.question.context):
                    found.append(Match(source, statement, layer))
        return tuple(dict.fromkeys(found))

    def by_resource(self) -> Named:
        best = Named.NOT
        for source, statement in self.resource:
            named = self._named(statement)
            if not statement.denies and named and statement.applies(self.question.resource, self.question.context):
                self.matched.append(Match(source, statement, self.resource_layer))
                best = max(best, named)
        return best

    def allows(self, layer: str, held: Iterable[_Held]) -> bool:
        found = [each for each in held if each[1].applies(self.question.resource, self.question.context)]
        self.matched += [Match(source, statement, layer) for source, statement in found]
        return bool(found)
