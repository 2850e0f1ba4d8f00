"""The umask belongs to the whole process: set for a moment to bind a socket, it was inherited by libvirtd, which another thread started
just then, and the folders that it made could be entered by no guest."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mallee.fabric.sockets import private_listener

SOURCE = Path(__file__).parents[2] / "src" / "mallee"


def test_a_private_socket_needs_no_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(mask: int) -> int:
        raise AssertionError("the umask is the whole process's")

    monkeypatch.setattr(os, "umask", touched)
    for _ in range(2):  # the second finds what the first left
        with private_listener(tmp_path / "run" / "a.sock", 8):
            assert stat.S_IMODE((tmp_path / "run" / "a.sock").stat().st_mode) == 0o600


def test_nobody_changes_the_umask_while_threads_run() -> None:
    """Only the cloud's start does, before it has any."""
    users = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if "os.umask(" in path.read_text()}
    assert users == {"cloud.py"}
