"""What a cloud's own processes weigh and work: supervisor, cloud, node, libvirtd and the resolvers; the guests' QEMUs are not counted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mallee import settings

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    name: str
    pss: int  # bytes
    worked: float  # seconds of processor time since it began


def processes(home: Path) -> list[Process]:
    """Those that name the home, run from its pid files' children, or live in the cloud's network namespaces."""
    tag = settings.load(home).tag
    namespaces = {path.stat().st_ino for path in Path("/run/netns").glob(f"mle-{tag}-*")}
    marks = (str(home).encode(), f"/run/mallee/{tag}/".encode())
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            if b"qemu-system" in command or not command:
                continue
            if (entry / "ns/net").stat().st_ino in namespaces or any(mark in command for mark in marks):
                found.append(_look(entry, command))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def _look(entry: Path, command: bytes) -> Process:
    rollup = (entry / "smaps_rollup").read_text()
    pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
    fields = (entry / "stat").read_text().rpartition(")")[2].split()
    words = command.decode(errors="replace").split("\0")
    name = words[words.index("-m") + 1] if "-m" in words else os.path.basename(words[0])
    return Process(int(entry.name), name, pss, (int(fields[11]) + int(fields[12])) / _TICKS)
