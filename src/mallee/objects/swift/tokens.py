"""Tokens: what a client shows instead of a signature. They are sealed by the vault and kept nowhere.

A token names an access key and says when it ends, at most ``SECONDS`` after it was made. It opens what the key opens at the time of each
request: a key that was made inactive or removed takes its tokens with it.
"""

from __future__ import annotations

import base64
import binascii
import datetime
from dataclasses import dataclass
from typing import Final

from mallee.identity.vault import Vault, VaultError

SECONDS: Final = 24 * 3600
PREFIX: Final = "AUTH_tk"
_NAME: Final = "swift-token"
_MOST: Final = 1024


@dataclass(frozen=True, slots=True)
class Token:
    access_key_id: str
    expires_at: int  # seconds since 1970

    @property
    def expires(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.expires_at, datetime.UTC)


def new(access_key_id: str, now: datetime.datetime) -> Token:
    return Token(access_key_id, int(now.timestamp()) + SECONDS)


def sealed(vault: Vault, token: Token) -> str:
    found = vault.seal_bytes(_NAME, f"{token.expires_at}:{token.access_key_id}".encode())
    return PREFIX + base64.urlsafe_b64encode(found).rstrip(b"=").decode("ascii")


def opened(vault: Vault, text: str, now: datetime.datetime) -> Token | None:
    """None for what is no token of ours, or is over."""
    if not text.startswith(PREFIX) or len(text) > _MOST or not text.isascii():
        return None
    encoded = text[len(PREFIX) :]
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
        expires, _, access_key_id = vault.open_bytes(_NAME, raw).decode().partition(":")
        found = Token(access_key_id, int(expires))
    except (binascii.Error, ValueError, VaultError):
        return None
    return found if found.expires_at > now.timestamp() else None
