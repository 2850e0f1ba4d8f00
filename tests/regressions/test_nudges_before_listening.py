"""What another process says while this one is about to listen was lost until the next poll: half a minute."""

from __future__ import annotations

import threading

import pytest

from mallee.store import Database
from mallee.store.nudges import Nudges


def test_a_nudge_before_the_listener_is_ready(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    may_listen, begun = threading.Event(), threading.Event()
    keep = Nudges._keep

    def late(self: Nudges, hear: object) -> None:
        begun.set()
        may_listen.wait(10)
        keep(self, hear)  # type: ignore[arg-type]

    monkeypatch.setattr(Nudges, "_keep", late)
    other, found = Database(database.url, synchronous=False), []
    mark = database.mark("sample")
    waiter = threading.Thread(target=lambda: found.append(database.wait("sample", 8, mark)))
    waiter.start()
    try:
        assert begun.wait(10)
        with other.transaction() as tx:
            tx.nudge("sample")
        may_listen.set()
        waiter.join(5)
        assert found == [True]
    finally:
        may_listen.set()
        waiter.join(10)
        other.close()
