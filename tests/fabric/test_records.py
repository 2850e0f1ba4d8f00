"""Nodes, placements and generations in the database, on both engines."""

from __future__ import annotations

import threading

import pytest

from mallee.fabric.document import Capacity, Join
from mallee.nodes import records
from mallee.nodes.rules import Overcommit
from mallee.nodes.session import Session
from mallee.store import Constraint

from .world import ZONE, World

ONE = Overcommit(1.0, 1.0, 1.0)


def join(world: World, node_id: str, vcpus: int = 4, zone: str = ZONE) -> None:
    session = Session(world.database, world.document, world.blobs, ONE)
    session.join(Join(node_id, f"run-of-{node_id}", zone, node_id, Capacity(vcpus, 4096, 100)))


def place(world: World, instance_id: str, zone: str | None = ZONE, vcpus: int = 2) -> str | None:
    return world.write(lambda tx: records.place(tx, instance_id, vcpus, 512, 8, zone, "vpc-1"))


def test_instances_spread_and_stop_where_the_room_ends(world: World) -> None:
    join(world, "n-1")
    join(world, "n-2")
    assert [place(world, f"i-{number}") for number in range(5)] == ["n-1", "n-2", "n-1", "n-2", None]
    assert world.write(lambda tx: records.release(tx, "i-2")) is True
    assert place(world, "i-5") == "n-1"


def test_place_keeps_to_the_zone(world: World) -> None:
    join(world, "n-1", zone="local-1a")
    join(world, "n-2", zone="local-1b")
    assert place(world, "i-1", "local-1b") == "n-2"
    assert place(world, "i-2", "local-1b", vcpus=4) is None
    assert place(world, "i-3", "local-1c") is None
    assert place(world, "i-4", None, vcpus=4) == "n-1"


def test_place_is_idempotent(world: World) -> None:
    join(world, "n-1")
    assert place(world, "i-1") == place(world, "i-1") == "n-1"
    with world.database.reading() as tx:
        assert [each.instance_id for each in records.placements_on(tx, "n-1")] == ["i-1"]


def test_an_instance_stands_on_one_node_by_the_database_itself(world: World) -> None:
    join(world, "n-1")
    join(world, "n-2")
    place(world, "i-1")
    with pytest.raises(Constraint), world.database.transaction() as tx:
        tx.insert(
            records.PLACEMENTS,
            instance_id="i-1",
            node_id="n-2",
            vpc_id=None,
            vcpus=1,
            memory_mib=1,
            disk_gib=1,
            placed_at=tx.now,
        )


def test_no_instance_for_a_node_that_is_silent_or_closed(world: World) -> None:
    for number, column in enumerate(("reachable", "accepting")):
        node_id = f"n-{number}"
        join(world, node_id)
        with world.database.transaction() as tx:
            tx.change(records.NODES, node_id, **{column: False})
    assert place(world, "i-1") is None


def test_overcommit_multiplies_what_the_node_has(world: World) -> None:
    session = Session(world.database, world.document, world.blobs, Overcommit(2.0, 1.0, 1.0))
    session.join(Join("n-1", "run", ZONE, "n-1", Capacity(2, 4096, 100)))
    assert [place(world, f"i-{number}") for number in range(3)] == ["n-1", "n-1", None]


def test_concurrent_launches_never_share_the_last_room(world: World) -> None:
    join(world, "n-1", vcpus=6)
    found: list[str | None] = []

    def launch(number: int) -> None:
        found.append(
            world.database.run(lambda tx: records.place(tx, f"i-{number}", 2, 512, 8, ZONE, "vpc-1")),
        )

    threads = [threading.Thread(target=launch, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=str) == [None, None, None, "n-1", "n-1", "n-1"]


def test_place_many_keeps_one_zone(world: World) -> None:
    join(world, "n-1", zone="local-1a")
    join(world, "n-2", zone="local-1b")
    ids = [f"i-{number}" for number in range(3)]
    zone, placed = world.write(lambda tx: records.place_many(tx, ids, 2, 512, 8, None, "vpc-1"))
    assert (zone, placed) == ("local-1a", {"i-0": "n-1", "i-1": "n-1"})


def test_generations_rise_for_the_nodes_concerned_only(world: World) -> None:
    for number in (1, 2, 3):
        join(world, f"n-{number}")
    place(world, "i-1")
    place(world, "i-2")
    with world.database.reading() as tx:
        before = records.generations(tx)

    def raised(**what: str) -> set[str]:
        nonlocal before
        world.write(lambda tx: records.touch(tx, **what))
        with world.database.reading() as tx:
            now = records.generations(tx)
        moved = {node_id for node_id in now if now[node_id] != before[node_id]}
        assert all(now[node_id] == before[node_id] + 1 for node_id in moved)
        before = now
        return moved

    assert raised(node_id="n-3") == {"n-3"}
    assert raised(instance_id="i-2") == {"n-2"}
    assert raised(vpc_id="vpc-1") == {"n-1", "n-2"}
    assert raised(vpc_id="vpc-1", node_id="n-1", instance_id="i-1") == {"n-1", "n-2"}
    assert raised(vpc_id="vpc-2") == set()
    assert raised(instance_id="i-9") == set()


def test_placing_and_releasing_raise_the_generation(world: World) -> None:
    join(world, "n-1")
    first = world.node("n-1").generation
    place(world, "i-1")
    assert world.node("n-1").generation == first + 1
    world.write(lambda tx: records.release(tx, "i-1"))
    assert world.node("n-1").generation == first + 2
    assert world.write(lambda tx: records.release(tx, "i-1")) is False
    assert world.node("n-1").generation == first + 2
