"""JSON bodies: hostile text to Python values, and output dicts to text."""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

from mallee.wire import times
from mallee.wire.model import Member, Model, Shape
from mallee.wire.reading import Unreadable

Plain: TypeAlias = Callable[[Any], Any]


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# Escapes that may stand for such; a pair of halves is one character, and a backslash may be escaped itself.
_ESCAPES = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_UNSPEAKABLE = re.compile("[\x00\ud800-\udfff]")
_DECODER = json.JSONDecoder(parse_constant=_refused)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False, allow_nan=False)


def decode(body: bytes) -> Any:
    """The value of a body; of an empty one, an empty object. Raises Unreadable."""
    if not body or body.isspace():
        return {}
    try:
        value = _DECODER.decode(body.decode())
    except (
        ValueError,
        RecursionError,
    ):  # Not UTF-8, not JSON, an integer of thousands of digits, or nested without end.
        raise Unreadable("syntax", value="The request body is not valid JSON.") from None
    if _ESCAPES.search(body) and not _is_speakable(value):
        raise Unreadable("syntax", value="The request body contains characters that are not allowed.")
    return value


def _is_speakable(value: Any) -> bool:
    """Whether no text of it has what only an escape can bring: a NUL, which no database keeps, or half a character."""
    left = [value]
    while left:
        value = left.pop()
        if value.__class__ is str:
            if _UNSPEAKABLE.search(value):
                return False
        elif value.__class__ is list:
            left += value
        elif value.__class__ is dict:
            left += value.keys()
            left += value.values()
    return True


def encode(value: Any) -> bytes:
    return _ENCODER.encode(value).encode("utf-8", "replace")


class JsonWriters:
    """Compiles, for one model, conversions of output to what a JSON encoder takes."""

    def __init__(self, model: Model) -> None:
        self._structures: dict[int, Plain] = model.compiled.setdefault("json", {})

    def structure(self, shape: Shape) -> Plain:
        if shape.traits.get("document"):
            return lambda value: value
        known = self._structures.get(shape.number)
        if known is None:
            fields: dict[str, tuple[str, Plain]] = {}
            known = self._structures[shape.number] = _structure(fields)
            for name, member in shape.members.items():
                if "location" not in member.traits:
                    fields[name] = (member.wire_name, self.member(member))
        return known

    def member(self, member: Member) -> Plain:
        shape = member.shape
        if shape.type == "structure":
            return self.structure(shape)
        if shape.type == "list":
            element = self.member(shape.member)
            return lambda value: [element(item) for item in value]
        if shape.type == "map":
            element = self.member(shape.value)
            return lambda value: {key: element(item) for key, item in value.items()}
        if shape.type == "timestamp":
            return _TIMES[member.traits.get("timestampFormat", "unixTimestamp")]
        return _SCALARS[shape.type]


def _structure(fields: dict[str, tuple[str, Plain]]) -> Plain:
    def write(value: Any) -> dict[str, Any]:
        out = {}
        for name, item in value.items():
            if item is not None:
                field = fields[name]
                out[field[0]] = field[1](item)
        return out

    return write


def string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"{value!r:.80} is not a string")


def integer(value: Any) -> int:
    if isinstance(value, int) and value is not True and value is not False:
        return value
    raise TypeError(f"{value!r:.80} is not an integer")


def boolean(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise TypeError(f"{value!r:.80} is not a bool")


def double(value: Any) -> float | str:
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def base64(value: Any) -> str:
    return b64encode(value).decode("ascii")


_TIMES: dict[str, Callable[[datetime], Any]] = {
    "unixTimestamp": times.epoch,
    "iso8601": times.iso,
    "rfc822": times.http_date,
}
_SCALARS: dict[str, Plain] = {
    "string": string,
    "character": string,
    "integer": integer,
    "long": integer,
    "float": double,
    "double": double,
    "boolean": boolean,
    "blob": base64,
}
