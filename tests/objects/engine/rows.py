"""What an index does with an engine, in a dict: the model that the tests compare with."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mallee.objects.engine.base import ContentMissing
from mallee.objects.engine.local import LocalEngine


def some_bytes(size: int, seed: object) -> bytes:
    return random.Random(f"{seed}/{size}").randbytes(size)


@dataclass
class Rows:
    """``noted`` hears of every row that came, moved or went, once that is durable."""

    noted: Callable[[str, str | None], None] = lambda name, location: None
    at: dict[str, str] = field(default_factory=dict)  # name -> location
    data: dict[str, bytes] = field(default_factory=dict)

    def append(self, engine: LocalEngine, sizes: dict[str, int]) -> None:
        for name, size in sizes.items():
            self.data[name] = some_bytes(size, name)
        locations = engine.append([(label(name), self.data[name]) for name in sizes])
        for name, location in zip(sizes, locations, strict=True):
            self._set(name, location)

    def write(self, engine: LocalEngine, name: str, size: int, piece: int = 100_000) -> None:
        data = self.data[name] = some_bytes(size, name)
        writer = engine.writer(size)
        try:
            for at in range(0, size, piece):
                writer.write(data[at : at + piece])
            location = writer.finish(label(name))
        except BaseException:
            writer.abort()
            raise
        self._set(name, location)

    def delete(self, engine: LocalEngine, *names: str) -> None:
        locations = [self.at.pop(name) for name in names]
        for name in names:
            self.noted(name, None)
        engine.discard(locations)

    def _set(self, name: str, location: str) -> None:
        self.at[name] = location
        self.noted(name, location)

    # -- what the engine asks ---------------------------------------------------------------------------------------------------

    def is_live(self, pairs: Sequence[tuple[str, dict[str, Any]]]) -> list[bool]:
        live = set(self.at.values())
        return [location in live for location, _ in pairs]

    def moved(self, moves: Sequence[tuple[str, str, dict[str, Any]]]) -> list[bool]:
        names = {location: name for name, location in self.at.items()}
        answers = []
        for old, new, its in moves:
            name = names.get(old)
            answers.append(name is not None)
            if name is not None:
                assert its == label(name)
                self._set(name, new)
        return answers

    # -- what must hold ---------------------------------------------------------------------------------------------------------

    def check(self, engine: LocalEngine) -> None:
        for name, location in self.at.items():
            assert read(engine, location) == self.data[name], name


def label(name: str) -> dict[str, Any]:
    return {"kind": "object", "bucket": "b-1", "key": name}


def read(engine: LocalEngine, location: str) -> bytes:
    content = engine.open(location)
    try:
        return content.read(0, content.size)
    finally:
        content.close()


def is_gone(engine: LocalEngine, location: str) -> bool:
    try:
        engine.open(location).close()
    except ContentMissing:
        return True
    return False
