"""Copies of archived objects: when they are there, and until when."""

from __future__ import annotations

import datetime

from hypothesis import given
from hypothesis import strategies as st

from mallee.objects.rules import restores

DAY = datetime.timedelta(days=1)
MOMENTS = st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2100, 1, 1), timezones=st.just(datetime.UTC))


@given(MOMENTS, st.integers(1, 2**31 - 1))
def test_the_end_is_a_midnight_and_no_sooner(since: datetime.datetime, days: int) -> None:
    end = restores.expiry(since, days)
    assert (end.hour, end.minute, end.second, end.microsecond) == (0, 0, 0, 0)
    if end.year < 9999:
        assert datetime.timedelta() <= end - since - days * DAY < DAY


@given(MOMENTS, st.integers(1, 1000), st.floats(0, 10**6), st.floats(0, 2000 * 86400.0))
def test_a_copy_comes_and_goes(now: datetime.datetime, days: int, seconds: float, later: float) -> None:
    restore = restores.begun(now, days, seconds)
    ready = now + datetime.timedelta(seconds=seconds)
    at = now + datetime.timedelta(seconds=later)
    expected = restores.ONGOING if at < ready else restores.RESTORED if at < restores.until(restore) else restores.NONE
    assert restores.state(restore, at) == expected
    told = restores.told(restore, at)
    assert (told is None) == (expected == restores.NONE) and (told == 'ongoing-request="true"') == (expected == restores.ONGOING)
    if expected == restores.RESTORED:
        longer = restores.prolonged(restore, at, days)
        assert restores.until(longer) >= restores.until(restore) - DAY and restores.state(longer, at) == restores.RESTORED


def test_no_copy() -> None:
    now = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    assert restores.state(None, now) == restores.state({}, now) == restores.NONE and restores.told(None, now) is None
