"""Signing in: temporary credentials for what people know or are given, a password (kept here or in the directory), a code of their
MFA device, a token of an identity provider.

Two parts, as always where something is slow: ``prove`` compares, asks the directory, checks the token, without a
transaction; ``complete`` counts, judges and issues, in one that writes. Nothing in a refusal tells whether there is such an
account or user, or which part was wrong; guesses are slowed down for names that exist and names that don't alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mallee.identity import mfa, passwords, sessions
from mallee.identity.call import Call, Kept, Outside, Session
from mallee.identity.directory.configuration import Configuration, DirectoryError
from mallee.identity.directory.synchronisation import configuration_of
from mallee.identity.federation import web_identity
from mallee.identity.passwords import Hash, Outcome
from mallee.identity.records import accounts, attempts, directories, users
from mallee.identity.records import passwords as password_records
from mallee.identity.records.mfa import mfa_devices_of
from mallee.identity.records.names import folded
from mallee.identity.records.sign_in import sign_in_provider, sign_in_providers_of
from mallee.store import Tx
from mallee.wire.errors import AwsError

SECONDS = 12 * 3600


@dataclass(frozen=True, slots=True)
class ByPassword:
    """``problem``: what the account's policy has against the new password. ``hashes``: with the new password first."""

    attempt: passwords.Attempt
    right: bool
    problem: str | None = None
    hashes: tuple[Hash, ...] = ()


@dataclass(frozen=True, slots=True)
class ByDirectory:
    before: attempts.Attempts
    blocked: bool
    right: bool


@dataclass(frozen=True, slots=True)
class ByToken:
    """The token is good, and ``name`` is what the claim says that names the user; empty if it says nothing."""

    provider_arn: str
    name: str


@dataclass(frozen=True, slots=True)
class Proof:
    """``user`` is whom it is about; None when there is no such account or user, which no refusal tells."""

    user: users.User | None
    way: ByPassword | ByDirectory | ByToken


def failed() -> AwsError:
    return AwsError("SignInFailedException", "The account, user name, password or token is not right.", status=400)


def prove(call: Call) -> Outside:
    """The slow part, which holds no transaction. Raises only what tells nobody anything."""
    given, tx = call.input, call.tx.everyone()
    account = _account(tx, given["Account"])
    if "WebIdentityToken" in given:
        return _token(call, account, given["WebIdentityToken"])
    name, password = given.get("UserName"), given.get("Password")
    if not name or not password:
        raise AwsError("ValidationException", "Give UserName and Password, or a WebIdentityToken.", status=400)
    user = users.user_by_name(tx, account.id, name) if account is not None else None
    person = directories.person(tx, user.id) if user is not None else None
    if user is not None and person is not None and password_records.login_profile(tx, user.id) is None:
        return _directory(call, tx, user, person, password)
    return _password(call, tx, account, user, name, password)


def complete(call: Call, proof: Proof) -> dict[str, Any]:
    """Judges, and answers with credentials."""
    tx = call.tx.everyone()
    _settle(call, tx, proof)
    user = proof.user
    if isinstance(proof.way, ByToken):
        user = _named_by_token(call, tx, proof.way)
    if user is None or users.user(tx, user.id) != user:
        raise failed()
    mfa_at = None
    if mfa_devices_of(tx, user.id):
        code = call.input.get("MfaCode")
        if code is None:
            raise Kept("MfaRequiredException", "The code of an MFA device is needed as well.", status=400)
        if mfa.check_any(tx, call.vault, user.id, code) is None:
            raise Kept("SignInFailedException", failed().message, status=400)
        mfa_at = call.now
    password_records.note_sign_in(tx, user.id)
    ends = sessions.ends(call.now, call.input.get("DurationSeconds", SECONDS))
    provider = proof.way.provider_arn if isinstance(proof.way, ByToken) else None
    session = Session(
        sessions.SIGN_IN, user.account_id, user.id, user.name, call.now, ends, mfa_at=mfa_at, provider=provider
    )
    return {
        "Credentials": sessions.issue(call.vault, session).described(),
        "AccountId": user.account_id,
        "UserArn": user.arn(call.settings.partition),
    }


def _named_by_token(call: Call, tx: Tx, way: ByToken) -> users.User | None:
    account = _account(tx, call.input["Account"])
    if account is None or not way.name or sign_in_provider(tx.of(account.id), account.id, way.provider_arn) is None:
        return None
    user = users.user_by_name(tx, account.id, way.name)
    told = call.input.get("UserName")
    return user if user is not None and told in (None, user.name) else None


def _account(tx: Tx, told: str) -> accounts.Account | None:
    found = accounts.account(tx, told) if told.isdigit() and len(told) == 12 else accounts.account_by_alias(tx, told)
    return found if found is not None and found.status == accounts.OPEN else None


# -------------------------------------------------------------------------------------------------------------- a password


def _password(
    call: Call, tx: Tx, account: accounts.Account | None, user: users.User | None, name: str, password: str
) -> Outside:
    """Without an account or user it takes as long and counts as much."""
    account_id = account.id if account is not None else call.input["Account"][:64]
    made = passwords.attempt(tx, call.vault, account_id, name)
    policy = password_records.password_policy(tx, account_id)
    names = tuple(each for each in (account_id, account and account.alias, account and account.name, name) if each)
    new = call.input.get("NewPassword")

    def compare() -> Proof:
        try:
            if not passwords.matches(made, password):
                return Proof(user, ByPassword(made, False))
            if new is None:
                return Proof(user, ByPassword(made, True))
            return Proof(user, ByPassword(made, True, *passwords.replacement(policy, made, new, names)))
        except passwords.Busy:
            raise AwsError("ThrottlingException", "Too many people sign in right now. Try again.", status=400) from None

    return Outside(compare)


def _directory(call: Call, tx: Tx, user: users.User, person: directories.DirectoryPerson, password: str) -> Outside:
    before = attempts.attempts_of(tx, f"directory/{user.account_id}/{folded(user.name)}")
    assert call.tools is not None
    configuration = configuration_of(tx, call.tools)
    blocked = before.blocked(call.now)

    def bind() -> Proof:
        if blocked or configuration is None or not configuration.sync.enabled:
            return Proof(user, ByDirectory(before, True, False))
        return Proof(user, ByDirectory(before, False, _bind(configuration, person.dn, user.name, password)))

    return Outside(bind)


def _bind(configuration: Configuration, dn: str, name: str, password: str) -> bool:
    from mallee.identity.directory import client  # with ldap3, which only a cloud with a directory carries in memory

    try:
        return client.is_password(configuration, dn, name, password)
    except DirectoryError:
        raise AwsError("DirectoryUnavailableException", "The directory does not answer. Try again later.", status=400) from None


def _settle(call: Call, tx: Tx, proof: Proof) -> None:
    """Returns when the proof holds. What was counted stays, whatever the answer."""
    refusal = Kept("SignInFailedException", failed().message, status=400)
    match proof.way:
        case ByDirectory(before, blocked, right):
            if blocked or attempts.attempts_of(tx, before.subject) != before:
                raise refusal
            if not right:
                attempts.count_failure(tx, before.subject)
                raise refusal
            attempts.forget_failures(tx, before.subject)
        case ByPassword() as way:
            _settle_password(call, tx, proof.user, way, refusal)
        case ByToken():
            pass


def _settle_password(call: Call, tx: Tx, user: users.User | None, way: ByPassword, refusal: Kept) -> None:
    outcome = passwords.settle(tx, way.attempt, way.right)
    if outcome is Outcome.EXPIRED:
        raise Kept("PasswordExpiredException", "The password has expired; an administrator can set a new one.", status=400)
    if outcome not in (Outcome.RIGHT, Outcome.RENEW) or user is None:
        raise refusal
    if way.problem is not None:
        raise Kept("PasswordPolicyViolationException", way.problem, status=400)
    if way.hashes:
        secret = passwords.sealed(call.vault, user.id, way.hashes)
        tx.change(password_records.login_profiles, user.id, secret=secret, changed_at=call.now, reset_required=False)
    elif outcome is Outcome.RENEW:
        raise Kept("PasswordChangeRequiredException", "The password must be changed: sign in with a NewPassword.", status=400)


# ----------------------------------------------------------------------------------------------------------------- a token


def _token(call: Call, account: accounts.Account | None, token: str) -> Outside:
    """Whoever a provider names that the account lets its users sign in by. Which part was wrong is not told here either."""
    if account is None:
        raise failed()
    allowed = {each.provider_arn: each.claim for each in sign_in_providers_of(call.tx.of(account.id), account.id)}
    try:
        check = web_identity.checker(call, account.id, token)
    except AwsError:
        raise failed() from None

    def verify() -> Proof:
        provider, claims = check()
        claim = allowed.get(provider.arn)
        name = claims.all.get(claim) if claim is not None else None
        return Proof(None, ByToken(provider.arn, name if isinstance(name, str) else ""))

    return Outside(lambda: _quietly(verify))


def _quietly(verify: Callable[[], Proof]) -> Proof:
    try:
        return verify()
    except AwsError as error:
        if error.code == "IDPCommunicationError":
            raise AwsError(
                "DirectoryUnavailableException", "The identity provider does not answer. Try again later.", status=400
            ) from None
        raise failed() from None
