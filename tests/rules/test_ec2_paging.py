"""Pages: whatever the sizes, all pages together are the list, once and in order; a token fits only where it came from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.ec2 import paging
from mallee.wire.errors import AwsError

SETTINGS = SimpleNamespace(cloud=Path("/nonexistent"))


def call(operation: str = "DescribeThings", account_id: str = "1" * 12, **input: Any) -> Any:
    return SimpleNamespace(operation=operation, account_id=account_id, input=input, settings=SETTINGS)


KEYS = st.one_of(
    st.sets(st.text(max_size=3), max_size=30),
    st.sets(st.integers(), max_size=30),
    st.sets(st.tuples(st.text(max_size=2), st.integers(0, 3)), max_size=30),
)


@given(KEYS, st.integers(5, 12))
def test_all_pages_together_are_the_list(keys: set[Any], size: int) -> None:
    seen: list[Any] = []
    token = None
    while True:
        asked = call(MaxResults=size, **({"NextToken": token} if token else {}))
        found, token = paging.page(asked, list(keys), key=lambda item: item)
        seen += found
        if token is None:
            break
        assert len(found) == size
    assert seen == sorted(keys)


def test_items_that_come_and_go_neither_repeat_nor_hide_others() -> None:
    first, token = paging.page(call(MaxResults=5), list(range(10)), key=lambda item: item)
    assert first == [0, 1, 2, 3, 4]
    left = [-1, 0, 1, 2.5, 3, 5, 6, 7, 8, 9]
    second, token = paging.page(call(MaxResults=5, NextToken=token), left, key=lambda item: item)
    assert second == [5, 6, 7, 8, 9]
    assert token is None


def test_without_a_size_the_default_holds_and_zero_means_all() -> None:
    items = list(range(2000))
    assert len(paging.page(call(), items, key=lambda item: item)[0]) == 1000
    assert paging.page(call(), items, key=lambda item: item, default=0) == (items, None)


@pytest.mark.parametrize(
    "changed",
    [
        {"operation": "DescribeOthers"},
        {"account_id": "2" * 12},
        {"Filters": [{"Name": "a", "Values": ["b"]}]},
    ],
)
def test_a_token_fits_only_where_it_came_from(changed: dict[str, Any]) -> None:
    _, token = paging.page(call(MaxResults=5), list(range(10)), key=lambda item: item)
    with pytest.raises(AwsError) as refused:
        paging.page(call(MaxResults=5, NextToken=token, **changed), list(range(10)), key=lambda item: item)
    assert refused.value.code == "InvalidNextToken"


@given(st.text(max_size=60))
def test_made_up_tokens_are_refused(token: str) -> None:
    if token:
        with pytest.raises(AwsError) as refused:
            paging.page(call(NextToken=token), [1], key=lambda item: item)
        assert refused.value.code == "InvalidNextToken"


@pytest.mark.parametrize("size", [-1, 0, 4, 1001])
def test_sizes_out_of_range_are_refused(size: int) -> None:
    with pytest.raises(AwsError) as refused:
        paging.page(call(MaxResults=size), [], key=lambda item: item)
    assert refused.value.code == "InvalidParameterValue"
    assert f"Value ( {size} ) for parameter maxResults is invalid" in refused.value.message


def test_ids_and_a_page_size_exclude_each_other_where_an_operation_says_so() -> None:
    with pytest.raises(AwsError) as refused:
        paging.refuse_with_ids(call(Ids=["i-1"], MaxResults=5), "Ids", "instancesSet")
    assert refused.value.code == "InvalidParameterCombination"
    paging.refuse_with_ids(call(Ids=["i-1"]), "Ids", "instancesSet")
    paging.refuse_with_ids(call(MaxResults=5), "Ids", "instancesSet")
