"""AssumeRole: whom a role trusts, what more is needed, what the session can do, and every way of being refused."""

from __future__ import annotations

import datetime
import json

import pytest

from mallee.identity import keys, records
from mallee.identity.records import roles
from tests.cloud import sts
from tests.cloud.harness import ADMIN, Account, TestCloud, refused
from tests.cloud.sts import allow, assume, identity, role, trust, user

USER = f"arn:aws:iam::{ADMIN}:user/alice"


@pytest.fixture
def alice(sqlite_cloud: TestCloud) -> Account:
    """A user who may do nothing."""
    return user(sqlite_cloud.admin, "alice")


def denied(arn: str, action: str = "sts:AssumeRole", who: str = USER) -> str:
    return f"User: {who} is not authorized to perform: {action} on resource: {arn}"


# --------------------------------------------------------------------------------------------------------------- the session


def test_a_role_is_assumed_and_used(cloud: TestCloud) -> None:
    alice = user(cloud.admin, "alice")
    arn = role(cloud.admin, "Reader", trust(USER), "ec2:DescribeVpcs", Path="/team/")
    told = alice.client("sts").assume_role(RoleArn=arn, RoleSessionName="me@home")
    role_id = cloud.client("iam").get_role(RoleName="Reader")["Role"]["RoleId"]
    session_arn = f"arn:aws:sts::{ADMIN}:assumed-role/Reader/me@home"
    assert told["AssumedRoleUser"] == {"AssumedRoleId": f"{role_id}:me@home", "Arn": session_arn}
    assert "PackedPolicySize" not in told and "SourceIdentity" not in told
    assert told["SessionTokenSize"] == len(told["Credentials"]["SessionToken"]) and 0 < told["SessionTokenUtilization"] < 15
    assert told["Credentials"]["Expiration"] == cloud.clock.now().replace(microsecond=0) + datetime.timedelta(hours=1)
    assert told["Credentials"]["AccessKeyId"].startswith("ASIA")
    me = cloud.session(told["Credentials"])
    who = me.client("sts").get_caller_identity()
    assert (who["Arn"], who["UserId"], who["Account"]) == (session_arn, f"{role_id}:me@home", ADMIN)
    assert me.client("ec2").describe_vpcs()["Vpcs"]
    with refused("UnauthorizedOperation", 403):
        me.client("ec2").describe_subnets()
    with refused("UnauthorizedOperation", 403):
        alice.client("ec2").describe_vpcs()


def test_the_session_ends_when_it_said(sqlite_cloud: TestCloud, alice: Account) -> None:
    arn = role(sqlite_cloud.admin, "Reader", trust(USER), "ec2:DescribeVpcs", "iam:GetUser", MaxSessionDuration=7200)
    me = assume(alice, arn, DurationSeconds=7200)
    sqlite_cloud.clock.advance(7199)
    me.client("ec2").describe_vpcs()
    sqlite_cloud.clock.advance(1)
    with refused("RequestExpired", 400):
        me.client("ec2").describe_vpcs()
    with refused("ExpiredToken", 403) as message:
        me.client("sts").get_caller_identity()
    assert message() == "The security token included in the request is expired"


@pytest.mark.parametrize("seconds", [899, 43201])
def test_durations_that_no_role_has(sqlite_cloud: TestCloud, alice: Account, seconds: int) -> None:
    arn = role(sqlite_cloud.admin, "Reader", trust(USER), MaxSessionDuration=43200)
    with refused("ValidationError", 400):
        alice.client("sts", validate=False).assume_role(RoleArn=arn, RoleSessionName="me", DurationSeconds=seconds)
    assume(alice, arn, DurationSeconds=43200)


def test_longer_than_the_role_allows(sqlite_cloud: TestCloud, alice: Account) -> None:
    arn = role(sqlite_cloud.admin, "Reader", trust(USER))
    with refused("ValidationError", 400) as message:
        assume(alice, arn, DurationSeconds=3601)
    assert message() == "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."


@pytest.mark.parametrize("name", ["a", "a" * 65, "a b", "a/b", "ü-me", "ａｄｍｉｎ", "me\u200d", "١٢", "a:b", "a\n"])
def test_names_that_no_session_has(sqlite_cloud: TestCloud, alice: Account, name: str) -> None:
    arn = role(sqlite_cloud.admin, "Reader", trust(USER))
    with refused("ValidationError", 400):
        alice.client("sts", validate=False).assume_role(RoleArn=arn, RoleSessionName=name)


def test_a_token_as_long_as_asked(sqlite_cloud: TestCloud, alice: Account) -> None:
    arn = role(sqlite_cloud.admin, "Reader", trust(USER))
    told = alice.client("sts").assume_role(RoleArn=arn, RoleSessionName="me", MinimumSessionTokenSize=4096)
    assert told["SessionTokenSize"] == len(told["Credentials"]["SessionToken"]) == 4096
    assert told["SessionTokenUtilization"] == 100
    assert identity(sqlite_cloud.session(told["Credentials"])).endswith("/Reader/me")


# ------------------------------------------------------------------------------------------------------------------- trust


def test_the_account_s_root_in_the_trust_policy_leaves_it_to_identity_policies(sqlite_cloud: TestCloud, alice: Account) -> None:
    arn = role(sqlite_cloud.admin, "Reader", trust(ADMIN))
    with refused("AccessDenied", 403) as message:
        assume(alice, arn)
    assert message() == denied(arn)
    bob = user(sqlite_cloud.admin, "bob", "sts:AssumeRole")
    assert identity(assume(bob, arn)).endswith(":assumed-role/Reader/me")


def test_an_identity_policy_alone_is_not_enough(sqlite_cloud: TestCloud) -> None:
    arn = role(sqlite_cloud.admin, "Reader", trust(f"arn:aws:iam::{ADMIN}:root", StringEquals={"aws:username": "carol"}))
    bob, carol = (user(sqlite_cloud.admin, name, "sts:*") for name in ("bob", "carol"))
    with refused("AccessDenied"):
        assume(bob, arn)
    assume(carol, arn)


def test_a_missing_role_a_foreign_one_and_one_that_trusts_others_are_the_same(sqlite_cloud: TestCloud, alice: Account) -> None:
    other = sqlite_cloud.account("other")
    mine = role(sqlite_cloud.admin, "Theirs", trust(other.id))
    foreign = role(other, "Foreign", trust(other.id))
    bob = user(sqlite_cloud.admin, "bob", "sts:AssumeRole")
    missing = (
        f"arn:aws:iam::{ADMIN}:role/None",
        f"arn:aws:iam::{other.id}:role/None",
        "arn:aws:iam::999999999999:role/Reader",
        f"arn:aws:iam::{ADMIN}:role/theirs",
        f"arn:aws:iam::{ADMIN}:role/path/Theirs",
        f"arn:aws-cn:iam::{ADMIN}:role/Theirs",
        f"arn:aws:iam::{ADMIN}:user/alice",
        f"arn:aws:iam::{ADMIN}:role/*",
        "this is no arn at all",
    )
    for arn in (mine, foreign, *missing):
        with refused("AccessDenied", 403) as message:
            assume(bob, arn)
        assert message() == denied(arn, who=f"arn:aws:iam::{ADMIN}:user/bob")


def test_another_account_s_role_needs_both(sqlite_cloud: TestCloud, alice: Account) -> None:
    other = sqlite_cloud.account("other")
    arn = role(other, "Shared", trust(USER), "ec2:DescribeVpcs")
    with refused("AccessDenied"):
        assume(alice, arn)
    sqlite_cloud.client("iam").put_user_policy(UserName="alice", PolicyName="may", PolicyDocument=allow("sts:AssumeRole"))
    me = assume(alice, arn)
    assert identity(me) == f"arn:aws:sts::{other.id}:assumed-role/Shared/me"
    vpcs = {vpc["VpcId"] for vpc in me.client("ec2").describe_vpcs()["Vpcs"]}
    assert vpcs == {vpc["VpcId"] for vpc in other.client("ec2").describe_vpcs()["Vpcs"]}


def test_an_explicit_deny_and_a_boundary(sqlite_cloud: TestCloud, alice: Account) -> None:
    iam = sqlite_cloud.client("iam")
    arn = role(sqlite_cloud.admin, "Reader", trust(USER))
    assume(alice, arn)
    iam.put_user_policy(UserName="alice", PolicyName="no", PolicyDocument=allow("sts:AssumeRole").replace("Allow", "Deny"))
    with refused("AccessDenied") as message:
        assume(alice, arn)
    assert message() == denied(arn)
    account = role(sqlite_cloud.admin, "Account", trust(ADMIN))
    bob = user(sqlite_cloud.admin, "bob", "sts:*")
    assume(bob, account)
    iam.put_user_permissions_boundary(UserName="bob", PermissionsBoundary="arn:aws:iam::aws:policy/AmazonEC2FullAccess")
    with refused("AccessDenied"):
        assume(bob, account)


def test_roots_assume_no_roles(sqlite_cloud: TestCloud) -> None:
    arn = role(sqlite_cloud.admin, "Open", trust(ADMIN, "*"))
    for root in (sqlite_cloud.admin, sts.session(sqlite_cloud.admin), sqlite_cloud.account("other")):
        with refused("AccessDenied", 403) as message:
            assume(root, arn)
        assert message() == "Roles may not be assumed by root accounts."


def test_a_user_of_the_same_name_is_another(sqlite_cloud: TestCloud, alice: Account) -> None:
    """The trust policy names a user, not whoever is called so later."""
    arn = role(sqlite_cloud.admin, "Reader", trust(USER))
    assume(alice, arn)
    iam = sqlite_cloud.client("iam")
    iam.delete_access_key(UserName="alice", AccessKeyId=alice.credentials.access_key_id)
    iam.delete_user(UserName="alice")
    again = user(sqlite_cloud.admin, "alice")
    with refused("AccessDenied"):
        assume(again, arn)


# ---------------------------------------------------------------------------------------------------------- confused deputy


def test_the_external_id(sqlite_cloud: TestCloud) -> None:
    """A deputy serves several customers; only who knows the id that the customer chose gets into his account."""
    deputy, customer = sqlite_cloud.account("deputy"), sqlite_cloud.account("customer")
    worker = user(deputy, "worker", "sts:AssumeRole")
    arn = role(customer, "ForDeputy", trust(deputy.id, StringEquals={"sts:ExternalId": "c-17"}))
    for wrong in ({}, {"ExternalId": "c-18"}, {"ExternalId": "C-17"}, {"ExternalId": "c-17="}):
        with refused("AccessDenied") as message:
            assume(worker, arn, **wrong)
        assert message() == denied(arn, who=f"arn:aws:iam::{deputy.id}:user/worker")
    assert identity(assume(worker, arn, ExternalId="c-17")).endswith("/ForDeputy/me")
    for bad in ("x", "c 17", "c-17\n", "c–17"):
        with refused("ValidationError"):
            worker.client("sts", validate=False).assume_role(RoleArn=arn, RoleSessionName="me", ExternalId=bad)


def test_conditions_on_the_session_s_name_and_on_the_caller(sqlite_cloud: TestCloud, alice: Account) -> None:
    named = role(sqlite_cloud.admin, "Named", trust(ADMIN, StringLike={"sts:RoleSessionName": "${aws:username}"}))
    mine = role(sqlite_cloud.admin, "Mine", trust("*", ArnEquals={"aws:PrincipalArn": USER}))
    tagged = role(sqlite_cloud.admin, "Tagged", trust("*", StringEquals={"aws:PrincipalTag/team": "red"}))
    bob = user(sqlite_cloud.admin, "bob", "sts:AssumeRole", Tags=[{"Key": "Team", "Value": "red"}])
    assume(bob, named, "bob")
    with refused("AccessDenied"):
        assume(bob, named, "alice")
    assume(alice, mine)
    with refused("AccessDenied"):
        assume(bob, mine)
    assume(bob, tagged)
    with refused("AccessDenied"):
        assume(alice, tagged)


def test_conditions_on_the_role_s_tags(sqlite_cloud: TestCloud) -> None:
    bob = user(sqlite_cloud.admin, "bob")
    may = allow("sts:AssumeRole", Condition={"StringEquals": {"iam:ResourceTag/team": "red", "aws:ResourceTag/team": "red"}})
    sqlite_cloud.client("iam").put_user_policy(UserName="bob", PolicyName="may", PolicyDocument=may)
    red, blue = (role(sqlite_cloud.admin, name, trust(ADMIN), Tags=[{"Key": "team", "Value": name}]) for name in ("red", "blue"))
    assume(bob, red)
    with refused("AccessDenied"):
        assume(bob, blue)


# ---------------------------------------------------------------------------------------------------------------- chaining


def test_chains_last_an_hour_at_most(sqlite_cloud: TestCloud, alice: Account) -> None:
    first = role(sqlite_cloud.admin, "First", trust(USER), "sts:AssumeRole", MaxSessionDuration=43200)
    second = role(sqlite_cloud.admin, "Second", trust(first), MaxSessionDuration=43200)
    me = assume(alice, first, DurationSeconds=43200)
    with refused("ValidationError", 400) as message:
        assume(me, second, DurationSeconds=3601)
    assert message() == "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
    with refused("AccessDenied"):
        assume(alice, second)
    chained = assume(me, second, "two", DurationSeconds=3600)
    assert identity(chained).endswith(":assumed-role/Second/two")
    assume(sts.session(alice), first, "three", DurationSeconds=43200)  # a user's session is no link of a chain


def test_a_role_does_not_assume_itself_unless_it_trusts_itself(sqlite_cloud: TestCloud, alice: Account) -> None:
    arn = role(sqlite_cloud.admin, "Reader", trust(USER), "sts:AssumeRole")
    me = assume(alice, arn)
    with refused("AccessDenied"):
        assume(me, arn)
    sqlite_cloud.client("iam").update_assume_role_policy(RoleName="Reader", PolicyDocument=trust(USER, arn))
    assume(me, arn)


def test_one_session_of_a_role_may_be_trusted_alone(sqlite_cloud: TestCloud, alice: Account) -> None:
    first = role(sqlite_cloud.admin, "First", trust(USER))
    second = role(sqlite_cloud.admin, "Second", trust(f"arn:aws:sts::{ADMIN}:assumed-role/First/only"))
    assume(assume(alice, first, "only"), second)
    with refused("AccessDenied"):
        assume(assume(alice, first, "other"), second)


# -------------------------------------------------------------------------------------------------------------------- tags


def pairs(**tags: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def test_session_tags_need_a_permission_of_their_own(sqlite_cloud: TestCloud, alice: Account) -> None:
    arn = role(sqlite_cloud.admin, "Reader", trust(USER))
    with refused("AccessDenied", 403) as message:
        assume(alice, arn, Tags=pairs(team="red"))
    assert message() == denied(arn, "sts:TagSession")


def test_session_tags_stand_over_the_role_s(sqlite_cloud: TestCloud, alice: Account) -> None:
    both = ("sts:AssumeRole", "sts:TagSession")
    arn = role(sqlite_cloud.admin, "Reader", trust(USER, actions=both), Tags=pairs(Team="blue", cost="1"))
    for name, wanted in (("red", "red"), ("cost", "1")):
        condition = {"StringEquals": {f"aws:PrincipalTag/{'team' if name == 'red' else 'cost'}": wanted}}
        document = allow("ec2:DescribeVpcs" if name == "red" else "ec2:DescribeSubnets", Condition=condition)
        sqlite_cloud.client("iam").put_role_policy(RoleName="Reader", PolicyName=name, PolicyDocument=document)
    plain, tagged = assume(alice, arn), assume(alice, arn, Tags=pairs(team="red"))
    tagged.client("ec2").describe_vpcs()
    tagged.client("ec2").describe_subnets()
    plain.client("ec2").describe_subnets()
    with refused("UnauthorizedOperation"):
        plain.client("ec2").describe_vpcs()


def test_which_tags_may_be_given(sqlite_cloud: TestCloud, alice: Account) -> None:
    condition = {
        "StringEquals": {"aws:RequestTag/team": ["red", "blue"]},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["team"], "sts:TransitiveTagKeys": ["team"]},
    }
    arn = role(sqlite_cloud.admin, "Reader", trust(USER, actions=("sts:AssumeRole", "sts:TagSession"), **condition))
    assume(alice, arn, Tags=pairs(team="blue"), TransitiveTagKeys=["team"])
    for tags in (pairs(team="green"), pairs(team="red", cost="1"), []):
        with refused("AccessDenied"):
            assume(alice, arn, Tags=tags)


def test_transitive_tags_are_handed_on(sqlite_cloud: TestCloud, alice: Account) -> None:
    both = ("sts:AssumeRole", "sts:TagSession")
    first = role(sqlite_cloud.admin, "First", trust(USER, actions=both))
    second = role(sqlite_cloud.admin, "Second", trust(first, actions=both), "ec2:DescribeVpcs")
    third = role(sqlite_cloud.admin, "Third", trust(second, actions=both, StringEquals={"aws:PrincipalTag/team": "red"}))
    untagged = role(sqlite_cloud.admin, "Untagged", trust(first))
    one = assume(alice, first, Tags=pairs(Team="red", cost="1"), TransitiveTagKeys=["team"])
    two = assume(one, second)
    assert assume(two, third)
    with refused("ValidationError"):  # the key of an inherited one
        assume(one, second, Tags=pairs(TEAM="blue"))
    with refused("AccessDenied") as message:
        assume(one, untagged)
    assert message().endswith(f"sts:TagSession on resource: {untagged}")
    plain = assume(alice, first, Tags=pairs(team="red"))
    with refused("AccessDenied"):  # not transitive: the second session has none
        assume(assume(plain, second), third)


@pytest.mark.parametrize(
    ("tags", "transitive"),
    [
        ([("team", "a"), ("Team", "b")], []),
        ([("aws:team", "a")], []),
        ([("team", "a")], ["cost"]),
        ([("", "a")], []),
        ([("a" * 129, "a")], []),
        ([("a", "b" * 257)], []),
        ([(f"k{number}", "v") for number in range(51)], []),
        ([("a!", "b")], []),
    ],
)
def test_tags_that_no_session_has(
    sqlite_cloud: TestCloud, alice: Account, tags: list[tuple[str, str]], transitive: list[str]
) -> None:
    arn = role(sqlite_cloud.admin, "Reader", trust(USER, actions=("sts:AssumeRole", "sts:TagSession")))
    given = [{"Key": key, "Value": value} for key, value in tags]
    with refused("ValidationError", 400):
        alice.client("sts", validate=False).assume_role(
            RoleArn=arn, RoleSessionName="me", Tags=given, TransitiveTagKeys=transitive
        )


# ---------------------------------------------------------------------------------------------------------- source identity


def test_a_source_identity_stays(sqlite_cloud: TestCloud, alice: Account) -> None:
    both = ("sts:AssumeRole", "sts:SetSourceIdentity")
    first = role(sqlite_cloud.admin, "First", trust(USER, actions=both))
    second = role(sqlite_cloud.admin, "Second", trust(first, actions=both, StringEquals={"aws:SourceIdentity": "Alice"}))
    closed = role(sqlite_cloud.admin, "Closed", trust(first))
    told = alice.client("sts").assume_role(RoleArn=first, RoleSessionName="me", SourceIdentity="Alice")
    assert told["SourceIdentity"] == "Alice"
    one = sqlite_cloud.session(told["Credentials"])
    two = one.client("sts").assume_role(RoleArn=second, RoleSessionName="me")
    assert two["SourceIdentity"] == "Alice"
    with refused("AccessDenied"):
        assume(one, second, SourceIdentity="Bob")
    with refused("AccessDenied") as message:
        assume(one, closed)
    assert message().endswith(f"sts:SetSourceIdentity on resource: {closed}")
    with refused("AccessDenied"):
        assume(assume(alice, first), second)


def test_which_source_identity_may_be_set(sqlite_cloud: TestCloud, alice: Account) -> None:
    both = ("sts:AssumeRole", "sts:SetSourceIdentity")
    arn = role(sqlite_cloud.admin, "Reader", trust(USER, actions=both, StringLike={"sts:SourceIdentity": "A*"}))
    assume(alice, arn, SourceIdentity="Alice")
    for wrong in ({"SourceIdentity": "Bob"}, {}):
        with refused("AccessDenied"):
            assume(alice, arn, **wrong)


# ---------------------------------------------------------------------------------------------------------- session policies


def test_a_session_policy_only_takes_away(sqlite_cloud: TestCloud, alice: Account) -> None:
    arn = role(sqlite_cloud.admin, "Reader", trust(USER), "ec2:DescribeVpcs", "ec2:DescribeSubnets")
    told = alice.client("sts").assume_role(
        RoleArn=arn, RoleSessionName="me", Policy=allow("ec2:DescribeVpcs", "ec2:DescribeImages")
    )
    assert 1 <= told["PackedPolicySize"] <= 10
    me = sqlite_cloud.session(told["Credentials"]).client("ec2")
    me.describe_vpcs()
    for forbidden in (me.describe_subnets, me.describe_images):
        with refused("UnauthorizedOperation"):
            forbidden()


def test_managed_session_policies(sqlite_cloud: TestCloud, alice: Account) -> None:
    iam = sqlite_cloud.client("iam")
    own = iam.create_policy(PolicyName="Own", PolicyDocument=allow("ec2:DescribeVpcs"))["Policy"]["Arn"]
    arn = role(sqlite_cloud.admin, "Reader", trust(USER), "ec2:*", "iam:*")
    by_own = assume(alice, arn, PolicyArns=[{"arn": own}])
    by_own.client("ec2").describe_vpcs()
    with refused("UnauthorizedOperation"):
        by_own.client("ec2").describe_subnets()
    aws = assume(alice, arn, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess"}])
    aws.client("ec2").describe_subnets()
    with refused("UnauthorizedOperation"):
        aws.client("ec2").create_key_pair(KeyName="mine")
    iam.delete_policy(PolicyArn=own)
    with refused("UnauthorizedOperation"):  # a policy that is gone allows nothing
        by_own.client("ec2").describe_vpcs()


def test_session_policies_that_cannot_be_used(sqlite_cloud: TestCloud, alice: Account) -> None:
    other = sqlite_cloud.account("other")
    foreign = other.client("iam").create_policy(PolicyName="Own", PolicyDocument=allow("*"))["Policy"]["Arn"]
    arn = role(sqlite_cloud.admin, "Reader", trust(USER))
    for missing in (foreign, f"arn:aws:iam::{ADMIN}:policy/None", "arn:aws:iam::aws:policy/None", "x" * 20):
        with refused("ValidationError", 400):
            assume(alice, arn, PolicyArns=[{"arn": missing}])
    with refused("ValidationError"):
        assume(alice, arn, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}] * 11)
    for bad in ("{}", "nonsense", "[" * 1000, trust("*"), allow("ec2:*").replace("2012", "2013")):
        with refused("MalformedPolicyDocument", 400):
            assume(alice, arn, Policy=bad)
    with refused("ValidationError"):
        alice.client("sts", validate=False).assume_role(RoleArn=arn, RoleSessionName="me", Policy=allow("ec2:*") + " " * 2048)
    long = allow("ec2:*")
    with refused("ValidationError"):  # policy and ARNs together
        assume(alice, arn, Policy=long + " " * (2040 - len(long)), PolicyArns=[{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}])


def test_tags_and_policies_must_fit_the_token(sqlite_cloud: TestCloud, alice: Account) -> None:
    import random

    chance = random.Random(17)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

    def word(length: int) -> str:
        return "".join(chance.choice(letters) for _ in range(length))

    arn = role(sqlite_cloud.admin, "Reader", trust(USER, actions=("sts:AssumeRole", "sts:TagSession")))
    few = alice.client("sts").assume_role(RoleArn=arn, RoleSessionName="me", Tags=[{"Key": word(100), "Value": word(250)}] * 1)
    assert 10 < few["PackedPolicySize"] < 25
    with refused("PackedPolicyTooLarge", 400) as message:
        assume(alice, arn, Tags=[{"Key": word(100), "Value": word(250)} for _ in range(20)])
    assert message().startswith("Packed policy consumes ") and message().endswith("please use smaller policy.")
    assume(alice, arn, Tags=[{"Key": f"key-{number}", "Value": "the same value" * 18} for number in range(50)])


def test_escalation_through_a_session_of_a_session(sqlite_cloud: TestCloud, alice: Account) -> None:
    """Whoever is bound by a session policy cannot get rid of it by the role's own rights."""
    arn = role(sqlite_cloud.admin, "Admin", trust(USER, ADMIN), "*")
    me = assume(alice, arn, Policy=allow("ec2:DescribeVpcs", "sts:GetCallerIdentity"))
    with refused("AccessDenied"):
        assume(me, arn)
    for operation, given in (
        ("create_user", {"UserName": "eve"}),
        ("create_access_key", {"UserName": "alice"}),
        ("put_role_policy", {"RoleName": "Admin", "PolicyName": "x", "PolicyDocument": allow("*")}),
        ("update_assume_role_policy", {"RoleName": "Admin", "PolicyDocument": trust("*")}),
    ):
        with refused("AccessDenied", 403):
            getattr(me.client("iam"), operation)(**given)


# --------------------------------------------------------------------------------------------------------------- revocation


def test_a_session_dies_with_its_role(cloud: TestCloud) -> None:
    alice = user(cloud.admin, "alice")
    arn = role(cloud.admin, "Reader", trust(USER))
    me = assume(alice, arn)
    assert identity(me)
    cloud.client("iam").delete_role(RoleName="Reader")
    with refused("InvalidClientTokenId", 403):
        identity(me)
    role(cloud.admin, "Reader", trust(USER))
    with refused("InvalidClientTokenId", 403):
        identity(me)


def test_sessions_before_a_moment_can_be_denied(sqlite_cloud: TestCloud, alice: Account) -> None:
    """What AWS's console does to revoke a role's sessions."""
    arn = role(sqlite_cloud.admin, "Reader", trust(USER), "ec2:DescribeVpcs")
    me = assume(alice, arn)
    me.client("ec2").describe_vpcs()
    sqlite_cloud.clock.advance(60)
    before = sqlite_cloud.clock.now().isoformat()
    document = json.loads(allow("*", Condition={"DateLessThan": {"aws:TokenIssueTime": before}}))
    document["Statement"][0]["Effect"] = "Deny"
    sqlite_cloud.client("iam").put_role_policy(
        RoleName="Reader", PolicyName="AWSRevokeOlderSessions", PolicyDocument=json.dumps(document)
    )
    with refused("UnauthorizedOperation"):
        me.client("ec2").describe_vpcs()
    assume(alice, arn).client("ec2").describe_vpcs()


def test_the_user_behind_a_role_s_session_may_go(sqlite_cloud: TestCloud, alice: Account) -> None:
    """As in AWS: a role's session is the role's, not the user's who assumed it."""
    me = assume(alice, role(sqlite_cloud.admin, "Reader", trust(USER)))
    with sqlite_cloud.database.transaction() as tx:
        tx.change(records.access_keys, alice.credentials.access_key_id, status=records.INACTIVE)
        keys.forget_after(tx)
    with refused("InvalidClientTokenId"):
        identity(alice)
    assert identity(me).endswith("/Reader/me")


def test_a_role_of_a_closed_account(sqlite_cloud: TestCloud) -> None:
    other = sqlite_cloud.account("other")
    bob = user(sqlite_cloud.admin, "bob", "sts:AssumeRole")
    arn = role(other, "Shared", trust(ADMIN))
    me = assume(bob, arn)
    with sqlite_cloud.database.transaction() as tx:
        tx.change(records.accounts.accounts, other.id, closed_at=tx.now)
        keys.forget_after(tx)
    with refused("AccessDenied"):
        assume(bob, arn)
    with refused("InvalidClientTokenId"):
        identity(me)


def test_service_linked_roles_are_for_their_service(sqlite_cloud: TestCloud) -> None:
    with sqlite_cloud.database.transaction() as tx:
        document = sts.policy({"Principal": {"Service": "autoscaling.amazonaws.com"}, "Action": "sts:AssumeRole"})
        made = roles.add_role(
            tx, ADMIN, "AWSServiceRoleForAutoScaling", document, path="/aws-service-role/autoscaling.amazonaws.com/",
            linked_service="autoscaling.amazonaws.com",
        )  # fmt: skip
    bob = user(sqlite_cloud.admin, "bob", "*")
    with refused("AccessDenied"):
        assume(bob, made.arn("aws"))


def test_the_provided_contexts_of_a_service_that_is_not_here(sqlite_cloud: TestCloud, alice: Account) -> None:
    arn = role(sqlite_cloud.admin, "Reader", trust(USER))
    with refused("ValidationError"):
        assume(alice, arn, ProvidedContexts=[{"ProviderArn": "arn:aws:iam::aws:contextProvider/IdentityCenter"}])
