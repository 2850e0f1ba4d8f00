"""JSON as policies are written in it: strict, without duplicate names, of bounded size and depth, with the place of each object.

Refused, unlike by ``json``: a name twice in one object, lone surrogates, NaN and infinities. Depth is counted before
anything is descended into, so a document cannot use up the stack; all else takes time linear in the text.
"""

from __future__ import annotations

import re
from decimal import Decimal
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]

LARGEST = 131_072
"""Characters: what IAM's API takes for any policy document."""
DEEPEST = 12
"""A policy needs 7: document, statements, statement, condition, operator, key, values."""

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,40})(\.\d{1,40})?([eE][+-]?\d{1,3})?", re.ASCII)
_WORDS = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
_SURROGATE = re.compile("[\ud800-\udfff]")

Span = tuple[int, int]


class NotJson(Exception):
    """The text is not one JSON value within the bounds."""


class Scanner:
    """Reads one document. ``spans`` then has the first place of each object and the place after it, by the object's ``id``
    (true as long as the document is held)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.spans: dict[int, Span] = {}

    def document(self) -> object:
        if len(self.text) > LARGEST:
            raise NotJson
        value, place = self._value(self._skip(0), 0)
        if self._skip(place) != len(self.text):
            raise NotJson
        return value

    def _skip(self, place: int) -> int:
        found = _SPACE.match(self.text, place)
        return found.end() if found else place

    def _value(self, place: int, depth: int) -> tuple[object, int]:
        first = self.text[place : place + 1]
        if first == '"':
            return self._string(place)
        if first in ("{", "["):
            if depth == DEEPEST:
                raise NotJson
            return self._object(place, depth + 1) if first == "{" else self._list(place, depth + 1)
        if first in _WORDS:
            word, value = _WORDS[first]
            if self.text.startswith(word, place):
                return value, place + len(word)
            raise NotJson
        number = _NUMBER.match(self.text, place)
        if number is None:
            raise NotJson
        whole = number.group(1) is None and number.group(2) is None
        return int(number.group()) if whole else Decimal(number.group()), number.end()

    def _string(self, place: int) -> tuple[str, int]:
        try:
            value, end = scanstring(self.text, place + 1, True)
        except JSONDecodeError as error:
            raise NotJson from error
        if _SURROGATE.search(value):
            raise NotJson
        return value, end

    def _object(self, start: int, depth: int) -> tuple[dict[str, object], int]:
        found: dict[str, object] = {}
        place = self._skip(start + 1)
        if self.text.startswith("}", place):
            return self._placed(found, start, place + 1)
        while True:
            if not self.text.startswith('"', place):
                raise NotJson
            name, place = self._string(place)
            place = self._skip(place)
            if name in found or not self.text.startswith(":", place):
                raise NotJson
            found[name], place = self._value(self._skip(place + 1), depth)
            place = self._skip(place)
            if self.text.startswith("}", place):
                return self._placed(found, start, place + 1)
            if not self.text.startswith(",", place):
                raise NotJson
            place = self._skip(place + 1)

    def _placed(self, found: dict[str, object], start: int, end: int) -> tuple[dict[str, object], int]:
        self.spans[id(found)] = (start, end)
        return found, end

    def _list(self, start: int, depth: int) -> tuple[list[object], int]:
        found: list[object] = []
        place = self._skip(start + 1)
        if self.text.startswith("]", place):
            return found, place + 1
        while True:
            value, place = self._value(place, depth)
            found.append(value)
            place = self._skip(place)
            if self.text.startswith("]", place):
                return found, place + 1
            if not self.text.startswith(",", place):
                raise NotJson
            place = self._skip(place + 1)


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of a place in a text."""
    line = text.count("\n", 0, offset) + 1
    return line, offset - text.rfind("\n", 0, offset)
