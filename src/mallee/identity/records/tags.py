"""Tags of IAM's resources: users, roles, managed policies, instance profiles, providers, certificates, devices.

``resource_id`` is the unique id where the resource has one, else its ARN. Keys keep their case and are compared without
it: ``Cost`` replaces ``cost``. Without case means what it means to policies (``fold``): no letter but ASCII's has another.
"""

from __future__ import annotations

from sqlalchemy import Column, bindparam, select

from mallee.identity.rules.context import fold
from mallee.store import Text, Tx, resource_table

tags = resource_table(
    "iam_tags",
    Column("resource_id", Text, primary_key=True),
    Column("folded_key", Text, primary_key=True),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
)

_TAGS_OF = (
    select(tags.c.key, tags.c.value).where(tags.c.resource_id == bindparam("resource_id")).order_by(tags.c.folded_key)
)


def tags_of(tx: Tx, resource_id: str) -> dict[str, str]:
    return {row.key: row.value for row in tx.all(_TAGS_OF, resource_id=resource_id)}


def set_tags(tx: Tx, account_id: str, resource_id: str, wanted: dict[str, str]) -> None:
    """Adds or replaces; the caller has checked names, lengths and how many there may be."""
    for key, value in wanted.items():
        tx.put(tags, account_id=account_id, resource_id=resource_id, folded_key=fold(key), key=key, value=value)


def remove_tags(tx: Tx, resource_id: str, keys: list[str] | None = None) -> None:
    """The named ones, or all of a resource that goes away."""
    if keys is None:
        tx.remove_all(tags, tags.c.resource_id == resource_id)
        return
    for key in keys:
        tx.remove(tags, {"resource_id": resource_id, "folded_key": fold(key)})
