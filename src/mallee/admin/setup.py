"""What administration sees to at every start: the account that set the cloud up administers it, for good."""

from __future__ import annotations

from mallee.identity.records import control
from mallee.settings import Settings
from mallee.store import Tx


def new_cloud(tx: Tx, settings: Settings) -> None:
    account_id = settings.admin_account_id
    known = control.administrator(tx, account_id)
    if known is None:
        granted_by = f"arn:{settings.partition}:iam::{account_id}:root"
        tx.insert(control.administrators, account_id=account_id, granted_at=tx.now, granted_by=granted_by, permanent=True)
    elif not known.permanent:
        tx.change(control.administrators, account_id, permanent=True)
