"""When keys, users and roles were last used: what GetAccessKeyLastUsed, RoleLastUsed and access advisor's reports show.

Stamps are collected in memory (``identity.usage``) and written every fifteen seconds, so that no call waits for them:
a process that is killed loses those of its last fifteen seconds, and nothing else. A stamp never goes back. What a denied
call used is used too.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, bindparam, select, update

from mallee.identity.records.keys import access_keys
from mallee.identity.records.names import one
from mallee.identity.records.roles import roles
from mallee.identity.records.users import users
from mallee.store import Text, Timestamp, Tx, plain_table, read_all

key_uses = plain_table(
    "iam_key_uses",
    Column("key_id", Text, primary_key=True),
    Column("used_at", Timestamp, nullable=False),
    Column("service", Text, nullable=False),
    Column("region", Text, nullable=False),
)

service_uses = plain_table(
    "iam_service_uses",
    Column("holder_id", Text, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("action", Text, primary_key=True),
    Column("used_at", Timestamp, nullable=False),
    Column("region", Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class KeyUse:
    """``service`` is the prefix of the service's actions."""

    key_id: str
    used_at: datetime.datetime
    service: str
    region: str


@dataclass(frozen=True, slots=True)
class ServiceUse:
    """``holder_id``: the user or the role; ``action`` without its service (``RunInstances``)."""

    holder_id: str
    service: str
    action: str
    used_at: datetime.datetime
    region: str


_KEY_USE = select(key_uses).where(key_uses.c.key_id == bindparam("key_id"))
_KEY_USES = select(key_uses).where(key_uses.c.key_id.in_(bindparam("key_ids", expanding=True)))
_USES_OF = (
    select(service_uses)
    .where(service_uses.c.holder_id == bindparam("holder_id"))
    .order_by(service_uses.c.service, service_uses.c.action)
)
_LAST_USE = (
    select(service_uses)
    .where(service_uses.c.holder_id == bindparam("holder_id"))
    .order_by(service_uses.c.used_at.desc(), service_uses.c.service, service_uses.c.action)
    .limit(1)
)
_LAST_USES = (
    select(service_uses)
    .where(service_uses.c.holder_id.in_(bindparam("holder_ids", expanding=True)))
    .order_by(service_uses.c.used_at)
)


def key_use(tx: Tx, key_id: str) -> KeyUse | None:
    """The last use of an access key; None if it was never used."""
    return one(KeyUse, tx.first(_KEY_USE, key_id=key_id))


def key_uses_of(tx: Tx, key_ids: Iterable[str]) -> dict[str, KeyUse]:
    """The same of many keys at once, by their ids."""
    return {found.key_id: found for found in read_all(KeyUse, tx.all(_KEY_USES, key_ids=list(key_ids)))}


def uses_of(tx: Tx, holder_id: str) -> list[ServiceUse]:
    """Every action that the user or role ever used, with its last time; by service and action."""
    return read_all(ServiceUse, tx.all(_USES_OF, holder_id=holder_id))


def last_use(tx: Tx, holder_id: str) -> ServiceUse | None:
    """The latest of a user's or role's uses: RoleLastUsed."""
    return one(ServiceUse, tx.first(_LAST_USE, holder_id=holder_id))


def last_uses(tx: Tx, holder_ids: Iterable[str]) -> dict[str, ServiceUse]:
    """The same of many users and roles at once, by their ids."""
    return {found.holder_id: found for found in read_all(ServiceUse, tx.all(_LAST_USES, holder_ids=list(holder_ids)))}


# writing

_NEWER_KEY_USE = (
    update(key_uses)
    .where(key_uses.c.key_id == bindparam("id"), key_uses.c.used_at < bindparam("at"))
    .values(used_at=bindparam("at"), service=bindparam("by"), region=bindparam("place"))
)
_NEWER_SERVICE_USE = (
    update(service_uses)
    .where(
        service_uses.c.holder_id == bindparam("id"),
        service_uses.c.service == bindparam("by"),
        service_uses.c.action == bindparam("what"),
        service_uses.c.used_at < bindparam("at"),
    )
    .values(used_at=bindparam("at"), region=bindparam("place"))
)


def note(tx: Tx, keys: Collection[KeyUse], services: Collection[ServiceUse]) -> None:
    """Writes the stamps that are newer than what is there; those of keys, users and roles that are gone by now are dropped."""
    known = _there(tx, access_keys, [use.key_id for use in keys])
    for use in keys:
        values: dict[str, Any] = {"id": use.key_id, "at": use.used_at, "by": use.service, "place": use.region}
        if use.key_id in known and not tx.execute(_NEWER_KEY_USE, **values):
            tx.insert_if_free(key_uses, key_id=use.key_id, used_at=use.used_at, service=use.service, region=use.region)
    ids = sorted({use.holder_id for use in services})
    known = _there(tx, users, ids) | _there(tx, roles, ids)
    for each in services:
        values = {"id": each.holder_id, "by": each.service, "what": each.action, "at": each.used_at, "place": each.region}
        if each.holder_id in known and not tx.execute(_NEWER_SERVICE_USE, **values):
            tx.insert_if_free(
                service_uses,
                holder_id=each.holder_id,
                service=each.service,
                action=each.action,
                used_at=each.used_at,
                region=each.region,
            )


def forget_key(tx: Tx, key_id: str) -> None:
    """For whoever deletes the key."""
    tx.remove(key_uses, key_id)


def forget_holder(tx: Tx, holder_id: str) -> None:
    """For whoever deletes the user or role."""
    tx.remove_all(service_uses, service_uses.c.holder_id == holder_id)


def _there(tx: Tx, table: Any, ids: list[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        found.update(row.id for row in tx.all(select(table.c.id).where(table.c.id.in_(some))))
    return found
