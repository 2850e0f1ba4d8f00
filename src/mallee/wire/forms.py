"""Readers for the EC2 and query protocols: flat form fields into a tree, then closures over the tree.

The tree is a dict of dicts by the dotted segments of the field names; a leaf is a string. A list is a dict whose keys
are numbers: its length is the number of fields sent, whatever the numbers say, so ``Filter.999999999.Name`` is a list
of one.

The two protocols differ in names. EC2: ``queryName``, else ``locationName`` with a capital, else the member's name;
every list is flat. Query: ``locationName`` or the member's name; a list is ``Name.member.N`` unless flattened, a map
``Name.entry.N.key`` and ``.value``. EC2 refuses a parameter it does not know; the query services pass over it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mallee.wire.errors import AwsError
from mallee.wire.model import Member, Model, Shape
from mallee.wire.reading import Reader, Unreadable, text_reader

# What no XML answer could carry, and (NUL) no database keep: XML 1.0, section 2.2.
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
MOST_LEVELS = 32
MOST_BRANCHES = 100_000
_PROTOCOL_FIELDS = frozenset(
    {
        "Action",
        "AuthParams",
        "AWSAccessKeyId",
        "ContentType",
        "Expires",
        "Operation",
        "SecurityToken",
        "Signature",
        "SignatureMethod",
        "SignatureVersion",
        "Timestamp",
        "Version",
    }
)


def tree(fields: Mapping[str, str], names: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The fields that belong to the operation, as a tree. ``names``: the operation's own top-level names, which win
    over the protocol's (an operation may have a parameter ``Expires``)."""
    root: dict[str, Any] = {}
    branches = 0
    for key, value in fields.items():
        if not (value.isprintable() and key.isprintable()) and (_UNSPEAKABLE.search(value) or _UNSPEAKABLE.search(key)):
            raise AwsError("InvalidParameterValue", "A parameter contains characters that are not allowed", status=400)
        if "." not in key:
            if (key in _PROTOCOL_FIELDS or key.startswith("X-Amz-")) and not (
                names and key in names and key not in ("Action", "Version")
            ):
                continue
            if root.setdefault(key, value) is not value and value:
                raise Unreadable("found", "string", "structure").within(key)
            continue
        steps = key.split(".", MOST_LEVELS)
        last = steps.pop()
        if "." in last:
            raise AwsError("MalformedQueryString", "A parameter name has too many levels", status=400)
        node = root
        for step in steps:
            below = node.get(step)
            if below is None:
                below = node[step] = {}
                branches += 1
            elif below.__class__ is str:
                if below:
                    raise Unreadable("found", "string", "structure").within(step)
                below = node[step] = {}
            node = below
        if node.setdefault(last, value) is not value and value:
            raise Unreadable("found", "string", "structure").within(key)
        if branches > MOST_BRANCHES:
            raise AwsError("MalformedQueryString", "The request has too many parameters", status=400)
    return root


class FormReaders:
    """Compiles readers for one model. ``strict`` is EC2's naming, flat lists and refusal of unknown parameters."""

    def __init__(self, model: Model, *, strict: bool) -> None:
        self._strict = strict
        self._structures: dict[int, Reader] = model.compiled.setdefault(("form", strict), {})

    def name(self, member: Member) -> str:
        traits = member.traits
        if not self._strict:
            return self._flat_name(member) or member.wire_name
        if "queryName" in traits:
            return str(traits["queryName"])
        name: str = traits.get("locationName", member.name)
        return name[:1].upper() + name[1:] if "locationName" in traits else name

    def _flat_name(self, member: Member) -> str | None:
        """A flattened list whose members are named bears their name instead of its own."""
        if member.traits.get("flattened") and member.shape.type == "list":
            name: str | None = member.shape.member.traits.get("locationName")
            return name
        return None

    def structure(self, shape: Shape) -> Reader:
        known = self._structures.get(shape.number)
        if known is None:
            fields: dict[str, tuple[str, Reader]] = {}
            known = self._structures[shape.number] = _structure(fields, self._strict)
            for name, member in shape.members.items():
                fields[self.name(member)] = (name, self.member(member))
        return known

    def member(self, member: Member) -> Reader:
        shape = member.shape
        if shape.type == "structure":
            return self.structure(shape)
        if shape.type == "list":
            return self._list(member)
        if shape.type == "map":
            return self._map(member)
        return text_reader(member, "iso8601")

    def _list(self, member: Member) -> Reader:
        read = self.member(member.shape.member)
        if self._strict or member.traits.get("flattened"):
            return _flat_list(read)
        return _named(member.shape.member.traits.get("locationName", "member"), _flat_list(read))

    def _map(self, member: Member) -> Reader:
        shape = member.shape
        key_name, value_name = (part.traits.get("locationName", part.name) for part in (shape.key, shape.value))
        entries = _flat_list(_entry(key_name, self.member(shape.key), value_name, self.member(shape.value)))

        def read(node: Any) -> dict[str, Any]:
            return dict(entries(node))

        return read if member.traits.get("flattened") else _named("entry", read)


def _structure(fields: dict[str, tuple[str, Reader]], strict: bool) -> Reader:
    def read(node: Any) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if node.__class__ is str:
            if node == "":
                return out
            raise Unreadable("found", "structure", "string")
        for key, child in node.items():
            field = fields.get(key)
            if field is None:
                if strict:
                    raise Unreadable("unknown").within(key)
                continue
            try:
                out[field[0]] = field[1](child)
            except Unreadable as error:
                raise error.within(key) from None
        return out

    return read


def _flat_list(element: Reader) -> Reader:
    def read(node: Any) -> list[Any]:
        if node.__class__ is str:
            if node == "":
                return []
            raise Unreadable("found", "list", "string")
        keys = list(node)
        for key in keys:
            if not (key.isascii() and key.isdigit() and len(key) <= 10):
                raise Unreadable("unknown").within(key)
        if len(keys) > 1:
            keys.sort(key=int)
        out = []
        for key in keys:
            try:
                out.append(element(node[key]))
            except Unreadable as error:
                raise error.within(key) from None
        return out

    return read


def _named(name: str, inner: Reader) -> Reader:
    def read(node: Any) -> Any:
        if node.__class__ is str:
            return inner(node)
        for key in node:
            if key != name:
                raise Unreadable("unknown").within(key)
        try:
            return inner(node[name])
        except Unreadable as error:
            raise error.within(name) from None

    return read


def _entry(key_name: str, key: Reader, value_name: str, value: Reader) -> Reader:
    def read(node: Any) -> tuple[str, Any]:
        if node.__class__ is str:
            raise Unreadable("found", "structure", "string")
        if key_name not in node:
            raise Unreadable("found", "string", "null").within(key_name)
        try:
            name = key(node[key_name])
        except Unreadable as error:
            raise error.within(key_name) from None
        try:
            return name, value(node.get(value_name, ""))
        except Unreadable as error:
            raise error.within(value_name) from None

    return read
