"""Replication configurations: which of them S3 takes, as far as the configuration itself tells ("PutBucketReplication", "Replication
configuration file elements").

As with lifecycles there are two generations: rules with a Filter, a Priority and a word on delete markers, or rules with a Prefix and
none of these.
"""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from mallee.objects.rules import filters
from mallee.objects.rules.refusals import bad_request, invalid, malformed
from mallee.wire.errors import AwsError

Rule = Mapping[str, Any]

MOST_RULES, LONGEST_ID = 1000, 255
_GENERATION = "for this version of Cross Region Replication configuration schema. Please refer to S3 Developer Guide for more information."
_CLASSES = (
    "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "GLACIER_IR", "DEEP_ARCHIVE",
)  # fmt: skip
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
MINUTES = 15
"""The only promise that replication time control makes."""


def checked(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """The rules, each with an ID. Raises the error for the first that S3 does not take."""
    if not rules or len(rules) > MOST_RULES:
        raise malformed()
    newer = "Filter" in rules[0]
    ids: set[str] = set()
    for rule in rules:
        id = rule.get("ID", "")
        if len(id) > LONGEST_ID:
            raise invalid("ID length should not exceed allowed limit of 255", "ID", id)
        if id and id in ids:
            raise invalid("Rule ID must be unique. Found same ID for more than one rule", "ID", id)
        ids.add(id)
        if ("Filter" in rule) is not newer or ("Filter" in rule and "Prefix" in rule):
            raise malformed()
        _check_generation(rule, newer)
        _check_destination(rule)
    if newer:
        _check_priorities(rules)
    else:
        _check_prefixes(rules)
    return [{**rule, "ID": rule.get("ID") or str(uuid.uuid4())} for rule in rules]


def has_tags(rule: Rule) -> bool:
    given = rule.get("Filter") or {}
    return "Tag" in given or bool(given.get("And", {}).get("Tags"))


def _check_generation(rule: Rule, newer: bool) -> None:
    if newer:
        filters.check(rule["Filter"], may_be_empty=True)
        for name in ("Priority", "DeleteMarkerReplication"):
            if name not in rule:
                raise bad_request(f"{name} must be specified {_GENERATION}")
        if rule["DeleteMarkerReplication"].get("Status") == "Enabled" and has_tags(rule):
            told = "Delete marker replication is not supported if any Tag filter is specified. "
            raise bad_request(told + "Please refer to S3 Developer Guide for more information.")
        if "Status" not in rule["DeleteMarkerReplication"] or rule["Priority"] < 0:
            raise malformed()
        return
    if "Prefix" not in rule:
        raise malformed()
    for name in ("Priority", "DeleteMarkerReplication", "ExistingObjectReplication"):
        if name in rule:
            raise bad_request(f"{name} cannot be used {_GENERATION}")


def _check_destination(rule: Rule) -> None:
    destination = rule["Destination"]
    if destination.get("StorageClass", _CLASSES[0]) not in _CLASSES:
        raise AwsError("InvalidStorageClass", "The storage class you specified is not valid", status=400)
    if "Account" in destination and not _ACCOUNT.fullmatch(destination["Account"]):
        raise invalid("Invalid account ID", "Account", destination["Account"])
    if "AccessControlTranslation" in destination and "Account" not in destination:
        raise bad_request("Account must be specified if AccessControlTranslation is present.")
    keyed = (rule.get("SourceSelectionCriteria") or {}).get("SseKmsEncryptedObjects")
    if "EncryptionConfiguration" in destination and keyed is None:
        raise bad_request("SseKmsEncryptedObjects must be specified if EncryptionConfiguration is present.")
    if keyed is not None and keyed["Status"] == "Enabled" and "EncryptionConfiguration" not in destination:
        raise bad_request("EncryptionConfiguration must be specified if SseKmsEncryptedObjects tag is Enabled")
    timed, metrics = destination.get("ReplicationTime"), destination.get("Metrics")
    for promise in (timed and timed["Time"], metrics and metrics.get("EventThreshold")):
        if promise and promise.get("Minutes") != MINUTES:
            raise invalid("Minutes must be 15", "Minutes", promise.get("Minutes"))
    if timed is not None and timed["Status"] == "Enabled" and (metrics or {}).get("Status") != "Enabled":
        raise bad_request("Metrics must be Enabled if ReplicationTime is Enabled.")


def _check_priorities(rules: Sequence[Rule]) -> None:
    """Rules of one destination are told apart by them."""
    seen: set[tuple[str, int]] = set()
    for rule in rules:
        key = rule["Destination"]["Bucket"], rule["Priority"]
        if key in seen:
            raise bad_request("Found duplicate priority in rules with the same destination: priorities must be unique.")
        seen.add(key)


def _check_prefixes(rules: Sequence[Rule]) -> None:
    if len({rule["Destination"]["Bucket"] for rule in rules}) > 1:
        raise bad_request("The destination bucket must be same for all rules")
    for one, following in itertools.pairwise(sorted(rule["Prefix"] for rule in rules)):
        if following.startswith(one):
            raise bad_request(f"Found overlapping prefixes '{one}' and '{following}' in Rules")
