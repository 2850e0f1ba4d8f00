"""Roles: their lives, whom they trust, and those that belong to a service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mallee.identity import linked, quotas
from tests.cloud.harness import ADMIN, TestCloud, refused
from tests.cloud.iam import EC2, READ_ONLY, allow, at_once, trusting


def trusts(iam: Any, name: str) -> Any:
    return iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]


def test_a_role_lives(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    made = iam.create_role(RoleName="Worker", Path="/a/", AssumeRolePolicyDocument=EC2, Description="works")["Role"]
    assert made["Arn"] == f"arn:aws:iam::{ADMIN}:role/a/Worker" and made["RoleId"].startswith("AROA")
    assert made["AssumeRolePolicyDocument"] == json.loads(EC2) and made["MaxSessionDuration"] == 3600
    assert "RoleLastUsed" not in made and "Tags" not in made
    assert iam.get_role(RoleName="wORKER")["Role"] == made | {"RoleLastUsed": {}}
    assert iam.list_roles(PathPrefix="/a/")["Roles"] == [made] and iam.list_roles(PathPrefix="/b")["Roles"] == []
    iam.update_role(RoleName="Worker", MaxSessionDuration=7200)
    found = iam.update_role_description(RoleName="Worker", Description="rests")["Role"]
    assert found["Description"] == "rests" and found["MaxSessionDuration"] == 7200
    iam.update_role(RoleName="Worker", Description="sleeps")
    assert iam.get_role(RoleName="Worker")["Role"]["MaxSessionDuration"] == 7200
    iam.delete_role(RoleName="worker")
    with refused("NoSuchEntity", 404) as told:
        iam.get_role(RoleName="Worker")
    assert told() == "The role with name Worker cannot be found."


def test_names_are_unique_without_case(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    iam.create_role(RoleName="a", AssumeRolePolicyDocument=EC2)
    with refused("EntityAlreadyExists", 409) as told:
        iam.create_role(RoleName="A", Path="/x/", AssumeRolePolicyDocument=EC2)
    assert told() == "Role with name A already exists."
    cloud.account().client("iam").create_role(RoleName="a", AssumeRolePolicyDocument=EC2)
    iam.create_user(UserName="a")
    answers = at_once(cloud, 4, lambda client: client.create_role(RoleName="b", AssumeRolePolicyDocument=EC2))
    assert answers == ["EntityAlreadyExists"] * 3 + ["done"]


@pytest.mark.parametrize("seconds", [3599, 43201])
def test_sessions_have_bounds(sqlite_cloud: TestCloud, seconds: int) -> None:
    with refused("ValidationError", 400):
        sqlite_cloud.client("iam", validate=False).create_role(
            RoleName="a", AssumeRolePolicyDocument=EC2, MaxSessionDuration=seconds
        )


def test_boundaries(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    made = iam.create_role(RoleName="a", AssumeRolePolicyDocument=EC2, PermissionsBoundary=READ_ONLY)["Role"]
    assert made["PermissionsBoundary"] == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": READ_ONLY}
    assert "PermissionsBoundary" not in iam.list_roles()["Roles"][0]
    iam.delete_role_permissions_boundary(RoleName="a")
    assert "PermissionsBoundary" not in iam.get_role(RoleName="a")["Role"]
    with refused("NoSuchEntity", 404):
        iam.put_role_permissions_boundary(RoleName="a", PermissionsBoundary=READ_ONLY + "X")
    iam.put_role_permissions_boundary(RoleName="a", PermissionsBoundary=READ_ONLY)
    assert iam.get_role(RoleName="a")["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == READ_ONLY


def test_as_many_roles_as_the_quota(sqlite_cloud: TestCloud) -> None:
    allow(sqlite_cloud, quotas.ROLES, 1)
    iam = sqlite_cloud.client("iam")
    iam.create_role(RoleName="a", AssumeRolePolicyDocument=EC2)
    with refused("LimitExceeded", 409) as told:
        iam.create_role(RoleName="b", AssumeRolePolicyDocument=EC2)
    assert told() == "Cannot exceed quota for RolesPerAccount: 1"


def test_pages(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    for number in range(5):
        iam.create_role(RoleName=f"r{number}", AssumeRolePolicyDocument=EC2)
    pages = iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 2})
    assert [[role["RoleName"] for role in page["Roles"]] for page in pages] == [["r0", "r1"], ["r2", "r3"], ["r4"]]


# ------------------------------------------------------------------------------------------------------------------- trust


def test_a_trust_policy_speaks_of_the_user_and_not_of_the_name(cloud: TestCloud) -> None:
    """Whoever is given the name later is not trusted; a new name or path keeps the trust."""
    iam = cloud.client("iam")
    user = iam.create_user(UserName="alice", Path="/staff/")["User"]
    iam.create_role(RoleName="a", AssumeRolePolicyDocument=trusting({"AWS": user["Arn"]}))
    assert trusts(iam, "a") == {"AWS": user["Arn"]}
    iam.update_user(UserName="alice", NewUserName="bob", NewPath="/")
    assert trusts(iam, "a") == {"AWS": f"arn:aws:iam::{ADMIN}:user/bob"}
    iam.create_user(UserName="alice", Path="/staff/")
    assert trusts(iam, "a") == {"AWS": f"arn:aws:iam::{ADMIN}:user/bob"}
    iam.delete_user(UserName="bob")
    again = iam.create_user(UserName="bob")["User"]
    assert again["UserId"] != user["UserId"] and trusts(iam, "a") == {"AWS": user["UserId"]}
    with refused("MalformedPolicyDocument", 400) as told:
        iam.update_assume_role_policy(RoleName="a", PolicyDocument=trusting({"AWS": user["UserId"]}))
    assert told() == f'Invalid principal in policy: "AWS":"{user["UserId"]}"'


def test_roles_trust_roles_of_other_accounts(cloud: TestCloud) -> None:
    theirs = cloud.account()
    other = theirs.client("iam").create_role(RoleName="them", AssumeRolePolicyDocument=EC2)["Role"]
    iam = cloud.client("iam")
    wanted = {"AWS": [other["Arn"], theirs.id, f"arn:aws:sts::{theirs.id}:assumed-role/them/session"]}
    iam.create_role(RoleName="a", AssumeRolePolicyDocument=trusting(wanted))
    shown = trusts(iam, "a")["AWS"]
    assert shown == [other["Arn"], f"arn:aws:iam::{theirs.id}:root", f"arn:aws:sts::{theirs.id}:assumed-role/them/session"]
    theirs.client("iam").delete_role(RoleName="them")
    theirs.client("iam").create_role(RoleName="them", AssumeRolePolicyDocument=EC2)
    assert trusts(iam, "a")["AWS"][0] == other["RoleId"]
    assert iam.list_roles()["Roles"][0]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"][0] == other["RoleId"]


@pytest.mark.parametrize(
    "principal",
    [
        f"arn:aws:iam::{ADMIN}:user/nobody",
        f"arn:aws:iam::{ADMIN}:user/alice",
        f"arn:aws:iam::{ADMIN}:user/staff/ALICE",
        f"arn:aws:iam::{ADMIN}:user/staff/x/../alice",
        f"arn:aws:iam::{ADMIN}:user//staff/alice",
        f"arn:aws-cn:iam::{ADMIN}:user/staff/alice",
        f"arn:aws:iam::{ADMIN}:role/staff/alice",
        f"arn:aws:iam::{ADMIN}:group/staff",
        f"arn:aws:sts::{ADMIN}:assumed-role/nobody/session",
        "arn:aws:iam::000000000000:root",
        "000000000000",
        "AIDAAAAAAAAAAAAAAAAAA",
        "alice",
        f"arn:aws:iam::{ADMIN}:user/*",
        "",
    ],
)
def test_principals_that_are_not_there(sqlite_cloud: TestCloud, principal: str) -> None:
    iam = sqlite_cloud.client("iam")
    iam.create_user(UserName="alice", Path="/staff/")
    iam.create_group(GroupName="staff")
    with refused("MalformedPolicyDocument", 400) as told:
        iam.create_role(RoleName="a", AssumeRolePolicyDocument=trusting({"AWS": principal}))
    assert told() == f'Invalid principal in policy: "AWS":"{principal}"'
    assert iam.list_roles()["Roles"] == []


def test_everyone_and_providers_may_be_trusted(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    for number, (principal, action) in enumerate(
        [
            ("*", "sts:AssumeRole"),
            ({"AWS": "*"}, "sts:AssumeRole"),
            ({"Federated": f"arn:aws:iam::{ADMIN}:saml-provider/mine"}, "sts:AssumeRoleWithSAML"),
            ({"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]}, "sts:AssumeRole"),
        ]
    ):
        iam.create_role(RoleName=f"r{number}", AssumeRolePolicyDocument=trusting(principal, action))
        assert trusts(iam, f"r{number}") == principal


def test_only_principals_are_turned_into_ids(sqlite_cloud: TestCloud) -> None:
    """An ARN in a condition is text; numbers, white space and characters stay as they were written."""
    iam = sqlite_cloud.client("iam")
    arn = iam.create_user(UserName="alice")["User"]["Arn"]
    text = (
        '{"Version": "2012-10-17",\n "Statement": {"Effect": "Allow", "Principal": {"AWS": "ARN"}, "Action": "sts:AssumeRole",'
        ' "Condition": {"StringNotEquals": {"aws:PrincipalArn": "ARN", "aws:PrincipalTag/x": "é"},'
        ' "NumericLessThan": {"aws:MultiFactorAuthAge": 1e2}}}}'
    ).replace("ARN", arn)
    iam.create_role(RoleName="a", AssumeRolePolicyDocument=text)
    stored = sqlite_cloud.database
    with stored.reading() as tx:
        from mallee.identity.records import roles

        kept = roles.roles_in(tx, ADMIN)[0].trust_policy
    assert kept.count(arn) == 1 and '"AIDA' in kept
    iam.delete_user(UserName="alice")
    assert iam.get_role(RoleName="a")["Role"]["AssumeRolePolicyDocument"] == json.loads(kept)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("not json", "MalformedPolicyDocument"),
        ("{}", "MalformedPolicyDocument"),
        (json.dumps({"Version": "2012-10-17", "Statement": []}), "MalformedPolicyDocument"),
        (trusting({"AWS": ADMIN}, "s3:GetObject"), "MalformedPolicyDocument"),
        (trusting({"Service": "not a service"}), "MalformedPolicyDocument"),
        ("[" * 60_000, "LimitExceeded"),
        (trusting({"AWS": [ADMIN] * 200}), "LimitExceeded"),
        ("\u4e2d", "ValidationError"),
    ],
)
def test_bad_trust_policies(sqlite_cloud: TestCloud, document: str, code: str) -> None:
    iam = sqlite_cloud.client("iam")
    with refused(code):
        iam.create_role(RoleName="a", AssumeRolePolicyDocument=document)
    iam.create_role(RoleName="a", AssumeRolePolicyDocument=EC2)
    with refused(code):
        iam.update_assume_role_policy(RoleName="a", PolicyDocument=document)
    assert iam.get_role(RoleName="a")["Role"]["AssumeRolePolicyDocument"] == json.loads(EC2)


def test_white_space_counts_not(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    iam.create_role(RoleName="a", AssumeRolePolicyDocument=EC2.replace(" ", " " * 3000))
    with refused("LimitExceeded", 409) as told:
        iam.create_role(RoleName="b", AssumeRolePolicyDocument=trusting({"AWS": [ADMIN] * 200}))
    assert told() == "Cannot exceed quota for ACLSizePerRole: 2048"
    allow(sqlite_cloud, quotas.TRUST_POLICY_SIZE, 4096)
    iam.create_role(RoleName="b", AssumeRolePolicyDocument=trusting({"AWS": [ADMIN] * 200}))


# ------------------------------------------------------------------------------------------------------ service-linked roles


def test_a_service_linked_role_lives(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    made = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", Description="scales")["Role"]
    assert made["Arn"] == (f"arn:aws:iam::{ADMIN}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling")
    assert trusts(iam, made["RoleName"]) == {"Service": "autoscaling.amazonaws.com"}
    attached = iam.list_attached_role_policies(RoleName=made["RoleName"])["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == [
        "arn:aws:iam::aws:policy/aws-service-role/AutoScalingServiceRolePolicy"
    ]
    with refused("InvalidInput", 400) as told:
        iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")
    assert told() == (
        "Service role name AWSServiceRoleForAutoScaling has been taken in this account, please try a different suffix."
    )
    second = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix="second")["Role"]
    assert second["RoleName"] == "AWSServiceRoleForAutoScaling_second"
    task = iam.delete_service_linked_role(RoleName=made["RoleName"])["DeletionTaskId"]
    assert task.startswith("task/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling/")
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    with refused("NoSuchEntity", 404):
        iam.get_role(RoleName=made["RoleName"])
    with refused("NoSuchEntity", 404):
        iam.delete_service_linked_role(RoleName=made["RoleName"])
    with refused("NoSuchEntity", 404):
        cloud.account().client("iam").get_service_linked_role_deletion_status(DeletionTaskId=task)
    with refused("InvalidInput", 400):
        iam.get_service_linked_role_deletion_status(DeletionTaskId="task/nonsense")


def test_a_service_linked_role_that_is_needed_stays(cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linked, "_needed", {})
    linked.needed_by("spot.amazonaws.com", lambda tx, role_id: ["arn:aws:ec2:local-1:123456789012:fleet/fleet-1"])
    iam = cloud.client("iam")
    name = iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")["Role"]["RoleName"]
    task = iam.delete_service_linked_role(RoleName=name)["DeletionTaskId"]
    found = iam.get_service_linked_role_deletion_status(DeletionTaskId=task)
    assert found["Status"] == "FAILED"
    assert found["Reason"]["RoleUsageList"] == [
        {"Region": "local-1", "Resources": ["arn:aws:ec2:local-1:123456789012:fleet/fleet-1"]}
    ]
    assert iam.get_role(RoleName=name)["Role"]["RoleName"] == name


def test_others_do_not_change_it(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    name = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")["Role"]["RoleName"]
    iam.create_instance_profile(InstanceProfileName="p")
    for operation, parameters in (
        ("delete_role", {}),
        ("update_role", {"MaxSessionDuration": 7200}),
        ("update_assume_role_policy", {"PolicyDocument": EC2}),
        ("put_role_permissions_boundary", {"PermissionsBoundary": READ_ONLY}),
        ("delete_role_permissions_boundary", {}),
        ("attach_role_policy", {"PolicyArn": READ_ONLY}),
        ("detach_role_policy", {"PolicyArn": "arn:aws:iam::aws:policy/aws-service-role/AutoScalingServiceRolePolicy"}),
        ("put_role_policy", {"PolicyName": "x", "PolicyDocument": "{}"}),
        ("delete_role_policy", {"PolicyName": "x"}),
        ("add_role_to_instance_profile", {"InstanceProfileName": "p"}),
    ):
        with refused("UnmodifiableEntity", 400) as told:
            getattr(iam, operation)(RoleName=name, **parameters)
        assert told() == f"Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS"
    iam.update_role_description(RoleName=name, Description="mine")
    iam.tag_role(RoleName=name, Tags=[{"Key": "a", "Value": "b"}])


@pytest.mark.parametrize(
    "parameters",
    [
        {"AWSServiceName": "unknown.amazonaws.com"},
        {"AWSServiceName": "AutoScaling.amazonaws.com"},
        {"AWSServiceName": "spot.amazonaws.com", "CustomSuffix": "x"},
    ],
)
def test_service_linked_roles_that_are_none(sqlite_cloud: TestCloud, parameters: dict[str, str]) -> None:
    iam = sqlite_cloud.client("iam")
    with refused("InvalidInput", 400):
        iam.create_service_linked_role(**parameters)
    with refused("InvalidInput", 400):
        iam.create_role(RoleName="x", Path="/aws-service-role/spot.amazonaws.com/", AssumeRolePolicyDocument=EC2)
    iam.create_role(RoleName="x", AssumeRolePolicyDocument=EC2)
    with refused("InvalidInput", 400):
        iam.delete_service_linked_role(RoleName="x")
