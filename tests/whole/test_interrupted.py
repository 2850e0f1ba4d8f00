"""`mallee up`, killed at any moment, goes on where it was when it is run again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clouds import SOURCE, Cloud, first_instance, free_ports, mallee

pytestmark = [pytest.mark.node, pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")]

MOMENTS = (0.2, 0.5, 0.9, 1.5, 2.5, 4.0, 6.0, 8.0)  # seconds after its start, in turn


@pytest.fixture
def place() -> Iterator[Path]:
    base = Path(tempfile.mkdtemp(prefix="mallee-interrupted-"))
    base.chmod(0o755)
    yield base / "home"
    if (base / "home").exists():
        mallee(base / "home", "down", "--destroy")
    shutil.rmtree(base)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_up_goes_on_after_each_interruption(place: Path, number: signal.Signals) -> None:
    options = ["--port", str(free_ports()), "--host", "127.0.0.1", "--egress", "none"]
    command = [str(SOURCE / "mallee"), "up", *options]
    for moment in MOMENTS:
        started = subprocess.Popen(
            command, env={**os.environ, "MALLEE_HOME": str(place)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(moment)
        if started.poll() is None:
            started.send_signal(number)
        started.wait(60)
    mallee(place, "up", *options)
    up = Cloud(place, {})
    assert up.command("ssh", first_instance(up), "true").returncode == 0
    assert up.command("audit").returncode == 0
    instances = up.command("status").stdout
    assert "1 running" in instances and "terminated" not in instances
