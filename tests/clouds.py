"""A cloud of a test's own, made by the command that users type, in a temporary home, on ports that are free."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Cloud:
    """A cloud that is up. ``environment`` is what `mallee env` exports."""

    home: Path
    environment: dict[str, str]

    @property
    def endpoint(self) -> str:
        return self.environment["AWS_ENDPOINT_URL"]

    def command(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return mallee(self.home, *words, check=check)

    def pids(self) -> list[int]:
        """Of the supervisor and its children."""
        return [int(file.read_text().split()[0]) for file in sorted((self.home / "run").glob("*.pid"))]

    def client(self, service: str) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            region_name=self.environment["AWS_DEFAULT_REGION"],
            endpoint_url=self.endpoint,
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"max_attempts": 1}, proxies={}),
        )


def mallee(home: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(SOURCE / "mallee"), *words],
        env={**os.environ, "MALLEE_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"mallee {' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


PORTS = Path("/tmp/mallee-test-ports")
_reserved: list[int] = []  # descriptors that hold this process's reservations until it ends


def free_ports(count: int = 3) -> int:
    """The first of ``count`` consecutive ports that are free now and that no other test process, of whatever user, has been
    given: a lock on a file says so, which the kernel lets go of when the process ends."""
    PORTS.mkdir(exist_ok=True)
    with suppress(PermissionError):
        PORTS.chmod(0o777)
    for first in range(21000, 29000, count):
        locks: list[int] = []
        for port in range(first, first + count):
            lock = _lock(port)
            if lock is None:
                break
            locks.append(lock)
        if len(locks) == count and all(_is_free(port) for port in range(first, first + count)):
            _reserved.extend(locks)
            return first
        for lock in locks:
            os.close(lock)
    raise AssertionError("no free ports")


def _lock(port: int) -> int | None:
    try:
        descriptor = os.open(PORTS / str(port), os.O_RDONLY | os.O_CREAT, 0o644)
    except PermissionError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


@contextmanager
def cloud(home: Path, *options: str) -> Iterator[Cloud]:
    """`mallee up` with the options, `mallee down --destroy` afterwards."""
    try:
        mallee(home, "up", "--port", str(free_ports()), "--host", "127.0.0.1", *options)
        lines = mallee(home, "env").stdout
        yield Cloud(home, dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", lines, re.M)))
    finally:
        mallee(home, "down", "--destroy")


def first_instance(up: Cloud) -> str:
    return str(json.loads((up.home / "first.json").read_text())["InstanceId"])
