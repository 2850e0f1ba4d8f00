"""What Eucalyptus's ``Effect: Limit`` statements say: a number that a quota's condition key must not exceed.

A statement counts for a quota when it names the action that adds one and bounds the quota's key by
``NumericLessThanEquals``, the one operator that Eucalyptus has there. Whatever else it says (a resource, other conditions)
does not weaken it.
"""

from __future__ import annotations

from collections.abc import Iterable

from mallee.identity.rules import conditions
from mallee.identity.rules.errors import Malformed
from mallee.identity.rules.grammar import Kind, read
from mallee.identity.rules.limits import Limit
from mallee.identity.rules.policy import compile_policy

OPERATOR = "NumericLessThanEquals"


def stated(documents: Iterable[str], action: str, key: str) -> list[float]:
    """The bounds that the documents put on a quota."""
    return [each.value for text in documents for each in _limits(text) if each.concerns(action, key)]


def _limits(document: str) -> tuple[Limit, ...]:
    """The limits of a policy that was accepted once; none for a text that is no policy."""
    try:
        return compile_policy(document, Kind.IDENTITY).limits
    except Malformed:
        return ()


def check_account_policy(document: str, known: Iterable[str]) -> None:
    """Raises Malformed unless the document consists of Limit statements that bound ``known`` keys: what it says must
    have an effect."""
    keys = {key.lower() for key in known}
    for clause in read(document, Kind.IDENTITY).clauses:
        if clause.effect != "Limit":
            raise Malformed("A policy of an account holds statements with the Effect Limit only.")
        if not clause.conditions:
            raise Malformed("A statement with the Effect Limit needs a Condition.")
        for operator, key, values in clause.conditions:
            if operator != OPERATOR:
                raise Malformed(f"A statement with the Effect Limit takes the operator NumericLessThanEquals, not {operator}.")
            if key.lower() not in keys:
                raise Malformed(f"{key} is no quota of this cloud.")
            if any(conditions.number(conditions.text(each)) is None for each in values):
                raise Malformed(f"The limit of {key} must be a number.")
