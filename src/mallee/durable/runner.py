"""The runner: claims jobs that are due, does one step, commits where it leads.

A claim writes the time of the next try in advance, with back-off: a worker that dies needs nobody to notice, the job is simply due again.
The commit after a step is fenced by the lease that the claim wrote; a worker that was too slow finds it gone and its step without effect.

Neither claims nor steps are synced to the disk by themselves: a power cut may undo the latest of them, in order, and then they are done
again. What an API call answered is synced, and with it all that came before.
"""

from __future__ import annotations

import logging
import secrets
import threading
import traceback
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mallee.store import Clock, Database, StoreUnavailable, Tx

from .jobs import TOPIC, deadline_of, read_job
from .machine import ACT, Done, Fail, Go, Idle, Job, Machine, Outcome, Wait
from .records import DUE, DUE_UNLOCKED, JOB, JOBS, LOCKED_JOB, NEXT_DUE, SIGNALS, SIGNALS_OF

log = logging.getLogger(__name__)

Crash = Callable[[str], None]

LEASE = 15.0  # seconds until a job whose worker died is due again
ACT_LEASE = 120.0
LONGEST_PAUSE = 60.0
LONGEST_WAIT = 30.0
BATCH = 16

_TAKE = sa.delete(SIGNALS).where(SIGNALS.c.job_id == sa.bindparam("job"), SIGNALS.c.name == sa.bindparam("signal"))
_FREE = sa.update(JOBS).where(JOBS.c.lease.is_not(None), JOBS.c.done_at.is_(None))
_SIGNALS_OF_DONE = sa.delete(SIGNALS).where(SIGNALS.c.job_id == sa.bindparam("job"))


def back_off(tries: int) -> float:
    """Seconds before the next try after so many that failed: 0.5, 1, 2, … 60."""
    return float(min(0.5 * 2 ** min(max(tries - 1, 0), 20), LONGEST_PAUSE))


class Runner:
    """Walks the jobs of all ``machines``. ``world`` is handed to acts. ``crash`` is called with the name of each point at which a test
    may let the process die."""

    def __init__(
        self,
        database: Database,
        machines: Iterable[Machine],
        world: Any = None,
        clock: Clock | None = None,
        *,
        workers: int = 2,
        crash: Crash | None = None,
    ) -> None:
        self.database = database
        self.machines = {machine.name: machine for machine in machines}
        self.world = world
        self.clock = clock or database.clock
        self.crash: Crash = crash or (lambda where: None)
        self._workers = workers
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()

    # ------------------------------------------------------------------------------------------------------------ threads

    def start(self) -> None:
        if self.database.kind == "sqlite":
            self._free_leases()
        for number in range(self._workers):
            thread = threading.Thread(target=self._work, name=f"jobs-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Returns when the steps under way are committed."""
        self._stopped.set()
        for _ in self._threads:
            with self._quietly(), self.database.transaction(durable=False) as tx:
                tx.nudge(TOPIC)
        for thread in self._threads:
            thread.join()

    def _free_leases(self) -> None:
        """On SQLite one cloud process runs at a time: whoever held a lease is dead."""
        with self._quietly(), self.database.transaction(durable=False) as tx:
            tx.execute(_FREE.values(lease=None, due=tx.now))

    def _quietly(self) -> _Quietly:
        return _Quietly()

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                mark = self.database.mark(TOPIC)
                if not self._run_batch():
                    self.database.wait(TOPIC, self._until_next(), mark)
            except StoreUnavailable as trouble:
                log.warning("jobs wait for the database: %s", trouble)
                self._stopped.wait(1.0)
            except Exception:
                log.exception("a worker failed outside any step")
                self._stopped.wait(1.0)

    def _until_next(self) -> float:
        with self.database.reading() as tx:
            due = tx.value(NEXT_DUE)
        if due is None:
            return LONGEST_WAIT
        return float(min(max((due - self.clock.now()).total_seconds(), 0.0), LONGEST_WAIT))

    def _run_batch(self) -> bool:
        claimed = self._claim(BATCH)
        for job_id, lease in claimed:
            if self._stopped.is_set():
                return True  # what was claimed is due again when its lease is over
            self._run(job_id, lease)
        return bool(claimed)

    # -------------------------------------------------------------------------------------------------------------- tests

    def run_once(self) -> bool:
        """One step of one job that is due; False when none is."""
        claimed = self._claim(1)
        for job_id, lease in claimed:
            self._run(job_id, lease)
        return bool(claimed)

    def run_until_idle(self, most: int = 100_000) -> int:
        """Steps until no job is due at the present time of the clock; returns how many."""
        for count in range(most):
            if not self.run_once():
                return count
        raise RuntimeError(f"the jobs do not come to rest in {most} steps")

    # ----------------------------------------------------------------------------------------------------------- one step

    def _claim(self, most: int) -> list[tuple[str, str]]:
        with self.database.reading() as tx:
            if not tx.all(DUE, now=tx.now, most=1):
                return []
        lease = secrets.token_hex(8)

        def claim(tx: Tx) -> list[tuple[str, str]]:
            rows = tx.all(DUE_UNLOCKED, now=tx.now, most=most)
            for row in rows:
                again = tx.now + timedelta(seconds=LEASE + back_off(row.tries + 1))
                tx.change(JOBS, row.id, lease=lease, tries=row.tries + 1, due=again)
            return [(row.id, lease) for row in rows]

        claimed = self.database.run(claim, durable=False, serializable=False)
        self.crash("after claim")
        return claimed

    def _run(self, job_id: str, lease: str) -> None:
        try:
            if not self._act_first(job_id, lease):
                self.database.run(lambda tx: self._record(tx, job_id, lease), durable=False)
        except StoreUnavailable:
            raise
        except Exception as error:
            log.exception("a step of %s failed", job_id)
            summary = "".join(traceback.format_exception_only(error)).strip()
            self.database.run(lambda tx: self._failed(tx, job_id, lease, summary), durable=False)
        self.crash("after commit")

    def _act_first(self, job_id: str, lease: str) -> bool:
        """Does the step if it is an act that nothing interrupts; says whether it was."""
        with self.database.reading() as tx:
            found = self._load(tx, job_id, lease, JOB)
        if found is None:
            return True
        job, wakes = found
        machine = self.machines[job.machine]
        step = machine.steps[job.step]
        if step.kind != ACT or self._interrupt(machine, job) is not None:
            return False
        self._extend(job_id, lease)
        self.crash(f"before {job.step}")
        outcome = step.function(machine, self.world, job)
        self.crash(f"after act {job.step}")
        self.database.run(lambda tx: self._acted(tx, job_id, lease, wakes, outcome, job.taken), durable=False)
        return True

    def _extend(self, job_id: str, lease: str) -> None:
        def extend(tx: Tx) -> None:
            if self._load(tx, job_id, lease, LOCKED_JOB) is not None:
                tx.change(JOBS, job_id, due=tx.now + timedelta(seconds=ACT_LEASE))

        self.database.run(extend, durable=False)

    def _load(self, tx: Tx, job_id: str, lease: str, statement: Any) -> tuple[Job, int] | None:
        """The job and how often it was woken; None when the lease is lost."""
        row = tx.first(statement, id=job_id)
        if row is None or row.lease != lease:
            return None
        return read_job(row, frozenset(each.name for each in tx.all(SIGNALS_OF, id=job_id))), row.wakes

    def _record(self, tx: Tx, job_id: str, lease: str) -> None:
        found = self._load(tx, job_id, lease, LOCKED_JOB)
        if found is None:
            return
        job, wakes = found
        machine = self.machines[job.machine]
        interrupt = self._interrupt(machine, job)
        outcome: Outcome
        if interrupt is not None:
            outcome = Go(interrupt)
        else:
            self.crash(f"before {job.step}")
            outcome = machine.steps[job.step].function(machine, tx, job)
        self._settle(tx, machine, job, outcome, wakes, wakes)
        self.crash(f"before commit {job.step}")

    def _acted(self, tx: Tx, job_id: str, lease: str, wakes: int, outcome: Outcome, taken: set[str]) -> None:
        found = self._load(tx, job_id, lease, LOCKED_JOB)
        if found is None:
            return
        job, now = found
        job.taken = taken
        self._settle(tx, self.machines[job.machine], job, outcome, wakes, now)
        self.crash(f"before commit {job.step}")

    @staticmethod
    def _interrupt(machine: Machine, job: Job) -> str | None:
        """The step that an urgent signal leads to."""
        if job.step in machine.destroying:
            return None
        return next((step for name, step in machine.interrupts.items() if name in job.signals), None)

    def _settle(self, tx: Tx, machine: Machine, job: Job, outcome: Outcome, seen: int, wakes: int) -> None:
        """Moves the job to where the outcome leads. ``seen``: how often it had been woken when the step looked."""
        if isinstance(outcome, (Idle, Wait)) and job.deadline is not None and tx.now >= job.deadline:
            outcome = machine.overdue(tx, job)
        for name in job.taken:
            tx.execute(_TAKE, job=job.id, signal=name)
        if isinstance(outcome, Fail):
            reason = {"code": outcome.code, "message": outcome.message}
            outcome = Go(_teardown(machine, job), reason=reason)
        free: dict[str, Any] = {"lease": None, "tries": 0, "error": None}
        if isinstance(outcome, Go):
            if outcome.step not in machine.steps:
                raise LookupError(f"machine {machine.name} has no step {outcome.step!r}")
            free |= {"step": outcome.step, "state": {**job.state, **outcome.state}, "due": tx.now, "entered_at": tx.now}
            free["deadline"] = deadline_of(type(machine), outcome.step, tx.now)
            tx.nudge(TOPIC)
        elif isinstance(outcome, Done):
            free |= {"due": None, "deadline": None, "done_at": tx.now}
            tx.execute(_SIGNALS_OF_DONE, job=job.id)
        elif isinstance(outcome, (Idle, Wait)):
            free["due"] = tx.now if wakes != seen else _next_look(outcome, job, tx.now)
        else:
            raise TypeError(f"step {job.step} of {machine.name} returned {outcome!r}")
        tx.change(JOBS, job.id, **free)

    def _failed(self, tx: Tx, job_id: str, lease: str, summary: str) -> None:
        """The step raised: it is tried again later, and its deadline holds all the same."""
        found = self._load(tx, job_id, lease, LOCKED_JOB)
        if found is None:
            return
        job, _ = found
        job.error = summary
        if job.deadline is not None and tx.now >= job.deadline:
            machine = self.machines[job.machine]
            self._settle(tx, machine, job, machine.overdue(tx, job), 0, 0)
            tx.change(JOBS, job_id, error=summary)
            return
        again = tx.now + timedelta(seconds=back_off(job.tries))
        tx.change(JOBS, job_id, lease=None, error=summary, due=min(again, job.deadline) if job.deadline else again)


def _teardown(machine: Machine, job: Job) -> str:
    if job.step in machine.destroying or not machine.interrupts:
        raise RuntimeError(f"step {job.step} of {machine.name} failed, but there is no teardown to go to")
    return next(iter(machine.interrupts.values()))


def _next_look(outcome: Idle | Wait, job: Job, now: datetime) -> datetime | None:
    if isinstance(outcome, Idle):
        return job.deadline
    due = now + timedelta(seconds=outcome.seconds)
    return due if job.deadline is None else min(due, job.deadline)


class _Quietly:
    """A database that is away while a runner starts or stops is the workers' business."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        return isinstance(error, StoreUnavailable)
