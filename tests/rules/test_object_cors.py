"""CORS rules against an oracle that spells patterns out as regular expressions and tries every rule."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mallee.objects.rules import cors

_PIECES = st.text(alphabet="ab.:/", max_size=4)
_PATTERNS = st.one_of(_PIECES, st.tuples(_PIECES, _PIECES).map("*".join))
_NAMES = st.text(alphabet="aAb-", min_size=1, max_size=3)
_METHODS = st.sampled_from(cors.METHODS)


def _rule() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "AllowedOrigins": st.lists(_PATTERNS, min_size=1, max_size=3),
            "AllowedMethods": st.lists(_METHODS, min_size=1, max_size=3, unique=True),
        },
        optional={
            "AllowedHeaders": st.lists(st.one_of(_NAMES, st.just("*"), _NAMES.map(lambda name: name + "*")), max_size=3),
            "ExposeHeaders": st.lists(_NAMES, max_size=2),
            "MaxAgeSeconds": st.integers(0, 9999),
        },
    )


def _matches(pattern: str, text: str, flags: int = 0) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text, re.DOTALL | flags) is not None


def _oracle(rules: list[dict[str, Any]], origin: str, method: str, headers: list[str]) -> int | None:
    for number, rule in enumerate(rules):
        origins = [each for each in rule["AllowedOrigins"] if _matches(each, origin)]
        refused = [name for name in headers if not any(_matches(each, name, re.I) for each in rule.get("AllowedHeaders", ()))]
        if origins and method in rule["AllowedMethods"] and not refused:
            return number
    return None


@given(st.lists(_rule(), max_size=4), st.text(alphabet="ab.:/*", max_size=8), _METHODS, st.lists(_NAMES, max_size=3))
def test_the_first_rule_that_fits(rules: list[dict[str, Any]], origin: str, method: str, headers: list[str]) -> None:
    asked = cors.requested(", ".join(headers))
    assert asked == [name.lower() for name in headers]
    found = cors.rule_for(rules, origin, method, asked)
    expected = _oracle(rules, origin, method, headers)
    assert (found is None) == (expected is None)
    if found is None or expected is None:
        return
    assert found is rules[expected]
    told = dict(cors.told(found, origin, asked))
    assert told["access-control-allow-origin"] in (origin, "*")
    # whoever is named may bring credentials; everybody may not
    assert ("access-control-allow-credentials" in told) == (
        told["access-control-allow-origin"] != "*" or origin == "*" != _first(found, origin)
    )
    assert ("access-control-allow-headers" in told) == bool(asked)
    assert told["vary"] == cors.VARY


def _first(rule: dict[str, Any] | Any, origin: str) -> str:
    return next(each for each in rule["AllowedOrigins"] if _matches(each, origin))


@given(_PATTERNS, st.text(alphabet="ab.:/*", max_size=8))
def test_patterns(pattern: str, text: str) -> None:
    assert cors.fits(pattern, text) == _matches(pattern, text)


def test_halves_of_a_pattern_do_not_overlap() -> None:
    assert not cors.fits("http://a*a.com", "http://a.com")
    assert cors.fits("http://*.example.com", "http://www.example.com")
    assert not cors.fits("http://*.example.com", "http://example.com")
    assert not cors.fits("http://www.example.com", "HTTP://www.example.com")


def test_names_of_headers() -> None:
    assert cors.requested(" X-Amz-Date ,,content-type,") == ["x-amz-date", "content-type"]
