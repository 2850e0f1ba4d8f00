"""The tables of the durable core. A job is one row; everything that must survive a ``kill -9`` stands in it."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, bindparam, func, select, text

from mallee.store import Flag, Integer, Json, Text, Timestamp, Tx, plain_table, resource_table

JOBS = plain_table(
    "jobs",
    Column("id", Text, primary_key=True),  # the id of the resource whose life it is
    Column("machine", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("state", Json, nullable=False),
    Column("due", Timestamp),  # when somebody shall look; None: when it is signalled or woken
    Column("lease", Text),  # who is at it now
    Column("wakes", Integer, nullable=False),  # how often it was woken: one that comes during a step is not lost
    Column("tries", Integer, nullable=False),  # at the present step, since it last went well
    Column("error", Text),  # what the last try raised
    Column("started_at", Timestamp, nullable=False),
    Column("entered_at", Timestamp, nullable=False),  # the present step
    Column("deadline", Timestamp),  # of the present step
    Column("troubled", Flag, nullable=False),  # whether a fault was raised about the present step
    Column("done_at", Timestamp),
)
Index("jobs_by_due", JOBS.c.due, sqlite_where=text("due IS NOT NULL"), postgresql_where=text("due IS NOT NULL"))
Index("jobs_by_end", JOBS.c.done_at, sqlite_where=text("done_at IS NOT NULL"), postgresql_where=text("done_at IS NOT NULL"))

SIGNALS = plain_table(
    "signals",
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("sent_at", Timestamp, nullable=False),
)

FAULTS = resource_table(
    "faults",
    Column("code", Text, primary_key=True),
    Column("subject", Text, primary_key=True),  # i-…, a node's id, or the cloud
    Column("cause", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("raised_at", Timestamp, nullable=False),
    owned=False,
)

RECONCILIATIONS = plain_table(
    "reconciliations",
    Column("name", Text, primary_key=True),
    Column("ran_at", Timestamp, nullable=False),
    Column("error", Text),  # what the last run raised
)

JOB = select(JOBS).where(JOBS.c.id == bindparam("id"))
LOCKED_JOB = JOB.with_for_update()
SIGNALS_OF = select(SIGNALS.c.name).where(SIGNALS.c.job_id == bindparam("id"))
DUE = (
    select(JOBS.c.id, JOBS.c.machine, JOBS.c.step, JOBS.c.tries)
    .where(
        JOBS.c.due.is_not(None),
        JOBS.c.due <= bindparam("now", type_=JOBS.c.due.type),
        JOBS.c.machine.in_(bindparam("machines", expanding=True)),
    )
    .order_by(JOBS.c.due)
    .limit(bindparam("most"))
)
DUE_UNLOCKED = DUE.with_for_update(skip_locked=True)
LEASED = select(JOBS.c.id, JOBS.c.tries).where(JOBS.c.lease.is_not(None), JOBS.c.done_at.is_(None))
NEXT_DUE = select(func.min(JOBS.c.due)).where(JOBS.c.due.is_not(None))
UNFINISHED = (
    select(JOBS.c.machine, JOBS.c.step, func.count().label("number"))
    .where(JOBS.c.done_at.is_(None))
    .group_by(JOBS.c.machine, JOBS.c.step)
    .order_by(JOBS.c.machine, JOBS.c.step)
)
ENDED_BEFORE = select(JOBS.c.id).where(JOBS.c.done_at < bindparam("before", type_=JOBS.c.done_at.type)).limit(500)


def unfinished(tx: Tx) -> list[tuple[str, str, int]]:
    """How many jobs stand in each step: ``(machine, step, count)``."""
    return [(row.machine, row.step, row.number) for row in tx.all(UNFINISHED)]
