"""The fabric's language: what is written is read again, and what is not it is refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mallee.fabric.document import VERSION, Capacity, Desired, GuestReport, Join, Report, decode, encode, from_json, to_json

DOCUMENTS = st.from_type(Desired) | st.from_type(Report) | st.from_type(Join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS)
def test_what_is_written_is_read_again(document: Any) -> None:
    assert decode(type(document), encode(document)) == document


@settings(max_examples=60, deadline=None)
@given(st.from_type(Report), st.dictionaries(st.text(min_size=1).map(lambda name: "x-" + name), JSON, max_size=3))
def test_unknown_members_are_ignored(report: Report, more: dict[str, Any]) -> None:
    data = to_json(report) | more
    assert from_json(Report, json.loads(json.dumps(data))) == report


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_anything_else_is_refused_or_read_but_never_worse(data: Any) -> None:
    for kind in (Report, Join, Desired):
        try:
            read = decode(kind, json.dumps(data).encode())
        except ValueError:
            continue
        assert isinstance(read, kind)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff", b"[" * 100_000, b'{"node_id": 5}'])
def test_a_body_that_is_no_document(body: bytes) -> None:
    with pytest.raises(ValueError):
        decode(Report, body)


def test_types_are_checked() -> None:
    report = to_json(Report("n", "b", 1, 1, Capacity(1, 1, 1), (GuestReport("i-1", 1, "off"),)))
    wrongs: list[dict[str, Any]] = [
        {"sequence": "1"},
        {"sequence": True},
        {"guests": {}},
        {"guests": ["i-1"]},
        {"capacity": None},
    ]
    for wrong in wrongs:
        with pytest.raises(TypeError):
            from_json(Report, report | wrong)


def test_defaults_are_left_out_but_the_version_never() -> None:
    assert to_json(Report("n", "b", 1, 1, Capacity(1, 2, 3))) == {
        "node_id": "n",
        "boot_id": "b",
        "sequence": 1,
        "generation": 1,
        "capacity": {"vcpus": 1, "memory_mib": 2, "disk_gib": 3},
        "version": VERSION,
    }


def test_documents_are_plain_and_frozen() -> None:
    report = Report("n", "b", 1, 1, Capacity(1, 2, 3))
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.sequence = 2  # type: ignore[misc]
