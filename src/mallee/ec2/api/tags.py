"""CreateTags, DeleteTags, DescribeTags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mallee.ec2 import filters, paging, resources, tags
from mallee.ec2.access import about_id, checked
from mallee.identity.access import Check
from mallee.identity.call import Call
from mallee.wire.errors import AwsError

MAXIMUM_RESOURCES = 1000

_FILTERS = {
    "key": lambda tag: tag["Key"],
    "value": lambda tag: tag["Value"],
    "resource-id": lambda tag: tag["ResourceId"],
    "resource-type": lambda tag: tag["ResourceType"],
}


def create_tags(call: Call) -> dict[str, Any]:
    given = tags.check(call.input.get("Tags") or ())
    if not given:
        raise AwsError("MissingParameter", "The request must contain the parameter tagSet")
    ids = _resources(call)
    tags.put(call.tx, ids, given)
    resources.retagged(call.tx, ids)
    return {}


def delete_tags(call: Call) -> dict[str, Any]:
    given = call.input.get("Tags")
    for tag in given or ():
        if tags.check_key(tag.get("Key")).lower().startswith(tags.RESERVED):
            raise AwsError("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
    ids = _resources(call)
    tags.take(call.tx, ids, given)
    resources.retagged(call.tx, ids)
    return {}


def describe_tags(call: Call) -> dict[str, Any]:
    found = filters.apply(call.input.get("Filters"), _FILTERS, tags.everything(call.tx), tags_of=lambda tag: (tag,))
    found, token = paging.page(call, found, key=lambda tag: (tag["ResourceId"], tag["Key"]))
    return {"Tags": found, "NextToken": token}


def _resources(call: Call) -> list[str]:
    ids = list(dict.fromkeys(call.input.get("Resources") or ()))
    if not ids:
        raise AwsError("MissingParameter", "The request must contain the parameter resourceIdSet")
    if len(ids) > MAXIMUM_RESOURCES:
        raise AwsError("InvalidParameterValue", f"The request names more than {MAXIMUM_RESOURCES} resources")
    resources.require(call.tx, ids)
    return ids


def _tagged(call: Call) -> Iterable[Check]:
    """Each resource with the condition keys of its own type."""
    return [about_id(call, id) for id in dict.fromkeys(call.input.get("Resources") or ())]


ACCESS = {
    "create_tags": checked(find=_tagged),
    "delete_tags": checked(find=_tagged),
    "describe_tags": checked(),
}
