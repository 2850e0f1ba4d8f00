"""Copies of archived objects, for some days.

What an object remembers of it is ``attributes["restore"]``: ``requested``, ``ready`` (when the copy is there) and ``until``, moments as ISO
strings. Nothing has to happen at any of them: what holds is a matter of the clock.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from mallee.wire import times

ONGOING, RESTORED, NONE = "ongoing", "restored", ""

Restore = Mapping[str, Any]
_LAST = datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC)


def state(restore: Restore | None, now: datetime.datetime) -> str:
    """ONGOING, RESTORED, or NONE, which it is again when the days are over."""
    if not restore:
        return NONE
    if datetime.datetime.fromisoformat(restore.get("ready") or restore["requested"]) > now:
        return ONGOING
    return RESTORED if until(restore) > now else NONE


def until(restore: Restore) -> datetime.datetime:
    return datetime.datetime.fromisoformat(restore["until"])


def begun(now: datetime.datetime, days: int, seconds: float) -> dict[str, str]:
    """A copy that is ready after some seconds."""
    ready = now + datetime.timedelta(seconds=seconds)
    return {"requested": now.isoformat(), "ready": ready.isoformat(), "until": expiry(ready, days).isoformat()}


def prolonged(restore: Restore, now: datetime.datetime, days: int) -> dict[str, Any]:
    """The copy that is there already, for so many days from now."""
    return {**restore, "until": expiry(now, days).isoformat()}


def expiry(since: datetime.datetime, days: int) -> datetime.datetime:
    """The days added, and rounded up to the next midnight in UTC (S3 user guide, "Restoring an archived object")."""
    try:
        end = since.astimezone(datetime.UTC) + datetime.timedelta(days=days + 1)
    except OverflowError:
        return _LAST
    end -= datetime.timedelta(days=1)
    midnight = end.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if midnight == end else midnight + datetime.timedelta(days=1)


def told(restore: Restore | None, now: datetime.datetime) -> str | None:
    """``x-amz-restore``."""
    match state(restore, now):
        case "ongoing":
            return 'ongoing-request="true"'
        case "restored" if restore is not None:
            return f'ongoing-request="false", expiry-date="{times.http_date(until(restore))}"'
    return None
