"""AWS's own managed policies: ``arn:aws:iam::aws:policy/…``, which exist in every account and belong to none.

``index.json`` lists them in the order of their names (name, path, default version, dates); the documents are AWS's, as AWS
publishes them, one file each, read when somebody asks for it. They are the same for all accounts and change only with a
release of Mallee, which takes up the version that is AWS's default at that time: earlier versions are not kept. AWS does
not publish the unique ids; here they follow from the name.
"""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

OWNER = "aws"

LINKED_PATH = "/aws-service-role/"
"""Of policies that only a service gives, to the role that is linked to it."""

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Managed:
    """One of AWS's policies. ``version`` is the only one that can be had: AWS's default."""

    name: str
    path: str
    version: int
    created_at: datetime.datetime
    updated_at: datetime.datetime

    @property
    def id(self) -> str:
        return "ANPA" + base64.b32encode(hashlib.sha256(f"{self.path}{self.name}".encode()).digest()).decode()[:17]

    def arn(self, partition: str) -> str:
        return f"arn:{partition}:iam::{OWNER}:policy{self.path}{self.name}"


def all() -> tuple[Managed, ...]:
    """Every policy, by name."""
    return tuple(_index().values())


def describe(arn: str) -> Managed | None:
    """What the ARN names, in whatever partition; None when it is no policy of AWS's, or one that is not had here."""
    _, path, name = _parts(arn)
    found = _index().get(name)
    return found if found is not None and found.path == path else None


def document(arn: str) -> str | None:
    """The text of the policy; ARNs in it are of the partition that ``arn`` is of."""
    found = describe(arn)
    return None if found is None else _document(found.name, _parts(arn)[0])


def _parts(arn: str) -> tuple[str, str, str]:
    """(partition, path, name); all empty for what is no ARN of such a policy."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or parts[2:5] != ["iam", "", OWNER] or not parts[5].startswith("policy/"):
        return "", "", ""
    path, _, name = parts[5][len("policy") :].rpartition("/")
    return parts[1], path + "/", name


@functools.cache
def _index() -> dict[str, Managed]:
    rows = json.loads((_HERE / "index.json").read_text("utf-8"))
    return {
        name: Managed(name, path, int(version[1:]), _moment(created), _moment(updated))
        for name, path, version, created, updated in rows
    }


@functools.lru_cache(maxsize=1024)
def _document(name: str, partition: str) -> str:
    text = (_HERE / "documents" / f"{name}.json").read_text("utf-8")
    return text if partition == "aws" else text.replace("arn:aws:", f"arn:{partition}:")


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)
