"""What the operations of identity and of administration need of the process beyond the transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mallee.identity.federation.jwks import Issuers
from mallee.identity.quotas import Quota
from mallee.identity.vault import Vault
from mallee.settings import Settings
from mallee.store import Tx

AccountHook = Callable[[Tx, str, Settings], None]


@dataclass(frozen=True, slots=True)
class Tools:
    """``account_hooks`` give a new account what every domain gives it; ``quotas`` are all domains'; ``issuers`` are the keys of
    OpenID Connect providers that this process knows."""

    vault: Vault
    account_hooks: tuple[AccountHook, ...] = field(default=())
    quotas: tuple[Quota, ...] = field(default=())
    issuers: Issuers = field(default_factory=Issuers)
