"""GetAccountAuthorizationDetails: the whole account's users, groups, roles and policies."""

from __future__ import annotations

import json
from typing import Any

from tests.cloud.harness import TestCloud, refused
from tests.cloud.test_iam_inline import TRUST
from tests.cloud.test_iam_policies import ADMIN, READ, WRITE

KINDS = {"UserDetailList": "UserName", "GroupDetailList": "GroupName", "RoleDetailList": "RoleName", "Policies": "PolicyName"}


def furnish(iam: Any) -> str:
    own = iam.create_policy(PolicyName="own", PolicyDocument=READ, Description="d")["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=own, PolicyDocument=WRITE)
    for name in ("zoe", "Adam"):
        iam.create_user(UserName=name, Path="/p/")
    iam.create_group(GroupName="g")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST, Tags=[{"Key": "k", "Value": "v"}])
    iam.create_instance_profile(InstanceProfileName="profile")
    iam.add_role_to_instance_profile(InstanceProfileName="profile", RoleName="r")
    iam.add_user_to_group(GroupName="g", UserName="zoe")
    iam.tag_user(UserName="zoe", Tags=[{"Key": "k", "Value": "v"}])
    iam.put_user_policy(UserName="zoe", PolicyName="inline", PolicyDocument=READ)
    iam.put_group_policy(GroupName="g", PolicyName="inline", PolicyDocument=READ)
    iam.put_role_policy(RoleName="r", PolicyName="inline", PolicyDocument=READ)
    iam.put_user_permissions_boundary(UserName="zoe", PermissionsBoundary=own)
    iam.attach_user_policy(UserName="zoe", PolicyArn=own)
    iam.attach_group_policy(GroupName="g", PolicyArn=ADMIN)
    iam.attach_role_policy(RoleName="r", PolicyArn=ADMIN)
    return str(own)


def names(found: dict[str, Any]) -> list[str]:
    return [each[name] for member, name in KINDS.items() for each in found[member]]


def test_everything_is_there(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    own = furnish(iam)
    found = iam.get_account_authorization_details()
    assert names(found) == ["Adam", "zoe", "g", "r", "own", "AdministratorAccess"]
    admin = {"PolicyName": "AdministratorAccess", "PolicyArn": ADMIN}
    inline = [{"PolicyName": "inline", "PolicyDocument": json.loads(READ)}]
    adam, zoe = found["UserDetailList"]
    assert (adam["GroupList"], adam["Tags"], adam["AttachedManagedPolicies"]) == ([], [], [])
    assert zoe["Path"] == "/p/" and zoe["UserId"].startswith("AIDA") and zoe["GroupList"] == ["g"]
    assert zoe["UserPolicyList"] == inline and zoe["Tags"] == [{"Key": "k", "Value": "v"}]
    assert zoe["AttachedManagedPolicies"] == [{"PolicyName": "own", "PolicyArn": own}]
    assert zoe["PermissionsBoundary"] == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": own}
    group = found["GroupDetailList"][0]
    assert group["GroupPolicyList"] == inline and group["AttachedManagedPolicies"] == [admin]
    role = found["RoleDetailList"][0]
    assert role["RolePolicyList"] == inline and role["AttachedManagedPolicies"] == [admin] and role["Tags"] == zoe["Tags"]
    assert role["AssumeRolePolicyDocument"] == json.loads(TRUST) and role["RoleLastUsed"] == {}
    profile = role["InstanceProfileList"][0]
    assert profile["InstanceProfileName"] == "profile" and profile["Roles"][0]["RoleName"] == "r"
    policy, aws = found["Policies"]
    assert (policy["AttachmentCount"], policy["PermissionsBoundaryUsageCount"], policy["Description"]) == (1, 1, "d")
    versions = [(each["VersionId"], each["IsDefaultVersion"], each["Document"]) for each in policy["PolicyVersionList"]]
    assert versions == [("v2", False, json.loads(WRITE)), ("v1", True, json.loads(READ))]
    assert aws["AttachmentCount"] == 2 and len(aws["PolicyVersionList"]) == 1


def test_only_what_is_asked_for(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    furnish(iam)
    for kinds, expected in (
        (["User"], ["Adam", "zoe"]),
        (["Role", "Group"], ["g", "r"]),
        (["LocalManagedPolicy"], ["own"]),
        (["AWSManagedPolicy"], ["AdministratorAccess"]),
    ):
        assert names(iam.get_account_authorization_details(Filter=kinds)) == expected
    with refused("ValidationError", 400):
        cloud.client("iam", validate=False).get_account_authorization_details(Filter=["Nothing"])


def test_pages_go_across_kinds(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    furnish(iam)
    for size in (1, 2, 4, 5, 6, 100):
        pages = iam.get_paginator("get_account_authorization_details").paginate(PaginationConfig={"PageSize": size})
        found = [names(page) for page in pages]
        assert [name for each in found for name in each] == ["Adam", "zoe", "g", "r", "own", "AdministratorAccess"]
        assert all(len(each) == size for each in found[:-1])
    first = iam.get_account_authorization_details(MaxItems=1)
    iam.create_user(UserName="aaron")
    iam.create_user(UserName="bert")
    assert names(iam.get_account_authorization_details(Marker=first["Marker"], MaxItems=2)) == ["bert", "zoe"]


def test_nothing_of_another_account(cloud: TestCloud) -> None:
    furnish(cloud.client("iam"))
    assert names(cloud.account().client("iam").get_account_authorization_details()) == []
