"""Tags of EC2's resources: at most fifty keys and values on whatever has an id.

A tag lives as long as its resource: an operation that creates a resource writes its ``TagSpecifications`` in the
same transaction (``write``), and one that deletes it takes its tags along (``remove``). Both take rows of any
number of resources at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Index, PrimaryKeyConstraint, bindparam, select

from mallee.ec2 import resources
from mallee.store import Text, Tx, resource_table
from mallee.wire.errors import AwsError

MAXIMUM = 50
MAXIMUM_KEY = 128
MAXIMUM_VALUE = 256
RESERVED = "aws:"

_UNSPEAKABLE = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")  # what XML 1.0 excludes

TagList = list[dict[str, str]]  # [{"Key": ..., "Value": ...}], by key

tags = resource_table(
    "tags",
    Column("resource_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("resource_type", Text, nullable=False),
    PrimaryKeyConstraint("resource_id", "key"),
)
Index("tags_by_account", tags.c.account_id, tags.c.resource_type, tags.c.resource_id, tags.c.key)

_COLUMNS = (tags.c.resource_id, tags.c.key, tags.c.value)
_OF_SOME = select(*_COLUMNS).where(tags.c.resource_id.in_(bindparam("ids", expanding=True))).order_by(*_COLUMNS[:2])
_OF_TYPE = select(*_COLUMNS).where(tags.c.resource_type == bindparam("type")).order_by(*_COLUMNS[:2])
_ALL = select(*_COLUMNS, tags.c.resource_type).order_by(*_COLUMNS[:2])
_MANY = 200  # ids, from which on all tags of the type are read instead


def tags_of(tx: Tx, ids: Sequence[str], type: str | None = None) -> dict[str, TagList]:
    """The tags of each id that has any. With ``type``, a long list of ids costs no more than the account's tags of
    that type."""
    if not ids:
        return {}
    if type is not None and len(ids) > _MANY:
        return of_type(tx, type)
    found: dict[str, TagList] = {}
    for start in range(0, len(ids), 500):
        _collect(found, tx.all(_OF_SOME, ids=list(ids[start : start + 500])))
    return found


def of_type(tx: Tx, type: str) -> dict[str, TagList]:
    """The tags of all the account's resources of a type."""
    return _collect({}, tx.all(_OF_TYPE, type=type))


def everything(tx: Tx) -> list[dict[str, str]]:
    """All tags of the account as DescribeTags lists them."""
    return [
        {"ResourceId": row.resource_id, "Key": row.key, "Value": row.value, "ResourceType": row.resource_type}
        for row in tx.all(_ALL)
    ]


def write(tx: Tx, resource_id: str, type: str, given: Sequence[Mapping[str, str]]) -> None:
    """The tags of a new resource. ``given`` comes from ``from_specifications``, or is checked already."""
    write_many(tx, [resource_id], type, given)


def write_many(tx: Tx, resource_ids: Iterable[str], type: str, given: Sequence[Mapping[str, str]]) -> None:
    """The same tags for several new resources."""
    rows = [
        {"resource_id": id, "key": tag["Key"], "value": tag.get("Value") or "", "resource_type": type}
        for id in resource_ids
        for tag in given
    ]
    if rows:
        tx.insert_many(tags, rows)


def put(tx: Tx, ids: Sequence[str], given: Sequence[Mapping[str, str]]) -> None:
    """Adds or overwrites tags of existing resources."""
    current = tags_of(tx, ids)
    fresh = []
    for id in dict.fromkeys(ids):
        kind = resources.kind_of(id)
        before = {tag["Key"]: tag["Value"] for tag in current.get(id, ())}
        if len(before.keys() | {tag["Key"] for tag in given}) > MAXIMUM:
            raise AwsError("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
        for tag in given:
            key, value = tag["Key"], tag.get("Value") or ""
            if key not in before:
                type = kind.type if kind else ""
                fresh.append({"resource_id": id, "key": key, "value": value, "resource_type": type})
            elif before[key] != value:
                tx.change(tags, {"resource_id": id, "key": key}, value=value)
    if fresh:
        tx.insert_many(tags, fresh)


def take(tx: Tx, ids: Sequence[str], given: Sequence[Mapping[str, str]] | None) -> None:
    """Removes tags: all that users may set without ``given``; else by key, and by value where one is given (even an
    empty one)."""
    wanted = None if not given else {tag["Key"]: tag.get("Value") for tag in given}
    for id, present in tags_of(tx, ids).items():
        for tag in present:
            key = tag["Key"]
            if wanted is None:
                chosen = not key.startswith(RESERVED)
            else:
                chosen = key in wanted and wanted[key] in (None, tag["Value"])
            if chosen:
                tx.remove(tags, {"resource_id": id, "key": key})


def remove(tx: Tx, ids: Sequence[str]) -> None:
    """All tags of resources that cease to exist."""
    for start in range(0, len(ids), 500):
        tx.remove_all(tags, tags.c.resource_id.in_(ids[start : start + 500]))


def from_specifications(input: Mapping[str, Any], type: str, *others: str) -> TagList:
    """The tags that the call's ``TagSpecifications`` give to resources of ``type``, checked. ``others`` are the
    further types that the operation can tag; any type beyond is refused."""
    found: TagList = []
    seen: set[str] = set()
    for each in input.get("TagSpecifications") or ():
        named = each.get("ResourceType")
        if not named:
            raise AwsError("MissingParameter", "Tag specification resource type must have a value")
        if named != type and named not in others:
            raise AwsError("InvalidParameterValue", f"'{named}' is not a valid taggable resource type for this operation.")
        if named in seen:
            raise AwsError(
                "InvalidParameterValue", f"Multiple tag specifications for the resource type '{named}' are not allowed."
            )
        seen.add(named)
        checked = check(each.get("Tags") or ())
        if not checked:
            raise AwsError("InvalidParameterValue", "Tag specification must have at least one tag")
        if named == type:
            found = checked
    return found


def check(given: Sequence[Mapping[str, Any]]) -> TagList:
    """Tags as AWS takes them: keys distinct, not reserved, neither too long nor too many; a missing value is empty."""
    found: dict[str, str] = {}
    for tag in given:
        key, value = check_key(tag.get("Key")), tag.get("Value") or ""
        if key.lower().startswith(RESERVED):
            raise AwsError("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
        if len(value) > MAXIMUM_VALUE:
            raise AwsError("InvalidParameterValue", f"Tag value exceeds the maximum length of {MAXIMUM_VALUE} characters")
        if _UNSPEAKABLE.search(value):
            raise AwsError("InvalidParameterValue", "Tag value contains characters that no answer can carry")
        if key in found:
            raise AwsError("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
        found[key] = value
    if len(found) > MAXIMUM:
        raise AwsError("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
    return [{"Key": key, "Value": found[key]} for key in sorted(found)]


def check_key(key: str | None) -> str:
    if not key:
        raise AwsError("InvalidParameterValue", "Tag key cannot be null or empty")
    if _UNSPEAKABLE.search(key):
        raise AwsError("InvalidParameterValue", "Tag key contains characters that no answer can carry")
    if len(key) > MAXIMUM_KEY:
        raise AwsError("InvalidParameterValue", f"Tag key exceeds the maximum length of {MAXIMUM_KEY} characters")
    return key


def _collect(found: dict[str, TagList], rows: Iterable[Any]) -> dict[str, TagList]:
    for id, key, value in rows:
        tag = {"Key": key, "Value": value}
        if id in found:
            found[id].append(tag)
        else:
            found[id] = [tag]
    return found
