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
RECORD_LEASE = 15.0
"""Seconds until a job whose worker died within a record step is due again."""
ACT_LEASE = 120.0


class Go:
    """On to another step (or the same one anew), with these values added to the job's state."""

    def __init__(self, step: str, /, **state: Any) -> None:
        self.step = step
        self.state = state

    def __repr__(self) -> str:
        return f"Go({self.step!r}, **{self.state!r})"


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
    troubled: bool = False
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
    lease: float
    function: Callable[..., Any]


def _mark(kind: str, deadline: float | None, lease: float) -> Callable[[Function], Function]:
    def marked(function: Function) -> Function:
        function.__dict__["step"] = (kind, deadline, lease)
        return function

    return marked


@overload
def record(function: Function) -> Function: ...
@overload
def record(*, deadline: float | None = None) -> Callable[[Function], Function]: ...
def record(function: Any = None, *, deadline: float | None = None) -> Any:
    """A step ``(self, tx, job) -> outcome`` inside the transaction that moves the job. ``deadline``: seconds in this step."""
    mark = _mark(RECORD, deadline, RECORD_LEASE)
    return mark if function is None else mark(function)


@overload
def act(function: Function) -> Function: ...
@overload
def act(*, deadline: float | None = None, lease: float = ACT_LEASE) -> Callable[[Function], Function]: ...
def act(function: Any = None, *, deadline: float | None = None, lease: float = ACT_LEASE) -> Any:
    """A step ``(self, world, job) -> outcome`` with no transaction open, idempotent. ``lease``: longer than one call ever takes; when
    it is over, another worker does the step again, though the first may still be at it."""
    mark = _mark(ACT, deadline, lease)
    return mark if function is None else mark(function)


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
                kind, deadline, lease = mark
                found[name] = Step(name, kind, deadline, lease, function)
        cls.steps = found
        if not cls.name:
            return
        for step in {cls.first, *cls.interrupts.values(), *cls.destroying}:
            if step not in found:
                raise TypeError(f"machine {cls.name} has no step {step!r}")
        for signal, step in cls.interrupts.items():
            if step not in cls.destroying:
                raise TypeError(
                    f"machine {cls.name}: {signal} leads to {step}, which must be in destroying, or it would interrupt itself"
                )
        KINDS[cls.name] = cls

    def overdue(self, tx: Tx, job: Job) -> Outcome | None:
        """What to do when a step has missed its deadline: where to go, or None to go on waiting until the deadline is over once more.
        Never silence: by default it raises a fault, which is cleared when the job leaves the step, and goes on waiting."""
        faults.raise_(tx, "step-overdue", job.id, step=job.step, machine=self.name, error=job.error or "")
        return None


KINDS: dict[str, type[Machine]] = {}
"""Every machine that was declared, by name."""
