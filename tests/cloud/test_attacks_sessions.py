"""Attacks on what is remembered, and on signing in: changes that take effect too late, names that are queries elsewhere, limits that two
pass at once."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mallee.identity import principals, quotas, records, sessions
from mallee.identity.records import roles
from tests.cloud import iam as tools
from tests.cloud import people, sts
from tests.cloud.harness import ADMIN, Account, TestCloud, refused

USER = f"arn:aws:iam::{ADMIN}:user"
ALL = sts.allow("*")

Change = Callable[[Any], Any]

# how somebody who may do nothing comes to describe VPCs, and how it is taken away again
CHANGES: dict[str, tuple[Change, Change]] = {
    "an inline policy": (
        lambda iam: iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=ALL),
        lambda iam: iam.delete_user_policy(UserName="alice", PolicyName="p"),
    ),
    "another inline policy in its place": (
        lambda iam: iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=ALL),
        lambda iam: iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=sts.allow("s3:*")),
    ),
    "an attached policy": (
        lambda iam: iam.attach_user_policy(UserName="alice", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"),
        lambda iam: iam.detach_user_policy(UserName="alice", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"),
    ),
    "a version of a policy": (
        lambda iam: iam.set_default_policy_version(PolicyArn=f"arn:aws:iam::{ADMIN}:policy/managed", VersionId="v1"),
        lambda iam: iam.set_default_policy_version(PolicyArn=f"arn:aws:iam::{ADMIN}:policy/managed", VersionId="v2"),
    ),
    "a membership": (
        lambda iam: iam.add_user_to_group(GroupName="bosses", UserName="alice"),
        lambda iam: iam.remove_user_from_group(GroupName="bosses", UserName="alice"),
    ),
    "a group's inline policy": (
        lambda iam: iam.put_group_policy(GroupName="staff", PolicyName="p", PolicyDocument=ALL),
        lambda iam: iam.delete_group_policy(GroupName="staff", PolicyName="p"),
    ),
    "a group's attached policy": (
        lambda iam: iam.attach_group_policy(GroupName="staff", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"),
        lambda iam: iam.detach_group_policy(GroupName="staff", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"),
    ),
    "a tag": (
        lambda iam: iam.tag_user(UserName="alice", Tags=[{"Key": "team", "Value": "red"}]),
        lambda iam: iam.untag_user(UserName="alice", TagKeys=["team"]),
    ),
    "a boundary": (
        lambda iam: iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=ALL),
        lambda iam: iam.put_user_permissions_boundary(
            UserName="alice", PermissionsBoundary=f"arn:aws:iam::{ADMIN}:policy/managed"
        ),
    ),
}


def sees(who: Account) -> bool:
    try:
        who.client("ec2").describe_vpcs()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "UnauthorizedOperation"
        return False
    return True


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_taken_is_gone_at_once(sqlite_cloud: TestCloud, change: str) -> None:
    """For the user's keys and sessions alike: nothing that this process remembers outlives the commit."""
    iam = sqlite_cloud.client("iam")
    held = {"Condition": {"StringEquals": {"aws:PrincipalTag/team": "red"}}, "Action": "ec2:*", "Resource": "*"}
    alice = people.user(sqlite_cloud, "alice")
    iam.create_policy(PolicyName="tagged", PolicyDocument=sts.policy(held))
    iam.attach_user_policy(UserName="alice", PolicyArn=f"arn:aws:iam::{ADMIN}:policy/tagged")
    iam.create_policy(PolicyName="managed", PolicyDocument=ALL)
    iam.create_policy_version(
        PolicyArn=f"arn:aws:iam::{ADMIN}:policy/managed", PolicyDocument=sts.allow("s3:*"), SetAsDefault=True
    )
    iam.attach_user_policy(UserName="alice", PolicyArn=f"arn:aws:iam::{ADMIN}:policy/managed")
    for name in ("bosses", "staff"):
        iam.create_group(GroupName=name)
    iam.put_group_policy(GroupName="bosses", PolicyName="p", PolicyDocument=ALL)
    iam.add_user_to_group(GroupName="staff", UserName="alice")
    session = sts.session(alice)
    given, taken = CHANGES[change]
    assert not sees(alice) and not sees(session)
    given(iam)
    assert sees(alice) and sees(session)
    taken(iam)
    assert not sees(alice) and not sees(session)


def test_a_service_control_policy_counts_at_once(sqlite_cloud: TestCloud) -> None:
    """For the root of the account, its users and their sessions."""
    mallee, other = sqlite_cloud.client("mallee"), sqlite_cloud.account("other")
    user = sts.user(other, "ursula", "*")
    everybody = [other, user, sts.session(other), sts.session(user)]
    deny = sts.policy({"Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "ec2:*", "Resource": "*"})
    made = mallee.create_service_control_policy(Name="s", Description="d", Document=sts.allow("*"))["Policy"]["PolicyId"]
    for change, seen in (
        (lambda: None, True),
        (lambda: mallee.attach_service_control_policy(PolicyId=made, TargetId=other.id), True),
        (lambda: mallee.update_service_control_policy(PolicyId=made, Document=deny), False),
        (lambda: mallee.update_service_control_policy(PolicyId=made, Document=sts.allow("*")), True),
        (lambda: mallee.update_service_control_policy(PolicyId=made, Document=deny), False),
        (lambda: mallee.detach_service_control_policy(PolicyId=made, TargetId=other.id), True),
    ):
        change()
        assert [sees(each) for each in everybody] == [seen] * 4


def test_keys_end_at_once(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    alice = people.user(sqlite_cloud, "alice", "*")
    key = alice.credentials.access_key_id
    session = sts.session(alice)
    assert sees(alice)
    iam.update_access_key(UserName="alice", AccessKeyId=key, Status="Inactive")
    with refused("AuthFailure", 401):
        alice.client("ec2").describe_vpcs()
    assert sees(session)  # as in AWS: a session is the user's, not the key's
    iam.update_access_key(UserName="alice", AccessKeyId=key, Status="Active")
    assert sees(alice)
    iam.delete_access_key(UserName="alice", AccessKeyId=key)
    with refused("AuthFailure", 401):
        alice.client("ec2").describe_vpcs()


def test_an_instance_s_credentials_end_with_account_role_and_time(sqlite_cloud: TestCloud) -> None:
    other = sqlite_cloud.account("other")
    for name in ("first", "second", "third"):
        sts.role(other, name, tools.EC2, "ec2:*")

    def issued(name: str) -> Account:
        with sqlite_cloud.database.reading(other.id) as tx:
            role = roles.role_by_name(tx, other.id, name)
            assert role is not None
            made = sessions.for_instance(
                sqlite_cloud.cloud.vault, role, tx.now, instance_id="i-0123456789abcdef0", instance_arn="arn:aws:ec2:local-1:x:instance/i",
                vpc_id="vpc-1", private_ip="10.0.0.1",
            )  # fmt: skip
        return sqlite_cloud.session(made.described(), other.id)

    first, second, third = issued("first"), issued("second"), issued("third")
    assert sees(first) and sees(second) and sees(third)
    iam = other.client("iam")
    iam.delete_role_policy(RoleName="first", PolicyName="may")
    assert not sees(first)
    iam.delete_role(RoleName="first")
    with refused("AuthFailure", 401):
        first.client("ec2").describe_vpcs()
    sqlite_cloud.clock.advance(6 * 3600 + 1)
    with refused("RequestExpired") as told:
        second.client("ec2").describe_vpcs()
    assert told()
    third = issued("third")
    sqlite_cloud.client("mallee").close_account(AccountId=other.id)
    with refused("AuthFailure", 401):
        third.client("ec2").describe_vpcs()


@pytest.mark.parametrize("kind", ["session", "role", "federated"])
def test_an_expired_session_is_over(sqlite_cloud: TestCloud, kind: str) -> None:
    """To the second, whatever was remembered of it."""
    alice = sts.user(sqlite_cloud.admin, "alice", "*")
    role = sts.role(sqlite_cloud.admin, "worker", sts.trust(f"{USER}/alice"), "*")
    talk = alice.client("sts")
    told = {
        "session": lambda: talk.get_session_token(DurationSeconds=900),
        "role": lambda: talk.assume_role(RoleArn=role, RoleSessionName="me", DurationSeconds=900),
        "federated": lambda: talk.get_federation_token(Name="fred", Policy=ALL, DurationSeconds=900),
    }[kind]()["Credentials"]
    who = sqlite_cloud.session(told, ADMIN)
    assert sees(who)
    sqlite_cloud.clock.advance((told["Expiration"] - sqlite_cloud.clock.now()).total_seconds() - 0.5)
    assert sees(who)
    sqlite_cloud.clock.advance(1)
    for call in (who.client("ec2").describe_vpcs, who.client("sts").get_caller_identity):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] in ("RequestExpired", "ExpiredToken")


def test_a_removed_user_is_gone_at_once(sqlite_cloud: TestCloud) -> None:
    """By a directory's clean deletion, too, which asks nobody."""
    alice = people.user(sqlite_cloud, "alice", "*")
    session = sts.session(alice)
    assert sees(alice) and sees(session)
    with sqlite_cloud.database.transaction() as tx:
        user = records.user_by_name(tx, ADMIN, "alice")
        assert user is not None
        principals.remove_user(tx, user)
    for each in (alice, session):
        with refused("AuthFailure", 401):
            each.client("ec2").describe_vpcs()


# ---------------------------------------------------------------------------------------------------------------- sign-in

PASSWORD = "Correct-horse-7"


@pytest.fixture
def carol(sqlite_cloud: TestCloud) -> TestCloud:
    sqlite_cloud.client("iam").create_user(UserName="carol")
    sqlite_cloud.client("iam").create_login_profile(UserName="carol", Password=PASSWORD)
    return sqlite_cloud


@pytest.mark.parametrize(
    ("account", "name"),
    [
        ("mallee", "*"), ("mallee", "car*"), ("mallee", "*)(uid=*"), ("mallee", "carol)(|(uid=*"), ("mallee", "carol\\2a"), ("*", "carol"),
        ("mallee", "carol,ou=people,dc=example"), ("mallee", "uid=carol"), ("mallee", 'carol",authzid="root'), ("mallee", "carol\n"),
        ("mallee", "ｃarol"), ("mallee", "carol/x"), ("MALLEE", "carol"), ("mallee ", "carol"), (f"{ADMIN}\n", "carol"),
        ("１２３４５６７８９０１２", "carol"), ("mallee' or '1'='1", "carol"), ("mallee", "carol' or '1'='1"), ("mallee", "%"), ("mallee", "_arol"),
    ],
)  # fmt: skip
def test_a_name_is_no_query(carol: TestCloud, account: str, name: str) -> None:
    """Of a directory, a database or a pattern: it is compared as it is."""
    with pytest.raises(ClientError) as caught:
        carol.client("mallee", validate=False).sign_in(Account=account, UserName=name, Password=PASSWORD)
    assert caught.value.response["Error"]["Code"] in ("SignInFailedException", "ValidationException")


@pytest.mark.parametrize(
    "password", [PASSWORD + "\n", f" {PASSWORD}", PASSWORD.swapcase(), PASSWORD + "\u200b", PASSWORD[:-1], "*", ""]
)
def test_a_password_is_whole(carol: TestCloud, password: str) -> None:
    with pytest.raises(ClientError) as caught:
        carol.client("mallee", validate=False).sign_in(Account="mallee", UserName="carol", Password=password)
    assert caught.value.response["Error"]["Code"] in ("SignInFailedException", "ValidationException")


def test_who_signed_in_has_the_user_s_rights_and_no_more(carol: TestCloud) -> None:
    """A session like others: bounded, ended by the user's end, and no source of further credentials."""
    told = carol.client("mallee").sign_in(Account="mallee", UserName="carol", Password=PASSWORD)["Credentials"]
    who = carol.session(told, ADMIN)
    assert not sees(who)
    carol.client("iam").put_user_policy(UserName="carol", PolicyName="p", PolicyDocument=ALL)
    assert sees(who)
    for call in ("get_session_token", "get_federation_token"):
        with refused("AccessDenied", 403):
            getattr(who.client("sts"), call)(**({"Name": "fred"} if "federation" in call else {}))
    carol.client("iam").delete_login_profile(UserName="carol")
    with refused("SignInFailedException"):
        carol.client("mallee").sign_in(Account="mallee", UserName="carol", Password=PASSWORD)


def test_a_sign_in_cannot_choose_its_user(carol: TestCloud) -> None:
    """Signed by somebody else, with credentials in the request, it is about whom the password is of."""
    carol.client("iam").create_user(UserName="boss")
    mallory = people.user(carol, "mallory", "*")
    answer = mallory.client("mallee").sign_in(Account="mallee", UserName="carol", Password=PASSWORD)
    assert answer["UserArn"] == f"{USER}/carol"
    with refused("SignInFailedException"):
        mallory.client("mallee").sign_in(Account="mallee", UserName="boss", Password=PASSWORD)


# ------------------------------------------------------------------------------------------------------------------ races


@pytest.mark.parametrize("what", ["users", "roles", "keys"])
def test_two_at_once_do_not_both_get_the_last_place(cloud: TestCloud, what: str) -> None:
    iam = cloud.client("iam")
    if what == "keys":
        iam.create_user(UserName="alice")
        calls = tools.at_once(cloud, 4, lambda each: each.create_access_key(UserName="alice"))
        assert calls == ["LimitExceeded"] * 2 + ["done"] * 2
        assert len(iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]) == 2
        return
    quota = quotas.USERS if what == "users" else quotas.ROLES
    tools.allow(cloud, quota, len(iam.list_users()["Users"] if what == "users" else iam.list_roles()["Roles"]) + 1)
    numbers = iter(range(100))

    def make(each: Any) -> None:
        name = f"n{next(numbers)}"
        if what == "users":
            each.create_user(UserName=name)
        else:
            each.create_role(RoleName=name, AssumeRolePolicyDocument=tools.EC2)

    assert tools.at_once(cloud, 4, make) == ["LimitExceeded"] * 3 + ["done"]


# ------------------------------------------------------------------------------------------------- answers that are remembered


def test_an_answer_is_remembered_for_nobody_else(sqlite_cloud: TestCloud) -> None:
    """Of the sessions of one role, which share its policies: by name, tags, source identity, address, agent and resource."""
    who = sts.user(sqlite_cloud.admin, "alice", "sts:*")
    actions = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
    role = sts.role(sqlite_cloud.admin, "worker", sts.trust(f"{USER}/alice", actions=actions))
    iam, ec2 = sqlite_cloud.client("iam"), sqlite_cloud.client("ec2")
    groups = [ec2.create_security_group(GroupName=name, Description="d")["GroupId"] for name in ("red", "blue")]
    ec2.create_tags(Resources=[groups[0]], Tags=[{"Key": "team", "Value": "red"}])
    red = sts.assume(who, role, "red", Tags=[{"Key": "team", "Value": "red"}], SourceIdentity="red")
    blue = sts.assume(who, role, "blue", Tags=[{"Key": "team", "Value": "blue"}], SourceIdentity="blue")
    plain = sts.assume(who, role, "plain")
    for condition in (
        {"StringEquals": {"aws:PrincipalTag/team": "red"}},
        {"StringLike": {"aws:userid": "*:red"}},
        {"StringEquals": {"aws:SourceIdentity": "red"}},
        {"StringEquals": {"aws:PrincipalTag/Team": "red"}},
        {"Null": {"aws:PrincipalTag/team": "false"}, "StringNotEquals": {"aws:PrincipalTag/team": "blue"}},
        {"StringEquals": {"aws:SourceIdentity": "${aws:PrincipalTag/team}"}, "StringLike": {"aws:userid": "*:r*"}},
    ):
        document = sts.policy({"Action": "ec2:*", "Resource": "*", "Condition": condition})
        iam.put_role_policy(RoleName="worker", PolicyName="may", PolicyDocument=document)
        for _ in range(2):
            assert [sees(each) for each in (red, blue, plain, red)] == [True, False, False, True], condition
            assert [sees(each) for each in (plain, blue, red)] == [False, False, True], condition
    held = {"StringEquals": {"ec2:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    document = sts.policy({"Action": "ec2:DeleteSecurityGroup", "Resource": "*", "Condition": held})
    iam.put_role_policy(RoleName="worker", PolicyName="may", PolicyDocument=document)
    for each, group in ((blue, groups[0]), (red, groups[1]), (plain, groups[0])):
        with refused("UnauthorizedOperation", 403):
            each.client("ec2").delete_security_group(GroupId=group)
    ec2.create_tags(Resources=[groups[1]], Tags=[{"Key": "team", "Value": "red"}])  # the same question, another answer
    for group in groups:
        red.client("ec2").delete_security_group(GroupId=group)


def test_an_answer_is_not_remembered_for_another_place_or_time(sqlite_cloud: TestCloud) -> None:
    alice = people.user(sqlite_cloud, "alice")
    iam = sqlite_cloud.client("iam")
    soon = (sqlite_cloud.clock.now() + datetime.timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for condition, there, then in (
        ({"DateLessThan": {"aws:CurrentTime": soon}}, True, False),
        ({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, False, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, True, True),
    ):
        document = sts.policy({"Action": "ec2:*", "Resource": "*", "Condition": condition})
        iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=document)
        assert sees(alice) and sees(alice), condition
        sqlite_cloud.address = "198.51.100.1"
        assert sees(alice) == there, condition
        sqlite_cloud.address = "192.0.2.1"
        assert sees(alice), condition
        sqlite_cloud.clock.advance(301)
        assert sees(alice) == then, condition
