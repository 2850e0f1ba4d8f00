"""Inline policies, attachments, and whom a policy is attached to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cloud.harness import TestCloud, refused
from tests.cloud.test_iam_policies import ADMIN, READ, WRITE, document

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)
KINDS = ("User", "Role", "Group")


def holder(iam: Any, kind: str, name: str = "It", path: str = "/") -> dict[str, str]:
    """A new user, role or group, as other operations name it."""
    more = {"AssumeRolePolicyDocument": TRUST} if kind == "Role" else {}
    getattr(iam, f"create_{kind.lower()}")(**{f"{kind}Name": name}, Path=path, **more)
    return {f"{kind}Name": name}


@pytest.mark.parametrize("kind", KINDS)
def test_inline_policies(cloud: TestCloud, kind: str) -> None:
    iam, word = cloud.client("iam"), kind.lower()
    named = holder(iam, kind)
    put, get = getattr(iam, f"put_{word}_policy"), getattr(iam, f"get_{word}_policy")
    listed, delete = getattr(iam, f"list_{word}_policies"), getattr(iam, f"delete_{word}_policy")
    put(**named, PolicyName="b", PolicyDocument=READ)
    put(**named, PolicyName="a", PolicyDocument=READ)
    put(**named, PolicyName="B", PolicyDocument=READ)
    put(**named, PolicyName="b", PolicyDocument=WRITE)
    found = get(**named, PolicyName="b")
    found.pop("ResponseMetadata")
    assert found == named | {"PolicyName": "b", "PolicyDocument": json.loads(WRITE)}
    assert listed(**named)["PolicyNames"] == ["B", "a", "b"]
    first = listed(**named, MaxItems=2)
    assert first["IsTruncated"] and listed(**named, MaxItems=2, Marker=first["Marker"])["PolicyNames"] == ["b"]
    delete(**named, PolicyName="b")
    for call in (get, delete):
        with refused("NoSuchEntity", 404) as told:
            call(**named, PolicyName="b")
        assert told() == f"The {word} policy with name b cannot be found."
    with refused("MalformedPolicyDocument", 400):
        put(**named, PolicyName="bad", PolicyDocument="{}")
    with refused("NoSuchEntity", 404) as told:
        put(**{f"{kind}Name": "nobody"}, PolicyName="x", PolicyDocument=READ)
    assert told() == f"The {word} with name nobody cannot be found."
    with refused("DeleteConflict", 409):
        getattr(iam, f"delete_{word}")(**named)


@pytest.mark.parametrize(("kind", "most"), [("User", 2048), ("Role", 10_240), ("Group", 5120)])
def test_inline_policies_have_a_size_together(sqlite_cloud: TestCloud, kind: str, most: int) -> None:
    iam, word = sqlite_cloud.client("iam"), kind.lower()
    named, put = holder(iam, kind), getattr(sqlite_cloud.client("iam"), f"put_{word}_policy")
    half = document("ec2:" + "a" * (most // 2 - 100))
    put(**named, PolicyName="one", PolicyDocument=half + " " * 20_000)
    put(**named, PolicyName="two", PolicyDocument=half)
    put(**named, PolicyName="two", PolicyDocument=half)
    with refused("LimitExceeded", 409) as told:
        put(**named, PolicyName="three", PolicyDocument=document("ec2:" + "a" * 300))
    assert told() == f"Maximum policy size of {most} bytes exceeded for {word} It"


@pytest.mark.parametrize("kind", KINDS)
def test_attachments(cloud: TestCloud, kind: str) -> None:
    iam, word = cloud.client("iam"), kind.lower()
    named = holder(iam, kind)
    attach, detach = getattr(iam, f"attach_{word}_policy"), getattr(iam, f"detach_{word}_policy")
    listed = getattr(iam, f"list_attached_{word}_policies")
    own = iam.create_policy(PolicyName="own", Path="/team/", PolicyDocument=READ)["Policy"]["Arn"]
    attach(**named, PolicyArn=own)
    attach(**named, PolicyArn=own)
    attach(**named, PolicyArn=ADMIN)
    assert listed(**named)["AttachedPolicies"] == [
        {"PolicyName": "AdministratorAccess", "PolicyArn": ADMIN}, {"PolicyName": "own", "PolicyArn": own},
    ]  # fmt: skip
    assert [each["PolicyArn"] for each in listed(**named, PathPrefix="/team/")["AttachedPolicies"]] == [own]
    assert iam.get_policy(PolicyArn=own)["Policy"]["AttachmentCount"] == 1
    with refused("NoSuchEntity", 404) as told:
        attach(**named, PolicyArn="arn:aws:iam::aws:policy/NoSuchPolicy")
    assert told() == "Policy arn:aws:iam::aws:policy/NoSuchPolicy does not exist or is not attachable."
    linked = "arn:aws:iam::aws:policy/aws-service-role/AutoScalingServiceRolePolicy"
    with refused("PolicyNotAttachable", 400) as told:
        attach(**named, PolicyArn=linked)
    assert told() == f"Cannot attach a Service Role Policy to a Customer {kind}."
    detach(**named, PolicyArn=ADMIN)
    with refused("NoSuchEntity", 404) as told:
        detach(**named, PolicyArn=ADMIN)
    assert told() == f"Policy {ADMIN} was not found."
    with refused("DeleteConflict", 409):
        iam.delete_policy(PolicyArn=own)
    with refused("DeleteConflict", 409):
        getattr(iam, f"delete_{word}")(**named)
    detach(**named, PolicyArn=own)
    getattr(iam, f"delete_{word}")(**named)
    iam.delete_policy(PolicyArn=own)


@pytest.mark.parametrize("kind", KINDS)
def test_ten_policies_may_be_attached(sqlite_cloud: TestCloud, kind: str) -> None:
    iam, word = sqlite_cloud.client("iam"), kind.lower()
    named, attach = holder(iam, kind), getattr(iam, f"attach_{word}_policy")
    arns = [each["Arn"] for each in iam.list_policies(Scope="AWS")["Policies"] if "/aws-service-role/" not in each["Arn"]]
    for arn in arns[:10]:
        attach(**named, PolicyArn=arn)
    with refused("LimitExceeded", 409) as told:
        attach(**named, PolicyArn=arns[10])
    assert told() == f"Cannot exceed quota for Policies{'Per' + kind}: 10"
    attach(**named, PolicyArn=arns[0])


def test_whom_a_policy_is_attached_to(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    arn = iam.create_policy(PolicyName="p", PolicyDocument=READ)["Policy"]["Arn"]
    for kind in KINDS:
        for name, path in (("b", "/x/"), ("A", "/")):
            getattr(iam, f"attach_{kind.lower()}_policy")(**holder(iam, kind, name, path), PolicyArn=arn)
    bounded = holder(iam, "User", "bounded")
    iam.put_user_permissions_boundary(**bounded, PermissionsBoundary=arn)
    found = iam.list_entities_for_policy(PolicyArn=arn)
    assert [each["UserName"] for each in found["PolicyUsers"]] == ["A", "b", "bounded"]
    assert [each["RoleName"] for each in found["PolicyRoles"]] == ["A", "b"]
    assert [each["GroupName"] for each in found["PolicyGroups"]] == ["A", "b"]
    assert found["PolicyUsers"][0]["UserId"].startswith("AIDA") and not found["IsTruncated"]

    def named(found: dict[str, Any]) -> list[str]:
        return [each[f"{kind}Name"] for kind in ("Group", "User", "Role") for each in found[f"Policy{kind}s"]]

    assert named(iam.list_entities_for_policy(PolicyArn=arn, EntityFilter="Role", PathPrefix="/x/")) == ["b"]
    assert named(iam.list_entities_for_policy(PolicyArn=arn, PolicyUsageFilter="PermissionsBoundary")) == ["bounded"]
    assert "bounded" not in named(iam.list_entities_for_policy(PolicyArn=arn, PolicyUsageFilter="PermissionsPolicy"))
    pages = list(iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=arn, PaginationConfig={"PageSize": 3}))
    assert [len(named(page)) for page in pages] == [3, 3, 1]
    assert [name for page in pages for name in named(page)] == ["A", "b", "A", "b", "bounded", "A", "b"]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["PermissionsBoundaryUsageCount"] == 1


# -------------------------------------------------------------------------------------------------------- what they are good for


def test_a_change_counts_at_the_next_call(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    theirs = cloud.user("somebody").client("iam")
    arn = iam.create_policy(PolicyName="p", PolicyDocument=document("iam:ListUsers"))["Policy"]["Arn"]
    iam.create_group(GroupName="g")
    iam.add_user_to_group(GroupName="g", UserName="somebody")

    def may() -> bool:
        try:
            theirs.list_users()
        except theirs.exceptions.ClientError:
            return False
        return True

    assert not may()
    iam.attach_user_policy(UserName="somebody", PolicyArn=arn)
    assert may()
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=READ, SetAsDefault=True)
    assert not may()
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    assert may()
    iam.detach_user_policy(UserName="somebody", PolicyArn=arn)
    assert not may()
    iam.attach_group_policy(GroupName="g", PolicyArn=arn)
    assert may()
    iam.put_group_policy(GroupName="g", PolicyName="no", PolicyDocument=document("iam:*", effect="Deny"))
    assert not may()
    iam.delete_group_policy(GroupName="g", PolicyName="no")
    assert may()
    iam.remove_user_from_group(GroupName="g", UserName="somebody")
    assert not may()
    iam.put_user_policy(UserName="somebody", PolicyName="p", PolicyDocument=document("iam:List*"))
    assert may()
    iam.delete_user_policy(UserName="somebody", PolicyName="p")
    assert not may()


def test_what_may_be_attached_can_be_limited(sqlite_cloud: TestCloud) -> None:
    """By iam:PolicyARN; and to users that keep their boundary, by iam:PermissionsBoundary: else whoever may attach is an
    administrator."""
    iam = sqlite_cloud.client("iam")
    helper = sqlite_cloud.user("helper").client("iam")
    own = iam.create_policy(PolicyName="own", PolicyDocument=READ)["Policy"]["Arn"]
    condition = {"ArnEquals": {"iam:PolicyARN": own}}
    iam.put_user_policy(
        UserName="helper",
        PolicyName="p",
        PolicyDocument=document("iam:AttachUserPolicy", "iam:DetachUserPolicy", Condition=condition),
    )
    helper.attach_user_policy(UserName="helper", PolicyArn=own)
    for arn in (ADMIN, own.replace("own", "Own")):
        with refused("AccessDenied", 403):
            helper.attach_user_policy(UserName="helper", PolicyArn=arn)
    helper.detach_user_policy(UserName="helper", PolicyArn=own)
    condition = {"StringEquals": {"iam:PermissionsBoundary": own}}
    iam.put_user_policy(UserName="helper", PolicyName="p", PolicyDocument=document("iam:PutUserPolicy", Condition=condition))
    for name in ("free", "bounded"):
        iam.create_user(UserName=name)
    iam.put_user_permissions_boundary(UserName="bounded", PermissionsBoundary=own)
    helper.put_user_policy(UserName="bounded", PolicyName="p", PolicyDocument=document("*"))
    with refused("AccessDenied", 403):
        helper.put_user_policy(UserName="free", PolicyName="p", PolicyDocument=document("*"))


def test_who_may_only_see_one_user_sees_no_other(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    theirs = sqlite_cloud.user("somebody").client("iam")
    own = f"arn:aws:iam::{sqlite_cloud.admin.id}:user/${{aws:username}}"
    iam.put_user_policy(UserName="somebody", PolicyName="self", PolicyDocument=document("iam:*", resource=own))
    iam.create_user(UserName="somebody2")
    iam.create_user(UserName="Other", Path="/user/somebody/")
    assert theirs.list_user_policies(UserName="SomeBody")["PolicyNames"] == ["self"]
    for name in ("somebody2", "Other", "nobody"):
        with refused("AccessDenied", 403):
            theirs.get_user_policy(UserName=name, PolicyName="self")


def test_another_accounts_users_have_no_policies_here(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    foreign = cloud.account("other")
    for kind in KINDS:
        named = holder(foreign.client("iam"), kind, "Theirs")
        word = kind.lower()
        for name, given in (
            (f"put_{word}_policy", {"PolicyName": "p", "PolicyDocument": WRITE}),
            (f"get_{word}_policy", {"PolicyName": "p"}),
            (f"list_{word}_policies", {}),
            (f"attach_{word}_policy", {"PolicyArn": ADMIN}),
            (f"detach_{word}_policy", {"PolicyArn": ADMIN}),
            (f"list_attached_{word}_policies", {}),
        ):
            with refused("NoSuchEntity", 404) as told:
                getattr(iam, name)(**named, **given)
            assert told() == f"The {word} with name Theirs cannot be found."


def test_roles_of_services_are_theirs_to_change(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    name = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")["Role"]["RoleName"]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert [each["PolicyName"] for each in attached] == ["AutoScalingServiceRolePolicy"]
    for call, given in (
        (iam.attach_role_policy, {"PolicyArn": ADMIN}),
        (iam.detach_role_policy, {"PolicyArn": attached[0]["PolicyArn"]}),
        (iam.put_role_policy, {"PolicyName": "p", "PolicyDocument": WRITE}),
        (iam.delete_role_policy, {"PolicyName": "p"}),
    ):
        with refused("UnmodifiableEntity", 400):
            call(RoleName=name, **given)


def test_two_at_once(cloud: TestCloud) -> None:
    """The same change twice at a time, a policy attached while it is deleted, and one place that two want."""
    from concurrent.futures import ThreadPoolExecutor

    iam = cloud.client("iam")
    arns = [iam.create_policy(PolicyName=f"p{n}", PolicyDocument=READ)["Policy"]["Arn"] for n in range(12)]
    named = holder(iam, "User")

    def tried(call: Any, **given: Any) -> str:
        try:
            call(**given)
        except iam.exceptions.ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    with ThreadPoolExecutor(6) as pool:
        same = [pool.submit(tried, iam.attach_user_policy, **named, PolicyArn=arns[0]) for _ in range(6)]
        assert [each.result() for each in same] == [""] * 6
        puts = [pool.submit(tried, iam.put_user_policy, **named, PolicyName="p", PolicyDocument=READ) for _ in range(6)]
        assert [each.result() for each in puts] == [""] * 6
        made = [pool.submit(tried, iam.create_policy, PolicyName="new", PolicyDocument=READ) for _ in range(6)]
        assert sorted(each.result() for each in made) == ["", *["EntityAlreadyExists"] * 5]
        for arn in arns[1:4]:
            attach = pool.submit(tried, iam.attach_user_policy, **named, PolicyArn=arn)
            delete = pool.submit(tried, iam.delete_policy, PolicyArn=arn)
            assert {attach.result(), delete.result()} in ({"", "DeleteConflict"}, {"", "NoSuchEntity"})
        has = {each["PolicyArn"] for each in iam.list_attached_user_policies(**named)["AttachedPolicies"]}
        assert has <= {each["Arn"] for each in iam.list_policies(Scope="Local")["Policies"]}, "nothing is attached that is gone"
        rest = [pool.submit(tried, iam.attach_user_policy, **named, PolicyArn=arn) for arn in arns[4:]]
        results = [each.result() for each in rest]
    attached = iam.list_attached_user_policies(**named)["AttachedPolicies"]
    assert len(attached) == min(10, len(has) + 8) and results.count("LimitExceeded") == max(0, len(has) + 8 - 10)
