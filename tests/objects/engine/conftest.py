"""Engines on folders of a test's own, without the patience of real ones: nothing is too young to be swept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mallee.objects.engine.local import LocalEngine

Make = Callable[..., LocalEngine]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """``make(disks=2, copies=2, …)``: an engine on folders ``0``, ``1``, …; the same again after it was closed."""
    made: list[LocalEngine] = []

    def one(disks: int = 1, copies: int = 1, **settings: Any) -> LocalEngine:
        given = {"age": 0.0, "settle": 0.0, "grace": 0.0, "reserve": 0, "record": tmp_path / "disks.json", **settings}
        engine = LocalEngine([tmp_path / str(number) for number in range(disks)], copies, **given)
        made.append(engine)
        return engine

    yield one
    for engine in made:
        engine.close()
