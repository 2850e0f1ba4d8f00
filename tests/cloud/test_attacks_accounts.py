"""Attacks across the borders of accounts: closed ones, ids and aliases that look like others, ARNs that almost name something, and
what is sealed for one account or one cloud, brought to another."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mallee.registry import Registry
from tests.cloud import attacks, isolation, people, sts, victims
from tests.cloud.attacks import form, send, signed
from tests.cloud.harness import ADMIN, Account, TestCloud, refused
from tests.cloud.test_isolation import answer, model

USER = f"arn:aws:iam::{ADMIN}:user"


# ------------------------------------------------------------------------------------------------------------------ closed


def test_a_closed_account_is_closed_to_all_of_its_credentials(cloud: TestCloud) -> None:
    """At once: keys of root and users, sessions, roles that others assumed, federated users, presigned requests. Opened again,
    permanent keys work and sessions do not."""
    closing = cloud.account("closing")
    user = sts.user(closing, "ursula", "*")
    role = sts.role(closing, "open", sts.trust(f"arn:aws:iam::{closing.id}:root", ADMIN), "*")
    federated = cloud.session(
        user.client("sts").get_federation_token(Name="fred", Policy=sts.allow("*"))["Credentials"], closing.id
    )
    visitor = people.user(cloud, "visitor", "sts:*")
    permanent = [closing, user]
    temporary = [sts.session(closing), sts.session(user), federated, sts.assume(user, role), sts.assume(visitor, role)]
    signed_before = attacks.presigned(closing, "iam", form("iam", "ListUsers"))
    assert send(cloud, signed_before).is_done
    for each in permanent + temporary:
        each.client("ec2").describe_vpcs()
    cloud.client("mallee").close_account(AccountId=closing.id)
    for each in permanent + temporary:
        with refused("AuthFailure", 401):
            each.client("ec2").describe_vpcs()
    assert send(cloud, signed_before).code == "InvalidClientTokenId"
    with refused("AccessDenied", 403):  # nor is its role there any more
        sts.assume(visitor, role)
    cloud.client("mallee").reopen_account(AccountId=closing.id)
    for each in permanent:
        each.client("ec2").describe_vpcs()
    for each in temporary:
        with refused("AuthFailure", 401):
            each.client("ec2").describe_vpcs()


def test_what_was_issued_before_a_revocation_is_void(cloud: TestCloud) -> None:
    user = sts.user(cloud.admin, "ursula", "*")
    role = sts.role(cloud.admin, "open", sts.trust(f"{USER}/ursula"), "*")
    old = [sts.session(user), sts.assume(user, role)]
    cloud.clock.advance(1)
    cloud.client("mallee").revoke_sessions()
    for each in old:
        with refused("AuthFailure", 401):
            each.client("ec2").describe_vpcs()
    cloud.clock.advance(1)
    sts.session(user).client("ec2").describe_vpcs()
    user.client("ec2").describe_vpcs()


def test_sessions_issued_before_a_moment_can_be_denied(sqlite_cloud: TestCloud) -> None:
    """AWS's way of revoking a role's sessions: aws:TokenIssueTime."""
    user = sts.user(sqlite_cloud.admin, "ursula", "sts:*")
    role = sts.role(sqlite_cloud.admin, "open", sts.trust(f"{USER}/ursula"), "*")
    old = sts.assume(user, role)
    sqlite_cloud.clock.advance(10)
    moment = sqlite_cloud.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    held = sts.policy(effect="Deny", action="*", resource="*", condition={"DateLessThan": {"aws:TokenIssueTime": moment}})
    sqlite_cloud.client("iam").put_role_policy(RoleName="open", PolicyName="AWSRevokeOlderSessions", PolicyDocument=held)
    with refused("UnauthorizedOperation", 403):
        old.client("ec2").describe_vpcs()
    sqlite_cloud.clock.advance(10)
    sts.assume(user, role).client("ec2").describe_vpcs()


# ------------------------------------------------------------------------------------------------------------- ids, aliases


def test_account_ids_with_leading_zeros(cloud: TestCloud) -> None:
    """Twelve digits are text: no other number of digits is the same account."""
    mallee = cloud.client("mallee")
    made = mallee.create_account(Name="low", AccountId="000000000042", CreateAccessKey=True)
    assert made["Account"]["AccountId"] == "000000000042"
    key = made["AccessKey"]
    from mallee.identity.setup import Credentials

    low = Account(cloud, Credentials("000000000042", key["AccessKeyId"], key["SecretAccessKey"]))
    assert low.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000042:root"
    session = sts.session(low)
    assert session.client("sts").get_caller_identity()["Account"] == "000000000042"
    info = cloud.client("sts").get_access_key_info(AccessKeyId=session.credentials.access_key_id)
    assert info["Account"] == "000000000042"
    for told in ("42", "00000000042", "0000000000042", "+00000000042", "000000000042\n", " 00000000042", "４２".rjust(12, "0")):
        for principal in (told, f"arn:aws:iam::{told}:root"):
            with pytest.raises(ClientError) as caught:
                cloud.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=sts.trust(principal))
            assert caught.value.response["Error"]["Code"] == "MalformedPolicyDocument"
        with pytest.raises(ClientError):
            cloud.client("mallee", validate=False).describe_account(AccountId=told)
        with pytest.raises(ClientError):
            cloud.client("mallee", validate=False).create_account(Name="x", AccountId=told)


@pytest.mark.parametrize(
    "alias", [ADMIN, "000000000042", "aws", "Root", "a--b", "-ab", "ab-", "ab\n", "a" * 64, "аbc", "123456789012 "]
)
def test_aliases_that_could_be_taken_for_others(cloud: TestCloud, alias: str) -> None:
    """An alias is never twelve digits, which is an account's id; ``aws`` is an alias like others, and owns nothing."""
    for call in (
        lambda: cloud.client("iam", validate=False).create_account_alias(AccountAlias=alias),
        lambda: cloud.client("mallee", validate=False).create_account(Name="x", Alias=alias),
    ):
        if alias == "aws":
            continue
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    if alias == "aws":
        other = cloud.account("aws")
        for who in (other, cloud.admin):
            with refused("AccessDenied", 403):
                who.client("iam").create_policy_version(
                    PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess", PolicyDocument=sts.allow("*"), SetAsDefault=True
                )


# --------------------------------------------------------------------------------------------------------- ARNs, nearly right


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:iam::*:user/x", "arn:aws:iam::123456789012:user/*y", "arn:aws:iam::123456789012:user*/boss2",
        "arn:aws-cn:iam::123456789012:user/boss", "arn:aws:iam::000000000000:user/boss", "arn:aws:iam:::user/boss",
        "arn:aws:iam:local-1:123456789012:user/boss", "arn:aws:iam::123456789012:user/BOSS", "arn:aws:iam::123456789012:user//boss",
        "arn:aws:iam::123456789012:role/boss", "arn:aws:iam::123456789012:user/bos?x", "arn:aws:iam::123456789012:user/${aws:username}",
        "arn:aws:iam::123456789012:user/boss/", "arn:aws:iam::12345678901?:group/boss", "arn:aws:ec2::123456789012:user/boss",
    ],
)  # fmt: skip
def test_an_arn_that_nearly_names_somebody(sqlite_cloud: TestCloud, resource: str) -> None:
    """An Allow on it is none on boss; where it cannot be stored, it is not."""
    sqlite_cloud.client("iam").create_user(UserName="boss")
    who = people.user(sqlite_cloud, "mallory")
    document = sts.policy({"Action": "iam:*", "Resource": resource})
    try:
        sqlite_cloud.client("iam").put_user_policy(UserName="mallory", PolicyName="p", PolicyDocument=document)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "MalformedPolicyDocument"
    with refused("AccessDenied", 403):
        who.client("iam").create_access_key(UserName="boss")


@pytest.mark.parametrize(
    "resource",
    ["arn:aws:iam::*:user/boss", "arn:*:iam::*:user/b*", "arn:aws:iam::12345678901?:user/bos?", "*"],
)
def test_a_wildcard_reaches_no_other_account(sqlite_cloud: TestCloud, resource: str) -> None:
    """However wide the policy, another account's boss is exactly as absent as one that never was."""
    other = sqlite_cloud.account("other")
    other.client("iam").create_user(UserName="boss")
    who = people.user(sqlite_cloud, "mallory")
    document = sts.policy({"Action": "iam:*", "Resource": resource})
    sqlite_cloud.client("iam").put_user_policy(UserName="mallory", PolicyName="p", PolicyDocument=document)
    with refused("NoSuchEntity", 404):
        who.client("iam").create_access_key(UserName="boss")
    sqlite_cloud.client("iam").create_user(UserName="boss")
    who.client("iam").create_access_key(UserName="boss")
    assert other.client("iam").list_access_keys(UserName="boss")["AccessKeyMetadata"] == []


@pytest.mark.parametrize(
    "role",
    [
        "arn:aws:iam::{0}:role/Worker", "arn:aws:iam::{0}:role//worker", "arn:aws:iam::{0}:role/x/worker", "arn:aws-cn:iam::{0}:role/worker",
        "arn:aws:iam:local-1:{0}:role/worker", "arn:aws:sts::{0}:role/worker", "arn:aws:sts::{0}:assumed-role/worker/me",
        "arn:aws:iam::{0}:role/worker\n", "arn:aws:iam::{0}:role/*", "arn:aws:iam::*:role/worker", "arn:aws:iam:::role/worker",
        "arn:aws:iam::{0}:role/worker/", "ARN:aws:iam::{0}:role/worker", "arn:aws:iam::{0}:user/worker", "arn:aws:iam::{0}:root",
    ],
)  # fmt: skip
def test_a_role_is_assumed_by_its_arn_alone(sqlite_cloud: TestCloud, role: str) -> None:
    sts.role(sqlite_cloud.admin, "worker", sts.trust(f"arn:aws:iam::{ADMIN}:root"), "*")
    who = people.user(sqlite_cloud, "mallory", "sts:*")
    with pytest.raises(ClientError) as caught:
        who.client("sts").assume_role(RoleArn=role.format(ADMIN), RoleSessionName="me")
    assert caught.value.response["Error"]["Code"] in ("AccessDenied", "ValidationError")


def test_the_confused_deputy(sqlite_cloud: TestCloud) -> None:
    """A service of the deputy's account that is asked by one customer to work with another's role: the external id that it sends is
    the asker's, and does not open."""
    deputy, customer = sqlite_cloud.account("deputy"), sqlite_cloud.account("customer")
    service = sts.user(deputy, "service", "sts:AssumeRole")
    held = {"StringEquals": {"sts:ExternalId": "Customer-1"}}
    role = sts.role(customer, "for-deputy", sts.trust(f"arn:aws:iam::{deputy.id}:root", **held), "ec2:DescribeVpcs")
    sts.assume(service, role, ExternalId="Customer-1").client("ec2").describe_vpcs()
    for given in (
        {},
        {"ExternalId": "Customer-2"},
        {"ExternalId": "customer-1"},
        {"ExternalId": "Customer-1:"},
        {"ExternalId": "Customer-11"},
    ):
        with refused("AccessDenied", 403):
            sts.assume(service, role, **given)
    with refused("AccessDenied", 403):  # whoever else knows it
        sts.assume(sts.user(customer, "own", "ec2:*"), role, ExternalId="Customer-1")


# ------------------------------------------------------------------------------------------------------------ sealed things


def altered(token: str, places: Iterator[int] | range) -> Iterator[str]:
    for place in places:
        raw = bytearray(base64.b64decode(token))
        raw[place // 8] ^= 1 << place % 8
        yield base64.b64encode(bytes(raw)).decode()


def test_a_token_that_was_altered_anywhere(sqlite_cloud: TestCloud) -> None:
    """Every byte once, by one bit; every length; and the same bytes written otherwise. (Every bit: tests/identity/test_sessions.py)"""
    told = sqlite_cloud.client("sts").get_session_token()["Credentials"]
    token = told["SessionToken"]
    sqlite_cloud.session(told, ADMIN).client("sts").get_caller_identity()
    size = len(base64.b64decode(token))
    others = list(altered(token, range(0, 8 * size, 8 + 1)))
    others += [token[:length] for length in range(0, len(token), 7)]
    others += [token + more for more in ("=", "A", "AAAA", "%", token)]
    others += [token.swapcase(), token[::-1], token.replace("+", "-").replace("/", "_"), token.lower()]
    body = form("sts", "GetCallerIdentity")
    for other in others:
        if other == token:
            continue
        told_of = send(sqlite_cloud, signed(sqlite_cloud.session({**told, "SessionToken": other}, ADMIN), "sts", body))
        assert told_of.code in ("InvalidClientTokenId", "SignatureDoesNotMatch", "IncompleteSignature"), (
            told_of.text or other == f" {token}"
        )


def test_a_token_goes_with_its_own_key(sqlite_cloud: TestCloud) -> None:
    """Neither another session's token, nor a permanent key with a token, nor a token with the wrong secret."""
    one, two = (sqlite_cloud.client("sts").get_session_token()["Credentials"] for _ in range(2))
    user = people.user(sqlite_cloud, "alice", "*").credentials
    permanent = {"AccessKeyId": user.access_key_id, "SecretAccessKey": user.secret_access_key}
    for mixed in (
        {**one, "SessionToken": two["SessionToken"]},
        {**one, "AccessKeyId": two["AccessKeyId"]},
        {**one, "SecretAccessKey": two["SecretAccessKey"]},
        {**one, **permanent},
    ):
        told = send(sqlite_cloud, signed(sqlite_cloud.session(mixed, ADMIN), "sts", form("sts", "GetCallerIdentity")))
        assert told.code in ("InvalidClientTokenId", "SignatureDoesNotMatch"), told.text


def test_what_another_cloud_sealed_opens_nothing(cloud: TestCloud, tmp_path: Path) -> None:
    """Its tokens, its messages, its pages: the master key is another."""
    from mallee.identity import denials, sessions, vault
    from mallee.identity.call import Session

    (tmp_path / "elsewhere").mkdir()
    theirs = vault.at(tmp_path / "elsewhere", create=True)
    now = cloud.clock.now()
    session = Session(sessions.SESSION, ADMIN, ADMIN, "", now, sessions.ends(now, 3600))
    forged = cloud.session(sessions.issue(theirs, session).described(), ADMIN)
    with refused("InvalidClientTokenId", 403):
        forged.client("sts").get_caller_identity()
    sealed = theirs.seal_bytes(f"authorization-message/{ADMIN}", b"\0\0\0\2{}" + bytes(100))
    message = base64.urlsafe_b64encode(sealed).decode().rstrip("=")
    with pytest.raises(denials.Undecodable):
        denials.decode(cloud.cloud.vault, ADMIN, message)
    with refused("InvalidAuthorizationMessageException", 400):
        cloud.client("sts").decode_authorization_message(EncodedMessage=message)


def test_a_message_is_decoded_by_its_own_account_alone(sqlite_cloud: TestCloud) -> None:
    other = sqlite_cloud.account("other")
    with refused("UnauthorizedOperation") as told:
        sts.user(other, "nobody", "iam:*").client("ec2").terminate_instances(InstanceIds=["i-0123456789abcdef0"])
    message = told().partition("Encoded authorization failure message: ")[2]
    assert "DecodedMessage" in other.client("sts").decode_authorization_message(EncodedMessage=message)
    with refused("InvalidAuthorizationMessageException", 400):
        sqlite_cloud.client("sts").decode_authorization_message(EncodedMessage=message)
    for changed in (message[:-1], message + "A", message[1:], message.swapcase(), message[:40] + "A" + message[41:], ""):
        if changed != message:
            with pytest.raises(ClientError):
                other.client("sts", validate=False).decode_authorization_message(EncodedMessage=changed)


def test_a_page_is_of_one_list(cloud: TestCloud) -> None:
    """A marker is good for its operation, its account and its parameters, and nothing can be read off it or put into it."""
    iam = cloud.client("iam")
    for number in range(3):
        iam.create_user(UserName=f"u{number}", Path="/a/")
        iam.create_group(GroupName=f"g{number}")
    marker = iam.list_users(MaxItems=1)["Marker"]
    assert iam.list_users(Marker=marker)["Users"][0]["UserName"] == "u1"
    other = cloud.account("other")
    somebody = people.user(cloud, "alice", "iam:ListUsers")
    for call in (
        lambda: iam.list_groups(Marker=marker),
        lambda: iam.list_roles(Marker=marker),
        lambda: iam.list_users(Marker=marker, PathPrefix="/a/"),
        lambda: other.client("iam").list_users(Marker=marker),
        lambda: iam.list_users(Marker=marker[:-1]),
        lambda: iam.list_users(Marker=marker[:10] + ("A" if marker[10] != "A" else "B") + marker[11:]),
        lambda: iam.list_users(Marker="u1"),
        lambda: iam.list_users(Marker=base64.urlsafe_b64encode(b"\0" * 16 + b'"u1"').decode()),
    ):
        with refused("ValidationError", 400):
            call()
    somebody.client("iam").list_users(Marker=marker)  # who may list may go on
    with refused("AccessDenied", 403):
        people.user(cloud, "nobody").client("iam").list_users(Marker=marker)


# --------------------------------------------------------------------------------------------------------- other accounts


def test_nobody_administers_but_administrators(sqlite_cloud: TestCloud) -> None:
    """The root of an ordinary account, allowed everything, changes nothing of the cloud's or of another account's by the service
    ``mallee``; an administrator's user needs its policies all the same."""
    victim = victims.make(sqlite_cloud)
    ordinary, nobody = sqlite_cloud.account("ordinary"), people.user(sqlite_cloud, "nobody")
    maker = isolation.Maker({**victim.usual, "mallee.AccountId": victim.account.id})
    own = {"DescribeAccount", "RevokeSessions", "SignIn", "ListSignInProviders"}
    for handler in Registry().handlers():
        if handler.service != "mallee" or handler.operation == "SignIn":
            continue
        asked = maker.required("mallee", model(sqlite_cloud, "mallee", handler.operation))
        if "AccountId" in model(sqlite_cloud, "mallee", handler.operation).input_shape.members:
            asked["AccountId"] = victim.account.id
        told = answer(ordinary.client("mallee", validate=False), handler.operation, asked)
        if handler.operation not in own or "AccountId" in asked:
            assert told.startswith("400 "), f"{handler.operation}: {told[:300]}"
        told = answer(nobody.client("mallee", validate=False), handler.operation, asked)
        assert "AccessDeniedException" in told or "ValidationException" in told, f"{handler.operation}: {told[:300]}"
    victim.account.client("ec2").describe_vpcs()


def test_the_account_that_set_the_cloud_up_is_its_own(sqlite_cloud: TestCloud) -> None:
    """Another administrator does not take the cloud from it."""
    mallee = sqlite_cloud.client("mallee")
    second = sqlite_cloud.account("second")
    mallee.grant_administration(AccountId=second.id)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("close_account", {"AccountId": ADMIN}),
        ("import_access_key", {"AccountId": ADMIN, "AccessKeyId": "AKIAMALLORYMALLORY00", "SecretAccessKey": "x" * 40}),
        ("update_account", {"AccountId": ADMIN, "Name": "mine"}),
        ("revoke_sessions", {"AccountId": ADMIN}),
    ]
    for operation, given in calls:
        with pytest.raises(ClientError) as caught:
            getattr(second.client("mallee"), operation)(**given)
        assert caught.value.response["Error"]["Code"] in ("AccessDeniedException", "ConstraintViolationException"), operation
