"""The engine of local disks against the same work done plainly: ratios within one run. ``-s`` prints the figures."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mallee.objects.engine import crypt
from mallee.objects.engine.local import LocalEngine

pytestmark = pytest.mark.performance

LABEL = {"kind": "object", "bucket": "b-0123456789abcdef", "key": "c29tZS9rZXk=", "version": "null", "size": 4096, "etag": "0" * 32}
SMALL = os.urandom(4096)
PIECE = os.urandom(1 << 20)
LARGE = 64


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    made = LocalEngine([tmp_path / "disk"])
    yield made
    made.close()


def plain_file(folder: Path) -> Callable[[], None]:
    """One object, one file: created, written, synced, renamed, its folder synced."""
    folder.mkdir()
    names = iter(range(10**9))

    def write() -> None:
        name = next(names)
        fd = os.open(folder / f".{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(fd, SMALL)
        os.fsync(fd)
        os.close(fd)
        os.rename(folder / f".{name}", folder / str(name))
        fd = os.open(folder, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    return write


def median(works: list[Callable[[], object]], rounds: int) -> list[float]:
    """Seconds of each; they take turns, so that a busy moment falls on all."""
    took: list[list[float]] = [[] for _ in works]
    for work in works:
        work()
    for _ in range(rounds):
        for number, work in enumerate(works):
            began = time.perf_counter()
            work()
            took[number].append(time.perf_counter() - began)
    return [sorted(times)[len(times) // 2] for times in took]


def test_append_against_a_file_and_fsyncs_each(engine: LocalEngine, tmp_path: Path) -> None:
    batches = {count: [(LABEL, SMALL)] * count for count in (1, 8, 32)}
    works: list[Callable[[], object]] = [plain_file(tmp_path / "plain")]
    works += [lambda batch=batch: engine.append(batch) for batch in batches.values()]  # type: ignore[misc]
    plain, *ours = median(works, 150)
    ratios = {count: plain * count / took for count, took in zip(batches, ours, strict=True)}
    print(f"\none file, one fsync: {plain * 1e6:.0f} us")
    for (count, ratio), took in zip(ratios.items(), ours, strict=True):
        print(f"append of {count} x 4 KiB: {took * 1e6:.0f} us, {ratio:.1f} x one by one")
    assert ratios[1] >= 1.0 and ratios[8] >= 3.0 and ratios[32] >= 8.0


def test_reading_4_kib(engine: LocalEngine, tmp_path: Path) -> None:
    """Opened, read and verified, against open, read and close of a file."""
    location = engine.append([(LABEL, SMALL)] * 100)[50]
    path = tmp_path / "plain"
    path.write_bytes(SMALL)

    def ours() -> None:
        for _ in range(1000):
            content = engine.open(location)
            content.read(0, 4096)
            content.close()

    def plain() -> None:
        for _ in range(1000):
            fd = os.open(path, os.O_RDONLY)
            os.pread(fd, 4096, 0)
            os.close(fd)

    mine, theirs = median([ours, plain], 30)
    print(f"\n4 KiB from a pack: {mine * 1e3:.1f} us; from a file of its own, unverified: {theirs * 1e3:.1f} us")
    assert mine < 2.5 * theirs


def test_writing_64_mib(engine: LocalEngine, tmp_path: Path) -> None:
    def ours() -> None:
        writer = engine.writer(LARGE << 20)
        for _ in range(LARGE):
            writer.write(PIECE)
        engine.discard([writer.finish(LABEL)])

    def plain() -> None:
        fd = os.open(tmp_path / "plain", os.O_WRONLY | os.O_CREAT)
        for _ in range(LARGE):
            os.write(fd, PIECE)
        os.fsync(fd)
        os.close(fd)
        os.unlink(tmp_path / "plain")

    mine, theirs = median([ours, plain], 7)
    print(f"\n64 MiB written: {LARGE / mine:.0f} MiB/s; write and fsync alone: {LARGE / theirs:.0f} MiB/s")
    assert mine < 1.5 * theirs


def test_verifying_and_reading_64_mib(engine: LocalEngine) -> None:
    """Against MD5, which every upload pays."""
    writer = engine.writer(LARGE << 20)
    for _ in range(LARGE):
        writer.write(PIECE)
    location = writer.finish(LABEL)

    def span() -> None:
        content = engine.open(location)
        content.span(0, LARGE << 20)
        content.close()

    def read() -> None:
        content = engine.open(location)
        for number in range(LARGE):
            content.read(number << 20, 1 << 20)
        content.close()

    def md5() -> None:
        sum = hashlib.md5(usedforsecurity=False)
        for _ in range(LARGE):
            sum.update(PIECE)

    spans, reads, sums = median([span, read, md5], 9)
    print(f"\n64 MiB verified for sendfile: {LARGE / spans:.0f} MiB/s; read: {LARGE / reads:.0f} MiB/s; MD5: {LARGE / sums:.0f} MiB/s")
    assert spans < sums / 4 and reads < sums / 3


def test_sealing(tmp_path: Path) -> None:
    """Encryption must not be what an upload waits for either."""
    key, prefix = crypt.new_key(), crypt.new_prefix()

    def seal() -> None:
        sealer = crypt.Sealer(key, prefix)
        for _ in range(LARGE):
            sealer.update(PIECE)
        sealer.finish()

    def md5() -> None:
        sum = hashlib.md5(usedforsecurity=False)
        for _ in range(LARGE):
            sum.update(PIECE)

    seals, sums = median([seal, md5], 7)
    print(f"\n64 MiB sealed: {LARGE / seals:.0f} MiB/s; MD5: {LARGE / sums:.0f} MiB/s")
    assert seals < sums


def test_as_fast_with_many_as_with_few(engine: LocalEngine) -> None:
    """Reading and appending do not know how many contents there are."""
    batch = [(LABEL, b"x" * 100)] * 1000
    few = engine.append(batch)
    times = median([lambda: [engine.open(location) for location in few]], 9)
    for _ in range(100):
        many = engine.append(batch)
    times += median([lambda: [engine.open(location) for location in many]], 9)
    print(f"\nopen among 1,000: {times[0] * 1e3:.1f} us, among 101,000: {times[1] * 1e3:.1f} us")
    assert times[1] < 1.5 * times[0]
