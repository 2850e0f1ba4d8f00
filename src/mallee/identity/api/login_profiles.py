"""The passwords of users. Hashing one takes a fifth of a second, on purpose, and is done before the transaction that writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mallee.identity import iam, passwords
from mallee.identity.access import Access, On
from mallee.identity.call import Call, Kept, prepared_by
from mallee.identity.own_password import check_may
from mallee.identity.passwords import Attempt, Hash, Outcome
from mallee.identity.records import accounts
from mallee.identity.records import passwords as records
from mallee.identity.records.users import User
from mallee.identity.resources import USER
from mallee.wire.errors import AwsError

_OWNER = On(USER, "UserName", default=iam.own_name)

ACCESS = {
    "create_login_profile": Access(_OWNER),
    "get_login_profile": Access(_OWNER),
    "update_login_profile": Access(_OWNER),
    "delete_login_profile": Access(_OWNER),
    "change_password": Access(open=True),  # decides itself: the account's password policy may grant it
}

# ------------------------------------------------------------------------------------------------- an administrator's view


def _hash_first(call: Call) -> tuple[Hash, ...]:
    user = _without_profile(call)
    password = call.input.get("Password")
    if password is None:
        told = "Value null at 'password' failed to satisfy constraint: Member must not be null"
        raise iam.invalid(f"1 validation error detected: {told}")
    _check_policy(call, user, password)
    with _patient():
        return passwords.renewed(password, ())


@prepared_by(_hash_first)
def create_login_profile(call: Call) -> dict[str, Any]:
    user = _without_profile(call)
    reset = bool(call.input.get("PasswordResetRequired"))
    with iam.creating("login-profile", user.name):
        call.tx.insert(
            records.login_profiles,
            user_id=user.id,
            secret=passwords.sealed(call.vault, user.id, call.prepared),
            created_at=call.now,
            changed_at=call.now,
            reset_required=reset,
        )
    return {"LoginProfile": {"UserName": user.name, "CreateDate": call.now, "PasswordResetRequired": reset}}


def get_login_profile(call: Call) -> dict[str, Any]:
    user, profile = _the_profile(call)
    return {
        "LoginProfile": {
            "UserName": user.name,
            "CreateDate": profile.created_at,
            "PasswordResetRequired": profile.reset_required,
        }
    }


@dataclass(frozen=True, slots=True)
class _Renewed:
    before: records.LoginProfile
    hashes: tuple[Hash, ...]


def _hash_next(call: Call) -> _Renewed | None:
    """An administrator may give a password that the user had before: only users are kept from going back."""
    user, profile = _the_profile(call)
    password = call.input.get("Password")
    if password is None:
        return None
    _check_policy(call, user, password)
    with _patient():
        return _Renewed(profile, passwords.renewed(password, passwords.unsealed(call.vault, profile)))


@prepared_by(_hash_next)
def update_login_profile(call: Call) -> None:
    user, profile = _the_profile(call)
    values: dict[str, Any] = {}
    renewed: _Renewed | None = call.prepared
    if renewed is not None:
        if profile != renewed.before:
            raise _unmodifiable(user)
        values = {"secret": passwords.sealed(call.vault, user.id, renewed.hashes), "changed_at": call.now}
    if "PasswordResetRequired" in call.input:
        values["reset_required"] = call.input["PasswordResetRequired"]
    if values:
        call.tx.change(records.login_profiles, user.id, **values)


def delete_login_profile(call: Call) -> None:
    user, _ = _the_profile(call)
    call.tx.remove(records.login_profiles, user.id)


# ---------------------------------------------------------------------------------------------------------- one's own


@dataclass(frozen=True, slots=True)
class _Change:
    """``problem``: what the account's policy has against the new password; known only when the old one was right."""

    attempt: Attempt
    right: bool
    problem: str | None
    hashes: tuple[Hash, ...]


def _compare_and_hash(call: Call) -> _Change:
    user = _caller(call)
    made = passwords.attempt(call.tx, call.vault, call.account_id, user.name)
    if made.profile is None:
        raise iam.no_such("login-profile", user.name)
    if made.blocked:
        raise _unmodifiable(user)
    with _patient():
        if not passwords.matches(made, call.input["OldPassword"]):
            return _Change(made, False, None, ())
        policy = records.password_policy(call.tx, call.account_id)
        problem, hashes = passwords.replacement(policy, made, call.input["NewPassword"], _names(call, user))
        return _Change(made, True, problem, hashes)


@prepared_by(_compare_and_hash)
def change_password(call: Call) -> None:
    """A wrong old password is counted, and guesses are slowed down, as at sign-in. A password that has expired or must be
    changed is changed by this."""
    user = _caller(call)
    change: _Change = call.prepared
    outcome = passwords.settle(call.tx, change.attempt, change.right)
    if outcome is Outcome.WRONG:
        raise Kept("AccessDenied", "The old password was incorrect.", status=403)
    if outcome is Outcome.WAIT:
        raise _unmodifiable(user)
    if change.problem is not None:
        raise _violates(change.problem)
    secret = passwords.sealed(call.vault, user.id, change.hashes)
    call.tx.change(records.login_profiles, user.id, secret=secret, changed_at=call.now, reset_required=False)


def _caller(call: Call) -> User:
    if call.principal.kind != "user":
        raise AwsError("InvalidUserType", "Only IAM Users can change their own password.", status=400)
    user = iam.the_user(call)
    check_may(call, "iam:ChangePassword", user.arn(call.settings.partition))
    return user


# ------------------------------------------------------------------------------------------------------------------ common


def _without_profile(call: Call) -> User:
    user = iam.the_user(call, call.input.get("UserName"))
    if records.login_profile(call.tx, user.id) is not None:
        raise iam.exists("login-profile", user.name)
    return user


def _the_profile(call: Call) -> tuple[User, records.LoginProfile]:
    user = iam.the_user(call, call.input.get("UserName"))
    profile = records.login_profile(call.tx, user.id)
    if profile is None:
        raise iam.no_such("login-profile", user.name)
    return user, profile


def _check_policy(call: Call, user: User, password: str) -> None:
    problem = passwords.violation(records.password_policy(call.tx, call.account_id), password, _names(call, user))
    if problem is not None:
        raise _violates(problem)


def _names(call: Call, user: User) -> tuple[str, ...]:
    account = accounts.account(call.tx, call.account_id)
    return tuple(name for name in (call.account_id, account and account.alias, account and account.name, user.name) if name)


def _violates(problem: str) -> AwsError:
    return AwsError("PasswordPolicyViolation", problem, status=400)


def _unmodifiable(user: User) -> AwsError:
    told = f"Login Profile for User {user.name} cannot be modified right now. Please try again later."
    return AwsError("EntityTemporarilyUnmodifiable", told, status=409)


@contextmanager
def _patient() -> Iterator[None]:
    try:
        yield
    except passwords.Busy:
        raise AwsError("Throttling", "Rate exceeded", status=400) from None
