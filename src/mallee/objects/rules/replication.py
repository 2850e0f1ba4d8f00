"""Which of a bucket's replication rules a version goes by. Pure.

Of the rules that lead to one bucket and whose filter has the version, the one with the highest priority counts, and the others not, even where it
then says no (to delete markers, to replicas); each destination is decided for itself. An older configuration (rules with a Prefix, no Filter) has no
priorities, replicates delete markers, and its rules do not overlap.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-add-config.html, replication-what-is-isnot-replicated.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from mallee.objects.rules import lifecycle
from mallee.objects.rules.lifecycle import Thing

Rule = Mapping[str, Any]
Document = Mapping[str, Any]

OBJECT, MARKER, CHANGE, EXISTING = "object", "marker", "change", "existing"
"""What is to be replicated: a new version, a delete marker, other tags (ACL, lock) of a version, one that was there before the rule."""
PENDING, COMPLETED, FAILED, REPLICA = "PENDING", "COMPLETED", "FAILED", "REPLICA"
KMS: Final = "aws:kms"


def destinations(document: Document, what: str, thing: Thing, *, form: str | None = None, replica: bool = False) -> list[dict[str, Any]]:
    """Where it goes: the Destination of each rule that counts. ``form``: of its encryption; ``replica``: it came by replication itself."""
    return [dict(rule["Destination"]) for rule in _counting(document.get("Rules") or (), thing) if _takes(rule, what, form, replica)]


def has_existing(document: Document | None) -> bool:
    """Whether any rule is about what was there before it."""
    return any(_is_on(rule.get("ExistingObjectReplication")) for rule in lifecycle.enabled((document or {}).get("Rules") or ()))


def _counting(rules: Iterable[Rule], thing: Thing) -> Iterable[Rule]:
    found: dict[str, Rule] = {}
    for rule in lifecycle.enabled(rules):
        if not lifecycle.covers(rule, thing):
            continue
        bucket = rule["Destination"]["Bucket"]
        if bucket not in found or rule.get("Priority", 0) > found[bucket].get("Priority", 0):
            found[bucket] = rule
    return found.values()


def _takes(rule: Rule, what: str, form: str | None, replica: bool) -> bool:
    criteria = rule.get("SourceSelectionCriteria") or {}
    if replica and (what != CHANGE or not _is_on(criteria.get("ReplicaModifications"))):
        return False
    if what == MARKER:
        return "Filter" not in rule or _is_on(rule.get("DeleteMarkerReplication"))
    if what == EXISTING and not _is_on(rule.get("ExistingObjectReplication")):
        return False
    return form != KMS or _is_on(criteria.get("SseKmsEncryptedObjects"))


def _is_on(given: Mapping[str, Any] | None) -> bool:
    return (given or {}).get("Status") == "Enabled"
