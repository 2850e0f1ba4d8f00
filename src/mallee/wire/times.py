"""Timestamps in AWS's three spellings. In code a time is an aware datetime in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)(?:[Tt ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?\s*([Zz]|[+-]\d\d:?(?:\d\d)?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"[+-]?\d{1,18}(?:\.\d{0,18})?(?:[eE]\+?\d{1,2})?", re.ASCII)
_HTTP = re.compile(
    r"(?:[A-Za-z]{3,9},?\s+)?(\d{1,2})[ -]([A-Za-z]{3})[ -](\d{4}|\d\d)\s+(\d\d):(\d\d):(\d\d)\s*"
    r"(GMT|UTC|Z|[+-]\d{4})?",
    re.ASCII,
)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def from_epoch(seconds: float) -> datetime:
    """Raises ValueError outside the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError("out of range") from None


def from_text(text: str, form: str) -> datetime:
    """Reads ISO 8601 or RFC 822 whatever was expected, and a number where ``form`` is unixTimestamp. Raises
    ValueError."""
    text = text.strip()
    match = _ISO.fullmatch(text)
    if match is not None and not (form == "unixTimestamp" and text.isdigit()):
        year, month, day, hour, minute, second, fraction, zone = match.groups()
        micro = int((fraction or "0").ljust(6, "0")[:6])
        value = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), micro, UTC
        )
        return _shifted(value, zone) if zone and zone not in "Zz" else value
    if form == "unixTimestamp":
        if _NUMBER.fullmatch(text):
            return from_epoch(float(text))
        raise ValueError("not a number")
    return _from_http_date(text)


def _from_http_date(text: str) -> datetime:
    match = _HTTP.fullmatch(text)
    if match is None or match.group(2).title() not in _MONTHS:
        raise ValueError("not a time")
    day, month, year, hour, minute, second, zone = match.groups()
    century = 0 if len(year) == 4 else 1900 if int(year) >= 70 else 2000
    value = datetime(
        century + int(year), _MONTHS.index(month.title()) + 1, int(day), int(hour), int(minute), int(second), 0, UTC
    )
    return _shifted(value, zone) if zone and zone[0] in "+-" else value


def _shifted(value: datetime, zone: str) -> datetime:
    digits = zone[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    try:
        return value - offset if zone[0] == "+" else value + offset
    except OverflowError:
        raise ValueError("out of range") from None


def utc(value: datetime) -> datetime:
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise ValueError("a time without a zone")
    return value.astimezone(UTC)


def epoch(value: datetime) -> float | int:
    """Seconds since 1970 with milliseconds, the precision of AWS's JSON; whole seconds come as an int."""
    since = utc(value) - _EPOCH
    seconds = since.days * 86400 + since.seconds
    milliseconds = since.microseconds // 1000
    return seconds if milliseconds == 0 else (seconds * 1000 + milliseconds) / 1000


def iso_millis(value: datetime) -> str:
    """2006-01-02T15:04:05.000Z, as EC2 and S3 write every time."""
    return utc(value).isoformat(timespec="milliseconds")[:-6] + "Z"


def iso(value: datetime) -> str:
    """As `iso_millis`, without the fraction when it is zero."""
    text = iso_millis(value)
    return text[:-5] + "Z" if text.endswith(".000Z") else text


def http_date(value: datetime) -> str:
    value = utc(value)
    return (
        f"{_DAYS[value.weekday()]}, {value.day:02} {_MONTHS[value.month - 1]} {value.year:04} "
        f"{value.hour:02}:{value.minute:02}:{value.second:02} GMT"
    )
