"""A cloud of one table: what the fabric's tests want of each instance, and the document made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from mallee.fabric.document import Blob, Boot, Desired, Disk, Guest, Metadata, Network, Port
from mallee.nodes import records
from mallee.nodes.session import DirectTransport, Session
from mallee.store import Database, ManualClock, Tx

T = TypeVar("T")
ZONE = "local-1a"


@dataclass
class World:
    """``wanted`` is what the users ask for; ``built`` counts how often a document was made of it."""

    database: Database
    clock: ManualClock
    blobs: Path
    wanted: dict[str, Guest] = field(default_factory=dict)
    built: int = 0

    def document(self, tx: Tx, node_id: str) -> Desired:
        self.built += 1
        here = [each.instance_id for each in records.placements_on(tx, node_id) if each.instance_id in self.wanted]
        ports = tuple(
            Port(f"eni-{name}", name, 0, "02:00:00:00:00:01", f"172.31.0.{number + 4}", "subnet-1")
            for number, name in enumerate(here)
        )
        network = Network("vpc-1", 1, ("172.31.0.0/16",), "172.31.0.2", "local-1.compute.internal", ports=ports)
        return Desired(
            node_id,
            records.generation(tx, node_id) or 0,
            "local-1",
            ZONE,
            networks=(network,) if ports else (),
            guests=tuple(self.wanted[name] for name in here),
        )

    def session(self, **options: Any) -> Session:
        return Session(self.database, self.document, self.blobs, **options)

    def transport(self) -> DirectTransport:
        return DirectTransport(self.database, self.document, self.blobs)

    def launch(self, instance_id: str, node_zone: str | None = ZONE) -> str | None:
        self.wanted[instance_id] = guest(instance_id)
        return self.write(lambda tx: records.place(tx, instance_id, 2, 512, 8, node_zone, "vpc-1"))

    def ask(self, instance_id: str, **changes: object) -> None:
        """Changes what is wanted of a guest, as a call of the user would."""
        known = self.wanted[instance_id]
        self.wanted[instance_id] = replace(known, revision=known.revision + 1, **changes)  # type: ignore[arg-type]
        self.write(lambda tx: records.touch(tx, instance_id=instance_id))

    def terminate(self, instance_id: str) -> None:
        """Takes the guest out of its node's document."""
        del self.wanted[instance_id]
        self.write(lambda tx: records.touch(tx, instance_id=instance_id))

    def report(self, instance_id: str) -> records.Guest | None:
        with self.database.reading() as tx:
            return records.guest_report(tx, instance_id)

    def node(self, node_id: str = "n-1") -> records.Node:
        with self.database.reading() as tx:
            found = records.node(tx, node_id)
        assert found is not None
        return found

    def write(self, work: Callable[[Tx], T]) -> T:
        return self.database.run(work)


def guest(instance_id: str, revision: int = 1, power: str = "on", reboots: int = 0) -> Guest:
    return Guest(
        id=instance_id,
        revision=revision,
        power=power,
        reboots=reboots,
        vcpus=2,
        memory_mib=512,
        disks=(Disk("vol-1", "/dev/xvda", 8, Blob("sha256:" + "a" * 64, "qcow2", 1)),),
        boot=Boot(),
        metadata=Metadata(
            "123456789012", "ami-1", "t3.nano", "r-1", 0, "ip-172-31-0-4", "local-1", ZONE, "lcl1-az1", "2024-01-01"
        ),
    )
