"""What a durable machine is made of: steps, outcomes, and the job that they are given.

A machine is a class, a step one of its methods. A step marked ``@record`` runs inside the one transaction that also moves the job, and
touches nothing but the database; one marked ``@act`` runs with no transaction open, touches the world, and must be idempotent: it is
done again whenever nobody can say whether it was done. What a step returns says where the job goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, TypeVar, overload

from mallee.store import Tx

from . import faults

Function = TypeVar("Function", bound=Callable[..., Any])

RECORD, ACT = "record", "act"


class Go:
    """On to another step (or the same one anew), with these values added to the job's state."""

    def __init__(self, step: str, /, **state: Any) -> None:
        self.step = step
        self.state = state


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after so many seconds, or when woken."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Idle:
    """Look again when signalled or woken, or when the step's deadline is over."""


@dataclass(frozen=True, slots=True)
class Done:
    """The life is over."""


@dataclass(frozen=True, slots=True)
class Fail:
    """It cannot go on: the machine tears down what it made and keeps ``state["reason"]`` for the user."""

    code: str
    message: str = ""


Outcome = Go | Wait | Idle | Done | Fail


@dataclass(slots=True)
class Job:
    """One life, as a step sees it. ``state`` changes only by ``Go(step, **changes)``."""

    id: str
    machine: str
    step: str
    state: Mapping[str, Any]
    tries: int
    error: str | None
    due: datetime | None
    started_at: datetime
    entered_at: datetime
    deadline: datetime | None
    done_at: datetime | None
    signals: frozenset[str] = frozenset()
    taken: set[str] = field(default_factory=set)

    def take(self, signal: str) -> bool:
        """Whether the signal is there; it is used up when this step commits."""
        if signal not in self.signals:
            return False
        self.taken.add(signal)
        return True


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    kind: str
    deadline: float | None
    function: Callable[..., Any]


def _mark(kind: str, deadline: float | None) -> Callable[[Function], Function]:
    def marked(function: Function) -> Function:
        function.__dict__["step"] = (kind, deadline)
        return function

    return marked


@overload
def record(function: Function) -> Function: ...
@overload
def record(*, deadline: float | None = None) -> Callable[[Function], Function]: ...
def record(function: Any = None, *, deadline: float | None = None) -> Any:
    """A step ``(self, tx, job) -> outcome`` inside the transaction that moves the job. ``deadline``: seconds in this step."""
    return _mark(RECORD, deadline)(function) if function is not None else _mark(RECORD, deadline)


@overload
def act(function: Function) -> Function: ...
@overload
def act(*, deadline: float | None = None) -> Callable[[Function], Function]: ...
def act(function: Any = None, *, deadline: float | None = None) -> Any:
    """A step ``(self, world, job) -> outcome`` with no transaction open, idempotent."""
    return _mark(ACT, deadline)(function) if function is not None else _mark(ACT, deadline)


class Machine:
    """A kind of life. Subclasses set ``name`` and ``first``; ``interrupts`` maps urgent signals to the step that answers them before
    any step that is not in ``destroying``. The first interrupt's step is also where ``Fail`` leads: the one path of teardown."""

    name: ClassVar[str] = ""
    first: ClassVar[str] = ""
    interrupts: ClassVar[Mapping[str, str]] = {}
    destroying: ClassVar[frozenset[str]] = frozenset()
    steps: ClassVar[Mapping[str, Step]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        found = {}
        for name in dir(cls):
            function = getattr(cls, name, None)
            mark = getattr(function, "step", None)
            if callable(function) and isinstance(mark, tuple):
                found[name] = Step(name, mark[0], mark[1], function)
        cls.steps = found
        if not cls.name:
            return
        for step in {cls.first, *cls.interrupts.values(), *cls.destroying}:
            if step not in found:
                raise TypeError(f"machine {cls.name} has no step {step!r}")
        KINDS[cls.name] = cls

    def overdue(self, tx: Tx, job: Job) -> Outcome:
        """What to do when a step has missed its deadline. Never silence: by default a fault, and the step goes on with a new deadline."""
        faults.raise_(tx, "step-overdue", job.id, step=job.step, machine=self.name, error=job.error or "")
        return Go(job.step)


KINDS: dict[str, type[Machine]] = {}
"""Every machine that was declared, by name."""
