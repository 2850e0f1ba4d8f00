"""`mallee down`: stops the cloud; with ``--destroy`` leaves the machine as it was before `mallee up`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mallee.cli import home, processes
from mallee.cli.progress import Progress
from mallee.settings import Settings


def down(chosen: Settings, progress: Progress, *, keep_guests: bool, destroy: bool) -> None:
    """Processes first, then guests, then (destroying) networks and files. Each part may be done already."""
    if not chosen.simulated and os.geteuid() != 0:
        raise home.Sorry("this cloud has real guests: use sudo")
    with progress.step("stop the cloud and the node") as step:
        step.unchanged = not _stop_processes(chosen)
    if not chosen.simulated and not keep_guests:
        from mallee.node.teardown import teardown

        with progress.step("stop guests and take networks down") as step:
            teardown(chosen.home, files=destroy, say=step.say)
    if keep_guests:
        progress.line("  guests go on running; ./mallee up takes them over again")
    if destroy:
        with progress.step(f"remove {chosen.home}") as step:
            shutil.rmtree(chosen.home)


def _stop_processes(chosen: Settings) -> bool:
    ran = processes.stop(chosen.run / "supervisor.pid", seconds=45)
    # a supervisor that was killed leaves its children
    for name in ("node", "simulator", "cloud"):
        ran = processes.stop(chosen.run / f"{name}.pid", seconds=20) or ran
    return ran


def nothing_there(path: Path) -> bool:
    return not path.exists()
