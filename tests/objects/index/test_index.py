"""The committer: works that share a commit, errors that stay with their work, and what becomes of what was appended for nothing."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from mallee.objects.engine.base import EngineError
from mallee.objects.index import listing, usage, versions
from mallee.objects.index.index import Closed, Index
from mallee.objects.index.rows import New, Version
from mallee.objects.index.tables import CURRENT, GARBAGE
from mallee.store import Conflict, Constraint, StoreUnavailable, Tx

from .engines import MemoryEngine


def label(key: bytes) -> dict[str, Any]:
    return {"kind": "object", "bucket": "b", "key": base64.b64encode(key).decode()}


def putting(key: bytes, data: bytes, versioning: str = "") -> Callable[[Tx, list[str]], Version]:
    def work(tx: Tx, locations: list[str]) -> Version:
        content = ((locations[0], len(data)),)
        return versions.put(tx, versioning, New("b", key, len(data), "e", "1", content))

    return work


def put(index: Index, key: bytes, data: bytes, versioning: str = "") -> Version:
    return index.run(putting(key, data, versioning), [(label(key), data)])


class Refused(Exception):
    pass


class Answers:
    """Collects what the committer answers."""

    def __init__(self) -> None:
        self.found: dict[Any, tuple[Any, BaseException | None]] = {}
        self._one = threading.Condition()

    def of(self, name: Any) -> Callable[[Any, BaseException | None], None]:
        def done(result: Any, error: BaseException | None) -> None:
            with self._one:
                assert name not in self.found
                self.found[name] = result, error
                self._one.notify_all()

        return done

    def wait(self, many: int) -> None:
        with self._one:
            assert self._one.wait_for(lambda: len(self.found) == many, timeout=30)


class Held:
    """Holds the committer in a work of its own, so that what is submitted meanwhile becomes one batch."""

    def __init__(self, index: Index) -> None:
        self._go, self._in = threading.Event(), threading.Event()
        index.submit(self._work, (), lambda result, error: None)
        assert self._in.wait(30)

    def _work(self, tx: Tx) -> None:
        self._in.set()
        assert self._go.wait(30)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._go.set()


def commits(index: Index, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every commit."""
    seen: list[int] = []
    commit = index.database.engine.commit

    def counted(session: Any) -> None:
        seen.append(1)
        commit(session)

    monkeypatch.setattr(index.database.engine, "commit", counted)
    return seen


def settled(index: Index, engine: MemoryEngine) -> None:
    """After the reclaimer has done what there is to do."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with index.reading() as tx:
            if not tx.all(sa.select(GARBAGE)) and not index._waste and set(engine.contents) == referred(tx):
                return
        time.sleep(0.01)
    with index.reading() as tx:
        assert (tx.all(sa.select(GARBAGE)), set(engine.contents)) == ([], referred(tx))


def referred(tx: Tx) -> set[str]:
    found = [versions.version(tx, "b", entry.key, entry.version_id) for entry in listing.versions(tx, "b", limit=10**6).entries]
    return {location for each in found if each is not None for location, _ in each.content}


def test_works_that_queue_up_share_one_append_and_one_commit(
    index: Index, engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Answers()
    with Held(index):
        for n in range(50):
            key = b"%02d" % n
            index.submit(putting(key, b"x" * n), [(label(key), b"x" * n)], answers.of(n))
        seen = commits(index, monkeypatch)
    answers.wait(50)
    assert engine.appends == 1 and len(seen) == 2
    for n, (result, error) in answers.found.items():
        assert error is None and (result.key, result.size) == (b"%02d" % n, n)
        assert engine.contents[result.content[0][0]] == (label(result.key), b"x" * n)
    with index.reading() as tx:
        assert usage.usage(tx, "b") == usage.count(tx, "b")


@pytest.mark.parametrize("late", [False, True], ids=["before it wrote", "after it wrote"])
def test_an_error_is_its_works_alone(index: Index, engine: MemoryEngine, late: bool) -> None:
    answers = Answers()

    def refuse(tx: Tx, locations: list[str]) -> None:
        if late:
            versions.put(tx, "", New("b", b"bad", 1, "e", "1", ((locations[0], 1),)))
        raise Refused

    with Held(index):
        index.submit(putting(b"one", b"1"), [(label(b"one"), b"1")], answers.of("one"))
        index.submit(refuse, [(label(b"bad"), b"2")], answers.of("bad"))
        index.submit(putting(b"two", b"3"), [(label(b"two"), b"3")], answers.of("two"))
    answers.wait(3)
    assert isinstance(answers.found["bad"][1], Refused) and answers.found["bad"][0] is None
    assert [answers.found[name][1] for name in ("one", "two")] == [None, None]
    with index.reading() as tx:
        assert [entry.key for entry in listing.objects(tx, "b").entries] == [b"one", b"two"]
        assert usage.usage(tx, "b") == usage.count(tx, "b") == usage.Usage("b", 2, 2)
    settled(index, engine)
    assert len(engine.contents) == 2


def test_a_work_alone_that_raises_leaves_nothing(index: Index, engine: MemoryEngine) -> None:
    def refuse(tx: Tx, locations: list[str]) -> None:
        versions.put(tx, "", New("b", b"bad", 1, "e", "1", ((locations[0], 1),)))
        raise Refused

    with pytest.raises(Refused):
        index.run(refuse, [(label(b"bad"), b"x")])
    settled(index, engine)
    assert not engine.contents


def test_a_statement_that_fails_is_its_works_alone(index: Index) -> None:
    answers = Answers()

    def twice(tx: Tx) -> None:
        tx.insert(CURRENT, **row(b"same"))
        tx.insert(CURRENT, **row(b"same"))

    def swallow(tx: Tx) -> str:
        try:
            twice(tx)
        except Constraint:
            pass
        return "as if nothing had happened"

    with Held(index):
        index.submit(putting(b"one", b"1"), [(label(b"one"), b"1")], answers.of("one"))
        index.submit(twice, (), answers.of("twice"))
        index.submit(swallow, (), answers.of("swallow"))
        index.submit(putting(b"two", b"1"), [(label(b"two"), b"1")], answers.of("two"))
    answers.wait(4)
    assert isinstance(answers.found["twice"][1], Constraint)
    assert "savepoint" in str(answers.found["swallow"][1])
    with index.reading() as tx:
        assert [entry.key for entry in listing.objects(tx, "b").entries] == [b"one", b"two"]


def row(key: bytes) -> dict[str, Any]:
    from mallee.store import Clock

    rest = {"version_id": "null", "size": 0, "etag": "", "storage_class": "", "owner": "", "checksum": "", "content": ()}
    return {"bucket_id": "b", "key": key, "made": 1, "modified": Clock().now(), **rest}


def test_an_engine_that_is_away_fails_those_who_need_it(index: Index, engine: MemoryEngine) -> None:
    answers = Answers()
    engine.broken = True
    with Held(index):
        index.submit(putting(b"one", b"1"), [(label(b"one"), b"1")], answers.of("one"))
        index.submit(lambda tx: versions.delete(tx, "Enabled", "b", b"two", "1"), (), answers.of("two"))
    answers.wait(2)
    assert isinstance(answers.found["one"][1], EngineError)
    assert answers.found["two"][0].deleted
    engine.broken = False
    assert put(index, b"one", b"1").size == 1


def test_a_commit_that_fails_is_everybodys(index: Index, engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is discarded: it may have happened."""
    answers = Answers()
    with Held(index):
        for n in range(3):
            index.submit(putting(b"%d" % n, b"1"), [(label(b"%d" % n), b"1")], answers.of(n))

        def fail(session: Any) -> None:
            index.database.engine.rollback(session)
            raise StoreUnavailable("disk-full", "The disk is full.", "Free some.")

        monkeypatch.setattr(index.database.engine, "commit", fail)
    answers.wait(3)
    assert all(isinstance(error, StoreUnavailable) for _, error in answers.found.values())
    monkeypatch.undo()
    assert put(index, b"more", b"1").size == 1
    with index.reading() as tx:
        assert [entry.key for entry in listing.objects(tx, "b").entries] == [b"more"]
    assert len(engine.contents) == 4
    swept = [location for location, (about, _) in engine.contents.items() if not index.is_live([(location, about)])[0]]
    assert len(swept) == 3


@pytest.mark.parametrize("times", [1, 2, 4])
def test_a_conflict_is_tried_again(index: Index, engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """As one batch, and after two failures one by one."""
    answers, left = Answers(), [times]
    runs: list[int] = []

    def work(tx: Tx, locations: list[str], key: bytes) -> Version:
        runs.append(1)
        return putting(key, b"1", "Enabled")(tx, locations)

    commit = index.database.engine.commit

    def conflict(session: Any) -> None:
        if left[0]:
            left[0] -= 1
            index.database.engine.rollback(session)
            raise Conflict("somebody was there first")
        commit(session)

    with Held(index):
        for n in range(3):
            key = b"%d" % n
            index.submit(lambda tx, at, key=key: work(tx, at, key), [(label(key), b"1")], answers.of(n))  # type: ignore[misc]
        # the commit that was held is over when the first of the others runs
        monkeypatch.setattr(index.database.engine, "commit", _second(index, commit, conflict))
    answers.wait(3)
    assert [error for _, error in answers.found.values()] == [None, None, None]
    assert engine.appends == 1 and len(runs) == {1: 6, 2: 9, 4: 11}[times]
    with index.reading() as tx:
        assert len(listing.versions(tx, "b").entries) == 3
        assert usage.usage(tx, "b") == usage.count(tx, "b")


def _second(index: Index, first: Callable[[Any], None], then: Callable[[Any], None]) -> Callable[[Any], None]:
    """The first commit as it is, all others the other way."""
    calls: list[int] = []

    def commit(session: Any) -> None:
        calls.append(1)
        (first if len(calls) == 1 else then)(session)

    return commit


def test_what_was_replaced_is_discarded_without_being_asked(index: Index, engine: MemoryEngine) -> None:
    for n in range(20):
        put(index, b"k", b"%d" % n)
    settled(index, engine)
    assert [data for _, data in engine.contents.values()] == [b"19"]
    index.run(lambda tx: versions.delete(tx, "", "b", b"k", "1"))
    settled(index, engine)
    assert not engine.contents


def test_garbage_outlives_an_engine_that_is_away(index: Index, engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(locations: Any) -> None:
        raise EngineError("the disk is away")

    monkeypatch.setattr(engine, "discard", away)
    put(index, b"k", b"1")
    put(index, b"k", b"2")
    with pytest.raises(EngineError):
        index.reclaim()
    monkeypatch.undo()
    index.reclaim()
    settled(index, engine)
    assert len(engine.contents) == 1


def test_somebody_who_waits_and_fails_harms_nobody(index: Index) -> None:
    def bad(result: Any, error: BaseException | None) -> None:
        raise ValueError("not quick enough")

    with Held(index):
        index.submit(putting(b"k", b"1"), [(label(b"k"), b"1")], bad)
    assert put(index, b"l", b"1").size == 1


def test_closing_answers_what_was_submitted(index: Index, engine: MemoryEngine) -> None:
    answers = Answers()
    with Held(index):
        for n in range(300):
            index.submit(putting(b"same", b"%d" % n), [(label(b"same"), b"%d" % n)], answers.of(n))
    index.close()
    assert len(answers.found) == 300 and not any(error for _, error in answers.found.values())
    assert [data for _, data in engine.contents.values()] == [b"299"]
    with pytest.raises(Closed):
        index.run(lambda tx: None)
    index.close()


def test_many_threads_are_one_after_the_other(index: Index, engine: MemoryEngine) -> None:
    """32 threads add one to what they find under the same keys, put and delete, in all states: nothing is lost, and what is not referred to
    is gone."""
    keys, rounds = [b"k%d" % n for n in range(3)], 15
    answers: list[list[Version]] = []

    def add(tx: Tx, locations: list[str], key: bytes) -> Version:
        found = versions.current(tx, "b", key)
        count = 0 if found is None else int(found.attributes["metadata"]["count"])
        content = ((locations[0], 1),)
        return versions.put(tx, "", New("b", key, 1, "e", "1", content, attributes={"metadata": {"count": str(count + 1)}}))

    def thread(number: int) -> None:
        own: list[Version] = []
        for n in range(rounds):
            key = keys[(number + n) % len(keys)]
            own.append(index.run(lambda tx, at, key=key: add(tx, at, key), [(label(key), b"x")]))  # type: ignore[misc]
            other = b"other/" + key
            state = ("", "Enabled", "Suspended")[(number + n) % 3]
            put(index, other, b"y", state)
            if n % 2:
                index.run(lambda tx, key=other, state=state: versions.delete(tx, state, "b", key, "1"))  # type: ignore[misc]
        answers.append(own)

    threads = [threading.Thread(target=thread, args=(n,)) for n in range(32)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    with index.reading() as tx:
        for key in keys:
            counts = [int(made.attributes["metadata"]["count"]) for own in answers for made in own if made.key == key]
            found = versions.current(tx, "b", key)
            assert sorted(counts) == list(range(1, len(counts) + 1))
            assert found is not None and found.attributes["metadata"]["count"] == str(len(counts))
        assert usage.usage(tx, "b") == usage.count(tx, "b")
    settled(index, engine)


def test_two_processes_do_not_lose_each_others_changes(index: Index, engine: MemoryEngine) -> None:
    """Two indexes over the same tables; on PostgreSQL they conflict, and both get through."""
    from mallee.store import Database

    other_database = Database(index.database.url, synchronous=False)
    other = Index(other_database, engine)
    wrong: list[BaseException] = []

    def add(tx: Tx) -> None:
        found = versions.current(tx, "b", b"n")
        versions.put(tx, "", New("b", b"n", 1 if found is None else found.size + 1, "e", "1", ()))

    def thread(mine: Index) -> None:
        try:
            for _ in range(25):
                mine.run(add)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=thread, args=(mine,)) for mine in (index, other) * 4]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    other.close()
    other_database.close()
    assert not wrong
    with index.reading() as tx:
        found = versions.current(tx, "b", b"n")
        assert found is not None and found.size == 200
        assert usage.usage(tx, "b") == usage.count(tx, "b")


def test_counters_are_mended(index: Index) -> None:
    put(index, b"k", b"12345")
    index.run(lambda tx: usage.add(tx, "b", 3, -7, 1, 1, 1, 1))
    assert usage.recount(index, "b") == usage.Usage("b", -3, 7, -1, -1, -1, -1)
    assert usage.recount(index, "b") == usage.Usage("b")
    with index.reading() as tx:
        assert usage.all_usage(tx) == [usage.Usage("b", 1, 5)]


def test_counters_of_processes_that_are_gone_are_folded(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(usage.MOST_WRITERS + 2):
        index.database.engine.memory[usage.WRITER] = f"w{n}"
        put(index, b"k%d" % n, b"12345")
    with index.reading() as tx:
        before = usage.usage(tx, "b")
    monkeypatch.setattr(usage, "CHUNK", 3)
    assert usage.recount(index, "b") == usage.Usage("b")
    with index.reading() as tx:
        assert usage.usage(tx, "b") == before
        assert tx.value(sa.select(sa.func.count()).select_from(usage.USAGE)) == 1
