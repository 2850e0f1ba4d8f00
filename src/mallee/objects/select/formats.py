"""Timestamp patterns: ``TO_STRING(at, 'MMMM d, y')`` and ``TO_TIMESTAMP(text, 'y-MM-dd')``.

A pattern is letters of the table in "Date functions" (Amazon S3 Select SQL reference), text in single quotes, and
separators that stand for themselves. A pattern is read once and remembered.
"""

from __future__ import annotations

import re
from functools import lru_cache

from mallee.objects.select.errors import fail
from mallee.objects.select.timestamps import (
    DAY,
    MAX_FRACTION,
    MINUTE,
    MONTH,
    SECOND,
    YEAR,
    Timestamp,
    offset_of,
    offset_text,
    valid,
)

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
MAX_PATTERN = 1000

_WIDTHS = {
    "y": {1, 2, 4}, "M": {1, 2, 3, 4, 5}, "d": {1, 2}, "a": {1}, "h": {1, 2}, "H": {1, 2}, "m": {1, 2}, "s": {1, 2},
    "S": set(range(1, MAX_FRACTION + 1)), "n": {1}, "X": {1, 2, 3, 4, 5}, "x": {1, 2, 3, 4, 5},
}  # fmt: skip
_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+|'", re.DOTALL)

Token = tuple[str, int | str]
"""A letter and how often, or "" and a text."""


@lru_cache(256)
def tokens(pattern: str) -> tuple[Token, ...]:
    if len(pattern) > MAX_PATTERN:
        fail("EvaluatorInvalidTimestampFormatPattern")
    found: list[Token] = []
    for match in _TOKEN.finditer(pattern):
        whole, quoted, letter = match[0], match[1], match[2]
        if whole == "'":
            fail("EvaluatorUnterminatedTimestampFormatPatternToken")
        if letter is None:
            found.append(("", whole if quoted is None else quoted.replace("''", "'") or "'"))
        elif letter not in _WIDTHS:
            fail("EvaluatorInvalidTimestampFormatPatternSymbol", f"{letter!r}")
        elif len(whole) not in _WIDTHS[letter]:
            fail("EvaluatorInvalidTimestampFormatPatternToken", f"{whole[:20]!r}")
        else:
            found.append((letter, len(whole)))
    return tuple(found)


def written(moment: Timestamp, pattern: str) -> str:
    return "".join(str(width) if letter == "" else _field(moment, letter, int(width)) for letter, width in tokens(pattern))


def _field(moment: Timestamp, letter: str, width: int) -> str:
    match letter:
        case "y":
            return f"{moment.year % 100:02}" if width == 2 else f"{moment.year:0{width}}"
        case "M":
            name = MONTHS[moment.month - 1]
            return f"{moment.month:0{width}}" if width < 3 else {3: name[:3], 4: name, 5: name[0]}[width]
        case "d":
            return f"{moment.day:0{width}}"
        case "a":
            return "AM" if moment.hour < 12 else "PM"
        case "h":
            return f"{moment.hour % 12 or 12:0{width}}"
        case "H":
            return f"{moment.hour:0{width}}"
        case "m":
            return f"{moment.minute:0{width}}"
        case "s":
            return f"{moment.second:0{width}}"
        case "S":
            return moment.fraction[:width].ljust(width, "0")
        case "n":
            return str(int(moment.fraction[:9].ljust(9, "0")))
    minutes = moment.offset or 0
    if letter == "X" and minutes == 0:
        return "Z"
    if width == 1:
        text = offset_text(minutes, "")
        return text[:3] if text.endswith("00") else text
    return offset_text(minutes, ":" if width in (3, 5) else "")


_FIELDS = {"y": "y", "M": "M", "d": "d", "a": "a", "h": "h", "H": "h", "m": "m", "s": "s", "S": "f", "n": "f", "X": "z", "x": "z"}


@lru_cache(256)
def _reader(pattern: str) -> re.Pattern[str]:
    parts: list[str] = []
    seen: set[str] = set()
    letters = {letter for letter, _ in tokens(pattern)}
    if ("h" in letters) != ("a" in letters):
        fail("EvaluatorTimestampFormatPatternHourClockAmPmMismatch")
    for letter, width in tokens(pattern):
        if letter == "":
            parts.append(re.escape(str(width)))
            continue
        field = _FIELDS[letter]
        if field in seen:
            fail("EvaluatorTimestampFormatPatternDuplicateFields")
        seen.add(field)
        parts.append(f"(?P<{field}>{_shape(letter, int(width))})")
    if "y" not in seen or ("d" in seen and "M" not in seen) or (seen & {"h", "m", "s", "f", "z"} and not seen >= {"M", "d"}):
        fail("EvaluatorInvalidTimestampFormatPattern", "It skips a field.")
    if ("m" in seen and "h" not in seen) or ("s" in seen and "m" not in seen) or ("f" in seen and "s" not in seen):
        fail("EvaluatorInvalidTimestampFormatPattern", "It skips a field.")
    return re.compile("".join(parts), re.ASCII | re.IGNORECASE)


def _shape(letter: str, width: int) -> str:
    if letter == "y":
        return r"\d\d" if width == 2 else r"\d{4}"
    if letter == "M" and width == 5:
        fail("EvaluatorInvalidTimestampFormatPatternSymbolForParsing", "'MMMMM'")
    if letter == "M" and width > 2:
        return "|".join(name[:3] if width == 3 else name for name in MONTHS)
    if letter == "a":
        return "AM|PM"
    if letter == "S":
        return rf"\d{{{width}}}"
    if letter == "n":
        return r"\d{1,9}"
    if letter in "Xx":
        return r"Z|[+-]\d\d(?::?\d\d)?" if letter == "X" else r"[+-]\d\d(?::?\d\d)?"
    return r"\d\d" if width == 2 else r"\d{1,2}"


def read(text: str, pattern: str) -> Timestamp | None:
    match = _reader(pattern).fullmatch(text)
    if match is None:
        return None
    found = match.groupdict()
    year = int(found["y"])
    if len(found["y"]) == 2:
        year += 1900 if year >= 70 else 2000
    hour = int(found.get("h") or 0)
    if half := found.get("a"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half.upper() == "PM" else 0)
    fraction = found.get("f") or ""
    if "n" in {letter for letter, _ in tokens(pattern)}:
        fraction = fraction.rjust(9, "0")
    precision = SECOND if "s" in found else MINUTE if "h" in found else DAY if "d" in found else MONTH if "M" in found else YEAR
    return valid(
        Timestamp(
            year, _month(found.get("M") or "1"), int(found.get("d") or 1), hour, int(found.get("m") or 0),
            int(found.get("s") or 0), fraction, offset_of(found.get("z", "").upper() or None), precision,
        )
    )  # fmt: skip


def _month(text: str) -> int:
    if text.isdigit():
        return int(text)
    return next(at for at, name in enumerate(MONTHS, 1) if name[:3].lower() == text[:3].lower())
