"""Expressions and LIKE against the oracle that walks trees and tries everything."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mallee.objects.select.like import matcher
from mallee.objects.select.parser import MAX_DEPTH
from tests.rules import select_oracle as oracle
from tests.rules.select_oracle import JSON, LINES, select

NUMBERS, TEXTS, BOOLS = ("i", "j", "k"), ("s", "t", "u"), ("b", "c", "d")
absent = st.just("absent")
row = st.fixed_dictionaries(
    {
        **{name: st.integers(-99, 99) | st.none() | absent for name in NUMBERS},
        **{name: st.text(alphabet="ab%_'", max_size=3) | st.none() | absent for name in TEXTS},
        **{name: st.booleans() | st.none() | absent for name in BOOLS},
    }
).map(lambda members: {name: value for name, value in members.items() if value != "absent"})


def literal(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (values | st.none()).map(lambda value: ("literal", value))


def member(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    return st.sampled_from(names).map(lambda name: ("member", name))


def pair(kinds: str, operand: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.sampled_from(kinds.split()), operand, operand)


# products of leaves only: deeper ones leave the eight bytes of an integer
leaf = literal(st.integers(0, 99)) | member(NUMBERS)
number = st.deferred(
    lambda: leaf | pair("*", leaf) | pair("+ -", number) | st.tuples(st.just("coalesce"), number, number)
    | st.tuples(st.just("case"), condition, number, number)
)  # fmt: skip
text = st.deferred(lambda: literal(st.text(alphabet="ab%_'", max_size=3)) | member(TEXTS) | pair("||", text))
condition: st.SearchStrategy[Any] = st.deferred(
    lambda: literal(st.booleans()) | member(BOOLS)
    | pair("= <> < >=", number) | pair("= <> < >= like", text) | st.tuples(st.sampled_from(["=", "<>"]), number, text)
    | pair("and or", condition) | st.tuples(st.just("and"), condition, condition, condition)
    | st.tuples(st.just("not"), condition) | st.tuples(st.sampled_from(["is null", "is missing"]), number | text | condition)
    | st.tuples(st.just("between"), number, number, number) | st.tuples(st.just("in"), number, number, number)
    | st.tuples(st.just("in"), text, literal(st.text(alphabet="ab", max_size=1)), literal(st.text(alphabet="ab", max_size=1)))
)  # fmt: skip


def depth(tree: Any) -> int:
    return 1 + max((depth(part) for part in tree if isinstance(part, tuple)), default=0)


@settings(max_examples=400, deadline=None)
@given(condition, st.lists(row, min_size=1, max_size=5))
def test_where(tree: Any, rows: list[dict[str, Any]]) -> None:
    assume(2 * depth(tree) < MAX_DEPTH)  # COALESCE((x)) is two levels
    data = "\n".join(json.dumps(row | {"n": at}) for at, row in enumerate(rows))
    found = select(f"SELECT s.n FROM S3Object s WHERE {oracle.written(tree)}", data, LINES, JSON)
    expected = [at for at, row in enumerate(rows) if oracle.evaluated(tree, row) is True]
    assert [json.loads(line)["n"] for line in found.splitlines()] == expected


@settings(max_examples=400, deadline=None)
@given(number | text | condition, row)
def test_values(tree: Any, row: dict[str, Any]) -> None:
    assume(2 * depth(tree) < MAX_DEPTH)  # COALESCE((x)) is two levels
    found = json.loads(select(f"SELECT {oracle.written(tree)} AS v FROM S3Object s", json.dumps(row), LINES, JSON))
    expected = oracle.evaluated(tree, row)
    assert found == ({} if expected is oracle.MISSING else {"v": expected})


@settings(max_examples=1000, deadline=None)
@given(st.text(alphabet="abc", max_size=8), st.text(alphabet="abc%_", max_size=6))
def test_like(text: str, pattern: str) -> None:
    assert matcher(pattern, None)(text) == oracle.like(text, pattern)


@settings(deadline=None)
@given(st.text(alphabet="ab%_!", max_size=6))
def test_an_escaped_text_is_like_itself_alone(text: str) -> None:
    pattern = "".join("!" + character if character in "%_!" else character for character in text)
    matches = matcher(pattern, "!")
    assert matches(text)
    assert not matches(text + "a") and not matches("b" + text)


@settings(deadline=None)
@given(st.lists(st.integers(-(10**6), 10**6)), st.integers(1, 4))
def test_aggregates(numbers: list[int], chunk: int) -> None:
    data = "".join(f"{value}\n" for value in numbers)
    cast = "CAST(_1 AS INT)"
    sql = f"SELECT COUNT(*), SUM({cast}), MIN({cast}), MAX({cast}) FROM S3Object WHERE {cast} % 2 = 0"
    even = [value for value in numbers if value % 2 == 0]
    found = select(sql, data, chunk=chunk).strip("\n").split(",")
    assert found == [str(len(even)), *(str(of(even)) if even else "" for of in (sum, min, max))]
