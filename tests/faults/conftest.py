"""A cloud of one node whose luck a test decides, and the question whether anything is left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mallee.durable import faults
from mallee.nodes import records
from mallee.simulator import Simulator, Times
from mallee.store import Database, ManualClock, metadata
from tests.cloud.harness import TestCloud
from tests.fabric.conftest import sqlite_template  # noqa: F401

TIMES = Times(prepare=1, boot=4, stop=2, remove=1)
REMEMBERED = {"journal", "nudges", "reconciliations", "client_tokens", "node_reports", "nodes", "iam_key_uses", "iam_service_uses"}


@dataclass
class Unlucky:
    """``node`` is where everything happens."""

    cloud: TestCloud
    node: Simulator

    def launch(self, count: int = 1, **options: Any) -> list[str]:
        answer = self.ec2.run_instances(
            ImageId=self.cloud.image_id, MinCount=count, MaxCount=count, InstanceType="t3.nano", **options
        )
        return [instance["InstanceId"] for instance in answer["Instances"]]

    def terminate(self, ids: list[str]) -> None:
        self.ec2.terminate_instances(InstanceIds=ids)

    def states(self, ids: list[str]) -> list[str]:
        return [self.instance(instance_id)["State"]["Name"] for instance_id in ids]

    def instance(self, instance_id: str) -> dict[str, Any]:
        found = self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
        return dict(found)

    @property
    def ec2(self) -> Any:
        return self.cloud.client("ec2")

    def open_faults(self) -> list[tuple[str, str]]:
        with self.cloud.database.reading() as tx:
            return [(fault.code, fault.subject) for fault in faults.open_(tx)]

    def rows(self) -> dict[str, int]:
        """How many rows each table has, but for what is remembered on purpose."""
        with self.cloud.database.reading() as tx:
            return {
                table.name: tx.value(sa.select(sa.func.count()).select_from(table))
                for table in metadata.sorted_tables
                if table.name not in REMEMBERED
            }

    def assert_settled(self) -> None:
        """The node has what it shall have, and the cloud knows it."""
        with self.cloud.database.reading() as tx:
            node = records.node(tx, self.node.node_id)
            assert node is not None
            assert node.applied == node.generation
            for instance_id, seen in self.node.guests().items():
                written = records.guest_report(tx, instance_id)
                assert written is not None, f"{instance_id} is on the node, and nobody placed it there"
                assert (written.state, written.revision) == (seen.state, seen.revision)

    def assert_nothing_left(self, before: dict[str, int]) -> None:
        """Nothing on the node now, and no row once nobody needs to see the terminated instances any more."""
        assert self.node.guests() == {}
        assert self.open_faults() == []
        with self.cloud.database.reading() as tx:
            assert records.placements_on(tx, self.node.node_id) == []
        self.cloud.run(26 * 3600)  # instances are shown for an hour, ended jobs are kept for a day
        left = {name: (before[name], now) for name, now in self.rows().items() if now != before[name]}
        assert left == {}


@pytest.fixture
def unlucky(tmp_path: Path, sqlite_template: Path) -> Iterator[Unlucky]:  # noqa: F811
    clock = ManualClock()
    shutil.copy(sqlite_template, tmp_path / "cloud.db")
    database = Database(f"sqlite:///{tmp_path}/cloud.db", clock, synchronous=False)
    made = TestCloud(tmp_path / "home", database, clock, zones=("local-1a",), times=TIMES)
    yield Unlucky(made, made.simulators[0])
    made.close()
    database.close()
