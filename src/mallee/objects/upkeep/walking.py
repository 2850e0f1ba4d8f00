"""Going through a whole bucket in pieces: where a walk is stands in a row, so that it goes on after a crash, in whatever process.

Two processes at once do a piece twice: what is done in a piece must bear that, as all upkeep must.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from mallee.objects import records
from mallee.objects.records import Bucket, Walk
from mallee.store import Clock, Database, Tx

PIECE: Final = 1000
SECONDS: Final = 5.0
"""That one call of a reconciler goes on, before others have their turn."""

Piece = Callable[[dict[str, Any]], dict[str, Any] | None]
"""Does one piece: from the state before it to the state after it, or None when that was the last."""


def is_due(walk: Walk | None, changed: datetime.datetime | None, now: datetime.datetime) -> bool:
    """Once a day, and again when what it goes by has changed since it began."""
    if walk is None:
        return True
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return walk.began_at < today or (changed is not None and changed >= walk.began_at)


def go_on(
    database: Database, clock: Clock, name: str, bucket: Bucket, kind: str, piece: Piece, until: float, time: Callable[[], float]
) -> None:
    """Takes up the bucket's walk where it is, begins one that is due, and goes on until it ends or ``time()`` is ``until``."""
    with database.reading() as tx:
        walk = records.walk(tx, name, bucket.id)
        changed = records.configured_at(tx, bucket.id, kind)
    if walk is None or walk.ended_at is not None or (changed is not None and changed >= walk.began_at):
        if not is_due(walk, changed, clock.now()):
            return
        walk = Walk(name, bucket.id, clock.now(), None, {})
    while walk.ended_at is None and time() < until:
        state = piece(dict(walk.state))
        walk = replace(walk, ended_at=clock.now()) if state is None else replace(walk, state=state)
        database.run(partial(_keep, walk), durable=False)


def _keep(walk: Walk, tx: Tx) -> None:
    records.keep_walk(tx, walk)
