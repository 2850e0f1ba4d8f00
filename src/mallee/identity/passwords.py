"""The passwords of users: how they are kept, what an account asks of them, and whether one is right.

A password is kept as a scrypt hash, and the hash sealed in the vault: whoever has the database alone has nothing to guess
against. The hashes of earlier passwords stay beside it, as far as any policy may ask for them, under the same salt, so that one
run of scrypt compares a password with all of them.

To check one takes three parts, so that no transaction is open for as long as scrypt takes (a fifth of a second, on
purpose): ``attempt`` looks, ``matches`` computes, ``settle`` counts and judges. A user who is not there costs the same
time and counts the same way as one who is, so that neither time nor refusals tell who exists.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import secrets
import threading
from dataclasses import dataclass
from enum import StrEnum

from mallee.identity.records import attempts
from mallee.identity.records import passwords as records
from mallee.identity.records.names import folded
from mallee.identity.records.users import User, user_by_name
from mallee.identity.vault import Vault
from mallee.store import Tx

MOST_REMEMBERED = 24
SYMBOLS = frozenset("!@#$%^&*()_+-=[]{}|'")
DEFAULT_MINIMUM = 8

# ----------------------------------------------------------------------------------------------------------------- hashes

COST = (2**14, 8, 5)  # OWASP's equal of 2**17, 8, 1 with 16 MB instead of 128
_AT_ONCE = threading.BoundedSemaphore(2)


class Busy(Exception):
    """Two passwords are being hashed right now: ask again. Nobody waits for his turn, since who waits holds one of the few threads
    that answer calls: a stranger who tries passwords must not take them all."""


@dataclass(frozen=True, slots=True)
class Hash:
    cost: tuple[int, int, int]
    salt: bytes
    digest: bytes


def hashed(password: str, salt: bytes | None = None, cost: tuple[int, int, int] | None = None) -> Hash:
    """Raises ``Busy``."""
    salt = secrets.token_bytes(16) if salt is None else salt
    n, r, p = cost = cost or COST
    if not _AT_ONCE.acquire(blocking=False):
        raise Busy
    try:
        digest = hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)
    finally:
        _AT_ONCE.release()
    return Hash(cost, salt, digest)


def sealed(vault: Vault, user_id: str, hashes: tuple[Hash, ...]) -> bytes:
    """The current password's first, then earlier ones."""
    rows = [[*each.cost, base64.b64encode(each.salt).decode(), base64.b64encode(each.digest).decode()] for each in hashes]
    return vault.seal(f"password/{user_id}", json.dumps(rows))


def unsealed(vault: Vault, profile: records.LoginProfile) -> tuple[Hash, ...]:
    rows = json.loads(vault.open(f"password/{profile.user_id}", profile.secret))
    return tuple(Hash((n, r, p), base64.b64decode(salt), base64.b64decode(digest)) for n, r, p, salt, digest in rows)


def is_among(password: str, hashes: tuple[Hash, ...]) -> bool:
    """Whether it is the password of one of them. Raises ``Busy``."""
    made: dict[tuple[tuple[int, int, int], bytes], bytes] = {}
    found = False
    for each in hashes:
        known = made.get((each.cost, each.salt))
        if known is None:
            known = made[(each.cost, each.salt)] = hashed(password, each.salt, each.cost).digest
        found |= hmac.compare_digest(known, each.digest)
    return found


def renewed(password: str, earlier: tuple[Hash, ...]) -> tuple[Hash, ...]:
    """The hashes once the password is the current one. Raises ``Busy``."""
    salt = earlier[0].salt if earlier and earlier[0].cost == COST else None
    return (hashed(password, salt), *earlier)[: MOST_REMEMBERED + 1]


# ------------------------------------------------------------------------------------------------------------------ rules


def violation(policy: records.PasswordPolicy | None, password: str, names: tuple[str, ...] = ()) -> str | None:
    """What the account's policy (None: AWS's default) has against the password, or None. ``names``: what it must not be by
    default, such as the account's alias."""
    upper, lower = any("A" <= c <= "Z" for c in password), any("a" <= c <= "z" for c in password)
    number, symbol = any("0" <= c <= "9" for c in password), any(c in SYMBOLS for c in password)
    if policy is None:
        if len(password) < DEFAULT_MINIMUM:
            return f"Password should have a minimum length of {DEFAULT_MINIMUM}"
        if upper + lower + number + symbol < 3:
            return "Password should have at least three of: uppercase letters, lowercase letters, numbers, symbols"
        if password.lower() in {name.lower() for name in names}:
            return "Password should not be the name of the account"
        return None
    if len(password) < policy.minimum_length:
        return f"Password should have a minimum length of {policy.minimum_length}"
    asked = (
        (policy.symbols, symbol, "symbol"),
        (policy.numbers, number, "number"),
        (policy.uppercase, upper, "uppercase letter"),
        (policy.lowercase, lower, "lowercase letter"),
    )
    missing = [word for wanted, there, word in asked if wanted and not there]
    return f"Password should have at least one {missing[0]}" if missing else None


def replacement(
    policy: records.PasswordPolicy | None, made: Attempt, new: str, names: tuple[str, ...]
) -> tuple[str | None, tuple[Hash, ...]]:
    """What the policy has against ``new`` in the place of the password that was just compared, and the hashes if it has
    nothing. Slow; raises ``Busy``."""
    problem = violation(policy, new, names)
    if problem is None and policy is not None and is_among(new, made.hashes[: policy.remembered]):
        problem = "Password should not be one that was used before"
    return problem, () if problem else renewed(new, made.hashes)


def expires_at(policy: records.PasswordPolicy | None, profile: records.LoginProfile) -> datetime.datetime | None:
    """When the password is too old; None if it never is."""
    if policy is None or not policy.maximum_days:
        return None
    return profile.changed_at + datetime.timedelta(days=policy.maximum_days)


# --------------------------------------------------------------------------------------------------------------- checking


class Outcome(StrEnum):
    """What came of a password. Only RIGHT signs in. RENEW: it is right, and must first be changed. EXPIRED: it was right
    once, and only an administrator can set another. WRONG and WAIT say nothing about who exists."""

    RIGHT = "right"
    RENEW = "renew"
    EXPIRED = "expired"
    WRONG = "wrong"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Attempt:
    account_id: str
    profile: records.LoginProfile | None
    hashes: tuple[Hash, ...]
    before: attempts.Attempts
    blocked: bool


_DECOY = Hash(COST, bytes(16), bytes(32))


def attempt(tx: Tx, vault: Vault, account_id: str, user_name: str) -> Attempt:
    """The first part: what there is to compare with, and whether the name must still wait. Reads."""
    user = user_by_name(tx, account_id, user_name)
    profile = None if user is None else records.login_profile(tx, user.id)
    before = attempts.attempts_of(tx, _subject(account_id, user_name))
    hashes = (_DECOY,) if profile is None else unsealed(vault, profile)
    return Attempt(account_id, profile, hashes, before, before.blocked(tx.now))


def matches(made: Attempt, password: str) -> bool:
    """The second part: slow, without a transaction. Raises ``Busy``."""
    if made.blocked:
        return False
    right = is_among(password, made.hashes[:1])
    return right and made.profile is not None


def settle(tx: Tx, made: Attempt, right: bool) -> Outcome:
    """The third part. Writes, and must be committed whatever it answers. Who guesses several times at once gets WAIT for all
    guesses but one: what was counted in between makes the others void."""
    if made.blocked or attempts.attempts_of(tx, made.before.subject) != made.before:
        return Outcome.WAIT
    if made.profile is not None and records.login_profile(tx, made.profile.user_id) != made.profile:
        return Outcome.WAIT
    if not right or made.profile is None:
        attempts.count_failure(tx, made.before.subject)
        return Outcome.WRONG
    attempts.forget_failures(tx, made.before.subject)
    policy = records.password_policy(tx, made.account_id)
    end = expires_at(policy, made.profile)
    if end is not None and end <= tx.now:
        return Outcome.EXPIRED if policy is not None and policy.hard_expiry else Outcome.RENEW
    return Outcome.RENEW if made.profile.reset_required else Outcome.RIGHT


def verify(tx: Tx, vault: Vault, user: User, password: str) -> Outcome:
    """All parts in one transaction, which is open while scrypt runs: for set-up and tests, not for a busy cloud."""
    made = attempt(tx, vault, user.account_id, user.name)
    return settle(tx, made, matches(made, password))


def _subject(account_id: str, user_name: str) -> str:
    return f"password/{account_id}/{folded(user_name)[:64]}"
