"""The machine ``instance``: how to bring one to every step, what its world does meanwhile, and what may be left of it.

The world is a simulated node behind the real fabric, in the whole cloud that tests/cloud uses.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import func, select

from mallee.compute import records
from mallee.durable import Runner, job_of
from mallee.durable.records import FAULTS, SIGNALS
from mallee.network.records import interface_groups, interfaces, public_leases
from mallee.nodes.records import GUEST_REPORTS, PLACEMENTS
from mallee.store import Database, ManualClock, schema
from tests.cloud.harness import TestCloud

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
