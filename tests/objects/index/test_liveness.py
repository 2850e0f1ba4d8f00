"""What the engine is told of its contents: by their labels, after completions and renames too."""

from __future__ import annotations

import base64
from typing import Any

import sqlalchemy as sa

from mallee.objects.index import garbage, liveness, renames, uploads, usage, versions
from mallee.objects.index.index import Index
from mallee.objects.index.rows import New
from mallee.objects.index.tables import RENAMED
from mallee.store import Database, Tx

from .engines import MemoryEngine


def label(key: bytes, kind: str = "object", bucket: str = "b", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "bucket": bucket, "key": base64.b64encode(key).decode(), **more}


def put(tx: Tx, key: bytes, *locations: str, state: str = "Enabled", bucket: str = "b") -> versions.Version:
    return versions.put(tx, state, New(bucket, key, len(locations), "e", "1", tuple((each, 1) for each in locations)))


def test_versions_old_and_new_hold_their_contents(objects: Database) -> None:
    with objects.transaction() as tx:
        put(tx, b"k", "l:1", "l:2")
        put(tx, b"k", "l:3")
        versions.delete(tx, "Enabled", "b", b"k", "1")
        put(tx, b"\xff/\x00", "l:4")
    asked = [
        ("l:1", label(b"k")),
        ("l:2", label(b"k", version="whatever")),
        ("l:3", label(b"k")),
        ("l:4", label(b"\xff/\x00")),
        ("l:4", label(b"k")),
        ("l:9", label(b"k")),
        ("l:1", label(b"k", bucket="c")),
        ("l:1", label(b"none")),
    ]
    with objects.reading() as tx:
        assert liveness.is_live(tx, asked) == [True, True, True, True, False, False, False, False]


def test_what_is_not_ours_is_left_alone(objects: Database) -> None:
    with objects.reading() as tx:
        assert liveness.is_live(tx, [("l:1", {"kind": "internal"}), ("l:2", {"bucket": "b", "key": "%%%"})]) == [True, True]
    with objects.transaction() as tx:
        assert liveness.moved(tx, [("l:1", "l:2", {"kind": "internal"})]) == [False]


def test_parts_hold_theirs_until_the_upload_ends_and_then_the_object_does(objects: Database) -> None:
    with objects.transaction() as tx:
        upload = uploads.create(tx, "b", b"k", owner="1", initiator="1", storage_class="", attributes={})
        for number in (1, 2):
            uploads.put_part(tx, upload, number, size=1, etag="", content=((f"p:{number}", 1),))
    asked = [(f"p:{number}", label(b"k", "part", upload=upload.upload_id, number=number)) for number in (1, 2)]
    with objects.transaction() as tx:
        assert liveness.is_live(tx, asked) == [True, True]
        assert liveness.moved(tx, [("p:1", "q:1", asked[0][1])]) == [True]
        part = uploads.part(tx, upload.upload_id, 1)
        assert part is not None and part.content == (("q:1", 1),)
        put(tx, b"k", "q:1")
        uploads.complete(tx, upload, [1], {})
        assert liveness.is_live(tx, [("q:1", asked[0][1]), *asked]) == [True, False, False]


def test_moved_contents_are_found_where_they_are(objects: Database) -> None:
    with objects.transaction() as tx:
        first = put(tx, b"k", "m:1", "m:2", "m:1")
        second = put(tx, b"k", "m:3")
    with objects.transaction() as tx:
        moves = [("m:1", "n:1", label(b"k")), ("m:3", "n:3", label(b"k")), ("m:4", "n:4", label(b"k"))]
        assert liveness.moved(tx, moves) == [True, True, False]
    with objects.reading() as tx:
        older = versions.version(tx, "b", b"k", first.version_id)
        latest = versions.current(tx, "b", b"k")
        assert older is not None and older.content == (("n:1", 1), ("m:2", 1), ("n:1", 1))
        assert latest is not None and latest.content == (("n:3", 1),) and latest.made == second.made
        assert liveness.is_live(tx, [("m:1", label(b"k")), ("n:1", label(b"k"))]) == [False, True]


def test_a_renamed_key_keeps_its_bytes(objects: Database) -> None:
    with objects.transaction() as tx:
        put(tx, b"old", "r:1", "r:2", state="")
        put(tx, b"new", "r:0", state="")
    with objects.transaction() as tx:
        made = renames.rename(tx, "b", b"old", b"new")
        assert made is not None and made.key == b"new" and made.size == 2
        assert renames.rename(tx, "b", b"old", b"new") is None
        assert renames.rename(tx, "b", b"new", b"new") == made
    with objects.transaction() as tx:
        assert versions.current(tx, "b", b"old") is None
        assert usage.usage(tx, "b") == usage.count(tx, "b") == usage.Usage("b", 1, 2)
        asked = [("r:0", label(b"new")), ("r:1", label(b"old")), ("r:2", label(b"old"))]
        assert liveness.is_live(tx, asked) == [False, True, True]
        assert liveness.moved(tx, [("r:1", "s:1", label(b"old"))]) == [True]
        assert liveness.is_live(tx, [("s:1", label(b"old")), asked[1]]) == [True, False]
    with objects.transaction() as tx:
        renames.rename(tx, "b", b"new", b"newer")
        assert liveness.is_live(tx, [("s:1", label(b"old"))]) == [True]
        versions.delete(tx, "", "b", b"newer", "1")
        assert liveness.is_live(tx, [("s:1", label(b"old"))]) == [False]
    assert garbage.reclaim(objects, MemoryEngine()) == 3  # type: ignore[arg-type]
    with objects.reading() as tx:
        assert tx.all(sa.select(RENAMED)) == []


def test_an_index_answers_its_engine(index: Index) -> None:
    index.run(lambda tx: put(tx, b"k", "i:1"))
    assert index.is_live([("i:1", label(b"k")), ("i:2", label(b"k"))]) == [True, False]
    assert index.moved([("i:1", "i:2", label(b"k"))]) == [True]
    assert index.is_live([("i:1", label(b"k")), ("i:2", label(b"k"))]) == [False, True]
