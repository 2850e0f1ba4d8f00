"""Which lifecycle configurations S3 takes, and what it says of the others."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.objects.rules import lifecycle_checks
from mallee.objects.rules.lifecycle_checks import CLASSES
from mallee.wire.errors import AwsError

MIDNIGHT = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def rule(**more: Any) -> dict[str, Any]:
    return {"Status": "Enabled", "Filter": {"Prefix": "a/"}, "Expiration": {"Days": 1000}} | more


def without(name: str, **more: Any) -> dict[str, Any]:
    return {key: value for key, value in rule(**more).items() if key != name}


def move(days: int, storage_class: str) -> dict[str, Any]:
    return {"Days": days, "StorageClass": storage_class}


def refusal(*rules: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(AwsError) as raised:
        lifecycle_checks.checked(rules)
    assert raised.value.status == 400
    return raised.value.code, raised.value.message


XML = "The XML you provided was not well-formed or did not validate against our published schema"


@pytest.mark.parametrize(
    "wrong, code, told",
    [
        (without("Expiration"), "InvalidRequest", "At least one action needs to be specified in a rule"),
        (without("Filter"), "MalformedXML", XML),
        (rule(Prefix="b"), "InvalidRequest", "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter."),
        (rule(ID="x" * 256), "InvalidArgument", "ID length should not exceed allowed limit of 255"),
        (rule(Filter={"Prefix": "a", "ObjectSizeLessThan": 5}), "MalformedXML", XML),
        (rule(Filter={"And": {"Prefix": "a"}}), "MalformedXML", XML),
        (rule(Filter={"And": {"Tags": [{"Key": "k", "Value": "v"}]}}), "MalformedXML", XML),
        (rule(Filter={"And": {"Prefix": "a", "Tags": [{"Key": "k", "Value": "v"}] * 2}}), "InvalidRequest", "Duplicate Tag Keys are not allowed."),
        (rule(Filter={"ObjectSizeLessThan": 0}), "InvalidRequest", "'ObjectSizeLessThan' should be between 1 and 1099511627776000."),
        (rule(Filter={"ObjectSizeGreaterThan": -1}), "InvalidRequest", "'ObjectSizeGreaterThan' should be between 0 and 1099511627776000."),
        (rule(Filter={"And": {"ObjectSizeGreaterThan": 5, "ObjectSizeLessThan": 5}}), "InvalidRequest",
         "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'."),
        (rule(Expiration={"Days": 0}), "InvalidArgument", "'Days' for Expiration action must be a positive integer"),
        (rule(Expiration={"Days": 1, "Date": MIDNIGHT}), "MalformedXML", XML),
        (rule(Expiration={}), "MalformedXML", XML),
        (rule(Expiration={"Days": 1, "ExpiredObjectDeleteMarker": True}), "MalformedXML", XML),
        (rule(Expiration={"Date": MIDNIGHT + DAY / 2}), "InvalidArgument", "'Date' must be at midnight GMT"),
        (rule(Expiration={"ExpiredObjectDeleteMarker": True}, Filter={"Tag": {"Key": "k", "Value": "v"}}), "InvalidRequest",
         "ExpiredObjectDeleteMarker cannot be specified with Tags."),
        (rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}, Filter={"Tag": {"Key": "k", "Value": "v"}}), "InvalidRequest",
         "AbortIncompleteMultipartUpload cannot be specified with Tags."),
        (rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}, Filter={"ObjectSizeLessThan": 9}), "InvalidRequest",
         "AbortIncompleteMultipartUpload cannot be specified with Object Size."),
        (rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 0}), "InvalidArgument",
         "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer"),
        (rule(Transitions=[move(29, "STANDARD_IA")]), "InvalidArgument",
         "'Days' in Transition action must be greater than or equal to 30 for storageClass 'STANDARD_IA'"),
        (rule(Transitions=[move(-1, "GLACIER")]), "InvalidArgument", "'Days' in Transition action must be nonnegative"),
        (rule(Transitions=[move(1, "STANDARD")]), "InvalidArgument", "Invalid target Storage class for Transition action"),
        (rule(Transitions=[{"StorageClass": "GLACIER"}]), "MalformedXML", XML),
        (rule(Transitions=[move(1, "GLACIER"), move(500, "GLACIER")]), "InvalidRequest",
         "'StorageClass' must be different for 'Transition' actions in same 'Rule' with filter '(prefix=a/)'"),
        (rule(Transitions=[move(30, "STANDARD_IA"), move(31, "GLACIER")]), "InvalidArgument",
         "'Days' in the 'Transition' action for StorageClass 'GLACIER' for filter '(prefix=a/)' must be 30 days more than "
         "'filter '(prefix=a/)'' in the 'Transition' action for StorageClass 'STANDARD_IA'"),
        (rule(Transitions=[move(90, "STANDARD_IA"), move(31, "GLACIER")]), "InvalidArgument",
         "'Days' in the 'Transition' action for StorageClass 'GLACIER' for filter '(prefix=a/)' must be greater than 'Days' in the "
         "'Transition' action for StorageClass 'STANDARD_IA' for filter '(prefix=a/)'"),
        (rule(Transitions=[move(1, "GLACIER"), {"Date": MIDNIGHT, "StorageClass": "DEEP_ARCHIVE"}]), "InvalidRequest",
         "Found mixed 'Date' and 'Days' based Transition actions in lifecycle rule for filter '(prefix=a/)'"),
        (rule(Expiration={"Date": MIDNIGHT}, Transitions=[move(1, "GLACIER")]), "InvalidRequest",
         "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for filter '(prefix=a/)'"),
        (rule(Expiration={"Days": 5}, Transitions=[move(5, "GLACIER")]), "InvalidArgument",
         "'Days' in the Expiration action for filter '(prefix=a/)' must be greater than 'Days' in the Transition action"),
        (rule(NoncurrentVersionExpiration={"NewerNoncurrentVersions": 2}), "MalformedXML", XML),
        (rule(NoncurrentVersionExpiration={"NoncurrentDays": 5, "NewerNoncurrentVersions": 0}), "InvalidArgument",
         "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be a positive integer"),
        (rule(NoncurrentVersionExpiration={"NoncurrentDays": 5},
              NoncurrentVersionTransitions=[{"NoncurrentDays": 5, "StorageClass": "GLACIER"}]), "InvalidArgument",
         "'NoncurrentDays' in the NoncurrentVersionExpiration action for filter '(prefix=a/)' must be greater than 'NoncurrentDays' in the "
         "NoncurrentVersionTransition action"),
    ],
)  # fmt: skip
def test_one_rule(wrong: dict[str, Any], code: str, told: str) -> None:
    assert refusal(wrong) == (code, told)


def test_several_rules() -> None:
    old = {"Status": "Enabled", "Prefix": "a", "Expiration": {"Days": 1}}
    assert refusal()[0] == "MalformedXML"
    assert refusal(*[rule()] * 1001)[0] == "MalformedXML"
    assert refusal(rule(ID="a"), rule(ID="a")) == ("InvalidArgument", "Rule ID must be unique. Found same ID for more than one rule")
    assert refusal(old, rule()) == ("InvalidRequest", "Filter element can only be used in Lifecycle V2.")
    assert refusal(old, old | {"Prefix": "ab"})[1] == "Found overlapping prefixes 'a' and 'ab' for same action type 'Expiration'"
    lifecycle_checks.checked([old, old | {"Prefix": "b"}])
    lifecycle_checks.checked([rule(), rule()])
    newer = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 1}}
    assert refusal(old | newer)[1] == "NewerNoncurrentVersions element can only be used in Lifecycle V2."


def test_every_rule_gets_an_id() -> None:
    ids = [each["ID"] for each in lifecycle_checks.checked([rule(), rule(), rule(ID="mine"), rule(ID="")])]
    assert len(set(ids)) == 4 and ids[2] == "mine" and all(ids)


LEAST = {"STANDARD_IA": 30, "ONEZONE_IA": 30, "GLACIER_IR": 90, "GLACIER": 90}


@given(st.lists(st.sampled_from(CLASSES), unique=True, min_size=1), st.lists(st.integers(0, 300), min_size=6, max_size=6), st.randoms())
def test_transitions_that_wait_long_enough_are_taken_in_any_order(classes: list[str], gaps: list[int], random: Any) -> None:
    """The oracle: colder classes later, each after the stay of every class before it; whatever order they are written in."""
    days, at = {}, 30
    for storage_class, gap in zip(sorted(classes, key=CLASSES.index), gaps, strict=False):
        days[storage_class] = at
        at += max(gap, LEAST.get(storage_class, 0), 1)
    transitions = [move(number, name) for name, number in days.items()]
    random.shuffle(transitions)
    checked = lifecycle_checks.checked([rule(Expiration={"Days": at + 1}, Transitions=transitions)])
    assert checked[0]["Transitions"] == transitions
