from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from mallee.store import Database
from tests.store.tables import ALICE, THINGS

LONG = 10.0


@pytest.fixture
def other(database: Database) -> Iterator[Database]:
    """The same database, as another process has it: nothing of this one's memory is shared."""
    made = Database(database.url, synchronous=False)
    yield made
    made.close()


def nudge(database: Database, *topics: str) -> None:
    with database.transaction() as tx:
        for topic in topics:
            tx.nudge(topic)


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether the condition comes to hold; the tests' only way of waiting for another thread without an event of its own."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def test_a_commit_wakes_a_waiter(database: Database) -> None:
    mark = database.mark("jobs")
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[bool] = pool.submit(database.wait, "jobs", LONG, mark)
        nudge(database, "jobs", "other")
        assert waiting.result(LONG)


def test_nothing_falls_between_looking_and_waiting(database: Database) -> None:
    mark = database.mark("jobs")
    nudge(database, "jobs")
    assert database.wait("jobs", 0, mark)
    assert not database.wait("jobs", 0, database.mark("jobs"))


def test_an_undone_transaction_wakes_nobody(database: Database) -> None:
    mark = database.mark("jobs")
    with pytest.raises(ZeroDivisionError), database.transaction() as tx:
        tx.nudge("jobs")
        _ = 1 / 0
    assert not database.wait("jobs", 0, mark)


def test_other_topics_do_not_wake(database: Database) -> None:
    mark = database.mark("jobs")
    nudge(database, "other")
    assert not database.wait("jobs", 0.01, mark)


def test_a_commit_disturbs_nobody_who_waits_for_something_else(database: Database) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(database.wait, "jobs", LONG, database.mark("jobs"))
        assert within(LONG, lambda: "jobs" in database._nudges._waiting)
        condition, woken = database._nudges._waiting["jobs"], []
        wake = condition.notify_all
        condition.notify_all = lambda: woken.append(wake())  # type: ignore[method-assign]
        nudge(database, "other")
        assert not woken
        nudge(database, "jobs", "other")
        assert waiting.result(LONG) and len(woken) == 1


def test_another_process_is_heard(database: Database, other: Database) -> None:
    heard = threading.Event()
    other.subscribe("jobs", heard.set)
    assert within(LONG, lambda: _listening(other))
    mark = other.mark("jobs")
    nudge(database, "jobs")
    assert heard.wait(LONG)
    assert other.wait("jobs", 0, mark)


def test_ones_own_nudge_is_heard_once(database: Database, other: Database) -> None:
    calls: list[str] = []
    far = threading.Event()
    database.subscribe("jobs", lambda: calls.append("near"))
    database.subscribe("end", far.set)
    assert within(LONG, lambda: _listening(database))
    nudge(database, "jobs")
    nudge(other, "end")
    assert far.wait(LONG)
    assert calls == ["near"]


def test_every_change_of_a_resource_nudges_the_journal(database: Database) -> None:
    mark = database.mark("journal")
    with database.transaction(ALICE) as tx:
        tx.insert(THINGS, id="t-1")
    assert database.wait("journal", 0, mark)


def test_a_subscription_ends(database: Database) -> None:
    calls: list[int] = []
    end = database.subscribe("jobs", lambda: calls.append(1))
    database.subscribe("jobs", lambda: 1 // 0)  # a subscriber that fails is logged and harms nobody
    nudge(database, "jobs")
    end()
    end()
    nudge(database, "jobs")
    assert calls == [1]


def test_closing_ends_every_wait(database: Database) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(database.wait, "jobs", LONG, database.mark("jobs"))
        database.close()
        assert waiting.result(LONG)


def _listening(database: Database) -> bool:
    return database._nudges.listening.is_set()
