"""Disks of a live cloud that are full, fail, or spoil what is on them: clear refusals, no loss, and it goes on by itself."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.whole.objects import MIB, Client, cloud_pid, eventually, objects_cloud, until_up
from tests.whole.test_objects_bytes import spoil

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="file systems are mounted by root")


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Not a byte is left on it meanwhile."""
    ballast = disk / "ballast"
    with ballast.open("wb", 0) as out:
        for size in (MIB, 4096):
            try:
                while True:
                    out.write(bytes(size))
            except OSError:
                continue
    try:
        yield
    finally:
        ballast.unlink()


def is_full(client: Client, method: str, path: str, query: str = "", body: bytes = b"", **headers: str) -> None:
    reply = client.call(method, path, query, body, **headers)
    assert (reply.status, reply.code) == (507, "InsufficientStorage"), reply


def test_full() -> None:
    settings = {"objects_disks": "{base}/disk/mallee", "objects_database_url": "sqlite:///{base}/index/objects.db"}
    with objects_cloud("full", {"disk": 160, "index": 40}, **settings) as up:
        base = up.home.parent
        client = Client(up)
        client.ok("PUT", "/full")
        _contents(client, base / "disk")
        client.close()
        stored = _index(client, base / "index")
        client.close()
        os.kill(cloud_pid(up), signal.SIGKILL)
        time.sleep(0.2)
        until_up(up)
        assert client.ok("GET", "/full/before").body == b"before"
        assert client.ok("GET", "/full", "list-type=2&prefix=many").tags("Key") == [*stored, "many/after"]


def _contents(client: Client, disk: Path) -> None:
    body = os.urandom(20 * MIB)
    client.ok("PUT", "/full/before", body=b"before")
    upload = client.ok("POST", "/full/parts", "uploads=").tag("UploadId")
    stored = 0
    while (reply := client.call("PUT", f"/full/{stored}", body=body)).status == 200:
        stored += 1
        assert stored < 8
    assert (reply.status, reply.code) == (507, "InsufficientStorage")
    assert stored >= 3, "what is kept free is too much"
    is_full(client, "PUT", "/full/parts", f"partNumber=1&uploadId={upload}", body)
    client.ok("PUT", "/full/small", body=b"there is room for this")
    client.ok("DELETE", "/full/0")
    eventually(lambda: client.call("PUT", "/full/0", body=body).status == 200)
    client.ok("DELETE", "/full/1")
    eventually(lambda: len(list((disk / "mallee" / "f").glob("*/*"))) == stored - 1)
    begun = client.socket()
    begun.sendall(client.head("PUT", "/full/begun", length=len(body)) + body[: 2 * MIB])
    eventually(lambda: list((disk / "mallee" / "t").iterdir()))
    with full(disk):
        begun.sendall(body[2 * MIB :])
        assert begun.recv(65536).startswith(b"HTTP/1.1 507 ")
        begun.close()
        for size in (5000, 100_000, 200_000):  # less might find room in the last page of a pack
            is_full(client, "PUT", "/full/more", body=body[:size])
        is_full(client, "PUT", "/full/more", x_amz_copy_source="/full/0")
        assert client.ok("GET", "/full/before").body == b"before"
        assert client.ok("GET", "/full/0").body == body
        client.ok("DELETE", "/full/small")
        client.ok("DELETE", "/full/2")
        assert client.call("GET", "/full/2").code == client.call("GET", "/full/more").code == "NoSuchKey"
    assert not list((disk / "mallee" / "t").iterdir())
    client.ok("PUT", "/full/after", body=body)
    client.ok("PUT", "/full/small", body=b"small")
    assert client.ok("GET", "/full/after").body == body
    assert client.ok("GET", "/full", "list-type=2").tags("Key") == ["0", *map(str, range(3, stored)), "after", "before", "small"]


def _index(client: Client, disk: Path) -> list[str]:
    """What is stored until the file system of the index has no room for a row more."""
    stored: list[str] = []
    with full(disk):
        while (reply := client.call("PUT", f"/full/many/{len(stored):05d}", body=b"x")).status == 200:
            stored.append(f"many/{len(stored):05d}")
            assert len(stored) < 900, "the index is never full"
        assert (reply.status, reply.code) == (507, "InsufficientStorage"), reply
        large = client.call("PUT", "/full/large", body=bytes(MIB)).status  # a checkpoint may have made room for a row just now
        assert large in (200, 507)
        assert client.ok("GET", "/full/before").body == b"before"
        assert client.call("GET", f"/full/many/{len(stored):05d}").code == "NoSuchKey"
        assert client.call("GET", "/full/large").status == (200 if large == 200 else 404)
    eventually(lambda: client.call("PUT", "/full/many/after", body=b"x").status == 200, 15)
    return stored


def test_one_of_two_fails_and_both_are_damaged() -> None:
    settings = {"objects_disks": "{base}/one/mallee,{base}/two/mallee", "objects_copies": 2}
    with objects_cloud("mirrored", {"one": 140, "two": 140}, **settings) as up:
        disks = [up.home.parent / name / "mallee" for name in ("one", "two")]
        client = Client(up)
        client.ok("PUT", "/two")
        body, smalls = os.urandom(8 * MIB), [os.urandom(3000) for _ in range(2)]
        client.ok("PUT", "/two/large", body=body)
        for number, small in enumerate(smalls):
            client.ok("PUT", f"/two/{number}", body=small)
        _damage(client, disks, body, smalls)
        client.ok("PUT", "/two/large", body=body)  # only the copy that was read is mended: now both are whole
        for number, small in enumerate(smalls):
            client.ok("PUT", f"/two/{number}", body=small)
        for folder in "ftp":
            (disks[0] / folder).chmod(0)
        try:
            assert client.ok("GET", "/two/large").body == body
            client.ok("PUT", "/two/alone", body=body)
            client.ok("PUT", "/two/small", body=b"small")
            assert client.ok("GET", "/two/alone").body == body
            client.ok("DELETE", "/two/0")
            assert client.call("GET", "/two/0").code == "NoSuchKey"
        finally:
            for folder in "ftp":
                (disks[0] / folder).chmod(0o700)

        again = os.urandom(2 * MIB)

        def mirrored() -> bool:
            client.ok("PUT", "/two/again", body=again)
            return any(_begins(each, again) for each in (disks[0] / "f").glob("*/*"))

        eventually(mirrored, 20)
        shutil.rmtree(disks[1] / "f")
        assert client.ok("GET", "/two/again").body == again


def _begins(file: Path, what: bytes) -> bool:
    try:
        return file.read_bytes().startswith(what)
    except FileNotFoundError:  # what was overwritten is discarded meanwhile
        return False


def _damage(client: Client, disks: list[Path], body: bytes, smalls: list[bytes]) -> None:
    """Not the same on both: whichever is read, the other has what it lacks."""

    def files(disk: Path) -> list[Path]:
        return [each for folder in "fp" for each in (disk / folder).rglob("*") if each.is_file()]

    def whole(disk: Path, data: bytes) -> bool:
        return any(data in each.read_bytes() for each in files(disk))

    for disk, small, at in zip(disks, smalls, (MIB, 6 * MIB), strict=True):
        spoil(files(disk), small)
        spoil(files(disk), body[at : at + 1000])
        assert not whole(disk, small) and not whole(disk, body)
    for number, small in enumerate(smalls):
        assert client.ok("GET", f"/two/{number}").body == small
    assert client.ok("GET", "/two/large").body == body
    assert any(whole(disk, body) for disk in disks), "the copy that was read is not mended"
    assert any(whole(disk, small) for disk, small in zip(disks, smalls, strict=True))
