"""Reconcilers of what the conventions of EC2's API leave behind."""

from __future__ import annotations

from mallee.durable import reconciler
from mallee.ec2 import tokens
from mallee.store import Clock, Database


@reconciler("client-tokens", every=3600)
def forget_old_tokens(database: Database, clock: Clock) -> None:
    """Drops client tokens that no client will retry any more."""
    with database.transaction() as tx:
        tokens.forget(tx)
