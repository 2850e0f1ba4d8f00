"""What an upload or a download of any size costs in memory: next to nothing. MALLEE_TEST_UPLOAD_GIB=5 takes the largest PUT that there is."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import clouds
from tests.whole.objects import MIB, Client, Reply, cloud_pid, objects_cloud, parts_document

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the memory of another user's process is measured as root")

SIZE = int(os.environ.get("MALLEE_TEST_UPLOAD_GIB", "1")) * 1024 * MIB
PARTS = 8
BLOCK = os.urandom(4 * MIB)
ROOM = 20 * MIB
AT_ONCE = 16


@pytest.fixture(scope="module")
def up() -> Iterator[clouds.Cloud]:
    with objects_cloud("memory") as made:
        client = Client(made)
        client.ok("PUT", "/large")
        for _ in range(3):  # warm: threads, modules, the allocator
            upload(client, "/large/warm", 64 * MIB)
            download(client, "/large/warm", 64 * MIB)
        _together(made, 4, 16 * MIB)
        client.close()
        yield made


def upload(client: Client, path: str, size: int, query: str = "") -> Reply:
    with client.socket() as made:
        made.sendall(client.head("PUT", path, query, size, connection="close"))
        for _ in range(size // len(BLOCK)):
            made.sendall(BLOCK)
        text = b""
        while more := made.recv(65536):
            text += more
    head, _, body = text.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0].split()[1] == "200", text
    return Reply(200, dict(line.lower().split(": ", 1) for line in lines[1:]), body)


def download(client: Client, path: str, size: int) -> None:
    """All of it is looked at."""
    buffer = bytearray(len(BLOCK))
    view = memoryview(buffer)
    with client.socket() as made:
        made.sendall(client.head("GET", path, connection="close"))
        with made.makefile("rb", 65536) as answer:
            assert answer.readline().split()[1] == b"200"
            while answer.readline().strip():
                pass
            for _ in range(size // len(BLOCK)):
                assert answer.readinto(view) == len(BLOCK)
                assert buffer == BLOCK
            assert not answer.read(1)


class Growth:
    """Of the process's memory, at its highest, since the beginning."""

    def __init__(self, up: clouds.Cloud) -> None:
        self._process = Path(f"/proc/{cloud_pid(up)}")
        (self._process / "clear_refs").write_text("5")  # VmHWM begins anew
        self._before = self._told("VmRSS")

    def _told(self, name: str) -> int:
        for line in (self._process / "status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(name)

    def __call__(self, what: str) -> int:
        grown = self._told("VmHWM") - self._before
        print(f"{what}: {self._before / MIB:.0f} MiB before, at most {grown / MIB:.1f} MiB more")
        return grown


def test_one_large_upload_and_download(up: clouds.Cloud) -> None:
    client = Client(up)
    growth = Growth(up)
    etag = upload(client, "/large/one", SIZE).headers["etag"]
    digest = hashlib.md5()
    for _ in range(SIZE // len(BLOCK)):
        digest.update(BLOCK)
    assert etag == f'"{digest.hexdigest()}"'
    assert growth("upload") < ROOM
    growth = Growth(up)
    download(client, "/large/one", SIZE)
    assert growth("download") < ROOM
    client.ok("DELETE", "/large/one")


def test_a_large_upload_in_parts(up: clouds.Cloud) -> None:
    client = Client(up)
    growth = Growth(up)
    number = client.ok("POST", "/large/parts", "uploads=").tag("UploadId")
    size = SIZE // PARTS
    etags: list[str] = [""] * PARTS

    def send(first: int) -> None:
        own = Client(up)
        for part in range(first, PARTS, 2):
            etags[part] = upload(own, "/large/parts", size, f"partNumber={part + 1}&uploadId={number}").headers["etag"]

    threads = [threading.Thread(target=send, args=(first,)) for first in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.ok("POST", "/large/parts", f"uploadId={number}", parts_document(etags))
    assert growth("parts") < ROOM
    growth = Growth(up)
    download(client, "/large/parts", SIZE)
    assert growth("download of parts") < ROOM
    client.ok("DELETE", "/large/parts")


def test_many_large_uploads_at_once(up: clouds.Cloud) -> None:
    growth = Growth(up)
    _together(up, AT_ONCE, 32 * MIB)
    assert growth(f"{AT_ONCE} uploads at once") < AT_ONCE * 6 * MIB


def _together(up: clouds.Cloud, count: int, size: int) -> None:
    failed: list[BaseException] = []

    def send(name: str) -> None:
        try:
            upload(Client(up), name, size)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=send, args=(f"/large/at-once-{number}",)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
