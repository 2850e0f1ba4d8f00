"""Starting, signalling and waking jobs, in the caller's transaction: what happens to a job commits with what it is about, or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mallee.store import Tx

from .machine import KINDS, Job, Machine
from .records import JOB, JOBS, SIGNALS, SIGNALS_OF

TOPIC = "jobs"

_WAKE = (
    sa.update(JOBS)
    .where(JOBS.c.id == sa.bindparam("job_id"), JOBS.c.done_at.is_(None))
    .values(
        # while a worker is at it, the job stays that worker's: it sees the count when it is through, and looks again
        due=sa.case((JOBS.c.lease.is_(None), sa.bindparam("now", type_=JOBS.c.due.type)), else_=JOBS.c.due),
        wakes=JOBS.c.wakes + 1,
    )
)


def start(tx: Tx, machine: str, resource_id: str, /, **state: Any) -> None:
    """Begins the life of a resource at its machine's first step."""
    start_many(tx, machine, [resource_id], **state)


def start_many(tx: Tx, machine: str, resource_ids: Iterable[str], /, **state: Any) -> None:
    """``start`` for several resources, in one statement."""
    _insert(tx, machine, resource_ids, state, tx.now)
    tx.nudge(TOPIC)


def start_waiting(tx: Tx, machine: str, resource_ids: Iterable[str], /, **state: Any) -> None:
    """``start_many`` where the first step has nothing to do yet but to wait for the world: nobody looks before the job is
    woken or signalled, or the step's deadline is over."""
    _insert(tx, machine, resource_ids, state, deadline_of(KINDS[machine], KINDS[machine].first, tx.now))


def _insert(tx: Tx, machine: str, resource_ids: Iterable[str], state: dict[str, Any], due: datetime | None) -> None:
    kind = KINDS[machine]
    common = {
        "machine": machine,
        "step": kind.first,
        "state": state,
        "due": due,
        "lease": None,
        "wakes": 0,
        "tries": 0,
        "error": None,
        "started_at": tx.now,
        "entered_at": tx.now,
        "deadline": deadline_of(kind, kind.first, tx.now),
        "troubled": False,
        "done_at": None,
    }
    tx.everyone().insert_many(JOBS, [{"id": resource_id, **common} for resource_id in resource_ids])


def signal(tx: Tx, resource_id: str, name: str) -> None:
    """Says a word to the job. A signal that is there already stays as it is; one to a job that has ended or never was is nothing."""
    here = tx.everyone()
    if wake(here, resource_id):
        here.insert_if_free(SIGNALS, job_id=resource_id, name=name, sent_at=tx.now)


def wake(tx: Tx, resource_id: str) -> bool:
    """Lets the job look again now; says whether there is one."""
    woken = tx.everyone().execute(_WAKE, job_id=resource_id, now=tx.now) == 1
    if woken:
        tx.nudge(TOPIC)
    return woken


def job_of(tx: Tx, resource_id: str) -> Job | None:
    """The job of a resource, with its signals."""
    here = tx.everyone()
    row = here.first(JOB, id=resource_id)
    if row is None:
        return None
    return read_job(row, frozenset(each.name for each in here.all(SIGNALS_OF, id=resource_id)))


def read_job(row: sa.Row[Any], signals: frozenset[str]) -> Job:
    return Job(
        id=row.id,
        machine=row.machine,
        step=row.step,
        state=row.state,
        tries=row.tries,
        error=row.error,
        due=row.due,
        started_at=row.started_at,
        entered_at=row.entered_at,
        deadline=row.deadline,
        done_at=row.done_at,
        troubled=row.troubled,
        signals=signals,
    )


def deadline_of(kind: type[Machine], step: str, now: datetime) -> datetime | None:
    seconds = kind.steps[step].deadline
    return None if seconds is None else now + timedelta(seconds=seconds)
