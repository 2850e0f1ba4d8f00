"""Bytes on their way out of a live cloud: readers that are slow or go away, objects that change meanwhile, damage, and the end of the process."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import clouds
from tests.whole.objects import LOST, MIB, Client, cloud_pid, eventually, files_open, objects_cloud, until_up

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of another user are looked at as root")

SLOW = 24
"""Readers that do not read: more than there are threads for bodies."""


@pytest.fixture(scope="module")
def up() -> Iterator[clouds.Cloud]:
    with objects_cloud("bytes") as made:
        client = Client(made)
        client.ok("PUT", "/bytes")
        yield made


class Download:
    """A GET that is read when the test wants it."""

    def __init__(self, client: Client, path: str, **headers: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        self._socket.settimeout(30)
        self._socket.connect((client.host, client.port))
        self._socket.sendall(client.head("GET", path, connection="close", **headers))
        self._file = self._socket.makefile("rb", 0)
        self.status = int(self._line().split()[1])
        while self._line():
            pass

    def _line(self) -> bytes:
        text = b""
        while not text.endswith(b"\r\n"):
            more = self._socket.recv(1)
            assert more, text
            text += more
        return text.strip()

    def read(self, most: int = 2**40) -> bytes:
        """As many bytes, or all that come until the end."""
        parts = []
        while most > 0:
            try:
                part = self._socket.recv(min(most, MIB))
            except ConnectionResetError:
                break
            if not part:
                break
            parts.append(part)
            most -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def contents(up: clouds.Cloud, folder: str = "f") -> list[Path]:
    """The files that hold contents, newest last."""
    found = [each for each in (up.home / "cloud" / "objects" / folder).rglob("*") if each.is_file()]
    return sorted(found, key=lambda each: each.stat().st_mtime_ns)


def spoil(files: list[Path], what: bytes) -> None:
    """One bit of the one place where these bytes are."""
    for file in files:
        at = file.read_bytes().find(what)
        if at >= 0:
            with file.open("r+b") as out:
                out.seek(at + len(what) // 2)
                byte = out.read(1)[0]
                out.seek(-1, os.SEEK_CUR)
                out.write(bytes((byte ^ 4,)))
                out.flush()
                os.fsync(out.fileno())
            return
    raise AssertionError("these bytes are nowhere")


def read_so_far(pid: int) -> int:
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


def test_readers_that_do_not_read_hold_nothing_but_their_files(up: clouds.Cloud) -> None:
    client = Client(up)
    pid = cloud_pid(up)
    body = os.urandom(32 * MIB)
    client.ok("PUT", "/bytes/watched", body=body)
    client.ok("PUT", "/bytes/other", body=body[: 3 * MIB])
    file = contents(up)[-2]
    slow = [Download(client, "/bytes/watched") for _ in range(SLOW)]
    began = time.monotonic()
    for _ in range(5):
        assert client.ok("GET", "/bytes/other").body == body[: 3 * MIB]
        client.ok("PUT", "/bytes/another", body=body[: 2 * MIB])
    assert time.monotonic() - began < 10, "others wait for those who do not read"
    assert len(files_open(pid, file.name)) == SLOW
    assert client.ok("DELETE", "/bytes/watched").status == 204
    assert slow[0].read() == body
    for each in slow:
        each.close()
    eventually(lambda: not files_open(pid, file.name))
    client.ok("DELETE", "/bytes/another")  # garbage, with which the other goes
    eventually(lambda: not file.exists())


def test_nothing_is_read_for_a_reader_that_is_gone(up: clouds.Cloud) -> None:
    client = Client(up)
    body = os.urandom(64 * MIB)
    for number in range(4):
        client.ok("PUT", f"/bytes/long/{number}", body=body)
    pid = cloud_pid(up)
    before = read_so_far(pid)
    for number in range(4):
        gone = Download(client, f"/bytes/long/{number}")
        assert gone.read(100_000) == body[:100_000]
        gone.close()
    eventually(lambda: not files_open(pid, "/objects/f/"))
    assert read_so_far(pid) - before < 4 * 24 * MIB
    for number in range(4):
        client.ok("DELETE", f"/bytes/long/{number}")


def test_an_object_that_changes_meanwhile_arrives_as_it_was(up: clouds.Cloud) -> None:
    client = Client(up)
    bodies = [os.urandom(24 * MIB + 5) for _ in range(2)]
    client.ok("PUT", "/bytes/changing", body=bodies[0])
    first = Download(client, "/bytes/changing")
    begun = first.read(MIB)
    client.ok("PUT", "/bytes/changing", body=bodies[1])
    second = Download(client, "/bytes/changing")
    client.ok("DELETE", "/bytes/changing")
    assert client.call("GET", "/bytes/changing").code == "NoSuchKey"
    time.sleep(0.5)  # for whoever discards
    assert begun + first.read() == bodies[0]
    assert second.read() == bodies[1]
    first.close()
    second.close()


def test_wrong_bytes_never_leave_and_the_fault_stands_after_a_graceful_end(up: clouds.Cloud) -> None:
    client = Client(up)
    small, large = os.urandom(5000), os.urandom(8 * MIB)
    client.ok("PUT", "/bytes/small", body=small)
    client.ok("PUT", "/bytes/large", body=large)
    client.ok("PUT", "/bytes/whole", body=small + b"!")
    spoil(contents(up, "p"), small)
    spoil(contents(up), large[5 * MIB : 5 * MIB + 100])
    refused = client.call("GET", "/bytes/small")
    assert refused.status == 503 and small[:16] not in refused.body, refused
    assert client.ok("HEAD", "/bytes/small").headers["content-length"] == "5000"
    cut = Download(client, "/bytes/large")
    came = cut.read()
    cut.close()
    assert cut.status == 200 and len(came) < len(large) and large.startswith(came)
    assert client.ok("GET", "/bytes/large", range=f"bytes=0-{MIB}").body == large[: MIB + 1]
    assert client.call("GET", "/bytes/large", range=f"bytes={5 * MIB}-{5 * MIB + 10}").status == 503
    assert client.call("PUT", "/bytes/copy", x_amz_copy_source="/bytes/large").status == 503
    assert client.call("GET", "/bytes/copy").code == "NoSuchKey"
    _end_in_the_middle(up)
    client.close()
    assert client.ok("GET", "/bytes/whole").body == small + b"!"
    eventually(lambda: "bytes/large" in clouds.mallee(up.home, "doctor", check=False).stdout, 20)
    assert client.ok("DELETE", "/bytes/small").status == client.ok("DELETE", "/bytes/large").status == 204


def _end_in_the_middle(up: clouds.Cloud) -> None:
    """SIGTERM during an upload, a download, and an upload that never goes on."""
    client = Client(up)
    body = os.urandom(24 * MIB)
    client.ok("PUT", "/bytes/read", body=body)
    pid = cloud_pid(up)
    reading = Download(client, "/bytes/read")
    begun = reading.read(MIB)
    sockets = [client.socket() for _ in range(2)]
    for made, name in zip(sockets, ("written", "never"), strict=True):
        made.sendall(client.head("PUT", f"/bytes/{name}", length=len(body)) + body[: 4 * MIB])
    eventually(lambda: len(files_open(pid, "/objects/t/")) == 2)
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not _accepts(client))
    sockets[0].sendall(body[4 * MIB :])
    answer = sockets[0].recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 ") and hashlib.md5(body).hexdigest().encode() in answer
    assert begun + reading.read() == body
    for each in (*sockets, reading):
        each.close()
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    until_up(up)
    client.close()
    assert not list((up.home / "cloud" / "objects" / "t").iterdir())
    assert client.ok("GET", "/bytes/written").body == client.ok("GET", "/bytes/read").body == body
    assert client.call("GET", "/bytes/never").code == "NoSuchKey"
    assert "stopped" in (up.home / "log" / "cloud.log").read_text()


def _accepts(client: Client) -> bool:
    try:
        client.socket().close()
    except LOST:
        return False
    return True
