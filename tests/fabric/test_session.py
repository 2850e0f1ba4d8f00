"""The desired document: one snapshot, one generation, told at once and told once."""

from __future__ import annotations

import threading
import time

import pytest

from mallee.fabric.document import Capacity, Desired, Join, decode
from mallee.fabric.transport import BlobMissing, JoinFirst
from mallee.nodes import records
from mallee.nodes.session import DirectTransport

from .world import ZONE, World, guest


@pytest.fixture
def transport(world: World) -> DirectTransport:
    made = world.transport()
    made.join(Join("n-1", "run-1", ZONE, "host", Capacity(64, 65536, 1000)))
    return made


def now(transport: DirectTransport, known: Desired | None = None) -> Desired | None:
    return transport.desired("n-1", known.generation if known else 0, known.digest if known else "", 0.0)


def test_the_document_of_a_new_node_is_empty(transport: DirectTransport) -> None:
    document = now(transport)
    assert document is not None
    assert (document.generation, document.guests, document.digest[:7]) == (1, (), "sha256:")
    assert now(transport, document) is None


def test_an_unknown_node_has_none(world: World) -> None:
    with pytest.raises(JoinFirst):
        now(world.transport())


def test_a_change_is_told_once(world: World, transport: DirectTransport) -> None:
    first = now(transport)
    world.launch("i-1")
    second = now(transport, first)
    assert first is not None and second is not None
    assert second.generation > first.generation
    assert second.guests == (guest("i-1"),)
    assert now(transport, second) is None


def test_the_same_content_under_a_new_generation(world: World, transport: DirectTransport) -> None:
    world.launch("i-1")
    first = now(transport)
    world.write(lambda tx: records.touch(tx, node_id="n-1"))
    second = now(transport, first)
    assert first is not None and second is not None
    assert (second.generation, second.digest) == (first.generation + 1, first.digest)
    assert second.guests is first.guests


def test_a_generation_that_went_back_is_told(world: World, transport: DirectTransport) -> None:
    """As after the cloud's database was restored from a backup."""
    document = transport.desired("n-1", 99, "sha256:other", 0.0)
    assert document is not None and document.generation == 1


def test_a_change_without_a_generation_is_found_in_the_end(world: World) -> None:
    session = world.session(recheck=0.0)
    session.join(Join("n-1", "run-1", ZONE, "host", Capacity(64, 65536, 1000)))
    world.launch("i-1")
    before = session.document("n-1")
    world.wanted["i-1"] = guest("i-1", revision=2)
    after = session.document("n-1")
    assert (after.generation, after.digest != before.digest) == (before.generation, True)
    assert after.desired.guests[0].revision == 2


def test_an_unchanged_document_is_not_built_again(world: World, transport: DirectTransport) -> None:
    document = now(transport)
    built = world.built
    for _ in range(5):
        assert now(transport, document) is None
    assert world.built == built


def test_the_body_is_the_document(world: World, transport: DirectTransport) -> None:
    world.launch("i-1")
    document = transport.session.document("n-1")
    assert decode(Desired, document.body()) == document.desired


def test_waiting_ends_with_the_commit(world: World, transport: DirectTransport) -> None:
    document = now(transport)
    assert document is not None
    found: list[tuple[float, Desired | None]] = []

    def wait() -> None:
        answer = transport.desired("n-1", document.generation, document.digest, 10.0)
        found.append((time.monotonic(), answer))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    world.launch("i-1")
    committed = time.monotonic()
    thread.join(10)
    assert found[0][1] is not None and found[0][1].guests
    assert found[0][0] - committed < 0.5


@pytest.mark.parametrize("digest", ["../master.key", "sha256:" + "A" * 64, "a" * 63, "", "sha256:", "a" * 64 + "\n", "b" * 64])
def test_blobs_are_named_by_digests_only(world: World, transport: DirectTransport, digest: str) -> None:
    (world.blobs.parent / "master.key").write_text("secret")
    with pytest.raises(BlobMissing):
        transport.session.blob(digest)
