"""Who may do what, through the whole cloud: policies from IAM, questions from each operation, refusals in AWS's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mallee.identity import denials, grants
from mallee.identity.records import control, uses
from tests.cloud.harness import ADMIN, Account, TestCloud, refused
from tests.cloud.iam import EC2, trusting
from tests.cloud.sts import assume

REGION = "local-1"
AWS = "arn:aws:iam::aws:policy"
INSTANCES = f"arn:aws:ec2:{REGION}:{ADMIN}:instance"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*"} | each for each in statements]}
    )


def person(cloud: TestCloud, *statements: dict[str, Any], name: str = "bob", account: Account | None = None) -> Account:
    """A user who may do what the statements say."""
    owner = account or cloud.admin
    made = cloud.user(name, owner)
    if statements:
        owner.client("iam").put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
    return made


def launch(account: Account, **tags: str) -> str:
    cloud = account.cloud
    given = [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}] if tags else []
    made = account.client("ec2").run_instances(
        ImageId=cloud.image_id, MinCount=1, MaxCount=1, InstanceType="t3.nano", TagSpecifications=given
    )
    return str(made["Instances"][0]["InstanceId"])


# ------------------------------------------------------------------------------------------------------------- sentences


def test_what_nobody_allowed_is_denied_in_each_service_s_words(sqlite_cloud: TestCloud) -> None:
    bob = person(sqlite_cloud)
    who = f"User: arn:aws:iam::{ADMIN}:user/bob is not authorized to perform:"
    with refused("UnauthorizedOperation", 403) as text:
        bob.client("ec2").describe_instances()
    because = "because no identity-based policy allows the ec2:DescribeInstances action"
    assert text() == f"You are not authorized to perform this operation. {who} ec2:DescribeInstances {because}"
    with refused("AccessDenied", 403) as text:
        bob.client("iam").get_user(UserName="eve")
    resource = f"arn:aws:iam::{ADMIN}:user/eve"
    assert text() == f"{who} iam:GetUser on resource: {resource} because no identity-based policy allows the iam:GetUser action"
    assert bob.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ADMIN}:user/bob"
    assert sqlite_cloud.cloud.dispatcher.faults == 0


def test_each_layer_has_its_sentence(sqlite_cloud: TestCloud) -> None:
    cloud, root = sqlite_cloud, sqlite_cloud.client("iam")
    bob = person(cloud, {"Action": "*"})
    ec2 = bob.client("ec2")
    ec2.describe_vpcs()
    root.put_user_permissions_boundary(UserName="bob", PermissionsBoundary=f"{AWS}/IAMReadOnlyAccess")
    with refused("UnauthorizedOperation") as text:
        ec2.describe_vpcs()
    assert text().endswith("because no permissions boundary allows the ec2:DescribeVpcs action")
    root.delete_user_permissions_boundary(UserName="bob")
    ec2.describe_vpcs()
    root.put_user_policy(UserName="bob", PolicyName="not", PolicyDocument=document({"Effect": "Deny", "Action": "ec2:Describe*"}))
    with refused("UnauthorizedOperation") as text:
        ec2.describe_vpcs()
    assert text().endswith("ec2:DescribeVpcs with an explicit deny in an identity-based policy")


def test_dry_runs_tell_whether_it_would_be_allowed(sqlite_cloud: TestCloud) -> None:
    mine = launch(sqlite_cloud.admin)
    sqlite_cloud.run()
    bob = person(sqlite_cloud, {"Action": "ec2:StopInstances", "Resource": f"{INSTANCES}/{mine}"})
    with refused("DryRunOperation", 412):
        bob.client("ec2").stop_instances(InstanceIds=[mine], DryRun=True)
    with refused("UnauthorizedOperation", 403):
        bob.client("ec2").terminate_instances(InstanceIds=[mine], DryRun=True)
    with refused("UnauthorizedOperation", 403):
        bob.client("ec2").run_instances(ImageId=sqlite_cloud.image_id, MinCount=1, MaxCount=1, DryRun=True)


# ------------------------------------------------------------------------------------------------- where policies come from


def test_groups_and_managed_policies(cloud: TestCloud) -> None:
    root, bob = cloud.client("iam"), person(cloud)
    ec2 = bob.client("ec2")
    root.create_group(GroupName="crew")
    root.attach_group_policy(GroupName="crew", PolicyArn=f"{AWS}/AmazonEC2ReadOnlyAccess")
    with refused("UnauthorizedOperation"):
        ec2.describe_instances()
    root.add_user_to_group(GroupName="crew", UserName="bob")
    ec2.describe_instances()
    with refused("UnauthorizedOperation"):
        ec2.allocate_address()
    made = root.create_policy(PolicyName="addresses", PolicyDocument=document({"Action": "ec2:AllocateAddress"}))["Policy"]["Arn"]
    root.attach_user_policy(UserName="bob", PolicyArn=made)
    address = ec2.allocate_address()["AllocationId"]
    root.create_policy_version(PolicyArn=made, PolicyDocument=document({"Action": "ec2:ReleaseAddress"}), SetAsDefault=True)
    with refused("UnauthorizedOperation"):
        ec2.allocate_address()
    ec2.release_address(AllocationId=address)
    root.set_default_policy_version(PolicyArn=made, VersionId="v1")
    with refused("UnauthorizedOperation"):
        ec2.release_address(AllocationId=address)
    root.detach_user_policy(UserName="bob", PolicyArn=made)
    with refused("UnauthorizedOperation"):
        ec2.allocate_address()
    root.put_group_policy(GroupName="crew", PolicyName="no", PolicyDocument=document({"Effect": "Deny", "Action": "*"}))
    with refused("UnauthorizedOperation"):
        ec2.describe_instances()
    root.remove_user_from_group(GroupName="crew", UserName="bob")
    with refused("UnauthorizedOperation"):
        ec2.describe_instances()


def test_a_session_s_own_policies_narrow(sqlite_cloud: TestCloud) -> None:
    root = sqlite_cloud.client("iam")
    role = root.create_role(RoleName="ops", AssumeRolePolicyDocument=trusting({"AWS": ADMIN}))["Role"]["Arn"]
    root.attach_role_policy(RoleName="ops", PolicyArn=f"{AWS}/AmazonEC2FullAccess")
    bob = person(sqlite_cloud, {"Action": "sts:AssumeRole"})
    whole = assume(bob, role).client("ec2")
    whole.allocate_address()
    narrow = assume(bob, role, Policy=document({"Action": ["ec2:Describe*", "iam:*"]})).client("ec2")
    narrow.describe_vpcs()
    with refused("UnauthorizedOperation") as text:
        narrow.allocate_address()
    assert "because no session policy allows the ec2:AllocateAddress action" in text()
    assert f"User: arn:aws:sts::{ADMIN}:assumed-role/ops/me is not" in text()
    by_arn = assume(bob, role, PolicyArns=[{"arn": f"{AWS}/IAMReadOnlyAccess"}]).client("ec2")
    with refused("UnauthorizedOperation"):
        by_arn.describe_vpcs()
    root.detach_role_policy(RoleName="ops", PolicyArn=f"{AWS}/AmazonEC2FullAccess")
    for client in (whole, narrow):
        with refused("UnauthorizedOperation"):
            client.describe_vpcs()


def test_service_control_policies(sqlite_cloud: TestCloud) -> None:
    other = sqlite_cloud.account("others")
    with sqlite_cloud.database.transaction() as tx:
        scp = control.add_scp(tx, "no-launch", "", document({"Effect": "Deny", "Action": "ec2:RunInstances"}))
        control.attach_scp(tx, scp.id, control.ROOT)
        grants.forget_after(tx)
    bob = person(sqlite_cloud, {"Action": "*"}, account=other)
    for somebody in (other, bob):
        with refused("UnauthorizedOperation") as text:
            launch(somebody)
        assert "with an explicit deny in a service control policy" in text()
        somebody.client("ec2").describe_instances()
    launch(sqlite_cloud.admin)


# --------------------------------------------------------------------------------------------------- resources and conditions


def test_one_instance_and_not_the_other(sqlite_cloud: TestCloud) -> None:
    mine, other = launch(sqlite_cloud.admin), launch(sqlite_cloud.admin)
    sqlite_cloud.run()
    bob = person(sqlite_cloud, {"Action": "ec2:*", "Resource": f"{INSTANCES}/{mine}"}).client("ec2")
    bob.stop_instances(InstanceIds=[mine])
    for ids in ([other], [mine, other], [other, mine]):
        with refused("UnauthorizedOperation") as text:
            bob.terminate_instances(InstanceIds=ids)
        assert f"on resource: {INSTANCES}/{other} because" in text()
    for shown in (mine.upper(), f"{mine} ", f"{mine}/x", "*", "", f"{mine}*"):
        with refused("UnauthorizedOperation"):
            bob.terminate_instances(InstanceIds=[shown])
    bob.terminate_instances(InstanceIds=[mine])


def test_by_tag_and_what_is_missing_looks_like_what_is_not_allowed(sqlite_cloud: TestCloud) -> None:
    red, blue = launch(sqlite_cloud.admin, team="red"), launch(sqlite_cloud.admin, team="blue")
    stranger = launch(sqlite_cloud.account(), team="red")
    only_red = {"Action": "ec2:*", "Condition": {"StringEquals": {"aws:ResourceTag/team": "red"}}}
    bob = person(sqlite_cloud, only_red).client("ec2")
    told = set()
    for instance_id in (blue, stranger, "i-0123456789abcdef0"):
        with refused("UnauthorizedOperation", 403) as text:
            bob.terminate_instances(InstanceIds=[instance_id])
        before, _, encoded = text().replace(instance_id, "ID").partition("Encoded authorization failure message: ")
        told.add((before, len(encoded)))
        seen = denials.decode(sqlite_cloud.cloud.vault, ADMIN, encoded)["context"]
        assert seen["resource"] == f"{INSTANCES}/{instance_id}"
        if instance_id != blue:
            assert not [
                each for each in seen["conditions"]["items"] if each["key"].startswith(("ec2:instance", "aws:resourcetag"))
            ]
    assert len(told) == 1
    with refused("UnauthorizedOperation"):
        bob.create_tags(Resources=[blue], Tags=[{"Key": "team", "Value": "red"}])
    bob.terminate_instances(InstanceIds=[red])


def test_launches_are_bound_to_their_type_and_their_tags(sqlite_cloud: TestCloud) -> None:
    cloud = sqlite_cloud
    bob = person(
        cloud,
        {
            "Action": "ec2:RunInstances",
            "Resource": f"{INSTANCES}/*",
            "Condition": {
                "StringEquals": {"ec2:InstanceType": "t3.nano", "aws:RequestTag/team": "red"},
                "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]},
            },
        },
        {
            "Action": "ec2:RunInstances",
            "Resource": [
                f"arn:aws:ec2:{REGION}:{ADMIN}:{each}/*" for each in ("subnet", "network-interface", "security-group", "volume")
            ]
            + [f"arn:aws:ec2:{REGION}::image/*"],
        },
        {"Action": "ec2:CreateTags", "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}}},
        {"Action": "ec2:DescribeImages"},
    )
    launch(bob, team="red")
    for tags in ({}, {"team": "blue"}, {"team": "red", "cost": "1"}):
        with refused("UnauthorizedOperation") as text:
            launch(bob, **tags)
        assert f"ec2:RunInstances on resource: {INSTANCES}/* because" in text()
    with refused("UnauthorizedOperation"):
        bob.client("ec2").run_instances(
            ImageId=cloud.image_id, MinCount=1, MaxCount=1, InstanceType="t3.micro",
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "red"}]}],
        )  # fmt: skip
    with refused("UnauthorizedOperation"):  # tags of their own they may not write
        bob.client("ec2").create_tags(Resources=["i-0123456789abcdef0"], Tags=[{"Key": "team", "Value": "red"}])


def test_passing_a_role_needs_permission(sqlite_cloud: TestCloud) -> None:
    cloud, root = sqlite_cloud, sqlite_cloud.client("iam")
    role = root.create_role(RoleName="power", AssumeRolePolicyDocument=EC2)["Role"]["Arn"]
    root.create_instance_profile(InstanceProfileName="power")
    root.add_role_to_instance_profile(InstanceProfileName="power", RoleName="power")
    bob = person(cloud, {"Action": "ec2:*"})

    def run() -> None:
        bob.client("ec2").run_instances(
            ImageId=cloud.image_id, MinCount=1, MaxCount=1, InstanceType="t3.nano", IamInstanceProfile={"Name": "power"}
        )

    with refused("UnauthorizedOperation") as text:
        run()
    assert f"is not authorized to perform: iam:PassRole on resource: {role} because" in text()
    to = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    passing = document({"Action": "iam:PassRole", "Resource": role, "Condition": to})
    root.put_user_policy(UserName="bob", PolicyName="pass", PolicyDocument=passing)
    run()


@pytest.mark.parametrize(
    ("operator", "key", "value", "other"),
    [
        ("IpAddress", "aws:SourceIp", "192.0.2.0/24", "198.51.100.0/24"),
        ("StringEquals", "aws:RequestedRegion", REGION, "eu-central-1"),
        ("Bool", "aws:SecureTransport", "false", "true"),
        ("StringLike", "aws:UserAgent", "*Boto3*", "curl*"),
        ("ArnLike", "aws:PrincipalArn", f"arn:aws:iam::{ADMIN}:user/b*", f"arn:aws:iam::{ADMIN}:user/x*"),
        ("DateLessThan", "aws:CurrentTime", "2100-01-01T00:00:00Z", "2001-01-01T00:00:00Z"),
        ("StringEquals", "aws:username", "bob", "BOB"),
        ("StringEquals", "aws:PrincipalTag/team", "red", "blue"),
        ("StringEquals", "ec2:Region", REGION, "us-east-1"),
        ("Null", "aws:TokenIssueTime", "true", "false"),
    ],
)
def test_conditions_on_the_call(sqlite_cloud: TestCloud, operator: str, key: str, value: str, other: str) -> None:
    bob = person(sqlite_cloud, {"Action": "ec2:DescribeVpcs", "Condition": {operator: {key: value}}}).client("ec2")
    root = sqlite_cloud.client("iam")
    root.tag_user(UserName="bob", Tags=[{"Key": "team", "Value": "red"}])
    bob.describe_vpcs()
    wrong = document({"Action": "ec2:DescribeVpcs", "Condition": {operator: {key: other}}})
    root.put_user_policy(UserName="bob", PolicyName="own", PolicyDocument=wrong)
    with refused("UnauthorizedOperation"):
        bob.describe_vpcs()


def test_what_the_listener_knows(sqlite_cloud: TestCloud) -> None:
    secure = {"Bool": {"aws:SecureTransport": "true"}, "IpAddress": {"aws:SourceIp": "2001:db8::/32"}}
    bob = person(sqlite_cloud, {"Action": "ec2:DescribeVpcs", "Condition": secure}).client("ec2")
    sqlite_cloud.address = "2001:db8::7"
    with refused("UnauthorizedOperation"):
        bob.describe_vpcs()
    sqlite_cloud.scheme = "https"
    bob.describe_vpcs()
    sqlite_cloud.address = "192.0.2.1"
    with refused("UnauthorizedOperation"):
        bob.describe_vpcs()


# ------------------------------------------------------------------------------------------------------------- accounts


def test_no_policy_reaches_into_another_account(sqlite_cloud: TestCloud) -> None:
    """Whatever an account's policies say, what they are about is the account's own."""
    other = sqlite_cloud.account()
    theirs = launch(other, team="red")
    bob = person(
        sqlite_cloud,
        {"Action": "*"},
        {"Action": "*", "Resource": f"arn:aws:ec2:{REGION}:{other.id}:instance/{theirs}"},
    )
    with refused("InvalidInstanceID.NotFound", 400) as foreign:
        bob.client("ec2").terminate_instances(InstanceIds=[theirs])
    with refused("InvalidInstanceID.NotFound", 400) as missing:
        bob.client("ec2").terminate_instances(InstanceIds=["i-0123456789abcdef0"])
    assert foreign().replace(theirs, "ID") == missing().replace("i-0123456789abcdef0", "ID")


# ------------------------------------------------------------------------------------------------------------- last uses


def test_what_was_last_used(cloud: TestCloud) -> None:
    bob = person(cloud, {"Action": "ec2:DescribeVpcs"})
    key = bob.credentials.access_key_id
    bob.client("ec2").describe_vpcs()
    with refused("AccessDenied"):
        bob.client("iam").list_users()
    with cloud.database.reading() as tx:
        assert uses.key_use(tx, key) is None
    cloud.run()
    when = cloud.clock.now()
    with cloud.database.reading() as tx:
        found = uses.key_use(tx, key)
        assert found is not None and (found.service, found.region, found.used_at) == ("iam", REGION, when)
        holder = bob.client("sts").get_caller_identity()["UserId"]
        assert [(use.service, use.action) for use in uses.uses_of(tx, holder)] == [("ec2", "DescribeVpcs"), ("iam", "ListUsers")]
        assert uses.key_uses_of(tx, [key, "AKIANOBODY"]) == {key: found}
        assert uses.last_use(tx, "AIDANOBODY") is None
    cloud.clock.advance(60)
    bob.client("ec2").describe_vpcs()
    cloud.run()
    with cloud.database.reading() as tx:
        last = uses.last_use(tx, holder)
        assert last is not None and (last.action, last.used_at) == ("DescribeVpcs", cloud.clock.now())
        assert uses.last_uses(tx, [holder]) == {holder: last}
    with cloud.database.transaction() as tx:
        old = uses.KeyUse(key, when, "s3", REGION)
        uses.note(tx, [old, uses.KeyUse("AKIANOBODY", when, "s3", REGION)], [uses.ServiceUse("AIDAX", "s3", "X", when, REGION)])
    with cloud.database.transaction() as tx:
        newest = uses.key_use(tx, key)
        assert newest is not None and newest.service == "ec2"  # a stamp never goes back
        assert uses.key_use(tx, "AKIANOBODY") is None and uses.uses_of(tx, "AIDAX") == []  # nobody's are dropped
        uses.forget_key(tx, key)
        uses.forget_holder(tx, holder)
        assert uses.key_use(tx, key) is None and uses.uses_of(tx, holder) == []
