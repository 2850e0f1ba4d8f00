"""What AWS's Service Authorization Reference says of the services that this cloud has: their names, their actions, and the form
of the ARNs that an action is checked on. It is data (``reference.json``), read when first asked for.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Service:
    """``prefix`` is that of its actions, ``actions`` are in the order of their names; ``arns`` has for each action, in small
    letters, the form of its resource's ARN, ``*`` where it is checked on nothing in particular."""

    prefix: str
    name: str
    actions: tuple[str, ...]
    arns: Mapping[str, str]


@functools.cache
def services() -> dict[str, Service]:
    """By prefix, in its order."""
    found = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
    return {prefix: _service(prefix, each) for prefix, each in found.items()}


def template(action: str) -> str:
    """The form of the ARNs that an action (``s3:GetObject``) is checked on: ``arn:${Partition}:s3:::${BucketName}/${ObjectName}``."""
    prefix, _, name = action.lower().partition(":")
    service = services().get(prefix)
    return "*" if service is None else service.arns.get(name, "*")


def _service(prefix: str, found: Mapping[str, object]) -> Service:
    actions, arns = found["actions"], found["arns"]
    assert isinstance(actions, dict) and isinstance(arns, list)
    forms = {name.lower(): "*" if place is None else str(arns[place]) for name, place in actions.items()}
    return Service(prefix, str(found["name"]), tuple(actions), forms)
