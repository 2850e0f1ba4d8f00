"""What a guest may take of its host: one control group per guest, in whichever kind of hierarchy the machine has.

A guest gets processor time in proportion to its virtual CPUs and at most one core more than it has of them (for
QEMU's own threads). Its memory, with what QEMU needs beside, is where the kernel begins to reclaim; a guest is never
killed for it. Where there are no control groups, or they may not be written (a container), guests run without;
``kind`` says which.

All guests together weigh as much as each of them would by itself, so that a group of many does not lose against other
processes of the machine.

    version 2   /sys/fs/cgroup/mle-<tag>/<guest>
    version 1   /sys/fs/cgroup/{cpu,memory}/mle-<tag>/<guest>
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from pathlib import Path

from mallee.node.network.namespaces import checked_tag

log = logging.getLogger(__name__)

ROOT = Path("/sys/fs/cgroup")
OVERHEAD_MIB = 512  # QEMU itself, its translation cache, the page cache of the guest's disks
_PERIOD = 100_000


class Limits:
    def __init__(self, tag: str, root: Path = ROOT) -> None:
        self._group = f"mle-{checked_tag(tag)}"
        self._root = root
        self.kind = self._find_kind()

    def _find_kind(self) -> str:
        """v2, v1 or none."""
        if (self._root / "cgroup.controllers").exists():
            kind, parents = "v2", [self._root / self._group]
        elif (self._root / "cpu/cgroup.procs").exists() or (self._root / "memory/cgroup.procs").exists():
            kind, parents = (
                "v1",
                [self._root / name / self._group for name in ("cpu", "memory") if (self._root / name / "cgroup.procs").exists()],
            )
        else:
            return "none"
        try:
            for parent in parents:
                parent.mkdir(exist_ok=True)
            if kind == "v2":
                for place in (self._root, parents[0]):
                    (place / "cgroup.subtree_control").write_text("+cpu +memory")
        except OSError as error:
            log.info("guests run without limits: %s", error)
            return "none"
        return kind

    def _groups(self, guest_id: str) -> list[Path]:
        if self.kind == "v2":
            return [self._root / self._group / guest_id]
        if self.kind == "v1":
            parents = (self._root / name / self._group for name in ("cpu", "memory"))
            return [parent / guest_id for parent in parents if parent.is_dir()]
        return []

    def apply(self, guest_id: str, pid: int, vcpus: int, memory_mib: int) -> None:
        """Puts the process and all its threads under the guest's limits. What the machine refuses is left out."""
        memory = (memory_mib + OVERHEAD_MIB) << 20
        for group in self._groups(guest_id):
            values: dict[str, object] = {
                "cpu.weight": min(10_000, 100 * vcpus),
                "cpu.max": f"{_PERIOD * (vcpus + 1)} {_PERIOD}",
                "memory.high": memory,
                "cpu.shares": 1024 * vcpus,
                "cpu.cfs_period_us": _PERIOD,
                "cpu.cfs_quota_us": _PERIOD * (vcpus + 1),
                "memory.soft_limit_in_bytes": memory,
            }
            try:
                group.mkdir(exist_ok=True)
                for name, value in values.items():
                    if (group / name).exists():
                        (group / name).write_text(str(value))
                (group / "cgroup.procs").write_text(str(pid))
            except OSError as error:
                log.warning("limits of %s: %s", guest_id, error)
            _weigh(group.parent)

    def remove(self, guest_id: str) -> None:
        for group in self._groups(guest_id):
            _remove(group)
            _weigh(group.parent)

    def guests(self) -> list[str]:
        """Every guest that has a group."""
        found: set[str] = set()
        for group in self._groups("i-"):
            found.update(each.name for each in group.parent.iterdir() if each.is_dir())
        return sorted(found)

    def teardown(self) -> None:
        for guest_id in self.guests():
            self.remove(guest_id)
        for group in self._groups("i-"):
            _remove(group.parent)


def _weigh(parent: Path) -> None:
    for name, most in (("cpu.weight", 10_000), ("cpu.shares", 262_144)):
        weights = []
        for each in parent.glob(f"*/{name}"):
            with contextlib.suppress(OSError, ValueError):
                weights.append(int(each.read_text()))
        if weights:
            with contextlib.suppress(OSError):
                (parent / name).write_text(str(min(most, sum(weights))))


def _remove(group: Path) -> None:
    """A group can be removed when its last process is gone, which the kernel notices a moment after us."""
    for _ in range(50):
        try:
            group.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)
    log.warning("the control group %s could not be removed", group)


def group_of(pid: int) -> str:
    """Where the process is, for people."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/cgroup").read_text()
        match = re.search(r"(mle-[0-9a-f]{4}/\S+)", text)
        return match[1] if match else ""
    return ""
