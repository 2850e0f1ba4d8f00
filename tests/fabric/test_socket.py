"""Both ends over a unix socket: what is said arrives, what is wrong is refused, and restarts are lived through."""

from __future__ import annotations

import errno
import hashlib
import http.client
import io
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mallee.fabric import client as client_module
from mallee.fabric.client import SocketTransport
from mallee.fabric.document import Capacity, GuestReport, Join, Report
from mallee.fabric.transport import (
    CONSOLE_LIMIT,
    VERSION_HEADER,
    BlobCorrupt,
    BlobMissing,
    JoinFirst,
    Refused,
    Unreachable,
)
from mallee.nodes import records

from .serving import Serving, serving
from .world import ZONE, World

CAPACITY = Capacity(64, 65536, 1000)
JOIN = Join("n-1", "run-1", ZONE, "host", CAPACITY)


@pytest.fixture
def world(sqlite_world: World) -> World:
    return sqlite_world


@pytest.fixture
def server(world: World, tmp_path: Path) -> Iterator[Serving]:
    with serving(world.session(), tmp_path / "run" / "fabric.sock") as running:
        yield running


@pytest.fixture
def client(server: Serving) -> Iterator[SocketTransport]:
    made = SocketTransport(server.path)
    made.join(JOIN)
    yield made
    made.close()


def put_blob(world: World, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    (world.blobs / digest).write_bytes(content)
    return f"sha256:{digest}"


def raw(
    path: Path, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(10)
    connection.sock.connect(str(path))
    connection.request(method, target, body, {VERSION_HEADER: "1"} | (headers or {}))
    response = connection.getresponse()
    answer = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    connection.close()
    return answer


def test_the_socket_is_its_owners_only(server: Serving) -> None:
    assert stat.S_IMODE(os.stat(server.path).st_mode) == 0o600


def test_a_whole_conversation(world: World, client: SocketTransport) -> None:
    first = client.desired("n-1", 0, "", 0.0)
    assert first is not None and first.guests == ()
    assert client.desired("n-1", first.generation, first.digest, 0.0) is None
    world.launch("i-1")
    second = client.desired("n-1", first.generation, first.digest, 5.0)
    assert second is not None and second.guests == (world.wanted["i-1"],)
    client.report(Report("n-1", "run-1", 1, second.generation, CAPACITY, (GuestReport("i-1", 1, "running", detail="ü"),)))
    found = world.report("i-1")
    assert found is not None and (found.state, found.detail) == ("running", "ü")
    client.console("i-1", b"\0\xff" + b"x" * CONSOLE_LIMIT, 5)
    with world.database.reading() as tx:
        console = records.console(tx, "i-1")
    assert console is not None and (console.text, console.offset) == (b"x" * CONSOLE_LIMIT, 7)


def test_the_same_content_costs_no_body(world: World, client: SocketTransport) -> None:
    world.launch("i-1")
    first = client.desired("n-1", 0, "", 0.0)
    assert first is not None
    world.write(lambda tx: records.touch(tx, node_id="n-1"))
    second = client.desired("n-1", first.generation, first.digest, 5.0)
    assert second is not None
    assert second.generation == first.generation + 1
    assert second.guests is first.guests


def test_content_from_elsewhere_under_an_old_generation(world: World, server: Serving, client: SocketTransport) -> None:
    """As after the agent's restart: it has kept the document, the new connection has not."""
    first = client.desired("n-1", 0, "", 0.0)
    world.write(lambda tx: records.touch(tx, node_id="n-1"))
    assert first is not None
    again = SocketTransport(server.path).desired("n-1", first.generation, first.digest, 5.0)
    assert again is not None and again.generation == first.generation + 1


def test_a_change_wakes_the_node_within_moments(world: World, client: SocketTransport) -> None:
    document = client.desired("n-1", 0, "", 0.0)
    assert document is not None
    took: list[float] = []
    for number in range(5):
        found: list[float] = []

        def wait() -> None:
            nonlocal document
            assert document is not None
            document = client.desired("n-1", document.generation, document.digest, 10.0)
            found.append(time.monotonic())  # noqa: B023

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.05)
        world.launch(f"i-{number}")
        committed = time.monotonic()
        thread.join(10)
        assert document is not None and len(document.guests) == number + 1
        took.append(found[0] - committed)
    assert sorted(took)[2] < 0.1


def test_waiting_in_vain(client: SocketTransport) -> None:
    document = client.desired("n-1", 0, "", 0.0)
    assert document is not None
    began = time.monotonic()
    assert client.desired("n-1", document.generation, document.digest, 0.3) is None
    assert 0.25 < time.monotonic() - began < 3


def test_unknown_nodes_and_former_runs(client: SocketTransport) -> None:
    with pytest.raises(JoinFirst, match="n-2"):
        client.desired("n-2", 0, "", 0.0)
    with pytest.raises(JoinFirst):
        client.report(Report("n-1", "run-0", 1, 1, CAPACITY))


def test_a_node_speaks_for_itself_only(client: SocketTransport) -> None:
    with pytest.raises(Refused):
        client._exchange("POST", "/v1/report", b'{"node_id":"n-2"}', "n-1")


@pytest.mark.parametrize("version", [None, "2", "one"])
def test_another_version_is_refused_with_a_sentence(server: Serving, version: str | None) -> None:
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(server.path))
    connection.request("GET", "/v1/desired?node=n-1", headers={VERSION_HEADER: version} if version else {})
    response = connection.getresponse()
    assert response.status == 426
    message = json.loads(response.read())["message"]
    assert "version 1" in message and message.endswith(".")
    connection.close()


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("GET", "/", b"", 404),
        ("GET", "/v1/report", b"", 404),
        ("POST", "/v1/desired?node=n-1", b"", 404),
        ("GET", "/v1/desired", b"", 400),
        ("GET", "/v1/desired?node=n-1&after=x", b"", 400),
        ("GET", "/v1/desired?node=n-1&after=1&wait=nan", b"", 400),
        ("GET", "/v1/desired?node=n-9&wait=0", b"", 409),
        ("POST", "/v1/report", b"", 400),
        ("POST", "/v1/report", b"[]", 400),
        ("POST", "/v1/report", b"\xff\xfe", 400),
        ("POST", "/v1/report", b"[" * 200_000, 400),
        ("POST", "/v1/join", b"{}", 400),
        ("POST", "/v1/join", b"x" * 70_000, 413),
        ("POST", "/v1/console/i-1", b"x" * (CONSOLE_LIMIT + 1), 413),
        ("POST", "/v1/console/i-9", b"x", 204),
        ("GET", "/v1/blobs/..%2f..%2fmaster.key", b"", 404),
        ("GET", "/v1/blobs/../../master.key", b"", 404),
        ("GET", "/v1/blobs/%00", b"", 404),
    ],
)
def test_what_is_no_call_is_refused(server: Serving, world: World, method: str, target: str, body: bytes, status: int) -> None:
    (world.blobs.parent / "master.key").write_bytes(b"secret")
    found, _, answer = raw(server.path, method, target, body)
    assert (found, b"secret" in answer) == (status, False)
    if status != 204:
        assert set(json.loads(answer)) == {"error", "message"}


def test_a_console_offset_must_be_a_number(server: Serving) -> None:
    assert raw(server.path, "POST", "/v1/console/i-1", b"x", {"X-Offset": "-1"})[0] == 400


# blobs


@pytest.mark.parametrize("size", [0, 1, 3 * 1024 * 1024 + 17])
def test_a_blob_arrives_whole(world: World, client: SocketTransport, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    digest = put_blob(world, content)
    client.blob(digest, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == content
    assert not (tmp_path / "blob.part").exists()


@pytest.mark.parametrize("kept", [1, 700_000, 1_000_000])
def test_an_interrupted_blob_goes_on(world: World, client: SocketTransport, tmp_path: Path, kept: int) -> None:
    content = os.urandom(1_000_000)
    (tmp_path / "blob.part").write_bytes(content[:kept])
    client.blob(put_blob(world, content), tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == content


@pytest.mark.parametrize("part", [b"wrong", b"x" * 5000])
def test_a_spoilt_part_is_thrown_away(world: World, client: SocketTransport, tmp_path: Path, part: bytes) -> None:
    content = os.urandom(1000)
    digest = put_blob(world, content)
    (tmp_path / "blob.part").write_bytes(part)
    with pytest.raises(BlobCorrupt):
        client.blob(digest, tmp_path / "blob")
    client.blob(digest, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == content


def test_a_blob_that_changed_on_the_clouds_disk(world: World, client: SocketTransport, tmp_path: Path) -> None:
    digest = put_blob(world, b"good")
    (world.blobs / digest.removeprefix("sha256:")).write_bytes(b"evil")
    with pytest.raises(BlobMissing):  # what is not what its name says is not handed out
        client.blob(digest, tmp_path / "blob")
    assert not (tmp_path / "blob").exists() and (world.blobs / digest.removeprefix("sha256:")).exists()


def test_a_staged_blob_becomes_an_object(world: World, client: SocketTransport, tmp_path: Path) -> None:
    content = os.urandom(400_000)
    digest = put_blob(world, content)
    client.blob(digest, tmp_path / "one")
    assert not list(world.blobs.iterdir())
    client.blob(digest, tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == content


def test_a_missing_blob(client: SocketTransport, tmp_path: Path) -> None:
    with pytest.raises(BlobMissing):
        client.blob("sha256:" + "0" * 64, tmp_path / "blob")
    assert not (tmp_path / "blob").exists()


class FullDisk(io.FileIO):
    def write(self, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_trouble_with_the_nodes_own_disk_comes_through(
    world: World, client: SocketTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = put_blob(world, os.urandom(100_000))
    with pytest.raises(FileNotFoundError):
        client.blob(digest, tmp_path / "nowhere" / "blob")
    monkeypatch.setattr(client_module, "open", lambda path, mode: FullDisk(path, "a+"), raising=False)
    with pytest.raises(OSError, match="No space left"):
        client.blob(digest, tmp_path / "blob")
    monkeypatch.undo()
    client.blob(digest, tmp_path / "blob")


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=0-3", 206, slice(0, 4)),
        ("bytes=7-", 206, slice(7, None)),
        ("bytes=-2", 206, slice(8, None)),
        ("bytes=0-", 200, slice(None)),
        ("bytes=5-900", 206, slice(5, None)),
        ("bytes=x-y", 200, slice(None)),
        ("bytes=1-2,4-5", 200, slice(None)),
        ("bytes=10-", 416, None),
        ("bytes=5-2", 416, None),
    ],
)
def test_ranges(server: Serving, world: World, wanted: str, status: int, part: slice | None) -> None:
    content = b"0123456789"
    found, headers, body = raw(server.path, "GET", f"/v1/blobs/{put_blob(world, content)}", headers={"Range": wanted})
    assert found == status
    if part is not None:
        assert body == content[part]
    if status == 206:
        first = content.index(body)
        assert headers["content-range"] == f"bytes {first}-{first + len(body) - 1}/10"


# restarts


def test_a_restarted_cloud_is_found_again(world: World, server: Serving, client: SocketTransport) -> None:
    document = client.desired("n-1", 0, "", 0.0)
    assert document is not None
    server.stop()
    with pytest.raises(Unreachable):
        client.desired("n-1", document.generation, document.digest, 1.0)
    server.start()
    assert client.desired("n-1", document.generation, document.digest, 0.0) is None


def test_a_connection_that_lay_idle_is_replaced_silently(server: Serving, client: SocketTransport) -> None:
    client.desired("n-1", 0, "", 0.0)
    server.stop()
    server.start()
    assert client.desired("n-1", 0, "", 0.0) is not None


def test_stopping_answers_those_who_wait(server: Serving, client: SocketTransport) -> None:
    document = client.desired("n-1", 0, "", 0.0)
    assert document is not None
    answers: list[object] = []

    def wait() -> None:
        assert document is not None
        answers.append(client.desired("n-1", document.generation, document.digest, 20.0))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    began = time.monotonic()
    server.stop()
    thread.join(10)
    assert answers == [None]
    assert time.monotonic() - began < 5


def test_a_cloud_that_is_away_is_not_hammered(tmp_path: Path) -> None:
    client = SocketTransport(tmp_path / "nothing.sock")
    attempts = 0
    began = time.monotonic()
    while time.monotonic() - began < 1.0:
        with pytest.raises(Unreachable):
            client.desired("n-1", 0, "", 1.0)
        attempts += 1
    assert 2 <= attempts <= 12


def test_a_cloud_that_fails_is_not_hammered(world: World, client: SocketTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(tx: object, node_id: str) -> None:
        raise LookupError("a bug")

    monkeypatch.setattr(world, "document", fail)
    client_of_a_bug = SocketTransport(client._path)
    with serving(world.session(), Path(client._path)):
        attempts = 0
        began = time.monotonic()
        while time.monotonic() - began < 1.0:
            with pytest.raises(Unreachable, match="its log says how"):
                client_of_a_bug.desired("n-1", 0, "", 1.0)
            attempts += 1
    assert 2 <= attempts <= 12


def test_closing_ends_a_wait_at_once(client: SocketTransport) -> None:
    document = client.desired("n-1", 0, "", 0.0)
    assert document is not None
    ended: list[float] = []

    def wait() -> None:
        assert document is not None
        with pytest.raises(Unreachable):
            client.desired("n-1", document.generation, document.digest, 20.0)
        ended.append(time.monotonic())

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    began = time.monotonic()
    client.close()
    thread.join(10)
    assert ended and ended[0] - began < 1


def test_several_threads_share_a_client(world: World, client: SocketTransport, tmp_path: Path) -> None:
    content = os.urandom(2_000_000)
    digest = put_blob(world, content)
    world.launch("i-1")
    troubles: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                client.blob(digest, tmp_path / f"blob-{number}-{turn}")
                client.console("i-1", f"{number} {turn}".encode(), 0)
                assert client.desired("n-1", 0, "", 0.0) is not None
        except BaseException as error:
            troubles.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert troubles == []
    assert len(client._idle) <= 4 and not client._busy
