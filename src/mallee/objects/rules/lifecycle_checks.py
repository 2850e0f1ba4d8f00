"""Lifecycle configurations: which of them S3 takes ("PutBucketLifecycleConfiguration", "Lifecycle configuration elements").

There are two generations. A configuration whose first rule has a Filter is of the second; one whose first rule has a Prefix of its own
is of the first, where no two rules may do the same to overlapping prefixes. They do not mix.
"""

from __future__ import annotations

import datetime
import itertools
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mallee.objects.rules.refusals import bad_request, invalid, malformed
from mallee.wire.errors import AwsError

Rule = Mapping[str, Any]

MOST_RULES = 1000
LONGEST_ID = 255
LARGEST = 1_099_511_627_776_000
CLASSES = ("STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")
"""Of transitions, each colder than the one before."""
_WARM = ("STANDARD_IA", "ONEZONE_IA")
_STAY = {"STANDARD_IA": 30, "ONEZONE_IA": 30, "GLACIER_IR": 90, "GLACIER": 90}  # days before the next transition
_ACTIONS = (
    "Expiration",
    "Transitions",
    "NoncurrentVersionTransitions",
    "NoncurrentVersionExpiration",
    "AbortIncompleteMultipartUpload",
)
_MIDNIGHT = datetime.time(0, 0)


def checked(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """The rules, each with an ID. Raises the error for the first that S3 does not take."""
    if not rules or len(rules) > MOST_RULES:
        raise malformed()
    _check_ids(rules)
    newer = "Filter" in rules[0]
    for rule in rules:
        _check_scope(rule, newer)
        _check_actions(rule, newer)
    if not newer:
        _check_overlaps(rules)
    return [{**rule, "ID": rule.get("ID") or str(uuid.uuid4())} for rule in rules]


def _check_ids(rules: Iterable[Rule]) -> None:
    seen: set[str] = set()
    for rule in rules:
        id = rule.get("ID", "")
        if len(id) > LONGEST_ID:
            raise invalid("ID length should not exceed allowed limit of 255", "ID", id)
        if id and id in seen:
            raise invalid("Rule ID must be unique. Found same ID for more than one rule", "ID", id)
        seen.add(id)


# -------------------------------------------------------------------------------------------------------------------- scope


def _check_scope(rule: Rule, newer: bool) -> None:
    if newer and "Prefix" in rule:
        raise bad_request("Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.")
    if not newer and "Filter" in rule:
        raise bad_request("Filter element can only be used in Lifecycle V2.")
    if "Prefix" not in rule and "Filter" not in rule:
        raise malformed()
    given = rule.get("Filter", {})
    both = given.get("And")
    if len(given) > 1 or (both is not None and len(both) - ("Tags" in both) + len(both.get("Tags", ())) < 2):
        raise malformed()
    parts = scope(rule)
    if len(parts.get("Prefix", "").encode()) > 1024:
        raise bad_request("The maximum size of a prefix is 1024.")
    check_tags(parts.get("Tags", ()))
    above, below = parts.get("ObjectSizeGreaterThan"), parts.get("ObjectSizeLessThan")
    if above is not None and not 0 <= above <= LARGEST:
        raise bad_request(f"'ObjectSizeGreaterThan' should be between 0 and {LARGEST}.")
    if below is not None and not 1 <= below <= LARGEST:
        raise bad_request(f"'ObjectSizeLessThan' should be between 1 and {LARGEST}.")
    if above is not None and below is not None and above >= below:
        raise bad_request("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")


def scope(rule: Rule) -> dict[str, Any]:
    """What a rule is about, however it says so: Prefix, Tags, ObjectSizeGreaterThan, ObjectSizeLessThan."""
    given = rule.get("Filter", {})
    parts = dict(given.get("And", given))
    if "Tag" in parts:
        parts["Tags"] = [parts.pop("Tag")]
    if "Prefix" in rule:
        parts["Prefix"] = rule["Prefix"]
    return parts


def check_tags(tags: Iterable[Rule]) -> None:
    """The tags that a filter names."""
    seen: set[str] = set()
    for tag in tags:
        if not 0 < len(tag["Key"]) <= 128:
            raise bad_request("A Tag's Key must be a length between 1 and 128.")
        if len(tag.get("Value", "")) > 256:
            raise bad_request("A Tag's Value must be a length between 0 and 256.")
        if tag["Key"] in seen:
            raise bad_request("Duplicate Tag Keys are not allowed.")
        seen.add(tag["Key"])


def _shown(rule: Rule) -> str:
    """How errors name what the rule is about."""
    if "Prefix" in rule:
        return f"prefix '{rule['Prefix']}'"
    parts = scope(rule)
    told = [f"prefix={parts['Prefix']}"] if "Prefix" in parts else []
    told += [f"tag: key={tag['Key']}, value={tag.get('Value', '')}" for tag in parts.get("Tags", ())]
    told += [f"{name}={parts[name]}" for name in ("ObjectSizeGreaterThan", "ObjectSizeLessThan") if name in parts]
    return f"filter '({' and '.join(told)})'"


def _check_overlaps(rules: Sequence[Rule]) -> None:
    for action in _ACTIONS:
        prefixes = sorted(rule["Prefix"] for rule in rules if rule.get(action))
        for one, next in itertools.pairwise(prefixes):  # whatever begins another begins the next one, too
            if next.startswith(one):
                name = action.removesuffix("s")
                raise bad_request(f"Found overlapping prefixes '{one}' and '{next}' for same action type '{name}'")


# ------------------------------------------------------------------------------------------------------------------ actions


def _check_actions(rule: Rule, newer: bool) -> None:
    if not any(rule.get(action) is not None for action in _ACTIONS):
        raise bad_request("At least one action needs to be specified in a rule")
    expiration = rule.get("Expiration")
    if expiration is not None:
        _check_expiration(rule, expiration)
    transitions = rule.get("Transitions", ())
    for each in transitions:
        _check_transition(each)
    noncurrent = rule.get("NoncurrentVersionExpiration")
    if noncurrent is not None:
        _check_noncurrent(noncurrent, "NoncurrentVersionExpiration", newer)
    noncurrent_transitions = rule.get("NoncurrentVersionTransitions", ())
    for each in noncurrent_transitions:
        _check_noncurrent(each, "NoncurrentVersionTransition", newer)
    abort = rule.get("AbortIncompleteMultipartUpload")
    if abort is not None:
        if "DaysAfterInitiation" not in abort:
            raise malformed()
        _positive(abort["DaysAfterInitiation"], "DaysAfterInitiation", "AbortIncompleteMultipartUpload")
        _check_unfiltered(rule, "AbortIncompleteMultipartUpload")
    _check_order(rule, transitions, "Transition", _kinds(transitions))
    _check_order(rule, noncurrent_transitions, "NoncurrentVersionTransition", {"NoncurrentDays"})
    if expiration is not None and "ExpiredObjectDeleteMarker" not in expiration:
        _check_end(rule, expiration, transitions)
    if noncurrent is not None:
        for each in noncurrent_transitions:
            if noncurrent["NoncurrentDays"] <= each["NoncurrentDays"]:
                raise _too_early(rule, "NoncurrentDays", noncurrent["NoncurrentDays"], "NoncurrentVersion")


def _check_expiration(rule: Rule, expiration: Rule) -> None:
    if len(expiration) != 1:
        raise malformed()
    if "ExpiredObjectDeleteMarker" in expiration:
        _check_unfiltered(rule, "ExpiredObjectDeleteMarker")
    elif "Date" in expiration:
        _check_midnight(expiration["Date"])
    else:
        _positive(expiration["Days"], "Days", "Expiration")


def _check_unfiltered(rule: Rule, action: str) -> None:
    parts = scope(rule)
    if parts.get("Tags"):
        raise bad_request(f"{action} cannot be specified with Tags.")
    if "ObjectSizeGreaterThan" in parts or "ObjectSizeLessThan" in parts:
        raise bad_request(f"{action} cannot be specified with Object Size.")


def _check_transition(each: Rule) -> None:
    if ("Date" in each) is ("Days" in each):
        raise malformed()
    _check_class(each)
    if "Date" in each:
        _check_midnight(each["Date"])
        return
    days = each["Days"]
    if days < 0:
        raise invalid("'Days' in Transition action must be nonnegative", "Days", days)
    _check_warm(each["StorageClass"], "Days", days, "Transition")


def _check_noncurrent(each: Rule, action: str, newer: bool) -> None:
    if "NoncurrentDays" not in each:
        raise malformed()
    days = each["NoncurrentDays"]
    if action == "NoncurrentVersionTransition":
        _check_class(each)
        if days < 0:
            raise invalid(f"'NoncurrentDays' in {action} action must be nonnegative", "NoncurrentDays", days)
        _check_warm(each["StorageClass"], "NoncurrentDays", days, action)
    else:
        _positive(days, "NoncurrentDays", action)
    if "NewerNoncurrentVersions" in each:
        if not newer:
            raise bad_request("NewerNoncurrentVersions element can only be used in Lifecycle V2.")
        _positive(each["NewerNoncurrentVersions"], "NewerNoncurrentVersions", action)


def _check_class(each: Rule) -> None:
    if each.get("StorageClass") in ("STANDARD", "REDUCED_REDUNDANCY"):
        raise invalid("Invalid target Storage class for Transition action", "StorageClass", each["StorageClass"])
    if each.get("StorageClass") not in CLASSES:
        raise malformed()


def _check_warm(storage_class: str, field: str, days: int, action: str) -> None:
    if storage_class in _WARM and days < 30:
        told = f"'{field}' in {action} action must be greater than or equal to 30 for storageClass '{storage_class}'"
        raise invalid(told, field, days)


def _positive(number: int, field: str, action: str) -> None:
    if number <= 0:
        raise invalid(f"'{field}' for {action} action must be a positive integer", field, number)


def _check_midnight(moment: datetime.datetime) -> None:
    if moment.astimezone(datetime.UTC).time() != _MIDNIGHT:
        raise invalid("'Date' must be at midnight GMT", "Date", moment.strftime("%a %b %d %H:%M:%S UTC %Y"))


def _kinds(actions: Iterable[Rule]) -> set[str]:
    return {"Date" if "Date" in each else "Days" for each in actions}


def _check_order(rule: Rule, transitions: Sequence[Rule], action: str, fields: set[str]) -> None:
    """Each class once, a colder one later, and not before the warmer one has been kept for as long as it must."""
    if len({each["StorageClass"] for each in transitions}) < len(transitions):
        raise bad_request(f"'StorageClass' must be different for '{action}' actions in same 'Rule' with {_shown(rule)}")
    if len(fields) > 1:
        raise bad_request(f"Found mixed 'Date' and 'Days' based Transition actions in lifecycle rule for {_shown(rule)}")
    ordered = sorted(transitions, key=lambda each: CLASSES.index(each["StorageClass"]))
    for warm, cold in itertools.pairwise(ordered):
        (field,) = fields
        gap = cold[field] - warm[field]
        gap = gap.days if isinstance(gap, datetime.timedelta) else gap
        one, other = f"StorageClass '{cold['StorageClass']}'", f"StorageClass '{warm['StorageClass']}'"
        least, shown = _STAY.get(warm["StorageClass"], 0), _shown(rule)
        if gap <= 0:
            told = (
                f"'{field}' in the '{action}' action for {one} for {shown} must be greater than '{field}' in the "
                f"'{action}' action for {other} for {shown}"
            )
            raise invalid(told, field, cold[field])
        if gap < least:
            told = (
                f"'{field}' in the '{action}' action for {one} for {shown} must be {least} days more than '{shown}' in the "
                f"'{action}' action for {other}"
            )
            raise invalid(told, field, cold[field])


def _check_end(rule: Rule, expiration: Rule, transitions: Sequence[Rule]) -> None:
    (field,) = expiration
    for each in transitions:
        if field not in each:
            raise bad_request(
                "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for " + _shown(rule)
            )
        if expiration[field] <= each[field]:
            raise _too_early(rule, field, expiration[field], "")


def _too_early(rule: Rule, field: str, value: object, kind: str) -> AwsError:
    told = f"'{field}' in the {kind}Expiration action for {_shown(rule)} must be greater than '{field}' in the {kind}Transition action"
    return invalid(told, field, value)
