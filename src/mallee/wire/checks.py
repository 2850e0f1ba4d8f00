"""The constraints of the models (required, length, size, range, pattern, enum), compiled once per shape into a walk
over what was read.

Independent of the protocol, since it looks at values, not at bytes. A shape without any constraint below it has no
check at all. A check gathers violations, with their paths, and judges nothing: which code and words they get is the
dialect's matter.

Enums are checked where AWS checks them, which `Rules` says per service; never an enum or a pattern of AWS's regions,
since this is a region of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from mallee.wire import patterns
from mallee.wire.model import Member, Model, Shape

MOST_VIOLATIONS = 10
Step: TypeAlias = "Member | int | str"
Path: TypeAlias = "tuple[Path, Step] | None"


@dataclass(frozen=True, slots=True)
class Violation:
    """``rule``: required, min, max, pattern or enum. ``limit`` is the model's value for it. ``path`` is innermost
    last, see `steps`."""

    rule: str
    path: Path
    shape: Shape
    value: Any
    limit: Any

    @property
    def steps(self) -> list[Step]:
        found: list[Step] = []
        path = self.path
        while path is not None:
            path, step = path
            found.append(step)
        return found[::-1]


Check: TypeAlias = Callable[[Any, Path, list[Violation]], None]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a service checks at its door."""

    enums: bool = True
    patterns: bool = True
    limits: bool = True


class Checks:
    """Compiles checks for one model."""

    def __init__(self, model: Model, rules: Rules) -> None:
        self._rules = rules
        self._made: dict[int, Check | None] = model.compiled.setdefault(("checks", rules), {})
        self._making: dict[int, list[Check]] = {}

    def shape(self, shape: Shape) -> Check | None:
        if shape.number in self._made:
            return self._made[shape.number]
        if shape.number in self._making:  # Recursive: bind when the outer one is ready.
            cell = self._making[shape.number]
            return lambda value, path, found: cell[0](value, path, found) if cell else None
        self._making[shape.number] = cell = []
        check = self._compile(shape)
        del self._making[shape.number]
        if check is not None:
            cell.append(check)
        self._made[shape.number] = check
        return check

    def _compile(self, shape: Shape) -> Check | None:
        if shape.type == "structure":
            return self._structure(shape)
        own = self._own(shape)
        if shape.type == "list":
            return _both(own, _elements(self.shape(shape.member.shape)))
        if shape.type == "map":
            return _both(own, _entries(self.shape(shape.key.shape), self.shape(shape.value.shape)))
        return own

    def _structure(self, shape: Shape) -> Check | None:
        required = tuple((name, shape.members[name]) for name in shape.required if name in shape.members)
        checks: dict[str, tuple[Member, Check]] = {}
        for name, member in shape.members.items():
            below = self.shape(member.shape)
            if below is not None:
                checks[name] = (member, below)
        if not required and not checks:
            return None
        lookup = checks.get

        def check(value: Any, path: Path, found: list[Violation]) -> None:
            if value.__class__ is not dict:
                return
            for name, member in required:
                if name not in value:
                    found.append(Violation("required", (path, member), member.shape, None, None))
            for name, item in value.items():
                entry = lookup(name)
                if entry is not None:
                    entry[1](item, (path, entry[0]), found)
                    if len(found) > MOST_VIOLATIONS:
                        return

        return check

    def _own(self, shape: Shape) -> Check | None:
        traits = shape.traits
        check: Check | None = None
        if self._rules.limits and ("min" in traits or "max" in traits):
            check = _limits(shape, traits.get("min"), traits.get("max"))
        if self._rules.patterns and "pattern" in traits and shape.type == "string" and "Region" not in shape.name:
            check = _both(check, _pattern(shape, traits["pattern"]))
        if self._rules.enums and traits.get("enum") and shape.type == "string" and "us-west-2" not in traits["enum"]:
            check = _both(check, _enum(shape, traits["enum"]))
        return check


def _both(first: Check | None, second: Check | None) -> Check | None:
    if first is None or second is None:
        return first or second
    one, two = first, second

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        one(value, path, found)
        two(value, path, found)

    return check


def _limits(shape: Shape, low: Any, high: Any) -> Check:
    number = shape.type in ("integer", "long", "float", "double")

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        try:
            size = value if number else len(value)
        except TypeError:  # A body that streams has no length yet.
            return
        if low is not None and size < low:
            found.append(Violation("min", path, shape, value, low))
        if high is not None and size > high:
            found.append(Violation("max", path, shape, value, high))

    return check


def _pattern(shape: Shape, pattern: str) -> Check | None:
    compiled = patterns.compiled(pattern)
    if compiled is None:
        return None
    match, longest = compiled.fullmatch, patterns.reach(pattern)

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        if len(value) <= longest and match(value) is None:
            found.append(Violation("pattern", path, shape, value, pattern))

    return check


def _enum(shape: Shape, values: list[str]) -> Check:
    allowed = frozenset(values)

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        if value not in allowed:
            found.append(Violation("enum", path, shape, value, values))

    return check


def _elements(below: Check | None) -> Check | None:
    if below is None:
        return None
    inner = below

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        for index, item in enumerate(value, 1):
            inner(item, (path, index), found)
            if len(found) > MOST_VIOLATIONS:
                return

    return check


def _entries(key: Check | None, below: Check | None) -> Check | None:
    if key is None and below is None:
        return None

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        for name, item in value.items():
            if key is not None:
                key(name, (path, name), found)
            if below is not None:
                below(item, (path, name), found)
            if len(found) > MOST_VIOLATIONS:
                return

    return check
