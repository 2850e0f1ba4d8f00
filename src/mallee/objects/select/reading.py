"""Records of CSV and JSON out of pieces of bytes.

A line without a quote is split by str.split, a quoted one by the csv module where its dialect is S3's exactly, else by a
regular expression. JSON is the standard library's, with numbers kept as decimals.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from mallee.objects.select.errors import fail
from mallee.objects.select.serialization import CsvInput
from mallee.objects.select.source import MAX_RECORD, Meter, blocks, text
from mallee.objects.select.values import CONTEXT

NOWHERE = "\ud800"
"""In no text that came out of UTF-8."""
_CSV_MODULE_MAX = 100_000
"""Below the csv module's own limit of a field."""


class CsvReader:
    """``lines`` are records with the delimiter gone and comments and blank lines left out; ``fields`` takes one apart."""

    def __init__(self, options: CsvInput) -> None:
        self._options = options
        self.marker = options.quote or NOWHERE
        if options.quote:
            self._compile(options)
        self._box: deque[str] = deque()
        self._module = (
            csv.reader(
                iter(self._box.popleft, None), delimiter=options.field, quotechar=options.quote, doublequote=True, strict=True
            )
            if len(options.field) == 1 and options.field not in "\r\n\0 " and options.record == "\n"
            and options.quote and options.escape == options.quote and options.quote not in "\r\n\0 "
            else None
        )  # fmt: skip

    def _compile(self, options: CsvInput) -> None:
        field, quote, escape = re.escape(options.field), re.escape(options.quote), re.escape(options.escape)
        # \r\n ends a line wherever \n does
        record = r"\r?\n" if options.record == "\n" else re.escape(options.record)
        if escape == quote:
            inside, closed = f"[^{quote}]*(?:{quote}{quote}[^{quote}]*)*", f"{quote}(?!{quote})"
        else:
            inside, closed = f"[^{quote}{escape}]*(?:{escape}.[^{quote}{escape}]*)*", quote
        quoted = f"{quote}{inside}{closed}"
        bare = f"(?!{quote})" + (f"[^{field}]*" if len(options.field) == 1 else f"(?:(?!{field}).)*")
        if len(options.field) == len(options.record) == 1:
            within = f"(?!{quote})[^{field}{re.escape(options.record)}]*"
        else:
            within = f"(?!{quote})(?:(?!{field}|{record}).)*"
        before = f"(?:(?:{quoted}|{within}){field})*"
        after = re.escape(options.field[0] + options.record[0]) + (r"\r" if options.record == "\n" else "")
        # each field can be read in one way only, so going back over them is linear; no possessive quantifiers, which
        # Python before 3.11.5 matches wrongly around alternatives (gh-106052)
        self._field = re.compile(f"(?:{quote}({inside}){closed}|({bare}))({field})?", re.DOTALL)
        self._record = re.compile(f"({before}(?:{quoted}|{within})){record}", re.DOTALL)
        self._whole = re.compile(f"{before}(?:{quoted}|{within})", re.DOTALL)
        self._broken = re.compile(f"{before}{quoted}[^{after}]", re.DOTALL)
        self._unescape = re.compile(f"{escape}([{quote}{escape}])")

    def lines(self, given: Iterable[bytes], meter: Meter) -> Iterator[tuple[list[str], bool]]:
        """And whether no quote and no carriage return is among them."""
        comment, record = self._options.comments or NOWHERE, self._options.record
        batches = self._quoted(given, meter) if self._options.quoted_records else self._split(given, meter)
        first = True
        for found, plain in batches:
            if first:
                first = False
                found[0] = found[0].removeprefix("\ufeff")
            if record == "\n" and not plain:
                found = [line[:-1] if line.endswith("\r") else line for line in found]
            yield [line for line in found if line and line[0] != comment], plain

    def _split(self, given: Iterable[bytes], meter: Meter) -> Iterator[tuple[list[str], bool]]:
        record, marker = self._options.record, self.marker
        for block in blocks(given, record.encode()):
            found = text(block, meter)
            yield found.split(record), marker not in found and "\r" not in found

    def _quoted(self, given: Iterable[bytes], meter: Meter) -> Iterator[tuple[list[str], bool]]:
        """Records whose quoted fields may contain the record delimiter."""
        comment, record, marker = self._options.comments or NOWHERE, self._options.record, self.marker
        carry = ""
        for piece, last in _texts(given, meter):
            data = carry + piece
            found: list[str] = []
            at = 0
            while True:
                end = data.find(record, at)
                if end < 0 and not last:
                    break
                if end >= 0 and (data.startswith(comment, at) or data.find(marker, at, end) < 0):
                    found.append(data[at:end])
                    at = end + len(record)
                    continue
                match = self._record.match(data, at)
                if match is None:
                    break
                found.append(match[1])
                at = match.end()
            carry = data[at:]
            if self._broken.match(carry) and not carry.startswith(comment):
                fail("CSVUnescapedQuote")
            if last and carry and not carry.startswith(comment):
                carry = carry.removesuffix("\r") if record == "\n" else carry
                if not self._whole.fullmatch(carry):
                    fail("CSVParsingError", "A quoted field does not end.")
                found.append(carry)
            if max(map(len, found), default=0) > MAX_RECORD or len(carry) > MAX_RECORD:
                fail("OverMaxRecordSize")
            if found:
                yield found, False

    def fields(self, line: str) -> list[str]:
        if self.marker not in line:
            return line.split(self._options.field)
        if self._module is None or len(line) > _CSV_MODULE_MAX or "\r" in line:
            return self._apart(line)
        self._box.append(line)
        try:
            return next(self._module)
        except IndexError:
            # the reader asked for another line
            return self._unterminated()
        except csv.Error:
            return fail("CSVUnescapedQuote")

    def _apart(self, line: str) -> list[str]:
        found: list[str] = []
        at = 0
        while True:
            match = self._field.match(line, at)
            if match is None:
                return self._unterminated()
            quoted, bare, delimiter = match.groups()
            found.append(bare if quoted is None else self._unescape.sub(r"\1", quoted))
            at = match.end()
            if delimiter is None:
                return found if at == len(line) else fail("CSVUnescapedQuote")

    def _unterminated(self) -> list[str]:
        return fail("CSVParsingError" if self._options.quoted_records else "CSVEscapingRecordDelimiter")


def _texts(given: Iterable[bytes], meter: Meter) -> Iterator[tuple[str, bool]]:
    """Text, and whether it is the last; the last may be empty."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for piece in given:
            yield decoder.decode(piece), False
        yield decoder.decode(b"", final=True), True
    except UnicodeDecodeError:
        fail("InvalidTextEncoding", f"The error is near byte {meter.processed}.")


def _constant(name: str) -> Any:
    fail("JSONParsingError", f"{name} is no JSON.")


def _number(written: str) -> Any:
    try:
        return CONTEXT.create_decimal(written)
    except ArithmeticError:
        fail("NumberFormatError", f"{written[:40]}")


_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_constant)
_BLANK = " \t\n\r"


def json_lines(given: Iterable[bytes], meter: Meter) -> Iterator[list[Any]]:
    """The values of a block of lines."""
    decode = _DECODER.decode
    first = True
    for block in blocks(given, b"\n"):
        found = text(block, meter)
        if first:
            found, first = found.removeprefix("\ufeff"), False
        try:
            yield [decode(line) for line in found.split("\n") if line and not line.isspace()]
        except json.JSONDecodeError as error:
            fail("JSONParsingError", f"{error.msg}, column {error.colno}.")
        except (RecursionError, ValueError):
            fail("JSONParsingError", "It is nested too deeply, or has a number that is too long.")


def json_document(given: Iterable[bytes], meter: Meter) -> Iterator[list[Any]]:
    """The values at the root, one after the other. Each is a record and at most MAX_RECORD long."""
    carry = ""
    tried = 0
    first = True
    for piece, last in _texts(given, meter):
        if first and piece:
            piece, first = piece.removeprefix("\ufeff"), False
        carry += piece
        # a value that did not end is looked at again when there is twice as much of it
        if not last and len(carry) < 2 * tried and len(carry) <= MAX_RECORD:
            continue
        found, carry = _values(carry, last)
        tried = len(carry)
        if tried > MAX_RECORD:
            fail("OverMaxRecordSize")
        yield found


def _values(data: str, last: bool) -> tuple[list[Any], str]:
    """The values that end in the text, and what remains of it."""
    found: list[Any] = []
    at = 0
    while True:
        while at < len(data) and data[at] in _BLANK:
            at += 1
        if at == len(data):
            return found, ""
        try:
            value, end = _DECODER.raw_decode(data, at)
        except json.JSONDecodeError as error:
            # what is wrong long before the end will not become right; a word or an escape at the end may be cut
            if last or (error.pos < len(data) - 16 and not error.msg.startswith("Unterminated string")):
                fail("JSONParsingError", f"{error.msg}.")
            return found, data[at:]
        except (RecursionError, ValueError):
            fail("JSONParsingError", "It is nested too deeply, or has a number that is too long.")
        if end - at > MAX_RECORD:
            fail("OverMaxRecordSize")
        if not last and len(data) - end < 8 and type(value) not in (dict, list, str):
            return found, data[at:]  # a number may go on
        found.append(value)
        at = end
