"""The scalar functions and CAST, of values. An argument that is NULL or MISSING makes the result NULL, but for COALESCE.

From "String functions", "Date functions", "Conditional functions" and "Conversion functions" of the Amazon S3 Select SQL
reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from mallee.objects.select import formats, timestamps
from mallee.objects.select.errors import fail
from mallee.objects.select.timestamps import Timestamp
from mallee.objects.select.values import CONTEXT, equal, finite, text_of, type_name, unknown, whole


def _text(function: str, value: Any) -> str:
    if type(value) is not str:
        fail("IncorrectSqlFunctionArgumentType", f"{function} takes STRING, not {type_name(value)}.")
    return value


def _integer(function: str, value: Any) -> int:
    if type(value) is not int:
        fail("IncorrectSqlFunctionArgumentType", f"{function} takes INT, not {type_name(value)}.")
    return value


def _moment(function: str, value: Any) -> Timestamp:
    if type(value) is not Timestamp:
        fail("IncorrectSqlFunctionArgumentType", f"{function} takes TIMESTAMP, not {type_name(value)}.")
    return value


def coalesce(*values: Any) -> Any:
    return next((value for value in values if not unknown(value)), None)


def nullif(first: Any, second: Any) -> Any:
    return None if unknown(first) or equal(first, second) else first


def char_length(value: Any) -> int:
    return len(_text("CHAR_LENGTH", value))


def lower(value: Any) -> str:
    return _text("LOWER", value).lower()


def upper(value: Any) -> str:
    return _text("UPPER", value).upper()


def substring(value: Any, start: Any, length: Any = None) -> str:
    text, first = _text("SUBSTRING", value), _integer("SUBSTRING", start)
    if length is None:
        return text[max(first, 1) - 1 :]
    if _integer("SUBSTRING", length) < 0:
        fail("IllegalSqlFunctionArgument", "SUBSTRING's length is negative.")
    return text[max(first, 1) - 1 : max(first + length - 1, 0)]


def trim(where: str, characters: Any, value: Any) -> str:
    text, unwanted = _text("TRIM", value), _text("TRIM", characters)
    if where == "leading":
        return text.lstrip(unwanted)
    return text.rstrip(unwanted) if where == "trailing" else text.strip(unwanted)


def date_add(part: str, quantity: Any, moment: Any) -> Timestamp:
    return timestamps.added(part, _integer("DATE_ADD", quantity), _moment("DATE_ADD", moment))


def date_diff(part: str, first: Any, second: Any) -> int:
    return timestamps.difference(part, _moment("DATE_DIFF", first), _moment("DATE_DIFF", second))


def extract(part: str, value: Any) -> int | Decimal:
    moment = _moment("EXTRACT", value)
    if part == "timezone_hour":
        return int((moment.offset or 0) / 60)
    if part == "timezone_minute":
        minutes = moment.offset or 0
        return minutes % 60 if minutes >= 0 else -(-minutes % 60)
    if part == "second" and moment.fraction:
        return CONTEXT.create_decimal(f"{moment.second}.{moment.fraction}")
    return int(getattr(moment, part))


def to_string(value: Any, pattern: Any) -> str:
    return formats.written(_moment("TO_STRING", value), _text("TO_STRING", pattern))


def to_timestamp(value: Any, pattern: Any = None) -> Timestamp:
    text = _text("TO_TIMESTAMP", value)
    found = timestamps.parsed(text) if pattern is None else formats.read(text, _text("TO_TIMESTAMP", pattern))
    return found if found is not None else fail("ValueParseFailure", f"{text[:40]!r}")


SCALAR: dict[str, Callable[..., Any]] = {
    "coalesce": coalesce, "nullif": nullif, "char_length": char_length, "lower": lower, "upper": upper, "substring": substring,
    "trim": trim, "date_add": date_add, "date_diff": date_diff, "extract": extract, "to_string": to_string,
    "to_timestamp": to_timestamp,
}  # fmt: skip
TAKES_UNKNOWN = frozenset({"coalesce", "nullif"})

_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,20})\s*")
_NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,10})?)\s*")


def _failed(value: Any, to: str) -> Any:
    return fail("CastFailed", f"{text_of(value)[:40]!r} to {to}.")


def _impossible(value: Any, to: str) -> Any:
    return fail("InvalidCast", f"{type_name(value)} to {to}.")


def to_int(value: Any) -> Any:
    kind = type(value)
    if kind is int or kind is bool:
        return int(value)
    if kind is str:
        match = _INTEGER.fullmatch(value)
        return whole(int(match[1])) if match else _failed(value, "INT")
    if kind is Decimal:
        # before int(), which would write out all the zeros of 1E+999999999
        return whole(int(value)) if value.adjusted() < 20 else fail("IntegerOverflow")
    if kind is float:
        return whole(int(value))
    return _impossible(value, "INT")


def to_decimal(value: Any) -> Any:
    kind = type(value)
    if kind is int or kind is Decimal or kind is bool:
        return CONTEXT.create_decimal(int(value) if kind is bool else value)
    if kind is float:
        return CONTEXT.create_decimal(repr(value))
    if kind is str:
        match = _NUMBER.fullmatch(value)
        try:
            return CONTEXT.create_decimal(match[1]) if match else _failed(value, "DECIMAL")
        except ArithmeticError:
            return _failed(value, "DECIMAL")
    return _impossible(value, "DECIMAL")


def to_float(value: Any) -> Any:
    kind = type(value)
    if kind in (int, float, bool, Decimal):
        try:
            return finite(float(value))
        except OverflowError:
            return fail("NumberFormatError")
    if kind is str:
        match = _NUMBER.fullmatch(value)
        return finite(float(match[1])) if match else _failed(value, "FLOAT")
    return _impossible(value, "FLOAT")


def to_bool(value: Any) -> Any:
    kind = type(value)
    if kind is bool:
        return value
    if kind is str:
        word = value.strip().lower()
        return word == "true" if word in ("true", "false") else _failed(value, "BOOL")
    return value != 0 if kind in (int, float, Decimal) else _impossible(value, "BOOL")


def to_text(value: Any) -> Any:
    return _impossible(value, "STRING") if type(value) in (list, dict) else text_of(value)


def to_moment(value: Any) -> Any:
    if type(value) is Timestamp:
        return value
    if type(value) is not str:
        return _impossible(value, "TIMESTAMP")
    found = timestamps.parsed(value.strip())
    return found if found is not None else _failed(value, "TIMESTAMP")


CASTS: dict[str, Callable[[Any], Any]] = {
    "INT": to_int, "DECIMAL": to_decimal, "FLOAT": to_float, "BOOL": to_bool, "STRING": to_text, "TIMESTAMP": to_moment,
}  # fmt: skip
