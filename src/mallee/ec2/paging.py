"""EC2's pages: ``MaxResults`` and ``NextToken``.

A page is cut from a complete, filtered list by the key of its last item, not by an offset, so that rows that come
and go between two calls neither repeat nor hide others. The token is opaque, and authenticated: it names the
operation, the account and the parameters that it continues, and any other use of it is refused.
"""

from __future__ import annotations

import base64
import bisect
import functools
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mallee.identity import vault
from mallee.wire.errors import AwsError

if TYPE_CHECKING:
    from mallee.identity.call import Call

Item = TypeVar("Item")
Key = str | int | tuple[Any, ...]

_MAC_LENGTH = 16
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
    body = json.dumps(after, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_mac(call, body) + body).decode().rstrip("=")


def position(call: Call) -> Any:
    """The key after which the call's ``NextToken`` continues, or None without one."""
    given = call.input.get("NextToken")
    if not given:
        return None
    try:
        raw = base64.urlsafe_b64decode(given.encode("ascii") + b"=" * (-len(given) % 4))
        mac, body = raw[:_MAC_LENGTH], raw[_MAC_LENGTH:]
        if hmac.compare_digest(mac, _mac(call, body)):
            return _frozen(json.loads(body))
    except ValueError:
        pass
    raise AwsError("InvalidNextToken", f"The token '{given[:200]}' is invalid")


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


def _mac(call: Call, body: bytes) -> bytes:
    asked = {name: value for name, value in call.input.items() if name not in _FREE}
    bound = json.dumps([call.operation, call.account_id, asked], sort_keys=True, default=str, separators=(",", ":"))
    return hmac.digest(_key(call), bound.encode() + b"\0" + body, hashlib.sha256)[:_MAC_LENGTH]


def _key(call: Call) -> bytes:
    return _derived(call.settings.cloud / vault.FILE)


@functools.cache
def _derived(master_key: Path) -> bytes:
    """A key of its own from the cloud's master key; where there is none (a cloud in memory), one for this process."""
    try:
        secret = master_key.read_bytes()
    except FileNotFoundError:
        secret = secrets.token_bytes(32)
    return hmac.digest(secret, b"mallee pages", hashlib.sha256)
