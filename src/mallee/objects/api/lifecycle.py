"""Lifecycle configurations of buckets. The deprecated pair of operations says the same with fewer words, and is led to the newer one by
its path already."""

from __future__ import annotations

import datetime
from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, kinds
from mallee.objects.rules import lifecycle_checks
from mallee.objects.rules.refusals import bad_request

ACCESS = {
    "get_bucket_lifecycle": access.bucket("s3:GetLifecycleConfiguration"),
    "get_bucket_lifecycle_configuration": access.bucket("s3:GetLifecycleConfiguration"),
    "put_bucket_lifecycle": access.bucket("s3:PutLifecycleConfiguration"),
    "put_bucket_lifecycle_configuration": access.bucket("s3:PutLifecycleConfiguration"),
    "delete_bucket_lifecycle": access.bucket("s3:PutLifecycleConfiguration"),
}

_SIZE = "TransitionDefaultMinimumObjectSize"
_SIZES = ("all_storage_classes_128K", "varies_by_storage_class")


def get_bucket_lifecycle_configuration(call: Call) -> dict[str, Any]:
    found = buckets.the_bucket(call)
    document = found.configuration(kinds.LIFECYCLE)
    if document is None:
        raise buckets.missing("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", found)
    return {"Rules": [_told(rule) for rule in document["Rules"]], _SIZE: document.get(_SIZE, _SIZES[0])}


def put_bucket_lifecycle_configuration(call: Call) -> dict[str, Any]:
    size = call.input.get(_SIZE, _SIZES[0])
    if size not in _SIZES:
        raise bad_request(f"Invalid {_SIZE} found")
    rules = lifecycle_checks.checked((call.input.get("LifecycleConfiguration") or {}).get("Rules", []))
    buckets.put(call, kinds.LIFECYCLE, {"Rules": rules, _SIZE: size})
    return {_SIZE: size}


def get_bucket_lifecycle(call: Call) -> dict[str, Any]:
    """The rules of the first generation, as that operation knows them."""
    rules = get_bucket_lifecycle_configuration(call)["Rules"]
    return {"Rules": [_single(rule) for rule in rules if "Prefix" in rule]}


def put_bucket_lifecycle(call: Call) -> None:
    rules = (call.input.get("LifecycleConfiguration") or {}).get("Rules", [])
    buckets.put(call, kinds.LIFECYCLE, {"Rules": lifecycle_checks.checked([_several(rule) for rule in rules]), _SIZE: _SIZES[0]})


def delete_bucket_lifecycle(call: Call) -> None:
    buckets.delete(call, kinds.LIFECYCLE)


_LISTS = {"Transition": "Transitions", "NoncurrentVersionTransition": "NoncurrentVersionTransitions"}


def _several(rule: dict[str, Any]) -> dict[str, Any]:
    return {_LISTS.get(name, name): [value] if name in _LISTS else value for name, value in rule.items()}


def _single(rule: dict[str, Any]) -> dict[str, Any]:
    names = {many: one for one, many in _LISTS.items()}
    return {names.get(name, name): value[0] if name in names else value for name, value in rule.items()}


def _told(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule with its dates as moments again."""
    told = dict(rule)
    if "Date" in told.get("Expiration", {}):
        told["Expiration"] = told["Expiration"] | {"Date": datetime.datetime.fromisoformat(told["Expiration"]["Date"])}
    if "Transitions" in told:
        told["Transitions"] = [
            each | {"Date": datetime.datetime.fromisoformat(each["Date"])} if "Date" in each else each for each in told["Transitions"]
        ]
    return told
