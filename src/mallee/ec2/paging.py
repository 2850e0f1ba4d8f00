"""EC2's pages: ``MaxResults`` and ``NextToken``.

A page is cut from a complete, filtered list by the key of its last item, not by an offset, so that rows that come
and go between two calls neither repeat nor hide others (``identity.markers``).
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from mallee.identity import markers
from mallee.wire.errors import AwsError

if TYPE_CHECKING:
    from mallee.identity.call import Call

Item = TypeVar("Item")
Key = str | int | tuple[Any, ...]

_FREE = frozenset({"NextToken", "MaxResults", "DryRun"})


def page(
    call: Call,
    items: Sequence[Item],
    key: Callable[[Item], Key],
    default: int = 1000,
    maximum: int = 1000,
    minimum: int = 5,
) -> tuple[list[Item], str | None]:
    """The page of ``items`` that the call asks for, ordered by ``key`` (unique; text, number or a tuple of them), and
    the token of the next. Without ``MaxResults`` and ``NextToken`` a page holds ``default`` items (0: all)."""
    limit = size(call, default, maximum, minimum)
    ordered = sorted(items, key=key)
    start = 0
    after = position(call)
    if after is not None:
        start = bisect.bisect_right(ordered, after, key=key)
    if not limit or start + limit >= len(ordered):
        return ordered[start:], None
    found = ordered[start : start + limit]
    return found, token(call, key(found[-1]))


def size(call: Call, default: int = 1000, maximum: int = 1000, minimum: int = 5) -> int:
    """How many items the call wants on a page."""
    asked = call.input.get("MaxResults")
    if asked is None:
        return default
    if asked < minimum:
        raise _bad_size(asked, f"greater than or equal to {minimum}")
    if asked > maximum:
        raise _bad_size(asked, f"smaller than or equal to {maximum}")
    return int(asked)


def _bad_size(asked: int, expected: str) -> AwsError:
    return AwsError(
        "InvalidParameterValue",
        f"Value ( {asked} ) for parameter maxResults is invalid. Expecting a value {expected}.",
    )


def refuse_with_ids(call: Call, member: str, name: str) -> None:
    """Some operations take either ids or a page size; ``name`` is how AWS calls the ids in its message
    (``instancesSet``)."""
    if call.input.get(member) and call.input.get("MaxResults") is not None:
        raise AwsError("InvalidParameterCombination", f"The parameter {name} cannot be used with the parameter maxResults")


def token(call: Call, after: Key) -> str:
    return markers.seal(call, after, _FREE)


def position(call: Call) -> Any:
    """The key after which the call's ``NextToken`` continues, or None without one."""
    given = call.input.get("NextToken")
    if not given:
        return None
    try:
        return markers.unseal(call, given, _FREE)
    except markers.Forged:
        raise AwsError("InvalidNextToken", f"The token '{given[:200]}' is invalid") from None
