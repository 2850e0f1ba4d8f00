"""What `mallee up` shows while it works: a live list with times on a terminal, one plain line per finished step otherwise.

A step is a context manager; its time is kept for the summary. A step that changes nothing says so and is not a line of its own
on a terminal's summary. Everything goes to standard output, so that a log of `mallee up` is the record of what it did.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.status import Status


@dataclass(slots=True)
class Step:
    """One named piece of work; ``note`` says what it did, ``unchanged`` that there was nothing to do."""

    title: str
    note: str = ""
    unchanged: bool = False
    seconds: float = 0.0
    _status: Status | None = None

    def say(self, note: str) -> None:
        """Shows what the step is doing now; the last note stands in the finished line."""
        self.note = note
        if self._status is not None:
            self._status.update(f"{self.title}: {note}")


@dataclass(slots=True)
class Progress:
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        step = Step(title)
        started = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(title) as status:
                step._status = status
                yield step
                step._status = None
        else:
            yield step
        step.seconds = time.monotonic() - started
        self.steps.append(step)
        self._finished(step)

    def _finished(self, step: Step) -> None:
        mark = "=" if step.unchanged else "+"
        note = f": {step.note}" if step.note else ""
        self.console.print(f"[green]{mark}[/] {step.title}{note} [dim]({_time(step.seconds)})[/]")

    def line(self, text: str = "") -> None:
        self.console.print(text)

    def total(self) -> float:
        return sum(step.seconds for step in self.steps)


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
