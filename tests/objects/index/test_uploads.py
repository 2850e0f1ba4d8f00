"""Multipart uploads: parts that replace each other, completion that happens once, what becomes garbage."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mallee.objects.index import buckets, uploads, usage, versions
from mallee.objects.index.index import Index
from mallee.objects.index.rows import BucketClosed, New, Upload, Version
from mallee.objects.index.tables import COMPLETED, GARBAGE, PARTS, UPLOADS
from mallee.store import Database, ManualClock, Tx


def begun(tx: Tx, key: bytes = b"k", bucket: str = "b") -> Upload:
    attributes = {"metadata": {"a": "b"}}
    return uploads.create(tx, bucket, key, owner="1", initiator="2", storage_class="STANDARD", attributes=attributes)


def fill(tx: Tx, upload: Upload, *numbers: int, size: int = 5, mark: str = "") -> None:
    for number in numbers:
        location = f"{upload.upload_id[-6:]}:{number}{mark}"
        assert uploads.put_part(tx, upload, number, size=size, etag=f"e{number}", content=((location, size),))


def finish(tx: Tx, upload: Upload, chosen: list[int]) -> Version | dict[str, Any]:
    """What a front end does to complete an upload."""
    if uploads.get(tx, upload.bucket_id, upload.key, upload.upload_id) is None:
        result = uploads.completed(tx, upload.bucket_id, upload.key, upload.upload_id)
        assert result is not None
        return result
    found = [part for part in uploads.parts(tx, upload.upload_id) if part.number in chosen]
    content = tuple(piece for part in found for piece in part.content)
    made = versions.put(tx, "Enabled", New(upload.bucket_id, upload.key, sum(p.size for p in found), "e-2", "1", content))
    assert uploads.complete(tx, upload, chosen, {"etag": "e-2", "version_id": made.version_id})
    return made


def locations(tx: Tx) -> set[str]:
    return {row[0].partition(":")[2] for row in tx.all(sa.select(GARBAGE.c.location))}


def test_from_beginning_to_end(objects: Database) -> None:
    with objects.transaction() as tx:
        upload = begun(tx)
        assert uploads.get(tx, "b", b"k", upload.upload_id) == upload
        assert uploads.get(tx, "b", b"other", upload.upload_id) is None
        fill(tx, upload, 1, 2, 3, 7)
        fill(tx, upload, 2, size=9, mark="again")
    with objects.reading() as tx:
        assert usage.usage(tx, "b") == usage.count(tx, "b") == usage.Usage("b", uploads=1, upload_bytes=24)
        assert [part.number for part in uploads.parts(tx, upload.upload_id)] == [1, 2, 3, 7]
        assert [part.number for part in uploads.parts(tx, upload.upload_id, 1, 2)] == [2, 3]
        assert locations(tx) == {"2"}
    with objects.transaction() as tx:
        made = finish(tx, upload, [1, 2, 7])
        assert isinstance(made, Version) and made.size == 19 and len(made.content) == 3
    with objects.transaction() as tx:
        assert uploads.get(tx, "b", b"k", upload.upload_id) is None
        assert uploads.parts(tx, upload.upload_id) == []
        assert locations(tx) == {"2", "3"}
        assert usage.usage(tx, "b") == usage.count(tx, "b") == usage.Usage("b", 1, 19)
        assert finish(tx, upload, [1, 2, 7]) == {"etag": "e-2", "version_id": made.version_id}
        assert uploads.completed(tx, "b", b"other", upload.upload_id) is None
        assert not uploads.complete(tx, upload, [1], {}) and not uploads.abort(tx, upload)
        assert uploads.put_part(tx, upload, 1, size=1, etag="", content=()) is None


def test_an_abort_leaves_nothing(objects: Database) -> None:
    with objects.transaction() as tx:
        upload = begun(tx)
        fill(tx, upload, 1, 10_000)
        assert uploads.abort(tx, upload)
    with objects.reading() as tx:
        assert locations(tx) == {"1", "10000"}
        assert tx.all(sa.select(PARTS)) == [] and tx.all(sa.select(UPLOADS)) == []
        assert usage.usage(tx, "b") == usage.count(tx, "b") == usage.Usage("b")
        assert uploads.completed(tx, "b", b"k", upload.upload_id) is None


def test_uploads_of_a_key_stand_by_their_beginning(objects: Database, clock: ManualClock) -> None:
    with objects.transaction() as tx:
        first = begun(tx)
    clock.advance(1)
    with objects.transaction() as tx:
        second = begun(tx)
        assert [each.upload_id for each in uploads.find(tx, "b").entries] == [first.upload_id, second.upload_id]
        page = uploads.find(tx, "b", limit=1)
        assert page.last == first and page.next == b"k"
        rest = uploads.find(tx, "b", key_marker=b"k", upload_marker=first.upload_id)
        assert rest.entries == [second] and rest.next is None


def test_completions_at_once_happen_once(index: Index) -> None:
    upload = index.run(begun)
    index.run(lambda tx: fill(tx, upload, *range(1, 20)))
    answers: list[Any] = []

    def complete() -> None:
        answers.append(index.run(lambda tx: finish(tx, upload, list(range(1, 20)))))

    threads = [threading.Thread(target=complete) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [answer for answer in answers if isinstance(answer, Version)]
    assert len(made) == 1 and len(answers) == 16
    assert {answer["version_id"] for answer in answers if isinstance(answer, dict)} == {made[0].version_id}
    with index.reading() as tx:
        assert usage.usage(tx, "b") == usage.count(tx, "b") == usage.Usage("b", 1, 95)


def test_completions_are_forgotten_after_a_day(objects: Database, clock: ManualClock) -> None:
    with objects.transaction() as tx:
        upload = begun(tx)
        fill(tx, upload, 1)
        finish(tx, upload, [1])
    clock.advance(timedelta(hours=23).total_seconds())
    with objects.transaction() as tx:
        uploads.purge(tx)
        assert uploads.completed(tx, "b", b"k", upload.upload_id) is not None
    clock.advance(timedelta(hours=2).total_seconds())
    with objects.transaction() as tx:
        uploads.purge(tx)
        assert tx.all(sa.select(COMPLETED)) == []


def test_a_closed_buckets_uploads_are_cleared_away(objects: Database) -> None:
    with objects.transaction() as tx:
        doomed = [begun(tx, b"k%d" % n) for n in range(5)]
        kept = begun(tx, bucket="c")
        for upload in (*doomed, kept):
            fill(tx, upload, 1, 2)
        assert buckets.close(tx, "b")
    with objects.transaction() as tx:
        for work in (lambda: begun(tx), lambda: fill(tx, doomed[0], 3)):
            with pytest.raises(BucketClosed):
                work()
    with objects.transaction() as tx:
        assert uploads.purge(tx, 3) == 3
    with objects.transaction() as tx:
        assert uploads.purge(tx, 3) == 2
    with objects.transaction() as tx:
        assert uploads.purge(tx) == 0
    with objects.reading() as tx:
        assert len(tx.all(sa.select(GARBAGE))) == 10
        assert [row.upload_id for row in tx.all(sa.select(UPLOADS))] == [kept.upload_id]
        assert usage.all_usage(tx) == [usage.Usage("c", uploads=1, upload_bytes=10)]


def test_a_completed_content_of_many_parts_comes_back(objects: Database) -> None:
    with objects.transaction() as tx:
        upload = begun(tx)
        fill(tx, upload, *range(1, 2001))
    with objects.transaction() as tx:
        made = finish(tx, upload, list(range(1, 2001)))
    with objects.reading() as tx:
        found = versions.current(tx, "b", b"k")
        assert found == made and found is not None and len(found.content) == 2000
