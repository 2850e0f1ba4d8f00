"""Login profiles, the password policy, and how passwords are checked."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mallee.identity import passwords, records
from mallee.identity.passwords import Outcome
from mallee.identity.records import attempts
from mallee.identity.records import passwords as password_records
from mallee.store.tables import journal
from tests.cloud import people
from tests.cloud.harness import Account, TestCloud, refused

GOOD = "Correct-Horse-7"
OTHER = "Battery-Staple-8"
DAY = 24 * 3600


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes that cost nothing: what they cost otherwise is in tests/identity/test_passwords.py."""
    monkeypatch.setattr(passwords, "COST", (16, 8, 1))
    yield


def sign_in(cloud: TestCloud, password: str, name: str = "alice", account: Account | None = None) -> Outcome:
    """As the sign-in page does it: three parts, two transactions."""
    account_id = (account or cloud.admin).id
    with cloud.database.reading() as tx:
        made = passwords.attempt(tx, cloud.cloud.vault, account_id, name)
    right = passwords.matches(made, password)
    with cloud.database.transaction() as tx:
        return passwords.settle(tx, made, right)


@pytest.fixture
def iam(sqlite_cloud: TestCloud) -> Any:
    people.user(sqlite_cloud, "alice", "iam:ChangePassword")
    return sqlite_cloud.client("iam")


# --------------------------------------------------------------------------------------------------------- login profiles


def test_a_login_profile_lives(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    people.user(cloud, "alice")
    with refused("NoSuchEntity", 404) as told:
        iam.get_login_profile(UserName="alice")
    assert told() == "Login Profile for User alice cannot be found."
    made = iam.create_login_profile(UserName="Alice", Password=GOOD)["LoginProfile"]
    assert made == {"UserName": "alice", "CreateDate": cloud.clock.now(), "PasswordResetRequired": False}
    assert iam.get_login_profile(UserName="alice")["LoginProfile"] == made
    with refused("EntityAlreadyExists", 409) as told:
        iam.create_login_profile(UserName="alice", Password=OTHER)
    assert told() == "Login Profile for user alice already exists."
    assert sign_in(cloud, GOOD) is Outcome.RIGHT and sign_in(cloud, OTHER) is Outcome.WRONG
    cloud.run(seconds=60)
    iam.update_login_profile(UserName="alice", Password=OTHER, PasswordResetRequired=True)
    assert sign_in(cloud, GOOD) is Outcome.WRONG and sign_in(cloud, OTHER) is Outcome.RENEW
    assert iam.get_login_profile(UserName="alice")["LoginProfile"] == made | {"PasswordResetRequired": True}
    iam.update_login_profile(UserName="alice", PasswordResetRequired=False)
    assert sign_in(cloud, OTHER) is Outcome.RIGHT
    iam.delete_login_profile(UserName="alice")
    assert sign_in(cloud, OTHER) is Outcome.WRONG
    for act in (iam.delete_login_profile, iam.update_login_profile, iam.get_login_profile):
        with refused("NoSuchEntity", 404):
            act(UserName="alice")


def test_who_has_no_password(iam: Any, sqlite_cloud: TestCloud) -> None:
    with refused("NoSuchEntity", 404):
        iam.create_login_profile(UserName="nobody", Password=GOOD)
    with refused("ValidationError", 400):
        iam.create_login_profile(UserName="alice")
    with refused("ValidationError", 400):  # the root has none of this kind
        iam.create_login_profile(Password=GOOD)
    with refused("NoSuchEntity", 404):
        sqlite_cloud.account().client("iam").create_login_profile(UserName="alice", Password=GOOD)


def test_a_password_is_nowhere_to_be_read(iam: Any, sqlite_cloud: TestCloud) -> None:
    iam.create_login_profile(UserName="alice", Password=GOOD)
    iam.update_login_profile(UserName="alice", Password=OTHER)
    with sqlite_cloud.database.reading() as tx:
        entries = [row for row in tx.all(journal.select()) if row.kind == "iam_login_profiles"]
        (profile,) = password_records.login_profiles_in(tx, sqlite_cloud.admin.id)
    told = json.dumps([[row.before, row.after] for row in entries])
    assert len(entries) == 2 and GOOD not in told and OTHER not in told
    assert b"salt" not in profile.secret and len(passwords.unsealed(sqlite_cloud.cloud.vault, profile)) == 2
    assert profile.secret.hex() not in told


def test_a_sealed_password_opens_for_its_own_user_only(iam: Any, sqlite_cloud: TestCloud) -> None:
    people.user(sqlite_cloud, "mallory")
    iam.create_login_profile(UserName="alice", Password=GOOD)
    iam.create_login_profile(UserName="mallory", Password=OTHER)
    with sqlite_cloud.database.transaction() as tx:
        first, second = password_records.login_profiles_in(tx, sqlite_cloud.admin.id)
        alice = records.user_by_name(tx, sqlite_cloud.admin.id, "alice")
        assert alice is not None
        theirs = second if first.user_id == alice.id else first
        tx.change(password_records.login_profiles, alice.id, secret=theirs.secret)
    with pytest.raises(Exception, match="does not open"):
        sign_in(sqlite_cloud, OTHER)


# ------------------------------------------------------------------------------------------------------------- the policy


def test_the_policy_of_an_account(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    for act in (iam.get_account_password_policy, iam.delete_account_password_policy):
        with refused("NoSuchEntity", 404) as told:
            act()
        assert told() == f"The Password Policy with domain name {cloud.admin.id} cannot be found."
    everything = {
        "MinimumPasswordLength": 10, "RequireSymbols": True, "RequireNumbers": True, "RequireUppercaseCharacters": True,
        "RequireLowercaseCharacters": True, "AllowUsersToChangePassword": True, "MaxPasswordAge": 90,
        "PasswordReusePrevention": 5, "HardExpiry": True,
    }  # fmt: skip
    iam.update_account_password_policy(**everything)
    assert iam.get_account_password_policy()["PasswordPolicy"] == everything | {"ExpirePasswords": True}
    iam.update_account_password_policy(RequireNumbers=True)
    shown = iam.get_account_password_policy()["PasswordPolicy"]
    assert shown["MinimumPasswordLength"] == 6 and shown["RequireNumbers"] and not shown["RequireSymbols"]
    assert not shown["ExpirePasswords"] and "MaxPasswordAge" not in shown and "PasswordReusePrevention" not in shown
    with refused("NoSuchEntity", 404):
        cloud.account().client("iam").get_account_password_policy()
    for wrong in ({"MinimumPasswordLength": 5}, {"MaxPasswordAge": 0}, {"MaxPasswordAge": 1096}, {"PasswordReusePrevention": 25}):
        with refused("ValidationError", 400):
            cloud.client("iam", validate=False).update_account_password_policy(**wrong)
    iam.delete_account_password_policy()
    with refused("NoSuchEntity"):
        iam.get_account_password_policy()


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("Sh0rt!!", "minimum length of 12"),
        ("alllower-letters-7", "uppercase letter"),
        ("ALLUPPER-LETTERS-7", "lowercase letter"),
        ("No-Number-At-All", "number"),
        ("NoSymbolAtAll77", "symbol"),
        ("Ümläut-and-Num٧", "number"),
        ("Good-Enough-For-7", None),
    ],
)
def test_what_a_policy_asks(iam: Any, password: str, problem: str | None) -> None:
    iam.update_account_password_policy(
        MinimumPasswordLength=12, RequireSymbols=True, RequireNumbers=True, RequireUppercaseCharacters=True,
        RequireLowercaseCharacters=True,
    )  # fmt: skip
    if problem is None:
        iam.create_login_profile(UserName="alice", Password=password)
        return
    with pytest.raises(ClientError, match=r"PasswordPolicyViolation|ValidationError") as caught:
        iam.create_login_profile(UserName="alice", Password=password)
    assert problem in str(caught.value) or "ValidationError" in str(caught.value)


def test_without_a_policy_awss_default_holds(iam: Any) -> None:
    for password in ("Sh0rt!!", "alllowerletters", "lower7letters", "123456789012"):
        with refused("PasswordPolicyViolation", 400):
            iam.create_login_profile(UserName="alice", Password=password)
    iam.create_login_profile(UserName="alice", Password="threeOf4")


def test_hostile_passwords(iam: Any, sqlite_cloud: TestCloud) -> None:
    raw = sqlite_cloud.client("iam", validate=False)
    for password in ("a" * 129 + "A7!", "Nul\x00-byte-7", "Bell\x07-ring-7", "Kanji-漢字-77", ""):
        with refused("InvalidParameterValue" if min(password, default="x") < "\t" else "ValidationError", 400):
            raw.create_login_profile(UserName="alice", Password=password)
    long = "Aa1!" * 32
    iam.create_login_profile(UserName="alice", Password=long)
    assert sign_in(sqlite_cloud, long) is Outcome.RIGHT and sign_in(sqlite_cloud, long[:-1]) is Outcome.WRONG
    iam.update_login_profile(UserName="alice", Password="Tab\tand ümlaut 7")
    assert sign_in(sqlite_cloud, "Tab\tand ümlaut 7") is Outcome.RIGHT


# --------------------------------------------------------------------------------------------------------- changing it


def test_a_user_changes_its_password(cloud: TestCloud) -> None:
    iam, alice = cloud.client("iam"), people.user(cloud, "alice", "iam:ChangePassword").client("iam")
    with refused("NoSuchEntity", 404):
        alice.change_password(OldPassword=GOOD, NewPassword=OTHER)
    iam.create_login_profile(UserName="alice", Password=GOOD, PasswordResetRequired=True)
    with refused("AccessDenied", 403) as told:
        alice.change_password(OldPassword=OTHER, NewPassword=OTHER)
    assert told() == "The old password was incorrect."
    with refused("PasswordPolicyViolation", 400):
        alice.change_password(OldPassword=GOOD, NewPassword="short")
    alice.change_password(OldPassword=GOOD, NewPassword=OTHER)
    assert sign_in(cloud, OTHER) is Outcome.RIGHT and sign_in(cloud, GOOD) is Outcome.WRONG
    assert iam.get_login_profile(UserName="alice")["LoginProfile"]["PasswordResetRequired"] is False


def test_the_root_is_no_user(sqlite_cloud: TestCloud) -> None:
    with refused("InvalidUserType", 400):
        sqlite_cloud.client("iam").change_password(OldPassword=GOOD, NewPassword=OTHER)


def test_who_may_change_a_password(sqlite_cloud: TestCloud) -> None:
    cloud, iam = sqlite_cloud, sqlite_cloud.client("iam")
    alice = people.user(cloud, "alice").client("iam")
    denied = people.user(cloud, "bob", deny=("iam:ChangePassword", "iam:GetAccountPasswordPolicy")).client("iam")
    for name in ("alice", "bob"):
        iam.create_login_profile(UserName=name, Password=GOOD)
    for client in (alice, denied):
        with refused("AccessDenied", 403):
            client.change_password(OldPassword=GOOD, NewPassword=OTHER)
        with refused("AccessDenied", 403):
            client.get_account_password_policy()
    iam.update_account_password_policy(AllowUsersToChangePassword=True)
    alice.change_password(OldPassword=GOOD, NewPassword=OTHER)
    assert alice.get_account_password_policy()["PasswordPolicy"]["AllowUsersToChangePassword"]
    with refused("AccessDenied", 403):
        denied.change_password(OldPassword=GOOD, NewPassword=OTHER)
    with refused("AccessDenied", 403):
        denied.get_account_password_policy()
    with refused("AccessDenied", 403):
        alice.get_login_profile(UserName="alice")


def test_old_passwords_do_not_come_back(iam: Any, sqlite_cloud: TestCloud) -> None:
    alice = Account(sqlite_cloud, _key(sqlite_cloud, "alice")).client("iam")
    iam.update_account_password_policy(PasswordReusePrevention=3)
    words = [f"Password-Number-{number}" for number in range(5)]
    iam.create_login_profile(UserName="alice", Password=words[0])
    for before, after in itertools.pairwise(words):
        alice.change_password(OldPassword=before, NewPassword=after)
    for word in words[2:]:
        with refused("PasswordPolicyViolation", 400):
            alice.change_password(OldPassword=words[4], NewPassword=word)
    alice.change_password(OldPassword=words[4], NewPassword=words[1])
    iam.update_login_profile(UserName="alice", Password=words[4])  # an administrator may


def test_passwords_expire(iam: Any, sqlite_cloud: TestCloud) -> None:
    cloud, alice = sqlite_cloud, Account(sqlite_cloud, _key(sqlite_cloud, "alice")).client("iam")
    iam.create_login_profile(UserName="alice", Password=GOOD)
    cloud.run(seconds=3 * DAY)
    iam.update_account_password_policy(MaxPasswordAge=2)
    assert sign_in(cloud, GOOD) is Outcome.RENEW
    assert sign_in(cloud, OTHER) is Outcome.WRONG
    iam.update_account_password_policy(MaxPasswordAge=2, HardExpiry=True)
    assert sign_in(cloud, GOOD) is Outcome.EXPIRED
    alice.change_password(OldPassword=GOOD, NewPassword=OTHER)  # by the API, with a key
    assert sign_in(cloud, OTHER) is Outcome.RIGHT


# ------------------------------------------------------------------------------------------------------------- guessing


def test_guesses_are_slowed_down_and_forgotten(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    people.user(cloud, "alice")
    iam.create_login_profile(UserName="alice", Password=GOOD)
    for _ in range(attempts.FREE):
        assert sign_in(cloud, OTHER) is Outcome.WRONG
    assert sign_in(cloud, GOOD) is Outcome.RIGHT  # which forgets
    for _ in range(attempts.FREE + 1):
        assert sign_in(cloud, OTHER) is Outcome.WRONG
    assert sign_in(cloud, GOOD) is Outcome.WAIT
    cloud.clock.advance(2.5)
    assert sign_in(cloud, OTHER) is Outcome.WRONG
    cloud.clock.advance(2.5)
    assert sign_in(cloud, GOOD) is Outcome.WAIT  # longer now
    cloud.clock.advance(2)
    assert sign_in(cloud, GOOD) is Outcome.RIGHT


def test_names_that_are_nobodys_are_slowed_down_alike(sqlite_cloud: TestCloud) -> None:
    cloud, iam = sqlite_cloud, sqlite_cloud.client("iam")
    people.user(cloud, "alice")
    people.user(cloud, "keyonly")
    iam.create_login_profile(UserName="alice", Password=GOOD)
    told = {name: [sign_in(cloud, OTHER, name) for _ in range(8)] for name in ("alice", "ALICE2", "keyonly", "x" * 500)}
    assert len({tuple(each) for each in told.values()}) == 1
    assert sign_in(cloud, OTHER, "aLiCe") is Outcome.WAIT  # one name in any case
    assert sign_in(cloud, GOOD, account=cloud.account()) is Outcome.WRONG  # another account's alice is another


def test_guesses_by_the_api_count_although_it_refuses(cloud: TestCloud) -> None:
    iam, alice = cloud.client("iam"), people.user(cloud, "alice", "iam:ChangePassword").client("iam")
    iam.create_login_profile(UserName="alice", Password=GOOD)
    for _ in range(attempts.FREE + 1):
        with refused("AccessDenied", 403):
            alice.change_password(OldPassword=OTHER, NewPassword=OTHER)
    with refused("EntityTemporarilyUnmodifiable", 409):
        alice.change_password(OldPassword=GOOD, NewPassword=OTHER)
    assert sign_in(cloud, GOOD) is Outcome.WAIT
    cloud.clock.advance(3)
    alice.change_password(OldPassword=GOOD, NewPassword=OTHER)


def test_guesses_at_once_are_one_guess(cloud: TestCloud) -> None:
    """All look before any is counted: only the first to settle is told anything."""
    iam = cloud.client("iam")
    people.user(cloud, "alice")
    iam.create_login_profile(UserName="alice", Password=GOOD)
    with cloud.database.reading() as tx:
        made = passwords.attempt(tx, cloud.cloud.vault, cloud.admin.id, "alice")
    told: list[Outcome] = []
    lock = threading.Lock()

    def guess(right: bool) -> None:
        outcome = cloud.database.run(lambda tx: passwords.settle(tx, made, right))
        with lock:
            told.append(outcome)

    threads = [threading.Thread(target=guess, args=(False,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [Outcome.WAIT] * 5 + [Outcome.WRONG]


def test_counted_guesses_of_long_ago_are_swept(sqlite_cloud: TestCloud) -> None:
    cloud = sqlite_cloud
    for number in range(5):
        sign_in(cloud, OTHER, f"nobody{number}")
    cloud.clock.advance(2 * 3600)
    sign_in(cloud, OTHER, "nobody-else")
    with cloud.database.reading() as tx:
        assert len(tx.all(attempts.attempts.select())) == 1


def test_hashing_never_holds_the_database(iam: Any, sqlite_cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one password is hashed, another client writes."""
    cloud = sqlite_cloud
    hashing, go_on = threading.Event(), threading.Event()
    true = passwords.hashed

    def slow(*given: Any) -> passwords.Hash:
        hashing.set()
        assert go_on.wait(10)
        return true(*given)

    monkeypatch.setattr(passwords, "hashed", slow)
    client = cloud.client("iam", user_agent_extra="slow")
    thread = threading.Thread(target=lambda: client.create_login_profile(UserName="alice", Password=GOOD))
    thread.start()
    try:
        assert hashing.wait(10)
        began = time.monotonic()
        iam.create_access_key(UserName="alice")
        assert time.monotonic() - began < 5
    finally:
        go_on.set()
        thread.join()
    assert iam.get_login_profile(UserName="alice")


def test_too_many_hashes_at_once_are_refused(iam: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_AT_ONCE", threading.BoundedSemaphore(1))
    with passwords._AT_ONCE:
        with refused("Throttling", 400):
            iam.create_login_profile(UserName="alice", Password=GOOD)
    iam.create_login_profile(UserName="alice", Password=GOOD)


def _key(cloud: TestCloud, name: str) -> Any:
    """Another key of a user that is there."""
    made = cloud.client("iam").create_access_key(UserName=name)["AccessKey"]
    return type(cloud.admin.credentials)(cloud.admin.id, made["AccessKeyId"], made["SecretAccessKey"])
