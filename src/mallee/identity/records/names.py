"""IAM's unique ids, secrets, and the comparison of names: unique in their account without regard to case."""

from __future__ import annotations

import secrets
from typing import Any, TypeVar

from mallee.store import read

T = TypeVar("T")

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


class Taken(Exception):
    """An account id, alias or name that is already somebody's."""


def unique(prefix: str) -> str:
    """IAM's unique ids: a prefix that says the kind (AIDA, AROA, AGPA, ANPA, AIPA, ASCA, APKA, AKIA, ASIA), and sixteen
    characters."""
    return prefix + "".join(secrets.choice(_BASE32) for _ in range(16))


def secret() -> str:
    """A secret access key: forty characters."""
    return "".join(secrets.choice(_BASE64) for _ in range(40))


def folded(name: str) -> str:
    """The form in which names are compared. IAM's names are ASCII, so that lower case is all there is to it."""
    return name.lower()


def one(kind: type[T], row: Any) -> T | None:
    return None if row is None else read(kind, row)
