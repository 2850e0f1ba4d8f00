"""The crash harness: every durable machine, at every point at which its process can die.

A *scenario* sets a machine's stage: the rows and the job, a world that reacts as nodes would, and a snapshot of all that the
machine is responsible for, in the database and in the world. The harness lives the same life again and again, and each time
something goes wrong at one more place:

* the process dies at a point: after a claim, before a step, after an act, before a commit, after one;
* every act is done twice;
* a step raises the first time;
* the life is torn down from each of its steps, and the process dies on the way.

However it went, the snapshot must be the one of the undisturbed life. What the harness finds is told with the trace of points
that led there, so that it can be lived again: ``lives(scenario, …)(Trouble(crash=7))``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from mallee.durable import Job, Machine, Runner, faults, signal
from mallee.durable.machine import ACT, Step
from mallee.durable.records import JOBS
from mallee.store import Database, ManualClock, Tx, metadata
from mallee.store.scope import OwnInsert

POINTS_OF_A_STEP = 5
ROUNDS = 2000
"""A life that has not come to rest after so many turns never will."""


class Stage(Protocol):
    """One life, on one database. Made anew for each."""

    world: Any
    """Handed to acts."""

    def begin(self, tx: Tx) -> str:
        """Creates the rows and starts the job, as an API call would; returns the job's id."""

    def react(self) -> bool:
        """One step of the environment: a node that reads what it shall do, does it and reports. Whether anything changed."""

    def settled(self, tx: Tx) -> Any:
        """All that the machine is responsible for, here and in the world, without what differs from life to life (times, random
        names). Two lives are the same when this is equal."""


@dataclass(frozen=True)
class Scenario:
    """How a machine is put to the test.

    ``prepare`` writes what all lives find in the database (accounts, nodes; it has a folder for files) and returns what makes a stage.
    ``teardown`` are the signals that may come at any moment; by default the machine's interrupts.
    """

    machine: type[Machine]
    prepare: Callable[[Path, Database, ManualClock], Callable[[], Stage]]
    name: str = ""
    teardown: tuple[str, ...] | None = None

    @property
    def signals(self) -> tuple[str, ...]:
        return tuple(self.machine.interrupts) if self.teardown is None else self.teardown

    def __str__(self) -> str:
        return self.name or self.machine.name


@dataclass(frozen=True)
class Trouble:
    """What goes wrong in one life. Points, steps and acts are counted from 0."""

    crash: int | None = None
    """The process dies at this point."""
    fail: int | None = None
    """This execution of a step raises: a record step when it is through, an act before it begins."""
    twice: bool = False
    """Every act is done twice in a row."""
    signal: str | None = None
    """Is sent ..."""
    at_step: int = 0
    """... before this execution of a step ..."""
    within: bool = False
    """... or, if that is an act, while it is under way."""

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in vars(self).items() if value not in (None, False)) or "none"


@dataclass
class Life:
    """How one life went."""

    snapshot: Any
    points: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    signalled_after: int = 0
    """How many points had passed when the signal was sent."""


class CrashError(BaseException):
    """The process is dead. Not an Exception: nothing of the process may catch it."""


class Broken(AssertionError):
    """The machine, or the harness's idea of it, is broken; the message says by which trouble."""


Lives = Callable[[Trouble], Life]


class _Staged:
    """A process, over and over: a runner whose machine and points are watched."""

    def __init__(self, scenario: Scenario, stage: Stage, trouble: Trouble, database: Database, clock: ManualClock) -> None:
        self.trouble = trouble
        self.database = database
        self.clock = clock
        self.life = Life(None)
        self.sent = trouble.signal is None
        self.scenario = scenario
        self.stage = stage
        self.boot()
        with database.transaction() as tx:
            self.job_id = self.stage.begin(tx)

    def boot(self) -> None:
        """A new process: whatever the last one had in memory is gone."""
        machine = self.scenario.machine()
        machine.steps = {name: replace(step, function=self._watched(step)) for name, step in machine.steps.items()}  # type: ignore[misc]
        self.runner = Runner(self.database, [machine], self.stage.world, self.clock, crash=self._point)

    def _point(self, where: str) -> None:
        number = len(self.life.points)
        self.life.points.append(where)
        if number == self.trouble.crash:
            raise CrashError(where)

    def _watched(self, step: Step) -> Callable[..., Any]:
        def run(machine: Machine, inside: Any, job: Job) -> Any:
            number = len(self.life.steps)
            self.life.steps.append(step.name)
            if step.kind == ACT:
                if number == self.trouble.fail:
                    raise RuntimeError(f"act {step.name} fails once")
                if self.trouble.twice:
                    step.function(machine, inside, replace(job, taken=set()))
                outcome = step.function(machine, inside, job)
                if self.trouble.within and number == self.trouble.at_step and not self.sent:
                    self.send()
                return outcome
            outcome = step.function(machine, inside, job)
            if number == self.trouble.fail:
                raise RuntimeError(f"step {step.name} fails once")
            return outcome

        return run

    def signal_is_due(self) -> bool:
        at = self.trouble.at_step + (1 if self.trouble.within else 0)
        return not self.sent and len(self.life.steps) >= at

    def send(self) -> None:
        assert self.trouble.signal is not None
        self.sent = True
        self.life.signalled_after = len(self.life.points)
        with self.database.transaction() as tx:
            signal(tx, self.job_id, self.trouble.signal)


def live(scenario: Scenario, stage: Stage, database: Database, clock: ManualClock, trouble: Trouble) -> Life:
    """One life, to its rest. Raises Broken if it does not come to rest."""
    staged = _Staged(scenario, stage, trouble, database, clock)
    for _ in range(ROUNDS):
        if staged.signal_is_due():
            staged.send()
        if _step(staged) or staged.stage.react():
            continue
        if _pending(database, clock):
            continue
        if not staged.sent:  # it came to rest before so many steps: the signal finds it there
            staged.send()
            continue
        with database.reading() as tx:
            staged.life.snapshot = staged.stage.settled(tx)
            left = [fault.code for fault in faults.open_(tx, staged.job_id) if fault.code in ("step-overdue", "step-failing")]
        if left:
            raise Broken(f"{scenario}: at rest, but faults stand: {left} ({trouble})")
        return staged.life
    raise Broken(f"{scenario}: does not come to rest ({trouble}); it went {' · '.join(staged.life.points[-40:])}")


def _step(staged: _Staged) -> bool:
    try:
        return staged.runner.run_once()
    except CrashError:
        staged.boot()
        return True


def _pending(database: Database, clock: ManualClock) -> bool:
    """Lets the time of a lease or of a back-off pass. A machine that merely waits is at rest: its time is the scenario's business."""
    with database.reading() as tx:
        row = tx.first(
            sa.select(JOBS.c.due)
            .where(JOBS.c.done_at.is_(None), JOBS.c.due.is_not(None), sa.or_(JOBS.c.lease.is_not(None), JOBS.c.tries > 0))
            .order_by(JOBS.c.due)
        )
    if row is None:
        return False
    clock.set(max(row.due, clock.now() + timedelta(milliseconds=1)))
    return True


class Ground:
    """What is in the database before a life begins. Putting it back costs less than a new database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.reading() as tx:
            self._rows = {table: [dict(row._mapping) for row in tx.all(sa.select(table))] for table in metadata.sorted_tables}

    def restore(self) -> None:
        with self._database.transaction(durable=False) as tx:
            session = tx._work.session
            for table in reversed(metadata.sorted_tables):
                session.command(f'DELETE FROM "{table.name}"')
            for table, rows in self._rows.items():
                if rows:
                    session.plain.execute(OwnInsert(table), rows)


def lives(scenario: Scenario, home: Path, database: Database, clock: ManualClock) -> Lives:
    """Lives of the scenario, each from the same beginning."""
    stage = scenario.prepare(home, database, clock)
    ground, start = Ground(database), clock.now()

    def live_(trouble: Trouble) -> Life:
        ground.restore()
        clock.set(start)
        return live(scenario, stage(), database, clock, trouble)

    return live_


# ------------------------------------------------------------------------------------------------------- all the lives


def prove(scenario: Scenario, live_: Lives, *, every: int = 1) -> int:
    """Lives all the lives; returns how many. ``every``: only each n-th of them, for engines that are slow. Raises Broken."""
    tried = _Tried(scenario, live_)
    plain = tried.life(Trouble())
    for number, trouble in enumerate(_troubles(plain, tried.acts)):
        if number % every == 0:
            tried.same(trouble, plain.snapshot)
    for name in scenario.signals:
        _prove_teardown(tried, name, plain, every)
    return tried.count


def _troubles(plain: Life, acts: bool) -> Iterator[Trouble]:
    if acts:
        yield Trouble(twice=True)
    yield from (Trouble(crash=point) for point in range(len(plain.points)))
    yield from (Trouble(fail=step) for step in range(len(plain.steps)))
    if acts:
        yield from (Trouble(crash=point, twice=True) for point in range(len(plain.points)))


def _prove_teardown(tried: _Tried, name: str, plain: Life, every: int) -> None:
    """A life that is torn down ends as one that was torn down before its first step; or, if it was over already, as if nobody had
    said anything."""
    nothing = tried.life(Trouble(signal=name, at_step=0)).snapshot
    for at in range(len(plain.steps) + 1):
        base = Trouble(signal=name, at_step=at)
        torn = tried.life(base)
        wanted = plain.snapshot if _was_over(torn, plain) else nothing
        tried.check(base, torn.snapshot, wanted)
        # from the step before the signal on: it may be done and not committed when the signal comes
        first = max(torn.signalled_after - POINTS_OF_A_STEP, 0)
        disturbed = [replace(base, crash=point) for point in range(first, len(torn.points))]
        disturbed += [replace(base, fail=step) for step in range(at, len(torn.steps))]
        if tried.acts:
            disturbed += [replace(base, twice=True), replace(base, within=True), replace(base, within=True, twice=True)]
        for number, trouble in enumerate(disturbed):
            if (number + at) % every == 0:
                tried.same(trouble, wanted)


def _was_over(torn: Life, plain: Life) -> bool:
    return torn.signalled_after >= len(plain.points) and len(torn.points) == len(plain.points)


class _Tried:
    def __init__(self, scenario: Scenario, live_: Lives) -> None:
        self.scenario = scenario
        self._live = live_
        self.count = 0
        self.acts = any(step.kind == ACT for step in scenario.machine.steps.values())

    def life(self, trouble: Trouble) -> Life:
        self.count += 1
        return self._live(trouble)

    def same(self, trouble: Trouble, wanted: Any) -> None:
        self.check(trouble, self.life(trouble).snapshot, wanted)

    def check(self, trouble: Trouble, snapshot: Any, wanted: Any) -> None:
        if snapshot != wanted:
            raise Broken(f"{self.scenario}: with {trouble} it ends as\n  {snapshot}\ninstead of\n  {wanted}")
