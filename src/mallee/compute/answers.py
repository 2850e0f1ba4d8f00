"""Reading answers: filters look at what the answer shows, so they find it there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def path(*members: str) -> Callable[[Any], Any]:
    """A reader of one member of an answer: its value, None where it is missing. Where a list is on the way, the values
    of all its items in one flat list.
    """

    def read(value: Any) -> Any:
        for member in members:
            if isinstance(value, list):
                value = _flat(each.get(member) for each in value if each is not None)
            elif value is not None:
                value = value.get(member)
        return value

    return read


def _flat(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if isinstance(value, list):
            found.extend(value)
        elif value is not None:
            found.append(value)
    return found
