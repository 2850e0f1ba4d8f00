"""Which node gets an instance: a pure decision over what each node has and what is promised of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """An amount of each thing that a node gives away."""

    vcpus: float
    memory_mib: float
    disk_gib: float


@dataclass(frozen=True, slots=True)
class Overcommit:
    """How much more a node promises than it has. Virtual CPUs mostly idle and disks are thin; memory is not promised
    twice.
    """

    vcpus: float = 16.0
    memory: float = 1.0
    disk: float = 4.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that may take an instance. ``total`` is its capacity with overcommit, ``used`` the sum of its
    placements.
    """

    node_id: str
    total: Size
    used: Size

    def with_more(self, more: Size) -> Candidate:
        """The candidate once it has taken ``more``."""
        used = self.used
        return Candidate(
            self.node_id,
            self.total,
            Size(used.vcpus + more.vcpus, used.memory_mib + more.memory_mib, used.disk_gib + more.disk_gib),
        )


def choose(candidates: Iterable[Candidate], wanted: Size) -> str | None:
    """The node that is least loaded once it has taken ``wanted``, or ``None`` when it fits nowhere.

    A node is as loaded as the fullest of its three measures, so that none runs out while the others lie idle. Equal
    nodes are taken in the order of their ids: the same rows always give the same answer.
    """
    best: tuple[float, str] | None = None
    for candidate in candidates:
        load = _load(candidate, wanted)
        if load is not None and (best is None or (load, candidate.node_id) < best):
            best = (load, candidate.node_id)
    return None if best is None else best[1]


def _load(candidate: Candidate, wanted: Size) -> float | None:
    total, used = candidate.total, candidate.used
    load = 0.0
    for have, taken, more in (
        (total.vcpus, used.vcpus, wanted.vcpus),
        (total.memory_mib, used.memory_mib, wanted.memory_mib),
        (total.disk_gib, used.disk_gib, wanted.disk_gib),
    ):
        if taken + more > have:
            return None
        if have:
            load = max(load, (taken + more) / have)
    return load
