"""Reading answers: filters look at what the answer shows, so they find it there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def path(*members: str) -> Callable[[Any], Any]:
    """A reader of one member of an answer. Lists on the way are looked through; what is missing is None."""

    def read(value: Any) -> Any:
        for member in members:
            if isinstance(value, list):
                value = [each.get(member) for each in value]
            elif value is not None:
                value = value.get(member)
        return value

    return read
