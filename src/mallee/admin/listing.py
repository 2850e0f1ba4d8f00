"""Pages of the lists that administration answers: ``MaxResults`` and ``NextToken``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from mallee.identity import markers
from mallee.identity.call import Call
from mallee.wire.errors import AwsError

Item = TypeVar("Item")

DEFAULT = 100
_FREE = frozenset({"NextToken", "MaxResults"})
_WRITTEN = str.maketrans("-_", "+/")  # Service Quotas' tokens are of base64's first alphabet
_READ = str.maketrans("+/", "-_")


def page(
    call: Call, items: Sequence[Item], key: Callable[[Item], Any], forged: str = "InvalidParameterException"
) -> tuple[list[Item], dict[str, str]]:
    """The page of ``items`` that the call asks for, in the order of ``key`` (unique: text, number or a tuple of them), and what
    the answer says of the next one. ``forged``: the error's code for a token that was not given for this list."""
    ordered = sorted(items, key=key)
    given = call.input.get("NextToken")
    if given:
        try:
            after = markers.unseal(call, given.translate(_READ), _FREE)
        except markers.Forged:
            raise AwsError(forged, "The NextToken was not given for this list.") from None
        ordered = [item for item in ordered if key(item) > after]
    size = call.input.get("MaxResults") or DEFAULT
    shown = ordered[:size]
    if len(ordered) <= size:
        return shown, {}
    return shown, {"NextToken": markers.seal(call, key(shown[-1]), _FREE).translate(_WRITTEN)}
