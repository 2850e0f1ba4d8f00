"""`mallee prove loop`: the ten steps of a user's day, many times and several at a time, with what each step took.

Every loop works on resources of its own, named by the run, and takes them away again even when it fails. On a simulated cloud
there is no system to log in to: the ssh step is left out and the summary says so.
"""

from __future__ import annotations

import secrets
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from mallee.cli import first, home, ssh
from mallee.cli.client import client
from mallee.cli.progress import Progress
from mallee.settings import Settings

STEPS = (
    "create key pair",
    "find the image",
    "run",
    "wait for running",
    "authorize port 22",
    "find the address",
    "ssh and run a command",
    "terminate",
    "revoke",
    "delete key pair",
)


@dataclass(slots=True)
class Outcome:
    """One loop: seconds by step, and why it failed if it did."""

    times: dict[str, float] = field(default_factory=dict)
    failed: str = ""
    instance_id: str = ""


class Loop:
    """One walk through the ten steps."""

    def __init__(self, chosen: Settings, ec2: Any, name: str, group: str, folder: Path) -> None:
        self.chosen, self.ec2, self.name, self.group = chosen, ec2, name, group
        self.key = folder / f"{name}.pem"
        self.instance_id = self.image_id = self.address = ""

    def run(self) -> Outcome:
        outcome = Outcome()
        try:
            for step in STEPS:
                if step == "ssh and run a command" and self.chosen.simulated:
                    continue
                started = time.monotonic()
                try:
                    self._does(step)()
                except Exception as error:
                    outcome.failed = f"{step}: {error}"
                    return outcome
                outcome.times[step] = time.monotonic() - started
        finally:
            outcome.instance_id = self.instance_id
            self._clean()
        return outcome

    def _does(self, step: str) -> Callable[[], None]:
        return {
            "create key pair": self._create_key,
            "find the image": self._find_image,
            "run": self._run,
            "wait for running": self._wait,
            "authorize port 22": self._authorize,
            "find the address": self._find_address,
            "ssh and run a command": self._log_in,
            "terminate": self._terminate,
            "revoke": self._revoke,
            "delete key pair": self._delete_key,
        }[step]

    def _create_key(self) -> None:
        made = self.ec2.create_key_pair(KeyName=self.name, KeyType="ed25519")
        home.write_private(self.key, made["KeyMaterial"].encode())

    def _find_image(self) -> None:
        images = self.ec2.describe_images(Filters=[{"Name": "name", "Values": ["mallee-starter*"]}])["Images"]
        self.image_id = max(images, key=lambda image: image["CreationDate"])["ImageId"]

    def _run(self) -> None:
        answer = self.ec2.run_instances(
            ImageId=self.image_id,
            InstanceType=first.TYPE,
            MinCount=1,
            MaxCount=1,
            KeyName=self.name,
            SecurityGroupIds=[self.group],
            ClientToken=self.name,
        )
        self.instance_id = answer["Instances"][0]["InstanceId"]

    def _wait(self) -> None:
        self.ec2.get_waiter("instance_running").wait(
            InstanceIds=[self.instance_id], WaiterConfig={"Delay": 0.25, "MaxAttempts": 480}
        )

    def _authorize(self) -> None:
        self.ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=self._permission())

    def _permission(self) -> list[dict[str, Any]]:
        return [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]

    def _find_address(self) -> None:
        found = self.ec2.describe_instances(InstanceIds=[self.instance_id])["Reservations"][0]["Instances"][0]
        self.address = found["PublicIpAddress"]

    def _log_in(self) -> None:
        until = time.monotonic() + 120
        options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        words = ssh.command(
            self.chosen, self.instance_id, None, identity=self.key, options=options, remote=["echo", "proved:", "$(hostname)"]
        )
        while True:
            if first.banner(self.chosen, self.instance_id):
                done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
                if "proved: ip-" in done.stdout:
                    return
            if time.monotonic() > until:
                raise home.Sorry(f"{self.instance_id} at {self.address} does not answer ssh after 120 s")
            time.sleep(0.2)

    def _terminate(self) -> None:
        self.ec2.terminate_instances(InstanceIds=[self.instance_id])
        self.ec2.get_waiter("instance_terminated").wait(
            InstanceIds=[self.instance_id], WaiterConfig={"Delay": 0.25, "MaxAttempts": 480}
        )

    def _revoke(self) -> None:
        self.ec2.revoke_security_group_ingress(GroupId=self.group, IpPermissions=self._permission())

    def _delete_key(self) -> None:
        self.ec2.delete_key_pair(KeyName=self.name)
        self.key.unlink()

    def _clean(self) -> None:
        """What a failed loop left; each part on its own."""
        parts: list[Callable[[], Any]] = [lambda: self.ec2.delete_key_pair(KeyName=self.name)]
        if self.instance_id:
            parts.append(lambda: self.ec2.terminate_instances(InstanceIds=[self.instance_id]))
        if self.key.exists():
            parts.append(self.key.unlink)
        for part in parts:
            try:
                part()
            except Exception:  # the loop's own failure is what is reported
                continue


def loop(chosen: Settings, count: int, parallel: int) -> int:
    """Runs the loops; the exit code is 0 when none failed."""
    name = f"prove-{secrets.token_hex(4)}"
    ec2 = client("ec2", chosen)
    groups: list[str] = []  # one for each worker, so that loops side by side do not revoke each other's rule
    started = time.monotonic()
    try:
        outcomes = _all(chosen, name, groups, count, parallel)
    finally:
        for group in groups:
            _remove_group(ec2, group)
    return _summary(outcomes, time.monotonic() - started, chosen.simulated)


def _all(chosen: Settings, name: str, groups: list[str], count: int, parallel: int) -> list[Outcome]:
    local = threading.local()
    folder = ssh.keys(chosen)

    def one(number: int) -> Outcome:
        if not hasattr(local, "ec2"):
            local.ec2 = client("ec2", chosen)
            local.group = local.ec2.create_security_group(GroupName=f"{name}-{number}", Description="mallee prove loop")[
                "GroupId"
            ]
            groups.append(local.group)
        return Loop(chosen, local.ec2, f"{name}-{number}", local.group, folder).run()

    outcomes = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Progress().console) as bar, ThreadPoolExecutor(parallel) as pool:
        task = bar.add_task(f"{parallel} at a time", total=count)
        for done in as_completed([pool.submit(one, number) for number in range(count)]):
            outcomes.append(done.result())
            if outcomes[-1].failed:
                bar.console.print(f"[red]failed[/] {outcomes[-1].instance_id} {outcomes[-1].failed}")
            bar.advance(task)
    return outcomes


def _remove_group(ec2: Any, group: str) -> None:
    try:
        ec2.delete_security_group(GroupId=group)
    except Exception as error:
        Progress().line(f"the security group {group} stays: {error}")


def _summary(outcomes: list[Outcome], seconds: float, simulated: bool) -> int:
    console = Progress().console
    table = Table("step", "median", "slowest", box=None)
    for step in STEPS:
        times = [outcome.times[step] for outcome in outcomes if step in outcome.times]
        if times:
            table.add_row(step, f"{statistics.median(times):.2f} s", f"{max(times):.2f} s")
    console.print(table)
    failed = sum(1 for outcome in outcomes if outcome.failed)
    console.print(f"{len(outcomes)} loops in {seconds:.0f} s: {len(outcomes) - failed} passed, {failed} failed")
    if simulated:
        console.print("simulated nodes: the ssh step was left out")
    return 1 if failed else 0
