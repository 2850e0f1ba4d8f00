"""The machine ``instance``: how to bring one to every step, what its world does meanwhile, and what may be left of it.

The world is a simulated node behind the real fabric, in the whole cloud that tests/cloud uses.
``SCENARIOS`` is what the crash harness lives through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, func, select

from mallee.compute import records
from mallee.compute.life import InstanceLife
from mallee.durable import Runner, faults, job_of
from mallee.durable.records import FAULTS, JOBS, SIGNALS
from mallee.network.records import interface_groups, interfaces, public_leases
from mallee.nodes.records import GUEST_REPORTS, PLACEMENTS, guest_report
from mallee.store import Database, ManualClock, Tx, journal, schema
from tests.cloud.harness import TestCloud
from tests.life.harness import Scenario

MACHINE = "instance"
HELD = (
    records.INSTANCES,
    records.LAUNCH_DATA,
    records.ROOT_VOLUMES,
    PLACEMENTS,
    GUEST_REPORTS,
    interfaces,
    interface_groups,
    public_leases,
    SIGNALS,
    FAULTS,
)
STONE = {records.INSTANCES.name, records.LAUNCH_DATA.name, SIGNALS.name}
"""What stays of an instance while it is shown as terminated."""
PORTS = select(interfaces.c.online, interfaces.c.public_ip.is_not(None)).order_by(interfaces.c.id)
CHANGES = (
    select(journal.c.after)
    .where(journal.c.kind == bindparam("kind"), journal.c.resource_id == bindparam("id"), journal.c.after.is_not(None))
    .order_by(journal.c.seq)
)


class InstanceScenario:
    """One instance in a cloud of one zone. Nothing moves but by ``runner`` and ``world``."""

    def __init__(self, home: Path, database: Database, clock: ManualClock) -> None:
        schema.load()
        schema.create(database)
        self.cloud = TestCloud(home, database, clock, zones=("local-1a",))
        self.database, self.clock = database, clock
        self.ec2 = self.cloud.client("ec2")
        self.id = ""

    def create(self, **asked: object) -> str:
        wanted = {"ImageId": self.cloud.image_id, "MinCount": 1, "MaxCount": 1, "UserData": "x"} | asked
        self.id = self.ec2.run_instances(**wanted)["Instances"][0]["InstanceId"]
        return self.id

    def runner(self, crash: Callable[[str], None] | None = None) -> Runner:
        return Runner(self.database, self.cloud.cloud.machines, self.cloud.world, self.clock, crash=crash)

    def world(self) -> bool:
        """One turn of what is not the job: the node. Says whether anything changed."""
        return self.cloud.simulators[0].step()

    @property
    def step(self) -> str | None:
        """The step that the job is in; None when its life is over."""
        with self.database.reading() as tx:
            job = job_of(tx, self.id)
        return None if job is None or job.done_at is not None else job.step

    @property
    def state(self) -> str | None:
        with self.database.reading() as tx:
            row = records.instance(tx, self.id)
        return None if row is None else row.state

    def to(self, step: str) -> None:
        """Brings the job to a step by what a user, the guest and the node do, and no further."""
        for event in self.WAYS[step]:
            event(self)
            self._until_quiet(step)
        assert self.step == step, (self.step, step)

    def _until_quiet(self, step: str) -> None:
        runner = self.runner()
        for _ in range(50):
            if self.step == step:
                return
            if not runner.run_once() and not self.world():
                return

    def left(self) -> dict[str, int]:
        """Rows of the tables in which an instance holds something, where there are any."""
        with self.database.reading() as tx:
            counts = {table.name: tx.value(select(func.count()).select_from(table)) for table in HELD}
        return {name: count for name, count in counts.items() if count}

    # What makes the job go on, by the step that it leads to.

    def _stop(self) -> None:
        self.ec2.stop_instances(InstanceIds=[self.id])

    def _start(self) -> None:
        self.ec2.start_instances(InstanceIds=[self.id])

    def _terminate(self) -> None:
        self.ec2.terminate_instances(InstanceIds=[self.id])

    def _create(self) -> None:
        self.create()

    def _run(self) -> None:
        self._until_quiet("run")

    def _rest(self) -> None:
        self._until_quiet("rest")

    def _stop_too_late(self) -> None:
        """The step's deadline passes while the node does nothing."""
        self._stop()
        self.runner().run_until_idle()
        self.clock.advance(61)

    WAYS: dict[str, tuple[Callable[[InstanceScenario], None], ...]] = {
        "launch": (_create,),
        "run": (_create, _run),
        "stop": (_create, _run, _stop),
        "force_off": (_create, _run, _stop_too_late),
        "rest": (_create, _run, _stop, _rest),
        "start": (_create, _run, _stop, _rest, _start),
        "shut_down": (_create, _run, _terminate),
        "remove": (_create, _terminate),
        "keep": (_create, _terminate, lambda self: self._until_quiet("keep")),
    }


# -------------------------------------------------------------------------------------------------------- for the harness


@dataclass
class InstanceStage:
    """One instance, and a user who does each thing of ``script`` when everything has come to rest."""

    scenario: InstanceScenario
    script: tuple[Callable[[InstanceScenario], Any], ...]
    asked: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""
    world: Any = None
    done: int = field(default=0)

    def __post_init__(self) -> None:
        """The node of the last life is gone, and another is in its place."""
        cloud = self.scenario.cloud
        old = cloud.simulators.pop()
        node = cloud.add_node(old.node_id, old.zone)
        if self.trouble:
            node.arm(self.trouble)
        self.scenario.create(**self.asked)

    def begin(self, tx: Tx) -> str:
        return self.scenario.id

    def react(self) -> bool:
        if self.scenario.world():
            return True
        with self.scenario.database.reading() as tx:
            busy = tx.value(select(func.count()).select_from(JOBS).where((JOBS.c.tries > 0) | (JOBS.c.due <= tx.now)))
        if busy or self.done == len(self.script) or self.scenario.state in (None, "shutting-down", "terminated"):
            return False
        self.script[self.done](self.scenario)
        self.done += 1
        return True

    def settled(self, tx: Tx) -> Any:
        row = records.instance(tx, self.scenario.id)
        report = guest_report(tx, self.scenario.id)
        found: dict[str, Any] = {
            "state": row.state if row else None,
            "held": {table.name: tx.value(select(func.count()).select_from(table)) for table in HELD},
            "guest": report.state if report else None,
            "on the node": [guest.state for guest in self.scenario.cloud.simulators[0].guests().values()],
            "faults": [fault.code for fault in faults.open_(tx)],
        }
        if row is None or row.state == "terminated":
            leaked = {name for name, count in found["held"].items() if count} - STONE
            assert not leaked and not found["on the node"], f"terminated, but there is {leaked or found['on the node']}"
            return found  # how far it had come does not matter any more
        assert report is not None
        wished = (row.power, row.revision, row.reboots, row.force_off, row.has_run, row.reason_code, row.reason)
        seen = (report.revision, report.reboots, report.stopped_by)
        ports = [tuple(port) for port in tx.all(PORTS)]
        return found | {"wished": wished, "seen": seen, "ports": ports, "told": self._told(tx)}

    def _told(self, tx: Tx) -> list[str]:
        """The states that the user was shown, in order: none twice, none left out."""
        entries = tx.all(CHANGES, kind=records.INSTANCES.name, id=self.scenario.id)
        return [entry.after["state"] for entry in entries if "state" in entry.after]


def _stage(
    *script: Callable[[InstanceScenario], Any], trouble: str = "", **asked: Any
) -> Callable[[Path, Database, ManualClock], Callable[[], InstanceStage]]:
    def prepare(home: Path, database: Database, clock: ManualClock) -> Callable[[], InstanceStage]:
        scenario = InstanceScenario(home, database, clock)
        return lambda: InstanceStage(scenario, script, asked, trouble)

    return prepare


def _reboot(it: InstanceScenario) -> None:
    it.ec2.reboot_instances(InstanceIds=[it.id])


def _shut_itself_down(it: InstanceScenario) -> None:
    it.cloud.simulators[0].shut_down(it.id)


def _crash(it: InstanceScenario) -> None:
    it.cloud.simulators[0].crash(it.id)


SCENARIOS = (
    Scenario(InstanceLife, _stage(), "instance-runs"),
    Scenario(InstanceLife, _stage(InstanceScenario._stop, InstanceScenario._start), "instance-stops-and-starts"),
    Scenario(InstanceLife, _stage(_crash), "instance-crashes"),
    Scenario(InstanceLife, _stage(_reboot, _shut_itself_down), "instance-reboots-and-shuts-itself-down"),
    Scenario(
        InstanceLife, _stage(_shut_itself_down, InstanceInitiatedShutdownBehavior="terminate"), "instance-terminates-itself"
    ),
    Scenario(InstanceLife, _stage(trouble="image-corrupt"), "instance-cannot-start"),
)
