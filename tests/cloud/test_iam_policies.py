"""Managed policies: made, versioned, tagged, listed; AWS's own beside them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mallee.identity import managed
from mallee.identity.rules.policy import Kind, compile_policy
from tests.cloud.harness import TestCloud, refused

ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"


def document(*actions: str, resource: str = "*", effect: str = "Allow", **more: Any) -> str:
    statement = {"Effect": effect, "Action": list(actions), "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


READ = document("ec2:Describe*")
WRITE = document("ec2:*")


def test_a_policy_is_made_and_described(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    made = iam.create_policy(
        PolicyName="Readers", Path="/team/a/", PolicyDocument=READ, Description="reads", Tags=[{"Key": "Team", "Value": "a"}]
    )["Policy"]
    assert made["Arn"] == f"arn:aws:iam::{cloud.admin.id}:policy/team/a/Readers" and made["PolicyId"].startswith("ANPA")
    assert (made["DefaultVersionId"], made["AttachmentCount"], made["IsAttachable"]) == ("v1", 0, True)
    assert made["Tags"] == [{"Key": "Team", "Value": "a"}] and "Description" not in made
    found = iam.get_policy(PolicyArn=made["Arn"])["Policy"]
    assert found == made | {"Description": "reads"}
    assert found["CreateDate"] == found["UpdateDate"]
    version = iam.get_policy_version(PolicyArn=made["Arn"], VersionId="v1")["PolicyVersion"]
    assert version["IsDefaultVersion"] and version["Document"] == json.loads(READ)
    with refused("EntityAlreadyExists", 409) as told:
        iam.create_policy(PolicyName="readers", PolicyDocument=READ)
    assert told() == "A policy called readers already exists. Duplicate names are not allowed."
    iam.delete_policy(PolicyArn=made["Arn"])
    with refused("NoSuchEntity", 404) as told:
        iam.get_policy(PolicyArn=made["Arn"])
    assert told() == f"Policy {made['Arn']} was not found."


def test_documents_come_percent_encoded(sqlite_cloud: TestCloud) -> None:
    """As RFC 3986 has it: boto3 decodes them, others must be able to."""
    iam = sqlite_cloud.client("iam")
    arn = iam.create_policy(PolicyName="p", PolicyDocument=document("s3:Get*", resource="arn:aws:s3:::a+b/*"))["Policy"]["Arn"]
    seen: list[bytes] = []
    iam.meta.events.register("before-parse.iam.GetPolicyVersion", lambda response_dict, **_: seen.append(response_dict["body"]))
    iam.get_policy_version(PolicyArn=arn, VersionId="v1")
    assert b"%7B%22Version%22%3A%20%222012-10-17%22" in seen[0] and b"a%2Bb%2F%2A" in seen[0]


def test_what_is_no_policy_is_refused(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    for text in ("{", "[]", "null", '{"Version":"2012-10-17"}', document("nothing"), document("ec2:*", Principal="*")):
        with refused("MalformedPolicyDocument", 400):
            iam.create_policy(PolicyName="bad", PolicyDocument=text)
    with refused("LimitExceeded", 409) as told:
        iam.create_policy(PolicyName="big", PolicyDocument=document(*(f"ec2:Describe{n}" for n in range(400))))
    assert told() == "Cannot exceed quota for PolicySize: 6144"
    padded = READ.replace("{", "{" + " " * 7000, 1)
    assert iam.create_policy(PolicyName="padded", PolicyDocument=padded)["Policy"]["PolicyName"] == "padded"
    assert [each["PolicyName"] for each in iam.list_policies(Scope="Local")["Policies"]] == ["padded"]


def test_a_bomb_is_refused_quickly(sqlite_cloud: TestCloud) -> None:
    import time

    iam = sqlite_cloud.client("iam")
    deep = '{"Version":"2012-10-17","Statement":' + "[" * 60_000 + "]" * 60_000 + "}"
    stars = document("ec2:" + "*a" * 3100)
    began = time.perf_counter()
    with refused("MalformedPolicyDocument", 400):
        iam.create_policy(PolicyName="deep", PolicyDocument=deep)
    with refused("LimitExceeded", 409):
        iam.create_policy(PolicyName="stars", PolicyDocument=stars)
    assert time.perf_counter() - began < 5


def test_versions(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    arn = iam.create_policy(PolicyName="p", PolicyDocument=READ)["Policy"]["Arn"]
    cloud.clock.advance(60)
    second = iam.create_policy_version(PolicyArn=arn, PolicyDocument=WRITE)["PolicyVersion"]
    assert (second["VersionId"], second["IsDefaultVersion"]) == ("v2", False)
    found = iam.get_policy(PolicyArn=arn)["Policy"]
    assert found["DefaultVersionId"] == "v1" and found["UpdateDate"] == second["CreateDate"] > found["CreateDate"]
    with refused("DeleteConflict", 409) as told:
        iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    assert told() == "Cannot delete the default version of a policy."
    with refused("DeleteConflict", 409):
        iam.delete_policy(PolicyArn=arn)
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    third = iam.create_policy_version(PolicyArn=arn, PolicyDocument=READ, SetAsDefault=True)["PolicyVersion"]
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy_version(PolicyArn=arn, VersionId=third["VersionId"])
    fourth = iam.create_policy_version(PolicyArn=arn, PolicyDocument=READ)["PolicyVersion"]
    assert fourth["VersionId"] == "v4", "the number of a version that was deleted is not given again"
    for _ in range(3):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=READ)
    with refused("LimitExceeded", 409) as told:
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=READ)
    assert told().startswith("A managed policy can have up to 5 versions.")
    listed = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [(each["VersionId"], each["IsDefaultVersion"]) for each in listed] == [
        ("v7", False), ("v6", False), ("v5", False), ("v4", False), ("v2", True),
    ]  # fmt: skip
    pages = iam.get_paginator("list_policy_versions").paginate(PolicyArn=arn, PaginationConfig={"PageSize": 2})
    assert [len(page["Versions"]) for page in pages] == [2, 2, 1]
    for version_id in ("v1", "v99", "v3", "v2.x"):
        with refused("NoSuchEntity", 404) as told:
            iam.set_default_policy_version(PolicyArn=arn, VersionId=version_id)
        assert told() == f"Policy {arn} version {version_id} does not exist or is not attachable."


def test_tags(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    arn = iam.create_policy(PolicyName="p", PolicyDocument=READ)["Policy"]["Arn"]
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "Team", "Value": "a"}, {"Key": "Cost", "Value": ""}])
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "team", "Value": "b"}])
    assert iam.list_policy_tags(PolicyArn=arn)["Tags"] == [{"Key": "Cost", "Value": ""}, {"Key": "team", "Value": "b"}]
    iam.untag_policy(PolicyArn=arn, TagKeys=["TEAM", "absent"])
    assert iam.get_policy(PolicyArn=arn)["Policy"]["Tags"] == [{"Key": "Cost", "Value": ""}]
    with refused("InvalidInput", 400):
        iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "aws:x", "Value": ""}])
    with refused("LimitExceeded", 409):
        iam.tag_policy(PolicyArn=arn, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)])


def test_lists(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="u")
    arns = {}
    for name, path in (("beta", "/b_/"), ("Alpha", "/a/"), ("gamma", "/bx/")):
        arns[name] = iam.create_policy(PolicyName=name, Path=path, PolicyDocument=READ)["Policy"]["Arn"]
    local = iam.list_policies(Scope="Local")["Policies"]
    assert [each["PolicyName"] for each in local] == ["Alpha", "beta", "gamma"]
    assert "Description" not in local[0] and "Tags" not in local[0]
    assert [each["PolicyName"] for each in iam.list_policies(PathPrefix="/b_/")["Policies"]] == ["beta"]
    iam.attach_user_policy(UserName="u", PolicyArn=arns["beta"])
    iam.attach_user_policy(UserName="u", PolicyArn=ADMIN)
    iam.put_user_permissions_boundary(UserName="u", PermissionsBoundary=arns["gamma"])
    attached = iam.list_policies(OnlyAttached=True)["Policies"]
    assert [(each["PolicyName"], each["AttachmentCount"], each["PermissionsBoundaryUsageCount"]) for each in attached] == [
        ("AdministratorAccess", 1, 0), ("beta", 1, 0), ("gamma", 0, 1),
    ]  # fmt: skip
    for usage, names in (("PermissionsPolicy", ["AdministratorAccess", "beta"]), ("PermissionsBoundary", ["gamma"])):
        assert [each["PolicyName"] for each in iam.list_policies(PolicyUsageFilter=usage)["Policies"]] == names
    pages = list(iam.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 70}))
    found = [each["Arn"] for page in pages for each in page["Policies"]]
    assert len(found) == len(set(found)) == len(managed.all()) + 3
    assert len(list(iam.get_paginator("list_policies").paginate(Scope="AWS"))) > 1
    for arn in (arns["beta"], arns["gamma"]):
        with refused("DeleteConflict", 409) as told:
            iam.delete_policy(PolicyArn=arn)
        assert told() == "Cannot delete a policy attached to entities."
    assert cloud.account().client("iam").list_policies(Scope="Local")["Policies"] == []


def test_a_marker_is_for_its_list_alone(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    marker = iam.list_policies(MaxItems=1)["Marker"]
    for other in ({"Scope": "AWS"}, {"PathPrefix": "/x/"}):
        with refused("ValidationError", 400):
            iam.list_policies(Marker=marker, **other)
    with refused("ValidationError", 400):
        sqlite_cloud.account().client("iam").list_policies(Marker=marker)


# ------------------------------------------------------------------------------------------------------------ AWS's policies


def test_awss_policies(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    found = iam.get_policy(PolicyArn=ADMIN)["Policy"]
    assert found["PolicyId"].startswith("ANPA") and found["CreateDate"].year == 2015 and found["Tags"] == []
    version = iam.get_policy_version(PolicyArn=ADMIN, VersionId=found["DefaultVersionId"])["PolicyVersion"]
    assert version["Document"]["Statement"] == [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    assert [each["IsDefaultVersion"] for each in iam.list_policy_versions(PolicyArn=ADMIN)["Versions"]] == [True]
    assert iam.list_policy_tags(PolicyArn=ADMIN)["Tags"] == []
    changes: list[tuple[str, dict[str, Any]]] = [
        ("create_policy_version", {"PolicyDocument": READ}),
        ("set_default_policy_version", {"VersionId": "v1"}),
        ("delete_policy_version", {"VersionId": "v1"}),
        ("delete_policy", {}),
        ("tag_policy", {"Tags": [{"Key": "k", "Value": "v"}]}),
        ("untag_policy", {"TagKeys": ["k"]}),
    ]
    for name, given in changes:
        with refused("AccessDenied", 403) as told:
            getattr(iam, name)(PolicyArn=ADMIN, **given)
        assert told() == f"Policy {ADMIN} is outside your own account."
    for wrong in ("AmazonEC2FullAcces", "job-function/AdministratorAccess", "administratoraccess"):
        with refused("NoSuchEntity", 404):
            iam.get_policy(PolicyArn=f"arn:aws:iam::aws:policy/{wrong}")


def test_each_of_awss_policies_is_one_that_the_engine_takes() -> None:
    names = {each.name for each in managed.all()}
    assert len(names) > 250
    for each in managed.all():
        text = managed.document(each.arn("aws"))
        assert text is not None
        assert compile_policy(text, Kind.IDENTITY).statements, each.name
        assert managed.describe(each.arn("aws")) == each
    wanted = {
        "AdministratorAccess", "PowerUserAccess", "ReadOnlyAccess", "ViewOnlyAccess", "SecurityAudit", "SystemAdministrator",
        "NetworkAdministrator", "DatabaseAdministrator", "Billing", "SupportUser", "IAMFullAccess", "AmazonEC2FullAccess",
        "AmazonS3ReadOnlyAccess", "AmazonSSMManagedInstanceCore", "AWSLambdaBasicExecutionRole", "AutoScalingServiceRolePolicy",
    }  # fmt: skip
    assert wanted <= names
    assert managed.describe("arn:aws:iam::aws:policy/job-function/ViewOnlyAccess") is not None
    assert managed.document("arn:aws:iam::123456789012:policy/AdministratorAccess") is None


def test_awss_policies_in_another_partition() -> None:
    found = managed.document("arn:aws-cn:iam::aws:policy/IAMUserChangePassword")
    assert found is not None and "arn:aws-cn:iam" in found and "arn:aws:" not in found


# ---------------------------------------------------------------------------------------------------------- hostile requests


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        ("arn:aws:iam::123456789012:user/somebody", "InvalidInput"),
        ("arn:aws:s3::123456789012:policy/somebody", "InvalidInput"),
        ("arn:aws:iam:local-1:123456789012:policy/x", "InvalidInput"),
        ("arn:aws:iam::123456789012:policy/a b c", "InvalidInput"),
        ("arn:aws:iam::123456789012:policy/trailing ", "InvalidInput"),
        ("arn:aws:iam::123456789012:policy/*", "InvalidInput"),
        ("arn:aws-cn:iam::123456789012:policy/p", "ValidationError"),
        ("arn:aws:iam::123456789012:policy/P", "NoSuchEntity"),
        ("arn:aws:iam::123456789012:policy/x/p", "NoSuchEntity"),
        ("arn:aws:iam::123456789012:policy/../p", "NoSuchEntity"),
    ],
)
def test_arns_that_only_look_like_one(sqlite_cloud: TestCloud, arn: str, code: str) -> None:
    iam = sqlite_cloud.client("iam")
    assert sqlite_cloud.admin.id == "123456789012"
    iam.create_policy(PolicyName="p", PolicyDocument=READ)
    for name in ("get_policy", "delete_policy", "list_policy_versions", "list_entities_for_policy"):
        with refused(code):
            getattr(iam, name)(PolicyArn=arn)
    iam.create_user(UserName="u")
    with refused(code):
        iam.attach_user_policy(UserName="u", PolicyArn=arn)


def test_another_accounts_policy_is_not_there(cloud: TestCloud) -> None:
    """Whatever is done with its ARN is answered as if nobody had such a policy."""
    iam = cloud.client("iam")
    foreign = cloud.account("other")
    arn = foreign.client("iam").create_policy(PolicyName="theirs", PolicyDocument=WRITE)["Policy"]["Arn"]
    iam.create_user(UserName="u")
    told_of = []
    for each in (arn, arn.replace("theirs", "nobody")):
        answers = []
        calls: list[tuple[str, dict[str, Any]]] = [
            ("get_policy", {}),
            ("get_policy_version", {"VersionId": "v1"}),
            ("list_policy_versions", {}),
            ("create_policy_version", {"PolicyDocument": WRITE, "SetAsDefault": True}),
            ("set_default_policy_version", {"VersionId": "v1"}),
            ("delete_policy", {}),
            ("tag_policy", {"Tags": [{"Key": "k", "Value": "v"}]}),
            ("list_entities_for_policy", {}),
            ("attach_user_policy", {"UserName": "u"}),
            ("detach_user_policy", {"UserName": "u"}),
        ]
        for name, given in calls:
            with refused("NoSuchEntity", 404) as told:
                getattr(iam, name)(PolicyArn=each, **given)
            answers.append(told().replace(each, "ARN"))
        told_of.append(answers)
    assert told_of[0] == told_of[1]
    assert foreign.client("iam").get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v1"


def test_a_new_version_is_a_permission_of_its_own(cloud: TestCloud) -> None:
    """Whoever may set the default may choose among what was written before; to write something needs CreatePolicyVersion, and
    that suffices to put it in force."""
    iam = cloud.client("iam")
    first = document("iam:SetDefaultPolicyVersion", "iam:GetPolicy*")
    own = iam.create_policy(PolicyName="own", PolicyDocument=first)["Policy"]["Arn"]
    somebody = cloud.user("somebody")
    iam.attach_user_policy(UserName="somebody", PolicyArn=own)
    theirs = somebody.client("iam")
    with refused("AccessDenied", 403) as told:
        theirs.create_policy_version(PolicyArn=own, PolicyDocument=document("*"), SetAsDefault=True)
    assert "iam:CreatePolicyVersion" in told() and own in told()
    assert theirs.get_policy(PolicyArn=own)["Policy"]["DefaultVersionId"] == "v1"
    with refused("AccessDenied", 403):
        theirs.attach_user_policy(UserName="somebody", PolicyArn=ADMIN)
    with refused("AccessDenied", 403):
        theirs.put_user_policy(UserName="somebody", PolicyName="x", PolicyDocument=document("*"))
    iam.create_policy_version(PolicyArn=own, PolicyDocument=document("iam:CreatePolicyVersion", resource=own))
    theirs.set_default_policy_version(PolicyArn=own, VersionId="v2")
    with refused("AccessDenied", 403):
        theirs.get_policy(PolicyArn=own)
    theirs.create_policy_version(PolicyArn=own, PolicyDocument=document("*"), SetAsDefault=True)
    assert theirs.list_users()["Users"]


def test_tags_on_a_new_policy_need_the_permission_to_tag(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    somebody = sqlite_cloud.user("somebody").client("iam")
    limited = {"StringEquals": {"aws:RequestTag/team": "a"}}
    iam.put_user_policy(UserName="somebody", PolicyName="p", PolicyDocument=document("iam:CreatePolicy"))
    somebody.create_policy(PolicyName="plain", PolicyDocument=READ)
    with refused("AccessDenied", 403) as told:
        somebody.create_policy(PolicyName="tagged", PolicyDocument=READ, Tags=[{"Key": "team", "Value": "a"}])
    assert "iam:TagPolicy" in told()
    iam.put_user_policy(
        UserName="somebody", PolicyName="p", PolicyDocument=document("iam:CreatePolicy", "iam:TagPolicy", Condition=limited)
    )
    somebody.create_policy(PolicyName="tagged", PolicyDocument=READ, Tags=[{"Key": "team", "Value": "a"}])
    with refused("AccessDenied", 403):
        somebody.create_policy(PolicyName="other", PolicyDocument=READ, Tags=[{"Key": "team", "Value": "b"}])


def test_a_policy_may_be_named_by_its_tags(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    somebody = sqlite_cloud.user("somebody").client("iam")
    arns = [
        iam.create_policy(PolicyName=team, PolicyDocument=READ, Tags=[{"Key": "team", "Value": team}])["Policy"]["Arn"]
        for team in ("a", "b")
    ]
    condition = {"StringEquals": {"iam:ResourceTag/team": "a"}}
    iam.put_user_policy(UserName="somebody", PolicyName="p", PolicyDocument=document("iam:GetPolicy", Condition=condition))
    assert somebody.get_policy(PolicyArn=arns[0])["Policy"]["PolicyName"] == "a"
    with refused("AccessDenied", 403):
        somebody.get_policy(PolicyArn=arns[1])


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("PolicyName", "Reader\u017f"),
        ("PolicyName", "a b"),
        ("PolicyName", "a/b"),
        ("PolicyName", "x" * 129),
        ("Path", "no/slash"),
        ("Path", "/a\u00e9/"),
        ("Path", "/" + "x" * 512 + "/"),
        ("PolicyDocument", READ.replace("ec2", "ec\u0130")),
        ("Description", "x" * 1001),
    ],
)
def test_names_and_paths_are_plain(sqlite_cloud: TestCloud, member: str, value: str) -> None:
    """No letter that only looks like another, or folds to it; no path that reads as another's."""
    given = {"PolicyName": "p", "PolicyDocument": READ} | {member: value}
    with refused("ValidationError", 400):
        sqlite_cloud.client("iam", validate=False).create_policy(**given)
    assert sqlite_cloud.client("iam").list_policies(Scope="Local")["Policies"] == []


def test_two_at_once(cloud: TestCloud) -> None:
    """Versions that are made at the same moment have numbers of their own, and no more of them than there may be."""
    from concurrent.futures import ThreadPoolExecutor

    iam = cloud.client("iam")
    arn = iam.create_policy(PolicyName="p", PolicyDocument=READ)["Policy"]["Arn"]

    def another(_: int) -> str:
        try:
            return str(iam.create_policy_version(PolicyArn=arn, PolicyDocument=READ)["PolicyVersion"]["VersionId"])
        except iam.exceptions.LimitExceededException:
            return ""

    with ThreadPoolExecutor(4) as pool:
        made = [each for each in pool.map(another, range(8)) if each]
    assert sorted(made) == ["v2", "v3", "v4", "v5"]
    assert len(iam.list_policy_versions(PolicyArn=arn)["Versions"]) == 5
