"""Listings as the databases do them, against the slow way; and that each statement is a search along a primary key."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mallee.objects.index import garbage, listing, liveness, scans, uploads, usage, versions
from mallee.objects.index.rows import Entry
from mallee.objects.index.tables import CURRENT, NONCURRENT, UPLOADS, create_tables
from mallee.store import Database

from . import oracle

ATOMS = [b"a", b"b", b"/", b"//", b"\x00", b"\xff", b"\xfe", b"'", b"%", "é".encode(), "€".encode(), "😀".encode(), b"\\"]


def some_keys(dice: random.Random, many: int) -> list[bytes]:
    deep = {b"".join(dice.choices(ATOMS, k=dice.randint(1, 6))) for _ in range(many)}
    deep |= {b"dir%d/%04d" % (n, m) for n in range(12) for m in range(40)} | {b"dir%d~" % n for n in range(12)}
    return sorted(deep)


def asked(dice: random.Random, keys: list[bytes]) -> tuple[bytes, bytes, bytes, int]:
    key = dice.choice(keys)
    prefix = dice.choice([b"", b"", b"d", b"dir1", b"dir1/", key, key[: dice.randint(0, len(key))], b"zzz"])
    delimiter = dice.choice([b"", b"/", b"/", b"//", b"\x00", b"\xff", b"a/", "é".encode(), b"'", b"ir", b"\xfe\xff"])
    after = dice.choice([b"", b"", dice.choice(keys), dice.choice(keys)[:3], b"\xff\xff"])
    return prefix, delimiter, after, dice.choice([0, 1, 2, 3, 10, 70, 1000])


def test_objects(objects: Database) -> None:
    dice = random.Random(1)
    keys = some_keys(dice, 300)
    with objects.transaction() as tx:
        tx.insert_many(CURRENT, [current("b", key, 1) for key in keys])
        tx.insert_many(CURRENT, [current("c", b"/other", 1), current("a", b"/other", 1)])
    with objects.reading() as tx:
        for _ in range(400):
            prefix, delimiter, after, limit = asked(dice, keys)
            page = listing.objects(tx, "b", prefix=prefix, delimiter=delimiter, after=after, limit=limit)
            everything = oracle.items([(key,) for key in keys], prefix, delimiter, lambda row, after=after: row[0] > after, after)  # type: ignore[misc]
            found = [(entry.key,) for entry in page.entries], page.prefixes, page.next
            assert found == oracle.page(everything, limit), (prefix, delimiter, after, limit)


def test_versions(objects: Database) -> None:
    dice = random.Random(2)
    keys = some_keys(dice, 150)
    rows: list[tuple[bytes, int, bool, bool]] = []  # key, -made, deleted, latest
    for key in keys:
        made = sorted(dice.sample(range(1, 100), dice.choice([1, 1, 2, 5])), reverse=True)
        marked = dice.random() < 0.3
        rows += [(key, -each, dice.random() < 0.2 if n else marked, n == 0) for n, each in enumerate(made)]
    rows.sort()
    with objects.transaction() as tx:
        tx.insert_many(CURRENT, [current("b", key, -rank) for key, rank, deleted, latest in rows if latest and not deleted])
        older = [row for row in rows if not row[3] or row[2]]
        tx.insert_many(NONCURRENT, [noncurrent("b", *row) for row in older])
    with objects.reading() as tx:
        for _ in range(400):
            prefix, delimiter, marker, limit = asked(dice, keys)
            version, rank = "", None
            of_key = [row for row in rows if row[0] == marker]
            if of_key and dice.random() < 0.7:
                rank = dice.choice(of_key)[1]
                version = str(-rank)
                if dice.random() < 0.2:
                    version, rank = "gone", -1000
            page = listing.versions(
                tx, "b", prefix=prefix, delimiter=delimiter, key_marker=marker, version_marker=version, limit=limit
            )

            def shown(row: Any, marker: bytes = marker, rank: int | None = rank) -> bool:
                return bool(row[0] > marker if rank is None else row[:2] > (marker, rank))

            everything = oracle.items(rows, prefix, delimiter, shown, marker)
            expected = oracle.page(everything, limit)
            assert ([as_row(entry) for entry in page.entries], page.prefixes, page.next) == expected, (prefix, delimiter, marker)
            if page.last is not None:
                assert (page.last.key, page.entries[-1]) == (page.next, page.last)


def as_row(entry: Entry) -> tuple[bytes, int, bool, bool]:
    return entry.key, -int(entry.version_id), entry.deleted, entry.is_latest


def test_uploads(objects: Database) -> None:
    dice = random.Random(3)
    keys = some_keys(dice, 100)
    rows = sorted((key, f"u{n:03d}") for key in keys for n in dice.sample(range(100), dice.choice([1, 1, 3])))
    with objects.transaction() as tx:
        fixed = {"created": tx.now, "storage_class": "", "owner": "", "initiator": "", "attributes": None}
        tx.insert_many(UPLOADS, [{"bucket_id": "b", "key": key, "upload_id": each, **fixed} for key, each in rows])
    with objects.reading() as tx:
        for _ in range(200):
            prefix, delimiter, marker, limit = asked(dice, keys)
            upload = dice.choice(["", "", f"u{dice.randint(0, 99):03d}"]) if marker else ""
            page = uploads.find(tx, "b", prefix=prefix, delimiter=delimiter, key_marker=marker, upload_marker=upload, limit=limit)

            def shown(row: Any, marker: bytes = marker, upload: str = upload) -> bool:
                return bool(row > (marker, upload) if upload else row[0] > marker)

            everything = oracle.items(rows, prefix, delimiter, shown, marker)
            found = [(each.key, each.upload_id) for each in page.entries], page.prefixes, page.next
            assert found == oracle.page(everything, limit), (prefix, delimiter, marker, upload, limit)


def test_scans_see_everything_once(objects: Database) -> None:
    with objects.transaction() as tx:
        tx.insert_many(CURRENT, [current("b", b"%03d" % n, 5) for n in range(50)])
        tx.insert_many(NONCURRENT, [noncurrent("b", b"%03d" % n, -made, False, False) for n in range(50) for made in (3, 4)])
        tx.insert_many(NONCURRENT, [noncurrent("d", b"x", -1, True, True)])
    with objects.reading() as tx:
        latest, older = [], []
        while found := scans.scan_current(tx, "b", latest[-1].key if latest else None, 7):
            latest += found
        while more := scans.scan_noncurrent(tx, "b", older[-1] if older else None, 7):
            older += more
        assert [each.key for each in latest] == [b"%03d" % n for n in range(50)]
        assert [(each.key, each.made) for each in older] == [(b"%03d" % n, made) for n in range(50) for made in (4, 3)]
        assert all(not each.is_latest and each.since for each in older)
        assert [scans.next_bucket(tx), scans.next_bucket(tx, "b"), scans.next_bucket(tx, "d")] == ["b", "d", None]


def current(bucket: str, key: bytes, made: int) -> dict[str, Any]:
    return {"bucket_id": bucket, "key": key, "made": made, **rest(made)}


def noncurrent(bucket: str, key: bytes, rank: int, deleted: bool, latest: bool) -> dict[str, Any]:
    from datetime import UTC, datetime

    since = None if latest else datetime(2024, 1, 1, tzinfo=UTC)
    return {"bucket_id": bucket, "key": key, "rank": rank, "since": since, "deleted": deleted, **rest(-rank)}


def rest(made: int) -> dict[str, Any]:
    from datetime import UTC, datetime

    return {
        "version_id": str(made),
        "modified": datetime(2024, 1, 1, tzinfo=UTC),
        "size": made,
        "etag": "e",
        "storage_class": "STANDARD",
        "owner": "1",
        "checksum": "",
        "attributes": None,
        "content": (),
    }


SORTED = {"_LEAP", "_LEAP_OLDER"}  # by the number of the step, which is a handful
WHOLE = {"OLDER", "_ALL", "_OLDEST", "_OF_CLOSED", "_FORGET", "_SUMS"}


def statements() -> Iterator[tuple[str, Any]]:
    for module in (listing, versions, uploads, liveness, scans, usage, garbage):
        for name, value in vars(module).items():
            if isinstance(value, sa.Select) and name not in WHOLE:
                yield f"{module.__name__.rpartition('.')[2]}.{name}", value


def plan(database: Database, statement: Any) -> list[str]:
    with database.reading() as tx:
        compiled = statement.compile(dialect=tx._connection.dialect)
        lists = {bind.key: ["x", "y"] for bind in compiled.bind_names if bind.expanding}
        if lists:
            whole = {"render_postcompile": True}
            compiled = statement.params(lists).compile(dialect=tx._connection.dialect, compile_kwargs=whole)
        rows = tx._work.session.dbapi.execute(f"EXPLAIN QUERY PLAN {compiled}", [1] * len(compiled.positiontup)).fetchall()
    return [row[3] for row in rows]


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """PostgreSQL plans by what is in the tables, so only SQLite's plans say something here."""
    made = Database(f"sqlite:///{tmp_path}/objects.db")
    create_tables(made)
    yield made
    made.close()


def test_pages_begin_within_a_key(sqlite: Database) -> None:
    """However many versions or uploads a key has."""
    for statement, second in ((listing._OLDER, "rank"), (scans._NONCURRENT, "rank"), (uploads._RANGE, "upload_id")):
        assert f"(key,{second})>(?,?)" in " ".join(plan(sqlite, statement))


@pytest.mark.parametrize("name, statement", [pytest.param(*each, id=each[0]) for each in statements()])
def test_every_question_is_a_search(sqlite: Database, name: str, statement: Any) -> None:
    lines = plan(sqlite, statement)
    whole = name.rpartition(".")[2] in ("_BACKLOG", "_IS_GARBAGE")  # what operators ask of the garbage, which is short
    assert whole or not [line for line in lines if line.startswith("SCAN s3_")], lines
    if name.rpartition(".")[2] not in SORTED:
        assert not [line for line in lines if "TEMP B-TREE" in line], lines
