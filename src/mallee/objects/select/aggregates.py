"""AVG, COUNT, MAX, MIN and SUM: one value kept while the rows go by. NULL and MISSING are not counted.

From "Aggregate functions" of the Amazon S3 Select SQL reference: an average of integers is a decimal, all else has its
argument's type. Of no values the count is 0 and everything else NULL.
"""

from __future__ import annotations

from typing import Any

from mallee.objects.select.errors import fail
from mallee.objects.select.timestamps import Timestamp
from mallee.objects.select.values import as_decimal, calculate, is_number, ordered, type_name

_BEFORE = {"min": lambda left, right: left < right, "max": lambda left, right: left > right}


class Accumulator:
    def __init__(self, function: str) -> None:
        self.function = function
        self.count = 0
        self._value: Any = None

    def add(self, value: Any) -> None:
        """A value that is neither NULL nor MISSING."""
        self.count += 1
        if self.function == "count":
            return
        best = _BEFORE.get(self.function)
        if not (is_number(value) or (best and type(value) is Timestamp)):
            fail("IncorrectSqlFunctionArgumentType", f"{self.function.upper()} takes numbers, not {type_name(value)}; use CAST.")
        if self._value is None:
            # an average of integers must not overflow on the way
            self._value = as_decimal(value) if self.function == "avg" and type(value) is int else value
        elif best is None:
            self._value = calculate("+", self._value, value)
        elif ordered(best, value, self._value):
            self._value = value

    def result(self) -> Any:
        if self.function == "count":
            return self.count
        if self.function == "avg" and self.count:
            return calculate("/", self._value, self.count)
        return self._value
