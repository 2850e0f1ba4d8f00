"""Signing in: by password here, by password in a real directory, with MFA; what those who guess are told."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from mallee.identity.setup import Credentials
from tests.cloud.conftest import _empty_database, sqlite_cloud  # noqa: F401
from tests.cloud.harness import Account, TestCloud, refused
from tests.directory.conftest import document
from tests.directory.test_synchronisation import filled  # noqa: F401
from tests.slapd import Slapd

PASSWORD = "Correct-horse-7"
FAILED = "SignInFailedException"


def sign_in(cloud: TestCloud, name: str | None, password: str | None, account: str = "mallee", **more: Any) -> dict[str, Any]:
    given = {"Account": account, "UserName": name, "Password": password, **more}
    return dict(cloud.client("mallee").sign_in(**{key: value for key, value in given.items() if value is not None}))


def who(cloud: TestCloud, answer: dict[str, Any]) -> Any:
    given = answer["Credentials"]
    session = Credentials(answer["AccountId"], given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    return Account(cloud, session)


@pytest.fixture
def cloud(sqlite_cloud: TestCloud) -> TestCloud:  # noqa: F811
    iam = sqlite_cloud.client("iam")
    iam.create_user(UserName="carol")
    iam.create_login_profile(UserName="carol", Password=PASSWORD)
    return sqlite_cloud


def test_a_password(cloud: TestCloud) -> None:
    answer = sign_in(cloud, "Carol", PASSWORD)
    assert answer["UserArn"].endswith(":user/carol")
    assert who(cloud, answer).client("sts").get_caller_identity()["Arn"] == answer["UserArn"]
    left = answer["Credentials"]["Expiration"] - cloud.clock.now()
    assert datetime.timedelta(hours=11, minutes=59) < left <= datetime.timedelta(hours=12)
    by_id = sign_in(cloud, "carol", PASSWORD, account=cloud.admin.id, DurationSeconds=900)
    assert by_id["AccountId"] == cloud.admin.id
    assert cloud.client("iam").get_user(UserName="carol")["User"]["PasswordLastUsed"]


@pytest.mark.parametrize(
    ("name", "password", "account"),
    [("carol", "wrong", "mallee"), ("nobody", PASSWORD, "mallee"), ("carol", PASSWORD, "nowhere"), ("carol", PASSWORD, "0" * 12)],
)
def test_every_refusal_says_the_same(cloud: TestCloud, name: str, password: str, account: str) -> None:
    with refused(FAILED, 400) as told:
        sign_in(cloud, name, password, account)
    assert told() == "The account, user name, password or token is not right."


@pytest.mark.parametrize("name", ["carol", "nobody"])
def test_guesses_are_slowed_down_whoever_they_are_for(cloud: TestCloud, name: str) -> None:
    for _ in range(6):
        with refused(FAILED):
            sign_in(cloud, name, "wrong")
    with refused(FAILED):
        sign_in(cloud, name, PASSWORD)  # not looked at
    cloud.clock.advance(900)
    if name == "carol":
        assert sign_in(cloud, name, PASSWORD)["AccountId"] == cloud.admin.id
    else:
        with refused(FAILED):
            sign_in(cloud, name, PASSWORD)


def test_a_password_that_must_be_changed(cloud: TestCloud) -> None:
    cloud.client("iam").update_login_profile(UserName="carol", PasswordResetRequired=True)
    with refused("PasswordChangeRequiredException"):
        sign_in(cloud, "carol", PASSWORD)
    with refused("PasswordPolicyViolationException"):
        sign_in(cloud, "carol", PASSWORD, NewPassword="short")
    with refused(FAILED):
        sign_in(cloud, "carol", "wrong", NewPassword="Another-horse-8")
    sign_in(cloud, "carol", PASSWORD, NewPassword="Another-horse-8")
    with refused(FAILED):
        sign_in(cloud, "carol", PASSWORD)
    sign_in(cloud, "carol", "Another-horse-8")


def test_mfa(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="carols")["VirtualMFADevice"]
    seed = device["Base32StringSeed"].decode()
    code = lambda: _code(seed, cloud.clock.now())  # noqa: E731
    first = code()
    cloud.clock.advance(30)
    iam.enable_mfa_device(
        UserName="carol", SerialNumber=device["SerialNumber"], AuthenticationCode1=first, AuthenticationCode2=code()
    )
    with refused(FAILED):
        sign_in(cloud, "carol", "wrong")
    with refused("MfaRequiredException"):
        sign_in(cloud, "carol", PASSWORD)
    cloud.clock.advance(30)
    used = code()
    answer = sign_in(cloud, "carol", PASSWORD, MfaCode=used)
    assert who(cloud, answer).client("sts").get_caller_identity()["Arn"].endswith("user/carol")
    with refused(FAILED):
        sign_in(cloud, "carol", PASSWORD, MfaCode=used)


def _code(seed: str, at: datetime.datetime) -> str:
    import base64
    import hashlib
    import hmac

    digest = hmac.new(base64.b32decode(seed), int(at.timestamp() // 30).to_bytes(8, "big"), hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{int.from_bytes(digest[start : start + 4], 'big') % 2**31 % 10**6:06d}"


def test_the_directorys_password(sqlite_cloud: TestCloud, filled: Slapd) -> None:  # noqa: F811
    cloud = sqlite_cloud
    mallee = cloud.client("mallee")
    made = mallee.put_directory(Configuration=json.dumps(document(filled.url)))["Directory"]
    assert "directory-secret" not in json.dumps(made, default=str) and made["IntervalSeconds"] == 900
    cloud.run()
    state = mallee.get_directory()["Directory"]["LastSynchronization"]
    assert state["State"] == "DONE" and state["Changes"] == 8, state
    answer = sign_in(cloud, "alice", "s3cret-of-alice", account="acme")
    assert who(cloud, answer).client("sts").get_caller_identity()["Arn"].endswith(":user/alice")
    with refused(FAILED):
        sign_in(cloud, "alice", "wrong", account="acme")
    again = mallee.put_directory(Configuration=mallee.get_directory()["Directory"]["Configuration"])
    assert again["Directory"]["Configuration"] == made["Configuration"]
    mallee.synchronize_directory()
    cloud.run()
    assert mallee.get_directory()["Directory"]["LastSynchronization"]["State"] == "DONE"  # the password was kept
    mallee.delete_directory()
    cloud.run()
    with refused("DirectoryNotFoundException"):
        mallee.get_directory()
    with refused(FAILED):
        sign_in(cloud, "alice", "s3cret-of-alice", account="acme")


def test_a_configuration_for_another_server_does_not_get_the_password(sqlite_cloud: TestCloud) -> None:  # noqa: F811
    mallee = sqlite_cloud.client("mallee")
    mallee.put_directory(Configuration=json.dumps(document("ldap://one", sync={"enable": "false"})))
    other = document("ldap://two", sync={"enable": "false"})
    del other["ldap-service"]["auth-credentials"]
    mallee.put_directory(Configuration=json.dumps(other))
    with sqlite_cloud.database.reading() as tx:
        from mallee.identity.directory.synchronisation import configuration_of

        found = configuration_of(tx, sqlite_cloud.cloud.tools)
    assert found is not None and found.service.credentials == ""


def test_only_administrators_see_the_directory(sqlite_cloud: TestCloud) -> None:  # noqa: F811
    other = sqlite_cloud.account("other").client("mallee")
    for call in (other.get_directory, other.delete_directory, other.synchronize_directory):
        with refused("AccessDeniedException"):
            call()
    with refused("AccessDeniedException"):
        other.put_directory(Configuration="{}")


