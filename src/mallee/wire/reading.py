"""What all readers share: the one exception for input that cannot be read, and the conversions of text to values.

A reader is a closure made once per shape: it takes a node of a parsed body and returns the value, or raises
`Unreadable`, whose path grows as it rises through the structures that enclose the fault. The service's dialect turns it
into the error that AWS would answer.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from mallee.wire import times
from mallee.wire.model import Member

Reader: TypeAlias = Callable[[Any], Any]

_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][+-]?\d{1,4})?", re.ASCII)
_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
RANGES = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


class Unreadable(Exception):
    """``kind``: ``value`` (text that is no ``expected``), ``unknown`` (no such parameter), ``found`` (``value``
    names what stood where an ``expected`` belongs), ``syntax`` (the body itself; ``value`` says how). ``path`` is
    built innermost first."""

    def __init__(self, kind: str, expected: str = "", value: str = "") -> None:
        super().__init__(kind, expected, value)
        self.kind = kind
        self.expected = expected
        self.value = value
        self.path: list[str] = []
        self.location = "body"

    def within(self, name: str) -> Unreadable:
        self.path.append(name)
        return self

    @property
    def steps(self) -> list[str]:
        """The path from the outside in."""
        return self.path[::-1]


def text_reader(member: Member, time_form: str) -> Reader:
    """The conversion of text (a form field, XML content, a header) for a scalar. ``time_form`` is the protocol's
    default."""
    kind = member.shape.type
    if kind == "timestamp":
        form = member.traits.get("timestampFormat", time_form)
        return lambda node: timestamp(node, form)
    return _TEXT[kind]


def string(node: Any) -> str:
    if node.__class__ is str:
        return node
    raise Unreadable("found", "string", kind_of(node))


def integer(node: Any) -> int:
    return _whole(node, "integer")


def long(node: Any) -> int:
    return _whole(node, "long")


def _whole(node: Any, kind: str) -> int:
    text = string(node).strip()
    if _INTEGER.fullmatch(text):
        value = int(text)
        low, high = RANGES[kind]
        if low <= value <= high:
            return value
    raise Unreadable("value", kind, text)


def double(node: Any) -> float:
    text = string(node).strip()
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _FLOAT.fullmatch(text):
        return float(text)
    raise Unreadable("value", "double", text)


def boolean(node: Any) -> bool:
    text = string(node).strip()
    lower = text.lower()
    if lower == "true":
        return True
    if lower == "false":
        return False
    raise Unreadable("value", "boolean", text)


def timestamp(node: Any, form: str) -> Any:
    text = string(node)
    try:
        return times.from_text(text, form)
    except ValueError:
        raise Unreadable("value", "timestamp", text) from None


def blob(node: Any) -> bytes:
    text = string(node)
    try:
        raw = text.encode("ascii")
        if b"\n" in raw or b"\r" in raw or b" " in raw:
            raw = raw.translate(None, b" \r\n")
        return binascii.a2b_base64(raw, strict_mode=True) if raw else b""
    except ValueError:
        raise Unreadable("value", "blob", text) from None


def kind_of(node: Any) -> str:
    if node is None:
        return "null"
    if isinstance(node, bool):
        return "boolean"
    if isinstance(node, (int, float)):
        return "number"
    if isinstance(node, str):
        return "string"
    if isinstance(node, (list, tuple)):
        return "list"
    if isinstance(node, bytes):
        return "blob"
    return "structure"


_TEXT: dict[str, Reader] = {
    "string": string,
    "character": string,
    "integer": integer,
    "long": long,
    "float": double,
    "double": double,
    "boolean": boolean,
    "blob": blob,
}
