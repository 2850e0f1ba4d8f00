"""The harness passes a machine that is right and catches every planted bug."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mallee.durable import Machine
from mallee.store import Database, ManualClock
from tests.life import boats
from tests.life.boats import Boat, BoatStage
from tests.life.harness import Broken, Scenario, Trouble, lives, prove


def scenario(machine: type[Machine], stage: type[BoatStage] = BoatStage) -> Scenario:
    made: Any = type(f"{machine.__name__}Stage", (stage,), {"kind": machine})
    return Scenario(machine, lambda home, database, clock: lambda: made(database, clock))


def test_a_sound_machine_passes(database: Database, clock: ManualClock, tmp_path: Path) -> None:
    subject = scenario(Boat)
    count = prove(subject, lives(subject, tmp_path, database, clock), every=1 if database.kind == "sqlite" else 7)
    assert count > (150 if database.kind == "sqlite" else 30)


def test_every_point_is_crashed_at(database: Database, clock: ManualClock, tmp_path: Path) -> None:
    subject = scenario(Boat)
    points = lives(subject, tmp_path, database, clock)(Trouble()).points
    for name in ("berth", "build", "order", "float_", "sail"):
        assert f"before {name}" in points and f"before commit {name}" in points
    assert "after act build" in points and "after act berth" not in points
    assert points.count("after claim") == points.count("after commit")


@pytest.mark.parametrize(
    ("machine", "stage", "said"),
    [
        (boats.BuildsTwice, BoatStage, "twice=True"),
        (boats.RecordsOutside, boats.RecordsOutsideStage, "crash="),
        (boats.Remembers, BoatStage, "crash="),
        (boats.ScrapsWhatItKnows, BoatStage, "crash=.*signal=sink"),
        (boats.VisitsTwice, BoatStage, "signal=sink"),
        (boats.NeverRests, BoatStage, "does not come to rest"),
    ],
)
def test_a_planted_bug_is_caught(
    database: Database, clock: ManualClock, tmp_path: Path, machine: type[Machine], stage: type[BoatStage], said: str
) -> None:
    if database.kind == "postgresql":
        pytest.skip("the bugs are in the machine, not in the engine")
    subject = scenario(machine, stage)
    with pytest.raises(Broken, match=said):
        prove(subject, lives(subject, tmp_path, database, clock))
