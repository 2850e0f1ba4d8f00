"""Filters that metrics, analytics, intelligent tiering and replication share: a prefix, a tag, or an And of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mallee.objects.rules.lifecycle_checks import check_tags
from mallee.objects.rules.refusals import malformed


def check(given: Mapping[str, Any] | None, *, may_be_empty: bool = False) -> None:
    """Exactly one member; an And has at least two predicates."""
    if given is None or (may_be_empty and not given):
        return
    if len(given) != 1:
        raise malformed()
    both = given.get("And")
    if both is not None and len(both) - ("Tags" in both) + len(both.get("Tags", ())) < 2:
        raise malformed()
    check_tags([given["Tag"]] if "Tag" in given else (both or {}).get("Tags", ()))
