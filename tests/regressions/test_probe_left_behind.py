"""`up`, killed while it tried the kernel's features, left its throw-away namespace for ever; the next one takes it away."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mallee.cli import preflight

pytestmark = [pytest.mark.node, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]


def test_the_next_one_takes_it_away() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    dead, alive = f"mle-probe-{ended.pid}", f"mle-probe-{os.getppid()}"
    try:
        for name in (dead, alive):
            subprocess.run(["ip", "netns", "add", name], check=True)
        assert all(check.ok for check in preflight.kernel())
        assert not Path("/run/netns", dead).exists() and Path("/run/netns", alive).exists()
    finally:
        for name in (dead, alive):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
