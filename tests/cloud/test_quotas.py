"""Quotas hold: in the operations that add things, under Limit statements of users and accounts, and between calls at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cloud.harness import Account, TestCloud, refused

VCPUS = ("ec2", "L-1216C47A")


def give(cloud: TestCloud, account: Account, quota: tuple[str, str], value: float) -> None:
    service, code = quota
    cloud.client("mallee").put_account_quota(AccountId=account.id, ServiceCode=service, QuotaCode=code, Value=value)


def launch(cloud: TestCloud, account: Account, least: int = 1, most: int = 1, **more: Any) -> list[str]:
    wish = {"ImageId": cloud.image_id, "InstanceType": "t3.nano", "MinCount": least, "MaxCount": most} | more
    return [each["InstanceId"] for each in account.client("ec2").run_instances(**wish)["Instances"]]


def limits(*pairs: tuple[str, float], action: str = "*") -> str:
    statements = [
        {"Effect": "Limit", "Action": action, "Resource": "*", "Condition": {"NumericLessThanEquals": {key: str(most)}}}
        for key, most in pairs
    ]
    return json.dumps({"Version": "2011-04-01", "Statement": statements})


ALLOW = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


def member(cloud: TestCloud, account: Account, name: str, *policies: str) -> Account:
    """A user who may do everything, within the limits of ``policies``."""
    from mallee.identity.setup import Credentials

    iam = account.client("iam")
    iam.create_user(UserName=name)
    for number, text in enumerate((ALLOW, *policies)):
        iam.put_user_policy(UserName=name, PolicyName=f"p{number}", PolicyDocument=text)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Account(cloud, Credentials(account.id, key["AccessKeyId"], key["SecretAccessKey"]))


# ----------------------------------------------------------------------------------------------------------- instances


def test_processors_that_run(cloud: TestCloud) -> None:
    account = cloud.account()
    give(cloud, account, VCPUS, 4)  # two t3.nano of two processors each
    first = launch(cloud, account)
    assert len(launch(cloud, account, 1, 5)) == 1  # what the quota leaves, as in AWS
    with refused("VcpuLimitExceeded", 400) as message:
        launch(cloud, account)
    assert "You have requested more vCPU capacity than your current vCPU limit of 4 allows for the instance bucket" in message()
    assert len(account.client("ec2").describe_instances()["Reservations"]) == 2
    cloud.run()
    account.client("ec2").stop_instances(InstanceIds=first)
    cloud.run(seconds=300)
    second = launch(cloud, account)
    with refused("VcpuLimitExceeded", 400):
        account.client("ec2").start_instances(InstanceIds=first)
    account.client("ec2").start_instances(InstanceIds=second)  # it runs already
    account.client("ec2").terminate_instances(InstanceIds=second)
    cloud.run(seconds=60)
    account.client("ec2").start_instances(InstanceIds=first)


def test_other_accounts_do_not_count(sqlite_cloud: TestCloud) -> None:
    account = sqlite_cloud.account()
    launch(sqlite_cloud, sqlite_cloud.admin, 3, 3)
    give(sqlite_cloud, account, VCPUS, 2)
    launch(sqlite_cloud, account)
    with refused("VcpuLimitExceeded", 400):
        launch(sqlite_cloud, account)


def test_a_dry_run_counts_too(sqlite_cloud: TestCloud) -> None:
    account = sqlite_cloud.account()
    give(sqlite_cloud, account, VCPUS, 0)
    with refused("VcpuLimitExceeded", 400):
        launch(sqlite_cloud, account, DryRun=True)


@pytest.mark.parametrize(
    ("code", "value", "error"),
    [
        ("mallee-instances", 2, "InstanceLimitExceeded"),
        ("mallee-instances-active", 2, "InstanceLimitExceeded"),
        ("mallee-memory", 1024, "InstanceLimitExceeded"),
        ("mallee-disks", 2, "InstanceLimitExceeded"),
    ],
)
def test_measures_without_default(sqlite_cloud: TestCloud, code: str, value: float, error: str) -> None:
    account = sqlite_cloud.account()
    size = {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 1}}]}
    give(sqlite_cloud, account, ("ec2", code), value)
    assert len(launch(sqlite_cloud, account, 1, 9, **size)) == 2
    with refused(error, 400) as message:
        launch(sqlite_cloud, account, **size)
    assert str(value) in message()


def test_stopped_instances_exist(sqlite_cloud: TestCloud) -> None:
    account = sqlite_cloud.account()
    give(sqlite_cloud, account, ("ec2", "mallee-instances"), 1)
    mine = launch(sqlite_cloud, account)
    sqlite_cloud.run()
    account.client("ec2").stop_instances(InstanceIds=mine)
    sqlite_cloud.run(seconds=300)
    with refused("InstanceLimitExceeded", 400):
        launch(sqlite_cloud, account)
    account.client("ec2").terminate_instances(InstanceIds=mine)
    sqlite_cloud.run()
    launch(sqlite_cloud, account)


# ------------------------------------------------------------------------------------------------------------ networks


def test_groups_and_rules(sqlite_cloud: TestCloud) -> None:
    account = sqlite_cloud.account()
    ec2 = account.client("ec2")
    for quota, value in ((("vpc", "L-E79EC296"), 3), (("vpc", "L-0EA8095F"), 2), (("vpc", "L-2AFB9258"), 1)):
        give(sqlite_cloud, account, quota, value)
    groups = [ec2.create_security_group(GroupName=f"g{number}", Description="d")["GroupId"] for number in range(2)]
    with refused("SecurityGroupLimitExceeded", 400):
        ec2.create_security_group(GroupName="g2", Description="d")
    for port in (1, 2):
        ec2.authorize_security_group_ingress(GroupId=groups[0], IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="10.0.0.0/8")
    with refused("RulesPerSecurityGroupLimitExceeded", 400):
        ec2.authorize_security_group_ingress(GroupId=groups[0], IpProtocol="tcp", FromPort=3, ToPort=3, CidrIp="10.0.0.0/8")
    with refused("SecurityGroupsPerInterfaceLimitExceeded", 400):
        launch(sqlite_cloud, account, SecurityGroupIds=groups)
    give(sqlite_cloud, account, ("vpc", "L-2AFB9258"), 2)
    launch(sqlite_cloud, account, SecurityGroupIds=groups)


# ---------------------------------------------------------------------------------------------------------------- IAM


@pytest.mark.parametrize(
    ("code", "operation", "input"),
    [
        ("L-F55AF5E4", "create_user", {"UserName": "n{}"}),
        ("L-F4A5425F", "create_group", {"GroupName": "n{}"}),
        ("L-6E65F664", "create_instance_profile", {"InstanceProfileName": "n{}"}),
        ("L-E95E4862", "create_policy", {"PolicyName": "n{}", "PolicyDocument": ALLOW.replace("{", "{{").replace("}", "}}")}),
        (
            "L-FE177D64",
            "create_role",
            {
                "RoleName": "n{}",
                "AssumeRolePolicyDocument": json.dumps(
                    {
                        "Version": "2012-10-17",
                        "Statement": [
                            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
                        ],
                    }
                )
                .replace("{", "{{")
                .replace("}", "}}"),
            },
        ),
    ],
)
def test_iams_resources(sqlite_cloud: TestCloud, code: str, operation: str, input: dict[str, str]) -> None:
    account = sqlite_cloud.account()
    give(sqlite_cloud, account, ("iam", code), 2)
    create = getattr(account.client("iam"), operation)
    for number in range(2):
        create(**{name: value.format(number) for name, value in input.items()})
    with refused("LimitExceeded", 409) as message:
        create(**{name: value.format(2) for name, value in input.items()})
    assert message().endswith(": 2")
    give(sqlite_cloud, account, ("iam", code), 3)
    create(**{name: value.format(2) for name, value in input.items()})


# ------------------------------------------------------------------------------------------------- Limit statements


def test_a_users_own_limit_counts_what_the_user_made(cloud: TestCloud) -> None:
    account = cloud.account()
    launch(cloud, account, 3, 3)  # the root's do not count against alice
    alice = member(cloud, account, "alice", limits(("ec2:quota-vminstancenumber", 2)))
    bob = member(cloud, account, "bob")
    mine = launch(cloud, alice, 1, 5)
    assert len(mine) == 2
    with refused("InstanceLimitExceeded", 400):
        launch(cloud, alice)
    launch(cloud, bob)
    cloud.run()
    alice.client("ec2").terminate_instances(InstanceIds=mine[:1])
    cloud.run()
    launch(cloud, alice)


def test_the_smallest_limit_holds(cloud: TestCloud) -> None:
    account = cloud.account()
    key = "ec2:quota-addressnumber"
    mallee = cloud.client("mallee")
    alice = member(cloud, account, "alice", limits((key, 4)), limits((key, 2)))
    mallee.put_account_policy(AccountId=account.id, PolicyName="a", PolicyDocument=limits((key, 3)))
    ec2 = alice.client("ec2")
    for _ in range(2):
        ec2.allocate_address()
    with refused("AddressLimitExceeded", 400):
        ec2.allocate_address()
    account.client("ec2").allocate_address()
    with refused("AddressLimitExceeded", 400):
        account.client("ec2").allocate_address()
    mallee.put_account_policy(AccountId=account.id, PolicyName="b", PolicyDocument=limits((key, 1)))
    with refused("AddressLimitExceeded", 400):
        account.client("ec2").allocate_address()


def test_attached_policies_limit_and_groups_do_not(sqlite_cloud: TestCloud) -> None:
    account = sqlite_cloud.account()
    iam, text = account.client("iam"), limits(("iam:quota-usernumber", 0))
    attached, grouped = member(sqlite_cloud, account, "attached"), member(sqlite_cloud, account, "grouped")
    arn = iam.create_policy(PolicyName="limited", PolicyDocument=text)["Policy"]["Arn"]
    iam.attach_user_policy(UserName="attached", PolicyArn=arn)
    iam.create_group(GroupName="g")
    iam.put_group_policy(GroupName="g", PolicyName="p", PolicyDocument=text)
    iam.add_user_to_group(GroupName="g", UserName="grouped")
    with refused("LimitExceeded", 409):
        attached.client("iam").create_user(UserName="one")
    grouped.client("iam").create_user(UserName="one")


def test_a_limit_is_of_the_action_it_names(sqlite_cloud: TestCloud) -> None:
    account = sqlite_cloud.account()
    text = limits(("iam:quota-groupnumber", 0), ("iam:quota-usernumber", 0), action="iam:CreateGroup")
    alice = member(sqlite_cloud, account, "alice", text)
    alice.client("iam").create_user(UserName="one")
    with refused("LimitExceeded", 409):
        alice.client("iam").create_group(GroupName="one")


def test_a_limit_allows_nothing(sqlite_cloud: TestCloud) -> None:
    account = sqlite_cloud.account()
    iam = account.client("iam")
    alice = member(sqlite_cloud, account, "alice", limits(("ec2:quota-addressnumber", 5)))
    iam.delete_user_policy(UserName="alice", PolicyName="p0")
    with refused("UnauthorizedOperation", 403):
        alice.client("ec2").allocate_address()


def test_administrators_are_exempt_from_limits_not_from_quotas(cloud: TestCloud) -> None:
    alice = member(cloud, cloud.admin, "alice", limits(("ec2:quota-addressnumber", 0)))
    for _ in range(5):
        alice.client("ec2").allocate_address()
    with refused("AddressLimitExceeded", 400):
        alice.client("ec2").allocate_address()


# ------------------------------------------------------------------------------------------------------------ at once


def test_calls_at_once_do_not_pass_together(cloud: TestCloud) -> None:
    account = cloud.account()
    ec2, iam = account.client("ec2"), account.client("iam")
    give(cloud, account, ("iam", "L-F55AF5E4"), 3)

    def tried(make: Any) -> str:
        try:
            make()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "made"

    wishes = [ec2.allocate_address] * 9 + [lambda name=f"u{number}": iam.create_user(UserName=name) for number in range(9)]
    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(tried, wishes))
    assert sorted(told[:9]) == ["AddressLimitExceeded"] * 4 + ["made"] * 5
    assert sorted(told[9:]) == ["LimitExceeded"] * 6 + ["made"] * 3
    assert len(ec2.describe_addresses()["Addresses"]) == 5
    assert len(iam.list_users()["Users"]) == 3


def test_launches_at_once_share_what_is_left(cloud: TestCloud) -> None:
    account = cloud.account()
    give(cloud, account, VCPUS, 8)
    image = cloud.image_id

    def run(_: int) -> int:
        try:
            wish = {"ImageId": image, "InstanceType": "t3.nano", "MinCount": 1, "MaxCount": 2}
            return len(account.client("ec2").run_instances(**wish)["Instances"])
        except ClientError as error:
            assert error.response["Error"]["Code"] == "VcpuLimitExceeded"
            return 0

    account.client("ec2")
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(run, range(6))) == 4
