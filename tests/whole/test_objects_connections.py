"""Ten thousand connections at once, at rest and slow in every way: whoever else comes is served, and nothing of them remains."""

from __future__ import annotations

import base64
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from mallee.settings import load
from tests import clouds
from tests.whole.objects import MIB, Client, cloud_pid, eventually, files_open, objects_cloud

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="another user's process is looked at as root"),
    pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 16_000, reason="a process may not open enough files"),
]

SECONDS = 4.0
DATA = os.urandom(10_000)


def group(count: int, head: bytes, *, first: int = 0, more: int = 0, reads: bool = True) -> dict[str, Any]:
    return {"count": count, "head": base64.b64encode(head).decode(), "first": first, "more": more, "reads": reads}


@contextmanager
def crowd(client: Client, *groups: dict[str, Any]) -> Iterator[Counter[str]]:
    """Those connections, in a process of their own. What they have seen is known at the end."""
    told = json.dumps({"host": client.host, "port": client.port, "groups": groups})
    command = [sys.executable, str(Path(__file__).with_name("crowd.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        seen: Counter[str] = Counter()
        try:
            process.stdin.write(told + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "ready\n"
            yield seen
            process.stdin.write("end\n")
            process.stdin.flush()
            seen.update(json.loads(process.stdout.readline()))
        finally:
            if process.poll() is None:
                process.stdin.close()
                process.kill()


def memory(up: clouds.Cloud) -> int:
    for line in Path(f"/proc/{cloud_pid(up)}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def metrics(up: clouds.Cloud) -> str:
    with urlopen(f"http://127.0.0.1:{load(up.home).metrics_port}/metrics", timeout=20) as answer:
        text: str = answer.read().decode()
    return text


def test_ten_thousand_connections() -> None:
    with objects_cloud("connections") as up:
        client = Client(up)
        client.ok("PUT", "/shared")
        client.ok("PUT", "/shared/large", body=os.urandom(8 * MIB))
        for _ in range(200):
            client.ok("PUT", "/shared/warm", body=DATA)
            client.ok("GET", "/shared/warm")
        pid = cloud_pid(up)
        open_before, memory_before = len(files_open(pid)), memory(up)
        resting = group(5000, b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        slow = [
            group(2500, client.head("PUT", "/shared/slow", length=MIB), first=100, more=1000),
            group(500, client.head("PUT", "/shared/cut", length=MIB), first=200_000, more=100),
            group(500, client.head("PUT", "/shared/small", length=50_000), first=100, more=100),
            group(1000, client.head("GET", "/shared/large"), reads=False),
            group(500, b"GET /shared/never HTTP/1.1\r\nhost: x\r\nx-slow: ", more=2),  # are cut after 10 s
        ]
        with crowd(client, resting) as rested:
            eventually(lambda: len(files_open(pid, "socket:")) >= 5000)
            print(f"{(memory(up) - memory_before) / 5000 / 1024:.1f} KiB for a connection at rest")
            memory_rested = memory(up)
            with crowd(client, *slow) as slowed:
                eventually(lambda: len(files_open(pid, "socket:")) >= 9900, 20)
                grown = memory(up) - memory_rested
                print(f"{grown / MIB:.0f} MiB for 5,000 slow ones")
                times = _served(up)
                assert client.ok("GET", "/shared", "prefix=s").tags("Key") == [], "half a body became an object"
                assert grown < 1500 * MIB
        print(f"{len(times)} requests, the slowest took {max(times):.2f} s", rested, slowed)
        assert len(times) > 50
        assert rested == {"200": 5000, "left": 5000}
        assert not any(status.startswith("5") for status in slowed)
        told = metrics(up)
        assert "mallee_internal_errors_total 0" in told
        assert 'status="5' not in told
        eventually(lambda: len(files_open(pid)) <= open_before + 20, 20)
        eventually(lambda: not list((up.home / "cloud" / "objects" / "t").iterdir()))
        assert client.ok("GET", "/shared", "list-type=2").tags("Key") == ["large", "warm"]


def _served(up: clouds.Cloud) -> list[float]:
    """What two others do meanwhile, and how long each of it took."""
    times: list[float] = []
    failed: list[BaseException] = []

    def work() -> None:
        client = Client(up)
        until = time.monotonic() + SECONDS
        try:
            while time.monotonic() < until:
                began = time.monotonic()
                client.ok("PUT", "/shared/warm", body=DATA)
                assert client.ok("GET", "/shared/warm").body == DATA
                times.append(time.monotonic() - began)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    return times
