"""kill -9 of each process while instances come and go: everything converges, nothing leaks, a running guest does not notice."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.clouds import Cloud, first_instance

pytestmark = pytest.mark.node


def pid_of(up: Cloud, name: str) -> int | None:
    if name == "libvirtd":
        return _libvirtd(up)
    try:
        return int((up.home / "run" / f"{name}.pid").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return None


def _libvirtd(up: Cloud) -> int | None:
    """The libvirtd of this cloud: the one whose run directory is in this home."""
    for file in (up.home / "node" / "libvirt").rglob("libvirtd.pid"):
        text = file.read_text().strip()
        if text.isdigit() and Path(f"/proc/{text}").exists():
            return int(text)
    return None


def kill(up: Cloud, name: str) -> bool:
    pid = pid_of(up, name)
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def retried(call: Any, **parameters: Any) -> Any:
    """The API may be away for the moment after a kill; what it answered must hold."""
    until = time.monotonic() + 60
    while True:
        try:
            return call(**parameters)
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def states(ec2: Any, ids: list[str]) -> dict[str, str]:
    found = retried(ec2.describe_instances, InstanceIds=ids)["Reservations"]
    return {each["InstanceId"]: each["State"]["Name"] for group in found for each in group["Instances"]}


def settle(ec2: Any, ids: list[str], state: str, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while set((now := states(ec2, ids)).values()) != {state}:
        assert time.monotonic() < until, now
        time.sleep(0.5)


@pytest.mark.parametrize("victim", ["cloud", "node", "libvirtd"])
def test_killed_during_launches_and_terminations(real: Cloud, victim: str) -> None:
    ec2 = real.client("ec2")
    first = first_instance(real)
    boot = real.command("ssh", first, "cat /proc/sys/kernel/random/boot_id").stdout
    image = retried(ec2.describe_images, Owners=["self"])["Images"]
    image_id = next(each["ImageId"] for each in image if each["ImageType"] == "machine")
    stop, kills = threading.Event(), []

    def murder() -> None:
        chance = random.Random(victim)
        while not stop.wait(chance.uniform(0.5, 2.5)) and len(kills) < 6:
            if kill(real, victim):
                kills.append(time.monotonic())

    killer = threading.Thread(target=murder)
    killer.start()
    try:
        ids = [
            retried(
                ec2.run_instances,
                ImageId=image_id,
                InstanceType="t2.nano",
                MinCount=1,
                MaxCount=1,
                ClientToken=f"{victim}-{number}-{time.time()}",
            )["Instances"][0]["InstanceId"]
            for number in range(3)
        ]
        settle(ec2, ids, "running")
        retried(ec2.terminate_instances, InstanceIds=ids)
        settle(ec2, ids, "terminated")
    finally:
        stop.set()
        killer.join()
    assert kills
    until = time.monotonic() + 60
    while (done := real.command("audit", check=False)).returncode and time.monotonic() < until:
        time.sleep(1)
    assert done.returncode == 0, done.stdout
    assert real.command("ssh", first, "cat /proc/sys/kernel/random/boot_id").stdout == boot
