"""Keeps a machine's Mallee processes running: starts them, starts one again that ended, and ends them in order when asked.

It holds no state that matters: killed, it leaves its children running, and the next one adopts them by their pid files. A child
that keeps ending is started again with growing pauses (0.2 s to 10 s), so that a fault that passes heals by itself. Only the
standard library is imported: this process is there for good and should weigh next to nothing.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import selectors
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mallee.cli import processes

FIRST_PAUSE, LONGEST_PAUSE, STEADY = 0.2, 10.0, 30.0
PATIENCE = 20.0  # seconds that a child may take to end


@dataclass(slots=True)
class Child:
    """One process that shall run. ``watch`` is a pidfd of the present one."""

    name: str
    command: list[str]
    pause: float = FIRST_PAUSE
    since: float = 0.0
    due: float = 0.0
    watch: int | None = None


class Supervisor:
    def __init__(self, home: Path, children: list[Child]) -> None:
        self.home, self.children = home, children
        self.selector = selectors.DefaultSelector()
        self.asked, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self.selector.register(self.asked, selectors.EVENT_READ, None)
        self.ending = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        signal.set_wakeup_fd(self._wake)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda number, frame: None)
        while not self.ending:
            for child in self.children:
                self._keep(child)
            for key, _ in self.selector.select(self._until_next()):
                if key.data is None:
                    self._signalled(os.read(self.asked, 64))
                else:
                    self._ended(key.data)
        self._end()

    def _pid_file(self, child: Child) -> Path:
        return self.home / "run" / f"{child.name}.pid"

    def _keep(self, child: Child) -> None:
        if child.watch is not None or time.monotonic() < child.due:
            return
        pid = processes.read(self._pid_file(child))
        if pid is None:
            log = self.home / "log" / f"{child.name}.out"
            _shorten(log)
            pid = processes.spawn(child.command, log, {**os.environ, "MALLEE_SUPERVISED": "1"})
            processes.write(self._pid_file(child), pid)
            _say(f"{child.name} started, pid {pid}")
        child.since = time.monotonic()
        try:
            child.watch = os.pidfd_open(pid)
        except ProcessLookupError:
            self._later(child)
            return
        self.selector.register(child.watch, selectors.EVENT_READ, child)

    def _ended(self, child: Child) -> None:
        assert child.watch is not None
        self.selector.unregister(child.watch)
        os.close(child.watch)
        child.watch = None
        _reap()
        _say(f"{child.name} ended; starting it again in {child.pause:.1f} s")
        self._later(child)

    def _later(self, child: Child) -> None:
        if time.monotonic() - child.since > STEADY:
            child.pause = FIRST_PAUSE
        child.due = time.monotonic() + child.pause
        child.pause = min(child.pause * 2, LONGEST_PAUSE)

    def _until_next(self) -> float | None:
        waiting = [child.due for child in self.children if child.watch is None]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _signalled(self, numbers: bytes) -> None:
        if set(numbers) & {signal.SIGTERM, signal.SIGINT}:
            self.ending = True

    def _end(self) -> None:
        # Last started, first ended: the node reports to a cloud that is still there.
        for child in reversed(self.children):
            processes.stop(self._pid_file(child), seconds=PATIENCE)
            _say(f"{child.name} stopped")


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _shorten(log: Path, limit: int = 4 << 20) -> None:
    """Raw output is kept for the unexpected only; the processes rotate their own logs."""
    try:
        if log.stat().st_size > limit:
            log.replace(log.with_suffix(".out.1"))
    except OSError:
        pass


def _say(text: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="mallee-supervisor")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--child", action="append", default=[], metavar="NAME=COMMAND", help="words separated by tabs")
    arguments = parser.parse_args()
    lock = (arguments.home / "run" / "supervisor.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("another supervisor already keeps this cloud")
    children = []
    for each in arguments.child:
        name, _, command = each.partition("=")
        children.append(Child(name, command.split("\t")))
    processes.write(arguments.home / "run" / "supervisor.pid", os.getpid())
    Supervisor(arguments.home, children).run()
    (arguments.home / "run" / "supervisor.pid").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
