"""Quotas in policies: statements of Effect Limit, as Eucalyptus has them."""

from __future__ import annotations

import pytest

from mallee.identity.rules import limits
from mallee.identity.rules.evaluate import decide
from mallee.identity.rules.limits import Limit
from mallee.identity.rules.policy import Kind, Malformed
from tests.rules.policy_making import allow, asking, compiled, document, granting


def limit(key, value, action="ec2:RunInstances", **more):
    condition = {"NumericLessThanEquals": {key: value}}
    return {"Effect": "Limit", "Action": action, "Resource": "*", "Condition": condition} | more


def test_a_policy_of_eucalyptuss_own_version():
    policy = compiled(
        document(
            limit("ec2:quota-vminstancenumber", "16", Sid="A"),
            limit("ec2:quota-volumetotalsize", 100, ["ec2:CreateVolume", "ec2:*Snapshot"]),
            version="2011-04-01",
        )
    )
    assert policy.limits == (
        Limit("ec2:quota-vminstancenumber", 16, ("ec2:runinstances",), ("*",), "A"),
        Limit("ec2:quota-volumetotalsize", 100, ("ec2:createvolume", "ec2:*snapshot"), ("*",), ""),
    )
    assert policy.statements == ()


@pytest.mark.parametrize("version", ["2011-04-01", "2012-10-17"])
def test_limits_neither_allow_nor_deny(version):
    only = granting(limit("ec2:quota-vminstancenumber", "0"), version=version)
    assert not decide(asking("ec2:RunInstances"), only).allowed and not decide(asking("ec2:RunInstances"), only).explicit
    mixed = granting(limit("ec2:quota-vminstancenumber", "0"), allow(), version=version)
    decision = decide(asking("ec2:RunInstances"), mixed)
    assert decision.allowed and decision.matched[0].index == 1
    assert [each.value for each in mixed.identity[0].policy.limits] == [0]


def test_the_smallest_limit_counts():
    found = (
        Limit("ec2:quota-volumenumber", 5, ("ec2:createvolume",), ("*",)),
        Limit("ec2:quota-volumenumber", 3, ("ec2:*",), ("*",)),
        Limit("ec2:quota-vminstancenumber", 1, ("*",), ("*",)),
    )
    assert limits.smallest(found, "ec2:quota-volumenumber") == 3
    assert limits.smallest(found, "EC2:Quota-VolumeNumber", "ec2:CreateVolume") == 3
    assert limits.smallest(found[:1], "ec2:quota-volumenumber", "ec2:AttachVolume") is None
    assert limits.smallest(found, "ec2:quota-imagenumber") is None
    assert limits.smallest((), "ec2:quota-imagenumber") is None


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Limit", "Action": "ec2:*", "Resource": "*"},
        limit("ec2:quota-nothing", "1"),
        limit("ec2:quota-vminstancenumber", "-1"),
        limit("ec2:quota-vminstancenumber", "1.5"),
        limit("ec2:quota-vminstancenumber", "many"),
        limit("ec2:quota-vminstancenumber", ["1", "2"]),
        limit("ec2:quota-vminstancenumber", "1e99"),
        limit("aws:username", "1"),
        limit("ec2:quota-vminstancenumber", "1") | {"Condition": {"NumericEquals": {"ec2:quota-vminstancenumber": "1"}}},
        limit("ec2:quota-vminstancenumber", "1") | {"Effect": "limit"},
    ],
)
def test_a_limit_that_limits_nothing_is_refused(statement):
    with pytest.raises(Malformed) as refused:
        compiled(document(statement, version="2011-04-01"))
    assert refused.value.message == "Syntax errors in policy."


@pytest.mark.parametrize("kind", [Kind.RESOURCE, Kind.TRUST, Kind.SCP, Kind.SESSION, Kind.ENDPOINT])
def test_only_policies_of_identities_have_limits(kind):
    with pytest.raises(Malformed):
        compiled(document(limit("ec2:quota-vminstancenumber", "1") | {"Principal": "*"}), kind)
    with pytest.raises(Malformed):
        compiled(document(limit("ec2:quota-vminstancenumber", "1")), kind)
