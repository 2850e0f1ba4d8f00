"""LIKE without backtracking.

A pattern is cut at its ``%`` into segments. The first and the last are tied to the ends of the text; each one between is
taken at its leftmost place after the one before, which is right because a segment has a fixed length. No place is
looked at twice for one segment, and a segment that has to be looked for has few pieces (``MOST_PIECES``), so the worst text costs its length
times that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from mallee.objects.select.errors import fail

MOST_PIECES: Final = 64


class _Segment:
    """Text of fixed length with ``_`` in it: its literal pieces and where they stand."""

    def __init__(self, characters: list[str | None]) -> None:
        self.length = len(characters)
        self.pieces: list[tuple[int, str]] = []
        start = 0
        for at in range(len(characters) + 1):
            if at == len(characters) or characters[at] is None:
                if at > start:
                    self.pieces.append((start, "".join(character or "" for character in characters[start:at])))
                start = at + 1

    def at(self, text: str, at: int) -> bool:
        return at + self.length <= len(text) and all(text.startswith(piece, at + offset) for offset, piece in self.pieces)

    def find(self, text: str, start: int, end: int) -> int:
        """The first place in text[start:end], or -1."""
        if not self.pieces:
            return start if start + self.length <= end else -1
        offset, piece = self.pieces[0]
        while True:
            found = text.find(piece, start + offset, end)
            if found < 0 or found - offset + self.length > end:
                return -1
            if len(self.pieces) == 1 or self.at(text, found - offset):
                return found - offset
            start = found - offset + 1


@lru_cache(256)
def _small(pattern: str, escape: str | None) -> Callable[[str], bool]:
    return _compiled(pattern, escape)


def matcher(pattern: str, escape: str | None) -> Callable[[str], bool]:
    # what comes out of the data may be long, and is not kept
    return _small(pattern, escape) if len(pattern) <= 1000 else _compiled(pattern, escape)


def _compiled(pattern: str, escape: str | None) -> Callable[[str], bool]:
    if escape is not None and len(escape) != 1:
        fail("EvaluatorLikePatternInvalidEscapeSequence", "It must be one character.")
    parts: list[list[str | None]] = [[]]
    characters = iter(pattern)
    for character in characters:
        if character == escape:
            following = next(characters, None)
            if following not in ("%", "_", escape):
                fail("EvaluatorLikePatternInvalidEscapeSequence", "It must come before %, _ or itself.")
            parts[-1].append(following)
        elif character == "%":
            parts.append([])
        else:
            parts[-1].append(None if character == "_" else character)
    first, last = _Segment(parts[0]), _Segment(parts[-1])
    if len(parts) == 1:
        return lambda text: len(text) == first.length and first.at(text, 0)
    between = [_Segment(part) for part in parts[1:-1] if part]
    if any(len(segment.pieces) > MOST_PIECES for segment in between):
        fail("LikeInvalidInputs", f"The pattern has more than {MOST_PIECES} pieces of text between two %.")

    def matches(text: str) -> bool:
        end = len(text) - last.length
        if end < first.length or not first.at(text, 0) or not last.at(text, end):
            return False
        at = first.length
        for segment in between:
            at = segment.find(text, at, end)
            if at < 0:
                return False
            at += segment.length
        return True

    return matches
