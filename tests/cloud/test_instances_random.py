"""Whatever users, guests and hosts do in whatever order: it converges, and when all is terminated nothing is left."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError
from sqlalchemy import func, select

from mallee.compute import records, rules
from mallee.durable import faults
from mallee.network.records import interface_groups, interfaces, public_leases
from mallee.nodes.records import GUEST_REPORTS, PLACEMENTS
from mallee.simulator import Times
from mallee.store import Database, ManualClock, schema
from tests.cloud.harness import TestCloud

TIMES = Times(prepare=2.0, boot=3.0, stop=4.0, remove=1.0)


@pytest.fixture
def slow_cloud(tmp_path):
    """A cloud in which everything takes its time, so that what is asked comes amid what was asked before."""
    clock = ManualClock()
    database = Database(f"sqlite:///{tmp_path}/cloud.db", clock, synchronous=False)
    schema.load()
    schema.create(database)
    made = TestCloud(tmp_path / "home", database, clock, zones=("local-1a", "local-1b"), times=TIMES)
    yield made
    made.close()
    database.close()


class Chaos:
    def __init__(self, cloud: TestCloud, seed: int) -> None:
        self.cloud = cloud
        self.chance = random.Random(seed)
        self.ec2 = cloud.client("ec2")
        self.image = cloud.image_id
        self.ids: list[str] = []

    def act(self) -> None:
        name = self.chance.choices(list(self.ACTS), weights=list(self.ACTS.values()))[0]
        try:
            getattr(self, name)()
        except ClientError as error:
            assert error.response["Error"]["Code"] == "IncorrectInstanceState", error

    def _some(self) -> list[str]:
        return self.chance.sample(self.ids, min(len(self.ids), self.chance.randint(1, 2)))

    def launch(self) -> None:
        count = self.chance.randint(1, 3)
        behavior = self.chance.choice(["stop", "terminate"])
        answer = self.ec2.run_instances(
            ImageId=self.image, MinCount=1, MaxCount=count, InstanceInitiatedShutdownBehavior=behavior
        )
        self.ids += [each["InstanceId"] for each in answer["Instances"]]

    def stop(self) -> None:
        if self.ids:
            options = self.chance.choice([{}, {"Force": True}, {"SkipOsShutdown": True}])
            self.ec2.stop_instances(InstanceIds=self._some(), **options)

    def start(self) -> None:
        if self.ids:
            self.ec2.start_instances(InstanceIds=self._some())

    def reboot(self) -> None:
        if self.ids:
            self.ec2.reboot_instances(InstanceIds=self._some())

    def terminate(self) -> None:
        if self.ids:
            self.ec2.terminate_instances(InstanceIds=self._some())

    def guest_ends(self) -> None:
        for simulator in self.cloud.simulators:
            for id in simulator.guests():
                if self.chance.random() < 0.3:
                    self.chance.choice([simulator.shut_down, simulator.crash])(id)

    def host_reboots(self) -> None:
        self.chance.choice(self.cloud.simulators).reboot_host()

    def trouble(self) -> None:
        name = self.chance.choice(["lost-reply", "stale-generation", "disk-full", "half-done"])
        self.chance.choice(self.cloud.simulators).troubles.arm(name)

    def node_steps(self) -> None:
        self.chance.choice(self.cloud.simulators).step()

    def job_steps(self) -> None:
        for _ in range(self.chance.randint(1, 4)):
            self.cloud.runner.run_once()

    def time_passes(self) -> None:
        self.cloud.clock.advance(timedelta(seconds=self.chance.choice([0.5, 1, 3])).total_seconds())

    def all_works(self) -> None:
        self.cloud.run(seconds=self.chance.choice([0, 1, 10]))

    ACTS = {
        "launch": 3, "stop": 3, "start": 3, "reboot": 1, "terminate": 2, "guest_ends": 1, "host_reboots": 1, "trouble": 1,
        "node_steps": 8, "job_steps": 8, "time_passes": 6, "all_works": 1,
    }  # fmt: skip


def _count(cloud: TestCloud, table, *where) -> int:
    with cloud.database.reading() as tx:
        return tx.value(select(func.count()).select_from(table).where(*where))


@pytest.mark.parametrize("seed", range(8))
def test_everything_converges_and_nothing_is_left(slow_cloud, seed):
    cloud = slow_cloud
    chaos = Chaos(cloud, seed)
    for _ in range(120):
        chaos.act()
    for simulator in cloud.simulators:
        simulator.troubles.disarm()
    cloud.run(seconds=200)

    with cloud.database.reading() as tx:
        known = records.rows(tx, None)
        addresses = {row.id: row for row in known}
    assert {row.state for row in known} <= {rules.RUNNING, rules.STOPPED, rules.TERMINATED}
    seen = {id: guest for simulator in cloud.simulators for id, guest in simulator.guests().items()}
    for row in known:
        expected = {rules.RUNNING: "running", rules.STOPPED: ("off", "crashed", "failed"), rules.TERMINATED: None}[row.state]
        found = seen.get(row.id)
        assert (found.state if found else None) in (expected if isinstance(expected, tuple) else (expected,)), row
    assert set(seen) <= set(addresses)

    live = [row.id for row in known if row.state != rules.TERMINATED]
    if live:
        chaos.ec2.terminate_instances(InstanceIds=live)
    cloud.run(seconds=200)
    assert not any(simulator.guests() for simulator in cloud.simulators)
    for table in (PLACEMENTS, GUEST_REPORTS, interfaces, interface_groups, public_leases, records.ROOT_VOLUMES):
        assert _count(cloud, table) == 0, table.name
    cloud.run(seconds=3700)
    assert _count(cloud, records.INSTANCES) == 0 and _count(cloud, records.LAUNCH_DATA) == 0
    with cloud.database.reading() as tx:
        assert not faults.open_(tx)
