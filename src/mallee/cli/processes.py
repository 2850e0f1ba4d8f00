"""Processes named by pid files: started detached, recognised again later, stopped by signal.

A pid file holds the pid and the process's start time, so that a pid that was given to somebody else since is never signalled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path


def started_at(pid: int) -> str | None:
    """The kernel's start time of the process in ticks, None when there is none (or only a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def write(file: Path, pid: int) -> None:
    temporary = file.with_suffix(".new")
    temporary.write_text(f"{pid} {started_at(pid)}\n")
    temporary.replace(file)


def read(file: Path) -> int | None:
    """The pid in the file when that very process still runs."""
    try:
        words = file.read_text().split()
    except OSError:
        return None
    if not words or not words[0].isdigit():
        return None
    pid = int(words[0])
    now = started_at(pid)
    if now is None or (len(words) > 1 and words[1] != now):
        return None
    return pid


def spawn(command: list[str], log: Path, environment: dict[str, str] | None = None) -> int:
    """Starts a process in a session of its own, its output appended to the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=environment
        ).pid


def stop(file: Path, seconds: float, kill: bool = True) -> bool:
    """Asks the process to end and waits; kills it when it does not. Says whether it ran at all."""
    pid = read(file)
    if pid is None:
        file.unlink(missing_ok=True)
        return False
    os.kill(pid, signal.SIGTERM)
    if not _gone(pid, seconds) and kill:
        os.kill(pid, signal.SIGKILL)
        _gone(pid, 5)
    file.unlink(missing_ok=True)
    return True


def _gone(pid: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while started_at(pid) is not None:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
