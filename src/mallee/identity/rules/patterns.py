"""Wildcards: ``*`` for any characters, none included, and ``?`` for exactly one.

A pattern is cut at its stars into pieces that have a fixed length; each piece is looked for once, from left to right, which
is right because the leftmost place of a piece leaves most room for those after it. Nothing is ever tried twice, so a
hostile pattern costs about the text's length for each of its stretches without stars.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Matcher = Callable[[str], bool]
Piece = tuple[str | None, ...]
"""Texts and Nones, one after another: a None is a ``?``. Texts are never empty and never adjacent."""


def everything(text: str) -> bool:
    return True


def piece(tokens: Sequence[str | None]) -> Piece:
    """Joins adjacent texts and drops empty ones."""
    joined: list[str | None] = []
    for token in tokens:
        if token is None or not joined or joined[-1] is None:
            if token != "":
                joined.append(token)
        else:
            joined[-1] += token
    return tuple(joined)


def glob(pattern: str) -> Matcher:
    """The function that says whether a text matches; the usual forms need no loop."""
    if "*" not in pattern and "?" not in pattern:
        return pattern.__eq__
    if not pattern.strip("*"):
        return everything
    if "?" not in pattern and "*" not in pattern[:-1]:
        start = pattern[:-1]
        return lambda text: text.startswith(start)
    pieces = tuple(cut(part) for part in pattern.split("*"))
    return lambda text: match(pieces, text)


def cut(text: str) -> Piece:
    """One stretch without stars as a piece."""
    tokens: list[str | None] = []
    for count, part in enumerate(text.split("?")):
        if count:
            tokens.append(None)
        tokens.append(part)
    return piece(tokens)


def match(pieces: Sequence[Piece], text: str) -> bool:
    """Whether a text is these pieces with anything between each two of them."""
    first, last = pieces[0], pieces[-1]
    start = width(first)
    if len(pieces) == 1:
        return start == len(text) and _fits(first, text, 0)
    end = len(text) - width(last)
    if start > end or not _fits(first, text, 0) or not _fits(last, text, end):
        return False
    for middle in pieces[1:-1]:
        if not middle:
            continue
        found = _find(middle, text, start, end)
        if found < 0:
            return False
        start = found + width(middle)
    return True


def width(piece: Piece) -> int:
    return sum(1 if token is None else len(token) for token in piece)


def _fits(piece: Piece, text: str, at: int) -> bool:
    for token in piece:
        if token is None:
            at += 1
        elif text.startswith(token, at):
            at += len(token)
        else:
            return False
    return True


def _find(piece: Piece, text: str, start: int, end: int) -> int:
    """The first place from ``start`` where the piece fits and ends by ``end``; -1 when there is none. A piece with ``?`` is
    looked for by all its characters at once, as bits of a number: bit i says that the first i + 1 fit just here."""
    if len(piece) == 1 and piece[0] is not None:
        return text.find(piece[0], start, end)
    places: dict[str, int] = {}
    anything, bit = 0, 1
    for token in piece:
        for character in token or "?":
            if token is None:
                anything |= bit
            else:
                places[character] = places.get(character, 0) | bit
            bit <<= 1
    whole, fitting = bit >> 1, 0
    for at in range(start, end):
        fitting = (fitting << 1 | 1) & (places.get(text[at], 0) | anything)
        if fitting & whole:
            return at + 1 - width(piece)
    return -1
