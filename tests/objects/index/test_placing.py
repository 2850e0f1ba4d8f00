"""Replicas: in whatever order they come, the versions of a key have the order of their originals; tasks of a key keep theirs."""

from __future__ import annotations

import datetime
import itertools
import random

from mallee.objects.index import placing, tasks, usage, versions
from mallee.objects.index.index import Index
from mallee.objects.index.rows import ENABLED, New
from mallee.store import Database, ManualClock, Tx

BUCKET, KEY = "b-1", b"key"
START = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


def new(number: int) -> New:
    at = START + datetime.timedelta(seconds=number)
    return New(BUCKET, KEY, number, "", "owner", (), version_id=f"{number:032}", modified=at)


def place(index: Index, number: int, marker: bool = False) -> None:
    do = placing.delete if marker else placing.put
    index.run(lambda tx: do(tx, new(number), 1000 + number))


def order(tx: Tx) -> list[int]:
    """The versions as they become the latest when each latest is removed, by their numbers."""
    found = []
    while (latest := versions.current(tx, BUCKET, KEY)) is not None:
        found.append(int(latest.version_id))
        versions.delete_version(tx, BUCKET, KEY, latest.version_id)
    return found


def test_every_order_of_arrival_ends_the_same(index: Index) -> None:
    for arrival in itertools.permutations(range(4)):
        for number in arrival:
            place(index, number, marker=number in (1, 3))
        assert index.run(order) == [3, 2, 1, 0]


def test_many_in_any_order_and_more_than_once(index: Index, clock: ManualClock) -> None:
    chosen = random.Random(7)
    numbers = list(range(30)) + chosen.sample(range(30), 15)
    chosen.shuffle(numbers)
    for number in numbers:
        place(index, number, marker=number % 5 == 2)
        clock.advance(chosen.choice((0.0, 0.000001, 100.0)))
    with index.reading() as tx:
        counted = usage.usage(tx, BUCKET)
    live = [number for number in range(30) if number % 5 != 2]
    assert counted.objects == 1 and counted.bytes == 29 and counted.noncurrent == 29 and counted.noncurrent_bytes == sum(live) - 29
    assert index.run(order) == list(range(29, -1, -1))


def test_what_was_written_here_and_is_newer_stays_the_latest(index: Index) -> None:
    index.run(lambda tx: versions.put(tx, ENABLED, New(BUCKET, KEY, 5, "", "owner", (), modified=START + datetime.timedelta(days=1))))
    place(index, 1)
    with index.reading() as tx:
        latest = versions.current(tx, BUCKET, KEY)
    assert latest is not None and latest.size == 5


def test_tasks_of_a_key_are_done_in_their_order(index: Index, clock: ManualClock) -> None:
    def add(tx: Tx) -> None:
        for key in (b"a", b"b", b"a"):
            tasks.add(tx, "kind", BUCKET, key, "v")
        tasks.add(tx, "other", BUCKET, b"a", "v")

    index.run(add)

    def due() -> list[tuple[int, bytes]]:
        with index.reading() as tx:
            return [(each.id, each.key) for each in tasks.due(tx, "kind", 10)]

    first, second = due()
    assert (first[1], second[1]) == (b"a", b"b")
    with index.reading() as tx:
        one, two = tasks.due(tx, "kind", 10)
    index.run(lambda tx: tasks.put_off(tx, one, clock.now() + datetime.timedelta(seconds=10), {"more": 1}))
    assert due() == [second]  # what is behind it waits, too
    assert index.run(lambda tx: tasks.done(tx, two)) and not index.run(lambda tx: tasks.done(tx, two))
    clock.advance(10)
    assert due() == [first]
    with index.reading() as tx:
        (again,) = tasks.due(tx, "kind", 10)
        assert again.tries == 1 and again.detail == {"more": 1} and not tasks.is_last(tx, again, ("kind",))
        assert tasks.waiting(tx, "kind") == 2
    index.run(lambda tx: tasks.done(tx, again))
    (last,) = due()
    assert last[0] > first[0]


def test_a_work_that_fails_leaves_no_task(index: Index, objects: Database) -> None:
    def fail(tx: Tx) -> None:
        tasks.add(tx, "kind", BUCKET, KEY, "v")
        raise ValueError

    try:
        index.run(fail)
    except ValueError:
        pass
    with index.reading() as tx:
        assert tasks.waiting(tx, "kind") == 0


def test_one_of_two_claims_a_task(index: Index, clock: ManualClock) -> None:
    index.run(lambda tx: tasks.add(tx, "kind", BUCKET, KEY, "v"))
    with index.reading() as tx:
        (one,) = tasks.due(tx, "kind", 10)
    until = clock.now() + datetime.timedelta(seconds=60)
    assert [index.run(lambda tx: tasks.claim(tx, one, until)) for _ in range(2)] == [True, False]
    with index.reading() as tx:
        assert tasks.due(tx, "kind", 10) == []
    index.run(lambda tx: tasks.release(tx, one, until))
    with index.reading() as tx:
        assert tasks.due(tx, "kind", 10) == [one]
