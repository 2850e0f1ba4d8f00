"""Quotas in policies: statements of Effect Limit, as Eucalyptus has them."""

from __future__ import annotations

import pytest

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
        Limit("ec2:quota-vminstancenumber", 16, ("ec2:runinstances",), False, "A"),
        Limit("ec2:quota-volumetotalsize", 100, ("ec2:createvolume", "ec2:*snapshot"), False, ""),
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


def test_a_limit_concerns_those_who_add_one():
    (many,) = compiled(document(limit("EC2:Quota-VolumeNumber", ["3", 5], ["ec2:Create*", "ec2:Restore*"]))).limits
    assert many.value == 5, "several values are alternatives"
    assert many.concerns("ec2:CreateVolume", "ec2:quota-volumeNUMBER")
    assert not many.concerns("ec2:AttachVolume", "ec2:quota-volumenumber")
    assert not many.concerns("ec2:CreateVolume", "ec2:quota-snapshotnumber")
    statement = limit("ec2:quota-volumenumber", "1") | {"NotAction": "ec2:RunInstances"}
    del statement["Action"]
    (others,) = compiled(document(statement)).limits
    assert others.concerns("ec2:CreateVolume", "ec2:quota-volumenumber")
    assert not others.concerns("ec2:RunInstances", "ec2:quota-volumenumber")


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Limit", "Action": "ec2:*", "Resource": "*"},
        limit("ec2:quota-nothing", "1"),
        limit("ec2:quota-vminstancenumber", "-1"),
        limit("ec2:quota-vminstancenumber", "1.5"),
        limit("ec2:quota-vminstancenumber", "many"),
        limit("ec2:quota-vminstancenumber", []),
        limit("ec2:quota-vminstancenumber", ["1", "many"]),
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
