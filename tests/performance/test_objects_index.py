"""The index of objects: commits that share a sync, reads that cost the same in a bucket of a thousand and of a million keys. Ratios
within one run; ``-s`` prints the figures."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mallee.objects.index import listing, versions
from mallee.objects.index.index import Index
from mallee.objects.index.rows import New
from mallee.objects.index.tables import CURRENT, NONCURRENT, create_tables
from mallee.store import Database
from tests.objects.index.engines import NullEngine

pytestmark = pytest.mark.performance

FEW, MANY = 1_000, 1_000_000
ATTRIBUTES = {"headers": {"ContentType": "application/octet-stream"}, "metadata": {"mtime": "1700000000.5"}}
ETAG = "d41d8cd98f00b204e9800998ecf8427e"


def best(function: Callable[[], object], runs: int = 15, calls: int = 1) -> float:
    function()
    shortest = float("inf")
    for _ in range(runs):
        began = time.perf_counter()
        for _ in range(calls):
            function()
        shortest = min(shortest, time.perf_counter() - began)
    return shortest / calls


def new(bucket: str, key: bytes, location: str = "p1:0000000000:4096") -> New:
    return New(bucket, key, 4096, ETAG, "123456789012", ((location, 4096),), attributes=ATTRIBUTES)


# commits


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    database = Database(f"sqlite:///{tmp_path}/objects.db")
    create_tables(database)
    database.grow_log()
    made = Index(database, NullEngine())  # type: ignore[arg-type]
    yield made
    made.close()
    database.close()


def rate(index: Index, submitters: int, each: int, name: str) -> float:
    """Puts a second, each durable before the next of its submitter."""

    def submit(number: int) -> None:
        for n in range(each):
            key = f"{name}/{number}/{n * 7919 % 10**6:06d}".encode()
            index.run(lambda tx, at, key=key: versions.put(tx, "", new("b", key, at[0])), [({}, b"")])  # type: ignore[misc]

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(submitters)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return submitters * each / (time.perf_counter() - began)


def bare(path: Path) -> float:
    """Commits a second of sqlite3 alone: one row, one sync."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE bare (id INTEGER PRIMARY KEY, words TEXT)")
    began = time.perf_counter()
    for n in range(500):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO bare VALUES (?, ?)", (n, "x" * 300))
        connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    connection.execute("DROP TABLE bare")
    connection.close()
    return 500 / seconds


def test_commits_share_syncs(index: Index) -> None:
    path = Path(index.database.engine.url.database or "")
    rates: dict[int, float] = {}
    synced: list[float] = []
    for turn in range(3):
        synced.append(bare(path))
        for submitters in (1, 8, 32):
            found = rate(index, submitters, 1200 // submitters, f"{turn}-{submitters}")
            rates[submitters] = max(rates.get(submitters, 0), found)
    alone = max(synced)
    print(f"\nbare commits {alone:.0f}/s; puts at 1, 8, 32: " + ", ".join(f"{found:.0f}/s" for found in rates.values()))
    assert rates[1] > 0.25 * alone
    assert rates[8] > 1.5 * rates[1]
    assert rates[32] > 2.0 * rates[1]


def test_nobody_misses_a_slow_disks_batch(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """With syncs of 5 ms the callers of one batch are all in the next one, too."""
    commit = index.database.engine.commit

    def slow(session: Any) -> None:
        commit(session)
        time.sleep(0.005)

    monkeypatch.setattr(index.database.engine, "commit", slow)
    one, eight = rate(index, 1, 60, "slow-1"), rate(index, 8, 60, "slow-8")
    print(f"\nwith a sync of 5 ms: {one:.0f} puts/s at 1, {eight:.0f} at 8")
    assert eight > 4 * one


# a bucket of a million keys


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Buckets: ``few`` and ``many`` keys; ``one``: as many under one prefix; ``dirs``: a thousand prefixes with a thousand keys each;
    ``old`` and ``older``: versions of keys."""
    path = tmp_path_factory.mktemp("index") / "objects.db"
    database = Database(f"sqlite:///{path}")
    create_tables(database)
    database.grow_log()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous=OFF")
    insert(connection, CURRENT.name, ((row("few", b"k%09d" % n)) for n in range(FEW)))
    insert(connection, CURRENT.name, ((row("many", b"k%09d" % n)) for n in range(MANY)))
    insert(connection, CURRENT.name, ((row("one", b"one/k%09d" % n)) for n in range(MANY)))
    insert(connection, CURRENT.name, ((row("dirs", b"d%03d/k%09d" % divmod(n, 1000))) for n in range(MANY)))
    for bucket, keys in (("old", FEW // 10), ("older", MANY // 10)):
        insert(connection, CURRENT.name, ((row(bucket, b"k%09d" % n)) for n in range(keys)))
        older = (
            {**row(bucket, b"k%09d" % n), "rank": -m, "since": 1, "deleted": 0, "version_id": f"v{m}"}
            for n in range(keys)
            for m in (4, 3, 2, 1)
        )
        insert(connection, NONCURRENT.name, ({k: v for k, v in each.items() if k != "made"} for each in older))
    connection.commit()
    connection.close()
    yield database
    database.close()


def row(bucket: str, key: bytes) -> dict[str, Any]:
    return {
        "bucket_id": bucket,
        "key": key,
        "made": 1_700_000_000_000_000,
        "version_id": "null",
        "modified": 1_700_000_000_000_000,
        "size": 4096,
        "etag": ETAG,
        "storage_class": "STANDARD",
        "owner": "123456789012",
        "checksum": "CRC64NVME:FULL_OBJECT:AAAAAAAAAAA=",
        "attributes": '{"headers":{"ContentType":"application/octet-stream"},"metadata":{"mtime":"1700000000.5"}}',
        "content": '[["p1:0000000000:4096",4096]]',
    }


def insert(connection: sqlite3.Connection, table: str, rows: Iterator[dict[str, Any]]) -> None:
    first = next(rows)
    names = list(first)
    statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    connection.execute(statement, list(first.values()))
    connection.executemany(statement, (list(each.values()) for each in rows))


def page(database: Database, bucket: str, **how: Any) -> Callable[[], Any]:
    def read() -> Any:
        with database.reading() as tx:
            return listing.objects(tx, bucket, **how)

    return read


def test_a_point_read(filled: Database) -> None:
    """The latest version of a key, against the same row by sqlite3 alone."""

    def ours() -> None:
        with filled.reading() as tx:
            versions.current(tx, "many", b"k000500000")

    raw = sqlite3.connect(filled.engine.url.database or "", isolation_level=None)

    def theirs() -> None:
        raw.execute("BEGIN")
        raw.execute("SELECT * FROM s3_current WHERE bucket_id = ? AND key = ?", ("many", b"k000500000")).fetchone()
        raw.execute("COMMIT")

    own, bare_read = best(ours, calls=1000), best(theirs, calls=1000)
    print(f"\ncurrent() {own * 1e6:.1f} µs, sqlite3 alone {bare_read * 1e6:.1f} µs")
    assert own < 3 * bare_read


def test_a_page_costs_the_same_anywhere(filled: Database) -> None:
    small = best(page(filled, "few"))
    found = {
        "first": best(page(filled, "many")),
        "middle": best(page(filled, "many", after=b"k000500000")),
        "last": best(page(filled, "many", after=b"k000998999")),
        "with a delimiter": best(page(filled, "many", after=b"k000500000", delimiter=b"/")),
        "in a directory": best(page(filled, "dirs", prefix=b"d500/", delimiter=b"/")),
    }
    print(f"\npage of 1,000 of 1,000: {small * 1e3:.2f} ms; of 1,000,000: ", end="")
    print(", ".join(f"{name} {seconds * 1e3:.2f}" for name, seconds in found.items()))
    for name, seconds in found.items():
        assert seconds < 1.5 * small, name


def test_what_is_rolled_up_is_not_read(filled: Database) -> None:
    small = best(page(filled, "few"))
    one = best(page(filled, "one", delimiter=b"/"))
    thousand = best(page(filled, "dirs", delimiter=b"/"))
    print(
        f"\nplain page {small * 1e3:.2f} ms; a million keys in one prefix {one * 1e3:.2f} ms, in a thousand {thousand * 1e3:.2f} ms"
    )
    assert one < 0.3 * small
    assert thousand < 8 * small


def test_a_page_of_versions_costs_the_same_anywhere(filled: Database) -> None:
    def read(bucket: str, marker: bytes) -> Callable[[], Any]:
        def versions_page() -> Any:
            with filled.reading() as tx:
                return listing.versions(tx, bucket, key_marker=marker, limit=400)

        return versions_page

    small, large = best(read("old", b"k000000010")), best(read("older", b"k000050000"))
    print(f"\npage of 400 versions: {small * 1e3:.2f} ms of 500, {large * 1e3:.2f} ms of 500,000")
    assert large < 2.5 * small  # of the 100 keys there are not as many latest versions to look at as of 100,000


def test_a_put_costs_the_same_in_any_bucket(filled: Database) -> None:
    """Works of one batch, without syncs: what grows with a bucket is the depth of its tree."""

    def put(bucket: str, numbers: Iterator[int]) -> Callable[[], None]:
        def batch() -> None:
            with filled.transaction(durable=False) as tx:
                for _ in range(32):
                    versions.put(tx, "", new(bucket, b"k%09d.new" % (next(numbers) * 7919 % MANY)))

        return batch

    small, large = best(put("fresh", iter(range(10**6)))), best(put("many", iter(range(10**6))))
    print(f"\na put in a batch of 32: {small / 32 * 1e6:.0f} µs in an empty bucket, {large / 32 * 1e6:.0f} µs among 1,000,000")
    assert large < 2.5 * small
