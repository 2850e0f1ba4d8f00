"""Identifiers as AWS forms them, from the system's random source.

They are drawn, never counted: two cloud processes need not talk to each other to name something, and an id tells nothing about
how many others there are.
"""

from __future__ import annotations

import secrets
import uuid


def new(prefix: str) -> str:
    """``new("i")`` -> ``i-0`` and 16 more hexadecimal digits."""
    return f"{prefix}-0{secrets.token_hex(8)}"


def account() -> str:
    """An account number: 12 digits, the first never 0 (spreadsheets and YAML readers eat leading zeros)."""
    return str(secrets.randbelow(9 * 10**11) + 10**11)


def request() -> str:
    """A request id as AWS writes it: a random UUID."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
