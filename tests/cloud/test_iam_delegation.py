"""Who may manage users, groups, roles and profiles: delegation by path, boundary, tag and service, and the ways around it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cloud.harness import ADMIN, Account, TestCloud, refused
from tests.cloud.iam import EC2, READ_ONLY, trusting

USERS = f"arn:aws:iam::{ADMIN}:user"


def delegate(cloud: TestCloud, *statements: dict[str, Any]) -> Account:
    """A user who may do what the statements say."""
    somebody = cloud.user("delegate")
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement} for statement in statements]}
    cloud.client("iam").put_user_policy(UserName="delegate", PolicyName="p", PolicyDocument=json.dumps(document))
    return somebody


def test_a_path_is_a_border(cloud: TestCloud) -> None:
    """However the path and the name are written, the ARN is what it is."""
    root = cloud.client("iam")
    root.create_user(UserName="Boss", Path="/admin/")
    own = delegate(cloud, {"Action": "iam:*User", "Resource": f"{USERS}/dev/*"}).client("iam")
    own.create_user(UserName="bob", Path="/dev/")
    own.create_user(UserName="ann", Path="/dev/team/")
    for path in ("/", "/Dev/", "/devil/", "/admin/dev/", "/x/../dev/"):
        with refused("AccessDenied", 403):
            own.create_user(UserName="eve", Path=path)
    with refused("AccessDenied", 403):
        own.create_user(UserName="dev")
    for name in ("Boss", "BOSS", "boss"):
        with refused("AccessDenied", 403):
            own.delete_user(UserName=name)
    own.delete_user(UserName="ANN")
    assert [user["UserName"] for user in root.list_users(PathPrefix="/dev/")["Users"]] == ["bob"]


def test_a_rename_does_not_climb(cloud: TestCloud) -> None:
    root = cloud.client("iam")
    root.create_group(GroupName="crew", Path="/dev/")
    own = delegate(
        cloud,
        {"Action": ["iam:CreateUser", "iam:UpdateUser"], "Resource": f"{USERS}/dev/*"},
        {"Action": "iam:UpdateGroup", "Resource": f"arn:aws:iam::{ADMIN}:group/dev/*"},
    ).client("iam")
    own.create_user(UserName="bob", Path="/dev/")
    with refused("AccessDenied", 403):
        own.update_user(UserName="bob", NewPath="/admin/")
    with refused("AccessDenied", 403):
        own.update_group(GroupName="crew", NewPath="/")
    own.update_user(UserName="bob", NewUserName="rob", NewPath="/dev/b/")
    own.update_group(GroupName="crew", NewGroupName="staff")
    assert root.get_user(UserName="rob")["User"]["Path"] == "/dev/b/"


def test_only_with_the_boundary(cloud: TestCloud) -> None:
    """The pattern of AWS's guide: users may be made only within a boundary, and keep it."""
    within = {"StringEquals": {"iam:PermissionsBoundary": READ_ONLY}}
    other = "arn:aws:iam::aws:policy/AdministratorAccess"
    own = delegate(
        cloud,
        {"Action": ["iam:CreateUser", "iam:CreateRole"], "Resource": "*", "Condition": within},
        {"Action": ["iam:PutUserPermissionsBoundary", "iam:PutRolePermissionsBoundary"], "Resource": "*", "Condition": within},
    ).client("iam")
    for parameters in ({}, {"PermissionsBoundary": other}):
        with refused("AccessDenied", 403):
            own.create_user(UserName="bob", **parameters)
        with refused("AccessDenied", 403):
            own.create_role(RoleName="bob", AssumeRolePolicyDocument=EC2, **parameters)
    own.create_user(UserName="bob", PermissionsBoundary=READ_ONLY)
    own.create_role(RoleName="bob", AssumeRolePolicyDocument=EC2, PermissionsBoundary=READ_ONLY)
    with refused("AccessDenied", 403):
        own.put_user_permissions_boundary(UserName="bob", PermissionsBoundary=other)
    with refused("AccessDenied", 403):
        own.put_role_permissions_boundary(RoleName="bob", PermissionsBoundary=other)
    own.put_user_permissions_boundary(UserName="bob", PermissionsBoundary=READ_ONLY)
    with refused("AccessDenied", 403):
        own.delete_user_permissions_boundary(UserName="bob")


def test_the_boundary_that_is_there_protects(cloud: TestCloud) -> None:
    root = cloud.client("iam")
    for name, more in (("bound", {"PermissionsBoundary": READ_ONLY}), ("free", {})):
        root.create_user(UserName=name, **more)
        root.create_role(RoleName=name, AssumeRolePolicyDocument=EC2, **more)
    bound = {"StringNotEquals": {"iam:PermissionsBoundary": READ_ONLY}}
    own = delegate(cloud, {"Action": ["iam:DeleteUserPermissionsBoundary", "iam:DeleteRolePermissionsBoundary"],
                           "Resource": "*", "Condition": bound}).client("iam")  # fmt: skip
    own.delete_user_permissions_boundary(UserName="free")
    own.delete_role_permissions_boundary(RoleName="free")
    with refused("AccessDenied", 403):
        own.delete_user_permissions_boundary(UserName="bound")
    with refused("AccessDenied", 403):
        own.delete_role_permissions_boundary(RoleName="bound")


def test_a_role_in_a_profile_is_passed(cloud: TestCloud) -> None:
    root = cloud.client("iam")
    root.create_instance_profile(InstanceProfileName="p")
    for name in ("weak", "strong"):
        root.create_role(RoleName=name, AssumeRolePolicyDocument=EC2)
    arn = f"arn:aws:iam::{ADMIN}:role/weak"
    to_ec2 = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    own = delegate(
        cloud,
        {"Action": "iam:AddRoleToInstanceProfile", "Resource": "*"},
        {"Action": "iam:PassRole", "Resource": arn, "Condition": to_ec2},
    ).client("iam")
    with refused("AccessDenied", 403) as told:
        own.add_role_to_instance_profile(InstanceProfileName="p", RoleName="STRONG")
    assert "iam:PassRole on resource: " in told()
    own.add_role_to_instance_profile(InstanceProfileName="p", RoleName="weak")


def test_whoever_may_not_pass_puts_no_role_into_a_profile(cloud: TestCloud) -> None:
    root = cloud.client("iam")
    root.create_instance_profile(InstanceProfileName="p")
    root.create_role(RoleName="a", AssumeRolePolicyDocument=EC2)
    elsewhere = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    own = delegate(
        cloud,
        {"Action": "iam:*InstanceProfile*", "Resource": "*"},
        {"Action": "iam:PassRole", "Resource": "*", "Condition": elsewhere},
    ).client("iam")
    with refused("AccessDenied", 403):
        own.add_role_to_instance_profile(InstanceProfileName="p", RoleName="a")
    assert root.get_instance_profile(InstanceProfileName="p")["InstanceProfile"]["Roles"] == []


def test_tags_are_conditions(cloud: TestCloud) -> None:
    root = cloud.client("iam")
    for name, team in (("ours", "blue"), ("theirs", "red")):
        root.create_user(UserName=name, Tags=[{"Key": "Team", "Value": team}])
        root.create_role(RoleName=name, AssumeRolePolicyDocument=EC2, Tags=[{"Key": "Team", "Value": team}])
    own = delegate(
        cloud,
        {"Action": ["iam:DeleteUser", "iam:DeleteRole"], "Resource": "*",
         "Condition": {"StringEquals": {"iam:ResourceTag/team": "blue"}}},
        {"Action": "iam:CreateUser", "Resource": "*"},
        {"Action": "iam:TagUser", "Resource": "*", "Condition": {"StringEquals": {"aws:RequestTag/Team": "blue"},
                                                                "ForAllValues:StringEquals": {"aws:TagKeys": ["Team"]}}},
        {"Action": "iam:UntagUser", "Resource": "*",
         "Condition": {"ForAllValues:StringNotEquals": {"aws:TagKeys": "Team"}}},
    ).client("iam")  # fmt: skip
    with refused("AccessDenied", 403):
        own.delete_user(UserName="theirs")
    with refused("AccessDenied", 403):
        own.delete_role(RoleName="theirs")
    own.delete_user(UserName="ours")
    own.delete_role(RoleName="ours")
    own.create_user(UserName="plain")
    own.create_user(UserName="new", Tags=[{"Key": "Team", "Value": "blue"}])
    for tags in ([{"Key": "Team", "Value": "red"}], [{"Key": "Team", "Value": "blue"}, {"Key": "Other", "Value": ""}]):
        with refused("AccessDenied", 403):
            own.create_user(UserName="not-made", Tags=tags)
        with refused("AccessDenied", 403):
            own.tag_user(UserName="plain", Tags=tags)
    own.untag_user(UserName="theirs", TagKeys=["Other"])
    with refused("AccessDenied", 403):
        own.untag_user(UserName="theirs", TagKeys=["Team"])


def test_users_see_to_themselves(cloud: TestCloud) -> None:
    root = cloud.client("iam")
    root.create_user(UserName="other")
    somebody = delegate(cloud, {"Action": "iam:GetUser", "Resource": USERS + "/${aws:username}"})
    own = somebody.client("iam")
    assert own.get_user()["User"]["UserName"] == own.get_user(UserName="Delegate")["User"]["UserName"] == "delegate"
    with refused("AccessDenied", 403):
        own.get_user(UserName="other")
    root.update_user(UserName="delegate", NewUserName="renamed")
    assert own.get_user()["User"]["UserName"] == "renamed"


def test_a_new_name_is_not_in_old_policies(cloud: TestCloud) -> None:
    """A policy that names an ARN speaks of whoever bears it: not of a user any more who has got another."""
    root = cloud.client("iam")
    root.create_user(UserName="secret")
    own = delegate(
        cloud,
        {"Action": "iam:GetUser", "Resource": "*"},
        {"Effect": "Deny", "Action": "iam:GetUser", "Resource": f"{USERS}/secret"},
    ).client("iam")
    for name in ("secret", "SECRET"):
        with refused("AccessDenied", 403):
            own.get_user(UserName=name)
    root.update_user(UserName="secret", NewUserName="open")
    assert own.get_user(UserName="open")["User"]["UserName"] == "open"


@pytest.mark.parametrize("service", ["autoscaling.amazonaws.com", "spot.amazonaws.com"])
def test_service_linked_roles_by_service(sqlite_cloud: TestCloud, service: str) -> None:
    for_scaling = {"StringEquals": {"iam:AWSServiceName": "autoscaling.amazonaws.com"}}
    own = delegate(
        sqlite_cloud,
        {"Action": "iam:CreateServiceLinkedRole", "Resource": f"arn:aws:iam::{ADMIN}:role/aws-service-role/*",
         "Condition": for_scaling},
    ).client("iam")  # fmt: skip
    if service == "autoscaling.amazonaws.com":
        own.create_service_linked_role(AWSServiceName=service)
    else:
        with refused("AccessDenied", 403):
            own.create_service_linked_role(AWSServiceName=service)


def test_a_member_loses_what_its_group_gave(cloud: TestCloud) -> None:
    root = cloud.client("iam")
    somebody = cloud.user("member")
    root.create_group(GroupName="readers")
    root.attach_group_policy(GroupName="readers", PolicyArn="arn:aws:iam::aws:policy/IAMReadOnlyAccess")
    own = somebody.client("iam")
    with refused("AccessDenied", 403):
        own.list_users()
    root.add_user_to_group(GroupName="readers", UserName="member")
    assert own.list_users()["Users"]
    root.remove_user_from_group(GroupName="readers", UserName="member")
    with refused("AccessDenied", 403):
        own.list_users()


def test_trust_is_not_inherited_by_name(cloud: TestCloud) -> None:
    """A role that trusts a user is not assumed by another who was given the user's name."""
    iam = cloud.client("iam")
    first = cloud.user("alice")
    arn = iam.get_user(UserName="alice")["User"]["Arn"]
    role = iam.create_role(RoleName="a", AssumeRolePolicyDocument=trusting({"AWS": arn}))["Role"]["Arn"]
    first.client("sts").assume_role(RoleArn=role, RoleSessionName="session")
    iam.update_user(UserName="alice", NewUserName="alice2")
    first.client("sts").assume_role(RoleArn=role, RoleSessionName="session")
    second = cloud.user("alice")
    with refused("AccessDenied", 403):
        second.client("sts").assume_role(RoleArn=role, RoleSessionName="session")
    iam.delete_access_key(UserName="alice2", AccessKeyId=first.credentials.access_key_id)
    iam.delete_user(UserName="alice2")
    with refused("AccessDenied", 403):
        second.client("sts").assume_role(RoleArn=role, RoleSessionName="session")
