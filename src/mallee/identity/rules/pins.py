"""Users and roles that a trust policy names, held by their unique ids.

A policy that is stored with the ids of those whom it names does not speak of another who comes to bear the same name: who
deletes a role and makes it anew does not inherit the trust. The text is otherwise kept as it was written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from mallee.identity.rules.errors import SYNTAX, Malformed
from mallee.identity.rules.scanner import NotJson, Scanner, Span


class _Placed(str):
    """A string of a document that knows where in the text it stands."""

    span: Span


class _Placing(Scanner):
    def _value(self, place: int, depth: int) -> tuple[object, int]:
        value, end = super()._value(place, depth)
        if isinstance(value, str):
            value = _Placed(value)
            value.span = (place, end)
        return value, end


def replaced(text: str, other: Callable[[str], str | None]) -> str:
    """The text with each AWS principal that ``other`` has another name for (an id for an ARN, or the ARN for an id) under that
    name. Raises Malformed for what is no policy."""
    try:
        document = _Placing(text).document()
    except NotJson:
        raise Malformed(SYNTAX) from None
    parts: list[str] = []
    place = 0
    for named in _named(document):
        name = other(str(named))
        if name is not None:
            start, end = named.span
            parts += (text[place:start], json.dumps(name))
            place = end
    return "".join(parts) + text[place:]


def _named(document: object) -> Iterator[_Placed]:
    """The AWS principals, in the order of the text: places are sorted, since elements may stand in any order."""
    found: list[_Placed] = []
    statements = document.get("Statement") if isinstance(document, Mapping) else None
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in ("Principal", "NotPrincipal"):
            listed = statement.get(element) if isinstance(statement, Mapping) else None
            names = listed.get("AWS") if isinstance(listed, Mapping) else None
            found += [each for each in (names if isinstance(names, list) else [names]) if isinstance(each, _Placed)]
    return iter(sorted(found, key=lambda each: each.span))
