"""Client tokens: the same request with the same ``ClientToken`` is carried out once and answered alike.

``remembered`` takes the token's row in the caller's transaction before anything else is written, so that of two
equal requests at the same moment the second waits for the first and then finds its answer. ``remember`` saves what
the answer is rebuilt from (normally ids). Both vanish with the transaction when the operation fails, as they must.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Index, PrimaryKeyConstraint, and_, bindparam, delete, select, update

from mallee.store import Json, Text, Timestamp, Tx, plain_table
from mallee.wire.errors import AwsError

if TYPE_CHECKING:
    from mallee.identity.call import Call

MAXIMUM_LENGTH = 64
KEPT = datetime.timedelta(days=7)

client_tokens = plain_table(
    "client_tokens",
    Column("account_id", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("saved", Json, nullable=True),
    Column("at", Timestamp, nullable=False),
    PrimaryKeyConstraint("account_id", "operation", "token"),
)
Index("client_tokens_by_age", client_tokens.c.at)

_C = client_tokens.c
_THE_ONE = and_(
    _C.account_id == bindparam("of_account"),
    _C.operation == bindparam("of_operation"),
    _C.token == bindparam("of_token"),
)
_FIND = select(_C.digest, _C.saved).where(_THE_ONE)
_SAVE = update(client_tokens).where(_THE_ONE).values(saved=bindparam("to_save", type_=Json))
_FORGET = delete(client_tokens).where(_C.at < bindparam("before", type_=Timestamp))
_FREE = frozenset({"ClientToken", "DryRun"})


def remembered(call: Call, token: str | None, input: Mapping[str, Any] | None = None) -> Any:
    """What an equal request saved under this token, or None: then the token is taken for this one."""
    if not token:
        return None
    if len(token) > MAXIMUM_LENGTH or not token.isascii():
        raise AwsError(
            "InvalidParameterValue",
            f"Invalid value '{token[:256]}' for clientToken. It must be {MAXIMUM_LENGTH} or fewer ASCII characters.",
        )
    digest = _digest(call.input if input is None else input)
    free = call.tx.insert_if_free(
        client_tokens,
        account_id=call.account_id,
        operation=call.operation,
        token=token,
        digest=digest,
        saved=None,
        at=call.now,
    )
    if free:
        return None
    found = call.tx.first(_FIND, **_named(call, token))
    if found is None:
        return None
    if found.digest != digest:
        raise AwsError(
            "IdempotentParameterMismatch",
            "The request uses the same client token as a previous, but non-identical request.",
        )
    return found.saved


def remember(call: Call, token: str | None, saved: Any) -> None:
    """Saves plain JSON data under the token that ``remembered`` took."""
    if token:
        call.tx.execute(_SAVE, to_save=saved, **_named(call, token))


def forget(tx: Tx) -> None:
    """Drops tokens that no client will retry any more."""
    tx.execute(_FORGET, before=tx.now - KEPT)


def _named(call: Call, token: str) -> dict[str, str]:
    return {"of_account": call.account_id, "of_operation": call.operation, "of_token": token}


def _digest(input: Mapping[str, Any]) -> str:
    asked = {name: value for name, value in input.items() if name not in _FREE}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
