"""Which node gets an instance, against a slow oracle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mallee.nodes.rules import Candidate, Size, choose

SMALL = st.integers(0, 8)
SIZES = st.builds(Size, SMALL, SMALL, SMALL)
CANDIDATES = st.lists(
    st.builds(Candidate, st.sampled_from(["n-1", "n-2", "n-3", "n-4"]), SIZES, SIZES),
    unique_by=lambda candidate: candidate.node_id,
)


def fits(candidate: Candidate, wanted: Size) -> bool:
    return all(load is not None for load in loads(candidate, wanted))


def loads(candidate: Candidate, wanted: Size) -> list[float | None]:
    found: list[float | None] = []
    for name in ("vcpus", "memory_mib", "disk_gib"):
        total, after = getattr(candidate.total, name), getattr(candidate.used, name) + getattr(wanted, name)
        found.append(None if after > total else after / total if total else 0.0)
    return found


@given(CANDIDATES, SIZES)
def test_choose_is_the_least_loaded_that_fits(candidates: list[Candidate], wanted: Size) -> None:
    fitting = [candidate for candidate in candidates if fits(candidate, wanted)]
    expected = min(
        fitting, key=lambda each: (max(load for load in loads(each, wanted) if load is not None), each.node_id), default=None
    )
    assert choose(candidates, wanted) == (expected.node_id if expected else None)


@given(CANDIDATES, SIZES)
def test_choose_does_not_depend_on_the_order(candidates: list[Candidate], wanted: Size) -> None:
    assert choose(candidates, wanted) == choose(reversed(candidates), wanted)


@given(st.integers(1, 12), st.integers(1, 4))
def test_equal_instances_spread_evenly(count: int, nodes: int) -> None:
    hosts = {f"n-{number}": Candidate(f"n-{number}", Size(100, 100, 100), Size(0, 0, 0)) for number in range(nodes)}
    one = Size(1, 1, 1)
    for _ in range(count):
        node_id = choose(hosts.values(), one)
        assert node_id is not None
        hosts[node_id] = hosts[node_id].with_more(one)
    used = [host.used.vcpus for host in hosts.values()]
    assert max(used) - min(used) <= 1
