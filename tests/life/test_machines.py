"""Every machine that is registered, through the crash harness. A machine without a scenario fails here."""

from __future__ import annotations

from pathlib import Path

import pytest

from mallee.registry import Registry
from mallee.store import Database, ManualClock
from tests.life import scenarios
from tests.life.harness import Scenario, lives, prove

SAMPLE = 11
"""On PostgreSQL, where a life takes longer, one life of so many is tried."""


def test_every_machine_has_a_scenario() -> None:
    missing = {machine.name for machine in Registry().machines()} - {each.machine.name for each in scenarios.collect()}
    assert not missing, f"add a module to tests/life/scenarios for {', '.join(sorted(missing))}"


@pytest.mark.parametrize("scenario", scenarios.collect(), ids=str)
def test_it_survives(scenario: Scenario, tmp_path: Path, database: Database, clock: ManualClock) -> None:
    every = 1 if database.kind == "sqlite" else SAMPLE
    tried = prove(scenario, lives(scenario, tmp_path, database, clock), every=every)
    assert tried > 5 // every, "also the shortest machine has more moments than these in which to die"
