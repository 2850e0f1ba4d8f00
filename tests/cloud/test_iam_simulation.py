"""The simulator says what the cloud does: the same engine, the same policies."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cloud.harness import TestCloud, refused
from tests.cloud.test_iam_inline import TRUST
from tests.cloud.test_iam_policies import ADMIN, document

BUCKET = "arn:aws:s3:::b"
OTHER = "999999999999"


def custom(iam: Any, *policies: str, actions: tuple[str, ...] = ("s3:GetObject",), **given: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = iam.simulate_custom_policy(PolicyInputList=list(policies), ActionNames=list(actions), **given)[
        "EvaluationResults"
    ]
    return found


def word(*found: Any, **given: Any) -> str:
    return str(custom(*found, **given)[0]["EvalDecision"])


def entry(name: str, *values: str, kind: str = "string") -> dict[str, Any]:
    return {"ContextKeyName": name, "ContextKeyValues": list(values), "ContextKeyType": kind}


def resource_policy(principal: Any, action: str = "s3:GetObject", effect: str = "Allow", resource: str = f"{BUCKET}/*") -> str:
    statement = {"Effect": effect, "Principal": principal, "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


# ------------------------------------------------------------------------------------------------------------ given policies


def test_decisions_and_statements(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    first = '{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}'
    second = '{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/secret"}'
    text = '{"Version":"2012-10-17","Statement":[' + first + ",\n " + second + "]}"
    allowed, denied = custom(iam, text, actions=("s3:GetObject", "s3:PutObject"))
    assert (allowed["EvalDecision"], allowed["EvalResourceName"]) == ("allowed", "*")
    assert "ResourceSpecificResults" not in allowed and "EvalDecisionDetails" not in allowed
    end = text.index("\n")
    assert allowed["MatchedStatements"] == [
        {
            "SourcePolicyId": "PolicyInputList.1",
            "SourcePolicyType": "none",
            "StartPosition": {"Line": 1, "Column": 38},
            "EndPosition": {"Line": 1, "Column": end},
        }
    ]
    assert (denied["EvalDecision"], denied["MatchedStatements"]) == ("implicitDeny", [])
    (found,) = custom(iam, text, ResourceArns=[f"{BUCKET}/secret"])
    assert found["EvalDecision"] == "explicitDeny" and found["EvalDecisionDetails"] == {}
    assert [each["StartPosition"] for each in found["MatchedStatements"]] == [{"Line": 2, "Column": 2}]


def test_several_resources_make_one_result(sqlite_cloud: TestCloud) -> None:
    """The most restrictive of all, with each one's own beside it."""
    iam = sqlite_cloud.client("iam")
    text = document("s3:GetObject", resource=f"{BUCKET}/open/*")
    (found,) = custom(iam, text, ResourceArns=[f"{BUCKET}/open/x", f"{BUCKET}/closed", f"{BUCKET}/open/x"])
    assert found["EvalDecision"] == "implicitDeny" and found["MatchedStatements"] == []
    assert found["EvalResourceName"] == "arn:${Partition}:s3:::${BucketName}/${ObjectName}"
    assert [(each["EvalResourceName"], each["EvalResourceDecision"]) for each in found["ResourceSpecificResults"]] == [
        (f"{BUCKET}/open/x", "allowed"),
        (f"{BUCKET}/closed", "implicitDeny"),
    ]


def test_missing_keys(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    text = document("s3:GetObject", Condition={"StringEquals": {"s3:prefix": "x", "aws:SourceVpc": "vpc-1"}})
    assert custom(iam, text)[0]["MissingContextValues"] == ["aws:SourceVpc", "s3:prefix"]
    given = [entry("s3:PREFIX", "x")]
    (found,) = custom(iam, text, ContextEntries=given, ResourceArns=[f"{BUCKET}/x"])
    assert found["MissingContextValues"] == found["ResourceSpecificResults"][0]["MissingContextValues"] == ["aws:SourceVpc"]
    given.append(entry("aws:SourceVpc", "vpc-1"))
    (found,) = custom(iam, text, ContextEntries=given)
    assert (found["EvalDecision"], found["MissingContextValues"]) == ("allowed", [])


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "kind", "right", "wrong", "nonsense"),
    [
        ("NumericLessThan", "s3:max-keys", "10", "numeric", "9", "10", "nine"),
        ("Bool", "aws:SecureTransport", "true", "boolean", "true", "false", "yes"),
        ("IpAddress", "aws:SourceIp", "10.0.0.0/8", "ip", "10.1.2.3", "11.0.0.1", "ten"),
        (
            "DateLessThan",
            "aws:CurrentTime",
            "2020-01-01T00:00:00Z",
            "date",
            "2019-12-31T23:59:59Z",
            "2020-01-01T00:00:00Z",
            "soon",
        ),
        ("BinaryEquals", "aws:Digest", "QmluYXJ5", "binary", "QmluYXJ5", "QmluYXJ6", "%"),
    ],
)
def test_types_of_keys(
    sqlite_cloud: TestCloud, operator: str, key: str, wanted: str, kind: str, right: str, wrong: str, nonsense: str
) -> None:
    iam = sqlite_cloud.client("iam")
    text = document("s3:GetObject", Condition={operator: {key: wanted}})
    assert word(iam, text, ContextEntries=[entry(key, right, kind=kind)]) == "allowed"
    assert word(iam, text, ContextEntries=[entry(key, wrong, kind=kind)]) == "implicitDeny"
    for bad in ([entry(key, nonsense, kind=kind)], [entry(key, right, right, kind=kind)], [{"ContextKeyValues": [right]}]):
        with refused("InvalidInput", 400):
            custom(iam, text, ContextEntries=bad)
    many = document("s3:GetObject", Condition={f"ForAllValues:{operator}": {key: wanted}, "Null": {key: "false"}})
    assert word(iam, many, ContextEntries=[entry(key, right, right, kind=kind + "List")]) == "allowed"
    assert word(iam, many, ContextEntries=[entry(key, right, wrong, kind=kind + "List")]) == "implicitDeny"


def test_a_boundary(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    boundary = document("s3:GetObject")
    found = custom(
        iam, document("s3:*"), actions=("s3:GetObject", "s3:PutObject"), PermissionsBoundaryPolicyInputList=[boundary],
    )  # fmt: skip
    assert [(each["EvalDecision"], each["PermissionsBoundaryDecisionDetail"]) for each in found] == [
        ("allowed", {"AllowedByPermissionsBoundary": True}),
        ("implicitDeny", {"AllowedByPermissionsBoundary": False}),
    ]
    with refused("InvalidInput", 400):
        custom(iam, document("s3:*"), PermissionsBoundaryPolicyInputList=[boundary, boundary])


def test_levels_of_service_control_policies(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    levels = [
        {"ServiceControlPolicyInputList": [document("*")]},
        {"ServiceControlPolicyInputList": [document("s3:Get*", Condition={"Bool": {"aws:ViaAWSService": "false"}})]},
    ]
    given = [entry("aws:ViaAWSService", "false", kind="boolean")]
    found = custom(
        iam, document("s3:*"), actions=("s3:GetObject", "s3:PutObject"), OrderedOrganizationPolicyInputList=levels,
        ContextEntries=given,
    )  # fmt: skip
    assert [(each["EvalDecision"], each["OrganizationsDecisionDetail"]) for each in found] == [
        ("allowed", {"AllowedByOrganizations": True}),
        ("implicitDeny", {"AllowedByOrganizations": False}),
    ]
    assert [each["SourcePolicyId"] for each in found[0]["MatchedStatements"]] == ["PolicyInputList.1"]
    (found,) = custom(iam, document("s3:*"), OrderedOrganizationPolicyInputList=levels)
    assert found["MissingContextValues"] == [], "the keys that service control policies ask for are not shown"


def test_a_resources_policy(sqlite_cloud: TestCloud) -> None:
    iam, account = sqlite_cloud.client("iam"), sqlite_cloud.admin.id
    mine, theirs = f"arn:aws:iam::{account}:user/me", f"arn:aws:iam::{OTHER}:user/they"
    nothing = document("sns:*")
    given: dict[str, Any] = {"ResourceArns": [f"{BUCKET}/x"]}
    with refused("InvalidInput", 400):
        custom(iam, nothing, ResourcePolicy=resource_policy("*"), **given)
    given["CallerArn"] = mine
    (found,) = custom(iam, nothing, ResourcePolicy=resource_policy({"AWS": mine}), **given)
    assert found["EvalDecision"] == "allowed"
    assert [(each["SourcePolicyId"], each["SourcePolicyType"]) for each in found["MatchedStatements"]] == [
        ("ResourcePolicy", "resource")
    ]
    assert word(iam, nothing, ResourcePolicy=resource_policy({"AWS": account}), **given) == "implicitDeny"
    assert word(iam, document("s3:*"), ResourcePolicy=resource_policy({"AWS": theirs}), **given) == "allowed"
    assert word(iam, document("s3:*"), ResourcePolicy=resource_policy("*", effect="Deny"), **given) == "explicitDeny"
    # from one account to another's, both must allow
    given["CallerArn"], given["ResourceOwner"] = theirs, f"arn:aws:iam::{account}:root"
    open_to_them = resource_policy({"AWS": theirs})
    (found,) = custom(iam, nothing, ResourcePolicy=open_to_them, **given)
    assert found["EvalDecision"] == "implicitDeny"
    assert found["EvalDecisionDetails"] == {"IAM Policy": "implicitDeny", "Resource Policy": "allowed"}
    assert found["ResourceSpecificResults"][0]["EvalDecisionDetails"] == found["EvalDecisionDetails"]
    assert word(iam, document("s3:*"), ResourcePolicy=open_to_them, **given) == "allowed"
    assert word(iam, document("s3:*"), ResourcePolicy=resource_policy({"AWS": mine}), **given) == "implicitDeny"
    for caller in (f"arn:aws:sts::{account}:assumed-role/r/s", f"arn:aws:iam::{account}:root", "ec2.amazonaws.com"):
        with refused("InvalidInput", 400):
            custom(iam, nothing, ResourcePolicy=open_to_them, ResourceArns=["*"], CallerArn=caller)


def test_a_roles_trust(sqlite_cloud: TestCloud) -> None:
    iam, account = sqlite_cloud.client("iam"), sqlite_cloud.admin.id
    mine, role = f"arn:aws:iam::{account}:user/me", f"arn:aws:iam::{account}:role/r"
    trust = {"Effect": "Allow", "Principal": {"AWS": mine}, "Action": "sts:AssumeRole"}
    given = {
        "ResourcePolicy": json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        "CallerArn": mine,
        "ResourceArns": [role],
    }
    assert word(iam, document("s3:*"), actions=("sts:AssumeRole",), **given) == "allowed"
    given["CallerArn"] = mine + "2"
    assert word(iam, document("sts:*"), actions=("sts:AssumeRole",), **given) == "implicitDeny"


def test_launches_need_all_their_resources(sqlite_cloud: TestCloud) -> None:
    iam, account = sqlite_cloud.client("iam"), sqlite_cloud.admin.id
    arns = [f"arn:aws:ec2:local-1:{account}:{kind}/*" for kind in ("instance", "security-group", "network-interface", "volume")]
    arns.append("arn:aws:ec2:local-1::image/ami-1")
    given = {"actions": ("ec2:RunInstances",), "ResourceHandlingOption": "EC2-VPC-EBS"}
    assert word(iam, document("ec2:*"), ResourceArns=arns, **given) == "allowed"
    assert (
        word(iam, document("ec2:*", resource="*instance/*".replace("*i", "arn:aws:ec2:*:*:i")), ResourceArns=arns, **given)
        == "implicitDeny"
    )
    with refused("InvalidInput", 400) as told:
        custom(iam, document("ec2:*"), ResourceArns=arns[1:], **given)
    assert told().endswith("requires resources of these types: instance")
    with refused("InvalidInput", 400):
        custom(iam, document("ec2:*"), ResourceArns=arns, actions=("ec2:RunInstances",), ResourceHandlingOption="EC2-Moon")


@pytest.mark.parametrize(
    "given",
    [
        {"ActionNames": ["ec2:*"]},
        {"ActionNames": ["DescribeInstances"]},
        {"ActionNames": ["ec2:a:b"]},
        {"ResourceArns": ["bucket"]},
        {"ResourceArns": ["arn:aws:s3"]},
        {"PolicyInputList": ["{}"]},
        {"PolicyInputList": [resource_policy("*")]},
        {"ResourcePolicy": document("s3:*"), "CallerArn": "arn:aws:iam::123456789012:user/u"},
        {"ResourceOwner": "somebody"},
    ],
)
def test_nonsense_is_refused(sqlite_cloud: TestCloud, given: dict[str, Any]) -> None:
    usual = {"PolicyInputList": [document("s3:*")], "ActionNames": ["s3:GetObject"]}
    with refused("InvalidInput", 400):
        sqlite_cloud.client("iam").simulate_custom_policy(**usual | given)


def test_pages(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    actions = [f"s3:Action{n}" for n in range(250)]
    given = {"PolicyInputList": [document("s3:*1")], "ActionNames": actions}
    pages = list(iam.get_paginator("simulate_custom_policy").paginate(**given))
    assert [len(page["EvaluationResults"]) for page in pages] == [100, 100, 50]
    assert [each["EvalActionName"] for page in pages for each in page["EvaluationResults"]] == actions
    first = iam.simulate_custom_policy(**given, MaxItems=1)
    with refused("ValidationError", 400):
        iam.simulate_custom_policy(PolicyInputList=[document("s3:*")], ActionNames=actions, Marker=first["Marker"])


def test_large_simulations_take_bounded_time(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*a*a*a*b"}
    many = json.dumps({"Version": "2012-10-17", "Statement": [statement] * 1000})
    resources = [f"{BUCKET}/{'a' * 20}{n}" for n in range(150)]
    began = time.perf_counter()
    found = iam.simulate_custom_policy(
        PolicyInputList=[many], ActionNames=[f"s3:Action{n}" for n in range(50)], ResourceArns=resources
    )
    assert found["IsTruncated"] and len(found["EvaluationResults"]) == 1
    with refused("InvalidInput", 400):
        custom(iam, *[many] * 4, ResourceArns=resources)
    assert time.perf_counter() - began < 20


def test_context_keys(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    first = document("s3:*", resource=f"{BUCKET}/${{aws:username}}/*", Condition={"Bool": {"aws:SecureTransport": "true"}})
    second = document("s3:*", Condition={"StringLike": {"s3:prefix": "${aws:PrincipalTag/team}/*", "AWS:UserName": "x"}})
    found = iam.get_context_keys_for_custom_policy(PolicyInputList=[first, second])["ContextKeyNames"]
    assert sorted(each.lower() for each in found) == ["aws:principaltag/team", "aws:securetransport", "aws:username", "s3:prefix"]
    iam.create_user(UserName="u")
    iam.create_group(GroupName="g")
    iam.add_user_to_group(GroupName="g", UserName="u")
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=first)
    iam.put_group_policy(GroupName="g", PolicyName="p", PolicyDocument=second)
    arn = iam.get_user(UserName="u")["User"]["Arn"]
    assert iam.get_context_keys_for_principal_policy(PolicySourceArn=arn)["ContextKeyNames"] == found
    of_group = iam.get_context_keys_for_principal_policy(PolicySourceArn=arn.replace("user/u", "group/g"))["ContextKeyNames"]
    assert len(of_group) == 3


# --------------------------------------------------------------------------------------------------------- somebody's policies


def principal(iam: Any, arn: str, *actions: str, **given: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=list(actions), **given)[
        "EvaluationResults"
    ]
    return found


def test_a_users_policies_and_its_groups(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    arn = iam.create_user(UserName="u", Path="/p/")["User"]["Arn"]
    iam.create_group(GroupName="g")
    iam.add_user_to_group(GroupName="g", UserName="u")
    own = iam.create_policy(PolicyName="own", PolicyDocument=document("sqs:*"))["Policy"]["Arn"]
    iam.put_user_policy(UserName="u", PolicyName="in", PolicyDocument=document("s3:*"))
    iam.put_group_policy(GroupName="g", PolicyName="in", PolicyDocument=document("ec2:*"))
    iam.attach_group_policy(GroupName="g", PolicyArn="arn:aws:iam::aws:policy/AmazonSNSReadOnlyAccess")
    iam.attach_user_policy(UserName="u", PolicyArn=own)
    found = principal(iam, arn, "s3:GetObject", "ec2:RunInstances", "sns:ListTopics", "sqs:ListQueues", "iam:ListUsers")
    assert [[(each["SourcePolicyId"], each["SourcePolicyType"]) for each in result["MatchedStatements"]] for result in found] == [
        [("user_u_in", "user")],
        [("group_g_in", "group")],
        [("AmazonSNSReadOnlyAccess", "aws-managed")],
        [("own", "user-managed")],
        [],
    ]
    assert [each["EvalDecision"] for each in found] == ["allowed"] * 4 + ["implicitDeny"]
    (with_more,) = principal(iam, arn, "iam:ListUsers", PolicyInputList=[document("iam:*")])
    assert with_more["EvalDecision"] == "allowed"
    group = [
        each["EvalDecision"] for each in principal(iam, arn.replace("user/p/u", "group/g"), "ec2:RunInstances", "s3:GetObject")
    ]
    assert group == ["allowed", "implicitDeny"]
    iam.put_user_permissions_boundary(UserName="u", PermissionsBoundary=own)
    (bounded,) = principal(iam, arn, "s3:GetObject")
    assert bounded["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    (other,) = principal(iam, arn, "s3:GetObject", PermissionsBoundaryPolicyInputList=[document("s3:*")])
    assert other["EvalDecision"] == "allowed"


def test_what_if_a_policy_were_not_there(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    arn = iam.create_user(UserName="u")["User"]["Arn"]
    iam.create_group(GroupName="g1")
    iam.add_user_to_group(GroupName="g1", UserName="u")
    own = iam.create_policy(PolicyName="own", PolicyDocument=document("sqs:*"))["Policy"]["Arn"]
    iam.put_user_policy(UserName="u", PolicyName="in", PolicyDocument=document("s3:*"))
    iam.put_group_policy(GroupName="g1", PolicyName="in", PolicyDocument=document("ec2:*"))
    iam.attach_user_policy(UserName="u", PolicyArn="arn:aws:iam::aws:policy/AmazonSNSFullAccess")
    iam.attach_user_policy(UserName="u", PolicyArn=own)
    actions = ("s3:GetObject", "ec2:RunInstances", "sns:ListTopics", "sqs:ListQueues")

    def left(*excluded: dict[str, Any]) -> list[str]:
        found = principal(iam, arn, *actions, PolicyExclusionList=list(excluded))
        return [each["EvalActionName"][:3] for each in found if each["EvalDecision"] == "allowed"]

    inline = {"PolicyName": "in", "AttachmentType": "group", "AttachmentName": "g1"}
    assert left({"PolicyType": "rcp"}) == ["s3:", "ec2", "sns", "sqs"]
    assert left({"PolicyType": "inline"}) == ["sns", "sqs"]
    assert left({"PolicyType": "aws-managed"}) == ["s3:", "ec2", "sqs"]
    assert left({"PolicyType": "user-managed"}, {"InlinePolicyIdentifier": inline}) == ["s3:", "sns"]
    assert left({"PolicyArn": own[:-3] + "o*"}) == ["s3:", "ec2", "sns"]
    assert left({"PolicyArn": own[:-3] + "o?"}, {"InlinePolicyIdentifier": inline | {"AttachmentName": "G1"}}) == [
        "s3:",
        "ec2",
        "sns",
        "sqs",
    ]
    for wrong in ({"PolicyArn": "arn:aws:iam::*:policy/own"}, {"PolicyArn": own + "**"}, {"PolicyArn": arn}):
        with refused("InvalidInput", 400):
            left(wrong)
    iam.put_user_permissions_boundary(UserName="u", PermissionsBoundary=own)
    assert left() == ["sqs"] and len(left({"PolicyType": "permission-boundary"})) == 4


def test_whose_policies_there_are_none(cloud: TestCloud) -> None:
    iam, foreign = cloud.client("iam"), cloud.account("other")
    theirs = foreign.client("iam").create_user(UserName="u")["User"]["Arn"]
    told = []
    for arn in (theirs, theirs.replace(foreign.id, OTHER), theirs.replace(foreign.id, cloud.admin.id)):
        with refused("NoSuchEntity", 404) as message:
            principal(iam, arn, "s3:GetObject")
        told.append(message())
    assert set(told) == {"The user with name u cannot be found."}
    for arn in (
        f"arn:aws:iam::{cloud.admin.id}:root",
        f"arn:aws:sts::{cloud.admin.id}:assumed-role/r/s",
        "arn:aws:iam::1:user/uuuuuuuuu",
    ):
        with refused("InvalidInput", 400) as message:
            principal(iam, arn, "s3:GetObject")
        assert message() == f"Invalid Entity Arn: {arn} does not clearly define entity type and name."


def test_who_may_simulate(sqlite_cloud: TestCloud) -> None:
    """The simulator tells what others may do: it has a permission of its own, on whom it is about."""
    iam = sqlite_cloud.client("iam")
    somebody = sqlite_cloud.user("somebody").client("iam")
    own = iam.get_user(UserName="somebody")["User"]["Arn"]
    other = iam.create_user(UserName="other")["User"]["Arn"]
    iam.put_user_policy(UserName="somebody", PolicyName="p", PolicyDocument=document("iam:SimulatePrincipalPolicy", resource=own))
    assert principal(somebody, own, "iam:SimulatePrincipalPolicy", ResourceArns=[own])[0]["EvalDecision"] == "allowed"
    for arn in (other, own.replace("somebody", "nobody")):
        with refused("AccessDenied", 403):
            principal(somebody, arn, "s3:GetObject")
    with refused("AccessDenied", 403):
        custom(somebody, document("s3:*"))


def test_the_caller_is_not_looked_up(sqlite_cloud: TestCloud) -> None:
    """Else whoever may simulate would learn who exists, and everybody's tags."""
    iam = sqlite_cloud.client("iam")
    iam.create_user(UserName="tagged", Tags=[{"Key": "team", "Value": "a"}])
    text = document("s3:*", Condition={"StringEquals": {"aws:PrincipalTag/team": "a"}})
    for name in ("tagged", "nobody"):
        (found,) = custom(iam, text, CallerArn=f"arn:aws:iam::{sqlite_cloud.admin.id}:user/{name}")
        assert (found["EvalDecision"], found["MissingContextValues"]) == ("implicitDeny", ["aws:PrincipalTag/team"])


# ---------------------------------------------------------------------------------------------------------------- agreement


POLICIES = {
    "nothing": [],
    "reader": [document("iam:Get*", "iam:List*")],
    "self": [document("iam:*", resource="arn:aws:iam::*:user/${aws:username}")],
    "own tag": [document("iam:*", Condition={"StringEquals": {"iam:ResourceTag/team": "${aws:PrincipalTag/team}"}})],
    "not self": [document("iam:*"), document("iam:*", effect="Deny", resource="arn:aws:iam::*:user/somebody")],
    "not action": [
        json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "NotAction": "iam:Get*", "Resource": "*"}})
    ],
    "principal": [document("iam:*", Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/some*"}})],
    "other's": [
        document("iam:*", Condition={"StringNotEquals": {"aws:PrincipalAccount": "1"}, "Bool": {"aws:SecureTransport": "false"}})
    ],
}


@pytest.mark.parametrize("bounded", [False, True])
def test_it_says_what_happens(cloud: TestCloud, bounded: bool) -> None:
    iam = cloud.client("iam")
    theirs = cloud.user("somebody").client("iam")
    iam.tag_user(UserName="somebody", Tags=[{"Key": "team", "Value": "a"}])
    iam.create_user(UserName="colleague", Tags=[{"Key": "team", "Value": "a"}])
    iam.create_user(UserName="stranger", Tags=[{"Key": "team", "Value": "b"}])
    source = iam.get_user(UserName="somebody")["User"]["Arn"]
    if bounded:
        boundary = iam.create_policy(PolicyName="b", PolicyDocument=document("iam:GetUser", "iam:ListUserTags"))["Policy"]["Arn"]
        iam.put_user_permissions_boundary(UserName="somebody", PermissionsBoundary=boundary)
    asked: list[tuple[str, str, str]] = [
        (action, method, name)
        for action, method in (
            ("GetUser", "get_user"),
            ("ListUserTags", "list_user_tags"),
            ("ListUserPolicies", "list_user_policies"),
        )
        for name in ("somebody", "colleague", "stranger")
    ]
    teams = {"somebody": "a", "colleague": "a", "stranger": "b"}
    seen = set()
    for documents in POLICIES.values():
        for number, text in enumerate(documents):
            iam.put_user_policy(UserName="somebody", PolicyName=f"p{number}", PolicyDocument=text)
        for action, method, name in asked:
            given = [entry("iam:ResourceTag/team", teams[name]), entry("aws:SecureTransport", "false", kind="boolean")]
            arn = source.replace("somebody", name)
            (found,) = principal(iam, source, f"iam:{action}", ResourceArns=[arn], ContextEntries=given)
            try:
                getattr(theirs, method)(UserName=name)
                real = True
            except ClientError as error:
                assert error.response["Error"]["Code"] == "AccessDenied"
                real = False
            assert (found["EvalDecision"] == "allowed") is real, (documents, action, name)
            assert found["MissingContextValues"] == []
            seen.add(real)
        for number in range(len(documents)):
            iam.delete_user_policy(UserName="somebody", PolicyName=f"p{number}")
    assert seen == {True, False}


def test_a_roles_sessions_too(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    trust = TRUST.replace('{"Service": "ec2.amazonaws.com"}', json.dumps({"AWS": cloud.admin.id}))
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust, Tags=[{"Key": "team", "Value": "a"}])["Role"]["Arn"]
    somebody = cloud.user("somebody")
    iam.put_user_policy(UserName="somebody", PolicyName="p", PolicyDocument=document("sts:AssumeRole"))
    iam.put_role_policy(
        RoleName="r",
        PolicyName="p",
        PolicyDocument=document("iam:List*", Condition={"StringEquals": {"aws:PrincipalTag/team": "a"}}),
    )
    found = somebody.client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    session = cloud.session(found)
    results = principal(iam, role, "iam:ListUsers", "iam:GetUser")
    assert [each["EvalDecision"] for each in results] == ["allowed", "implicitDeny"]
    assert session.client("iam").list_users()["Users"]
    with refused("AccessDenied", 403):
        session.client("iam").get_user(UserName="somebody")
    assert (
        principal(iam, role, "iam:ListUsers", PolicyExclusionList=[{"PolicyType": "inline"}])[0]["EvalDecision"] == "implicitDeny"
    )
    iam.attach_role_policy(RoleName="r", PolicyArn=ADMIN)
    assert principal(iam, role, "iam:GetUser")[0]["MatchedStatements"][0]["SourcePolicyId"] == "AdministratorAccess"
