"""Readers over decoded JSON and CBOR: dicts, lists, strings, numbers.

JSON and CBOR differ in two scalars. In JSON a blob is base64 and a time is a number of seconds (or text where the model
says so); in CBOR both arrive as what they are. Members that the shape does not have are passed over, as AWS does, and
null means absent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mallee.wire import times
from mallee.wire.model import Member, Model, Shape
from mallee.wire.reading import RANGES, Reader, Unreadable, blob, kind_of, timestamp

_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class ValueReaders:
    """Compiles readers for one model; ``binary`` is CBOR's way with blobs."""

    def __init__(self, model: Model, *, binary: bool) -> None:
        self._binary = binary
        self._structures: dict[int, Reader] = model.compiled.setdefault(("values", binary), {})

    def structure(self, shape: Shape) -> Reader:
        if shape.traits.get("document"):
            return _document
        known = self._structures.get(shape.number)
        if known is None:
            fields: dict[str, tuple[str, Reader]] = {}
            known = self._structures[shape.number] = _structure(fields)
            for name, member in shape.members.items():
                if "location" not in member.traits:
                    fields[member.wire_name] = (name, self.member(member))
        return known

    def member(self, member: Member) -> Reader:
        shape = member.shape
        if shape.type == "structure":
            return self.structure(shape)
        if shape.type == "list":
            return _list(self.member(shape.member))
        if shape.type == "map":
            return _map(self.member(shape.value))
        if shape.type == "blob":
            return _bytes if self._binary else _base64
        if shape.type == "timestamp":
            form = member.traits.get("timestampFormat", "unixTimestamp")
            return lambda node: _time(node, form)
        return _SCALARS[shape.type]


def _structure(fields: dict[str, tuple[str, Reader]]) -> Reader:
    def read(node: Any) -> dict[str, Any]:
        if node.__class__ is not dict:
            raise Unreadable("found", "structure", kind_of(node))
        out: dict[str, Any] = {}
        for key, child in node.items():
            field = fields.get(key)
            if field is None or child is None:
                continue
            try:
                out[field[0]] = field[1](child)
            except Unreadable as error:
                raise error.within(key) from None
        return out

    return read


def _list(element: Reader) -> Reader:
    def read(node: Any) -> list[Any]:
        if node.__class__ is not list:
            raise Unreadable("found", "list", kind_of(node))
        out: list[Any] = []
        try:
            for child in node:
                out.append(element(child))
        except Unreadable as error:
            raise error.within(str(len(out) + 1)) from None
        return out

    return read


def _map(element: Reader) -> Reader:
    def read(node: Any) -> dict[str, Any]:
        if node.__class__ is not dict:
            raise Unreadable("found", "structure", kind_of(node))
        out: dict[str, Any] = {}
        for key, child in node.items():
            if child is None:
                continue
            try:
                out[key] = element(child)
            except Unreadable as error:
                raise error.within(key) from None
        return out

    return read


def _document(node: Any) -> Any:
    return node


def _string(node: Any) -> str:
    if node.__class__ is str:
        if not node.isascii():
            try:
                node.encode()
            except UnicodeEncodeError:
                raise Unreadable("syntax", value="A string is not valid Unicode.") from None
        return node
    raise Unreadable("found", "string", kind_of(node))


def _whole(kind: str) -> Reader:
    low, high = RANGES[kind]

    def read(node: Any) -> int:
        if node.__class__ is float and node.is_integer():
            node = int(node)
        if node.__class__ is not int:
            raise Unreadable("found", kind, kind_of(node))
        if not low <= node <= high:
            raise Unreadable("value", kind, str(node))
        return node

    return read


def _double(node: Any) -> float:
    if node.__class__ is float:
        return node
    if node.__class__ is int:
        try:
            return float(node)
        except OverflowError:
            raise Unreadable("value", "double", "NUMBER_VALUE") from None
    if node.__class__ is str and node in _SPECIAL:
        return _SPECIAL[node]
    raise Unreadable("found", "double", kind_of(node))


def _boolean(node: Any) -> bool:
    if node is True or node is False:
        return node
    raise Unreadable("found", "boolean", kind_of(node))


def _base64(node: Any) -> bytes:
    if node.__class__ is not str:
        raise Unreadable("found", "blob", kind_of(node))
    return blob(node)


def _bytes(node: Any) -> bytes:
    if node.__class__ is not bytes:
        raise Unreadable("found", "blob", kind_of(node))
    return node


def _time(node: Any, form: str) -> Any:
    if isinstance(node, datetime):
        return node
    if node.__class__ is str:
        return timestamp(node, form)
    if node.__class__ is int or node.__class__ is float:
        try:
            return times.from_epoch(node)
        except (ValueError, OverflowError):
            raise Unreadable("value", "timestamp", str(node)) from None
    raise Unreadable("found", "timestamp", kind_of(node))


_SCALARS: dict[str, Reader] = {
    "string": _string,
    "character": _string,
    "integer": _whole("integer"),
    "long": _whole("long"),
    "float": _double,
    "double": _double,
    "boolean": _boolean,
}
