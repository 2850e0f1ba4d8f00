"""What puts and deletes leave of a key's versions, in every state of versioning, against a list in memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mallee.objects.index import buckets, listing, usage, versions
from mallee.objects.index.rows import BucketClosed, New, Version
from mallee.objects.index.tables import GARBAGE
from mallee.store import Database, ManualClock, Tx

KEYS = [b"a", b"a\x00"]
OPERATIONS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(KEYS), st.integers(0, 9)),
    st.tuples(st.just("delete"), st.sampled_from(KEYS), st.just(0)),
    st.tuples(st.just("remove"), st.sampled_from(KEYS), st.sampled_from([0, 0, 1, 2, 3])),
    st.tuples(st.just("change"), st.sampled_from(KEYS), st.integers(0, 3)),
    st.tuples(st.just("state"), st.just(b""), st.sampled_from([1, 2])),
    st.tuples(st.just("clock"), st.just(b""), st.sampled_from([0, 1, 1, 60, -3600])),
)
STATES = ["", "Enabled", "Suspended"]
_numbers = itertools.count(1)


@dataclass(frozen=True)
class One:
    """A version as the model has it."""

    version_id: str
    deleted: bool
    size: int
    location: str | None
    since: datetime | None = None
    storage_class: str = "STANDARD"


class Model:
    """The versions of each key, the newest first, by AWS's rules."""

    def __init__(self) -> None:
        self.keys: dict[bytes, list[One]] = {key: [] for key in KEYS}
        self.garbage: set[str] = set()

    def drop(self, key: bytes, one: One) -> None:
        found = self.keys[key]
        was_latest = found[0] is one
        found.remove(one)
        if one.location:
            self.garbage.add(one.location)
        if was_latest and found:
            found[0] = replace(found[0], since=None)

    def add(self, key: bytes, one: One, now: datetime, null: bool) -> None:
        if null:
            for other in [other for other in self.keys[key] if other.version_id == "null"]:
                latest = self.keys[key][0] is other
                since = self.keys[key][1].since if latest and len(self.keys[key]) > 1 else None
                self.drop(key, other)
                if latest and self.keys[key]:  # the one behind it was noncurrent before, and stays so
                    self.keys[key][0] = replace(self.keys[key][0], since=since)
        found = self.keys[key]
        if found and found[0].since is None:
            found[0] = replace(found[0], since=now)
        found.insert(0, one)

    def usage(self, bucket: str) -> usage.Usage:
        latest = [found[0] for found in self.keys.values() if found and not found[0].deleted]
        everything = [one for found in self.keys.values() for one in found]
        size = sum(one.size for one in latest)
        rest = len(everything) - len(latest)
        return usage.Usage(bucket, len(latest), size, rest, sum(one.size for one in everything) - size)


def new(bucket: str, key: bytes, size: int, location: str, **more: Any) -> New:
    attributes = {"tags": {"size": str(size)}} if size % 2 else {}
    return New(bucket, key, size, f"etag{size}", "111122223333", ((location, size),), attributes=attributes, **more)


def garbage_of(tx: Tx, known: int = 0) -> set[str]:
    return {row[0] for row in tx.all(sa.select(GARBAGE.c.location))}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(OPERATIONS, min_size=12, max_size=40), st.integers(0, 2))
def test_any_history(objects: Database, clock: ManualClock, operations: Sequence[tuple[str, bytes, int]], first: int) -> None:
    """Histories begin in any state, so that most of them are about versions; "never" is left for good by the others."""
    bucket = f"b-{next(_numbers)}"
    model, state = Model(), STATES[first]
    for what, key, number in operations:
        if what == "state":
            state = STATES[number]
        elif what == "clock":
            clock.advance(number)
        else:
            with objects.transaction() as tx:
                before = tx.memory.get("mallee.objects.index.made", 0)
                do(tx, model, bucket, state, what, key, number)
                assert tx.memory.get("mallee.objects.index.made", 0) >= before
    check(objects, model, bucket)


def do(tx: Tx, model: Model, bucket: str, state: str, what: str, key: bytes, number: int) -> None:
    found = model.keys[key]
    if what == "put":
        location = f"{bucket}:{next(_numbers)}"
        made = versions.put(tx, state, new(bucket, key, number, location))
        assert (made.version_id == "null") == (state != "Enabled")
        model.add(key, One(made.version_id, False, number, location), tx.now, state != "Enabled")
        assert versions.current(tx, bucket, key) == made
    elif what == "delete":
        marker = versions.delete(tx, state, bucket, key, "111122223333")
        if state == "":
            assert marker is None
            for one in list(found):
                model.drop(key, one)
        else:
            assert marker is not None and marker.deleted and marker.is_latest
            assert (marker.version_id == "null") == (state == "Suspended")
            model.add(key, One(marker.version_id, True, 0, None), tx.now, state == "Suspended")
            assert versions.current(tx, bucket, key) == marker
    elif what == "remove":
        if number >= len(found):
            assert versions.delete_version(tx, bucket, key, "nothing") is None
            return
        one = found[number]
        gone = versions.delete_version(tx, bucket, key, one.version_id)
        assert gone is not None and gone.is_latest == (number == 0) and gone.deleted == one.deleted
        model.drop(key, one)
    elif what == "change" and number < len(found):
        one = found[number]
        known = versions.version(tx, bucket, key, one.version_id)
        assert known is not None
        changed = versions.change(tx, known, storage_class="GLACIER", attributes={"tags": {"n": "1"}})
        if one.deleted:
            assert changed is None
            return
        assert changed == versions.version(tx, bucket, key, one.version_id)
        found[number] = replace(one, storage_class="GLACIER")


def check(objects: Database, model: Model, bucket: str) -> None:
    with objects.reading() as tx:
        for key, expected in model.keys.items():
            current = versions.current(tx, bucket, key)
            assert (current is None) == (not expected)
            last = None
            for n, one in enumerate(expected):
                there = versions.version(tx, bucket, key, one.version_id)
                assert there is not None
                assert (there.deleted, there.size, there.is_latest) == (one.deleted, one.size, n == 0)
                assert (there.since is None) == (n == 0) and there.since == one.since
                assert [location for location, _ in there.content] == ([one.location] if one.location else [])
                if not one.deleted:
                    assert there.storage_class == one.storage_class
                assert last is None or there.made < last
                last = there.made
                if n == 0:
                    assert current == there
        listed = listing.versions(tx, bucket)
        everything = [(key, one) for key in sorted(model.keys) for one in model.keys[key]]
        assert [(entry.key, entry.version_id, entry.deleted, entry.size) for entry in listed.entries] == [
            (key, one.version_id, one.deleted, one.size) for key, one in everything
        ]
        assert [entry.is_latest for entry in listed.entries] == [model.keys[key][0] is one for key, one in everything]
        shown = [key for key in sorted(model.keys) if model.keys[key] and not model.keys[key][0].deleted]
        assert [entry.key for entry in listing.objects(tx, bucket).entries] == shown
        assert usage.usage(tx, bucket) == model.usage(bucket) == usage.count(tx, bucket)
        assert {each for each in garbage_of(tx) if each.startswith(f"{bucket}:")} == model.garbage


def test_a_delete_marker_that_is_removed_brings_back_what_it_hid(objects: Database, clock: ManualClock) -> None:
    with objects.transaction() as tx:
        first = versions.put(tx, "Enabled", new("b", b"k", 1, "d:1"))
        one = versions.delete(tx, "Enabled", "b", b"k", "1")
        two = versions.delete(tx, "Enabled", "b", b"k", "1")
        assert one is not None and two is not None and one.version_id != two.version_id
    with objects.transaction() as tx:
        versions.delete_version(tx, "b", b"k", two.version_id)
        assert versions.current(tx, "b", b"k") == one
        versions.delete_version(tx, "b", b"k", one.version_id)
        assert versions.current(tx, "b", b"k") == first
        assert [entry.key for entry in listing.objects(tx, "b").entries] == [b"k"]


def test_a_suspended_bucket_has_one_null_version_a_key(objects: Database) -> None:
    """As "Working with objects in a versioning-suspended bucket" tells it: the null version that was there before versioning goes when
    another is put, and when the key is deleted; versions with ids stay."""
    with objects.transaction() as tx:
        versions.put(tx, "", new("b", b"k", 1, "s:1"))
        kept = versions.put(tx, "Enabled", new("b", b"k", 2, "s:2"))
        null = versions.put(tx, "Suspended", new("b", b"k", 3, "s:3"))
        assert [entry.version_id for entry in listing.versions(tx, "b").entries] == ["null", kept.version_id]
        assert versions.version(tx, "b", b"k", "null") == null
        marker = versions.delete(tx, "Suspended", "b", b"k", "1")
        assert marker is not None and versions.version(tx, "b", b"k", "null") == marker
        assert [entry.version_id for entry in listing.versions(tx, "b").entries] == ["null", kept.version_id]
        versions.delete_version(tx, "b", b"k", "null")
        found = versions.current(tx, "b", b"k")
        assert found is not None and found.version_id == kept.version_id
    with objects.reading() as tx:
        assert garbage_of(tx) == {"s:1", "s:3"}


def test_attributes_and_content_come_back(objects: Database) -> None:
    attributes = {"metadata": {"clé": "wert"}, "tags": {"a": "b"}, "parts": [[5, ""], [6, "x"]]}
    pieces = (("p:1", 5), ("p:2", 6))
    with objects.transaction() as tx:
        put = versions.put(
            tx,
            "Enabled",
            New("b", b"k", 11, "e-2", "1", pieces, "STANDARD_IA", "CRC32C:FULL_OBJECT:AAAA", attributes),
        )
    with objects.reading() as tx:
        found = versions.current(tx, "b", b"k")
        assert found == put
        assert found is not None and found.attributes == attributes and found.content == pieces
        assert found.modified == tx.now and (found.storage_class, found.checksum) == ("STANDARD_IA", "CRC32C:FULL_OBJECT:AAAA")


def test_a_replica_brings_its_id_and_time(objects: Database, clock: ManualClock) -> None:
    then = clock.now() - timedelta(days=3)
    with objects.transaction() as tx:
        made = versions.put(tx, "Enabled", new("b", b"k", 1, "r:1", version_id="abc", modified=then))
        assert (made.version_id, made.modified) == ("abc", then)
        later = versions.put(tx, "Enabled", new("b", b"k", 2, "r:2"))
    with objects.transaction() as tx:  # it comes once more
        again = versions.put(tx, "Enabled", new("b", b"k", 3, "r:3", version_id="abc", modified=then))
        assert again.made == made.made and not again.is_latest
        marker = versions.delete(tx, "Enabled", "b", b"k", "1", version_id="gone", modified=then)
        assert marker is not None and (marker.version_id, marker.modified) == ("gone", then)
        assert versions.delete(tx, "Enabled", "b", b"k", "1", version_id="gone") == marker
    with objects.reading() as tx:
        assert [entry.version_id for entry in listing.versions(tx, "b").entries] == ["gone", later.version_id, "abc"]
        assert garbage_of(tx) == {"r:1"}
        assert usage.usage(tx, "b") == usage.count(tx, "b") == usage.Usage("b", 0, 0, 3, 5)


def test_never_is_not_believed_where_versions_have_ids(objects: Database) -> None:
    """A front end that does not know yet that versioning was enabled loses nothing that has an id."""
    with objects.transaction() as tx:
        kept = versions.put(tx, "Enabled", new("b", b"k", 1, "n:1"))
        null = versions.put(tx, "", new("b", b"k", 2, "n:2"))
        assert null.version_id == "null"
        assert versions.version(tx, "b", b"k", kept.version_id) is not None
        versions.delete_version(tx, "b", b"k", "null")
        marker = versions.delete(tx, "", "b", b"k", "1")
        assert marker is not None and marker.version_id == "null"
        assert versions.version(tx, "b", b"k", kept.version_id) is not None


def test_a_change_needs_the_version_that_was_seen(objects: Database) -> None:
    with objects.transaction() as tx:
        seen = versions.put(tx, "", new("b", b"k", 1, "c:1"))
        versions.put(tx, "", new("b", b"k", 1, "c:2"))
        assert versions.change(tx, seen, storage_class="GLACIER") is None
    with objects.transaction() as tx:  # gone and made anew, at the same instant
        seen = versions.put(tx, "", new("b", b"x", 1, "c:3"))
        versions.delete(tx, "", "b", b"x", "1")
        versions.put(tx, "", new("b", b"x", 1, "c:4"))
        assert versions.change(tx, seen, storage_class="GLACIER") is None


def test_a_change_of_content_lets_go_of_the_old_one(objects: Database) -> None:
    with objects.transaction() as tx:
        first = versions.put(tx, "Enabled", New("b", b"k", 7, "e", "1", (("g:1", 3), ("g:2", 4))))
        versions.put(tx, "Enabled", new("b", b"k", 1, "g:9"))
        changed = versions.change(tx, first, content=(("g:2", 4), ("g:3", 6)), size=10, etag="f")
        assert changed is not None and (changed.size, changed.etag, changed.is_latest) == (10, "f", False)
    with objects.reading() as tx:
        assert garbage_of(tx) == {"g:1"}
        assert versions.version(tx, "b", b"k", first.version_id) == changed
        assert usage.usage(tx, "b") == usage.count(tx, "b")


@pytest.mark.parametrize("state", STATES)
def test_a_closed_bucket_takes_nothing(objects: Database, state: str) -> None:
    with objects.transaction() as tx:
        versions.put(tx, state, new("b", b"k", 1, "x:1"))
    with objects.transaction() as tx:
        assert not buckets.close(tx, "b")
        for entry in listing.versions(tx, "b").entries:
            versions.delete_version(tx, "b", b"k", entry.version_id)
        assert buckets.close(tx, "b") and buckets.close(tx, "b")
        with pytest.raises(BucketClosed):
            versions.put(tx, state, new("b", b"k", 1, "x:2"))
        if state:
            with pytest.raises(BucketClosed):
                versions.delete(tx, state, "b", b"k", "1")
    with objects.transaction() as tx:
        buckets.reopen(tx, "b")
        versions.put(tx, state, new("b", b"k", 1, "x:3"))


def test_a_marker_alone_keeps_a_bucket_open(objects: Database) -> None:
    with objects.transaction() as tx:
        versions.delete(tx, "Enabled", "b", b"k", "1")
        assert not buckets.close(tx, "b")


def test_versions_are_compared_by_what_they_are(objects: Database) -> None:
    with objects.transaction() as tx:
        one = versions.put(tx, "", new("b", b"k", 1, "v:1"))
    assert one == one and one != versions.NULL and isinstance(one, Version)
    assert "b'k' null" in repr(one)
