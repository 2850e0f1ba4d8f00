"""``Effect: Limit``: which statements bound which quota, compared with a slow reading of the same documents."""

from __future__ import annotations

import fnmatch
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.identity import limits
from mallee.identity.rules.errors import Malformed

ACTIONS = ("*", "ec2:*", "ec2:Run*", "ec2:RunInstances", "EC2:runinstances", "iam:CreateUser", "iam:?reateUser", "s3:Get*")
KEYS = ("ec2:quota-vminstancenumber", "ec2:quota-addressnumber", "iam:quota-usernumber")

statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(("Limit", "Limit", "Allow")),
        "Resource": st.just("*"),
        "Condition": st.fixed_dictionaries(
            {"NumericLessThanEquals": st.dictionaries(st.sampled_from(KEYS), st.integers(0, 50).map(str), min_size=1)}
        ),
    }
).flatmap(
    lambda statement: st.tuples(st.sampled_from(("Action", "NotAction")), st.sampled_from(ACTIONS)).map(
        lambda pair: statement | {pair[0]: [pair[1]]}
    )
)


def document(*given: dict[str, Any]) -> str:
    return json.dumps({"Version": "2011-04-01", "Statement": list(given)})


def slowly(text: str, action: str, key: str) -> list[float]:
    found = []
    for statement in json.loads(text)["Statement"]:
        patterns = statement.get("Action") or statement.get("NotAction")
        named = any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)
        if statement["Effect"] == "Limit" and named is ("Action" in statement):
            bounds = statement["Condition"]["NumericLessThanEquals"]
            found += [float(value) for name, value in bounds.items() if name == key]
    return found


@given(
    st.lists(statements, min_size=1, max_size=4), st.sampled_from(("ec2:RunInstances", "iam:CreateUser")), st.sampled_from(KEYS)
)
def test_limits_are_what_a_slow_reader_finds(found: list[dict[str, Any]], action: str, key: str) -> None:
    text = document(*found)
    assert sorted(limits.stated([text], action, key)) == sorted(slowly(text, action, key))


def limit(**condition: dict[str, Any]) -> dict[str, Any]:
    return {"Effect": "Limit", "Action": "*", "Resource": "*", "Condition": condition}


def test_of_several_values_the_largest_allows_most() -> None:
    text = document(limit(NumericLessThanEquals={KEYS[0]: ["3", "7"]}))
    assert limits.stated([text], "ec2:RunInstances", KEYS[0]) == [7]


def test_keys_are_compared_without_case() -> None:
    text = document(limit(NumericLessThanEquals={"EC2:Quota-VMInstanceNumber": "3"}))
    assert limits.stated([text], "ec2:RunInstances", KEYS[0]) == [3]


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"Statement": 1}'])
def test_what_is_no_policy_limits_nothing(text: str) -> None:
    assert limits.stated([text], "ec2:RunInstances", KEYS[0]) == []


def test_a_policy_of_an_account_must_limit_something_known() -> None:
    limits.check_account_policy(document(limit(NumericLessThanEquals={KEYS[0]: "3"})), KEYS)
    for bad in (
        limit(NumericLessThanEquals={"ec2:quota-unicorns": "3"}),
        limit(NumericLessThanEquals={KEYS[0]: "three"}),
        limit(NumericEquals={KEYS[0]: "3"}),
        limit(),
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
    ):
        with pytest.raises(Malformed):
            limits.check_account_policy(document(bad), KEYS)
