"""Engines on folders of a test's own, without the patience of real ones: nothing is too young to be swept."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mallee.objects.engine.local import LocalEngine

MEMORY = Path("/dev/shm")

Make = Callable[..., LocalEngine]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder for very many small files whose durability is a model's: in memory, where there is such a place."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="mallee-tests-", dir=MEMORY) as folder:
        yield Path(folder)


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
