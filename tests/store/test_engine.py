"""The engines' own promises: what was committed stays, what cannot be reached is named, what comes back is used again."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import column, func, select
from sqlalchemy import table as sa_table

from mallee.store import Conflict, Database, Misuse, StoreUnavailable, schema
from mallee.store.engine import LOG_SIZE
from tests import postgresql
from tests.store.tables import ALICE, PLACES, THINGS


def count(database: Database) -> int:
    with database.reading() as tx:
        return int(tx.value(select(func.count()).select_from(PLACES)))


def test_sqlite_is_set_up_to_keep_what_it_commits(sqlite: Database) -> None:
    with sqlite.reading() as tx:
        session = tx._work.session
        pragmas = {
            name: session.command(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    with sqlite3.connect(sqlite.engine.url.database or "") as raw:
        strict = dict(raw.execute("SELECT name, strict FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"))
    assert strict["nudges"] == strict["journal"] == strict["sample_things"] == 1


def test_a_lazy_transaction_leaves_the_connection_as_it_was(sqlite: Database) -> None:
    for _ in range(2):
        with sqlite.transaction(durable=False) as tx:
            assert tx._work.session.command("PRAGMA synchronous").fetchone()[0] == 1
            tx.put(PLACES, id="p")
        with sqlite.transaction() as tx:
            assert tx._work.session.command("PRAGMA synchronous").fetchone()[0] == 2
    sqlite.checkpoint()


WRITER = """
import sys
from mallee.store import Database
from tests.store.tables import PLACES
database = Database(sys.argv[1])
for number in range(1_000_000):
    with database.transaction(durable=number % 2 == 0) as tx:
        tx.insert(PLACES, id=f"{sys.argv[2]}-{number}", size=number)
    print(number, flush=True)
"""


def test_nothing_that_was_committed_is_lost_by_a_kill(sqlite: Database) -> None:
    """Twelve writers are killed, mostly in the middle of something; what each had said is there."""
    for turn in range(12):
        command = [sys.executable, "-c", WRITER, sqlite.url, str(turn)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(turn * 3 + 1)]
        writer.send_signal(signal.SIGKILL)
        said += [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        with sqlite.reading() as tx:
            kept = {row.size for row in tx.all(select(PLACES).where(PLACES.c.id.startswith(f"{turn}-")))}
        assert set(said) <= kept <= {*said, len(said)}


def test_many_threads_write_without_disturbing_each_other(database: Database) -> None:
    errors: list[BaseException] = []

    def write(name: int) -> None:
        try:
            for number in range(20):
                database.run(lambda tx, n=number: tx.insert(PLACES, id=f"{name}-{n}", size=n))  # type: ignore[misc]
                count(database)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and count(database) == 120


def test_a_full_disk_has_a_name(sqlite: Database) -> None:
    """As ``max_page_count`` makes it: SQLite's answer is the same as on a disk that is full."""
    session = sqlite.engine.begin_read()
    pages = session.command("PRAGMA page_count").fetchone()[0]
    session.command("ROLLBACK")
    session.command(f"PRAGMA max_page_count = {pages + 4}")
    sqlite.engine.release(session)
    with pytest.raises(StoreUnavailable) as caught, sqlite.transaction() as tx:
        tx.insert_many(PLACES, [{"id": "p" * 1000 + str(number)} for number in range(100)])
    assert caught.value.fault == "disk-full" and "Free space" in caught.value.remedy
    assert sqlite.trouble is caught.value
    assert count(sqlite) == 0
    with sqlite.transaction() as tx:  # what little there is still works
        tx.insert(PLACES, id="p")
    assert sqlite.trouble is None


def test_a_database_held_by_another_process(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    session = sqlite.engine.begin_read()
    session.command("ROLLBACK")
    session.command("PRAGMA busy_timeout = 20")
    sqlite.engine.release(session)
    holder = sqlite3.connect(sqlite.engine.url.database or "", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="write lock"), sqlite.transaction():
        pass
    assert count(sqlite) == 0  # readers are not disturbed
    holder.execute("ROLLBACK")
    with sqlite.transaction() as tx:
        tx.insert(PLACES, id="p")


@pytest.mark.parametrize(
    ("content", "fault"), [(b"this is not a database, though it is long enough to look like one" * 20, "database-corrupt")]
)
def test_a_damaged_file(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "bad.db").write_bytes(content)
    database = Database(f"sqlite:///{tmp_path}/bad.db")
    with pytest.raises(StoreUnavailable) as caught, database.reading() as tx:
        tx.all(select(PLACES))
    assert caught.value.fault == fault
    database.close()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/none/cloud.db")
    with pytest.raises(StoreUnavailable, match="unable to open"), database.transaction():
        pass


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://somewhere/x"])
def test_urls_that_make_no_sense(url: str) -> None:
    with pytest.raises((ValueError, ImportError)):
        Database(url)


def test_a_closed_database_is_closed(sqlite: Database) -> None:
    sqlite.close()
    with pytest.raises(Misuse, match="closed"), sqlite.reading():
        pass


# ----------------------------------------------------------------------------------------------------------- PostgreSQL


def test_a_server_that_goes_and_comes_back(postgresql_server: postgresql.Server) -> None:
    """With a server of its own: calls fail by name while it is away, and work again, with old connections, when it is back."""
    folder = postgresql.binaries()
    assert folder is not None
    server = postgresql.Server(folder)
    try:
        database = Database(server.create("cloud"))
        schema.create(database)
        with database.transaction() as tx:
            tx.insert(PLACES, id="p-1")
        heard = threading.Event()
        database.subscribe("topic", heard.set)
        server.halt()
        for opened in (database.transaction(), database.reading()):
            with pytest.raises(StoreUnavailable) as caught, opened:
                pass
        assert caught.value.fault == "database-unreachable" and caught.value.cause.startswith("The database does not answer")
        assert database.trouble is not None
        server.resume()
        assert count(database) == 1
        with database.transaction() as tx:
            tx.insert(PLACES, id="p-2")
        assert database.trouble is None
        assert heard.wait(10)  # deaf for a while, so everybody is told to look
        database.close()
    finally:
        server.stop()


def test_a_connection_that_dies_in_the_middle(postgresql_server: postgresql.Server) -> None:
    database = Database(postgresql_server.create("dying"), synchronous=False)
    schema.create(database)
    with pytest.raises(StoreUnavailable), database.transaction() as tx:
        tx.insert(PLACES, id="p-1")
        pid = tx._work.session.dbapi.info.backend_pid
        _terminate(database, pid)
        tx.insert(PLACES, id="p-2")
    assert count(database) == 0
    with database.transaction() as tx:
        tx.insert(PLACES, id="p-3")
    with pytest.raises(StoreUnavailable), database.transaction() as tx:
        tx.insert(PLACES, id="p-4")
        _terminate(database, tx._work.session.dbapi.info.backend_pid)
    assert count(database) == 1
    database.close()
    postgresql_server.drop("dying")


def _terminate(database: Database, pid: int) -> None:
    session = database.engine.connect()
    session.dbapi.execute("SELECT pg_terminate_backend(%s)", (pid,))
    while session.dbapi.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone():
        pass
    session.close()


def test_a_url_without_driver_is_psycopg(postgresql_server: postgresql.Server) -> None:
    url = postgresql_server.create("plain").replace("postgresql+psycopg", "postgresql")
    database = Database(url)
    with database.reading() as tx:
        assert tx.value(select(1)) == 1
    database.close()
    postgresql_server.drop("plain")


def test_a_deadlock_is_a_conflict_and_is_done_again(database: Database) -> None:
    if database.kind == "sqlite":
        pytest.skip("SQLite has one writer, so no deadlock")
    with database.transaction(ALICE) as tx:
        tx.insert(THINGS, id="t-1", name="1", size=0)
        tx.insert(THINGS, id="t-2", name="2", size=0)
    barrier = threading.Barrier(2)
    conflicts: list[Conflict] = []

    def cross(first: str, second: str) -> None:
        waited = False

        def work(tx: object) -> None:
            nonlocal waited
            for name in (first, second):
                row = tx.lock(THINGS, name)  # type: ignore[attr-defined]
                if not waited:
                    waited = True
                    barrier.wait(10)
                try:
                    tx.change(THINGS, name, size=row.size + 1)  # type: ignore[attr-defined]
                except Conflict as conflict:
                    conflicts.append(conflict)
                    raise

        database.run(work, ALICE)

    threads = [threading.Thread(target=cross, args=names) for names in (("t-1", "t-2"), ("t-2", "t-1"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading(ALICE) as tx:
        assert sorted(row.size for row in tx.all(select(THINGS))) == [2, 2]


def test_the_tests_own_server_is_not_reachable_from_outside(postgresql_server: postgresql.Server) -> None:
    assert os.path.exists(postgresql_server.home / ".s.PGSQL.5432")
    with Database(postgresql_server.url("postgres")).reading() as tx:
        assert tx._work.session.command("SHOW listen_addresses").fetchone()[0] == ""


COMMITS = """
import sys
from mallee.store import Database
from tests.store.tables import ALICE, THINGS
database = Database(sys.argv[1])
with database.transaction(ALICE) as tx:
    tx.insert(THINGS, id="first", name="first")
print("MARK", file=sys.stderr, flush=True)
for number in range(10):
    with database.transaction(ALICE, durable=sys.argv[2] == "durable") as tx:
        tx.insert_many(THINGS, [{"id": f"{number}-{n}", "name": f"{number}-{n}"} for n in range(20)])
        tx.nudge("jobs")
print("MARK", file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize(("kind", "synced"), [("durable", 10), ("lazy", 0)])
def test_a_commit_is_one_sync(sqlite: Database, kind: str, synced: int) -> None:
    """Rows, journal and nudges together."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    command = [strace, "-f", "-e", "trace=fsync,fdatasync", sys.executable, "-c", COMMITS, sqlite.url, kind]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=60)
    if done.returncode != 0 and "ptrace" in done.stderr.lower():
        pytest.skip("nothing may be traced here")
    assert done.returncode == 0, done.stderr[-2000:]
    between = done.stderr.split("MARK")[1]
    assert len(re.findall(r"\bf(?:data)?sync\(", between)) == synced


def test_the_log_is_grown_and_nothing_else(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/cloud.db")
    schema.create(database)
    log = tmp_path / "cloud.db-wal"
    database.grow_log()
    grown = log.stat().st_size
    assert grown >= LOG_SIZE
    database.grow_log()
    for number in range(2):
        with database.transaction(ALICE) as tx:
            tx.insert(THINGS, id=f"t-{number}", name=f"n-{number}")
        database.checkpoint()
    with database.reading(ALICE) as tx:
        assert tx.value(select(func.count()).select_from(THINGS)) == 2
        names = select(column("name")).select_from(sa_table("sqlite_master", column("name")))
        assert "room" not in {row.name for row in tx.all(names)}
    assert log.stat().st_size == grown and (tmp_path / "cloud.db").stat().st_size < LOG_SIZE
    database.close()


def test_a_small_disk_keeps_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(f"sqlite:///{tmp_path}/cloud.db")
    schema.create(database)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=LOG_SIZE * 2))
    database.grow_log()
    with database.transaction(ALICE) as tx:
        tx.insert(THINGS, id="t-1")
    assert (tmp_path / "cloud.db-wal").stat().st_size < LOG_SIZE
    database.close()


def test_only_who_uses_postgresql_loads_its_driver(tmp_path: Path) -> None:
    """It takes 7 MB of memory."""
    code = f"""
import sys
from mallee.store import Database, schema
database = Database("sqlite:///{tmp_path}/cloud.db")
schema.create(database)
assert "psycopg" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
