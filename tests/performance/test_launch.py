"""Launches against bare QEMU on the same machine, in the same run: the same kernel, ramdisk, root, command line, size and devices."""

from __future__ import annotations

import pytest

from .conftest import MOST, Real
from .load import median
from .record import Pair, at_most

pytestmark = [pytest.mark.performance, pytest.mark.node]

PAIRS = 7


def test_a_launch_costs_little_more_than_its_boot(real: Real) -> None:
    def measure() -> Pair:
        ours, reference = [], []
        for number in range(PAIRS):
            for ours_now in (True, False) if number % 2 else (False, True):
                if ours_now:
                    ours.append(real.launcher.launch())
                else:
                    reference.append(real.bare.boot())
        return Pair(median(ours), median(reference))

    at_most("launch, from RunInstances until the guest is ready", "a bare boot", 1.15, measure)


def test_ten_launches_at_once(real: Real) -> None:
    def measure() -> Pair:
        reference = real.bare.boot(MOST)
        return Pair(real.launcher.launch(MOST), reference)

    at_most("ten launches in one call, until the last is ready", "ten bare boots at once", 1.3, measure)
