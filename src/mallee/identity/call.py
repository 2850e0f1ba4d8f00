"""One API call as an operation sees it: who asks, what is asked, and the transaction in which to answer.

A handler is ``def run_instances(call: Call) -> dict``: it reads ``call.input`` (plain data with the model's member
names, already validated), reads and writes through ``call.tx``, and returns the model's output members, or raises
``AwsError``. It never commits, never opens another transaction and never touches the world.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from mallee.settings import Settings
from mallee.store import Tx

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Principal:
    """Who signed the request. ``user_id`` is what AWS calls the unique id: the account id for its root, ``AIDA…`` for a
    user."""

    account_id: str
    arn: str
    user_id: str
    kind: str  # root | user
    user_name: str | None = None
    access_key_id: str = ""

    @property
    def is_root(self) -> bool:
        return self.kind == "root"


@dataclass(slots=True)
class Call:
    service: str  # botocore's name of the service: ec2, elbv2, cloudwatch
    operation: str  # as AWS spells it: RunInstances
    input: dict[str, Any]
    principal: Principal
    tx: Tx
    request_id: str
    settings: Settings
    source_ip: str = ""
    user_agent: str = ""
    version: str = ""  # the API version the client asked for
    protocol: str = ""  # what the client speaks: ec2, query, json, …

    @property
    def account_id(self) -> str:
        return self.principal.account_id

    @property
    def now(self) -> datetime.datetime:
        return self.tx.now

    @property
    def region(self) -> str:
        return self.settings.region

    def arn(self, resource: str, service: str | None = None) -> str:
        """The ARN of a resource of the caller's account; IAM's and S3's bear no region, S3's no account either."""
        service = service or self.service
        region = "" if service in _REGIONLESS else self.settings.region
        account = "" if service == "s3" else self.principal.account_id
        return f"arn:{self.settings.partition}:{service}:{region}:{account}:{resource}"


_REGIONLESS = frozenset({"iam", "s3", "sts", "route53", "cloudfront", "organizations"})


def reads(function: _F) -> _F:
    """Mark an operation as read-only although its name does not say so."""
    function.mallee_writes = False  # type: ignore[attr-defined]
    return function


def writes(function: _F) -> _F:
    """Mark an operation as one that writes although it is called describe, get, list or head."""
    function.mallee_writes = True  # type: ignore[attr-defined]
    return function


_READING = ("describe_", "get_", "list_", "head_")


def is_writing(function: Callable[..., Any]) -> bool:
    """Whether the operation needs a write transaction: its mark, else its name."""
    marked = getattr(function, "mallee_writes", None)
    return not function.__name__.startswith(_READING) if marked is None else bool(marked)
