"""The runner: claims jobs that are due, does one step, commits where it leads.

A claim writes the time of the next try in advance, with back-off: a worker that dies needs nobody to notice, the job is simply due again.
The commit after a step is fenced by the lease that the claim wrote; a worker that was too slow finds it gone and its step without effect.

Neither claims nor steps are synced to the disk by themselves: a power cut may undo the latest of them, in order, and then they are done
again. What an API call answered is synced, and with it all that came before.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mallee.store import Clock, Database, StoreUnavailable, Tx

from . import faults
from .jobs import TOPIC, deadline_of, read_job
from .machine import ACT, RECORD_LEASE, Done, Fail, Go, Idle, Job, Machine, Outcome, Wait
from .records import DUE, DUE_UNLOCKED, JOB, JOBS, LEASED, LOCKED_JOB, NEXT_DUE, SIGNALS, SIGNALS_OF

log = logging.getLogger(__name__)

Crash = Callable[[str], None]

LONGEST_PAUSE = 60.0
LONGEST_WAIT = 30.0
RETRY_CLAIM = 0.25
"""Seconds until the next look when a job is due that could not be claimed: another worker is at it."""
BATCH = 16
FAILING = 5
"""So many tries of a step that all raised are a fault."""

_TAKE = sa.delete(SIGNALS).where(SIGNALS.c.job_id == sa.bindparam("job"), SIGNALS.c.name == sa.bindparam("signal"))
_SIGNALS_OF_DONE = sa.delete(SIGNALS).where(SIGNALS.c.job_id == sa.bindparam("job"))


def back_off(tries: int) -> float:
    """Seconds before the next try after so many that failed: 0.5, 1, 2, … 60."""
    return float(min(0.5 * 2 ** min(max(tries - 1, 0), 20), LONGEST_PAUSE))


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is this worker's until its lease is over."""

    job_id: str
    lease: str
    is_act: bool


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
            with contextlib.suppress(StoreUnavailable):
                self.free_leases()
        for number in range(self._workers):
            thread = threading.Thread(target=self._work, name=f"jobs-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Returns when the steps under way are committed."""
        self._stopped.set()
        self.database.nudge(TOPIC)
        for thread in self._threads:
            thread.join()

    def free_leases(self) -> None:
        """On SQLite one cloud process runs at a time: whoever held a lease is dead. A job that was tried before keeps its back-off: it
        may be what killed the process."""
        with self.database.transaction(durable=False) as tx:
            for row in tx.all(LEASED):
                pause = back_off(row.tries) if row.tries > 1 else 0.0
                tx.change(JOBS, row.id, lease=None, due=tx.now + timedelta(seconds=pause))

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
        if self._stopped.is_set():
            return 0.0
        with self.database.reading() as tx:
            due = tx.value(NEXT_DUE)
        if due is None:
            return LONGEST_WAIT
        left = (due - self.clock.now()).total_seconds()
        return float(min(left, LONGEST_WAIT)) if left > 0 else RETRY_CLAIM

    def _run_batch(self) -> bool:
        claims = self._claim(BATCH)
        for claim in claims:
            if self._stopped.is_set():
                return True  # what was claimed is due again when its lease is over
            self._run(claim)
        return bool(claims)

    # -------------------------------------------------------------------------------------------------------------- tests

    def run_once(self) -> bool:
        """One step of one job that is due; False when none is."""
        claims = self._claim(1)
        for claim in claims:
            self._run(claim)
        return bool(claims)

    def run_until_idle(self, most: int = 100_000) -> int:
        """Steps until no job is due at the present time of the clock; returns how many."""
        for count in range(most):
            if not self.run_once():
                return count
        raise RuntimeError(f"the jobs do not come to rest in {most} steps")

    # -------------------------------------------------------------------------------------------------------------- claims

    def _claim(self, most: int) -> list[Claim]:
        machines = list(self.machines)
        with self.database.reading() as tx:
            if not tx.all(DUE, now=tx.now, machines=machines, most=1):
                return []
        claims: list[Claim] = self.database.run(
            lambda tx: self._take(tx, tx.all(DUE_UNLOCKED, now=tx.now, machines=machines, most=most)),
            durable=False,
            serializable=False,
        )
        self.crash("after claim")
        return claims

    def _take(self, tx: Tx, rows: list[sa.Row[Any]]) -> list[Claim]:
        """Leases for as many of the rows as one worker may hold: record steps, which are short, or one act, which need not be."""
        lease = secrets.token_hex(8)
        claims: list[Claim] = []
        for row in rows:
            step = self.machines[row.machine].steps.get(row.step)
            is_act = step is not None and step.kind == ACT
            if is_act and claims:
                break
            seconds = (step.lease if step is not None else RECORD_LEASE) + back_off(row.tries + 1)
            tx.change(JOBS, row.id, lease=lease, tries=row.tries + 1, due=tx.now + timedelta(seconds=seconds))
            claims.append(Claim(row.id, lease, is_act))
            if is_act:
                break
        return claims

    # ----------------------------------------------------------------------------------------------------------- one step

    def _run(self, claim: Claim) -> None:
        try:
            if not (claim.is_act and self._act(claim)):
                self.database.run(lambda tx: self._record(tx, claim), durable=False)
        except StoreUnavailable:
            raise
        except Exception as error:
            log.exception("a step of %s failed", claim.job_id)
            summary = "".join(traceback.format_exception_only(error)).strip()
            self.database.run(lambda tx: self._failed(tx, claim, summary), durable=False)
        self.crash("after commit")

    def _load(self, tx: Tx, claim: Claim, statement: Any) -> tuple[Job, int] | None:
        """The job and how often it was woken; None when the lease is lost."""
        row = tx.first(statement, id=claim.job_id)
        if row is None or row.lease != claim.lease:
            return None
        return read_job(row, frozenset(each.name for each in tx.all(SIGNALS_OF, id=claim.job_id))), row.wakes

    def _act(self, claim: Claim) -> bool:
        """Does the act, unless something interrupts it; says whether that was all."""
        with self.database.reading() as tx:
            found = self._load(tx, claim, JOB)
        if found is None:
            return True
        job, wakes = found
        machine = self.machines[job.machine]
        if _interrupt(machine, job) is not None:
            return False
        self.crash(f"before {job.step}")
        outcome = machine.steps[job.step].function(machine, self.world, job)
        self.crash(f"after act {job.step}")
        self.database.run(lambda tx: self._acted(tx, claim, wakes, outcome, job.taken), durable=False)
        return True

    def _acted(self, tx: Tx, claim: Claim, wakes: int, outcome: Outcome, taken: set[str]) -> None:
        found = self._load(tx, claim, LOCKED_JOB)
        if found is None:
            return
        job, now = found
        job.taken = taken
        machine = self.machines[job.machine]
        interrupt = _interrupt(machine, job)
        if interrupt is not None and isinstance(outcome, (Done, Idle, Wait)):
            outcome = Go(interrupt)  # it came while the act was under way: a life that would have ended has to be torn down
        self._settle(tx, machine, job, outcome, wakes != now)
        self.crash(f"before commit {job.step}")

    def _record(self, tx: Tx, claim: Claim) -> None:
        found = self._load(tx, claim, LOCKED_JOB)
        if found is None:
            return
        job, _ = found
        machine = self.machines[job.machine]
        interrupt = _interrupt(machine, job)
        outcome: Outcome
        if interrupt is not None:
            outcome = Go(interrupt)
        else:
            self.crash(f"before {job.step}")
            outcome = _step(machine, job.step).function(machine, tx, job)
        self._settle(tx, machine, job, outcome, False)
        self.crash(f"before commit {job.step}")

    def _settle(
        self, tx: Tx, machine: Machine, job: Job, outcome: Outcome, woken: bool, late: dict[str, Any] | None = None
    ) -> None:
        """Moves the job to where the outcome leads. ``woken``: whether somebody woke it after the step had looked. ``late``: what the
        machine's answer to a missed deadline has changed already."""
        for name in job.taken:
            tx.execute(_TAKE, job=job.id, signal=name)
        change: dict[str, Any] = {"lease": None, "tries": 0, "error": None, **(late or {})}
        if late is None and isinstance(outcome, (Idle, Wait)) and _late(job, tx.now):
            outcome = self._overdue(tx, machine, job, change) or outcome
        if isinstance(outcome, Fail):
            reason = job.state.get("reason") or {"code": outcome.code, "message": outcome.message}
            outcome = Go(_teardown(machine, job), reason=reason)
        if isinstance(outcome, Go):
            self._go(tx, machine, job, outcome, change)
        elif isinstance(outcome, Done):
            change |= {"due": None, "deadline": None, "done_at": tx.now}
            tx.execute(_SIGNALS_OF_DONE, job=job.id)
        elif isinstance(outcome, (Idle, Wait)):
            change["due"] = tx.now if woken else _next_look(outcome, change.get("deadline", job.deadline), tx.now)
        else:
            raise TypeError(f"step {job.step} of {machine.name} returned {outcome!r}")
        if job.troubled:
            faults.clear(tx, "step-failing", job.id)
            if change.get("step", job.step) != job.step or isinstance(outcome, Done):
                faults.clear(tx, "step-overdue", job.id)
                change["troubled"] = False
        tx.change(JOBS, job.id, **change)

    @staticmethod
    def _go(tx: Tx, machine: Machine, job: Job, outcome: Go, change: dict[str, Any]) -> None:
        _step(machine, outcome.step)
        change |= {"step": outcome.step, "state": {**job.state, **outcome.state}, "due": tx.now}
        change["deadline"] = deadline_of(type(machine), outcome.step, tx.now)
        if outcome.step != job.step:
            change["entered_at"] = tx.now
        tx.nudge(TOPIC)

    @staticmethod
    def _overdue(tx: Tx, machine: Machine, job: Job, change: dict[str, Any]) -> Outcome | None:
        """Asks the machine what to do about a step that has missed its deadline, and gives the step another."""
        outcome = machine.overdue(tx, job)
        change["deadline"] = deadline_of(type(machine), job.step, tx.now)
        change["troubled"] = job.troubled = True
        return outcome

    def _failed(self, tx: Tx, claim: Claim, summary: str) -> None:
        """The step raised: it is tried again later, and its deadline holds all the same."""
        found = self._load(tx, claim, LOCKED_JOB)
        if found is None:
            return
        job, _ = found
        job.error = summary
        job.taken = set()
        machine = self.machines[job.machine]
        due = tx.now + timedelta(seconds=back_off(job.tries))
        change: dict[str, Any] = {"lease": None, "error": summary}
        if _late(job, tx.now) and job.step in machine.steps:
            outcome = self._overdue(tx, machine, job, change)
            if outcome is not None:
                self._settle(tx, machine, job, outcome, False, change)
                return
        if job.tries >= FAILING:
            faults.raise_(tx, "step-failing", job.id, step=job.step, machine=machine.name, error=summary, tries=job.tries)
            change["troubled"] = True
        deadline = change.get("deadline", job.deadline)
        tx.change(JOBS, job.id, due=min(due, deadline) if deadline else due, **change)


def _step(machine: Machine, name: str) -> Any:
    try:
        return machine.steps[name]
    except KeyError:
        raise LookupError(f"machine {machine.name} has no step {name!r}") from None


def _interrupt(machine: Machine, job: Job) -> str | None:
    """The step that an urgent signal leads to."""
    if job.step in machine.destroying:
        return None
    return next((step for name, step in machine.interrupts.items() if name in job.signals), None)


def _late(job: Job, now: datetime) -> bool:
    return job.deadline is not None and now >= job.deadline


def _teardown(machine: Machine, job: Job) -> str:
    if job.step in machine.destroying or not machine.interrupts:
        raise RuntimeError(f"step {job.step} of {machine.name} failed, but there is no teardown to go to")
    return next(iter(machine.interrupts.values()))


def _next_look(outcome: Idle | Wait, deadline: datetime | None, now: datetime) -> datetime | None:
    if isinstance(outcome, Idle):
        return deadline
    due = now + timedelta(seconds=outcome.seconds)
    return due if deadline is None else min(due, deadline)
