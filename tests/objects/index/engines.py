"""Engines of bytes for tests of the index: one that keeps them in memory, and one that loses nothing but time."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from mallee.objects.engine.base import EngineError, Label


class MemoryEngine:
    """Keeps contents in a dict; ``broken`` makes every append fail."""

    name = "memory"

    def __init__(self) -> None:
        self.contents: dict[str, tuple[Label, bytes]] = {}
        self.appends = 0
        self.broken = False
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def append(self, contents: Sequence[tuple[Label, bytes]]) -> list[str]:
        if self.broken:
            raise EngineError("the disk is full", "free space on it")
        self.appends += 1
        with self._lock:
            made = [f"m:{next(self._numbers)}" for _ in contents]
            self.contents.update(zip(made, contents, strict=True))
        return made

    def discard(self, locations: Iterable[str]) -> None:
        with self._lock:
            for location in locations:
                self.contents.pop(location, None)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the index has no business with {name}")


class NullEngine(MemoryEngine):
    """Keeps nothing."""

    name = "null"

    def append(self, contents: Sequence[tuple[Label, bytes]]) -> list[str]:
        return [f"n:{next(self._numbers)}" for _ in contents]

    def discard(self, locations: Iterable[str]) -> None:
        list(locations)
