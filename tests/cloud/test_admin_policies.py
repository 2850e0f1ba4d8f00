"""Service control policies, which bound what accounts may do, and the policies that limit how much they may have."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cloud.harness import TestCloud, refused
from tests.cloud.people import user

FULL = "p-FullAWSAccess"


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


DENY_GROUPS = document({"Effect": "Deny", "Action": "ec2:CreateSecurityGroup", "Resource": "*"})
READ_ONLY = document({"Effect": "Allow", "Action": ["ec2:Describe*", "sts:*", "mallee:*"], "Resource": "*"})


def limit(key: str, most: object, action: str = "*") -> str:
    statement = {"Effect": "Limit", "Action": action, "Resource": "*", "Condition": {"NumericLessThanEquals": {key: most}}}
    return document(statement, version="2011-04-01")


def made(cloud: TestCloud, text: str, name: str = "policy") -> str:
    return str(cloud.client("mallee").create_service_control_policy(Name=name, Document=text)["Policy"]["PolicyId"])


def test_a_policy_has_a_life(cloud: TestCloud) -> None:
    mallee = cloud.client("mallee")
    policy = mallee.create_service_control_policy(Name="no-groups", Description="for now", Document=DENY_GROUPS)["Policy"]
    assert policy["Arn"] == f"arn:aws:mallee:::service-control-policy/{policy['PolicyId']}"
    assert policy["BuiltIn"] is False
    assert mallee.get_service_control_policy(PolicyId=policy["PolicyId"])["Policy"] == policy
    summary = {name: value for name, value in policy.items() if name != "Document"}
    assert [each["Name"] for each in mallee.list_service_control_policies()["Policies"]] == ["FullAWSAccess", "no-groups"]
    assert summary in mallee.list_service_control_policies()["Policies"]
    changed = mallee.update_service_control_policy(PolicyId=policy["PolicyId"], Name="nothing", Document=READ_ONLY)["Policy"]
    assert (changed["Name"], changed["Document"], changed["Description"]) == ("nothing", READ_ONLY, "for now")
    mallee.delete_service_control_policy(PolicyId=policy["PolicyId"])
    with refused("PolicyNotFoundException", 400):
        mallee.get_service_control_policy(PolicyId=policy["PolicyId"])


def test_a_policy_bounds_even_the_root(cloud: TestCloud) -> None:
    mallee = cloud.client("mallee")
    account, other = cloud.account(), cloud.account()
    policy = made(cloud, DENY_GROUPS)
    ec2 = account.client("ec2")
    ec2.create_security_group(GroupName="before", Description="d")
    mallee.attach_service_control_policy(PolicyId=policy, TargetId=account.id)
    with refused("UnauthorizedOperation", 403) as message:
        ec2.create_security_group(GroupName="after", Description="d")
    assert "service control policy" in message()
    ec2.describe_vpcs()
    other.client("ec2").create_security_group(GroupName="other", Description="d")
    mallee.attach_service_control_policy(PolicyId=policy, TargetId="root")
    with refused("UnauthorizedOperation", 403):
        other.client("ec2").create_security_group(GroupName="again", Description="d")
    cloud.client("ec2").create_security_group(GroupName="exempt", Description="d")
    found = mallee.list_service_control_policy_targets(PolicyId=policy)["Targets"]
    assert {(each["TargetId"], each["Type"]) for each in found} == {("root", "ROOT"), (account.id, "ACCOUNT")}
    with refused("PolicyInUseException", 400):
        mallee.delete_service_control_policy(PolicyId=policy)
    for target in ("root", account.id):
        mallee.detach_service_control_policy(PolicyId=policy, TargetId=target)
    ec2.create_security_group(GroupName="after", Description="d")
    mallee.delete_service_control_policy(PolicyId=policy)


def test_every_level_must_allow(cloud: TestCloud) -> None:
    mallee, account = cloud.client("mallee"), cloud.account()
    reading = made(cloud, READ_ONLY)
    mallee.attach_service_control_policy(PolicyId=reading, TargetId=account.id)
    account.client("ec2").create_security_group(GroupName="one", Description="d")  # FullAWSAccess is attached as well
    mallee.detach_service_control_policy(PolicyId=FULL, TargetId=account.id)
    with refused("UnauthorizedOperation", 403):
        account.client("ec2").create_security_group(GroupName="two", Description="d")
    account.client("ec2").describe_vpcs()
    everything = user(cloud, "all", "*", account=account)
    with refused("UnauthorizedOperation", 403):
        everything.client("ec2").create_security_group(GroupName="two", Description="d")
    assert [each["Name"] for each in mallee.list_service_control_policies(TargetId=account.id)["Policies"]] == ["policy"]
    with refused("ConstraintViolationException", 400):  # the last one
        mallee.detach_service_control_policy(PolicyId=reading, TargetId=account.id)
    mallee.attach_service_control_policy(PolicyId=FULL, TargetId=account.id)
    mallee.detach_service_control_policy(PolicyId=reading, TargetId=account.id)
    account.client("ec2").create_security_group(GroupName="two", Description="d")


def test_a_changed_policy_holds_at_once(cloud: TestCloud) -> None:
    mallee, account = cloud.client("mallee"), cloud.account()
    policy = made(cloud, document({"Effect": "Deny", "Action": "s3:*", "Resource": "*"}))
    mallee.attach_service_control_policy(PolicyId=policy, TargetId=account.id)
    account.client("ec2").create_security_group(GroupName="one", Description="d")
    mallee.update_service_control_policy(PolicyId=policy, Document=DENY_GROUPS)
    with refused("UnauthorizedOperation", 403):
        account.client("ec2").create_security_group(GroupName="two", Description="d")


def test_what_cannot_be_attached(sqlite_cloud: TestCloud) -> None:
    mallee, account = sqlite_cloud.client("mallee"), sqlite_cloud.account()
    policy = made(sqlite_cloud, DENY_GROUPS)
    with refused("TargetNotFoundException", 400):
        mallee.attach_service_control_policy(PolicyId=policy, TargetId="999999999999")
    with refused("PolicyNotFoundException", 400):
        mallee.attach_service_control_policy(PolicyId="p-00000000", TargetId=account.id)
    with refused("ConstraintViolationException", 400):
        mallee.attach_service_control_policy(PolicyId=policy, TargetId=sqlite_cloud.admin.id)
    mallee.attach_service_control_policy(PolicyId=policy, TargetId=account.id)
    with refused("PolicyAlreadyAttachedException", 400):
        mallee.attach_service_control_policy(PolicyId=policy, TargetId=account.id)
    with refused("PolicyAlreadyAttachedException", 400):
        mallee.attach_service_control_policy(PolicyId=FULL, TargetId=account.id)
    with refused("PolicyNotAttachedException", 400):
        mallee.detach_service_control_policy(PolicyId=policy, TargetId="root")
    for number in range(3):
        mallee.attach_service_control_policy(PolicyId=made(sqlite_cloud, DENY_GROUPS, f"n{number}"), TargetId=account.id)
    with refused("LimitExceededException", 400):
        mallee.attach_service_control_policy(PolicyId=made(sqlite_cloud, DENY_GROUPS, "sixth"), TargetId=account.id)


def test_names_and_the_builtin_policy_stay(sqlite_cloud: TestCloud) -> None:
    mallee = sqlite_cloud.client("mallee")
    policy = made(sqlite_cloud, DENY_GROUPS, "one")
    for name in ("one", "FullAWSAccess"):
        with refused("PolicyAlreadyExistsException", 400):
            made(sqlite_cloud, DENY_GROUPS, name)
    made(sqlite_cloud, DENY_GROUPS, "two")
    with refused("PolicyAlreadyExistsException", 400):
        mallee.update_service_control_policy(PolicyId=policy, Name="two")
    with refused("ConstraintViolationException", 400):
        mallee.update_service_control_policy(PolicyId=FULL, Document=DENY_GROUPS)
    with refused("ConstraintViolationException", 400):
        mallee.delete_service_control_policy(PolicyId=FULL)
    assert mallee.get_service_control_policy(PolicyId=FULL)["Policy"]["BuiltIn"] is True
    targets = mallee.list_service_control_policy_targets(PolicyId=FULL)["Targets"]
    assert {each["TargetId"] for each in targets} == {"root", sqlite_cloud.admin.id}


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "{}",
        document({"Effect": "Permit", "Action": "*", "Resource": "*"}),
        document({"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}),
        document({"Effect": "Deny", "Action": "ec2:*", "Resource": "*", "Sid": "x" * 5200}),
        limit("ec2:quota-addressnumber", 1),
    ],
)
def test_malformed_policies_are_refused(sqlite_cloud: TestCloud, text: str) -> None:
    with refused("MalformedPolicyDocumentException", 400):
        made(sqlite_cloud, text)


# ------------------------------------------------------------------------------------------------- policies of accounts


def test_an_account_is_limited(cloud: TestCloud) -> None:
    mallee, account = cloud.client("mallee"), cloud.account()
    text = limit("ec2:quota-addressnumber", "1", "ec2:AllocateAddress")
    mallee.put_account_policy(AccountId=account.id, PolicyName="addresses", PolicyDocument=text)
    ec2 = account.client("ec2")
    ec2.allocate_address()
    with refused("AddressLimitExceeded", 400):
        ec2.allocate_address()
    own = account.client("mallee")
    assert own.get_account_policy(PolicyName="addresses")["Policy"]["PolicyDocument"] == text
    assert [each["PolicyName"] for each in own.list_account_policies()["Policies"]] == ["addresses"]
    quota = own.get_account_quota(ServiceCode="ec2", QuotaCode="L-0263D0A3")["Quota"]
    assert (quota["Value"], quota["PolicyLimit"], quota["Used"]) == (5.0, 1.0, 1.0)
    for attempt in (
        lambda: own.delete_account_policy(AccountId=account.id, PolicyName="addresses"),
        lambda: own.put_account_policy(AccountId=account.id, PolicyName="addresses", PolicyDocument=text),
        lambda: own.put_account_quota(AccountId=account.id, ServiceCode="ec2", QuotaCode="L-0263D0A3", Value=50),
    ):
        with refused("AccessDeniedException", 400):
            attempt()
    mallee.put_account_policy(AccountId=account.id, PolicyName="addresses", PolicyDocument=limit("ec2:quota-addressnumber", 2))
    ec2.allocate_address()
    mallee.delete_account_policy(AccountId=account.id, PolicyName="addresses")
    with refused("PolicyNotFoundException", 400):
        mallee.get_account_policy(AccountId=account.id, PolicyName="addresses")
    ec2.allocate_address()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nonsense", ""),
        (document({"Effect": "Allow", "Action": "*", "Resource": "*"}), "Effect Limit"),
        (document({"Effect": "Limit", "Action": "*", "Resource": "*"}, version="2011-04-01"), "Condition"),
        (limit("ec2:quota-unicornnumber", 1), "no quota"),
        (limit("ec2:quota-addressnumber", "many"), "number"),
        (
            document(
                {
                    "Effect": "Limit",
                    "Action": "*",
                    "Resource": "*",
                    "Condition": {"NumericGreaterThan": {"ec2:quota-addressnumber": "1"}},
                },
                version="2011-04-01",
            ),
            "NumericLessThanEquals",
        ),
    ],
)
def test_policies_that_limit_nothing_are_refused(sqlite_cloud: TestCloud, text: str, told: str) -> None:
    account = sqlite_cloud.account()
    with refused("MalformedPolicyDocumentException", 400) as message:
        sqlite_cloud.client("mallee").put_account_policy(AccountId=account.id, PolicyName="p", PolicyDocument=text)
    assert told in message()


def test_an_account_has_ten_policies(sqlite_cloud: TestCloud) -> None:
    mallee, account = sqlite_cloud.client("mallee"), sqlite_cloud.account()
    text = limit("ec2:quota-addressnumber", 1)
    for number in range(10):
        mallee.put_account_policy(AccountId=account.id, PolicyName=f"p{number}", PolicyDocument=text)
    mallee.put_account_policy(AccountId=account.id, PolicyName="p0", PolicyDocument=text)
    with refused("LimitExceededException", 400):
        mallee.put_account_policy(AccountId=account.id, PolicyName="p10", PolicyDocument=text)
    pages = mallee.get_paginator("list_account_policies").paginate(AccountId=account.id, PaginationConfig={"PageSize": 4})
    assert [len(page["Policies"]) for page in pages] == [4, 4, 2]
