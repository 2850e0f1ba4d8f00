"""Policies, read once and made ready to be asked: ``compile_policy(text, kind)``.

A compiled statement answers three questions apart, so that each is asked only when needed: whether it is about an action,
about a resource, and whether its conditions hold. A policy remembers which of its statements are about an action.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from mallee.identity.rules import conditions, grammar, limits, patterns, principals, scanner, variables
from mallee.identity.rules.context import Context
from mallee.identity.rules.errors import Malformed
from mallee.identity.rules.grammar import Clause, Kind
from mallee.identity.rules.limits import Limit
from mallee.identity.rules.principals import Caller, Named

__all__ = ["Kind", "Limit", "Malformed", "Policy", "Statement", "compile_policy", "context_keys"]

Position = tuple[int, int]
"""Line and column, from 1."""

_REMEMBERED = 512
"""Actions that one policy keeps an answer for; there are about as many as a service has operations."""


class Statement:
    """One Allow or Deny. ``keys`` are the condition keys and variables that it refers to, as it spells them; one without
    any is ``constant``: what it says depends on action, resource and principal alone. ``everywhere``: it speaks of every
    resource. ``has_variables``: in its resources."""

    __slots__ = (
        "_actions",
        "_clause",
        "_conditions",
        "_not_action",
        "_policy",
        "_resource",
        "constant",
        "denies",
        "everywhere",
        "has_variables",
        "index",
        "keys",
        "sid",
    )

    def __init__(self, policy: Policy, index: int, clause: Clause, with_variables: bool) -> None:
        self._policy = policy
        self._clause = clause
        self.index = index
        self.sid = clause.sid
        self.denies = clause.effect == "Deny"
        self._actions = _any([patterns.glob("*" if each == "*:*" else each) for each in clause.actions])
        self._not_action = clause.not_action
        keys: set[str] = set()
        self._resource = _resources(clause, with_variables, keys)
        self.everywhere = self._resource is _yes
        self.has_variables = bool(keys)
        compiled = []
        for operator, key, values in clause.conditions:
            condition, used = conditions.compile_condition(operator, key, values, with_variables)
            compiled.append(condition)
            keys |= used
        self._conditions = tuple(compiled)
        self.keys = frozenset(keys)
        self.constant = not keys

    def is_about(self, action: str) -> bool:
        """``action`` in small letters."""
        return self._actions(action) is not self._not_action

    def concerns(self, service: str) -> bool:
        """Whether it speaks of any action of a service, which is given by its prefix."""
        whole = ("*", "*:*", f"{service}:*")
        if self._not_action:
            return not any(action in whole for action in self._clause.actions)
        return any(action in whole or action.partition(":")[0] == service for action in self._clause.actions)

    def applies(self, resource: str, context: Context) -> bool:
        """Whether it speaks of the resource and its conditions hold."""
        if not self.everywhere and not self._resource(resource, context):
            return False
        for condition in self._conditions:  # noqa: SIM110 (all() and its generator cost as much as a condition)
            if not condition(context):
                return False
        return True

    def covers(self, resource: str, context: Context) -> bool:
        return self._resource(resource, context)

    def names(self, caller: Caller, canonical_id: str = "") -> Named:
        """How it names the caller. A statement without principals is its holder's own."""
        clause = self._clause
        if clause.principals is None:
            return Named.ITSELF
        if clause.not_principal:
            return Named.NOT if clause.principals.spares(caller, canonical_id) else Named.ITSELF
        return clause.principals.names_caller(caller, canonical_id)

    @property
    def start(self) -> Position:
        return scanner.position(self._policy.text, self._clause.span[0])

    @property
    def end(self) -> Position:
        """Of its last character's end: the position after the closing brace."""
        return scanner.position(self._policy.text, self._clause.span[1])

    @property
    def text(self) -> str:
        return self._policy.text[slice(*self._clause.span)]


class Policy:
    """A document of one kind. ``principals``: all that it names, as (type, value). ``limits`` take no part in decisions."""

    __slots__ = ("_about", "id", "kind", "limits", "principals", "statements", "text", "version")

    def __init__(self, text: str, kind: Kind) -> None:
        document = grammar.read(text, kind)
        self.text = text
        self.kind = kind
        self.version = document.version
        self.id = document.id
        with_variables = document.version == grammar.CURRENT
        statements: list[Statement] = []
        limited: list[Limit] = []
        for index, clause in enumerate(document.clauses):
            if clause.effect == "Limit":
                limited += limits.compile_limits(clause.sid, clause.actions, clause.not_action, clause.conditions)
            else:
                statements.append(Statement(self, index, clause, with_variables))
        self.statements = tuple(statements)
        self.limits = tuple(limited)
        self.principals = principals.listed(each.principals for each in document.clauses if each.principals)
        self._about: dict[str, tuple[Statement, ...]] = {}

    def about(self, action: str) -> tuple[Statement, ...]:
        """The statements about an action, which is given in small letters."""
        found = self._about.get(action)
        if found is None:
            if len(self._about) >= _REMEMBERED:
                self._about.clear()
            found = self._about[action] = tuple(each for each in self.statements if each.is_about(action))
        return found


class Memory:
    """Policies by their texts; those that were asked for longest ago are forgotten first. All texts together have at most
    ``most`` characters: a compiled policy takes some dozens of bytes for each, and anybody may bring texts."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._known: OrderedDict[tuple[str, Kind], Policy] = OrderedDict()
        self._lock = threading.Lock()

    def policy(self, text: str, kind: Kind) -> Policy:
        key = (text, kind)
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
                return found
        made = Policy(text, kind)
        with self._lock:
            found = self._known.setdefault(key, made)
            if found is made:
                self._size += len(text)
            while self._size > self._most:
                (old, _), _ = self._known.popitem(last=False)
                self._size -= len(old)
        return found

    def __len__(self) -> int:
        return len(self._known)


_SMALL = 24_576  # no policy that is kept is longer, those of buckets included
_remembered = Memory(3_000_000)


def compile_policy(text: str, kind: Kind) -> Policy:
    """The policy of a text, the same object for the same text while it is remembered. Raises Malformed."""
    return _remembered.policy(text, kind) if len(text) <= _SMALL else Policy(text, kind)


def context_keys(policy: Policy) -> set[str]:
    """Every condition key that a policy refers to, in conditions and as variables, as it spells them."""
    return {key for statement in policy.statements for key in statement.keys}


def _any(matchers: list[patterns.Matcher]) -> patterns.Matcher:
    if len(matchers) == 1:
        return matchers[0]
    return lambda text: any(matches(text) for matches in matchers)


def _yes(resource: str, context: Context) -> bool:
    return True


def _resources(clause: Clause, with_variables: bool, keys: set[str]) -> Callable[[str, Context], bool]:
    """The test of a statement's Resource or NotResource; adds the keys of its variables."""
    if "*" in clause.resources and not clause.not_resource:
        return _yes
    exact: set[str] = set()
    tests: list[variables.Test] = []
    for resource in clause.resources:
        read = variables.tokens(resource, with_variables, wildcards=True)
        keys |= variables.keys(read)
        if all(isinstance(token, str) for token in read):
            exact.add("".join(str(token) for token in read))
        else:
            tests.append(variables.test(read))
    fixed = frozenset(exact)
    negated = clause.not_resource
    if not tests:
        return lambda resource, context: (resource in fixed) is not negated
    if len(tests) == 1 and not fixed and not negated:
        return tests[0]
    return lambda resource, context: (resource in fixed or any(test(resource, context) for test in tests)) is not negated
