"""Contents that no row refers to any more.

They are written down by the transaction that lets go of them, discarded after its commit, and then forgotten. A crash in between only puts it
off: whoever calls :func:`reclaim` next goes on. Discarding twice does no harm.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam, select

from mallee.objects.engine.base import Engine
from mallee.store import Database, Integer, Text, Timestamp, Tx

from .tables import GARBAGE, RENAMED

WAKE = "mallee.objects.index.garbage"
"""Under which ``Tx.memory`` has a function to be called after a commit that made garbage."""

CHUNK = 1000

_INSERT = sa.insert(GARBAGE)
_FORGET = sa.delete(GARBAGE).where(GARBAGE.c.id == bindparam("this", type_=Integer()))
_FORGET_NAME = sa.delete(RENAMED).where(RENAMED.c.location == bindparam("this"))
_OLDEST = (
    select(GARBAGE.c.id, GARBAGE.c.location)
    .where(GARBAGE.c.id > bindparam("after", type_=Integer()), GARBAGE.c.since <= bindparam("before", type_=Timestamp()))
    .order_by(GARBAGE.c.id)
    .limit(CHUNK)
)
_BACKLOG = select(sa.func.count(), sa.func.min(GARBAGE.c.since))
_IS_GARBAGE = select(GARBAGE.c.id).where(GARBAGE.c.location == bindparam("location", type_=Text())).limit(1)


def let_go(tx: Tx, content: str | Iterable[tuple[str, int]]) -> None:
    """Nothing refers to these pieces after this transaction. ``content``: as the column has it, or parsed."""
    for location, _ in json.loads(content) if isinstance(content, str) else content:
        tx.gather(_flush, location)


def _flush(tx: Tx, locations: list[Any]) -> None:
    tx.execute_each(_INSERT, [{"location": location, "since": tx.now} for location in dict.fromkeys(locations)])
    wake = tx.memory.get(WAKE)
    if wake is not None:
        tx.after_commit(wake)


def backlog(tx: Tx) -> tuple[int, datetime | None]:
    """How many contents are still to be discarded, and since when the oldest waits."""
    count, since = tx.tuples(_BACKLOG)[0]
    return count, since


def is_garbage(tx: Tx, location: str) -> bool:
    return tx.value(_IS_GARBAGE, location=location) is not None


def reclaim(database: Database, engine: Engine, pinned: Container[str] = (), grace: float = 0.0) -> int:
    """Discards all that has been garbage for ``grace`` seconds, but what is ``pinned``, being read; how many contents. Raises EngineError when
    the engine is away: nothing is lost by that."""
    total = after = 0
    before = database.clock.now() - timedelta(seconds=grace)
    while True:
        with database.reading() as tx:
            rows = tx.tuples(_OLDEST, after=after, before=before)
        if not rows:
            return total
        after = rows[-1][0]
        found = [row for row in rows if row[1] not in pinned]
        if not found:
            continue
        engine.discard([location for _, location in found])
        # a power cut that undoes this lets them be discarded once more
        with database.transaction(durable=False, serializable=False) as tx:
            tx.execute_each(_FORGET, [{"this": number} for number, _ in found])
            tx.execute_each(_FORGET_NAME, [{"this": location} for _, location in found])
        total += len(found)
