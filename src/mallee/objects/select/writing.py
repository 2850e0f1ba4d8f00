"""Result records as text: CSV fields, quoted where they must be, or one JSON structure each.

MISSING is left out of JSON and empty in CSV, as NULL is; JSON writes null. What is nested can only be written as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from mallee.objects.select.errors import fail
from mallee.objects.select.serialization import CsvOutput
from mallee.objects.select.source import MAX_RECORD
from mallee.objects.select.values import MISSING, decimal_text, text_of

MAX_COLUMNS = 16_384


class CsvWriter:
    def __init__(self, options: CsvOutput) -> None:
        self._field = options.field
        self._quote, self._escape = options.quote, options.escape
        self._always = options.always and bool(options.quote)
        marks = {mark for mark in (options.field, options.record, options.quote, "\n", "\r") if mark}
        self._special = re.compile("|".join(map(re.escape, sorted(marks))))
        self._special_but_field = re.compile("|".join(map(re.escape, sorted(marks - {options.field}))))

    def row(self, values: Sequence[Any]) -> str:
        if len(values) > MAX_COLUMNS:
            fail("OverMaxColumn")
        texts = [value if type(value) is str else text_of(value) for value in values]
        line = self._field.join(texts)
        if self._always or line.count(self._field) != len(texts) - 1 or self._special_but_field.search(line):
            line = self._field.join(map(self._quoted, texts)) if self._quote else line
        if len(line) > MAX_RECORD:
            fail("OverMaxRecordSize")
        return line

    def _quoted(self, text: str) -> str:
        if not self._always and not self._special.search(text):
            return text
        if self._escape != self._quote:
            text = text.replace(self._escape, self._escape * 2)
        return f"{self._quote}{text.replace(self._quote, self._escape + self._quote)}{self._quote}"


_plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
text_json: Callable[[str], str] = json.encoder.encode_basestring


def encoded(value: Any) -> str:
    """Compact JSON. The standard encoder is tried first; it knows no decimals."""
    kind = type(value)
    if kind is str:
        return text_json(value)
    if kind is int:
        return str(value)
    if kind is Decimal:
        return decimal_text(value)
    if kind is dict or kind is list:
        try:
            if kind is list or Decimal not in map(type, value.values()):
                return _plain(value)
        except TypeError:
            pass
        except RecursionError:
            fail("JSONParsingError", "It is nested too deeply.")
        if kind is list:
            return f"[{','.join(map(encoded, value))}]"
        parts = []
        for key, item in value.items():
            written = text_json(item) if type(item) is str else encoded(item)
            parts.append(f"{text_json(key)}:{written}")
        return f"{{{','.join(parts)}}}"
    if value is None or value is MISSING:
        return "null"
    return text_of(value) if kind in (bool, float) else text_json(str(value))


class JsonWriter:
    def row(self, pairs: Sequence[tuple[str, Any]]) -> str:
        """The names are already JSON, with their colons."""
        if len(pairs) > MAX_COLUMNS:
            fail("OverMaxColumn")
        return self.checked(f"{{{','.join([name + encoded(value) for name, value in pairs if value is not MISSING])}}}")

    @staticmethod
    def checked(line: str) -> str:
        if len(line) > MAX_RECORD:
            fail("OverMaxRecordSize")
        return line
