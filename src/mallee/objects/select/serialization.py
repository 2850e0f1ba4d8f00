"""InputSerialization, OutputSerialization and ScanRange: the model's dicts as checked, frozen values with S3's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mallee.objects.select.errors import fail

MAX_DELIMITER = 16


@dataclass(frozen=True)
class CsvInput:
    header: str = "NONE"
    comments: str = "#"
    field: str = ","
    record: str = "\n"
    quote: str = '"'
    """Empty: nothing is quoted."""
    escape: str = '"'
    quoted_records: bool = False


@dataclass(frozen=True)
class JsonInput:
    lines: bool


@dataclass(frozen=True)
class CsvOutput:
    always: bool = False
    field: str = ","
    record: str = "\n"
    quote: str = '"'
    escape: str = '"'


@dataclass(frozen=True)
class JsonOutput:
    record: str = "\n"


@dataclass(frozen=True)
class ScanRange:
    """Both ends belong to it; ``end`` None is the object's end."""

    start: int
    end: int | None


def _character(given: Mapping[str, Any], name: str, default: str) -> str:
    value = given.get(name)
    value = default if value is None else value
    if len(value) > 1:
        fail("InvalidRequestParameter", f"{name} must be a single character.")
    return str(value)


def _delimiter(given: Mapping[str, Any], name: str, default: str) -> str:
    value = given.get(name)
    value = default if value is None else value
    if not 1 <= len(value) <= MAX_DELIMITER:
        fail("InvalidRequestParameter", f"{name} must have 1 to {MAX_DELIMITER} characters.")
    return str(value)


def _distinct(field: str, record: str, quote: str) -> None:
    if field == record or (quote and (quote in field or quote in record)):
        fail("InvalidRequestParameter", "FieldDelimiter, RecordDelimiter and QuoteCharacter must differ.")


def _csv_input(given: Mapping[str, Any]) -> CsvInput:
    header = given.get("FileHeaderInfo") or "NONE"
    if header not in ("NONE", "USE", "IGNORE"):
        fail("InvalidFileHeaderInfo")
    quote = _character(given, "QuoteCharacter", '"')
    found = CsvInput(
        header=header,
        comments=_character(given, "Comments", "#"),
        field=_delimiter(given, "FieldDelimiter", ","),
        record=_delimiter(given, "RecordDelimiter", "\n"),
        quote=quote,
        escape=_character(given, "QuoteEscapeCharacter", quote) or quote,
        quoted_records=bool(given.get("AllowQuotedRecordDelimiter")) and bool(quote),
    )
    _distinct(found.field, found.record, quote)
    return found


def read_input(given: Mapping[str, Any]) -> tuple[CsvInput | JsonInput, str]:
    """The format, and the compression: NONE, GZIP or BZIP2."""
    formats = [name for name in ("CSV", "JSON", "Parquet") if given.get(name) is not None]
    if len(formats) > 1:
        fail("ObjectSerializationConflict", f"InputSerialization has {' and '.join(formats)}.")
    if not formats:
        fail("InvalidDataSource", "InputSerialization names no format.")
    if formats == ["Parquet"]:
        fail("InvalidDataSource", "Parquet objects cannot be queried here.")
    compression = given.get("CompressionType") or "NONE"
    if compression not in ("NONE", "GZIP", "BZIP2"):
        fail("InvalidCompressionFormat")
    if formats == ["CSV"]:
        return _csv_input(given["CSV"]), compression
    kind = given["JSON"].get("Type")
    if kind not in ("DOCUMENT", "LINES"):
        fail("InvalidJsonType")
    return JsonInput(lines=kind == "LINES"), compression


def read_output(given: Mapping[str, Any]) -> CsvOutput | JsonOutput:
    formats = [name for name in ("CSV", "JSON") if given.get(name) is not None]
    if len(formats) > 1:
        fail("ObjectSerializationConflict", "OutputSerialization has CSV and JSON.")
    if not formats:
        fail("MissingRequiredParameter", "OutputSerialization names no format.")
    options = given[formats[0]]
    if formats == ["JSON"]:
        return JsonOutput(_delimiter(options, "RecordDelimiter", "\n"))
    fields = options.get("QuoteFields") or "ASNEEDED"
    if fields not in ("ALWAYS", "ASNEEDED"):
        fail("InvalidQuoteFields")
    quote = _character(options, "QuoteCharacter", '"')
    found = CsvOutput(
        always=fields == "ALWAYS",
        field=_delimiter(options, "FieldDelimiter", ","),
        record=_delimiter(options, "RecordDelimiter", "\n"),
        quote=quote,
        escape=_character(options, "QuoteEscapeCharacter", quote) or quote,
    )
    _distinct(found.field, found.record, quote)
    return found


def read_scan_range(
    given: Mapping[str, Any] | None, size: int | None, format: CsvInput | JsonInput, compression: str
) -> ScanRange | None:
    """``End`` alone means the last bytes of the object, whose size must then be known."""
    if given is None:
        return None
    start, end = given.get("Start"), given.get("End")
    if start is None and end is None:
        fail("InvalidScanRange", "It has neither Start nor End.")
    if (start is not None and start < 0) or (end is not None and end < 0):
        fail("InvalidScanRange", "It is negative.")
    if compression != "NONE":
        fail("UnsupportedScanRangeInput", "The object must not be compressed.")
    if (isinstance(format, JsonInput) and not format.lines) or (isinstance(format, CsvInput) and format.quoted_records):
        fail("UnsupportedScanRangeInput", "Only JSON LINES and CSV without quoted record delimiters have ranges.")
    if start is None:
        if size is None:
            raise ValueError("a range of the last bytes needs the object's size")
        return ScanRange(max(0, size - (end or 0)), None)
    if (end is not None and end < start) or (size is not None and start >= max(size, 1)):
        fail("InvalidScanRange", "It is empty.")
    return ScanRange(start, end)
