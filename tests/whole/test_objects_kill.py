"""kill -9 of a cloud's process in the middle of a mixed load: what was acknowledged is there, what was not has happened whole or not at
all, and nothing else remains."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field

import pytest

from tests import clouds
from tests.whole.objects import LOST, MIB, Client, Reply, at_rest, cloud_pid, objects_cloud, parts_document, until_up

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the disks of a cloud are looked at as root")

KILLS = 3
CLIENTS = 4
KEYS = 5  # of each client, so that most writes replace something
PART = 5 * MIB
_ONCE = bytes(range(256)) * 4096

Digest = bytes | None
"""Of a content; None: there is no object."""


def content(size: int, seed: str) -> bytes:
    """Different for each seed, in each block, and quickly made."""
    mark = hashlib.md5(seed.encode()).digest()
    return b"".join(mark + b"%08d" % at + _ONCE[24 : min(65536, size - at)] for at in range(0, size, 65536))[:size]


@dataclass
class Worker:
    """A client of its own keys, that knows after each answer what must be there, and without an answer what may be."""

    up: clouds.Cloud
    name: str
    stop: threading.Event
    chance: random.Random
    there: dict[str, Digest] = field(default_factory=dict)
    versions: dict[str, dict[str, Digest]] = field(default_factory=dict)  # of the keys of the versioned bucket, by their ids
    done: int = 0
    unanswered: int = 0
    happened: int = 0  # of those without an answer
    failed: BaseException | None = None

    def run(self) -> None:
        self.client = Client(self.up, timeout=20)
        try:
            while not self.stop.is_set():
                key = f"{self.name}-{self.chance.randrange(KEYS)}"
                action = self.chance.choice((self.put, self.put, self.put_large, self.multipart, self.copy, self.delete, self.version, self.version))
                action(key)
                self.done += 1
        except BaseException as error:
            self.failed = error
        finally:
            self.client.close()

    # what is done

    def put(self, key: str) -> None:
        self._put(key, self.chance.choice((0, 1, 700, 5000, 70_000)))

    def put_large(self, key: str) -> None:
        self._put(key, self.chance.choice((128 * 1024 + 1, MIB, 3 * MIB + 17)))

    def _put(self, key: str, size: int) -> None:
        data = content(size, f"{key}/{self.done}")
        self._replace(key, _digest(data), lambda: self.client.ok("PUT", f"/plain/{key}", body=data))

    def delete(self, key: str) -> None:
        self._replace(key, None, lambda: self.client.ok("DELETE", f"/plain/{key}"))

    def copy(self, key: str) -> None:
        source = f"{self.name}-{self.chance.randrange(KEYS)}"
        found = self.there.get(source)
        if found is not None and source != key:
            self._replace(key, found, lambda: self.client.ok("PUT", f"/plain/{key}", x_amz_copy_source=f"/plain/{source}"))

    def multipart(self, key: str) -> None:
        pieces = [content(PART, f"{key}/{self.done}/1"), content(3000, f"{key}/{self.done}/2")]
        whole = _digest(b"".join(pieces))
        upload = ""
        etags: list[str] = []

        def complete() -> Reply:
            nonlocal upload
            upload = upload or self.client.ok("POST", f"/plain/{key}", "uploads=").tag("UploadId")
            while len(etags) < len(pieces):
                number = len(etags) + 1
                sent = self.client.ok("PUT", f"/plain/{key}", f"partNumber={number}&uploadId={upload}", pieces[number - 1])
                etags.append(sent.headers["etag"])
            return self.client.ok("POST", f"/plain/{key}", f"uploadId={upload}", parts_document(etags))

        self._replace(key, whole, complete)
        if upload and self.there.get(key) != whole:  # not completed: it goes on where it was
            self._replace(key, whole, complete)
            if self.there.get(key) != whole:
                self._sure(lambda: self.client.call("DELETE", f"/plain/{key}", f"uploadId={upload}"))
        elif upload and len(etags) == len(pieces) and self.chance.random() < 0.2:
            self._sure(complete)  # completing once more is no fault

    def version(self, key: str) -> None:
        known = self.versions.setdefault(key, {})
        kind = self.chance.randrange(4)
        if kind == 0 and known:
            gone = self.chance.choice(list(known))
            try:
                self.client.ok("DELETE", f"/versioned/{key}", f"versionId={gone}")
                del known[gone]
            except LOST:
                self._lost()
                if gone not in self._listed(key):
                    del known[gone]
                    self.happened += 1
            return
        data = None if kind == 1 else content(self.chance.choice((10, 9000, 200_000)), f"{key}/{self.done}")
        new = None if data is None else _digest(data)
        try:
            if data is None:
                reply = self.client.ok("DELETE", f"/versioned/{key}")
            else:
                reply = self.client.ok("PUT", f"/versioned/{key}", body=data)
            known[reply.headers["x-amz-version-id"]] = new
        except LOST:
            self._lost()
            more = self._listed(key).keys() - known.keys()
            assert len(more) <= 1, "one write became several versions"
            for each in more:
                known[each] = new
                self.happened += 1

    # what holds

    def _replace(self, key: str, new: Digest, act: object) -> None:
        assert callable(act)
        before = self.there.get(key)
        try:
            act()
            self.there[key] = new
        except LOST:
            self._lost()
            found = self._read(key)
            assert found in (before, new), f"{key} is neither what it was nor what it was to become"
            self.happened += found == new != before
            self.there[key] = found

    def _lost(self) -> None:
        self.unanswered += 1
        until_up(self.up)

    def _sure(self, act: object) -> Reply:
        """An answer, however often the cloud ends meanwhile."""
        assert callable(act)
        while True:
            try:
                found: Reply = act()
                return found
            except LOST:
                until_up(self.up)

    def _read(self, key: str, bucket: str = "plain", query: str = "") -> Digest:
        found = self._sure(lambda: self.client.call("GET", f"/{bucket}/{key}", query))
        assert found.status in (200, 404), found
        return _digest(found.body) if found.status == 200 else None

    def _listed(self, key: str) -> dict[str, str]:
        """Version ids and ETags (without quotes; empty: a marker)."""
        found = self._sure(lambda: self.client.ok("GET", "/versioned", f"prefix={key}&versions="))
        ids, etags = found.tags("VersionId"), found.tags("ETag")
        assert len(ids) >= len(etags)
        return dict.fromkeys(ids, "")

    def check(self) -> None:
        self.client = Client(self.up)
        for key, expected in self.there.items():
            assert self._read(key) == expected, key
        for key, known in self.versions.items():
            assert self._listed(key).keys() == known.keys(), key
            for id, digest in known.items():
                if digest is not None:
                    assert self._read(key, "versioned", f"versionId={id}") == digest, (key, id)
        self.client.close()


def _digest(data: bytes) -> bytes:
    return hashlib.md5(data).digest()


def test_killed_in_the_middle_of_a_mixed_load() -> None:
    with objects_cloud("killed") as up:
        client = Client(up)
        client.ok("PUT", "/plain")
        client.ok("PUT", "/versioned")
        enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        client.ok("PUT", "/versioned", "versioning=", enabled)
        client.close()
        stop = threading.Event()
        chance = random.Random(7)
        workers = [Worker(up, f"w{number}", stop, random.Random(number)) for number in range(CLIENTS)]
        threads = [threading.Thread(target=worker.run) for worker in workers]
        for thread in threads:
            thread.start()
        try:
            for _ in range(KILLS):
                time.sleep(chance.uniform(0.6, 1.6))
                os.kill(cloud_pid(up), signal.SIGKILL)
                time.sleep(0.2)  # the supervisor's pause
                until_up(up)
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        for worker in workers:
            if worker.failed is not None:
                raise worker.failed
        assert sum(worker.unanswered for worker in workers) >= KILLS
        print({each.name: (each.done, each.unanswered, each.happened) for each in workers})
        for worker in workers:
            worker.check()
        clouds.mallee(up.home, "down")
        rest = at_rest(up.home)
        print(f"{rest.swept / MIB:.1f} MiB were left behind")
        assert rest.referred and not rest.partial
        assert rest.kept == rest.referred
        clouds.mallee(up.home, "up", "--port", up.endpoint.rpartition(":")[2])
        for worker in workers:
            worker.check()
