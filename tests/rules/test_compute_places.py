"""Places for many instances at once are those that one would get after another."""

from __future__ import annotations

import random

from mallee.fabric.document import Capacity, Join
from mallee.nodes import intake
from mallee.nodes import records as nodes
from mallee.nodes.rules import Overcommit
from mallee.store import Database, ids, schema


def test_many_are_placed_as_one_after_another(database: Database):
    schema.load()
    schema.create(database)
    chance = random.Random(7)
    with database.transaction() as tx:
        for number in range(6):
            capacity = Capacity(chance.randint(2, 12), chance.randint(1, 16) * 1024, chance.randint(5, 60))
            join = Join(f"node-{number}", "boot", f"zone-{number % 2}", "host", capacity)
            intake.join(tx, join, Overcommit(2.0, 1.0, 1.0))
    for _ in range(40):
        fresh = [ids.new("i") for _ in range(chance.randint(1, 6))]
        size = (chance.randint(1, 3), chance.choice([512, 1024, 2048]), chance.randint(1, 6))
        zone = chance.choice([None, "zone-0", "zone-1"])
        with database.transaction() as tx:
            one_by_one = {}
            try:
                with tx.savepoint():
                    where = zone
                    for id in fresh:
                        node_id = nodes.place(tx, id, *size, where, None)
                        if node_id is None:
                            break
                        one_by_one[id] = node_id
                        where = where or nodes.node(tx, node_id).zone
                    raise _Undo
            except _Undo:
                pass
            found, placed = nodes.place_many(tx, fresh, *size, zone, None)
            assert placed == one_by_one and (found == where or not placed)
            assert {id: nodes.placement_of(tx, id).node_id for id in placed} == placed
    with database.reading() as tx:
        everything = [each for node in nodes.nodes(tx) for each in nodes.placements_on(tx, node.id)]
        for node in nodes.nodes(tx):
            held = [each for each in everything if each.node_id == node.id]
            assert sum(each.vcpus for each in held) <= 2 * node.vcpus
            assert sum(each.memory_mib for each in held) <= node.memory_mib
            assert sum(each.disk_gib for each in held) <= node.disk_gib


class _Undo(Exception):
    pass
