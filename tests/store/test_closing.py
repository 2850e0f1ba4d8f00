"""Closing while others are at work, and what raw statements say of the rows they touched."""

from __future__ import annotations

import gc
import logging
import threading
import time
import warnings
from typing import Any

import pytest
import sqlalchemy as sa

from mallee.store import Database, Misuse
from tests.store.tables import PLACES

COUNT = sa.select(sa.func.count()).select_from(PLACES)


def test_execute_counts_rows(database: Database) -> None:
    rows = [{"id": f"p-{number}", "size": number} for number in range(3)]
    with database.transaction() as tx:
        assert tx.execute(sa.insert(PLACES), id="p-9", size=9) == 1
        assert tx.execute(sa.insert(PLACES).values(rows)) == 3
        copied = sa.select((PLACES.c.id + "-copy").label("id"), PLACES.c.size).where(PLACES.c.size < 2)
        assert tx.execute(sa.insert(PLACES).from_select(["id", "size"], copied)) == 2
        assert tx.execute(sa.insert(PLACES).from_select(["id", "size"], copied.where(sa.false()))) == 0
        assert tx.execute(sa.update(PLACES).where(PLACES.c.size == 1).values(size=5)) == 2
        assert tx.execute(sa.update(PLACES).where(PLACES.c.size == 77).values(size=5)) == 0
        assert tx.execute(sa.delete(PLACES)) == 6


def test_closing_while_threads_hold_connections_is_quiet(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    inside, leave = threading.Barrier(4, timeout=20), threading.Event()
    outcomes: list[Any] = []

    def hold(writes: bool) -> None:
        try:
            with database.transaction() if writes else database.reading() as tx:
                if writes:
                    tx.insert(PLACES, id="p-1", size=1)
                assert tx.value(COUNT) == int(writes)  # a snapshot begins with the first look
                inside.wait()
                leave.wait(20)
                outcomes.append(tx.value(COUNT))
        except BaseException as error:
            outcomes.append(error)

    database.subscribe("topic", lambda: None)  # the thread that listens holds one too
    threads = [threading.Thread(target=hold, args=(number == 0,)) for number in range(3)]
    for thread in threads:
        thread.start()
    inside.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        database.close()
        leave.set()
        for thread in threads:
            thread.join(20)
        gc.collect()
    assert sorted(outcomes) == [0, 0, 1]  # what was open ends as it should
    assert [each for each in caplog.records if each.levelno >= logging.WARNING or each.name.startswith("sqlalchemy")] == []
    with pytest.raises(Misuse, match="closed"), database.reading():
        pass
    database.close()


def test_a_listener_that_loses_its_server_says_so_in_one_sentence(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    if database.kind == "sqlite":
        pytest.skip("SQLite has no server")
    database.subscribe("topic", lambda: None)
    assert database._nudges.listening.wait(20)
    session = database.engine.connect()
    session.dbapi.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    session.close()
    end = time.monotonic() + 20
    while not caplog.records and time.monotonic() < end:
        time.sleep(0.01)
    (said,) = caplog.records
    assert said.exc_info is None and "cannot listen for other processes: The database does not answer" in said.getMessage()
