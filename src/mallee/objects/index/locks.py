"""Object Lock as the index sees it: whether a version must stay as it is.

Whoever removes a version by its id asks before (``objects.removing``). What a put or a delete without an id would replace is asked about here, in
the transaction itself: a bucket whose objects are locked keeps all versions, but the state of it that a caller brings may be some seconds old.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any


class VersionLocked(Exception):
    """A version that would be replaced is under retention or legal hold."""


def is_held(lock: Mapping[str, Any] | None, now: datetime.datetime, *, bypass: bool = False) -> bool:
    """``lock``: the attribute; ``bypass``: retention in governance mode counts for nothing."""
    if not lock:
        return False
    if lock.get("hold") == "ON":
        return True
    lasts = bool(lock.get("mode")) and datetime.datetime.fromisoformat(lock["until"]) > now
    return lasts and (lock["mode"] == "COMPLIANCE" or not bypass)


def stricter(there: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None, now: datetime.datetime) -> dict[str, Any]:
    """``wanted`` in the place of ``there``, where nobody was asked whether the one may be less than the other: a retention that runs only grows."""
    found, held = dict(wanted or {}), there or {}
    if held.get("mode") and datetime.datetime.fromisoformat(held["until"]) > now:
        is_less = not found.get("mode") or (held["mode"] == "COMPLIANCE" and found["mode"] != "COMPLIANCE")
        if is_less or datetime.datetime.fromisoformat(found["until"]) < datetime.datetime.fromisoformat(held["until"]):
            mode = "COMPLIANCE" if "COMPLIANCE" in (held["mode"], found.get("mode")) else held["mode"]
            found |= {"mode": mode, "until": held["until"]}
    return found


def require_free(raw: str | None, now: datetime.datetime) -> None:
    """``raw``: a version's attributes, as the row has them. Raises VersionLocked."""
    if raw and '"lock"' in raw and is_held(json.loads(raw).get("lock"), now):
        raise VersionLocked
