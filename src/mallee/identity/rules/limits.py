"""Quotas in policies, as Eucalyptus has them: statements with ``"Effect": "Limit"``.

They neither allow nor deny. Each says how many of something its holder may have: a condition ``NumericLessThanEquals`` on
a quota key (``ec2:quota-vminstancenumber``), for actions and resources as in any statement. The smallest limit counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from mallee.identity.rules import patterns
from mallee.identity.rules.conditions import Scalar, number, text
from mallee.identity.rules.context import fold
from mallee.identity.rules.errors import SYNTAX, Malformed

KEYS = frozenset(
    {
        *(f"s3:quota-bucket{what}" for what in ("number", "objectnumber", "size", "totalsize")),
        *(f"ec2:quota-{what}number" for what in ("address", "image", "snapshot", "vminstance", "vminstanceactive", "volume")),
        *(f"ec2:quota-{what}number" for what in ("securitygroup", "internetgateway", "vpc")),
        *(f"ec2:quota-{what}totalsize" for what in ("volume", "cpu", "disk", "memory")),
        *(f"iam:quota-{what}number" for what in ("group", "user", "role", "instanceprofile", "servercertificate")),
        *(f"autoscaling:quota-{what}number" for what in ("autoscalinggroup", "launchconfiguration", "scalingpolicy")),
        "elasticloadbalancing:quota-loadbalancernumber",
        "cloudformation:quota-stacknumber",
    }
)
"""The quota keys of Eucalyptus 3.3 to 5.1."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``value`` of what ``key`` counts. ``actions`` are in small letters, with wildcards."""

    key: str
    value: int
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    sid: str = ""

    def covers(self, action: str) -> bool:
        folded = fold(action)
        return any(patterns.glob(each)(folded) for each in self.actions)


def compile_limits(
    sid: str, actions: tuple[str, ...], resources: tuple[str, ...], conditions: Iterable[tuple[str, str, tuple[Scalar, ...]]]
) -> tuple[Limit, ...]:
    """The limits of one statement. Raises Malformed for one that sets none, or that has any other condition."""
    found = []
    for operator, key, values in conditions:
        if operator != "NumericLessThanEquals" or fold(key) not in KEYS or len(values) != 1:
            raise Malformed(SYNTAX)
        value = number(text(values[0]))
        if value is None or value < 0 or value != value.to_integral_value() or value > Decimal(2**63 - 1):
            raise Malformed(SYNTAX)
        found.append(Limit(fold(key), int(value), actions, resources, sid))
    if not found:
        raise Malformed(SYNTAX)
    return tuple(found)


def smallest(limits: Iterable[Limit], key: str, action: str | None = None) -> int | None:
    """What the limits leave of a key, for an action if one is given; None when they say nothing of it."""
    folded = fold(key)
    return min((each.value for each in limits if each.key == folded and (action is None or each.covers(action))), default=None)
