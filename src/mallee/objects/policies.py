"""Policies of buckets and access points: which S3 takes, and how they are kept.

A policy speaks of its own bucket only, names S3's actions, and bears the unique ids of users and roles in the place of their names
(``identity.trust``), so that whoever gets a name later does not inherit. The sentences are S3's own, which differ from IAM's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from mallee.identity import trust
from mallee.identity.call import Call
from mallee.identity.managed import reference
from mallee.identity.rules import patterns
from mallee.identity.rules.errors import SYNTAX
from mallee.identity.rules.policy import Kind
from mallee.wire.errors import AwsError

LARGEST = 20 * 1024
"""Bytes, white space not counted."""

_PRINCIPAL = "Invalid principal in policy"
_RESOURCE = "Policy has invalid resource"
_ACTION = "Policy has invalid action"
_JSON = "This policy contains invalid Json"
_FIRST = "Policies must be valid JSON and the first byte must be '{'"
_VERSION = "The policy must contain a valid version string"
_MISMATCH = "Action does not apply to any resource(s) in statement"
_OBJECT = re.compile(r"\$\{ObjectName\}")


def stored(call: Call, text: str, is_own: Callable[[str], bool], is_object: Callable[[str], bool]) -> str:
    """The policy as it is kept. ``is_own`` says whether an ARN (it may have wildcards) is of the resource that the policy is put
    on, ``is_object`` whether such an ARN means what is in it. Raises MalformedPolicy."""
    if not text.startswith("{"):
        raise malformed(_FIRST)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise malformed(_JSON) from None
    if len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")) > LARGEST:
        raise AwsError("PolicyTooLarge", "Policy exceeds the maximum allowed document size.", status=400)
    try:
        kept = trust.stored(call.tx, call.settings.partition, text, Kind.RESOURCE)
    except AwsError as refusal:
        raise _in_its_words(refusal.message, document) from None
    for statement in _list(document["Statement"]):
        _check(call, statement, is_own, is_object)
    # Nothing longer than the limit is kept, or it would be read anew for each call (``identity.rules.policy``).
    return kept if len(kept) <= LARGEST else json.dumps(json.loads(kept), separators=(",", ":"), ensure_ascii=False)


def shown(call: Call, text: str) -> str:
    return trust.shown(call.tx, call.settings.partition, text)


def _check(call: Call, statement: dict[str, Any], is_own: Callable[[str], bool], is_object: Callable[[str], bool]) -> None:
    resources = _list(statement.get("Resource", statement.get("NotResource")))
    if not all(is_own(each) for each in resources):
        raise malformed(_RESOURCE)
    within, itself = any(is_object(each) for each in resources), any(not is_object(each) for each in resources)
    for action in _list(statement.get("Action", statement.get("NotAction"))):
        if action == "*":
            continue
        meant = _meant(action)
        if not meant:
            raise malformed(_ACTION)
        if "NotAction" in statement or "NotResource" in statement or "*" in resources:
            continue
        if not any(within if _OBJECT.search(reference.template(f"s3:{each}")) else itself for each in meant):
            raise malformed(_MISMATCH)


def _meant(action: str) -> list[str]:
    """S3's actions that a pattern is about."""
    vendor, _, name = action.partition(":")
    if vendor.lower() not in ("s3", "*"):
        return []
    matches = patterns.glob(name.lower())
    return [each for each in reference.services()["s3"].actions if matches(each.lower())]


def _in_its_words(told: str, document: Any) -> AwsError:
    """What IAM's grammar says, as S3 says it."""
    if told.startswith("Invalid principal"):
        return AwsError("MalformedPolicy", _PRINCIPAL, status=400, Detail=told.partition(":")[2].strip('"'))
    if told.startswith(("Resource ", "Partition ", "IAM resource")) or "resource" in told.lower():
        return malformed(_RESOURCE if "Missing" not in told else told)
    if told.startswith(("Actions/Condition", "Vendor")):
        return malformed(_ACTION)
    if told == SYNTAX and isinstance(document, dict):
        if "Statement" not in document:
            return malformed("Missing required field Statement")
        if document.get("Version", "2012-10-17") not in ("2008-10-17", "2012-10-17"):
            return malformed(_VERSION)
        return malformed("Policy has invalid syntax.") if not _unknown(document) else malformed(f"Unknown field {_unknown(document)}")
    return malformed(told)


_FIELDS = frozenset(("Version", "Id", "Statement"))


def _unknown(document: dict[str, Any]) -> str:
    return next((name for name in document if name not in _FIELDS), "")


def malformed(message: str) -> AwsError:
    return AwsError("MalformedPolicy", message, status=400)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
