"""Writers of XML: closures that append text for a value, tags included.

A writer for a structure walks the dict it is given, not the shape, so that members that are absent or None cost
nothing; a name that the shape does not have is a fault of the program and raises `OutputError`. Characters that XML
cannot carry become U+FFFD, lest one odd tag value make a whole listing unreadable.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

from mallee.wire import times
from mallee.wire.model import Member, Model, Shape
from mallee.wire.output import number_text

Put: TypeAlias = Callable[[str], None]
Writer: TypeAlias = Callable[[Any, Put], None]
Formatter: TypeAlias = Callable[[Any], str]
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Constant(dict[str, Any]):
    """A structure that is the same in many answers and never changes: its XML is made once for each place that it has in them.

    Everything else takes it for the dict that it is.
    """

    __slots__ = ("texts",)

    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__(*values, **named)
        self.texts: dict[Writer, str] = {}

    def text(self, writer: Writer, opening: str, closing: str, content: Writer) -> str:
        """What ``writer`` writes for it."""
        parts = [opening]
        content(self, parts.append)
        parts.append(closing)
        text = self.texts[writer] = "".join(parts)
        return text


def escaped(text: str) -> str:
    """Text as element content or attribute value."""
    if text.isprintable() and "&" not in text and "<" not in text and ">" not in text and '"' not in text:
        return text
    text = (
        text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&quot;")
        .replace("\r", "&#13;")
    )
    return _ILLEGAL.sub("\ufffd", text)


class XmlWriters:
    """Compiles writers for one model. ``times_of``: the protocol's ISO form, `times.iso` or `times.iso_millis`."""

    def __init__(self, model: Model, times_of: Callable[[datetime], str], list_item: str = "member") -> None:
        self._times = times_of
        self._item = list_item
        self._bodies: dict[int, Writer] = model.compiled.setdefault(("xml", times_of.__name__, list_item), {})

    def content(self, shape: Shape) -> Writer:
        """Writes a structure's members, without tags of its own."""
        known = self._bodies.get(shape.number)
        if known is None:
            texts: dict[str, tuple[str, str]] = {}
            fields: dict[str, Writer] = {}
            known = self._bodies[shape.number] = _content(texts, fields)
            for name, member in shape.members.items():
                if "location" not in member.traits and not member.traits.get("xmlAttribute"):
                    fields[name] = self.element(member)
                    if member.shape.type == "string":
                        texts[name] = (f"<{member.wire_name}>", f"</{member.wire_name}>")
        return known

    def element(self, member: Member, name: str | None = None) -> Writer:
        """Writes a value with the tags of the member's (or the given) name."""
        shape = member.shape
        name = name or member.wire_name
        if shape.type == "structure":
            return self.enclosed(shape, name, member.traits.get("xmlNamespace"))
        if shape.type == "list":
            return self._list(member, name)
        if shape.type == "map":
            return self._map(member, name)
        return _leaf(f"<{name}>", f"</{name}>", self.text(member))

    def enclosed(self, shape: Shape, name: str, namespace: Any = None) -> Writer:
        attributes = _namespace(namespace)
        content = self.content(shape)
        marked = [(key, m.wire_name, self.text(m)) for key, m in shape.members.items() if m.traits.get("xmlAttribute")]
        if marked:
            return _with_attributes(name, attributes, marked, content)
        return _enclosed(f"<{name}{attributes}>", f"</{name}>", content)

    def _list(self, member: Member, name: str) -> Writer:
        inner = member.shape.member
        flat = member.traits.get("flattened")
        item = inner.traits.get("locationName", name if flat else self._item)
        if inner.shape.type == "structure" and not any(
            m.traits.get("xmlAttribute") for m in inner.shape.members.values()
        ):
            attributes = _namespace(inner.traits.get("xmlNamespace"))
            repeated = _structures(f"<{item}{attributes}>", f"</{item}>", self.content(inner.shape))
        else:
            repeated = _repeated(self.element(inner, item))
        return repeated if flat else _enclosed(f"<{name}>", f"</{name}>", repeated)

    def _map(self, member: Member, name: str) -> Writer:
        shape = member.shape
        key = self.element(shape.key, shape.key.traits.get("locationName", "key"))
        value = self.element(shape.value, shape.value.traits.get("locationName", "value"))
        if member.traits.get("flattened"):
            return _entries(f"<{name}>", f"</{name}>", key, value)
        return _enclosed(f"<{name}>", f"</{name}>", _entries("<entry>", "</entry>", key, value))

    def text(self, member: Member) -> Formatter:
        return text_formatter(member, self._times)


def text_formatter(member: Member, times_of: Callable[[datetime], str], default: str = "iso8601") -> Formatter:
    """A scalar as XML text or header value (before escaping a header needs none)."""
    kind = member.shape.type
    if kind == "timestamp":
        form = member.traits.get("timestampFormat", default)
        if form == "rfc822":
            return times.http_date
        return times_of if form == "iso8601" else _epoch
    return _FORMATTERS[kind]


def _epoch(value: datetime) -> str:
    return str(times.epoch(value))


def _boolean(value: Any) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    raise TypeError(f"{value!r} is not a bool")


def _blob(value: Any) -> str:
    return b64encode(value).decode("ascii")


_FORMATTERS: dict[str, Formatter] = {
    "string": escaped,
    "character": escaped,
    "integer": int.__repr__,
    "long": int.__repr__,
    "float": number_text,
    "double": number_text,
    "boolean": _boolean,
    "blob": _blob,
}


def _namespace(namespace: Any) -> str:
    if not namespace:
        return ""
    if isinstance(namespace, str):
        return f' xmlns="{namespace}"'
    prefix = namespace.get("prefix")
    return f' xmlns:{prefix}="{namespace["uri"]}"' if prefix else f' xmlns="{namespace["uri"]}"'


def _content(texts: dict[str, tuple[str, str]], fields: dict[str, Writer]) -> Writer:
    """``texts`` are the members that are strings, most of any answer, which are written here without a call."""

    def write(value: Any, put: Put) -> None:
        for name, item in value.items():
            if item.__class__ is str:
                opening, closing = texts[name]
                if item.isprintable() and "&" not in item and "<" not in item and ">" not in item:
                    put(f"{opening}{item}{closing}")
                else:
                    put(f"{opening}{escaped(item)}{closing}")
            elif item is not None:
                fields[name](item, put)

    return write


def _structures(opening: str, closing: str, content: Writer) -> Writer:
    def write(value: Any, put: Put) -> None:
        for item in value:
            if item.__class__ is Constant:
                put(item.texts.get(write) or item.text(write, opening, closing, content))
                continue
            put(opening)
            content(item, put)
            put(closing)

    return write


def _leaf(opening: str, closing: str, text: Formatter) -> Writer:
    def write(value: Any, put: Put) -> None:
        put(f"{opening}{text(value)}{closing}")

    return write


def _enclosed(opening: str, closing: str, content: Writer) -> Writer:
    def write(value: Any, put: Put) -> None:
        if value.__class__ is Constant:
            put(value.texts.get(write) or value.text(write, opening, closing, content))
            return
        put(opening)
        content(value, put)
        put(closing)

    return write


def _with_attributes(name: str, namespace: str, marked: list[tuple[str, str, Formatter]], content: Writer) -> Writer:
    def write(value: Any, put: Put) -> None:
        value = dict(value)
        put(f"<{name}{namespace}")
        for key, attribute, text in marked:
            marking = value.pop(key, None)
            if marking is not None:
                put(f' {attribute}="{text(marking)}"')
        put(">")
        content(value, put)
        put(f"</{name}>")

    return write


def _repeated(element: Writer) -> Writer:
    def write(value: Any, put: Put) -> None:
        for item in value:
            element(item, put)

    return write


def _entries(opening: str, closing: str, key: Writer, element: Writer) -> Writer:
    def write(value: Any, put: Put) -> None:
        for name, item in value.items():
            put(opening)
            key(name, put)
            element(item, put)
            put(closing)

    return write
