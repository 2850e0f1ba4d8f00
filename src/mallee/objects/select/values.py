"""The values of a query: NULL, MISSING, booleans, numbers, strings, timestamps, and JSON's lists and structures.

In Python they are None, MISSING, bool, int, Decimal or float, str, Timestamp, list and dict. Every field of a CSV file is
a string: nothing is converted but by CAST ("If CAST is not defined, then all input data is treated as a string", Data
types). Values of different types are unequal; to order them, or to calculate with them, is an error rather than a guess.
Numbers are bounded: integers to 8 bytes, decimals to 38 digits and exponents of 32 bits, so that no digit string of the
object costs more than its length.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from math import isinf, isnan
from typing import Any

from mallee.objects.select.errors import fail
from mallee.objects.select.timestamps import Timestamp

MAX_TEXT = 1 << 20
CONTEXT = Context(prec=38, Emax=2**31 - 1, Emin=-(2**31), traps=[InvalidOperation, DivisionByZero, Overflow])
_LOW, _HIGH = -(2**63), 2**63 - 1


class Missing:
    """Of which there is one: what a path answers that leads nowhere."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING = Missing()

_NUMBERS = (int, Decimal, float)
_TYPES = {bool: "BOOL", int: "INT", Decimal: "DECIMAL", float: "FLOAT", str: "STRING", Timestamp: "TIMESTAMP", list: "LIST",
          dict: "STRUCT"}  # fmt: skip


def type_name(value: Any) -> str:
    return _TYPES.get(type(value), "MISSING" if value is MISSING else "NULL")


def unknown(value: Any) -> bool:
    return value is None or value is MISSING


def is_number(value: Any) -> bool:
    return type(value) in _NUMBERS


def equal(left: Any, right: Any) -> bool | None:
    """None where a side is unknown."""
    if left is None or right is None or left is MISSING or right is MISSING:
        return None
    kind = type(left)
    if kind is type(right) or (kind in _NUMBERS and type(right) in _NUMBERS):
        return bool(left == right)
    return False


ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def ordered(test: Callable[[Any, Any], bool], left: Any, right: Any) -> bool | None:
    if left is None or right is None or left is MISSING or right is MISSING:
        return None
    kind = type(left)
    if (kind is type(right) and kind is not list and kind is not dict) or (kind in _NUMBERS and type(right) in _NUMBERS):
        return test(left, right)
    return fail("InvalidDataType", f"{type_name(left)} and {type_name(right)} cannot be compared; use CAST.")


def truth(value: Any) -> bool | None:
    """A condition's value: true, false or unknown."""
    if value is True or value is False or value is None:
        return value
    if value is MISSING:
        return None
    return fail("InvalidDataType", f"A condition must be BOOL, not {type_name(value)}.")


def whole(value: int) -> int:
    return value if _LOW <= value <= _HIGH else fail("IntegerOverflow")


def as_decimal(value: Any) -> Decimal:
    if type(value) is float:
        return CONTEXT.create_decimal(repr(value))
    return CONTEXT.create_decimal(value)


def finite(value: float) -> float:
    return fail("NumberFormatError") if isinf(value) or isnan(value) else value


def _divided(left: int, right: int) -> int:
    """Towards zero, as SQL divides integers."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


_WHOLE: dict[str, Callable[[int, int], int]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": _divided,
    "%": lambda left, right: left - right * _divided(left, right),
}  # fmt: skip
_FLOAT: dict[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "%": lambda left, right: left - right * int(left / right),
}  # fmt: skip
_DECIMAL: dict[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": CONTEXT.add, "-": CONTEXT.subtract, "*": CONTEXT.multiply, "/": CONTEXT.divide, "%": CONTEXT.remainder,
}  # fmt: skip


def calculate(sign: str, left: Any, right: Any) -> Any:
    """Integers stay integers; a float makes floats of integers, a decimal makes decimals of both."""
    if left is None or right is None or left is MISSING or right is MISSING:
        return None
    kinds = {type(left), type(right)}
    if not kinds <= {int, float, Decimal}:
        fail("InvalidDataType", f"{type_name(left)} {sign} {type_name(right)} is not possible; use CAST.")
    if right == 0 and sign in "/%":
        fail("ExternalEvalException", "Division by zero.")
    try:
        if kinds == {int}:
            return whole(_WHOLE[sign](left, right))
        if Decimal in kinds:
            return _DECIMAL[sign](as_decimal(left), as_decimal(right))
        return finite(_FLOAT[sign](float(left), float(right)))
    except ArithmeticError:
        return fail("NumberFormatError", f"{sign} overflowed.")


def negated(value: Any) -> Any:
    if unknown(value):
        return None
    if not is_number(value):
        fail("InvalidDataType", f"- {type_name(value)} is not possible; use CAST.")
    return whole(-value) if type(value) is int else CONTEXT.minus(value) if type(value) is Decimal else -value


def joined(left: Any, right: Any) -> str | None:
    if unknown(left) or unknown(right):
        return None
    if type(left) is not str or type(right) is not str:
        fail("InvalidDataType", f"{type_name(left)} || {type_name(right)} is not possible; use CAST.")
    if len(left) + len(right) > MAX_TEXT:
        fail("ColumnTooLong")
    return left + right


def decimal_text(value: Decimal) -> str:
    """Plain where that is short: 1E+999999999 written plainly would be a gigabyte."""
    return format(value, "f") if -60 < value.adjusted() < 60 else str(value)


def text_of(value: Any) -> str:
    """As CSV and CAST to a string write it."""
    kind = type(value)
    if kind is str:
        return str(value)
    if value is None or value is MISSING:
        return ""
    if kind is bool:
        return "true" if value else "false"
    if kind is Decimal:
        return decimal_text(value)
    if kind is list or kind is dict:
        fail("InvalidDataType", "Nested data can only be written as JSON.")
    return str(value)
