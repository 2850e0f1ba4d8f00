"""Where a list goes on: opaque, authenticated tokens for the next page of an answer.

A token holds the key of the last item that was shown, never an offset, so that rows that come and go between two calls
neither repeat nor hide others. It is bound to the operation, the account and the parameters of the list that it
continues; any other use of it is a forgery.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mallee.identity import vault

if TYPE_CHECKING:
    from mallee.identity.call import Call

_MAC_LENGTH = 16


class Forged(ValueError):
    """A token that this cloud did not give for this list."""


def seal(call: Call, after: Any, free: Collection[str]) -> str:
    """The token that goes on after ``after`` (text, number or a tuple of them). ``free`` are the input members that may
    differ from one page to the next."""
    body = json.dumps(after, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_mac(call, body, free) + body).decode().rstrip("=")


def unseal(call: Call, given: str, free: Collection[str]) -> Any:
    """What was sealed; raises ``Forged``."""
    try:
        raw = base64.urlsafe_b64decode(given.encode("ascii") + b"=" * (-len(given) % 4))
        mac, body = raw[:_MAC_LENGTH], raw[_MAC_LENGTH:]
        if hmac.compare_digest(mac, _mac(call, body, free)):
            return _frozen(json.loads(body))
    except ValueError:
        pass
    raise Forged(given)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


def _mac(call: Call, body: bytes, free: Collection[str]) -> bytes:
    asked = {name: value for name, value in call.input.items() if name not in free}
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
