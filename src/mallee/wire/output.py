"""What all writers share: the exception for output that does not fit its shape, and the search for the place where it
does not.

Writers are fast because they trust what they are given; when one trips, `misfit` walks shape and value slowly to say
where and why.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from mallee.wire.model import Shape


class OutputError(TypeError):
    """A handler returned what its operation's output does not have. Always a fault of the program."""


class Answered(dict[str, Any]):
    """An output whose answer has another status than its model says: a part of an object is 206, what is yet to be done 202."""

    def __init__(self, status: int, members: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__(members)
        self.status = status


class Among(list[Any]):
    """A list whose members stand among those of other lists of the same answer, in XML that has no element around any of them.
    ``places`` tells where, one for each, rising."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[int] = []

    def put(self, place: int, member: Any) -> None:
        self.places.append(place)
        self.append(member)


def number_text(value: Any) -> str:
    value = float(value)
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def misfit(shape: Shape | None, value: Any, path: str = "output") -> str:
    """The first place where the value does not fit the shape, in words; empty when it does."""
    if value is None:
        return ""
    if shape is None:
        return f"{path}: the operation has no output" if value else ""
    if shape.traits.get("document"):
        return ""
    if shape.type == "structure":
        return _structure(shape, value, path)
    if shape.type == "list":
        if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
            return f"{path}: a list was expected, not {value!r:.80}"
        inner = shape.member.shape
        return next(filter(None, (misfit(inner, item, f"{path}[{i}]") for i, item in enumerate(value))), "")
    if shape.type == "map":
        if not isinstance(value, dict):
            return f"{path}: a dict was expected, not {value!r:.80}"
        return next(
            filter(None, (misfit(shape.value.shape, item, f"{path}[{key!r}]") for key, item in value.items())), ""
        )
    fits = _FITS[shape.type]
    if not isinstance(value, fits) or (isinstance(value, bool) and shape.type != "boolean"):
        return f"{path}: {shape.type} expected, not {value!r:.80}"
    if isinstance(value, datetime) and value.tzinfo is None:
        return f"{path}: a time without a zone"
    return ""


def _structure(shape: Shape, value: Any, path: str) -> str:
    if shape.traits.get("eventstream"):
        return ""
    if not isinstance(value, dict):
        return f"{path}: a dict was expected, not {value!r:.80}"
    for name, item in value.items():
        member = shape.members.get(name)
        if member is None:
            return f"{path}: {shape.name} has no member {name!r}"
        if member.traits.get("streaming"):
            continue
        found = misfit(member.shape, item, f"{path}.{name}")
        if found:
            return found
    return ""


_FITS: dict[str, Any] = {
    "string": str,
    "character": str,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "boolean": bool,
    "timestamp": datetime,
    "blob": (bytes, bytearray, memoryview),
}
