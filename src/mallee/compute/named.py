"""The instances that a call names by their ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mallee.ec2 import resources
from mallee.identity.call import Call
from mallee.wire.errors import AwsError

MAXIMUM = 1000


def ids(call: Call) -> list[str] | None:
    """The distinct, well-formed ids of the call's ``InstanceIds``; None when it names none."""
    given = call.input.get("InstanceIds")
    if not given:
        return None
    if len(given) > MAXIMUM:
        raise AwsError("InvalidParameterValue", f"The maximum number of instance IDs is {MAXIMUM}.")
    return resources.check_ids("instance", given)


def require(asked: Sequence[str], known: Collection[str]) -> None:
    missing = [id for id in asked if id not in known]
    if missing:
        raise resources.not_found("instance", missing)
