"""The models' patterns are Java regular expressions; this makes Python ones of them.

Differences that occur: ``\\p{...}`` classes, surrogate pairs for characters beyond U+FFFF, POSIX names, and that ``\\w``,
``\\d`` and ``\\s`` are ASCII's only. A pattern that cannot be carried over, or that could backtrack without bound, is
not checked: better to accept than to refuse wrongly or to hang.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_PLANES = 0x32400
_PROPERTY = re.compile(r"\\p\{(?:Is)?([A-Za-z]+)\}|\\p([LMNPSZC])")
_POSIX = {
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Lower": "a-z",
    "Upper": "A-Z",
    "Space": r" \t\n\x0b\f\r",
    "ASCII": r"\x00-\x7f",
    "Print": r"\x20-\x7e",
    "Graph": r"\x21-\x7e",
    "Punct": r"!-/:-@\[-`{-~",
    "XDigit": "0-9a-fA-F",
    "Cntrl": r"\x00-\x1f\x7f",
}
_SURROGATES = re.compile(r"\\uD800\\uDC00-\\uDBFF\\uDFFF", re.IGNORECASE)
_CLASSES = {"\\w", "\\W", "\\d", "\\D", "\\s", "\\S"}
_REPEATS = re.compile(r"(?<!\\)(?:[+*]|\{\d+,\})")
_NESTED = re.compile(r"\((?:[^()\\]|\\.)*[+*](?:[^()\\]|\\.)*\)(?:[+*]|\{\d+,\d*\})")


@lru_cache(maxsize=1)
def _categories() -> dict[str, str]:
    """Character class text of every Unicode general category and major class."""
    runs: dict[str, list[tuple[int, int]]] = {}
    start, current = 0, unicodedata.category("\0")
    category = unicodedata.category
    for point in range(1, _PLANES):
        kind = category(chr(point))
        if kind != current:
            runs.setdefault(current, []).append((start, point - 1))
            start, current = point, kind
    runs.setdefault(current, []).append((start, _PLANES - 1))
    classes = {
        kind: "".join(f"\\U{low:08x}" if low == high else f"\\U{low:08x}-\\U{high:08x}" for low, high in found)
        for kind, found in runs.items()
    }
    for major in "LMNPSZC":
        classes[major] = "".join(text for kind, text in classes.items() if len(kind) == 2 and kind[0] == major)
    return classes


def compiled(pattern: str) -> re.Pattern[str] | None:
    """The pattern ready for ``fullmatch``, or None when it is not to be checked."""
    if dangerous(pattern):
        return None
    try:
        return re.compile(_translate(pattern), re.ASCII)
    except (re.error, KeyError, OverflowError):
        return None


def reach(pattern: str) -> int:
    """The longest text that the pattern is tried on: backtracking costs the length to the power of the open repetitions."""
    return {0: 1_000_000, 1: 1_000_000, 2: 4_000}.get(
        len(_REPEATS.findall(re.sub(r"\[(?:[^\]\\]|\\.)*\]", "c", pattern))), 500
    )


def dangerous(pattern: str) -> bool:
    """Whether a repeated group repeats something inside that can match the same text in two ways: exponential when it
    fails.

    ``(a+)*`` is; ``(/a+)*`` is not, since each round begins with a character that the round before cannot have
    taken."""
    for match in _NESTED.finditer(pattern):
        group = match.group()
        inner = group[group.index("(") + 1 : group.rindex(")")]
        if not _anchored(inner.removeprefix("?:")):
            return True
    return False


def _anchored(inner: str) -> bool:
    """Whether a round of a repeated group starts, or ends, with one literal that its repeated class does not
    contain."""
    if "|" in inner:
        return False
    for literal, rest in (_first_literal(inner), _last_literal(inner)):
        if literal and not any(
            _class_has(piece, literal) for piece in re.findall(r"\[(?:[^\]\\]|\\.)*\]|\\[wdsSWD]|\.", rest)
        ):
            return True
    return False


def _first_literal(inner: str) -> tuple[str, str]:
    match = re.match(r"(?:\\([^\w])|\[\\?([^\w\]\\^])\]|([^\w\\\[\].^$()*+?{}|]))(?![*+?{])", inner)
    return (next(filter(None, match.groups())), inner[match.end() :]) if match else ("", inner)


def _last_literal(inner: str) -> tuple[str, str]:
    match = re.search(r"(?:\\([^\w])|\[\\?([^\w\]\\^])\]|(?<!\\)([^\w\\\[\].^$()*+?{}|]))$", inner)
    return (next(filter(None, match.groups())), inner[: match.start()]) if match else ("", inner)


def _class_has(piece: str, literal: str) -> bool:
    try:
        return re.fullmatch(_translate(piece), literal, re.ASCII) is not None
    except (re.error, KeyError):
        return True


def _translate(pattern: str) -> str:
    pattern = _SURROGATES.sub(r"\\U00010000-\\U0010ffff", pattern)
    out = []
    at = 0
    in_class = False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            match = _PROPERTY.match(pattern, at)
            if match:
                text = _class_text(match.group(1) or match.group(2))
                out.append(text if in_class else f"[{text}]")
                at = match.end()
                if in_class and pattern.startswith("-", at):
                    out.append("\\-")
                    at += 1
                continue
            out.append(pattern[at : at + 2])
            at += 2
            if in_class and out[-1] in _CLASSES and pattern.startswith("-", at):
                out.append("\\-")
                at += 1
            continue
        if in_class and char == "[":
            out.append("\\[")
        else:
            out.append(char)
            if char == "[" and not in_class:
                in_class = True
                for extra in ("^", "]"):
                    if pattern.startswith(extra, at + 1):
                        out.append(extra)
                        at += 1
            elif char == "]":
                in_class = False
        at += 1
    return "".join(out)


def _class_text(name: str) -> str:
    return _POSIX.get(name) or _categories()[name]
