"""Requests that a client names by a token: one that is repeated gets the same answer, for as long as completed uploads do (``s3_completed``)."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import bindparam, select

from mallee.store import Tx

from .tables import COMPLETED

_BY_ID = select(COMPLETED.c.result).where(COMPLETED.c.upload_id == bindparam("id"))


def told(tx: Tx, name: str) -> dict[str, Any] | None:
    """What was remembered under that name."""
    row = tx.first(_BY_ID, id=name)
    return None if row is None else dict(row.result)


def remember(tx: Tx, name: str, bucket_id: str, key: bytes, result: dict[str, Any]) -> None:
    tx.insert(COMPLETED, upload_id=name, bucket_id=bucket_id, key=key, at=tx.now, result=result)


def name(kind: str, account_id: str, bucket_id: str, token: str) -> str:
    """Of no upload: their ids have no slash."""
    return f"{kind}/{hashlib.sha256(f'{account_id}/{bucket_id}/{token}'.encode()).hexdigest()}"
