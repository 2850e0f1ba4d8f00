"""Policies of browsers' forms, as AWS's pages have them."""

from __future__ import annotations

import base64
import datetime
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mallee.objects.rules import post_policy
from mallee.wire.errors import AwsError

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
LATER = "2026-01-01T01:00:00.000Z"


def policy(*conditions: Any, expiration: Any = LATER, **more: Any) -> str:
    return base64.b64encode(json.dumps({"expiration": expiration, "conditions": list(conditions), **more}).encode()).decode()


def refusal(text: str, fields: dict[str, str] | None = None, length: int = 0, now: datetime.datetime = NOW) -> str:
    """The code and message, empty if the form is taken."""
    try:
        found = post_policy.read(text)
        found.check(fields or {}, "johnsmith", now)
        found.check_length(length)
    except AwsError as error:
        return f"{error.code}: {error.message}"
    return ""


HERE = {"bucket": "johnsmith"}

# AWS's "Upload a file" example
EXAMPLE = policy(
    HERE,
    ["starts-with", "$key", "user/user1/"],
    {"acl": "public-read"},
    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},
    ["starts-with", "$Content-Type", "image/"],
    {"x-amz-meta-uuid": "14365123651274"},
    ["starts-with", "$x-amz-meta-tag", ""],
    ["content-length-range", 1048576, 10485760],
)
FORM = {
    "key": "user/user1/me.jpg",
    "acl": "public-read",
    "success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
    "Content-Type": "image/jpeg",
    "x-amz-meta-uuid": "14365123651274",
    "x-amz-meta-tag": "",
    "policy": "…",
    "x-amz-signature": "…",
}


def test_aws_s_example() -> None:
    assert refusal(EXAMPLE, FORM, 2_000_000) == ""
    assert refusal(EXAMPLE, FORM | {"x-ignore-this": "x", "AWSAccessKeyId": "a", "signature": "b"}, 2_000_000) == ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"key": "user/user2/x"}, 'Policy Condition failed: ["starts-with", "$key", "user/user1/"]'),
        ({"acl": "private"}, 'Policy Condition failed: ["eq", "$acl", "public-read"]'),
        ({"Content-Type": "text/html"}, 'Policy Condition failed: ["starts-with", "$Content-Type", "image/"]'),
        ({"Content-Type": "image/png,text/html"}, 'Policy Condition failed: ["starts-with", "$Content-Type", "image/"]'),
        ({"x-amz-meta-other": "x"}, "Extra input fields: x-amz-meta-other"),
        ({"x-amz-storage-class": "STANDARD", "tagging": "x"}, "Extra input fields: x-amz-storage-class, tagging"),
    ],
)
def test_what_it_does_not_allow(change: dict[str, str], why: str) -> None:
    assert refusal(EXAMPLE, FORM | change, 2_000_000) == f"AccessDenied: Invalid according to Policy: {why}"


def test_names_in_any_case_and_lists_of_types() -> None:
    assert refusal(EXAMPLE, {name.upper(): value for name, value in FORM.items()}, 2_000_000) == ""
    assert refusal(EXAMPLE, FORM | {"Content-Type": "image/png, image/gif"}, 2_000_000) == ""


def test_a_field_that_is_missing_is_an_empty_one() -> None:
    left = {name: value for name, value in FORM.items() if name != "acl"}
    assert "Policy Condition failed" in refusal(EXAMPLE, left, 2_000_000)
    assert refusal(policy(HERE, ["starts-with", "$x-amz-meta-tag", ""]), {}) == ""


def test_a_field_that_is_named_twice() -> None:
    assert "named twice" in refusal(policy({"acl": "private"}), {"acl": "public-read", "ACL": "private"})


def test_of_another_bucket() -> None:
    assert "Policy Condition failed" in refusal(policy({"bucket": "another"}), {"bucket": "another"})
    assert refusal(policy(), {}) == "AccessDenied: Invalid according to Policy: Extra input fields: bucket"
    assert refusal(policy(HERE), {}) == ""


def test_lengths() -> None:
    assert refusal(EXAMPLE, FORM, 1048575) == "EntityTooSmall: Your proposed upload is smaller than the minimum allowed size"
    assert refusal(EXAMPLE, FORM, 10485761) == "EntityTooLarge: Your proposed upload exceeds the maximum allowed size"
    assert refusal(EXAMPLE, FORM, 1048576) == refusal(EXAMPLE, FORM, 10485760) == ""
    both = policy(HERE, ["content-length-range", 1, 10], ["content-length-range", "5", "20"])
    assert [refusal(both, {}, length) == "" for length in (4, 5, 10, 11)] == [False, True, True, False]


def test_expired() -> None:
    end = NOW + datetime.timedelta(hours=1)
    assert refusal(policy(HERE), {}, now=end - datetime.timedelta(seconds=1)) == ""
    assert refusal(policy(HERE), {}, now=end) == "AccessDenied: Invalid according to Policy: Policy expired."


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Invalid JSON."),
        ("%%%", "Invalid JSON."),
        (base64.b64encode(b"[]").decode(), "Invalid JSON."),
        (base64.b64encode(b"\xff").decode(), "Invalid JSON."),
        (base64.b64encode(b'{"conditions":[],"conditions":[]}').decode(), "Invalid JSON."),
        (base64.b64encode(b'{"conditions":[]}').decode(), "Policy missing expiration."),
        (base64.b64encode(b'{"expiration":"2030-01-01T00:00:00Z"}').decode(), "Policy missing conditions."),
        (policy(expiration="tomorrow"), "Invalid 'expiration' value: 'tomorrow'"),
        (policy(expiration="2026-02-30T00:00:00Z"), "Invalid 'expiration' value: '2026-02-30T00:00:00Z'"),
        (policy(expiration=5), "Invalid 'expiration' value: '5'"),
        (policy({}), "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."),
        (policy({"a": "b", "c": "d"}), "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."),
        (policy({"a": 5}), "Invalid Simple-Condition: value must be a string."),
        (policy(["eq", "key", "x"]), "Invalid Condition: must start with '$'."),
        (policy(["matches", "$key", "x"]), "Invalid Condition: unknown operation 'matches'."),
        (policy("key"), "Invalid Condition: must be an Object or a List of three elements."),
        (policy(["content-length-range", 1]), "Invalid content-length-range: must have two numbers."),
        (policy(["content-length-range", -1, 5]), "Invalid content-length-range: must be whole numbers that are not negative."),
    ],
)
def test_documents_that_are_none(text: str, why: str) -> None:
    assert refusal(text) == f"InvalidPolicyDocument: Invalid Policy: {why}"


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=80), st.binary(max_size=80).map(lambda raw: base64.b64encode(raw).decode())))
def test_any_text_is_read_or_refused(text: str) -> None:
    told = refusal(text)
    assert told == "" or told.startswith(("InvalidPolicyDocument", "AccessDenied"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3), max_leaves=8
)


@settings(max_examples=300)
@given(
    conditions=st.lists(_JSON | st.dictionaries(st.text(max_size=4), _JSON, max_size=2), max_size=3),
    fields=st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=3),
)
def test_any_conditions_hold_or_refuse(conditions: list[Any], fields: dict[str, str]) -> None:
    """And a form that is taken has no field that no condition names."""
    told = refusal(policy(*conditions), fields)
    assert told == "" or told.split(":")[0] in ("InvalidPolicyDocument", "AccessDenied", "EntityTooSmall", "EntityTooLarge")
    if told == "":
        names = {str(each[1]).lower() for each in conditions if isinstance(each, list)}
        names |= {"$" + name.lower() for each in conditions if isinstance(each, dict) for name in each}
        free = ("awsaccesskeyid", "signature", "x-amz-signature", "policy", "file", "bucket")
        assert all("$" + name.lower() in names or name.lower() in free or name.lower().startswith("x-ignore-") for name in fields)
