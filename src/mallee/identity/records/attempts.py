"""Guesses of secrets that people choose or type: how often somebody was wrong lately, and how long he waits for it.

A *subject* says what is guessed (``password/<account>/<name>``, ``mfa/<holder>``), whether or not there is such a user:
counting must not tell who exists. The first few wrong guesses cost nothing; each further one doubles the wait, up to a
quarter of an hour. An hour without a guess, or a right one, forgets them. The rows are bookkeeping, nobody's resource.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sqlalchemy import Column, Index, bindparam, delete, select

from mallee.identity.records.names import one
from mallee.store import Integer, Text, Timestamp, Tx, plain_table

FREE = 4
LONGEST_WAIT = datetime.timedelta(minutes=15)
FORGOTTEN_AFTER = datetime.timedelta(hours=1)

attempts = plain_table(
    "iam_attempts",
    Column("subject", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", Timestamp, nullable=False),
)
Index("iam_attempts_by_last_at", attempts.c.last_at)

_STATE = select(attempts).where(attempts.c.subject == bindparam("subject"))
_FORGET = delete(attempts).where(attempts.c.last_at < bindparam("before"))


@dataclass(frozen=True, slots=True)
class Attempts:
    subject: str
    failures: int = 0
    last_at: datetime.datetime | None = None

    def blocked(self, now: datetime.datetime) -> bool:
        """Whether no guess is looked at yet."""
        return self.last_at is not None and now < self.last_at + wait(self.failures)


def wait(failures: int) -> datetime.timedelta:
    """After so many wrong guesses in a row."""
    if failures <= FREE:
        return datetime.timedelta()
    return min(datetime.timedelta(seconds=2 ** min(failures - FREE, 20)), LONGEST_WAIT)


def attempts_of(tx: Tx, subject: str) -> Attempts:
    found = one(Attempts, tx.first(_STATE, subject=subject))
    if found is None or found.last_at is None or found.last_at + FORGOTTEN_AFTER < tx.now:
        return Attempts(subject)
    return found


def count_failure(tx: Tx, subject: str) -> None:
    failures = attempts_of(tx, subject).failures + 1
    tx.put(attempts, subject=subject, failures=failures, last_at=tx.now)
    if failures == 1:
        tx.execute(_FORGET, before=tx.now - FORGOTTEN_AFTER)


def forget_failures(tx: Tx, subject: str) -> None:
    tx.remove(attempts, subject)
