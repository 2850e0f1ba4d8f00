"""What a cloud with its first instance costs the machine: the time to set it up, and what it takes while nobody asks anything of it."""

from __future__ import annotations

import time

import pytest

from .conftest import Real, fresh_cloud
from .footprint import processes
from .load import median
from .record import Pair, at_most, record_value

pytestmark = [pytest.mark.performance, pytest.mark.node]

SETTLED, WATCHED = 10.0, 20.0
MOST_BYTES, MOST_SHARE = 200e6, 0.02


def test_up_takes_a_few_boots(real: Real) -> None:
    """From a fresh home to the first ssh; the starter image is built, from packages that were downloaded before."""
    taken = [Pair(real.set_up, real.booted)]

    def measure() -> Pair:
        if taken:
            return taken.pop()
        home = real.cloud.home.with_name("again")
        before = real.bare.boot()
        with fresh_cloud(home) as (_, seconds):
            pass
        return Pair(seconds, median([before, real.bare.boot()]))

    at_most("up from a fresh home until the first ssh", "a bare boot", 8, measure)


def test_an_idle_cloud_is_light(real: Real) -> None:
    time.sleep(SETTLED)
    for last in (False, True):
        before = {process.pid: process.worked for process in processes(real.cloud.home)}
        time.sleep(WATCHED)
        seen = processes(real.cloud.home)
        pss = sum(process.pss for process in seen)
        share = sum(process.worked - before.get(process.pid, 0.0) for process in seen) / WATCHED
        parts = ", ".join(f"{process.name} {process.pss / 1e6:.0f}" for process in sorted(seen, key=lambda each: -each.pss))
        record_value("idle with one instance, memory (PSS)", f"{pss / 1e6:.0f} MB: {parts}", "< 200 MB")
        record_value("idle with one instance, of one core", f"{share:.2%}", "< 2 %")
        names = {process.name for process in seen}
        assert {"mallee.cloud", "mallee.node", "mallee.cli.supervisor", "libvirtd", "dnsmasq"} <= names
        if last or (pss < MOST_BYTES and share < MOST_SHARE):
            break
    assert pss < MOST_BYTES
    assert share < MOST_SHARE
