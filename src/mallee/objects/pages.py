"""What S3's listings have in common: how names are written, how many there may be, owners."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from mallee.identity.call import Call
from mallee.objects import acl
from mallee.wire.errors import AwsError

MOST: Final = 1000


def encoding(given: Mapping[str, Any]) -> Callable[[str], str]:
    """How names are written: as they are, or encoded for URLs where the client cannot trust XML with them."""
    if given.get("EncodingType") == "url":
        return lambda name: quote(name, safe="/-_.*", errors="surrogateescape").replace("%20", "+")
    return lambda name: name


def text(key: bytes) -> str:
    return key.decode("utf-8", "replace")


def most(wanted: int | None, name: str) -> int:
    if wanted is None:
        return MOST
    if wanted < 0:
        told = f"Argument {name} must be an integer between 0 and 2147483647"
        raise AwsError("InvalidArgument", told, status=400, ArgumentName=name, ArgumentValue=str(wanted))
    return min(wanted, MOST)


def prefixes(found: list[bytes], encode: Callable[[str], str]) -> list[dict[str, str]]:
    return [{"Prefix": encode(text(prefix))} for prefix in found]


class Owners:
    """Owners as listings tell them, each looked up once."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._known: dict[str, dict[str, str]] = {}

    def __call__(self, account_id: str) -> dict[str, str]:
        found = self._known.get(account_id)
        if found is None:
            found = self._known[account_id] = acl.owner(self._call.tx, account_id)
        return found
