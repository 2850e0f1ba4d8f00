"""Engines of bytes for tests of the index: in memory, nowhere, in a folder."""

from __future__ import annotations

import itertools
import json
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
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


class FolderEngine:
    """One file for each content, its label on top: what a killed process leaves stays. A stand-in for the real ones in
    ``mallee.objects.engine``, which have tests of their own."""

    name = "folder"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def append(self, contents: Sequence[tuple[Label, bytes]]) -> list[str]:
        made = [f"{self._run}-{next(self._numbers)}" for _ in contents]
        for location, (label, data) in zip(made, contents, strict=True):
            (self.folder / f"{location}.new").write_bytes(json.dumps(label).encode() + b"\n" + data)
            (self.folder / f"{location}.new").rename(self.folder / location)
        return made

    def read(self, location: str) -> bytes:
        return (self.folder / location).read_bytes().partition(b"\n")[2]

    def discard(self, locations: Iterable[str]) -> None:
        for location in locations:
            (self.folder / location).unlink(missing_ok=True)

    def all(self) -> dict[str, Label]:
        return {path.name: json.loads(path.read_bytes().partition(b"\n")[0]) for path in self.folder.iterdir()}

    def sweep(self, is_live: Callable[[Sequence[tuple[str, Label]]], Sequence[bool]]) -> int:
        for path in self.folder.glob("*.new"):
            path.unlink()
        found = list(self.all().items())
        dead = [location for (location, _), live in zip(found, is_live(found), strict=True) if not live]
        self.discard(dead)
        return len(dead)
