"""CBOR as Smithy's RPC v2 uses it: a decoder for hostile bytes, and writers compiled per shape.

The decoder knows the types that a service model can mean and nothing more: no references, no numbers of unbounded size,
no tags but the epoch time (other tags are passed through to what they tag). A length that the rest of the body cannot
hold is refused before anything is allocated for it. General decoders give tags a life of their own, which is why this
is not one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from mallee.wire import times
from mallee.wire.jsonbody import boolean, integer, string
from mallee.wire.model import Member, Model, Shape
from mallee.wire.reading import Unreadable

MOST_LEVELS = 64
_BREAK = object()
_SIMPLE = {20: False, 21: True, 22: None, 23: None}
_FLOATS = {25: (struct.Struct(">e"), 2), 26: (struct.Struct(">f"), 4), 27: (struct.Struct(">d"), 8)}
Writer: TypeAlias = Callable[[Any, bytearray], None]


def decode(body: bytes) -> Any:
    """The one item of a body; of an empty one, an empty map. Raises Unreadable."""
    if not body:
        return {}
    try:
        value, end = _item(body, 0, 0)
    except (IndexError, struct.error):
        raise _bad("The request body ends early.") from None
    except UnicodeDecodeError:
        raise _bad("A string is not valid UTF-8.") from None
    if value is _BREAK or end != len(body):
        raise _bad("The request body is not one CBOR item.")
    return value


def _bad(how: str) -> Unreadable:
    return Unreadable("syntax", value=how)


def _text(raw: bytes) -> str:
    if b"\0" in raw:  # which no database keeps
        raise _bad("The request body contains characters that are not allowed.")
    return raw.decode()


def _argument(body: bytes, at: int, info: int) -> tuple[int, int]:
    if info < 24:
        return info, at
    if info > 27:
        raise _bad("Invalid CBOR length.")
    size = 1 << (info - 24)
    end = at + size
    if end > len(body):
        raise IndexError
    return int.from_bytes(body[at:end], "big"), end


def _item(body: bytes, at: int, depth: int) -> tuple[Any, int]:
    initial = body[at]
    at += 1
    major, info = initial >> 5, initial & 31
    if major == 3 or major == 2:
        if info == 31:
            return _chunks(body, at, major)
        size, at = _argument(body, at, info)
        end = at + size
        if end > len(body):
            raise IndexError
        raw = body[at:end]
        return (_text(raw) if major == 3 else raw), end
    if major == 0:
        return _argument(body, at, info)
    if major == 1:
        value, at = _argument(body, at, info)
        return -1 - value, at
    if major == 7:
        return _simple(body, at, info)
    if depth >= MOST_LEVELS:
        raise _bad("The request is nested too deeply.")
    if major == 4:
        return _array(body, at, info, depth + 1)
    if major == 5:
        return _map(body, at, info, depth + 1)
    return _tag(body, at, info, depth + 1)


def _simple(body: bytes, at: int, info: int) -> tuple[Any, int]:
    if info in _SIMPLE:
        return _SIMPLE[info], at
    if info in _FLOATS:
        form, size = _FLOATS[info]
        return form.unpack_from(body, at)[0], at + size
    if info == 31:
        return _BREAK, at
    raise _bad("Invalid CBOR simple value.")


def _chunks(body: bytes, at: int, major: int) -> tuple[Any, int]:
    parts = []
    while body[at] != 0xFF:
        if body[at] >> 5 != major or body[at] & 31 == 31:
            raise _bad("Invalid CBOR string.")
        part, at = _item(body, at, 0)
        parts.append(part)
    return ("".join(parts) if major == 3 else b"".join(parts)), at + 1


def _array(body: bytes, at: int, info: int, depth: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    if info == 31:
        while True:
            value, at = _item(body, at, depth)
            if value is _BREAK:
                return items, at
            items.append(value)
    size, at = _argument(body, at, info)
    if size > len(body) - at:
        raise IndexError
    for _ in range(size):
        value, at = _item(body, at, depth)
        if value is _BREAK:
            raise _bad("Unexpected CBOR break.")
        items.append(value)
    return items, at


def _map(body: bytes, at: int, info: int, depth: int) -> tuple[dict[str, Any], int]:
    items: dict[str, Any] = {}
    size = -1
    if info != 31:
        size, at = _argument(body, at, info)
        if size > len(body) - at:
            raise IndexError
    while size != 0:
        key, at = _item(body, at, depth)
        if key is _BREAK and size < 0:
            return items, at
        value, at = _item(body, at, depth)
        if key.__class__ is not str or value is _BREAK:
            raise _bad("A CBOR map's keys must be strings.")
        items[key] = value
        size -= 1
    return items, at


def _tag(body: bytes, at: int, info: int, depth: int) -> tuple[Any, int]:
    tag, at = _argument(body, at, info)
    value, at = _item(body, at, depth)
    if value is _BREAK:
        raise _bad("Unexpected CBOR break.")
    if tag == 1:
        if value.__class__ is not int and value.__class__ is not float:
            raise _bad("A CBOR time must be a number.")
        try:
            return times.from_epoch(value), at
        except (ValueError, OverflowError):
            raise Unreadable("value", "timestamp", str(value)[:80]) from None
    return value, at


def head(major: int, size: int) -> bytes:
    if size < 24:
        return bytes((major << 5 | size,))
    for info, limit, width in ((24, 1 << 8, 1), (25, 1 << 16, 2), (26, 1 << 32, 4)):
        if size < limit:
            return bytes((major << 5 | info,)) + size.to_bytes(width, "big")
    return bytes((major << 5 | 27,)) + size.to_bytes(8, "big")


def text(value: str) -> bytes:
    raw = value.encode("utf-8", "replace")
    return head(3, len(raw)) + raw


class CborWriters:
    """Compiles writers for one model: closures that append a value to a buffer."""

    def __init__(self, model: Model) -> None:
        self._structures: dict[int, Writer] = model.compiled.setdefault("cbor", {})

    def structure(self, shape: Shape) -> Writer:
        known = self._structures.get(shape.number)
        if known is None:
            fields: dict[str, tuple[bytes, Writer]] = {}
            known = self._structures[shape.number] = _structure(fields)
            for name, member in shape.members.items():
                fields[name] = (text(member.wire_name), self.member(member))
        return known

    def member(self, member: Member) -> Writer:
        shape = member.shape
        if shape.type == "structure":
            return self.structure(shape)
        if shape.type == "list":
            return _elements(self.member(shape.member))
        if shape.type == "map":
            return _entries(self.member(shape.value))
        return _SCALARS[shape.type]


def _structure(fields: dict[str, tuple[bytes, Writer]]) -> Writer:
    def write(value: Any, out: bytearray) -> None:
        out.append(0xBF)
        for name, item in value.items():
            if item is not None:
                key, writer = fields[name]
                out += key
                writer(item, out)
        out.append(0xFF)

    return write


def _elements(element: Writer) -> Writer:
    def write(value: Any, out: bytearray) -> None:
        out += head(4, len(value))
        for item in value:
            element(item, out)

    return write


def _entries(element: Writer) -> Writer:
    def write(value: Any, out: bytearray) -> None:
        out += head(5, len(value))
        for key, item in value.items():
            out += text(string(key))
            element(item, out)

    return write


def _string(value: Any, out: bytearray) -> None:
    out += text(string(value))


def _integer(value: Any, out: bytearray) -> None:
    value = integer(value)
    out += head(0, value) if value >= 0 else head(1, -1 - value)


def _double(value: Any, out: bytearray) -> None:
    out += struct.pack(">Bd", 0xFB, value)


def _boolean(value: Any, out: bytearray) -> None:
    out.append(0xF5 if boolean(value) else 0xF4)


def _blob(value: Any, out: bytearray) -> None:
    out += head(2, len(value))
    out += bytes(value)


def _time(value: Any, out: bytearray) -> None:
    out.append(0xC1)
    _double(times.epoch(value), out)


_SCALARS: dict[str, Writer] = {
    "string": _string,
    "character": _string,
    "integer": _integer,
    "long": _integer,
    "float": _double,
    "double": _double,
    "boolean": _boolean,
    "blob": _blob,
    "timestamp": _time,
}
