"""Quotas in policies, as Eucalyptus has them: statements with ``"Effect": "Limit"``.

They neither allow nor deny. Each says how many of something its holder may have: a condition ``NumericLessThanEquals`` on
a quota key (``ec2:quota-vminstancenumber``), for actions and resources as in any statement. The smallest limit counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
    """At most ``value`` of what ``key`` counts, for those who add one by any of ``actions``, or by any other when ``not_action``.
    Key and actions are in small letters; actions have wildcards."""

    key: str
    value: int
    actions: tuple[str, ...]
    not_action: bool = False
    sid: str = ""

    def concerns(self, action: str, key: str) -> bool:
        if self.key != fold(key):
            return False
        folded = fold(action)
        return any(patterns.glob(each)(folded) for each in self.actions) is not self.not_action


def compile_limits(
    sid: str, actions: tuple[str, ...], not_action: bool, conditions: Iterable[tuple[str, str, tuple[Scalar, ...]]]
) -> tuple[Limit, ...]:
    """The limits of one statement; of several values of a key the largest, for they are alternatives. Raises Malformed for a
    statement that sets none, or that has any other condition. Its resources are not looked at: a quota counts them all."""
    found = []
    for operator, key, values in conditions:
        if operator != "NumericLessThanEquals" or fold(key) not in KEYS or not values:
            raise Malformed(SYNTAX)
        found.append(Limit(fold(key), max(map(_whole, values)), actions, not_action, sid))
    if not found:
        raise Malformed(SYNTAX)
    return tuple(found)


def _whole(value: Scalar) -> int:
    read = number(text(value))
    if read is None or not 0 <= read < 2**63 or read != read.to_integral_value():
        raise Malformed(SYNTAX)
    return int(read)
