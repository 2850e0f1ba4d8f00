"""One-time passwords: the RFC's own examples, a slow and obvious oracle, and what is no code."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.identity import totp

SEED = base64.b32encode(b"12345678901234567890").decode()
steps = st.integers(min_value=0, max_value=2**40)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_the_examples_of_rfc_6238(seconds: int, shown: str) -> None:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    assert totp.code(SEED, totp.step_at(moment)) == shown


@given(st.binary(min_size=1, max_size=64), steps)
def test_against_the_text_of_the_rfc(seed: bytes, step: int) -> None:
    digest = hmac.new(seed, step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[19] % 16
    number = int.from_bytes(digest[offset : offset + 4], "big") % 2**31
    assert totp.code(base64.b32encode(seed).decode(), step) == str(number % 1_000_000).zfill(6)


@given(steps.filter(lambda n: n > 100), st.integers(-3, 3), st.integers(0, 3))
def test_a_code_counts_within_its_reach(now: int, off: int, reach: int) -> None:
    found = totp.step_of(SEED, totp.code(SEED, now + off), now, reach)
    if abs(off) <= reach:
        assert found is not None and totp.code(SEED, found) == totp.code(SEED, now + off)
    else:  # unless another step has the same code by chance
        assert found is None or totp.code(SEED, found) == totp.code(SEED, now + off)


@given(steps)
def test_a_used_step_and_all_before_it_are_refused(now: int) -> None:
    shown = totp.code(SEED, now)
    assert totp.step_of(SEED, shown, now, 1, now - 1) is not None
    found = totp.step_of(SEED, shown, now, 1, now + 1)
    assert found is None


@given(steps.filter(lambda n: n > 100), st.integers(-9, 9))
def test_two_codes_in_a_row(now: int, off: int) -> None:
    first, second = totp.code(SEED, now + off), totp.code(SEED, now + off + 1)
    assert totp.step_of_pair(SEED, first, second, now, 10) is not None
    assert totp.step_of_pair(SEED, second, first, now, 10) is None or second == first


@pytest.mark.parametrize(
    "given", ["", "12345", "1234567", "12345a", "１２３４５６", "٠١٢٣٤٥", "12345\n", " 12345", "+12345", "²²²²²²"]
)
def test_what_is_no_code(given: str) -> None:
    assert not totp.is_code(given)
    assert totp.step_of(SEED, given, 1, 1) is None
    assert totp.step_of_pair(SEED, given, given, 1, 1) is None


def test_seeds_differ_and_are_what_authenticators_read() -> None:
    seeds = {totp.new_seed() for _ in range(20)}
    assert len(seeds) == 20
    for seed in seeds:
        assert len(seed) == 64 and len(base64.b32decode(seed)) == 40
    assert totp.uri("dev", "123456789012", SEED) == f"otpauth://totp/dev@123456789012?secret={SEED}"
