"""What nearly every Describe operation does: pick by ids, filter, cut a page, add tags.

The items carry their id as ``id``. Tags are read for the page only, unless a filter looks at them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from mallee.ec2 import filters, paging, resources, tags

if TYPE_CHECKING:
    from mallee.identity.call import Call

Item = TypeVar("Item", bound=Any)


def listed(
    call: Call,
    type: str,
    member: str,
    items: Sequence[Item],
    table: filters.Table,
    *,
    default: int = 1000,
    maximum: int = 1000,
) -> tuple[list[Item], dict[str, tags.TagList], str | None]:
    """The items of the page that the call asks for, their tags by id, and the next token. ``type`` is the resource
    type, ``member`` the input member with ids; an id that is malformed or not among the items is refused."""
    chosen = by_ids(call, type, member, items)
    known: dict[str, tags.TagList] | None = None
    given = call.input.get("Filters")
    if given:
        if filters.names_tags(given):
            known = tags.tags_of(call.tx, [item.id for item in chosen], type)
        found = known or {}
        chosen = filters.apply(given, table, chosen, tags_of=lambda item: found.get(item.id, ()))
    chosen, token = paging.page(call, chosen, key=lambda item: item.id, default=default, maximum=maximum)
    if known is None:
        known = tags.tags_of(call.tx, [item.id for item in chosen], type)
    return chosen, known, token


def by_ids(call: Call, type: str, member: str, items: Sequence[Item]) -> list[Item]:
    """The items whose ids the call names, all without ids."""
    wanted = call.input.get(member)
    if not wanted:
        return list(items)
    wanted = resources.check_ids(type, wanted)
    present = {item.id: item for item in items}
    missing = [id for id in wanted if id not in present]
    if missing:
        raise resources.not_found(type, missing)
    return [present[id] for id in wanted]
