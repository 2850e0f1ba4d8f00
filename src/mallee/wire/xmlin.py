"""Readers of XML bodies: expat into a small tree, then closures over the tree.

Hostile text meets three bounds: no document type (so no entities and nothing external), 64 levels, 200,000 elements.
Namespaces are not looked at: clients disagree about them, and names alone decide. Names of attributes keep their prefix
(``xsi:type``).
"""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from mallee.wire.model import Member, Model, Shape
from mallee.wire.reading import Reader, Unreadable, boolean, text_reader

MOST_LEVELS = 64
MOST_ELEMENTS = 200_000


class Element:
    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Element] = []
        self.text = ""


class _Builder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._text: list[str] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= MOST_LEVELS or self._count > MOST_ELEMENTS:
            raise Unreadable("syntax", value="The XML is too deep or too long.")
        element = Element(name.rpartition(":")[2], attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._text = []

    def end(self, name: str) -> None:
        element = self._open.pop()
        if not element.children:
            element.text = "".join(self._text)
        self._text = []

    def data(self, text: str) -> None:
        self._text.append(text)


def _refuse(*_: Any) -> None:
    raise Unreadable("syntax", value="The XML must not have a document type.")


def parse(body: bytes) -> Element:
    """The root element. Raises Unreadable."""
    builder = _Builder()
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(body, True)
    except expat.ExpatError:
        raise Unreadable("syntax", value="The XML is not well-formed.") from None
    assert builder.root is not None
    return builder.root


class XmlReaders:
    """Compiles readers for one model. ``strict`` services refuse elements that the shape does not have."""

    def __init__(self, model: Model, *, strict: bool) -> None:
        self._strict = strict
        self._structures: dict[int, Reader] = model.compiled.setdefault(("xml in", strict), {})

    def structure(self, shape: Shape) -> Reader:
        known = self._structures.get(shape.number)
        if known is None:
            fields: dict[str, tuple[str, Reader, bool]] = {}
            attributes: dict[str, tuple[str, Reader]] = {}
            known = self._structures[shape.number] = _structure(fields, attributes, self._strict)
            for name, member in shape.members.items():
                traits = member.traits
                if "location" in traits:
                    continue
                if traits.get("xmlAttribute"):
                    attributes[member.wire_name] = (name, text_reader(member, "iso8601"))
                elif traits.get("flattened") and member.shape.type in ("list", "map"):
                    self._flat(name, member, fields)
                else:
                    fields[member.wire_name] = (name, self.member(member), False)
        return known

    def _flat(self, name: str, member: Member, fields: dict[str, tuple[str, Reader, bool]]) -> None:
        shape = member.shape
        if shape.type == "map":
            fields[member.wire_name] = (name, self._entry(shape), True)
            return
        element = self.member(shape.member)
        for wire_name in (shape.member.traits.get("locationName"), member.wire_name):
            if wire_name is not None:
                fields[wire_name] = (name, element, True)

    def member(self, member: Member) -> Reader:
        shape = member.shape
        if shape.type == "structure":
            return self.structure(shape)
        if shape.type == "list":
            inner = shape.member
            return _list(inner.traits.get("locationName", "member"), self.member(inner), self._strict)
        if shape.type == "map":
            entries = _list("entry", self._entry(shape), self._strict)
            return lambda node: dict(entries(node))
        if shape.type == "boolean":
            return _leaf(_boolean)
        return _leaf(text_reader(member, "iso8601"))

    def _entry(self, shape: Shape) -> Reader:
        names = tuple(part.traits.get("locationName", part.name) for part in (shape.key, shape.value))
        key, value = self.member(shape.key), self.member(shape.value)

        def read(node: Element) -> tuple[Any, Any]:
            found = {child.name: child for child in node.children}
            if names[0] not in found or names[1] not in found:
                raise Unreadable("found", "structure", "string")
            return key(found[names[0]]), value(found[names[1]])

        return read


def _structure(
    fields: dict[str, tuple[str, Reader, bool]], attributes: dict[str, tuple[str, Reader]], strict: bool
) -> Reader:
    def read(node: Element) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for wire_name, (name, reader) in attributes.items():
            if wire_name in node.attributes:
                out[name] = reader(node.attributes[wire_name])
        for child in node.children:
            field = fields.get(child.name)
            if field is None:
                if strict:
                    raise Unreadable("unknown").within(child.name)
                continue
            name, reader, flat = field
            try:
                value = reader(child)
            except Unreadable as error:
                raise error.within(child.name) from None
            if not flat:
                out[name] = value
            elif value.__class__ is tuple:
                out.setdefault(name, {})[value[0]] = value[1]
            else:
                out.setdefault(name, []).append(value)
        if strict and not node.children and node.text and not node.text.isspace():
            raise Unreadable("found", "structure", "string")
        return out

    return read


def _list(name: str, element: Reader, strict: bool) -> Reader:
    def read(node: Element) -> list[Any]:
        out: list[Any] = []
        try:
            for child in node.children:
                if child.name == name:
                    out.append(element(child))
                elif strict:
                    raise Unreadable("unknown").within(child.name)
        except Unreadable as error:
            raise error.within(str(len(out) + 1)) from None
        return out

    return read


def _boolean(text: str) -> bool:
    """XML Schema's, which has 1 and 0, too."""
    found = text.strip()
    return found == "1" if found in ("0", "1") else boolean(found)


def _leaf(convert: Reader) -> Reader:
    def read(node: Element) -> Any:
        if node.children:
            raise Unreadable("found", "string", "structure")
        return convert(node.text)

    return read
