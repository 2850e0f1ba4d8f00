"""A real Ceph, started once; a pool that is empty for each test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from mallee.objects.engine.rados import RadosEngine, layout
from mallee.objects.engine.rados.layout import Packed
from mallee.objects.engine.rados.librados import Pool, Read, Write
from mallee.objects.engine.rados.link import BOOKS, OWNER, Link
from tests import ceph


@pytest.fixture(scope="session")
def cluster() -> Iterator[ceph.Cluster]:
    if why := ceph.missing():
        pytest.skip(why)
    made = ceph.Cluster()
    yield made
    made.stop()


@dataclass(slots=True)
class Clock:
    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class House:
    cluster: ceph.Cluster
    pool: Pool
    clock: Clock = field(default_factory=Clock)
    made: list[RadosEngine] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = self.again()

    def again(self, **settings: Any) -> RadosEngine:
        chosen: dict[str, Any] = {"owner": "the tests", "timeout": 20, "clock": self.clock, "keyring": str(self.cluster.keyring)}
        engine = RadosEngine(str(self.cluster.conf), ceph.POOL, ceph.USER, **(chosen | settings))
        self.made.append(engine)
        return engine

    @property
    def source(self) -> str:
        return (
            "from mallee.objects.engine.rados import RadosEngine\n"
            f"engine = RadosEngine({str(self.cluster.conf)!r}, {ceph.POOL!r}, {ceph.USER!r}, {str(self.cluster.keyring)!r}, owner='the tests')"
        )

    def later(self, seconds: float) -> None:
        """Engines that live renew their leases and settle what has ended every minute; here twice."""
        for _ in range(2):
            self.clock.ahead += seconds / 2
            for engine in self.made:
                if not engine.closed:
                    engine.beat()

    def place(self, location: str) -> Any:
        return layout.parse(location)

    def damage(self, location: str) -> None:
        """With what ``rados put`` does, at an offset."""
        place = self.place(location)
        if isinstance(place, Packed):
            name, offset = place.identity, place.offset + place.length - 1
        else:
            name = layout.stripe_name(place.identity, layout.stripes(place.size) // 2)
            offset = min(100_000, place.size - 1)
        buffer = bytearray(1)
        self.pool.submit(name, Read().into(buffer, offset, 1)).wait()
        self.pool.submit(name, Write().write(bytes([buffer[0] ^ 1]), offset)).wait()

    def lose(self, location: str) -> None:
        self.cluster.rados("rm", self.place(location).identity)

    def names(self) -> set[str]:
        return {name for part in range(16) for name in self.pool.names(part, 16)}

    def things(self) -> set[str]:
        """Packs have no meaning of their own: one more or less is not looked at."""
        found = set()
        for name in self.names():
            if layout.parse_name(name) is not None:
                look = Read().attributes_too()
                if not self.pool.submit(name, look).missing() and layout.PACK not in look.attributes:
                    found.add(name)
        return found

    def close(self) -> None:
        for engine in self.made:
            engine.close()
        for name in self.names() - {OWNER}:
            op = Write().clear_keys() if name in BOOKS else Write().remove()
            self.pool.submit(name, op).missing()


@pytest.fixture(scope="session")
def _pool(cluster: ceph.Cluster) -> Iterator[Pool]:
    link = Link(str(cluster.conf), ceph.POOL, ceph.USER, str(cluster.keyring), "the tests")
    yield link.pool()
    link.close()


@pytest.fixture
def house(cluster: ceph.Cluster, _pool: Pool) -> Iterator[House]:
    made = House(cluster, _pool)
    yield made
    made.close()
