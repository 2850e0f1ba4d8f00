"""IAM's unique ids, secrets, and the comparison of names: unique in their account without regard to case."""

from __future__ import annotations

import secrets
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import bindparam

from mallee.store import Integer, Text, Tx, read

T = TypeVar("T")

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


class Taken(Exception):
    """An account id, alias or name that is already somebody's."""


_SHORT = frozenset({"AKIA", "ASIA", "APKA"})


def unique(prefix: str, length: int | None = None) -> str:
    """IAM's unique ids: a prefix that says the kind (AIDA, AROA, AGPA, ANPA, AIPA, ASCA) and seventeen characters, of keys
    (AKIA, ASIA, APKA) sixteen."""
    if length is None:
        length = 16 if prefix in _SHORT else 17
    bits = secrets.randbits(5 * length)
    return prefix + "".join([_BASE32[bits >> 5 * place & 31] for place in range(length)])


def secret() -> str:
    """A secret access key: forty characters."""
    return "".join(secrets.choice(_BASE64) for _ in range(40))


def folded(name: str) -> str:
    """The form in which names are compared. IAM's names are ASCII, so that lower case is all there is to it."""
    return name.lower()


def one(kind: type[T], row: Any) -> T | None:
    return None if row is None else read(kind, row)


def listing(table: sa.Table) -> sa.Select[Any]:
    """The query of a part of an account's named things, by name, with the parameters of ``part``. Paths are compared as they
    are, by characters: to LIKE, an underscore would be a wildcard."""
    begin = sa.func.substr(table.c.path, 1, bindparam("length", type_=sa.Integer()))
    return (
        sa.select(table)
        .where(
            table.c.account_id == bindparam("account_id"),
            table.c.folded_name > bindparam("after"),
            begin == bindparam("prefix", type_=Text),
        )
        .order_by(table.c.folded_name)
        .limit(bindparam("most", type_=Integer))
    )


def part(account_id: str, prefix: str, after: str, most: int) -> dict[str, Any]:
    """What ``listing`` asks for: at most so many, after the folded name ``after``, whose path begins with ``prefix``."""
    return {"account_id": account_id, "prefix": prefix, "length": len(prefix), "after": after, "most": most}


def count(tx: Tx, table: sa.Table, account_id: str) -> int:
    """How many rows of an owned table the account has."""
    statement = table.info.get("count")
    if statement is None:
        counted = sa.select(sa.func.count()).select_from(table)
        statement = table.info["count"] = counted.where(table.c.account_id == bindparam("account_id"))
    return int(tx.value(statement, account_id=account_id))
