"""EC2's filters against an oracle that knows nothing of regular expressions."""

from __future__ import annotations

import datetime
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.ec2 import filters
from mallee.wire.errors import AwsError

SMALL = st.text(alphabet="ab*?\\.+\n", max_size=8)
PLAIN = st.text(alphabet="ab*?\\.+\n", max_size=8)


def matches(pattern: str, text: str) -> bool:
    """Wildcards by recursion: slow and plain."""
    if not pattern:
        return not text
    head, rest = pattern[0], pattern[1:]
    if head == "*":
        return any(matches(rest, text[start:]) for start in range(len(text) + 1))
    if head == "?":
        return bool(text) and matches(rest, text[1:])
    if head == "\\" and rest:
        head, rest = rest[0], rest[1:]
    return bool(text) and text[0] == head and matches(rest, text[1:])


@given(st.lists(SMALL, max_size=3), PLAIN)
def test_values_match_as_the_oracle_says(values: list[str], text: str) -> None:
    assert filters.matcher(values)(text) is any(matches(value, text) for value in values)


ITEM = st.fixed_dictionaries(
    {
        "name": st.text(alphabet="ab", max_size=3),
        "many": st.lists(st.text(alphabet="ab", max_size=2), max_size=3),
        "none": st.none(),
        "flag": st.booleans(),
        "tags": st.dictionaries(st.sampled_from(["x", "y"]), st.text(alphabet="ab", max_size=2)),
    }
)
TABLE = {name: (lambda item, name=name: item[name]) for name in ("name", "many", "none", "flag")}
VALUES = st.lists(st.text(alphabet="ab*?", max_size=3) | st.sampled_from(["true", "false"]), max_size=3)
NAMES = st.sampled_from(["name", "many", "none", "flag", "tag:x", "tag-key", "tag-value"])


def tags_of(item: dict) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in item["tags"].items()]


def passes(item: dict, name: str, values: list[str]) -> bool:
    if name == "tag:x":
        found = [item["tags"]["x"]] if "x" in item["tags"] else []
    elif name == "tag-key":
        found = list(item["tags"])
    elif name == "tag-value":
        found = list(item["tags"].values())
    elif name == "flag":
        found = ["true" if item["flag"] else "false"]
    elif name == "none":
        found = []
    else:
        found = item[name] if isinstance(item[name], list) else [item[name]]
    return any(matches(value, each) for value in values for each in found)


@given(st.lists(ITEM, max_size=6), st.lists(st.tuples(NAMES, VALUES), max_size=3))
def test_names_are_joined_by_and_and_values_by_or(items: list[dict], asked: list[tuple[str, list[str]]]) -> None:
    given_filters = [{"Name": name, "Values": values} for name, values in asked]
    expected = [item for item in items if all(passes(item, name, values) for name, values in asked)]
    assert filters.apply(given_filters, TABLE, items, tags_of=tags_of) == expected


def test_a_filter_that_does_not_exist_is_refused_even_without_items() -> None:
    with pytest.raises(AwsError) as refused:
        filters.apply([{"Name": "colour", "Values": ["red"]}], TABLE, [])
    assert refused.value.code == "InvalidParameterValue"
    assert refused.value.message == "The filter 'colour' is invalid"


def test_tag_filters_need_tags() -> None:
    with pytest.raises(AwsError):
        filters.apply([{"Name": "tag:x", "Values": ["1"]}], TABLE, [{}])


def test_too_many_values_are_refused() -> None:
    assert filters.apply([{"Name": "name", "Values": ["a"] * 200}], TABLE, []) == []
    with pytest.raises(AwsError) as refused:
        filters.apply([{"Name": "name", "Values": ["a"] * 201}], TABLE, [])
    assert refused.value.code == "FilterLimitExceeded"


def test_a_missing_name_is_refused() -> None:
    with pytest.raises(AwsError) as refused:
        filters.apply([{"Values": ["a"]}], TABLE, [])
    assert refused.value.message == "The filter 'null' is invalid"


def test_values_of_other_types_compare_as_aws_writes_them() -> None:
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, datetime.UTC)
    assert filters.text(True) == "true"
    assert filters.text(8) == "8"
    assert filters.text(moment) == "2026-01-02T03:04:05.678Z"


def test_exact_gives_the_values_only_where_none_is_a_pattern() -> None:
    asked = [{"Name": "a", "Values": ["x", "y"]}, {"Name": "b", "Values": ["x*"]}, {"Name": "c", "Values": []}]
    assert filters.exact(asked, "a") == ["x", "y"]
    assert filters.exact(asked, "b") is None
    assert filters.exact(asked, "c") is None
    assert filters.exact(None, "a") is None


def test_hostile_patterns_take_no_time() -> None:
    started = time.perf_counter()
    assert not filters.matcher(["*a" * 100 + "b", "?*" * 100 + "\\"])("a" * 5000)
    assert time.perf_counter() - started < 2
