"""STS beside AssumeRole: who am I, whose key is this, sessions of users and roots, federated users, decoded denials, MFA."""

from __future__ import annotations

import datetime
import json

import pytest

from mallee.identity import totp
from tests.cloud import sts
from tests.cloud.harness import ADMIN, Account, TestCloud, refused
from tests.cloud.sts import allow, assume, identity, role, session, trust, user

USER = f"arn:aws:iam::{ADMIN}:user/alice"
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def alice(sqlite_cloud: TestCloud) -> Account:
    return user(sqlite_cloud.admin, "alice", "ec2:DescribeVpcs", "iam:GetUser", "sts:GetFederationToken")


def device(who: Account, name: str) -> tuple[str, str]:
    """A virtual device that the user has enabled: its serial number and seed."""
    iam = who.cloud.client("iam")
    made = iam.create_virtual_mfa_device(VirtualMFADeviceName=name)["VirtualMFADevice"]
    serial, seed = made["SerialNumber"], made["Base32StringSeed"].decode()
    codes = [code(who.cloud, seed, -30), code(who.cloud, seed)]
    iam.enable_mfa_device(UserName=name, SerialNumber=serial, AuthenticationCode1=codes[0], AuthenticationCode2=codes[1])
    who.cloud.clock.advance(30)
    return serial, seed


def code(cloud: TestCloud, seed: str, seconds: int = 0) -> str:
    moment = cloud.clock.now() + datetime.timedelta(seconds=seconds)
    return totp.code(seed, totp.step_at(moment))


# ------------------------------------------------------------------------------------------------------------- who and whose


def test_who_everybody_is(cloud: TestCloud) -> None:
    alice = user(cloud.admin, "alice")
    reader = role(cloud.admin, "Reader", trust(USER))
    root = cloud.client("sts").get_caller_identity()
    assert (root["Arn"], root["UserId"], root["Account"]) == (f"arn:aws:iam::{ADMIN}:root", ADMIN, ADMIN)
    assert identity(session(cloud.admin)) == root["Arn"]
    assert identity(alice) == identity(session(alice)) == USER
    assert identity(assume(alice, reader)) == f"arn:aws:sts::{ADMIN}:assumed-role/Reader/me"
    told = cloud.client("sts").get_federation_token(Name="bob")
    federated = cloud.session(told["Credentials"]).client("sts").get_caller_identity()
    assert federated["Arn"] == f"arn:aws:sts::{ADMIN}:federated-user/bob" == told["FederatedUser"]["Arn"]
    assert federated["UserId"] == f"{ADMIN}:bob" == told["FederatedUser"]["FederatedUserId"]


def test_nothing_denies_asking_who_one_is(sqlite_cloud: TestCloud, alice: Account) -> None:
    deny = allow("*").replace("Allow", "Deny")
    sqlite_cloud.client("iam").put_user_policy(UserName="alice", PolicyName="no", PolicyDocument=deny)
    assert identity(alice) == USER
    assert session(alice)


def test_whose_key(sqlite_cloud: TestCloud, alice: Account) -> None:
    other = sqlite_cloud.account("other")
    bob = user(sqlite_cloud.admin, "bob", "sts:GetAccessKeyInfo")
    asked = bob.client("sts")
    temporary = session(other)
    for whose in (alice, other, temporary):
        assert asked.get_access_key_info(AccessKeyId=whose.credentials.access_key_id)["Account"] == whose.id
    for unknown in ("AKIA" + "A" * 16, "ASIA" + "A" * 16, "ASIAQAAAAAAAAAAAAAAA"):
        with refused("ValidationError", 400) as message:
            asked.get_access_key_info(AccessKeyId=unknown)
        assert message() == "The specified value for parameter AccessKeyId is invalid."
    with refused("AccessDenied", 403):
        alice.client("sts").get_access_key_info(AccessKeyId=other.credentials.access_key_id)


# ----------------------------------------------------------------------------------------------------------- session tokens


def test_a_user_s_session(sqlite_cloud: TestCloud, alice: Account) -> None:
    told = alice.client("sts").get_session_token()
    assert told["Credentials"]["Expiration"] == sqlite_cloud.clock.now() + 12 * HOUR
    me = sqlite_cloud.session(told["Credentials"])
    me.client("ec2").describe_vpcs()
    with refused("UnauthorizedOperation"):
        me.client("ec2").describe_subnets()
    with refused("InvalidClientTokenId", 403):
        me.client("iam").get_user()
    for operation, given in (
        ("get_session_token", {}),
        ("get_federation_token", {"Name": "bob"}),
        ("get_access_key_info", {"AccessKeyId": "A" * 20}),
        ("decode_authorization_message", {"EncodedMessage": "x"}),
    ):
        with refused("AccessDenied", 403) as message:
            getattr(me.client("sts"), operation)(**given)
        assert message().endswith("with session credentials")


def test_how_long_sessions_are(sqlite_cloud: TestCloud, alice: Account) -> None:
    now = sqlite_cloud.clock.now()
    for who, seconds, lasts in ((alice, 900, 900), (alice, 129600, 129600), (sqlite_cloud.admin, 129600, 3600)):
        told = who.client("sts").get_session_token(DurationSeconds=seconds)
        assert told["Credentials"]["Expiration"] == now + datetime.timedelta(seconds=lasts)
    assert sqlite_cloud.client("sts").get_session_token()["Credentials"]["Expiration"] == now + HOUR
    for seconds in (899, 129601):
        with refused("ValidationError", 400):
            alice.client("sts", validate=False).get_session_token(DurationSeconds=seconds)


def test_a_root_s_session_is_the_root(sqlite_cloud: TestCloud) -> None:
    me = session(sqlite_cloud.admin)
    me.client("ec2").create_key_pair(KeyName="mine")
    with refused("InvalidClientTokenId"):
        me.client("iam").list_users()


# --------------------------------------------------------------------------------------------------------------------- MFA


def test_a_session_with_mfa(cloud: TestCloud) -> None:
    alice = user(cloud.admin, "alice", "ec2:*")
    secured = allow("iam:GetUser", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}})
    aged = allow("iam:ListUserTags", Condition={"NumericLessThan": {"aws:MultiFactorAuthAge": "300"}})
    cloud.client("iam").put_user_policy(UserName="alice", PolicyName="mfa", PolicyDocument=secured)
    cloud.client("iam").put_user_policy(UserName="alice", PolicyName="age", PolicyDocument=aged)
    serial, seed = device(alice, "alice")
    with refused("AccessDenied"):
        alice.client("iam").get_user()
    me = session(alice, SerialNumber=serial, TokenCode=code(cloud, seed))
    assert me.client("iam").get_user()["User"]["UserName"] == "alice"
    me.client("iam").list_user_tags(UserName="alice")
    cloud.clock.advance(300)
    with refused("AccessDenied"):
        me.client("iam").list_user_tags(UserName="alice")
    assert me.client("iam").get_user()


def test_codes_that_are_not_good(sqlite_cloud: TestCloud, alice: Account) -> None:
    serial, seed = device(alice, "alice")
    bob = user(sqlite_cloud.admin, "bob")
    sts_ = alice.client("sts")
    right = code(sqlite_cloud, seed)
    wrong = f"{(int(right) + 1) % 1_000_000:06d}"
    for given in ({"SerialNumber": serial}, {"TokenCode": right}):
        with refused("AccessDenied", 403) as message:
            sts_.get_session_token(**given)
        assert "must provide both" in message()
    with refused("AccessDenied", 403) as message:
        sts_.get_session_token(SerialNumber=serial, TokenCode=wrong)
    assert message().startswith("MultiFactorAuthentication failed with invalid MFA one time pass code.")
    for who, which in ((alice, f"arn:aws:iam::{ADMIN}:mfa/none"), (bob, serial), (sqlite_cloud.account("other"), serial)):
        with refused("AccessDenied", 403) as message:
            who.client("sts").get_session_token(SerialNumber=which, TokenCode=right)
        assert "unable to validate MFA code" in message()
    sts_.get_session_token(SerialNumber=serial, TokenCode=right)
    with refused("AccessDenied", 403):  # a code counts once
        sts_.get_session_token(SerialNumber=serial, TokenCode=right)


def test_a_role_that_wants_mfa(sqlite_cloud: TestCloud, alice: Account) -> None:
    condition = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    secured = allow("ec2:DescribeSubnets", Condition=condition)
    arn = role(sqlite_cloud.admin, "Secured", trust(USER, **condition), "ec2:DescribeVpcs")
    sqlite_cloud.client("iam").put_role_policy(RoleName="Secured", PolicyName="mfa", PolicyDocument=secured)
    serial, seed = device(alice, "alice")
    with refused("AccessDenied"):
        assume(alice, arn)
    with refused("AccessDenied"):
        assume(session(alice), arn)
    me = assume(alice, arn, SerialNumber=serial, TokenCode=code(sqlite_cloud, seed))
    me.client("ec2").describe_vpcs()
    with refused("UnauthorizedOperation"):  # as in AWS, a role's session does not remember it
        me.client("ec2").describe_subnets()
    sqlite_cloud.clock.advance(30)
    with_mfa = session(alice, SerialNumber=serial, TokenCode=code(sqlite_cloud, seed))
    assert assume(with_mfa, arn)
    sqlite_cloud.clock.advance(30)
    again = role(sqlite_cloud.admin, "Again", trust(f"arn:aws:iam::{ADMIN}:role/Secured", **condition))
    with refused("AccessDenied"):  # a role has no device
        assume(me, again, SerialNumber=serial, TokenCode=code(sqlite_cloud, seed))


# ---------------------------------------------------------------------------------------------------------- federated users


def test_a_federated_user_may_what_both_allow(cloud: TestCloud) -> None:
    alice = user(cloud.admin, "alice", "ec2:DescribeVpcs", "ec2:DescribeSubnets", "sts:GetFederationToken", "iam:GetUser")
    told = alice.client("sts").get_federation_token(Name="bob", Policy=allow("ec2:DescribeVpcs", "ec2:DescribeImages", "iam:*"))
    assert told["Credentials"]["Expiration"] == cloud.clock.now().replace(microsecond=0) + 12 * HOUR
    assert told["PackedPolicySize"] > 0
    bob = cloud.session(told["Credentials"])
    bob.client("ec2").describe_vpcs()
    for forbidden in (bob.client("ec2").describe_subnets, bob.client("ec2").describe_images):
        with refused("UnauthorizedOperation"):
            forbidden()
    with refused("InvalidClientTokenId"):
        bob.client("iam").get_user(UserName="alice")
    for operation, given in (
        ("assume_role", {"RoleArn": f"arn:aws:iam::{ADMIN}:role/Any", "RoleSessionName": "me"}),
        ("get_federation_token", {"Name": "eve"}),
        ("get_session_token", {}),
    ):
        with refused("AccessDenied"):
            getattr(bob.client("sts"), operation)(**given)
    cloud.client("iam").delete_user_policy(UserName="alice", PolicyName="may")
    with refused("UnauthorizedOperation"):
        bob.client("ec2").describe_vpcs()


def test_a_federated_user_without_policies_may_do_nothing(sqlite_cloud: TestCloud, alice: Account) -> None:
    for issuer in (alice, sqlite_cloud.admin):
        told = issuer.client("sts").get_federation_token(Name="bob")
        assert "PackedPolicySize" not in told
        bob = sqlite_cloud.session(told["Credentials"])
        with refused("UnauthorizedOperation"):
            bob.client("ec2").describe_vpcs()


def test_a_root_s_federated_user(sqlite_cloud: TestCloud) -> None:
    told = sqlite_cloud.client("sts").get_federation_token(Name="bob", Policy=allow("ec2:DescribeVpcs"), DurationSeconds=129600)
    assert told["Credentials"]["Expiration"] == sqlite_cloud.clock.now() + HOUR
    bob = sqlite_cloud.session(told["Credentials"])
    bob.client("ec2").describe_vpcs()
    with refused("UnauthorizedOperation"):
        bob.client("ec2").describe_subnets()


def test_which_federated_users_may_be_made(sqlite_cloud: TestCloud, alice: Account) -> None:
    iam = sqlite_cloud.client("iam")
    only = sts.policy(action=["sts:GetFederationToken", "sts:TagSession"], resource=f"arn:aws:sts::{ADMIN}:federated-user/b*")
    iam.put_user_policy(UserName="alice", PolicyName="may", PolicyDocument=only)
    alice.client("sts").get_federation_token(Name="bob", Tags=[{"Key": "team", "Value": "red"}])
    with refused("AccessDenied", 403) as message:
        alice.client("sts").get_federation_token(Name="carol")
    assert f"sts:GetFederationToken on resource: arn:aws:sts::{ADMIN}:federated-user/carol" in message()
    iam.put_user_policy(UserName="alice", PolicyName="may", PolicyDocument=allow("sts:GetFederationToken"))
    with refused("AccessDenied", 403) as message:
        alice.client("sts").get_federation_token(Name="bob", Tags=[{"Key": "team", "Value": "red"}])
    assert "sts:TagSession" in message()
    reader = assume(alice, role(sqlite_cloud.admin, "Reader", trust(USER), "sts:*"))
    with refused("AccessDenied", 403) as message:
        reader.client("sts").get_federation_token(Name="bob")
    assert message() == "Cannot call GetFederationToken with session credentials"


def test_a_federated_user_s_tags(sqlite_cloud: TestCloud) -> None:
    condition = {"StringEquals": {"aws:PrincipalTag/team": "red", "aws:PrincipalTag/cost": "1"}}
    may = sts.policy(
        {"Action": "ec2:DescribeVpcs", "Resource": "*", "Condition": condition}, {"Action": "sts:*", "Resource": "*"}
    )
    alice = user(sqlite_cloud.admin, "alice", Tags=[{"Key": "Team", "Value": "blue"}, {"Key": "cost", "Value": "1"}])
    sqlite_cloud.client("iam").put_user_policy(UserName="alice", PolicyName="may", PolicyDocument=may)
    for tags, fine in (([], False), ([{"Key": "team", "Value": "red"}], True)):
        told = alice.client("sts").get_federation_token(Name="bob", Policy=allow("ec2:*"), Tags=tags)
        ec2 = sqlite_cloud.session(told["Credentials"]).client("ec2")
        if fine:
            ec2.describe_vpcs()
        else:
            with refused("UnauthorizedOperation"):
                ec2.describe_vpcs()


@pytest.mark.parametrize("name", ["a", "a" * 33, "a b", "a:b", "bób", "b/c"])
def test_names_that_no_federated_user_has(sqlite_cloud: TestCloud, alice: Account, name: str) -> None:
    with refused("ValidationError", 400):
        alice.client("sts", validate=False).get_federation_token(Name=name)


# --------------------------------------------------------------------------------------------------------- decoded messages


def test_a_denial_is_decoded_by_its_account_alone(sqlite_cloud: TestCloud, alice: Account) -> None:
    with refused("UnauthorizedOperation") as message:
        alice.client("ec2").create_key_pair(KeyName="mine")
    encoded = message().partition("Encoded authorization failure message: ")[2]
    told = sqlite_cloud.client("sts").decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"]
    found = json.loads(told)
    assert found["allowed"] is False and found["explicitDeny"] is False
    assert found["context"]["principal"]["arn"] == USER and found["context"]["action"] == "ec2:CreateKeyPair"
    with refused("AccessDenied"):
        alice.client("sts").decode_authorization_message(EncodedMessage=encoded)
    for who, text in (
        (sqlite_cloud.account("other"), encoded),
        (sqlite_cloud.admin, encoded[:-4]),
        (sqlite_cloud.admin, "x"),
    ):
        with refused("InvalidAuthorizationMessageException", 400):
            who.client("sts").decode_authorization_message(EncodedMessage=text)


@pytest.mark.parametrize("operation", ["assume_root", "get_web_identity_token", "get_delegated_access_token"])
def test_what_is_not_supported_says_so(sqlite_cloud: TestCloud, operation: str) -> None:
    given = {
        "assume_root": {"TargetPrincipal": ADMIN, "TaskPolicyArn": {"arn": "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"}},
        "get_web_identity_token": {"Audience": ["x"], "SigningAlgorithm": "RS256"},
        "get_delegated_access_token": {"TradeInToken": "x"},
    }  # fmt: skip
    with refused("InvalidAction"):
        getattr(sqlite_cloud.client("sts"), operation)(**given[operation])
