"""The engine of Ceph against ``rados bench`` on the same cluster in the same run, interleaved, and against one RADOS object for each small content.

./test tests/performance/test_objects_rados.py -s
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from mallee.objects.engine.rados import RadosEngine
from mallee.objects.engine.rados.librados import Write
from tests import ceph

from .load import median
from .record import record, record_value

pytestmark = pytest.mark.performance

MIB = 1024 * 1024
LARGE = 64 * MIB
ROUNDS = 5


@dataclass
class Bench:
    cluster: ceph.Cluster
    engine: RadosEngine

    def rados(self, *words: str) -> float:
        """MiB a second."""
        command = ["rados", "-c", str(self.cluster.conf), "-p", ceph.POOL, "bench", "2", *words, "-t", "3"]
        done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return float(re.findall(r"Bandwidth \(MB/sec\):\s+([\d.]+)", done)[0])


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    if why := ceph.missing():
        pytest.skip(why)
    cluster = ceph.Cluster()
    engine = RadosEngine(str(cluster.conf), ceph.POOL, ceph.USER, str(cluster.keyring))
    yield Bench(cluster, engine)
    engine.close()
    cluster.stop()


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def test_large_contents(bench: Bench) -> None:
    piece = os.urandom(MIB)
    made: list[str] = []

    def write() -> None:
        writer = bench.engine.writer(LARGE)
        for _ in range(LARGE // MIB):
            writer.write(piece)
        made.append(writer.finish({}))

    def read() -> None:
        content = bench.engine.open(made[-1])
        for place in range(0, LARGE, MIB // 4):
            content.read(place, MIB // 4)
        content.close()

    written, theirs, got, their_reads = [], [], [], []
    write()
    for _ in range(ROUNDS):
        written.append(LARGE / MIB / seconds(write))
        theirs.append(bench.rados("write", "--no-cleanup"))
        got.append(LARGE / MIB / seconds(read))
        their_reads.append(bench.rados("seq"))
        bench.cluster.rados("cleanup")
        bench.engine.discard([made.pop(0)])
    for what, ours, reference, wanted in (
        ("Ceph: write 64 MiB", median(written), median(theirs), 0.4),
        ("Ceph: read 64 MiB by 256 KiB", median(got), median(their_reads), 0.3),
    ):
        record(what, f"{ours:.0f} MiB/s", f"rados bench -t 3 {reference:.0f} MiB/s", ours / reference, f">= {wanted}")
        assert ours >= wanted * reference


def test_small_contents(bench: Bench) -> None:
    batch = [({"kind": "object", "bucket": "b-1", "key": "a2V5", "size": 4096}, os.urandom(4096)) for _ in range(32)]
    pool = bench.engine._link.pool()
    numbers = iter(range(10**9))
    made: list[str] = []

    def packed() -> None:
        made[:] = bench.engine.append(batch)

    def apart() -> None:
        for each in [pool.submit(f"speed-{next(numbers)}", Write().write_full(data)) for _, data in batch]:
            each.wait()

    def read() -> None:
        for location in made:
            bench.engine.open(location).read(0, 4096)

    times: dict[str, list[float]] = {"packed": [], "apart": [], "read": []}
    for work in (packed, apart):
        work()
    for _ in range(60):
        for work in (packed, apart, read):
            times[work.__name__].append(seconds(work) * 1000)
    ours, reference = median(times["packed"]), median(times["apart"])
    record(
        "Ceph: append 32 x 4 KiB", f"{ours:.2f} ms", f"as 32 RADOS objects at once {reference:.2f} ms", ours / reference, "<= 0.7"
    )
    record_value("Ceph: open and read 4 KiB", f"{median(times['read']) / 32:.3f} ms", "one round trip")
    assert ours <= 0.7 * reference
