"""What a bucket's lifecycle does to a version at a moment. Pure.

Days are counted as S3 counts them: from the creation (or from when a version became noncurrent), rounded up to the next midnight in UTC. Of several
rules that apply, an expiration wins over a transition, a noncurrent or current version goes to the coldest class that is due, and the
earliest expiration counts.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html, lifecycle-transition-general-considerations.html
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mallee.objects.rules.lifecycle_checks import CLASSES

Rule = Mapping[str, Any]

SMALLEST: Final = 128 * 1024
_COLDNESS: Final = {name: number for number, name in enumerate(("STANDARD", "REDUCED_REDUNDANCY", *CLASSES))}
_ANY_SIZE: Final = frozenset(("GLACIER", "DEEP_ARCHIVE"))
_DAY: Final = datetime.timedelta(days=1)

EXPIRE, TRANSITION = "expire", "transition"


@dataclass(frozen=True, slots=True)
class Thing:
    """A version as rules see it."""

    key: str
    size: int
    tags: Mapping[str, str]
    modified: datetime.datetime
    storage_class: str


@dataclass(frozen=True, slots=True)
class Action:
    kind: str
    rule: str
    storage_class: str = ""


def midnight_after(moment: datetime.datetime, days: int) -> datetime.datetime:
    """When so many days are over: rounded up to the next midnight."""
    due = moment + days * _DAY
    floor = due.replace(hour=0, minute=0, second=0, microsecond=0)
    return floor if floor == due else floor + _DAY


def enabled(rules: Iterable[Rule]) -> list[Rule]:
    return [rule for rule in rules if rule.get("Status") == "Enabled"]


def covers(rule: Rule, thing: Thing) -> bool:
    """Whether the rule's filter has the version."""
    if "Prefix" in rule and "Filter" not in rule:
        return thing.key.startswith(rule["Prefix"] or "")
    given = rule.get("Filter") or {}
    both = given.get("And") or {}
    tags = [given["Tag"]] if given.get("Tag") else list(both.get("Tags") or ())
    least = given.get("ObjectSizeGreaterThan", both.get("ObjectSizeGreaterThan"))
    most = given.get("ObjectSizeLessThan", both.get("ObjectSizeLessThan"))
    return (
        thing.key.startswith(given.get("Prefix") or both.get("Prefix") or "")
        and all(thing.tags.get(tag["Key"]) == tag["Value"] for tag in tags)
        and (least is None or thing.size > least)
        and (most is None or thing.size < most)
    )


def is_about_size(rule: Rule) -> bool:
    given = rule.get("Filter") or {}
    both = given.get("And") or {}
    return any(name in where for where in (given, both) for name in ("ObjectSizeGreaterThan", "ObjectSizeLessThan"))


def of_current(rules: Sequence[Rule], thing: Thing, now: datetime.datetime, varies: bool = False) -> Action | None:
    """What is due for the latest version. ``varies``: the bucket's smallest size of transitions is each class's own."""
    applying = [rule for rule in rules if covers(rule, thing)]
    due = expiration(applying, thing)
    if due is not None and due[0] <= now:
        return Action(EXPIRE, due[1])
    found: Action | None = None
    for rule in applying:
        for each in rule.get("Transitions") or ():
            if _when(each, thing.modified) <= now:
                found = _colder(found, rule, each["StorageClass"], thing, varies)
    return found


def expiration(rules: Iterable[Rule], thing: Thing) -> tuple[datetime.datetime, str] | None:
    """When the latest version expires, by which rule: the earliest of all. ``rules``: those that cover it."""
    found = [
        (_when(rule["Expiration"], thing.modified), str(rule["ID"]))
        for rule in rules
        if rule.get("Expiration") and ("Days" in rule["Expiration"] or "Date" in rule["Expiration"])
    ]
    return min(found, default=None)


def of_noncurrent(
    rules: Sequence[Rule], thing: Thing, since: datetime.datetime, newer: int, now: datetime.datetime, varies: bool = False
) -> Action | None:
    """What is due for a version that is not the latest: noncurrent ``since``, with so many ``newer`` noncurrent ones of its key."""
    found: Action | None = None
    for rule in rules:
        if not covers(rule, thing):
            continue
        end = rule.get("NoncurrentVersionExpiration")
        if end and newer >= (end.get("NewerNoncurrentVersions") or 0) and midnight_after(since, end.get("NoncurrentDays") or 0) <= now:
            return Action(EXPIRE, str(rule["ID"]))
        for each in rule.get("NoncurrentVersionTransitions") or ():
            if newer >= (each.get("NewerNoncurrentVersions") or 0) and midnight_after(since, each.get("NoncurrentDays") or 0) <= now:
                found = _colder(found, rule, each["StorageClass"], thing, varies)
    return found


def removes_marker(rules: Sequence[Rule], key: str, modified: datetime.datetime, now: datetime.datetime) -> Action | None:
    """Whether a delete marker goes that hides nothing any more. A rule by tags or size is about no marker."""
    thing = Thing(key, 0, {}, modified, "")
    for rule in rules:
        expire = rule.get("Expiration") or {}
        given = rule.get("Filter") or {}
        if is_about_size(rule) or given.get("Tag") or (given.get("And") or {}).get("Tags") or not covers(rule, thing):
            continue
        if expire.get("ExpiredObjectDeleteMarker") or (expire.get("Days") and _when(expire, modified) <= now):
            return Action(EXPIRE, str(rule["ID"]))
    return None


def aborts(rules: Sequence[Rule], key: str, created: datetime.datetime, now: datetime.datetime) -> Action | None:
    """Whether a multipart upload has been under way for too long."""
    for rule in rules:
        abort = rule.get("AbortIncompleteMultipartUpload")
        prefix = rule.get("Prefix") if "Filter" not in rule else _prefix(rule)
        if abort and key.startswith(prefix or "") and midnight_after(created, abort.get("DaysAfterInitiation") or 0) <= now:
            return Action(EXPIRE, str(rule["ID"]))
    return None


def _prefix(rule: Rule) -> str:
    given = rule.get("Filter") or {}
    return str(given.get("Prefix") or (given.get("And") or {}).get("Prefix") or "")


def _when(action: Mapping[str, Any], modified: datetime.datetime) -> datetime.datetime:
    date = action.get("Date")
    if date is not None:
        return date if isinstance(date, datetime.datetime) else datetime.datetime.fromisoformat(date)
    return midnight_after(modified, action.get("Days") or 0)


def _colder(found: Action | None, rule: Rule, wanted: str, thing: Thing, varies: bool) -> Action | None:
    small = thing.size < SMALLEST and not is_about_size(rule) and not (varies and wanted in _ANY_SIZE)
    than = found.storage_class if found is not None else thing.storage_class
    if small or _COLDNESS.get(wanted, 0) <= _COLDNESS.get(than, 0):
        return found
    return Action(TRANSITION, str(rule["ID"]), wanted)
