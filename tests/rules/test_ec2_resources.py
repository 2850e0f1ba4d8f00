"""Ids: their forms, and the errors that name them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.ec2 import resources, tags
from mallee.store import ids
from mallee.wire.errors import AwsError


@pytest.mark.parametrize("kind", resources.KINDS, ids=lambda kind: kind.prefix)
def test_every_kind_knows_its_new_ids(kind: resources.Kind) -> None:
    id = ids.new(kind.prefix)
    assert resources.kind_of(id) is kind
    assert resources.check_id(kind, id) == id
    assert resources.check_id(kind, f"{kind.prefix}-0123abcd")


@pytest.mark.parametrize("id", ["", "i-", "i-1", "i-0123456789abcdef", "i-0123ABCD", "vpc-0123abcd", "i-0123abcd\n"])
def test_malformed_ids_are_refused_by_the_kinds_own_code(id: str) -> None:
    with pytest.raises(AwsError) as refused:
        resources.check_id("instance", id)
    assert refused.value.code == "InvalidInstanceID.Malformed"
    assert refused.value.message == f'Invalid id: "{id}"'


def test_other_kinds_say_what_they_expect() -> None:
    with pytest.raises(AwsError) as refused:
        resources.check_id("security-group", "default")
    assert refused.value.code == "InvalidGroupId.Malformed"
    assert refused.value.message == 'Invalid id: "default" (expecting "sg-...")'


def test_not_found_speaks_of_one_and_of_many() -> None:
    one = resources.not_found("instance", "i-0123abcd")
    assert (one.code, one.message) == ("InvalidInstanceID.NotFound", "The instance ID 'i-0123abcd' does not exist")
    two = resources.not_found("instance", ["i-0123abcd", "i-0123abce"])
    assert two.message == "The instance IDs 'i-0123abcd, i-0123abce' do not exist"


@given(st.text(max_size=20))
def test_what_is_no_id_is_no_kind(text: str) -> None:
    kind = resources.kind_of(text)
    assert kind is None or text.startswith(kind.prefix + "-")


def specified(*types: str, **given: str) -> dict:
    given_tags = [{"Key": key, "Value": value} for key, value in given.items()]
    return {"TagSpecifications": [{"ResourceType": type, "Tags": given_tags} for type in types]}


def test_specifications_give_each_type_its_own() -> None:
    input = specified("instance", a="1")
    assert tags.from_specifications(input, "instance") == [{"Key": "a", "Value": "1"}]
    assert tags.from_specifications(input, "volume", "instance") == []
    assert tags.from_specifications({}, "instance") == []


@pytest.mark.parametrize(
    ("input", "code"),
    [
        (specified("volume", a="1"), "InvalidParameterValue"),
        (specified("instance"), "InvalidParameterValue"),
        (specified("instance", "instance", a="1"), "InvalidParameterValue"),
        (specified("", a="1"), "MissingParameter"),
        (specified("instance", **{"aws:a": "1"}), "InvalidParameterValue"),
        (specified("instance", **{"AWS:a": "1"}), "InvalidParameterValue"),
        (specified("instance", **{"k" * 129: "1"}), "InvalidParameterValue"),
        (specified("instance", a="v" * 257), "InvalidParameterValue"),
        (specified("instance", **{f"k{n}": "" for n in range(51)}), "TagLimitExceeded"),
        (specified("instance", **{"": "1"}), "InvalidParameterValue"),
        (specified("instance", **{"a\x00": "1"}), "InvalidParameterValue"),
        (specified("instance", a="\x01"), "InvalidParameterValue"),
        (specified("instance", a="\uffff"), "InvalidParameterValue"),
    ],
)
def test_specifications_that_aws_refuses(input: dict, code: str) -> None:
    with pytest.raises(AwsError) as refused:
        tags.from_specifications(input, "instance")
    assert refused.value.code == code


def test_duplicate_keys_are_refused_and_missing_values_are_empty() -> None:
    with pytest.raises(AwsError) as refused:
        tags.check([{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}])
    assert refused.value.message == "Duplicate tag key 'a' specified."
    assert tags.check([{"Key": "b"}, {"Key": "a", "Value": None}]) == [
        {"Key": "a", "Value": ""},
        {"Key": "b", "Value": ""},
    ]
