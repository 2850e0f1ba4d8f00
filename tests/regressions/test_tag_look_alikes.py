"""KELVIN SIGN is ``k`` in small letters to Python, and to no policy: a tag that bears it took the place of the one with a ``k``, which
a policy that speaks of that one could not see."""

from __future__ import annotations

from tests.cloud import sts
from tests.cloud.harness import TestCloud, refused

KELVIN = "ris\u212a"


def test_a_tag_is_neither_replaced_nor_removed_by_a_look_alike(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    iam.create_user(UserName="alice", Tags=[{"Key": "risk", "Value": "high"}])
    iam.tag_user(UserName="alice", Tags=[{"Key": KELVIN, "Value": "low"}])
    iam.untag_user(UserName="alice", TagKeys=[KELVIN])
    assert iam.list_user_tags(UserName="alice")["Tags"] == [{"Key": "risk", "Value": "high"}]


def test_a_session_s_tag_does_not_hide_the_role_s_by_a_look_alike(sqlite_cloud: TestCloud) -> None:
    who = sts.user(sqlite_cloud.admin, "alice", "sts:*")
    trusted = sts.trust(f"arn:aws:iam::{who.id}:user/alice", actions=("sts:AssumeRole", "sts:TagSession"))
    arn = sts.role(sqlite_cloud.admin, "worker", trusted, "ec2:*", Tags=[{"Key": "risk", "Value": "high"}])
    held = {"StringEquals": {"aws:PrincipalTag/risk": "high"}}
    document = sts.policy(effect="Deny", action="ec2:DescribeVpcs", resource="*", condition=held)
    sqlite_cloud.client("iam").put_role_policy(RoleName="worker", PolicyName="not", PolicyDocument=document)
    for tags in ([], [{"Key": KELVIN, "Value": "low"}]):
        session = sts.assume(who, arn, Tags=tags) if tags else sts.assume(who, arn)
        with refused("UnauthorizedOperation"):
            session.client("ec2").describe_vpcs()
