"""Names of buckets and access points, and where a bucket is."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.objects.rules import locations, names
from mallee.wire.errors import AwsError


@given(st.text("ab0.-", max_size=10) | st.text(max_size=70))
def test_a_bucket_s_name_is_a_host_name(name: str) -> None:
    """The oracle: labels of letters, digits and inner hyphens between single dots, 3 to 63 characters in all."""
    labels = name.split(".")
    fits = 3 <= len(name) <= 63 and all(
        label and set(label) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") and label[0] != "-" and label[-1] != "-" for label in labels
    )
    reserved = name.startswith(("xn--", "sthree-", "amzn-s3-demo-")) or name.endswith(("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"))
    number = len(labels) == 4 and all(label.isdigit() and len(label) < 4 for label in labels)
    assert names.is_bucket(name) is (fits and not reserved and not number)


@given(st.ip_addresses(v=4))
def test_no_bucket_is_called_like_an_address(address: ipaddress.IPv4Address) -> None:
    assert not names.is_bucket(str(address))


def test_names_of_an_account_s_own() -> None:
    assert names.is_regional("logs-123456789012-local-1-an", "123456789012", "local-1")
    assert not names.is_regional("logs-123456789012-local-1-an", "999999999999", "local-1")
    assert names.looks_regional("logs-123456789012-eu-west-1-an") and not names.looks_regional("logs-an")


@pytest.mark.parametrize(("name", "good"), [("door", True), ("a-b", True), ("ab", False), ("-ab", False), ("a.b", False), ("x" * 51, False)])
def test_access_points(name: str, good: bool) -> None:
    assert names.is_access_point(name) is good


@pytest.mark.parametrize(
    ("constraint", "region", "code"),
    [
        (None, "local-1", ""),
        ("", "local-1", ""),
        ("local-1", "local-1", ""),
        ("eu-central-1", "local-1", ""),
        ("EU", "eu-west-1", ""),
        ("us-east-1", "us-east-1", "InvalidLocationConstraint"),
        ("us-east-1", "local-1", "InvalidLocationConstraint"),
        ("EU", "local-1", "IllegalLocationConstraintException"),
        ("ap-southeast-2", "local-1", "IllegalLocationConstraintException"),
        ("us-gov-west-1", "local-1", "IllegalLocationConstraintException"),
        ("nowhere", "local-1", "InvalidLocationConstraint"),
    ],
)
def test_location_constraints(constraint: str | None, region: str, code: str) -> None:
    others = ("us-east-1", "eu-central-1")
    if not code:
        locations.check(constraint, region, others)
        return
    with pytest.raises(AwsError) as raised:
        locations.check(constraint, region, others)
    assert raised.value.code == code


def test_what_a_location_is_told_as() -> None:
    assert locations.told("us-east-1") is None and locations.told("local-1") == "local-1"
