"""Time-based one-time passwords as RFC 6238 has them: HMAC-SHA-1, six digits, thirty seconds. Pure.

A *step* is a number of thirty seconds since 1970. Every comparison takes the same time whether or not it holds, and a
search looks at all steps of its window whatever it finds, so that time tells nothing of the seed.
"""

from __future__ import annotations

import base64
import datetime
import hmac
import secrets
import struct

SECONDS = 30
DIGITS = 6
_SEED_BYTES = 40


def new_seed() -> str:
    """A seed as authenticators read it: 64 characters of base32."""
    return base64.b32encode(secrets.token_bytes(_SEED_BYTES)).decode()


def step_at(moment: datetime.datetime) -> int:
    return int(moment.timestamp()) // SECONDS


def code(seed: str, step: int) -> str:
    """The six digits that a device shows during ``step``."""
    digest = hmac.digest(base64.b32decode(seed), struct.pack(">Q", step), "sha1")
    (number,) = struct.unpack_from(">I", digest, digest[-1] & 15)
    return f"{(number & 0x7FFFFFFF) % 10**DIGITS:0{DIGITS}}"


def step_of(seed: str, given: str, around: int, reach: int, after: int = -1) -> int | None:
    """The latest step within ``reach`` of ``around``, and later than ``after``, that has this code; None if there is none."""
    if not is_code(given):
        return None
    found: int | None = None
    for step in range(max(around - reach, 0), around + reach + 1):
        if hmac.compare_digest(code(seed, step), given) and step > after:
            found = step
    return found


def step_of_pair(seed: str, first: str, second: str, around: int, reach: int) -> int | None:
    """The step of ``second``, where ``first`` is the code of the step before it; the one nearest to ``around``."""
    if not is_code(first) or not is_code(second):
        return None
    found: int | None = None
    start = max(around - reach, 0)
    before = code(seed, start)
    for step in range(start + 1, around + reach + 1):
        now = code(seed, step)
        matches = hmac.compare_digest(before, first) & hmac.compare_digest(now, second)
        if matches and (found is None or abs(step - around) < abs(found - around)):
            found = step
        before = now
    return found


def is_code(given: str) -> bool:
    """Six ASCII digits: digits of other scripts are none."""
    return len(given) == DIGITS and given.isascii() and given.isdigit()


def uri(name: str, account: str, seed: str) -> str:
    """What the QR code of a new device holds. Both names are of IAM's alphabet or the account's id."""
    return f"otpauth://totp/{name}@{account}?secret={seed}"
