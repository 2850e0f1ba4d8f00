"""Timestamps: a moment, the precision that was written, and the local offset, as Ion has them.

``2010T`` is a year, ``2010-02T`` a month, ``2010-02-03T`` a day; with a time there is an offset, ``Z`` or ``+07:00``, or an
unknown one, ``-00:00``. Two are equal when they are the same moment. Moments are reckoned in integers, so that neither an
offset at the edge of the calendar nor a fraction of any length is lost. From "Date functions" and "Data types" of the
Amazon S3 Select SQL reference.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property, total_ordering

from mallee.objects.select.errors import fail

YEAR, MONTH, DAY, MINUTE, SECOND = range(5)
MAX_FRACTION = 38

_WRITTEN = re.compile(
    r"(\d{4})(?:T|-(\d\d)(?:T|-(\d\d)(?:T|T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?))", re.ASCII
)


@total_ordering
@dataclass(frozen=True, eq=False)
class Timestamp:
    year: int
    month: int = 1
    day: int = 1
    hour: int = 0
    minute: int = 0
    second: int = 0
    fraction: str = ""
    """The digits after the second's point."""
    offset: int | None = None
    """Minutes east of UTC; None is unknown, and reckoned as UTC."""
    precision: int = YEAR

    @cached_property
    def seconds(self) -> int:
        days = date(self.year, self.month, self.day).toordinal()
        return ((days * 24 + self.hour) * 60 + self.minute - (self.offset or 0)) * 60 + self.second

    @cached_property
    def _moment(self) -> tuple[int, str]:
        return self.seconds, self.fraction.rstrip("0")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timestamp) and self._moment == other._moment

    def __lt__(self, other: Timestamp) -> bool:
        return self._moment < other._moment

    def __hash__(self) -> int:
        return hash(self._moment)

    def __str__(self) -> str:
        if self.precision == YEAR:
            return f"{self.year:04}T"
        if self.precision == MONTH:
            return f"{self.year:04}-{self.month:02}T"
        day = f"{self.year:04}-{self.month:02}-{self.day:02}"
        if self.precision == DAY:
            return day
        time = f"{self.hour:02}:{self.minute:02}"
        if self.precision == SECOND:
            time += f":{self.second:02}" + (f".{self.fraction}" if self.fraction else "")
        return f"{day}T{time}{self._offset_text()}"

    def _offset_text(self) -> str:
        if self.offset is None:
            return "-00:00"
        return "Z" if self.offset == 0 else offset_text(self.offset, ":")


def offset_text(minutes: int, colon: str) -> str:
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}{colon}{abs(minutes) % 60:02}"


def valid(found: Timestamp) -> Timestamp | None:
    """Itself, if the calendar and the clock have such a moment."""
    if not (1 <= found.year <= 9999 and 1 <= found.month <= 12 and 1 <= found.day <= monthrange(found.year, found.month)[1]):
        return None
    if found.hour > 23 or found.minute > 59 or found.second > 59 or abs(found.offset or 0) >= 24 * 60:
        return None
    return found if len(found.fraction) <= MAX_FRACTION else None


def parsed(text: str) -> Timestamp | None:
    """None when the text is no timestamp."""
    match = _WRITTEN.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    precision = SECOND if second else MINUTE if hour else DAY if day else MONTH if month else YEAR
    return valid(
        Timestamp(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), fraction or "",
            offset_of(zone), precision,
        )
    )  # fmt: skip


def offset_of(zone: str | None) -> int | None:
    if zone is None or zone == "-00:00":
        return None
    if zone == "Z":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    if int(digits[2:]) > 59:
        return 24 * 60
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return -minutes if zone[0] == "-" else minutes


def at(moment: datetime) -> Timestamp:
    moment = moment.astimezone(UTC)
    return Timestamp(
        moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second,
        fraction=f"{moment.microsecond // 1000:03}", offset=0, precision=SECOND,
    )  # fmt: skip


_LENGTHS = {"day": 86400, "hour": 3600, "minute": 60, "second": 1}
_PRECISIONS = {"year": YEAR, "month": MONTH, "day": DAY, "hour": MINUTE, "minute": MINUTE, "second": SECOND}
PARTS = frozenset(_PRECISIONS)


def added(part: str, quantity: int, to: Timestamp) -> Timestamp:
    """A day that the month does not have becomes its last; the precision grows as the part needs."""
    precision = max(to.precision, _PRECISIONS[part])
    if abs(quantity) > 10**12:
        fail("IllegalSqlFunctionArgument", "DATE_ADD leaves the calendar.")
    if part in ("year", "month"):
        months = (to.year * 12 + to.month - 1) + quantity * (12 if part == "year" else 1)
        year, month = divmod(months, 12)
        if not 1 <= year <= 9999:
            fail("IllegalSqlFunctionArgument", "DATE_ADD leaves the calendar.")
        day = min(to.day, monthrange(year, month + 1)[1])
        return replace(to, year=year, month=month + 1, day=day, precision=precision)
    local = to.seconds + (to.offset or 0) * 60 + quantity * _LENGTHS[part]
    days, seconds = divmod(local, 86400)
    if not 1 <= days <= date.max.toordinal():
        fail("IllegalSqlFunctionArgument", "DATE_ADD leaves the calendar.")
    day_of = date.fromordinal(days)
    return replace(
        to, year=day_of.year, month=day_of.month, day=day_of.day, hour=seconds // 3600, minute=seconds // 60 % 60,
        second=seconds % 60, precision=precision,
    )  # fmt: skip


def difference(part: str, first: Timestamp, second: Timestamp) -> int:
    """Whole parts from the first to the second: a day is 24 hours, a month ends at the day of the month."""
    if part not in _LENGTHS:
        months = (second.year - first.year) * 12 + second.month - first.month
        if months > 0 and second.day < first.day:
            months -= 1
        elif months < 0 and second.day > first.day:
            months += 1
        return months if part == "month" else _towards_zero(months, 12)
    seconds = second.seconds - first.seconds
    before, after = first._moment[1], second._moment[1]
    if seconds > 0 and after < before:
        seconds -= 1
    elif seconds < 0 and after > before:
        seconds += 1
    return _towards_zero(seconds, _LENGTHS[part])


def _towards_zero(value: int, by: int) -> int:
    return value // by if value >= 0 else -(-value // by)
