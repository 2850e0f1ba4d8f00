"""Inputs and outputs for any operation, made at random, but the same every time, from botocore's own model objects.

Values keep to what the protocol can carry (XML no control characters, headers no line breaks, a tagged union one member), and to the model's
lengths, ranges and enums; not to its patterns.
"""

from __future__ import annotations

import math
import random
import string
from datetime import UTC, datetime, timedelta
from typing import Any

PLAIN = string.ascii_letters + string.digits
TEXT = PLAIN + " -_./:=+@&<>\"'%#?;,*~ äß漢字😀"
HEADER = PLAIN + "-_./:=+@"
DEEPEST = 6


class Generator:
    def __init__(self, seed: Any, protocol: str) -> None:
        self.random = random.Random(str(seed))
        self.protocol = protocol

    def structure(self, shape: Any, depth: int = 0) -> dict[str, Any]:
        members = dict(shape.members)
        if getattr(shape, "is_tagged_union", False):
            name = self.random.choice(sorted(members))
            return {name: self.value(members[name], depth + 1)}
        out = {}
        likely = 0.8 if depth < 2 else 0.5
        for name, member in members.items():
            if name not in shape.required_members and (depth >= DEEPEST or self.random.random() > likely):
                continue
            if member.serialization.get("eventstream"):
                continue
            out[name] = self.value(member, depth + 1)
        if not out and depth and members:  # Some protocols cannot tell an empty structure from none.
            name = min(members, key=lambda name: members[name].type_name in ("structure", "list", "map"))
            out[name] = self.value(members[name], depth + 1)
        return out

    def value(self, shape: Any, depth: int) -> Any:
        return getattr(self, f"_{shape.type_name}")(shape, depth)

    def _structure(self, shape: Any, depth: int) -> Any:
        return self.structure(shape, depth)

    def _size(self, shape: Any, usual: int) -> int:
        low = int(shape.metadata.get("min", 1) or 1)
        high = min(int(shape.metadata.get("max", low + usual)), low + usual)
        return self.random.randint(low, max(low, high))

    def _list(self, shape: Any, depth: int) -> list[Any]:
        return [self.value(shape.member, depth + 1) for _ in range(self._size(shape, 2))]

    def _map(self, shape: Any, depth: int) -> dict[str, Any]:
        if shape.serialization.get("location") == "headers":
            return {self._token().lower(): self._token() for _ in range(self._size(shape, 2))}
        enum = shape.key.enum
        count = min(self._size(shape, 2), len(enum) if enum else 99)
        out: dict[str, Any] = {}
        while len(out) < count:
            key = self.value(shape.key, depth + 1)
            out[key] = self.value(shape.value, depth + 1)
        return out

    def _string(self, shape: Any, depth: int) -> str:
        if shape.enum:
            return str(self.random.choice(shape.enum))
        alphabet = TEXT
        if shape.serialization.get("hostLabel"):
            alphabet = PLAIN
        elif shape.serialization.get("location") == "header":
            alphabet = HEADER
        elif "json" in self.protocol and self.random.random() < 0.1:
            alphabet += "\n\t\x01\x7f"
        return "".join(self.random.choice(alphabet) for _ in range(self._size(shape, 12)))

    def _token(self) -> str:
        return "".join(self.random.choice(PLAIN + "-_") for _ in range(self.random.randint(1, 12)))

    def _number(self, shape: Any, usual_low: int, usual_high: int) -> int:
        low: int = math.ceil(shape.metadata.get("min", usual_low))
        high: int = int(shape.metadata.get("max", max(usual_high, low)))
        chosen: int = self.random.choice([low, high, self.random.randint(low, high)])
        return chosen

    def _integer(self, shape: Any, depth: int) -> int:
        return self._number(shape, -(2**31), 2**31 - 1)

    def _long(self, shape: Any, depth: int) -> int:
        return self._number(shape, -(2**63), 2**63 - 1)

    def _double(self, shape: Any, depth: int) -> float:
        number = float(self._number(shape, -100_000, 100_000)) + self.random.choice([0.0, 0.0, 0.5])
        return min(number, float(shape.metadata.get("max", number)))

    def _float(self, shape: Any, depth: int) -> float:
        return float(self._number(shape, -1000, 1000))

    def _boolean(self, shape: Any, depth: int) -> bool:
        return self.random.random() < 0.5

    def _blob(self, shape: Any, depth: int) -> bytes:
        return self.random.randbytes(self._size(shape, 20))

    def _timestamp(self, shape: Any, depth: int) -> datetime:
        value = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=self.random.randrange(10**9))
        whole = shape.serialization.get("location") or shape.serialization.get("timestampFormat") == "rfc822"
        if not whole and self.random.random() < 0.3:
            value += timedelta(milliseconds=self.random.randrange(1000))
        return value


def without_empties(value: Any) -> Any:
    """Without what some protocols cannot tell from absence: empty structures, lists and maps."""
    if isinstance(value, dict):
        cleaned = {key: without_empties(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item not in ({}, [])}
    if isinstance(value, list):
        return [item for item in map(without_empties, value) if item not in ({}, [])]
    return value
