"""What a password costs to check, and that it costs the same whoever is asked about."""

from __future__ import annotations

import statistics
import time

from mallee.identity import passwords, records
from mallee.identity.passwords import Hash, Outcome
from mallee.identity.records import passwords as password_records
from tests.identity.conftest import Identity


def _profile(identity: Identity, name: str, password: str) -> records.User:
    with identity.database.transaction(identity.root.account_id) as tx:
        user = records.add_user(tx, identity.root.account_id, name)
        tx.insert(
            password_records.login_profiles, user_id=user.id, created_at=tx.now, changed_at=tx.now, reset_required=False,
            secret=passwords.sealed(identity.vault, user.id, passwords.renewed(password, ())),
        )  # fmt: skip
    return user


def test_verify(identity: Identity) -> None:
    user = _profile(identity, "verified", "right")
    for word, outcome in (("right", Outcome.RIGHT), ("wrong", Outcome.WRONG), ("", Outcome.WRONG)):
        with identity.database.transaction() as tx:
            assert passwords.verify(tx, identity.vault, user, word) is outcome


def test_a_name_that_is_nobodys_costs_the_same(identity: Identity) -> None:
    _profile(identity, "timed", "right")

    def seconds(name: str, word: str) -> float:
        began = time.perf_counter()
        with identity.database.reading() as tx:
            made = passwords.attempt(tx, identity.vault, identity.root.account_id, name)
        passwords.matches(made, word)
        return time.perf_counter() - began

    rounds = [(seconds("timed", "wrong"), seconds("nobody", "wrong"), seconds("timed", "right")) for _ in range(5)]
    known, unknown, right = (statistics.median(each) for each in zip(*rounds, strict=True))
    assert 0.6 < known / unknown < 1.6 and 0.6 < right / unknown < 1.6
    assert unknown > 0.02  # it is work


def test_two_hashes_of_one_password_have_nothing_in_common() -> None:
    first, second = passwords.hashed("one"), passwords.hashed("one")
    assert first.salt != second.salt and first.digest != second.digest


def test_earlier_passwords_are_compared_by_one_hash(monkeypatch) -> None:
    made: tuple[Hash, ...] = ()
    for number in range(4):
        made = passwords.renewed(f"word {number}", made)
    assert len({each.salt for each in made}) == 1
    calls = []
    true = passwords.hashed
    monkeypatch.setattr(passwords, "hashed", lambda *given: calls.append(given) or true(*given))
    assert passwords.is_among("word 0", made) and not passwords.is_among("word 9", made)
    assert len(calls) == 2
    assert len(passwords.renewed("next", made * 10)) == passwords.MOST_REMEMBERED + 1
