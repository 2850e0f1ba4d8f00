"""Timestamps: what is written is read again, in every form; oddities are refused, not guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.wire import times

MOMENTS = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))


@given(MOMENTS)
def test_what_is_written_is_read_again(moment: datetime) -> None:
    millis = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    seconds = moment.replace(microsecond=0)
    assert times.from_text(times.iso_millis(moment), "iso8601") == millis
    assert times.from_text(times.iso(moment), "iso8601") == millis
    assert times.from_text(times.http_date(moment), "rfc822") == seconds
    assert abs(times.from_epoch(times.epoch(moment)) - millis) < timedelta(milliseconds=1)
    assert times.http_date(moment) == format_datetime(seconds, usegmt=True)


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-29T12:00:00Z",
        "2024-02-29T12:00:00",
        "2024-02-29 12:00:00z",
        "20240229T120000Z",
        "2024-02-29T13:00:00+01:00",
        "2024-02-29T06:30:00-0530",
        "2024-02-29T12:00:00.000000000Z",
        "2024-02-29T12:00Z",
        " 2024-02-29T12:00:00Z ",
        "Thu, 29 Feb 2024 12:00:00 GMT",
        "Thursday, 29-Feb-24 12:00:00 GMT",
        "29 Feb 2024 12:00:00 +0000",
    ],
)
def test_spellings(text: str) -> None:
    assert times.from_text(text, "iso8601") == datetime(2024, 2, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "now", "2023-02-29T00:00:00Z", "2024-13-01", "0000-01-01", "9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00+23:00",
     "2024-01-01T24:00:00Z", "2024-01-01T00:00:60Z", "２０２４-01-01", "Thu, 99 Feb 2024 12:00:00 GMT", "1e5", "5" * 500],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        times.from_text(text, "iso8601")


def test_numbers_where_numbers_are_meant() -> None:
    assert times.from_text("1700000000", "unixTimestamp") == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert times.from_text("1700000000.5", "unixTimestamp").microsecond == 500_000
    for text in ("1e99", "99999999999999", "x"):
        with pytest.raises(ValueError):
            times.from_text(text, "unixTimestamp")


def test_other_zones_are_written_in_utc_and_none_is_refused() -> None:
    local = datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert times.iso(local) == "2023-12-31T23:00:00Z"
    with pytest.raises(ValueError):
        times.iso(datetime(2024, 1, 1))
