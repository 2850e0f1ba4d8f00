"""What tests of objects against whole processes have in common: a client that does nothing by itself, contents, and a look at the
disks when nobody writes to them."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from mallee.objects.engine.local import LocalEngine, format
from mallee.objects.engine.local.scanning import Gap, walk
from mallee.objects.engine.local.sealing import readers_of
from mallee.objects.index import tables
from mallee.objects.index.index import Index
from mallee.settings import load
from mallee.store import Database
from tests import clouds

MIB = 1024 * 1024
UNSIGNED = "UNSIGNED-PAYLOAD"
SIMULATED = ("--simulated", "--no-first-instance", "--boot-seconds", "0")
LOST = (OSError, http.client.HTTPException)
"""What a client sees of a server that ends in the middle."""


@contextmanager
def objects_cloud(name: str, disks: Mapping[str, int] | None = None, **environment: object) -> Iterator[clouds.Cloud]:
    """A simulated cloud of real processes. ``environment``: settings by their names; ``{base}`` in them is the folder around the home, in
    which ``disks`` are file systems of so many MiB."""
    base = Path(tempfile.mkdtemp(prefix=f"mallee-{name}-"))
    base.chmod(0o755)  # the cloud is another user than root
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for disk, size in (disks or {}).items():
            (base / disk).mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=1777", "tmpfs", str(base / disk)], check=True)
            stack.callback(subprocess.run, ["umount", str(base / disk)], check=True)
        for setting, value in environment.items():
            patch.setenv(f"MALLEE_{setting.upper()}", str(value).replace("{base}", str(base)))
        try:
            with clouds.cloud(base / "home", *SIMULATED) as up:
                yield up
        finally:
            stack.close()
            shutil.rmtree(base, ignore_errors=True)


@dataclass(slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """Of an error."""
        found = re.search(rb"<Code>(\w+)</Code>", self.body)
        return found[1].decode() if found else ""

    def tag(self, name: str) -> str:
        found = re.search(rf"<{name}>([^<]*)</{name}>".encode(), self.body)
        assert found, self.body
        return found[1].decode()

    def tags(self, name: str) -> list[str]:
        return [each.decode() for each in re.findall(rf"<{name}>([^<]*)</{name}>".encode(), self.body)]


class Client:
    """One connection, which is made again after it was lost. Nothing is tried twice. For one thread."""

    def __init__(self, up: clouds.Cloud, timeout: float = 30.0) -> None:
        self.host, self.port = str(urlsplit(up.endpoint).hostname), int(urlsplit(up.endpoint).port or 80)
        self._region = up.environment["AWS_DEFAULT_REGION"]
        self._key, self._secret = up.environment["AWS_ACCESS_KEY_ID"], up.environment["AWS_SECRET_ACCESS_KEY"]
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None

    def call(self, method: str, path: str, query: str = "", body: bytes = b"", **headers: str) -> Reply:
        """Raises one of ``LOST`` when there is no answer."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.host, self.port, timeout=self._timeout)
        signed = self.signed(method, path, query, **headers)
        target = quote(path, safe="/~") + (f"?{query}" if query else "")
        try:
            self._connection.request(method, target, body, {**signed, "content-length": str(len(body))})
            answer = self._connection.getresponse()
            data = answer.read()
        except LOST:
            self.close()
            raise
        if answer.will_close:
            self.close()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, data)

    def ok(self, method: str, path: str, query: str = "", body: bytes = b"", **headers: str) -> Reply:
        reply = self.call(method, path, query, body, **headers)
        assert reply.status in (200, 204, 206), (method, path, query, reply)
        return reply

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def signed(self, method: str, path: str, query: str = "", **headers: str) -> dict[str, str]:
        """The headers of a request by signature version 4, payload unsigned."""
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        sent = {
            "host": f"{self.host}:{self.port}", "x-amz-content-sha256": UNSIGNED, "x-amz-date": now,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }  # fmt: skip
        names = ";".join(sorted(sent))
        pairs = sorted(each if "=" in each else f"{each}=" for each in query.split("&")) if query else []
        lines = [method, quote(path, safe="/~"), "&".join(pairs), *(f"{name}:{sent[name]}" for name in sorted(sent)), "", names, UNSIGNED]
        scope = f"{now[:8]}/{self._region}/s3/aws4_request"
        text = "\n".join(("AWS4-HMAC-SHA256", now, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()))
        key = b"AWS4" + self._secret.encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        sent["authorization"] = f"AWS4-HMAC-SHA256 Credential={self._key}/{scope}, SignedHeaders={names}, Signature={signature}"
        return sent

    def head(self, method: str, path: str, query: str = "", length: int = 0, **headers: str) -> bytes:
        """A whole request up to its body, for sockets that are driven by hand."""
        signed = self.signed(method, path, query, **headers)
        target = quote(path, safe="/~") + (f"?{query}" if query else "")
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in signed.items()), f"content-length: {length}"]
        return "\r\n".join((*lines, "", "")).encode()

    def socket(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=self._timeout)


def parts_document(etags: list[str]) -> bytes:
    parts = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1))
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


# ---------------------------------------------------------------------------------------------------------------- the process


def cloud_pid(up: clouds.Cloud) -> int:
    return int((up.home / "run" / "cloud.pid").read_text().split()[0])


def until_up(up: clouds.Cloud, seconds: float = 60.0) -> None:
    """Waits until the cloud serves."""
    client = Client(up)
    until = time.monotonic() + seconds
    while True:
        try:
            with closing(http.client.HTTPConnection(client.host, client.port, timeout=10)) as asking:
                asking.request("GET", "/health")
                if asking.getresponse().status == 200:
                    return
        except LOST:
            pass
        assert time.monotonic() < until, "the cloud does not come back"
        time.sleep(0.05)


def files_open(pid: int, below: str = "") -> list[str]:
    """What the process has open, with that in its name."""
    found = []
    for each in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{each}"))
        except FileNotFoundError:
            continue
    return [name for name in found if below in name]


def eventually(what: object, seconds: float = 10.0) -> None:
    """``what()`` becomes true."""
    assert callable(what)
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not become true"
        time.sleep(0.05)


# ------------------------------------------------------------------------------------------------------------------ the disks


@dataclass(frozen=True, slots=True)
class Rest:
    """What is on the disks of a cloud that is down, after all that upkeep would do, however young it is."""

    referred: frozenset[str]  # locations in rows of the index
    kept: frozenset[str]  # contents that the engine has
    partial: tuple[str, ...]  # files that were being written
    swept: int  # bytes that upkeep removed for that


def at_rest(home: Path) -> Rest:
    settings = load(home)
    database = Database(settings.objects_database_url)
    folders = [Path(folder) for folder in settings.objects_disks]
    engine = LocalEngine(
        folders, settings.objects_copies, record=settings.cloud / "objects.disks", age=-2.0, settle=-2.0, grace=0.0
    )
    index = Index(database, engine)
    try:
        index.reclaim()
        swept = engine.sweep(index.is_live)
        swept += engine.sweep(index.is_live)  # an hour's folder that the first emptied
        referred = set()
        with closing(sqlite3.connect(settings.objects_database_url.removeprefix("sqlite:///"))) as rows:
            for table in (tables.CURRENT, tables.NONCURRENT, tables.PARTS):
                for (content,) in rows.execute(f"SELECT content FROM {table.name}"):
                    referred.update(location for location, _ in json.loads(content))
        partial = tuple(str(each) for folder in folders for each in (folder / "t").iterdir())
        return Rest(frozenset(referred), frozenset(_kept(folders, engine)), partial, swept)
    finally:
        index.close()
        database.close()
        engine.close()


def _kept(folders: list[Path], engine: LocalEngine) -> Iterator[str]:
    for folder in folders:
        for file in (folder / "f").glob("*/*"):
            yield f"f/{file.parent.name}/{file.name}"
    packs = engine._packs
    for pack in packs.all():
        dead = packs.dead(pack)
        for found in walk(pack, readers_of(packs, pack), whole=False):
            if not isinstance(found, Gap) and found.head.kind == format.CONTENT and found.offset not in dead:
                yield format.pack_location(pack, found.offset, found.head.length)
