"""What is still to be done about a version: rows that are written in the transaction that causes them, so that nothing is forgotten.

The tasks of a kind that are about one key are done in the order in which they came: one that is put off holds those behind it, and nobody else.
Whoever does a task removes it in the transaction that makes its result true, or, where the result is elsewhere, after it: then it may be done twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam, func, select

from mallee.store import Bytes, Integer, Json, Text, Timestamp, Tx, read_all

from .tables import TASKS

WAKE = "mallee.objects.index.tasks"
"""Under which ``Tx.memory`` has a function to be called with the kind after a commit that added a task."""

_ID = TASKS.c.id == bindparam("this", type_=Integer())
_INSERT = sa.insert(TASKS)
_REMOVE = sa.delete(TASKS).where(_ID)
_PUT_OFF = (
    sa.update(TASKS)
    .where(_ID)
    .values(
        due=bindparam("new_due", type_=Timestamp()), tries=bindparam("new_tries", type_=Integer()),
        detail=bindparam("new_detail", type_=Json()),
    )
)  # fmt: skip
_HOLD = (
    sa.update(TASKS)
    .where(_ID, TASKS.c.due == bindparam("known", type_=Timestamp()))
    .values(due=bindparam("new_due", type_=Timestamp()))
)
_BY_ID = select(TASKS).where(_ID)
_earlier = TASKS.alias()
_DUE = (
    select(TASKS)
    .where(TASKS.c.kind == bindparam("kind", type_=Text()), TASKS.c.due <= bindparam("now", type_=Timestamp()))
    .where(
        ~select(_earlier.c.id)
        .where(
            _earlier.c.kind == TASKS.c.kind,
            _earlier.c.bucket_id == TASKS.c.bucket_id,
            _earlier.c.key == TASKS.c.key,
            _earlier.c.id < TASKS.c.id,
        )
        .exists()
    )
    .order_by(TASKS.c.due, TASKS.c.id)
    .limit(bindparam("limit", type_=Integer()))
)
_BEHIND = (
    select(func.count())
    .select_from(TASKS)
    .where(
        TASKS.c.kind.in_(bindparam("kinds", expanding=True)),
        TASKS.c.bucket_id == bindparam("bucket_id", type_=Text()),
        TASKS.c.key == bindparam("key", type_=Bytes()),
        TASKS.c.version_id == bindparam("version_id", type_=Text()),
        TASKS.c.id != bindparam("this", type_=Integer()),
    )
)
_COUNT = select(func.count()).select_from(TASKS).where(TASKS.c.kind == bindparam("kind", type_=Text()))


@dataclass(frozen=True, slots=True)
class Task:
    """``at``: when it came; ``due``: when it is to be tried (again); ``tries``: how often it has failed."""

    id: int
    kind: str
    bucket_id: str
    key: bytes
    version_id: str
    at: datetime
    due: datetime
    tries: int
    detail: dict[str, Any] = field(default_factory=dict)


def add(tx: Tx, kind: str, bucket_id: str, key: bytes, version_id: str, detail: dict[str, Any] | None = None) -> None:
    row = {
        "kind": kind, "bucket_id": bucket_id, "key": key, "version_id": version_id, "at": tx.now, "due": tx.now, "tries": 0,
        "detail": detail or {},
    }  # fmt: skip
    tx.execute_each(_INSERT, [row])
    wake = tx.memory.get(WAKE)
    if wake is not None:
        tx.after_commit(lambda: wake(kind))


def due(tx: Tx, kind: str, limit: int) -> list[Task]:
    """Those whose time has come, and before which nothing of their key is left; the longest due first."""
    return read_all(Task, tx.all(_DUE, kind=kind, now=tx.now, limit=limit))


def is_there(tx: Tx, task: Task) -> bool:
    """Whether nobody has done it meanwhile."""
    return tx.first(_BY_ID, this=task.id) is not None


def is_last(tx: Tx, task: Task, kinds: Sequence[str]) -> bool:
    """Whether nothing more of these kinds is to be done about its version."""
    at = {"bucket_id": task.bucket_id, "key": task.key, "version_id": task.version_id}
    found = tx.value(_BEHIND, **at, kinds=list(kinds), this=task.id)
    return not found


def done(tx: Tx, task: Task) -> bool:
    """False if somebody else has removed it."""
    return tx.execute(_REMOVE, this=task.id) > 0


def put_off(tx: Tx, task: Task, until: datetime, detail: dict[str, Any]) -> None:
    """It failed: once more, later."""
    tx.execute(_PUT_OFF, this=task.id, new_due=until, new_tries=task.tries + 1, new_detail=detail)


def claim(tx: Tx, task: Task, until: datetime) -> bool:
    """Somebody begins with it: nobody else looks at it before then. False if somebody else has been first."""
    return tx.execute(_HOLD, this=task.id, new_due=until, known=task.due) > 0


def release(tx: Tx, task: Task, until: datetime) -> None:
    """It was claimed so, and not begun."""
    tx.execute(_HOLD, this=task.id, new_due=task.due, known=until)


def waiting(tx: Tx, kind: str) -> int:
    return int(tx.value(_COUNT, kind=kind))
