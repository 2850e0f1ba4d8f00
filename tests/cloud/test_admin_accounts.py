"""The mallee service: accounts, who administers the cloud, keys that are brought in, sessions that are made void."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mallee.identity.setup import Credentials
from tests.cloud.harness import Account, TestCloud, refused
from tests.cloud.people import user

SECRET = "x" * 40


def made(cloud: TestCloud, name: str = "Development", **more: Any) -> Account:
    """An account made by the API, with its root's key."""
    key = cloud.client("mallee").create_account(Name=name, CreateAccessKey=True, **more)["AccessKey"]
    return Account(cloud, Credentials(key["AccountId"], key["AccessKeyId"], key["SecretAccessKey"]))


def test_an_account_is_made_and_works(cloud: TestCloud) -> None:
    mallee = cloud.client("mallee")
    answer = mallee.create_account(Name="Development", Alias="dev", CreateAccessKey=True)
    account, key = answer["Account"], answer["AccessKey"]
    assert account["Status"] == "ACTIVE"
    assert account["Alias"] == "dev"
    assert account["IsAdministrator"] is False
    assert account["Arn"] == f"arn:aws:mallee:::account/{account['AccountId']}"
    own = Account(cloud, Credentials(account["AccountId"], key["AccessKeyId"], key["SecretAccessKey"]))
    assert own.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{own.id}:root"
    assert [vpc["IsDefault"] for vpc in own.client("ec2").describe_vpcs()["Vpcs"]] == [True]
    assert mallee.describe_account(Alias="dev")["Account"] == account
    assert mallee.describe_account(AccountId=own.id)["Account"] == account
    assert mallee.describe_account()["Account"]["AccountId"] == cloud.admin.id
    given = mallee.create_account(Name="Given", AccountId="000000000042")
    assert given["Account"]["AccountId"] == "000000000042"
    assert "AccessKey" not in given


def test_the_same_request_makes_one_account(cloud: TestCloud) -> None:
    mallee = cloud.client("mallee")
    first = mallee.create_account(Name="Once", ClientToken="t1", CreateAccessKey=True)
    again = mallee.create_account(Name="Once", ClientToken="t1", CreateAccessKey=True)
    assert {name: again[name] for name in ("Account", "AccessKey")} == {name: first[name] for name in ("Account", "AccessKey")}
    with refused("IdempotentParameterMismatchException", 400):
        mallee.create_account(Name="Twice", ClientToken="t1", CreateAccessKey=True)
    assert len(mallee.list_accounts()["Accounts"]) == 2



def test_a_token_is_no_password(cloud: TestCloud) -> None:
    """Whoever repeats another's request learns what was made, and not the root's key of it."""
    mallee = cloud.client("mallee")
    first = mallee.create_account(Name="Once", ClientToken="t1", CreateAccessKey=True)
    other = user(cloud, "bob", "mallee:*").client("mallee")
    again = other.create_account(Name="Once", ClientToken="t1", CreateAccessKey=True)
    assert again["Account"]["AccountId"] == first["Account"]["AccountId"]
    assert "AccessKey" not in again


def test_ids_and_aliases_are_unique(cloud: TestCloud) -> None:
    mallee = cloud.client("mallee")
    mallee.create_account(Name="One", Alias="one", AccountId="000000000001")
    other = mallee.create_account(Name="Two", Alias="two")["Account"]["AccountId"]
    for wish in ({"Alias": "one"}, {"AccountId": "000000000001"}, {"AccountId": cloud.admin.id}):
        with refused("AccountAlreadyExistsException", 400):
            mallee.create_account(Name="Three", **wish)
    with refused("AccountAlreadyExistsException", 400):
        mallee.update_account(AccountId=other, Alias="one")
    changed = mallee.update_account(AccountId=other, Alias="three", Name="Three")["Account"]
    assert (changed["Alias"], changed["Name"]) == ("three", "Three")
    assert "Alias" not in mallee.update_account(AccountId=other, Alias="")["Account"]
    assert mallee.update_account(AccountId=other, Alias="two")["Account"]["Alias"] == "two"


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"Alias": "UPPER"}, "ValidationException"),
        ({"Alias": "a--b"}, "ValidationException"),
        ({"Alias": "ab"}, "ValidationException"),
        ({"Alias": "123456789013"}, "InvalidParameterException"),
        ({"AccountId": "12345678901"}, "ValidationException"),
        ({"AccountId": "12345678901x"}, "ValidationException"),
        ({"Name": ""}, "ValidationException"),
        ({"Name": "tab\there"}, "ValidationException"),
        ({"ClientToken": "t" * 65}, "ValidationException"),
    ],
)
def test_bad_wishes_are_refused(sqlite_cloud: TestCloud, wish: dict[str, str], code: str) -> None:
    mallee = sqlite_cloud.client("mallee", validate=False)
    with refused(code, 400):
        mallee.create_account(**({"Name": "Bad"} | wish))
    assert len(mallee.list_accounts()["Accounts"]) == 1


def test_accounts_come_in_pages(sqlite_cloud: TestCloud) -> None:
    mallee = sqlite_cloud.client("mallee")
    known = {mallee.create_account(Name=f"n{number}")["Account"]["AccountId"] for number in range(5)} | {sqlite_cloud.admin.id}
    pages = list(mallee.get_paginator("list_accounts").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["Accounts"]) for page in pages] == [2, 2, 2]
    assert {each["AccountId"] for page in pages for each in page["Accounts"]} == known
    with refused("InvalidParameterException", 400):
        mallee.list_accounts(NextToken="forged")
    with refused("InvalidParameterException", 400):  # of another list
        mallee.list_accounts(NextToken=pages[0]["NextToken"], Status="ACTIVE")


def test_a_closed_account_does_nothing_and_keeps_what_it_has(cloud: TestCloud) -> None:
    mallee = cloud.client("mallee")
    account = made(cloud)
    group = account.client("ec2").create_security_group(GroupName="web", Description="d")["GroupId"]
    member = user(cloud, "alice", "*", account=account)
    session = account.client("sts").get_session_token()["Credentials"]
    assert member.client("sts").get_caller_identity()
    closed = mallee.close_account(AccountId=account.id)["Account"]
    assert closed["Status"] == "SUSPENDED"
    assert closed["ClosedAt"] == closed["SessionsNotBefore"]
    for each in (account, member):
        with refused("InvalidClientTokenId", 403):
            each.client("sts").get_caller_identity()
        with refused("AuthFailure", 401):
            each.client("ec2").describe_vpcs()
        with refused("UnrecognizedClientException", 400):
            each.client("mallee").describe_account()
    assert mallee.close_account(AccountId=account.id)["Account"] == closed
    assert [each["AccountId"] for each in mallee.list_accounts(Status="SUSPENDED")["Accounts"]] == [account.id]
    cloud.clock.advance(60)
    assert mallee.reopen_account(AccountId=account.id)["Account"]["Status"] == "ACTIVE"
    named = account.client("ec2").describe_security_groups(GroupNames=["web"])["SecurityGroups"]
    assert [each["GroupId"] for each in named] == [group]
    with refused("InvalidClientTokenId", 403):  # what was issued before it was closed stays void
        _with(cloud, session).get_caller_identity()


def test_nobody_enters_a_closed_account(cloud: TestCloud) -> None:
    account, other = made(cloud, "Closed", Alias="closed"), made(cloud, "Other")
    iam = account.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": other.id}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="guest", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    iam.create_user(UserName="alice")
    iam.create_login_profile(UserName="alice", Password="Correct horse 1!")
    guest = user(cloud, "bob", "sts:AssumeRole", account=other)
    session = guest.client("sts").assume_role(RoleArn=role, RoleSessionName="visit")["Credentials"]
    assert sign_in(cloud, "closed", "alice", "Correct horse 1!")["AccountId"] == account.id
    cloud.client("mallee").close_account(AccountId=account.id)
    with refused("InvalidClientTokenId", 403):
        _with(cloud, session).get_caller_identity()
    with refused("AccessDenied", 403):
        guest.client("sts").assume_role(RoleArn=role, RoleSessionName="visit")
    with refused("SignInFailedException"):
        sign_in(cloud, "closed", "alice", "Correct horse 1!")
    cloud.clock.advance(1)
    cloud.client("mallee").reopen_account(AccountId=account.id)
    guest.client("sts").assume_role(RoleArn=role, RoleSessionName="visit")
    sign_in(cloud, "closed", "alice", "Correct horse 1!")


def sign_in(cloud: TestCloud, account: str, name: str, password: str) -> dict[str, Any]:
    return dict(cloud.client("mallee").sign_in(Account=account, UserName=name, Password=password))


def test_the_account_that_set_the_cloud_up_stays(cloud: TestCloud) -> None:
    other = made(cloud, "Helpers")
    mallee = cloud.client("mallee")
    mallee.grant_administration(AccountId=other.id)
    for client in (mallee, other.client("mallee")):
        with refused("ConstraintViolationException", 400):
            client.close_account(AccountId=cloud.admin.id)
        with refused("ConstraintViolationException", 400):
            client.revoke_administration(AccountId=cloud.admin.id)
    theirs = other.client("mallee")
    for attempt in (
        lambda: theirs.import_access_key(AccountId=cloud.admin.id, AccessKeyId="AKIA" + "B" * 16, SecretAccessKey=SECRET),
        lambda: theirs.update_account(AccountId=cloud.admin.id, Alias="mine"),
        lambda: theirs.revoke_sessions(AccountId=cloud.admin.id),
        lambda: theirs.put_account_policy(AccountId=cloud.admin.id, PolicyName="p", PolicyDocument=" "),
    ):
        with refused("AccessDeniedException", 400):
            attempt()


def test_administration_is_granted_and_revoked(cloud: TestCloud) -> None:
    mallee = cloud.client("mallee")
    other = made(cloud)
    theirs = other.client("mallee")
    with refused("AccessDeniedException", 400):
        theirs.list_accounts()
    granted = mallee.grant_administration(AccountId=other.id)["Administrator"]
    assert granted["GrantedBy"] == f"arn:aws:iam::{cloud.admin.id}:root"
    assert granted == mallee.grant_administration(AccountId=other.id)["Administrator"]
    assert len(theirs.list_accounts()["Accounts"]) == 2
    found = mallee.list_administrators()["Administrators"]
    assert {(each["AccountId"], each["Permanent"]) for each in found} == {(cloud.admin.id, True), (other.id, False)}
    assert theirs.describe_account()["Account"]["IsAdministrator"] is True
    theirs.revoke_administration(AccountId=other.id)
    with refused("AccessDeniedException", 400):
        theirs.list_accounts()
    mallee.revoke_administration(AccountId=other.id)  # again: nothing changes


# everything that takes an account, with a complete input
OF_ACCOUNTS: dict[str, dict[str, Any]] = {
    "describe_account": {},
    "update_account": {"Name": "x"},
    "close_account": {},
    "reopen_account": {},
    "grant_administration": {},
    "revoke_administration": {},
    "put_account_quota": {"ServiceCode": "ec2", "QuotaCode": "L-0263D0A3", "Value": 9},
    "get_account_quota": {"ServiceCode": "ec2", "QuotaCode": "L-0263D0A3"},
    "list_account_quotas": {},
    "delete_account_quota": {"ServiceCode": "ec2", "QuotaCode": "L-0263D0A3"},
    "list_quota_requests": {},
    "put_account_policy": {"PolicyName": "p", "PolicyDocument": "{}"},
    "get_account_policy": {"PolicyName": "p"},
    "list_account_policies": {},
    "delete_account_policy": {"PolicyName": "p"},
    "import_access_key": {"AccessKeyId": "AKIA" + "A" * 16, "SecretAccessKey": SECRET},
    "revoke_sessions": {},
}
# and everything else that only administrators may
OF_THE_CLOUD: dict[str, dict[str, Any]] = {
    "create_account": {"Name": "x"},
    "list_accounts": {},
    "list_administrators": {},
    "list_quota_requests": {},
    "approve_quota_request": {"RequestId": "0"},
    "deny_quota_request": {"RequestId": "0"},
    "create_service_control_policy": {"Name": "p", "Document": "{}"},
    "get_service_control_policy": {"PolicyId": "p-FullAWSAccess"},
    "update_service_control_policy": {"PolicyId": "p-FullAWSAccess"},
    "delete_service_control_policy": {"PolicyId": "p-FullAWSAccess"},
    "list_service_control_policies": {},
    "attach_service_control_policy": {"PolicyId": "p-FullAWSAccess", "TargetId": "root"},
    "detach_service_control_policy": {"PolicyId": "p-FullAWSAccess", "TargetId": "root"},
    "list_service_control_policy_targets": {"PolicyId": "p-FullAWSAccess"},
    "describe_account": {"Alias": "mallee"},
}


@pytest.mark.parametrize("operation", OF_ACCOUNTS)
def test_other_accounts_are_denied_whether_they_exist_or_not(sqlite_cloud: TestCloud, operation: str) -> None:
    attacker, victim = made(sqlite_cloud, "Attacker"), made(sqlite_cloud, "Victim")
    told = []
    for account_id in (victim.id, "999999999999", sqlite_cloud.admin.id):
        with refused("AccessDeniedException", 400) as message:
            getattr(attacker.client("mallee"), operation)(AccountId=account_id, **OF_ACCOUNTS[operation])
        told.append(message())
    assert told[0] == told[1] == told[2]


@pytest.mark.parametrize("operation", OF_THE_CLOUD)
def test_only_administrators_administer(sqlite_cloud: TestCloud, operation: str) -> None:
    attacker = made(sqlite_cloud, "Attacker")
    with refused("AccessDeniedException", 400):
        getattr(attacker.client("mallee"), operation)(**OF_THE_CLOUD[operation])
    everything = user(sqlite_cloud, "mallory", "*", account=attacker)  # whatever an account's own policies allow
    with refused("AccessDeniedException", 400):
        getattr(everything.client("mallee"), operation)(**OF_THE_CLOUD[operation])


@pytest.mark.parametrize("operation", sorted(OF_ACCOUNTS.keys() - {"list_quota_requests"}))
def test_an_account_that_is_not_there(sqlite_cloud: TestCloud, operation: str) -> None:
    with refused("AccountNotFoundException", 400):
        getattr(sqlite_cloud.client("mallee"), operation)(AccountId="999999999999", **OF_ACCOUNTS[operation])


def test_an_account_sees_itself(sqlite_cloud: TestCloud) -> None:
    mine = made(sqlite_cloud, "Mine", Alias="mine")
    client = mine.client("mallee")
    assert client.describe_account()["Account"]["Name"] == "Mine"
    assert client.describe_account(AccountId=mine.id) != {}
    assert client.describe_account(Alias="mine")["Account"]["AccountId"] == mine.id
    assert client.list_account_quotas(ServiceCode="vpc")["Quotas"]
    assert client.list_account_policies()["Policies"] == []
    assert client.revoke_sessions()["Account"]["AccountId"] == mine.id
    told = []
    for alias in ("mallee", "nobody"):
        with refused("AccessDeniedException", 400) as message:
            client.describe_account(Alias=alias)
        told.append(message())
    assert told[0] == told[1]


def test_policies_decide_who_administers_in_an_administrators_account(cloud: TestCloud) -> None:
    account = made(cloud)
    reader = user(cloud, "reader", "mallee:List*", "mallee:Describe*")
    assert reader.client("mallee").list_accounts()["Accounts"]
    with refused("AccessDeniedException", 400):
        reader.client("mallee").close_account(AccountId=account.id)
    nobody = user(cloud, "nobody")
    with refused("AccessDeniedException", 400):
        nobody.client("mallee").describe_account()
    closer = user(cloud, "closer", "mallee:CloseAccount", on=f"arn:aws:mallee:::account/{account.id}")
    with refused("AccessDeniedException", 400):
        closer.client("mallee").close_account(AccountId="999999999999")
    closer.client("mallee").close_account(AccountId=account.id)


def test_a_key_is_brought_in(cloud: TestCloud) -> None:
    mallee = cloud.client("mallee")
    account = made(cloud)
    key = mallee.import_access_key(AccountId=account.id, AccessKeyId="AKIAIOSFODNN7EXAMPLE", SecretAccessKey=SECRET)["AccessKey"]
    assert "SecretAccessKey" not in key
    root = Account(cloud, Credentials(account.id, "AKIAIOSFODNN7EXAMPLE", SECRET))
    assert root.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{account.id}:root"
    alice = user(cloud, "alice", account=account)
    mallee.import_access_key(
        AccountId=account.id, UserName="ALICE", AccessKeyId="QSI3LXFYQ1DZ6P0NDVSJ", SecretAccessKey="Secret/with+signs="
    )
    hers = Account(cloud, Credentials(account.id, "QSI3LXFYQ1DZ6P0NDVSJ", "Secret/with+signs="))
    assert hers.client("sts").get_caller_identity() | {"ResponseMetadata": 0} == (
        alice.client("sts").get_caller_identity() | {"ResponseMetadata": 0}
    )
    with refused("LimitExceededException", 400):  # the third
        mallee.import_access_key(AccountId=account.id, UserName="alice", AccessKeyId="AKIA" + "C" * 16, SecretAccessKey=SECRET)
    with refused("UserNotFoundException", 400):
        mallee.import_access_key(AccountId=account.id, UserName="bob", AccessKeyId="AKIA" + "C" * 16, SecretAccessKey=SECRET)


def test_a_key_of_another_account_is_not_taken(cloud: TestCloud) -> None:
    mallee = cloud.client("mallee")
    victim, attacker = made(cloud, "Victim"), made(cloud, "Attacker")
    for key_id in (victim.credentials.access_key_id, cloud.admin.credentials.access_key_id):
        with refused("AccessKeyAlreadyExistsException", 400):
            mallee.import_access_key(AccountId=attacker.id, AccessKeyId=key_id, SecretAccessKey=SECRET)
    assert victim.client("sts").get_caller_identity()["Account"] == victim.id


@pytest.mark.parametrize(
    ("key_id", "secret", "code"),
    [
        ("ASIAIOSFODNN7EXAMPLE", SECRET, "InvalidParameterException"),
        ("asiaIOSFODNN7EXAMPLE", SECRET, "InvalidParameterException"),
        ("SHORT", SECRET, "ValidationException"),
        ("AKIAIOSFODNN7EXAMPL\u00c9", SECRET, "ValidationException"),
        ("AKIAIOSFODNN7/EXAMPLE", SECRET, "ValidationException"),
        ("AKIAIOSFODNN7EXAMPLE\n", SECRET, "ValidationException"),
        ("AKIAIOSFODNN7EXAMPLE", "short", "ValidationException"),
        ("AKIAIOSFODNN7EXAMPLE", "with a space in the middle of it", "InvalidParameterException"),
        ("AKIAIOSFODNN7EXAMPLE", "sécret-with-an-accent-in-it", "InvalidParameterException"),
        ("AKIAIOSFODNN7EXAMPLE", "s" * 129, "ValidationException"),
    ],
)
def test_pairs_that_cannot_be_keys(sqlite_cloud: TestCloud, key_id: str, secret: str, code: str) -> None:
    client = sqlite_cloud.client("mallee", validate=False)
    with refused(code, 400) as message:
        client.import_access_key(AccountId=sqlite_cloud.admin.id, AccessKeyId=key_id, SecretAccessKey=secret)
    assert secret not in message()


def test_sessions_are_made_void(cloud: TestCloud) -> None:
    account = made(cloud)
    before = account.client("sts").get_session_token()["Credentials"]
    assert _with(cloud, before).get_caller_identity()["Account"] == account.id
    cloud.clock.advance(1)
    cloud.client("mallee").revoke_sessions(AccountId=account.id)
    with refused("InvalidClientTokenId", 403):
        _with(cloud, before).get_caller_identity()
    cloud.clock.advance(1)
    after = account.client("sts").get_session_token()["Credentials"]
    assert _with(cloud, after).get_caller_identity()["Account"] == account.id
    assert account.client("sts").get_caller_identity()["Account"] == account.id  # keys are no sessions


def _with(cloud: TestCloud, session: dict[str, Any]) -> Any:
    import boto3

    client = boto3.client(
        "sts",
        region_name=cloud.settings.region,
        endpoint_url="http://mallee.test:8773",
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )
    client.meta.events.register("before-send", cloud._answer)
    return client
